//! What a layer fuses with its products: forward, masked, divided.

use relfisher::Scalar;
use relfisher::executor::cuda::Side;
use relfisher_core::metric::neuron::Activation;

use crate::Case;
use crate::elementwise::activations;
use crate::lab::{Dense, Lab, Rows, assert_within, dot, upload};
use crate::random::Random;
use crate::tolerance::Oracle;

pub(crate) const CASES: &[Case] = &[
    ("forward_f32", forward::<f32>),
    ("forward_f64", forward::<f64>),
    ("masked_f32", masked::<f32>),
    ("masked_f64", masked::<f64>),
    ("divided_f32", divided::<f32>),
    ("divided_f64", divided::<f64>),
];

/// Rows, columns, inner range.
const SMALL: &[[usize; 3]] = &[[1, 1, 1], [50, 10, 80], [130, 33, 20], [64, 128, 17]];
const LARGE: &[[usize; 3]] = &[[50, 80, 784], [500, 300, 513]];

fn forward<T: Scalar>(lab: &Lab) {
    let gpu = &lab.gpu;
    for [n, m, d] in lab.shapes(SMALL, LARGE) {
        for (f, wide) in activations::<T>().into_iter().zip(activations::<f64>()) {
            let mut random = Random::new((n + m + d) as u64);
            let x = Rows::<T>::normal(gpu, &mut random, (n, d), 2);
            let w = Rows::<T>::normal(gpu, &mut random, (m, d + 1), 3);
            let (mut t, mut a) =
                (Rows::<T>::unwritten(gpu, (n, m), 1), Rows::<T>::unwritten(gpu, (n, m), 4));
            gpu.forward(t.matrix_mut(), a.matrix_mut(), x.matrix(), w.matrix(), f)
                .expect("forward");
            let what = format!("forward n {n} m {m} d {d} {f:?}");
            let (t, a) = (t.read(&what), a.read(&what));
            let sum = |s: usize, i: usize| {
                let (w, b) = w.dense.row(i).split_at(d);
                dot(x.dense.row(s), w) + b[0]
            };
            let sums = t.iter().enumerate().map(|(at, t)| (*t, sum(at / m, at % m)));
            let scale = (x.dense.norm() + 1.0) * w.dense.norm();
            assert_within(&what, sums, scale, ("gpu product", Oracle::Dense, d + 8));
            // The activation of the sums that the device found: slopes are no part of this error.
            let wanted = t.iter().map(|t| wide.value(t.to_f64()));
            let largest = wanted.clone().fold(0.0, |most: f64, x| most.max(x.abs()));
            let rule = ("kernel elementwise", Oracle::HigherPrecision, 1);
            assert_within(&what, a.into_iter().zip(wanted), largest, rule);
            if matches!(f, Activation::Linear) {
                assert!(largest > 0.0, "{what}: nothing to compare");
            }
        }
    }
}

fn masked<T: Scalar>(lab: &Lab) {
    let gpu = &lab.gpu;
    for [groups, n, k] in lab.shapes(SMALL, LARGE) {
        for (repeat, side) in [(1, Side::Stored), (3, Side::Stored), (1, Side::Transposed)] {
            for (beta, alpha) in [(0.0, 1.0), (0.5, -1.5)] {
                let mut random = Random::new((groups + n + k + repeat) as u64);
                let (m, gap) = (groups * repeat, 3);
                let a = Rows::<T>::normal(gpu, &mut random, (m, k), 1);
                let shape = if side == Side::Stored { (k, n) } else { (n, k) };
                let b = Rows::<T>::normal(gpu, &mut random, shape, 2);
                let h = Rows::<T>::normal(gpu, &mut random, (groups, n), gap);
                let mut c = match beta {
                    0.0 => Rows::unwritten(gpu, (m, n), gap),
                    _ => Rows::normal(gpu, &mut random, (m, n), gap),
                };
                let before = c.dense.clone();
                let scalars = (T::from_f64(beta), T::from_f64(alpha));
                let factors = (a.matrix(), (b.matrix(), side));
                gpu.masked(c.matrix_mut(), scalars, (h.matrix(), repeat), factors.0, factors.1)
                    .expect("masked");
                let what = format!("masked {side:?} {m}×{n}×{k} repeat {repeat} β {beta}");
                let right = if side == Side::Stored { b.dense.transposed() } else { b.dense };
                let want = |at: usize| {
                    let (i, j) = (at / n, at % n);
                    let old = if beta == 0.0 { 0.0 } else { beta * before.at(i, j) };
                    alpha * dot(a.dense.row(i), right.row(j)) * h.dense.at(i / repeat, j) + old
                };
                let pairs = c.read(&what).into_iter().enumerate().map(|(at, c)| (c, want(at)));
                let old = if beta == 0.0 { 0.0 } else { beta * before.magnitude() };
                let product = a.dense.norm() * right.norm() * h.dense.magnitude();
                let rule = ("gpu product", Oracle::Dense, k + 8);
                assert_within(&what, pairs, alpha.abs() * product + old, rule);
            }
        }
    }
}

fn divided<T: Scalar>(lab: &Lab) {
    let gpu = &lab.gpu;
    for [m, n, k] in lab.shapes(SMALL, LARGE) {
        let mut random = Random::new((m + n + k) as u64);
        let a = Rows::<T>::normal(gpu, &mut random, (m, k), 1);
        let b = Rows::<T>::normal(gpu, &mut random, (k, n), 2);
        let values: Vec<T> = random.uniforms(m + n, 0.0, 4.0);
        let on_device = upload(gpu, &values);
        let mut c = Rows::<T>::unwritten(gpu, (m, n), 3);
        let half = T::from_f64(0.5);
        gpu.divided(c.matrix_mut(), (on_device.view(), half), a.matrix(), b.matrix())
            .expect("divided");
        let what = format!("divided {m}×{n}×{k}");
        let right: Dense = b.dense.transposed();
        let (g, spectrum) = values.split_at(m);
        let want = |at: usize| {
            let (i, j) = (at / n, at % n);
            let value = g[i].to_f64() * spectrum[j].to_f64() + 0.5;
            dot(a.dense.row(i), right.row(j)) / value
        };
        let pairs = c.read(&what).into_iter().enumerate().map(|(at, c)| (c, want(at)));
        let scale = a.dense.norm() * right.norm();
        assert_within(&what, pairs, scale, ("gpu divided", Oracle::Dense, k + 8));
    }
}
