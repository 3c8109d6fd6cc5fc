//! GEMM in every form and precision, Gram matrices, sums of vectors.

use std::sync::Arc;

use relfisher::Scalar;
use relfisher::executor::cuda::{Gpu, Side};

use crate::Case;
use crate::lab::{Dense, Lab, Rows, assert_within, dot, unwritten, upload};
use crate::random::Random;
use crate::tolerance::Oracle;

pub(crate) const CASES: &[Case] = &[
    ("gemm_f32", gemm::<f32>),
    ("gemm_f64", gemm::<f64>),
    ("gram_f32", gram::<f32>),
    ("gram_f64", gram::<f64>),
    ("weighted_gram_f32", weighted_gram::<f32>),
    ("weighted_gram_f64", weighted_gram::<f64>),
    ("axpby_f32", axpby::<f32>),
    ("axpby_f64", axpby::<f64>),
    ("products_that_do_not_fit_are_refused", refusals),
];

/// Shapes m, n, k: below a tile, filling tiles, one more than tiles, and with a long inner range, which
/// is cut into pieces.
const SMALL: &[[usize; 3]] = &[
    [1, 1, 1],
    [1, 130, 5],
    [3, 2, 300],
    [128, 128, 16],
    [129, 65, 33],
    [70, 131, 40],
    [20, 30, 530],
];
const LARGE: &[[usize; 3]] = &[[1000, 900, 800], [257, 1025, 513], [50, 80, 785], [64, 64, 5000]];

const FORMS: [(Side, Side); 3] = [
    (Side::Stored, Side::Stored),
    (Side::Stored, Side::Transposed),
    (Side::Transposed, Side::Stored),
];

/// Rows that are compared: all of a small matrix, some of every tile of a large one.
fn compared(rows: usize) -> impl Iterator<Item = usize> + Clone {
    let step = if rows <= 300 { 1 } else { 53 };
    (0..rows).step_by(step).chain(std::iter::once(rows - 1))
}

/// `α A Bᵀ + β C` in f64 at the compared rows beside what the device found, and how large it can be.
fn expected<'a, T: Scalar>(
    got: &'a [T],
    (beta, alpha): (f64, f64),
    c: &'a Dense,
    a: &'a Dense,
    b: &'a Dense,
) -> (impl Iterator<Item = (T, f64)> + use<'a, T>, f64) {
    let pairs = compared(c.rows).flat_map(move |i| {
        (0..c.cols).map(move |j| {
            let old = if beta == 0.0 { 0.0 } else { beta * c.at(i, j) };
            (got[i * c.cols + j], alpha * dot(a.row(i), b.row(j)) + old)
        })
    });
    let old = if beta == 0.0 { 0.0 } else { beta.abs() * c.magnitude() };
    (pairs, alpha.abs() * a.norm() * b.norm() + old)
}

fn gemm<T: Scalar>(lab: &Lab) {
    for shape in lab.shapes(SMALL, LARGE) {
        for (form, sides) in FORMS.into_iter().enumerate() {
            // β = 0 with NaN in C; both scalars with numbers in C.
            for (beta, alpha) in [(0.0, 1.0), (-0.5, 1.5)] {
                // Without gaps a long inner range is cut into pieces, with gaps it is not.
                for gap in [0, 5] {
                    lab.in_every_precision::<T>(|gpu, routine| {
                        one_gemm::<T>(gpu, routine, (shape, gap), sides, (beta, alpha), form);
                    });
                }
            }
        }
    }
}

fn one_gemm<T: Scalar>(
    gpu: &Arc<Gpu>,
    routine: &str,
    ([m, n, k], gap): ([usize; 3], usize),
    (a_side, b_side): (Side, Side),
    (beta, alpha): (f64, f64),
    form: usize,
) {
    let mut random = Random::new((m + 3 * n + 7 * k + form) as u64);
    let turned = |side, rows, cols| if side == Side::Stored { (rows, cols) } else { (cols, rows) };
    let a = Rows::<T>::normal(gpu, &mut random, turned(a_side, m, k), gap);
    let b = Rows::<T>::normal(gpu, &mut random, turned(b_side, k, n), gap);
    let mut c = match beta {
        0.0 => Rows::unwritten(gpu, (m, n), gap),
        _ => Rows::normal(gpu, &mut random, (m, n), gap),
    };
    let before = c.dense.clone();
    let scalars = (T::from_f64(beta), T::from_f64(alpha));
    gpu.gemm(c.matrix_mut(), scalars, (a.matrix(), a_side), (b.matrix(), b_side)).expect("gemm");
    let what =
        format!("gemm {a_side:?} {b_side:?} {m}×{n}×{k} gap {gap} β {beta} {:?}", gpu.precision());
    let got = c.read(&what);
    let left = if a_side == Side::Stored { a.dense } else { a.dense.transposed() };
    let right = if b_side == Side::Stored { b.dense.transposed() } else { b.dense };
    let (pairs, scale) = expected(&got, (beta, alpha), &before, &left, &right);
    assert_within(&what, pairs, scale, (routine, Oracle::Dense, k + 8));
}

/// Orders and samples of Gram matrices.
const GRAM_SMALL: &[[usize; 2]] = &[[1, 1], [5, 3], [128, 20], [130, 45], [65, 520]];
const GRAM_LARGE: &[[usize; 2]] = &[[1000, 700], [785, 50], [513, 4096]];

