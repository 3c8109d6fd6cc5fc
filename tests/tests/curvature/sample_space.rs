//! The Khatri–Rao Jacobian, reductions over positions and normalisations, against dense matrices.

use relfisher_core::curvature::{
    khatri_rao_apply, khatri_rao_apply_workspace_len, khatri_rao_gram,
    khatri_rao_gram_workspace_len, khatri_rao_transpose, khatri_rao_transpose_workspace_len,
    normalisation_blocks, normalisation_full, normalisation_full_workspace_len,
    normalisation_gradients, reduce_mean, reduce_sum,
};
use relfisher_core::metric::normalisation;
use relfisher_core::{Error, Portable, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, assert_symmetric, to_f64};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::Oracle::{Dense, Sibling};

/// J: row c·n + s is vec(δ_cs x̃_sᵀ).
fn jacobian<T: Real>(delta: &[T], x: &[T], (n, columns, m, d): Shape) -> Matrix {
    Matrix::from_fn(columns * n, m * d, |r, k| {
        delta[r * m + k / d].to_f64() * x[(r % n) * d + k % d].to_f64()
    })
}

/// n, C, m, d̃.
type Shape = (usize, usize, usize, usize);

const SHAPES: [Shape; 7] = [
    (1, 1, 1, 1),
    (3, 1, 2, 4),
    (4, 3, 5, 2),
    (2, 10, 1, 3),
    (17, 2, 3, 3),
    (3, 2, 0, 2),
    (0, 1, 2, 2),
];

fn khatri_rao_is_the_dense_jacobian<T: Real>() {
    let mut random = Random::new(681);
    for shape in SHAPES {
        let (n, columns, m, d) = shape;
        let order = columns * n;
        let (delta, x) = (random.normals::<T>(order * m), random.normals::<T>(n * d));
        let j = jacobian(&delta, &x, shape);
        let (dv, xv) = (mat(&delta, order, m), mat(&x, n, d));
        for beta in [T::ZERO, T::HALF] {
            let fill = |start: Vec<T>| if beta == T::ZERO { nans(start.len()) } else { start };
            let keep =
                |start: &[T]| if beta == T::ZERO { vec![0.0; start.len()] } else { to_f64(start) };
            let start = random.spd::<T>(order, 3.0);
            let want = j.times(&j.t()).plus(0.5, &Matrix::new(order, order, keep(&start)));
            let (mut out, need) = (fill(start), khatri_rao_gram_workspace_len(n, columns));
            let o = mat_mut(&mut out, order, order);
            khatri_rao_gram(&Portable, o, beta, dv, xv, &mut nans(need)).unwrap();
            assert_close("gram", &out, &want.data, "khatri rao", Dense, m + d);
            assert_symmetric("gram", &out, order);

            let (v, start) = (random.normals::<T>(m * d), random.normals::<T>(order));
            let images = j.apply(&to_f64(&v));
            let want: Vec<f64> =
                images.iter().zip(keep(&start)).map(|(a, b)| a + 0.5 * b).collect();
            let (mut out, need) = (fill(start), khatri_rao_apply_workspace_len(n, m));
            let vv = mat(&v, m, d);
            khatri_rao_apply(&Portable, &mut out, beta, dv, xv, vv, &mut nans(need)).unwrap();
            assert_close("apply", &out, &want, "khatri rao", Dense, m + d);

            let (u, start) = (random.normals::<T>(order), random.normals::<T>(m * d));
            let sums = j.t().apply(&to_f64(&u));
            let want: Vec<f64> = sums.iter().zip(keep(&start)).map(|(a, b)| a + 0.5 * b).collect();
            let (mut out, need) = (fill(start), khatri_rao_transpose_workspace_len(n, m));
            let o = mat_mut(&mut out, m, d);
            khatri_rao_transpose(&Portable, o, beta, dv, xv, &u, &mut nans(need)).unwrap();
            assert_close("transpose", &out, &want, "khatri rao", Dense, order + 1);
        }
    }
}

