//! Factorisations, solves and eigendecompositions against naive dense algebra in f64.

use relfisher_core::factor::{self, Triangular};
use relfisher_core::{Error, MatMut, MatRef, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_bits_equal, assert_close, assert_symmetric, to_f64};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::Oracle::{Dense, Identity};

const SIZES: [usize; 12] = [0, 1, 2, 3, 4, 5, 8, 15, 17, 33, 64, 83];

fn matrix<T: Real>(data: &[T], rows: usize, cols: usize) -> Matrix {
    Matrix::new(rows, cols, to_f64(data))
}

/// The lower triangle, NaN above it: what a factorisation may read.
fn lower<T: Real>(a: &[T], d: usize) -> Vec<T> {
    (0..d * d).map(|k| if k % d <= k / d { a[k] } else { T::NAN }).collect()
}

fn cholesky_and_solves<T: Real>() {
    let mut random = Random::new(11);
    for d in SIZES {
        let a = random.spd::<T>(d, 10.0);
        let lambda = T::from_f64(0.125);
        let damped = matrix(&a, d, d).damped(0.125);
        let mut l = lower(&a, d);
        factor::cholesky(mat_mut(&mut l, d, d), lambda).unwrap();
        let dense = matrix(&l, d, d);
        assert!((0..d * d).all(|k| k % d <= k / d || l[k] == T::ZERO), "zeros above the diagonal");
        let product = to_t::<T>(&dense.times(&dense.t()).data);
        assert_close(&format!("L Lᵀ {d}"), &product, &damped.data, "cholesky", Identity, d);
        let det = factor::log_determinant(mat(&l, d, d)).unwrap();
        let got = [det, T::from_usize(d + 1)];
        let want = [damped.log_determinant(), (d + 1) as f64];
        assert_close(&format!("log det {d}"), &got, &want, "log_determinant", Dense, d);
        for k in [0, 1, 3, 16, 21] {
            let b = random.normals::<T>(d * k);
            let want = if d * k == 0 { Vec::new() } else { damped.solve(&matrix(&b, d, k)).data };
            let mut x = b.clone();
            factor::cholesky_solve(mat_mut(&mut x, d, k), mat(&l, d, d)).unwrap();
            assert_close(&format!("cholesky_solve {d} {k}"), &x, &want, "cholesky_solve", Dense, d);
            // The same right sides as contiguous columns: Xᵀ in rows.
            let across = |x: &[T]| -> Vec<T> { (0..d * k).map(|i| x[i % d * k + i / d]).collect() };
            let mut columns = across(&b);
            factor::cholesky_solve(mat_mut(&mut columns, k, d).t(), mat(&l, d, d)).unwrap();
            let want = to_f64(&across(&to_t::<T>(&want)));
            let label = format!("cholesky_solve of columns {d} {k}");
            assert_close(&label, &columns, &want, "cholesky_solve", Dense, d);
            for which in [Triangular::Lower, Triangular::LowerTransposed] {
                let t = if which == Triangular::Lower { dense.clone() } else { dense.t() };
                let mut x = b.clone();
                factor::triangular_solve_left(mat_mut(&mut x, d, k), mat(&l, d, d), which).unwrap();
                let back = to_t::<T>(&t.times(&matrix(&x, d, k)).data);
                let b64 = to_f64(&b);
                assert_close(
                    &format!("left {which:?} {d} {k}"),
                    &back,
                    &b64,
                    "triangular",
                    Identity,
                    d,
                );
                let mut x = b.clone();
                factor::triangular_solve_right(mat_mut(&mut x, k, d), mat(&l, d, d), which)
                    .unwrap();
                let back = to_t::<T>(&matrix(&x, k, d).times(&t).data);
                assert_close(
                    &format!("right {which:?} {d} {k}"),
                    &back,
                    &b64,
                    "triangular",
                    Identity,
                    d,
                );
            }
        }
    }
}

fn to_t<T: Real>(x: &[f64]) -> Vec<T> {
    x.iter().map(|x| T::from_f64(*x)).collect()
}