fn gram<T: Scalar>(lab: &Lab) {
    grams::<T>(lab, false);
}

fn weighted_gram<T: Scalar>(lab: &Lab) {
    grams::<T>(lab, true);
}

fn grams<T: Scalar>(lab: &Lab, weighted: bool) {
    for [d, n] in lab.shapes(GRAM_SMALL, GRAM_LARGE) {
        for (beta, alpha) in [(0.0, 1.0 / n as f64), (0.75, 0.25)] {
            for gap in [0, 3] {
                lab.in_every_precision::<T>(|gpu, routine| {
                    // Weights are for fused multiply-adds alone.
                    let routine = if weighted { "gpu product" } else { routine };
                    one_gram::<T>(gpu, routine, ([d, n], gap), (beta, alpha), weighted);
                });
            }
        }
    }
}

fn one_gram<T: Scalar>(
    gpu: &Arc<Gpu>,
    routine: &str,
    ([d, n], gap): ([usize; 2], usize),
    (beta, alpha): (f64, f64),
    weighted: bool,
) {
    let mut random = Random::new((d * n) as u64);
    let x = Rows::<T>::normal(gpu, &mut random, (n, d), gap);
    let weights: Vec<T> = random.uniforms(n, 0.0, 2.0);
    let on_device = upload(gpu, &weights);
    // A symmetric old matrix: only its lower triangle is read, both are written.
    let mut old = Dense { rows: d, cols: d, values: vec![f64::NAN; d * d] };
    if beta != 0.0 {
        for i in 0..d {
            for j in 0..=i {
                let value = random.normal();
                (old.values[i * d + j], old.values[j * d + i]) = (value, value);
            }
        }
    }
    let mut c = Rows::<T>::new(gpu, old, gap);
    let before = c.dense.clone();
    let scalars = (T::from_f64(beta), T::from_f64(alpha));
    let view = weighted.then(|| on_device.view());
    gpu.gram(c.matrix_mut(), scalars, x.matrix(), view).expect("gram");
    let what = format!("gram d {d} n {n} gap {gap} β {beta} {:?}", gpu.precision());
    let got = c.read(&what);
    let columns = x.dense.transposed();
    let mut scaled = columns.clone();
    if weighted {
        for (at, value) in scaled.values.iter_mut().enumerate() {
            *value *= weights[at % n].to_f64();
        }
    }
    let (pairs, scale) = expected(&got, (beta, alpha), &before, &scaled, &columns);
    assert_within(&what, pairs, scale, (routine, Oracle::Dense, n + 8));
    for i in compared(d) {
        for j in 0..d {
            assert!(got[i * d + j] == got[j * d + i], "{what}: not symmetric at ({i}, {j})");
        }
    }
}

fn axpby<T: Scalar>(lab: &Lab) {
    for len in lab.shapes(&[1, 1023, 2085], &[10_000_019]) {
        let mut random = Random::new(len as u64);
        let (x, y): (Vec<T>, Vec<T>) =
            (random.uniforms(len, -1.0, 1.0), random.uniforms(len, -1.0, 1.0));
        let from = upload(&lab.gpu, &x);
        let mut to = upload(&lab.gpu, &y);
        let (half, two) = (T::from_f64(0.5), T::from_f64(2.0));
        lab.gpu.axpby(to.view_mut(), (half, two), from.view()).expect("axpby");
        let want = x.iter().zip(&y).map(|(x, y)| 2.0 * x.to_f64() + 0.5 * y.to_f64());
        let rule = ("gpu product", Oracle::Dense, 2);
        assert_within("axpby", to.to_vec().expect("a copy").into_iter().zip(want), 2.5, rule);
        let mut to = unwritten::<T>(&lab.gpu, len);
        lab.gpu.axpby(to.view_mut(), (T::ZERO, T::ONE), from.view()).expect("axpby");
        assert!(to.to_vec().expect("a copy") == x, "axpby: a copy of {len} values");
    }
}

fn refusals(lab: &Lab) {
    let gpu = &lab.gpu;
    let mut random = Random::new(1);
    let (a, b) = (
        Rows::<f32>::normal(gpu, &mut random, (3, 4), 0),
        Rows::<f32>::normal(gpu, &mut random, (5, 2), 0),
    );
    let mut c = Rows::<f32>::unwritten(gpu, (3, 2), 0);
    let before = gpu.traffic().launches;
    let stored = |x: &Rows<f32>, side| {
        let (a, b) = ((a.matrix(), Side::Stored), (x.matrix(), side));
        let mut other = Rows::<f32>::unwritten(gpu, (3, 2), 0);
        gpu.gemm(other.matrix_mut(), (0.0, 1.0), a, b).is_err()
    };
    assert!(stored(&b, Side::Stored) && stored(&b, Side::Transposed), "inner ranges differ");
    let both = (a.matrix(), Side::Transposed);
    let result = gpu.gemm(c.matrix_mut(), (0.0, 1.0), both, (b.matrix(), Side::Transposed));
    assert!(result.is_err(), "both transposed");
    assert!(gpu.gram(c.matrix_mut(), (0.0, 1.0), a.matrix(), None).is_err(), "C is not square");
    assert_eq!(gpu.traffic().launches, before, "a refused product was launched");
}