/// Samples of delta that are no multiple of those of x, and short workspaces.
fn khatri_rao_refuses<T: Real>() {
    let (delta, x, mut out) = (vec![T::ONE; 12], vec![T::ONE; 4], nans::<T>(36));
    let (dv, xv) = (mat(&delta, 5, 2), mat(&x, 2, 2));
    let gram = khatri_rao_gram(&Portable, mat_mut(&mut out, 5, 5), T::ZERO, dv, xv, &mut nans(99));
    assert!(matches!(gram, Err(Error::Shape { .. })));
    let dv = mat(&delta, 6, 2);
    let need = khatri_rao_gram_workspace_len(2, 3);
    let o = mat_mut(&mut out, 6, 6);
    let short = khatri_rao_gram(&Portable, o, T::ZERO, dv, xv, &mut nans(need - 1));
    assert_eq!(short, Err(Error::Workspace { needed: need, found: need - 1 }));
    let need = khatri_rao_apply_workspace_len(2, 2);
    let (o, v) = (&mut out[..6], mat(&x, 2, 2));
    let short = khatri_rao_apply(&Portable, o, T::ZERO, dv, xv, v, &mut nans(need - 1));
    assert_eq!(short, Err(Error::Workspace { needed: need, found: need - 1 }));
    let need = khatri_rao_transpose_workspace_len(2, 2);
    let (o, u) = (mat_mut(&mut out, 2, 2), &delta[..6]);
    let short = khatri_rao_transpose(&Portable, o, T::ZERO, dv, xv, u, &mut nans(need - 1));
    assert_eq!(short, Err(Error::Workspace { needed: need, found: need - 1 }));
}

fn reductions_over_positions<T: Real>() {
    let mut random = Random::new(682);
    for (n, t, m) in [(1, 1, 1), (3, 4, 2), (2, 9, 5), (4, 1, 3), (2, 3, 0), (0, 0, 2)] {
        let a = random.normals::<T>(n * t * m);
        let sums: Vec<f64> = (0..n * m)
            .map(|k| (0..t).map(|p| a[((k / m) * t + p) * m + k % m].to_f64()).sum())
            .collect();
        let means: Vec<f64> = sums.iter().map(|s| s / t as f64).collect();
        let (mut sum, mut mean) = (nans::<T>(n * m), nans::<T>(n * m));
        reduce_sum(mat_mut(&mut sum, n, m), mat(&a, n * t, m)).unwrap();
        reduce_mean(mat_mut(&mut mean, n, m), mat(&a, n * t, m)).unwrap();
        assert_close("sum", &sum, &sums, "reduce", Dense, t);
        assert_close("mean", &mean, &means, "reduce", Dense, t);
    }
    // a trailing 1 stays exactly 1
    for t in 1..40 {
        let mut out = nans::<T>(1);
        reduce_mean(mat_mut(&mut out, 1, 1), mat(&vec![T::ONE; t], t, 1)).unwrap();
        assert_eq!(out, [T::ONE]);
    }
    let (a, mut out) = (vec![T::ONE; 5], nans::<T>(2));
    for rows in [0, 1, 5] {
        let refused = reduce_sum(mat_mut(&mut out, 2, 1), mat(&a, rows, 1));
        assert!(matches!(refused, Err(Error::Shape { .. })), "{rows} rows for two samples");
    }
}