fn inverses<T: Real>() {
    let mut random = Random::new(12);
    for d in SIZES {
        let a = random.spd::<T>(d, 20.0);
        let want = if d == 0 { Vec::new() } else { matrix(&a, d, d).damped(0.25).inverse().data };
        let lambda = T::from_f64(0.25);
        let need = factor::spd_inverse_workspace_len(d);
        let mut got = lower(&a, d);
        factor::spd_inverse(mat_mut(&mut got, d, d), lambda, &mut nans(need)).unwrap();
        assert_close(&format!("spd_inverse {d}"), &got, &want, "inverse", Dense, d);
        assert_symmetric("spd_inverse", &got, d);
        if need > 0 {
            let mut a = lower(&a, d);
            let short = factor::spd_inverse(mat_mut(&mut a, d, d), lambda, &mut nans(need - 1));
            assert_eq!(short, Err(Error::Workspace { needed: need, found: need - 1 }));
        }
    }
}

fn packed_batches<T: Real>() {
    let mut random = Random::new(13);
    for (m, d) in [(0, 3), (3, 0), (1, 1), (4, 2), (3, 5), (2, 16), (3, 33), (2, 81)] {
        let pairs = d * (d + 1) / 2;
        let blocks: Vec<Vec<T>> = (0..m).map(|_| random.spd::<T>(d, 10.0)).collect();
        let packed: Vec<T> =
            blocks.iter().flat_map(|b| to_t::<T>(&matrix(b, d, d).packed())).collect();
        let lambda = T::from_f64(0.25);
        let damped: Vec<Matrix> = blocks.iter().map(|b| matrix(b, d, d).damped(0.25)).collect();
        let v = random.normals::<T>(m * d);
        let mut l = packed.clone();
        factor::packed_cholesky(mat_mut(&mut l, m, pairs), d, lambda).unwrap();
        let mut x = v.clone();
        factor::packed_cholesky_solve(mat_mut(&mut x, m, d), mat(&l, m, pairs)).unwrap();
        let want: Vec<f64> = damped
            .iter()
            .enumerate()
            .filter(|_| d > 0)
            .flat_map(|(i, a)| a.solve_vector(&to_f64(&v[i * d..(i + 1) * d])))
            .collect();
        assert_close(&format!("packed solve {m} {d}"), &x, &want, "cholesky_solve", Dense, d);
        let det = factor::packed_log_determinant(mat(&l, m, pairs), d).unwrap();
        let total: f64 = damped.iter().map(Matrix::log_determinant).sum();
        let scale = (m * d + 1) as f64;
        let got = [det, T::from_f64(scale)];
        assert_close("packed log det", &got, &[total, scale], "log_determinant", Dense, d);
        let need = factor::packed_inverse_workspace_len(d);
        let mut inverse = packed.clone();
        let out = mat_mut(&mut inverse, m, pairs);
        factor::packed_inverse(out, d, lambda, &mut nans(need)).unwrap();
        let want: Vec<f64> =
            damped.iter().filter(|_| d > 0).flat_map(|a| a.inverse().packed()).collect();
        assert_close(&format!("packed_inverse {m} {d}"), &inverse, &want, "inverse", Dense, d);
        if need > 0 {
            let mut p = packed.clone();
            let out = mat_mut(&mut p, m, pairs);
            let short = factor::packed_inverse(out, d, lambda, &mut nans(need - 1));
            assert_eq!(short, Err(Error::Workspace { needed: need, found: need - 1 }));
            assert_bits_equal("nothing written", &p, &packed);
        }
    }
    // the error names the block
    let mut blocks = to_t::<T>(&[2.0, 1.0, 2.0, 1.0, 1.0, 1.0]);
    let refused = factor::packed_cholesky(mat_mut(&mut blocks, 2, 3), 2, T::ZERO);
    assert_eq!(refused, Err(Error::NotPositiveDefinite { block: 1, pivot: 1 }));
}

