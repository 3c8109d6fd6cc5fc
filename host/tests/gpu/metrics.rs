//! ν and all relative Fisher metrics of a layer, packed.

use std::sync::Arc;

use relfisher::Scalar;
use relfisher::executor::cuda::Gpu;

use crate::Case;
use crate::lab::{Lab, Rows, assert_within};
use crate::random::Random;
use crate::tolerance::Oracle;

pub(crate) const CASES: &[Case] =
    &[("packed_grams_f32", packed_grams::<f32>), ("packed_grams_f64", packed_grams::<f64>)];

/// Neurons, columns, samples.
const SMALL: &[[usize; 3]] = &[[1, 1, 1], [3, 9, 20], [130, 5, 33], [10, 24, 300], [2, 17, 600]];
const LARGE: &[[usize; 3]] = &[[80, 81, 785], [64, 129, 1000], [256, 65, 513]];

fn packed_grams<T: Scalar>(lab: &Lab) {
    for shape in lab.shapes(SMALL, LARGE) {
        for (beta, alpha) in [(0.0, 1.0 / shape[2] as f64), (0.5, -2.0)] {
            for gap in [0, 3] {
                lab.in_every_precision::<T>(|gpu, routine| {
                    one::<T>(gpu, routine, shape, gap, (beta, alpha));
                });
            }
        }
    }
}

fn one<T: Scalar>(
    gpu: &Arc<Gpu>,
    routine: &str,
    [m, d, n]: [usize; 3],
    gap: usize,
    (beta, alpha): (f64, f64),
) {
    let mut random = Random::new((m + d + n) as u64);
    let x = Rows::<T>::normal(gpu, &mut random, (n, d), gap);
    let nu = Rows::<T>::normal(gpu, &mut random, (n, m), gap);
    let pairs = d * (d + 1) / 2;
    let mut out = match beta {
        0.0 => Rows::<T>::unwritten(gpu, (m, pairs), gap),
        _ => Rows::normal(gpu, &mut random, (m, pairs), gap),
    };
    let before = out.dense.clone();
    let scalars = (T::from_f64(beta), T::from_f64(alpha));
    gpu.packed_grams(out.matrix_mut(), scalars, x.matrix(), nu.matrix()).expect("packed_grams");
    let what = format!("packed_grams m {m} d {d} n {n} gap {gap} β {beta} {:?}", gpu.precision());
    let got = out.read(&what);
    let (x, nu) = (x.dense.transposed(), nu.dense.transposed());
    // Every neuron of a small layer, some of every tile of a large one.
    let neurons = (0..m).step_by(if m * pairs * n < 10_000_000 { 1 } else { 37 });
    let mut found = Vec::new();
    let mut largest = 0.0f64;
    for a in 0..d {
        for b in 0..=a {
            let products: Vec<f64> = x.row(a).iter().zip(x.row(b)).map(|(a, b)| a * b).collect();
            let norm = products.iter().map(|p| p * p).sum::<f64>().sqrt();
            largest = largest.max(norm);
            let k = a * (a + 1) / 2 + b;
            for i in neurons.clone() {
                let sum: f64 = products.iter().zip(nu.row(i)).map(|(p, nu)| p * nu).sum();
                let old = if beta == 0.0 { 0.0 } else { beta * before.at(i, k) };
                found.push((got[i * pairs + k], alpha * sum + old));
            }
        }
    }
    let old = if beta == 0.0 { 0.0 } else { beta * before.magnitude() };
    let scale = alpha.abs() * largest * nu.norm() + old;
    assert_within(&what, found, scale, (routine, Oracle::Dense, n + 8));
}