fn normalisation_covers_all_channels<T: Real>() {
    let mut random = Random::new(683);
    for (n, t, c) in
        [(1, 1, 1), (3, 1, 2), (0, 1, 2), (130, 1, 3), (64, 1, 2), (5, 4, 3), (2, 1, 0)]
    {
        let (x, delta) = (random.normals::<T>(n * t * c), random.normals::<T>(n * t * c));
        let width = 2 * c;
        let gradient = |s: usize, k: usize| -> f64 {
            let place = |p: usize| (s * t + p) * c + k / 2;
            let one = |p: usize| if k.is_multiple_of(2) { x[place(p)].to_f64() } else { 1.0 };
            (0..t).map(|p| delta[place(p)].to_f64() * one(p)).sum()
        };
        let u = Matrix::from_fn(n, width, gradient);
        let (xv, dv) = (mat(&x, n * t, c), mat(&delta, n * t, c));
        let mut out = nans::<T>(n * width);
        normalisation_gradients(mat_mut(&mut out, n, width), xv, dv).unwrap();
        assert_close("gradients", &out, &u.data, "reduce", Dense, t);
        for beta in [T::ZERO, T::HALF] {
            let start: Vec<T> = random.normals(3 * c);
            let mut blocks = if beta == T::ZERO { nans(3 * c) } else { start.clone() };
            let (o, rows) = (mat_mut(&mut blocks, c, 3), mat(&out, n, width));
            normalisation_blocks(o, beta, T::from_f64(0.3), rows).unwrap();
            let sum = |k: usize, l: usize| -> f64 { (0..n).map(|s| u.at(s, k) * u.at(s, l)).sum() };
            let all =
                (0..c).flat_map(|k| [(2 * k, 2 * k), (2 * k, 2 * k + 1), (2 * k + 1, 2 * k + 1)]);
            let want =
                all.zip(&start).map(|((k, l), b)| 0.3 * sum(k, l) + beta.to_f64() * b.to_f64());
            let want: Vec<f64> = want.collect();
            assert_close("channels", &blocks, &want, "exact block", Dense, n + t);
        }
        if t > 1 {
            continue;
        }
        let (need, alpha) = (normalisation_full_workspace_len(n, c), T::from_f64(0.3));
        for beta in [T::ZERO, T::HALF] {
            let start = random.spd::<T>(width, 3.0);
            let kept = Matrix::new(width, width, to_f64(&start)).scaled(beta.to_f64());
            let want = kept.plus(alpha.to_f64(), &u.t().times(&u));
            let mut out = if beta == T::ZERO { nans(width * width) } else { start };
            let o = mat_mut(&mut out, width, width);
            normalisation_full(&Portable, o, beta, alpha, xv, dv, &mut nans(need)).unwrap();
            assert_close("full", &out, &want.data, "exact block", Dense, n + 1);
            assert_symmetric("full", &out, width);
        }
        if need > 0 {
            let (mut out, mut work) = (nans::<T>(width * width), nans(need - 1));
            let o = mat_mut(&mut out, width, width);
            let short = normalisation_full(&Portable, o, T::ZERO, alpha, xv, dv, &mut work);
            assert_eq!(short, Err(Error::Workspace { needed: need, found: need - 1 }));
        }
    }
    // the 2 × 2 blocks on its diagonal are those of the metric with ν = δ²
    let (n, c) = (7, 3);
    let (x, delta) = (random.normals::<T>(n * c), random.normals::<T>(n * c));
    let squares: Vec<T> = delta.iter().map(|d| *d * *d).collect();
    let (mut full, mut blocks) = (nans::<T>(4 * c * c), nans::<T>(3 * c));
    let (xv, dv, share) = (mat(&x, n, c), mat(&delta, n, c), T::ONE / T::from_usize(n));
    let mut work = nans(normalisation_full_workspace_len(n, c));
    let o = mat_mut(&mut full, 2 * c, 2 * c);
    normalisation_full(&Portable, o, T::ZERO, share, xv, dv, &mut work).unwrap();
    normalisation::blocks(mat_mut(&mut blocks, c, 3), xv, mat(&squares, n, c), T::ZERO).unwrap();
    let diagonal: Vec<f64> = (0..c)
        .flat_map(|k| [(2 * k, 2 * k), (2 * k + 1, 2 * k), (2 * k + 1, 2 * k + 1)])
        .map(|(i, j)| full[i * 2 * c + j].to_f64())
        .collect();
    assert_close("blocks", &blocks, &diagonal, "exact block", Sibling, n);
}

both_dtypes!(
    khatri_rao_is_the_dense_jacobian,
    khatri_rao_refuses,
    reductions_over_positions,
    normalisation_covers_all_channels,
);