fn scaled_grams<T: Real>() {
    let mut random = Random::new(14);
    let shapes =
        [(0, 3), (3, 0), (1, 1), (2, 5), (3, 16), (4, 17), (5, 8), (21, 9), (50, 80), (18, 33)];
    for (n, m) in shapes {
        let k = random.spd::<T>(n, 100.0);
        let k: Vec<T> = k.iter().map(|x| *x * T::from_usize(n)).collect();
        let mut s = random.uniforms::<T>(n * m, 0.0, 1.0);
        // exact zeros: neurons that are off for a sample
        s.iter_mut().step_by(3).for_each(|x| *x = T::ZERO);
        let r = random.normals::<T>(n * m);
        let lambda = T::HALF;
        let need = factor::scaled_gram_solve_workspace_len(n, m);
        let run = |length: usize| {
            let mut z = r.clone();
            let out = mat_mut(&mut z, n, m);
            let done = factor::scaled_gram_solve(
                out,
                mat(&k, n, n),
                mat(&s, n, m),
                lambda,
                &mut nans(length),
            );
            (z, done)
        };
        let (z, done) = run(need);
        done.unwrap();
        let mut want = vec![0.0; n * m];
        for i in 0..m {
            let system = Matrix::from_fn(n, n, |a, b| {
                let scale = s[a * m + i].to_f64() * s[b * m + i].to_f64();
                scale * k[a * n + b].to_f64() + if a == b { 0.5 } else { 0.0 }
            });
            let column: Vec<f64> = (0..n).map(|a| r[a * m + i].to_f64()).collect();
            if n > 0 {
                for (a, x) in system.solve_vector(&column).into_iter().enumerate() {
                    want[a * m + i] = x;
                }
            }
        }
        assert_close(
            &format!("scaled_gram_solve {n} {m}"),
            &z,
            &want,
            "scaled_gram_solve",
            Dense,
            n,
        );
        assert_bits_equal("again", &z, &run(need).0);
        assert_bits_equal("more work", &z, &run(need + 5).0);
        assert_eq!(run(need - 1).1, Err(Error::Workspace { needed: need, found: need - 1 }));
        // ranges of columns, as threads would take them
        for width in [1, 7, 16] {
            let mut pieces = nans::<T>(n * m);
            for first in (0..m).step_by(width) {
                let w = width.min(m - first);
                let take = |a: usize| r[a * m + first..a * m + first + w].iter().copied();
                let mut piece: Vec<T> = (0..n).flat_map(take).collect();
                factor::scaled_gram_solve_columns(
                    mat_mut(&mut piece, n, w),
                    mat(&k, n, n),
                    mat(&s, n, m),
                    first,
                    lambda,
                    &mut nans(need),
                )
                .unwrap();
                for a in 0..n {
                    pieces[a * m + first..][..w].copy_from_slice(&piece[a * w..(a + 1) * w]);
                }
            }
            assert_bits_equal("columns", &z, &pieces);
        }
    }
    // a column of zeros without damping is singular, and is named
    let (n, m) = (6, 20);
    let k = random.spd::<T>(n, 2.0);
    let mut s = vec![T::ONE; n * m];
    (0..n).for_each(|a| s[a * m + 18] = T::ZERO);
    let mut z = vec![T::ONE; n * m];
    let mut work = nans(factor::scaled_gram_solve_workspace_len(n, m));
    let out = mat_mut(&mut z, n, m);
    let refused = factor::scaled_gram_solve(out, mat(&k, n, n), mat(&s, n, m), T::ZERO, &mut work);
    assert_eq!(refused, Err(Error::NotPositiveDefinite { block: 18, pivot: 0 }));
    for place in 0..3 {
        let (mut k, mut s, mut z) = (k.clone(), vec![T::ONE; n * m], vec![T::ONE; n * m]);
        [&mut k, &mut s, &mut z][place][7] = T::NAN;
        let out = mat_mut(&mut z, n, m);
        let refused =
            factor::scaled_gram_solve(out, mat(&k, n, n), mat(&s, n, m), T::ONE, &mut work);
        assert!(matches!(refused, Err(Error::NonFinite { index: 7, .. })), "{refused:?}");
    }
}

/// A = B Bᵀ of rank r, in the precision of T.
fn low_rank<T: Real>(random: &mut Random, d: usize, rank: usize) -> Vec<T> {
    let b = matrix(&random.normals::<T>(d * rank), d, rank);
    to_t(&b.times(&b.t()).data)
}

fn singular_is_refused_and_damping_helps<T: Real>() {
    let mut random = Random::new(15);
    for d in [2, 3, 5, 16, 17, 40, 83] {
        for rank in [0, 1, d / 2] {
            let a = low_rank::<T>(&mut random, d, rank);
            for scale in [1.0, 1e-20, 1e15] {
                let a: Vec<T> = a.iter().map(|x| *x * T::from_f64(scale)).collect();
                let refused = factor::cholesky(mat_mut(&mut a.clone(), d, d), T::ZERO);
                let singular = matches!(refused, Err(Error::NotPositiveDefinite { .. }));
                assert!(singular, "order {d} rank {rank} scale {scale}: {refused:?}");
                let lambda = T::from_f64(scale * 0.1 * d as f64);
                factor::cholesky(mat_mut(&mut a.clone(), d, d), lambda).unwrap();
            }
        }
        // the last row and column repeat the first ones: one pivot of pure rounding
        let a = random.spd::<T>(d, 10.0);
        let twin = |k: usize| if k + 1 == d { 0 } else { k };
        let mut twins: Vec<T> = (0..d * d).map(|k| a[twin(k / d) * d + twin(k % d)]).collect();
        let refused = factor::cholesky(mat_mut(&mut twins, d, d), T::ZERO);
        assert_eq!(refused, Err(Error::NotPositiveDefinite { block: 0, pivot: d - 1 }));
        // a positive definite matrix whose scales differ by far is not singular
        let diagonal = |i: usize| T::from_f64(10.0_f64.powi(30 * (i as i32 % 3 - 1)));
        let mut graded: Vec<T> =
            (0..d * d).map(|k| if k / d == k % d { diagonal(k / d) } else { T::ZERO }).collect();
        factor::cholesky(mat_mut(&mut graded, d, d), T::ZERO).unwrap();
    }
    let mut negative = to_t::<T>(&[1.0, 0.0, 0.0, -1.0]);
    let refused = factor::cholesky(mat_mut(&mut negative, 2, 2), T::HALF);
    assert_eq!(refused, Err(Error::NotPositiveDefinite { block: 0, pivot: 1 }));
}

fn non_finite_and_shapes_are_refused<T: Real>() {
    let d = 9;
    let a = Random::new(16).spd::<T>(d, 3.0);
    let l = {
        let mut l = a.clone();
        factor::cholesky(mat_mut(&mut l, d, d), T::ZERO).unwrap();
        l
    };
    for bad in [T::NAN, T::INFINITY] {
        for (i, j) in [(0, 0), (8, 0), (8, 8), (5, 3)] {
            let mut b = a.clone();
            b[i * d + j] = bad;
            let index = i * d + j;
            let is_non_finite = |e: Result<(), Error>| {
                assert!(matches!(e, Err(Error::NonFinite { index: k, .. }) if k == index), "{e:?}")
            };
            is_non_finite(factor::cholesky(mat_mut(&mut b.clone(), d, d), T::ONE));
            let mut work = nans::<T>(factor::eigh_workspace_len(d));
            is_non_finite(factor::spd_inverse(mat_mut(&mut b.clone(), d, d), T::ONE, &mut work));
            is_non_finite(factor::eigh(mat_mut(&mut b.clone(), d, d), &mut nans(d), &mut work));
            let mut rhs = vec![T::ONE; d * d];
            rhs[index] = bad;
            is_non_finite(factor::cholesky_solve(mat_mut(&mut rhs, d, d), mat(&l, d, d)));
            let mut packed = vec![T::ONE; 45];
            packed[i * (i + 1) / 2 + j] = bad;
            let refused = factor::packed_cholesky(mat_mut(&mut packed, 1, 45), d, T::ONE);
            assert!(matches!(refused, Err(Error::NonFinite { .. })));
        }
        let refused = factor::cholesky(mat_mut(&mut a.clone(), d, d), bad);
        assert!(matches!(refused, Err(Error::Parameter { .. })));
    }
    let refused = factor::cholesky(mat_mut(&mut a.clone(), d, d), -T::ONE);
    assert!(matches!(refused, Err(Error::Parameter { .. })));
    let mut zero = l.clone();
    zero[4 * d + 4] = T::ZERO;
    let refused = factor::cholesky_solve(mat_mut(&mut vec![T::ONE; d], d, 1), mat(&zero, d, d));
    assert_eq!(refused, Err(Error::NotPositiveDefinite { block: 0, pivot: 4 }));
    let shape = |e: Result<(), Error>| assert!(matches!(e, Err(Error::Shape { .. })), "{e:?}");
    shape(factor::cholesky(mat_mut(&mut a.clone(), 3, 4), T::ONE));
    shape(factor::cholesky_solve(mat_mut(&mut a.clone(), 8, 2), mat(&l, d, d)));
    shape(factor::packed_cholesky(mat_mut(&mut a.clone(), 2, 5), 3, T::ONE));
    shape(factor::packed_cholesky_solve(mat_mut(&mut a.clone(), 2, 3), mat(&l, 2, 7)));
    shape(factor::eigh(mat_mut(&mut a.clone(), d, d), &mut nans(d - 1), &mut nans(200)));
    let work = factor::eigh_workspace_len(d);
    let short = factor::eigh(mat_mut(&mut a.clone(), d, d), &mut nans(d), &mut nans(work - 1));
    assert_eq!(short, Err(Error::Workspace { needed: work, found: work - 1 }));
}

fn check_eigh<T: Real>(label: &str, a: &[T], d: usize) {
    let (mut u, mut values) = (lower(a, d), nans::<T>(d));
    let mut work = nans(factor::eigh_workspace_len(d));
    factor::eigh(mat_mut(&mut u, d, d), &mut values, &mut work).unwrap();
    assert!(values.windows(2).all(|w| w[0] <= w[1]), "{label}: ascending");
    let (dense, u64s) = (matrix(a, d, d), matrix(&u, d, d));
    let scale = dense.max_abs().max(f64::MIN_POSITIVE);
    let identity = to_t::<T>(&u64s.t().times(&u64s).data);
    let label_of = |what: &str| format!("{label} order {d}: {what}");
    assert_close(&label_of("UᵀU"), &identity, &Matrix::identity(d).data, "eigh", Identity, d);
    let rebuilt = u64s.times(&Matrix::diagonal(&to_f64(&values))).times(&u64s.t());
    let unit = |m: &Matrix| {
        let mut data: Vec<f64> = m.data.iter().map(|x| x / scale).collect();
        data.push(1.0);
        data
    };
    assert_close(
        &label_of("U diag Uᵀ"),
        &to_t::<T>(&unit(&rebuilt)),
        &unit(&dense),
        "eigh",
        Identity,
        d,
    );
    let reference = dense.scaled(1.0 / scale).eigh().0;
    let mut want = reference;
    let mut got: Vec<T> = values.iter().map(|v| T::from_f64(v.to_f64() / scale)).collect();
    want.push(1.0);
    got.push(T::ONE);
    assert_close(&label_of("values"), &got, &want, "eigh", Dense, d);
    let (mut again, mut again_values) = (lower(a, d), nans::<T>(d));
    factor::eigh(mat_mut(&mut again, d, d), &mut again_values, &mut work).unwrap();
    assert_bits_equal("eigh again", &again, &u);
    assert_bits_equal("eigh again", &again_values, &values);
}

fn eigendecompositions<T: Real>() {
    let mut random = Random::new(17);
    // graded matrices of order 100 and more took more than 60 iterations in f32
    for d in [0, 1, 2, 3, 4, 5, 17, 50, 131] {
        check_eigh("definite", &random.spd::<T>(d, 1e6), d);
        let b = matrix(&random.normals::<T>(d * d), d, d);
        check_eigh::<T>("indefinite", &to_t(&b.plus(1.0, &b.t()).data), d);
        check_eigh::<T>("zero", &vec![T::ZERO; d * d], d);
        // products of what is beside the one coupling are subnormal: so are both sides of a rotation
        let least = T::MIN_POSITIVE.to_f64().sqrt() * 0.02;
        let noise = b.plus(1.0, &b.t()).scaled(least);
        let coupled = |i: usize, j: usize| i.max(j) + 1 == d && i.min(j) == 1 && d > 2;
        let one = Matrix::from_fn(d, d, |i, j| if coupled(i, j) { 1.0 } else { noise.at(i, j) });
        check_eigh::<T>("one coupling", &to_t(&one.data), d);
        check_eigh::<T>("identity", &to_t(&Matrix::identity(d).data), d);
        check_eigh::<T>("ones", &vec![T::ONE; d * d], d);
        check_eigh("low rank", &low_rank::<T>(&mut random, d, d / 3 + 1), d);
        let graded = |i: usize| 10.0_f64.powf(-12.0 * i as f64 / d.max(1) as f64);
        for up in [false, true] {
            let place = |i: usize| if up { d - 1 - i } else { i };
            let m = Matrix::from_fn(d, d, |i, j| {
                (graded(place(i)) * graded(place(j))).sqrt() * if i == j { 2.0 } else { 1.0 }
            });
            check_eigh::<T>("graded", &to_t(&m.data), d);
        }
        let coupled = Matrix::from_fn(d, d, |i, j| if i.abs_diff(j) == 1 { 1.0 } else { 0.0 });
        check_eigh::<T>("path graph", &to_t(&coupled.data), d);
        let blocks = Matrix::from_fn(d, d, |i, j| if i / 3 == j / 3 { 1.0 } else { 0.0 });
        check_eigh::<T>("repeated blocks", &to_t(&blocks.data), d);
        let wide = if T::EPSILON.to_f64() > 1e-10 { 1e35 } else { 1e290 };
        for scale in [wide, 1.0 / wide] {
            let a: Vec<T> =
                random.spd::<T>(d, 10.0).iter().map(|x| *x * T::from_f64(scale)).collect();
            check_eigh("scaled", &a, d);
        }
    }
}

fn rows_at_a_distance<T: Real>() {
    let (d, stride) = (7, 11);
    let a = Random::new(18).spd::<T>(d, 5.0);
    let mut padded = nans::<T>(d * stride);
    for i in 0..d {
        padded[i * stride..i * stride + d].copy_from_slice(&a[i * d..(i + 1) * d]);
    }
    let view = |x: &mut Vec<T>| x.clone();
    let mut dense = view(&mut a.clone());
    factor::cholesky(mat_mut(&mut dense, d, d), T::ZERO).unwrap();
    let mut strided = padded.clone();
    let out = relfisher_core::MatMut::with_strides(&mut strided, d, d, stride, 1).unwrap();
    factor::cholesky(out, T::ZERO).unwrap();
    let l = MatRef::with_strides(&strided, d, d, stride, 1).unwrap();
    for i in 0..d {
        assert_bits_equal("strided cholesky", l.row(i), &dense[i * d..(i + 1) * d]);
        assert!(
            i + 1 == d || strided[i * stride + d..(i + 1) * stride].iter().all(|x| !x.is_finite())
        );
    }
}

/// Orders whose triangle has no length that a word can hold: the count of its elements wraps to that of
/// an empty row.
fn orders_beyond_all_memory<T: Real>() {
    for d in [usize::MAX, usize::MAX - 1, 1 << 33] {
        let shape = |result: Result<(), Error>| {
            assert!(matches!(result, Err(Error::Shape { .. })), "order {d}: {result:?}");
        };
        let none = || [T::ZERO; 0];
        shape(factor::packed_cholesky(mat_mut(&mut none(), 3, 0), d, T::ZERO));
        shape(factor::packed_inverse(mat_mut(&mut none(), 3, 0), d, T::ZERO, &mut []));
        shape(factor::packed_cholesky_batch(mat_mut(&mut none(), 3, 0), d, T::ZERO, &mut []));
        shape(factor::packed_log_determinant(mat(&none(), 3, 0), d).map(|_| ()));
    }
}

/// Matrices one below the other with gaps between the rows: each is met once, in order, and the gaps never.
fn stacked<T: Real>() {
    let (d, k, stride) = (2, 3, 5);
    let mut data: Vec<T> = vec![T::NAN; 3 * d * stride];
    let mut seen = 0;
    let rows = MatMut::with_strides(&mut data, 3 * d, k, stride, 1).unwrap();
    factor::for_each_stacked(rows, d, |mut part| {
        assert_eq!((part.rows(), part.cols(), part.row_stride()), (d, k, stride));
        part.fill(T::from_usize(seen));
        seen += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(seen, 3);
    for (i, x) in data.iter().enumerate() {
        let (row, column) = (i / stride, i % stride);
        let good = if column < k { *x == T::from_usize(row / d) } else { !x.is_finite() };
        assert!(good, "row {row}, column {column}");
    }
    let mut none = |_: MatMut<'_, T>| panic!("called");
    let rows = mat_mut(&mut data, 6, k);
    let refused = factor::for_each_stacked(rows, 4, &mut none);
    assert!(matches!(refused, Err(Error::Shape { found: 6, .. })), "{refused:?}");
    let refused = factor::for_each_stacked(mat_mut(&mut data, 4, k).t(), 3, &mut none);
    assert!(matches!(refused, Err(Error::Layout { .. })), "{refused:?}");
    for (d, rows, good) in [(0, 0, true), (0, 2, false), (3, 0, true)] {
        let outcome = factor::for_each_stacked(mat_mut(&mut data, rows, k), d, &mut none);
        assert_eq!(outcome.is_ok(), good, "{rows} rows of order {d}");
    }
}

both_dtypes!(
    stacked,
    orders_beyond_all_memory,
    cholesky_and_solves,
    inverses,
    packed_batches,
    scaled_grams,
    singular_is_refused_and_damping_helps,
    non_finite_and_shapes_are_refused,
    eigendecompositions,
    rows_at_a_distance,
);
