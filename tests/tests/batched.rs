//! Batched Cholesky factorisations and eigendecompositions: against their definitions in f64, against
//! the routines for one matrix, and the executor against the sequential backend.

use relfisher::Scalar;
use relfisher::executor::Cpu;
use relfisher_core::factor::batch::{
    Elements, INTERLEAVED_ORDER, Transpose, cholesky_batch_by, eigh_batch_by, group_len,
    packed_cholesky_batch_by,
};
use relfisher_core::{Backend, Error, Portable, Real, factor};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_bits_equal, assert_close, cast, to_f64};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat_mut, nans};
use relfisher_tests::tolerance::Oracle::{Dense, Identity};

/// Orders on both sides of a tile, of a group of lanes and of what is interleaved.
const ORDERS: [usize; 13] = [0, 1, 2, 3, 4, 5, 8, 15, 17, 32, 33, 128, 131];

/// Batches with lanes left over, and without.
fn counts(n: usize) -> &'static [usize] {
    if n > 64 { &[0, 1, 9] } else { &[0, 1, 7, 8, 16, 19] }
}

/// Sizes from one end of the format to the other, one for each matrix of a batch.
fn scale<T: Real>(i: usize) -> f64 {
    let far = if T::EPSILON.to_f64() > 1e-10 { 30.0 } else { 280.0 };
    10.0_f64.powf([0.0, 18.0, -18.0, far, -far][i % 5])
}

/// m positive definite matrices, and the same with NaN above their diagonals.
fn definite<T: Real>(random: &mut Random, m: usize, n: usize) -> [Vec<T>; 2] {
    let mut full = Vec::new();
    for i in 0..m {
        let a = random.spd::<f64>(n, 10.0);
        full.extend(a.iter().map(|x| T::from_f64(x * scale::<T>(i))));
    }
    let lower = |k: usize| k % (n * n) % n <= k % (n * n) / n;
    let hidden = (0..full.len()).map(|k| if lower(k) { full[k] } else { T::NAN }).collect();
    [full, hidden]
}

fn matrices<T: Real>(x: &[T], n: usize) -> impl Iterator<Item = Matrix> + '_ {
    x.chunks_exact((n * n).max(1)).map(move |x| Matrix::new(n, n, to_f64(x)))
}

fn cholesky<T: Real>() {
    let mut random = Random::new(41);
    for n in ORDERS {
        for &m in counts(n) {
            let [full, hidden] = definite::<T>(&mut random, m, n);
            let mut l = hidden.clone();
            let need = factor::cholesky_batch_workspace_len(n);
            let done =
                factor::cholesky_batch(mat_mut(&mut l, m, n * n), n, T::ZERO, &mut nans(need));
            done.unwrap_or_else(|e| panic!("{m} of order {n}: {e}"));
            for (i, (l, a)) in matrices(&l, n).zip(matrices(&full, n)).enumerate() {
                let lower = Matrix::from_fn(n, n, |r, c| if c <= r { l.at(r, c) } else { 0.0 });
                // the square of the scale leaves f32, so the product is formed in f64
                let product: Vec<f64> = lower.times(&lower.t()).data;
                let unit = |x: &[f64]| x.iter().map(|x| x / scale::<T>(i)).collect::<Vec<_>>();
                let label = format!("L Lᵀ, {i} of {m}, order {n}");
                let (got, want) = (cast::<T>(&unit(&product)), unit(&a.data));
                assert_close(&label, &got, &want, "cholesky", Identity, n);
            }
            let above = l.iter().zip(&hidden).filter(|(_, a)| !a.is_finite());
            assert!(above.map(|(l, _)| l).all(|l| !l.is_finite()), "written above the diagonal");

            // packed triangles hold the same numbers
            let pack = |x: &[T]| -> Vec<T> {
                let rows = x.chunks_exact(n.max(1)).enumerate();
                rows.flat_map(|(i, row)| row[..=i % n].to_vec()).collect()
            };
            let (len, mut packed) = (n * (n + 1) / 2, pack(&full));
            let view = mat_mut(&mut packed, m, len);
            factor::packed_cholesky_batch(view, n, T::ZERO, &mut nans(need)).unwrap();
            assert_bits_equal("packed", &packed, &pack(&l));
        }
    }
}

/// What a batch refuses: the first bad matrix, as if they were factored one after the other.
fn refusals<T: Real>() {
    let mut random = Random::new(42);
    for n in [2, 7, 16, INTERLEAVED_ORDER + 1] {
        let m = 21;
        let [full, _] = definite::<T>(&mut random, m, n);
        let one = n * n;
        let need = factor::cholesky_batch_workspace_len(n);
        let factored = |a: &[T], damping: T| {
            let mut a = a.to_vec();
            factor::cholesky_batch(mat_mut(&mut a, m, one), n, damping, &mut nans(need))
        };
        let mut a = full.clone();
        // matrix 9 fails at its last pivot, matrix 11 at its first
        a[9 * one + one - 1] = T::ZERO;
        a[11 * one] = -T::ONE;
        let first = Error::NotPositiveDefinite { block: 9, pivot: n - 1 };
        assert_eq!(factored(&a, T::ZERO), Err(first), "order {n}");
        for bad in [T::NAN, T::INFINITY, -T::INFINITY] {
            for (i, j) in [(0, 0), (1, 0), (n - 1, n - 1), (n - 1, 0)] {
                let mut b = a.clone();
                let index = 4 * one + i * n + j;
                b[index] = bad;
                let refused = factored(&b, T::ZERO);
                let named = matches!(refused, Err(Error::NonFinite { index: k, .. }) if k == index);
                assert!(named, "order {n}, {bad} at {i}, {j}: {refused:?}");
                let (mut values, work) = (nans::<T>(m * n), factor::eigh_batch_workspace_len(n));
                let refused = factor::eigh_batch(
                    mat_mut(&mut b, m, one),
                    mat_mut(&mut values, m, n),
                    n,
                    &mut nans(work),
                );
                let named = matches!(refused, Err(Error::NonFinite { index: k, .. }) if k == index);
                assert!(named, "order {n}, {bad} at {i}, {j}: {refused:?}");
            }
        }
        let singular = vec![T::ONE; m * one];
        let first = Error::NotPositiveDefinite { block: 0, pivot: 1 };
        assert_eq!(factored(&singular, T::ZERO), Err(first));
        assert_eq!(factored(&singular, T::ONE), Ok(()));
        for damping in [-T::ONE, T::NAN] {
            assert!(matches!(factored(&full, damping), Err(Error::Parameter { .. })));
        }
        let mut b = full.clone();
        if need > 0 {
            let work = &mut nans(need - 1);
            let short = factor::cholesky_batch(mat_mut(&mut b, m, one), n, T::ZERO, work);
            assert_eq!(short, Err(Error::Workspace { needed: need, found: need - 1 }));
        }
        let shape = factor::cholesky_batch(mat_mut(&mut b, m, one), n + 1, T::ZERO, &mut []);
        assert!(matches!(shape, Err(Error::Shape { .. })));
    }
}

/// Residual, orthogonality and order of one decomposition, in units of `size`.
fn check_eigen<T: Real>(label: &str, a: &Matrix, u: &Matrix, values: &[f64], size: f64) {
    let n = values.len();
    assert!(values.is_sorted(), "{label}: ascending");
    let d: Vec<f64> = values.iter().map(|x| x / size).collect();
    let product = u.times(&Matrix::diagonal(&d)).times(&u.t());
    let want: Vec<f64> = a.data.iter().map(|x| x / size).collect();
    let close = |what: &str, got: &Matrix, want: &[f64]| {
        let label = format!("{label}: {what}");
        // the 1 is the size that errors are relative to
        let with_one = |x: &[f64]| x.iter().copied().chain([1.0]).collect::<Vec<f64>>();
        let (got, want) = (cast::<T>(&with_one(&got.data)), with_one(want));
        assert_close(&label, &got, &want, "eigh", Identity, n);
    };
    close("U D Uᵀ", &product, &want);
    close("UᵀU", &u.t().times(u), &Matrix::identity(n).data);
}

/// Matrices of every kind, so that the lanes of a group take different ways.
fn kinds<T: Real>(random: &mut Random, n: usize) -> Vec<(Vec<T>, f64)> {
    let sized = |m: &[f64], s: f64| (m.iter().map(|x| T::from_f64(x * s)).collect::<Vec<T>>(), s);
    let mut out = Vec::new();
    for i in 0..5 {
        out.push(sized(&random.spd::<f64>(n, 1e6), scale::<T>(i)));
        let b = Matrix::new(n, n, random.normals::<f64>(n * n));
        out.push(sized(&b.plus(1.0, &b.t()).data, scale::<T>(i)));
    }
    let graded = |i: usize| 10.0_f64.powf(-12.0 * i as f64 / n.max(1) as f64);
    let shapes: [&dyn Fn(usize, usize) -> f64; 8] = [
        &|_, _| 0.0,
        &|_, _| 1.0,
        &|i, j| f64::from(u8::from(i == j)),
        &|i, j| f64::from(u8::from(i.abs_diff(j) == 1)),
        &|i, j| f64::from(u8::from(i / 3 == j / 3)),
        &|i, j| (graded(i) * graded(j)).sqrt() * if i == j { 2.0 } else { 1.0 },
        &|i, j| (graded(n - i) * graded(n - j)).sqrt() * if i == j { 2.0 } else { 1.0 },
        // couplings across the middle
        &|i, j| {
            if i == j {
                i as f64 - 3.0
            } else if i + j == n {
                0.5
            } else {
                0.0
            }
        },
    ];
    for f in shapes {
        out.push(sized(&Matrix::from_fn(n, n, f).data, 1.0));
    }
    // the smallest numbers that there are
    let least = T::MIN_POSITIVE.to_f64() * T::EPSILON.to_f64();
    out.push(sized(&Matrix::identity(n).data, least));
    out
}

fn eigen<T: Real>() {
    let mut random = Random::new(43);
    for n in ORDERS {
        let kinds = kinds::<T>(&mut random, n);
        let (m, group) = (kinds.len(), group_len::<T>());
        assert!(m > group && m % group != 0, "a group and a part of one");
        let all: Vec<T> = kinds.iter().flat_map(|(a, _)| a.clone()).collect();
        let run = |all: &[T], m: usize| {
            let (mut u, mut values) = (all.to_vec(), nans::<T>(m * n));
            for (k, x) in u.iter_mut().enumerate() {
                if k % (n * n) % n > k % (n * n) / n {
                    *x = T::NAN;
                }
            }
            let mut work = nans(factor::eigh_batch_workspace_len(n));
            let (a, v) = (mat_mut(&mut u, m, n * n), mat_mut(&mut values, m, n));
            factor::eigh_batch(a, v, n, &mut work).unwrap();
            (u, values)
        };
        let (u, values) = run(&all, m);
        for (i, (a, size)) in kinds.iter().enumerate() {
            let label = format!("matrix {i} of order {n}");
            let (one, v) = (n * n, to_f64(&values[i * n..(i + 1) * n]));
            let dense = Matrix::new(n, n, to_f64(a));
            let vectors = Matrix::new(n, n, to_f64(&u[i * one..(i + 1) * one]));
            let size = dense.max_abs().max(*size);
            check_eigen::<T>(&label, &dense, &vectors, &v, size);
            if n <= 33 {
                let unit = |x: &[f64]| {
                    let with_one = x.iter().map(|x| x / size).chain([1.0]);
                    with_one.collect::<Vec<f64>>()
                };
                // divided: the reciprocal of the smallest number is infinite
                let scaled = dense.data.iter().map(|x| x / size).collect();
                let want = Matrix::new(n, n, scaled).eigh().0;
                let want: Vec<f64> = want.into_iter().chain([1.0]).collect();
                assert_close(&label, &cast::<T>(&unit(&v)), &want, "eigh", Dense, n);
            }
            // neither the lane nor the company changes a bit
            let (alone, alone_values) = run(a, 1);
            assert_bits_equal(&label, &alone, &u[i * one..(i + 1) * one]);
            assert_bits_equal(&label, &alone_values, &values[i * n..(i + 1) * n]);
        }
    }
}

/// The executor, on any number of threads, gives the bits of the sequential backend where matrices
/// are interleaved, and correct factors above.
fn executor<T: Scalar>() {
    let mut random = Random::new(44);
    for (m, n) in [(0, 3), (3, 0), (1, 1), (70, 5), (150, 16), (37, 33), (17, 64), (3, 131)] {
        let [_, hidden] = definite::<T>(&mut random, m, n);
        let run = |backend: &dyn Backend<T>| {
            let (mut l, mut u, mut values) = (hidden.clone(), hidden.clone(), nans::<T>(m * n));
            let mut work = nans::<T>(
                factor::cholesky_batch_workspace_len(n).max(factor::eigh_batch_workspace_len(n)),
            );
            backend.cholesky_batch(mat_mut(&mut l, m, n * n), n, T::ZERO, &mut work).unwrap();
            let (a, v) = (mat_mut(&mut u, m, n * n), mat_mut(&mut values, m, n));
            backend.eigh_batch(a, v, n, &mut work).unwrap();
            [l, u, values]
        };
        let want = run(&Portable);
        let one = run(&Cpu::new(Some(1)).unwrap());
        for threads in 2..4 {
            let got = run(&Cpu::new(Some(threads)).unwrap());
            for (got, one) in got.iter().zip(&one) {
                assert_bits_equal(&format!("{m} of order {n}, {threads} threads"), got, one);
            }
        }
        if n <= INTERLEAVED_ORDER {
            for (one, want) in one.iter().zip(&want) {
                assert_bits_equal(&format!("{m} of order {n}, sequential"), one, want);
            }
            continue;
        }
        for i in 0..m {
            let at = |x: &[T], len: usize| to_f64(&x[i * len..(i + 1) * len]);
            let (got, values) = (at(&one[2], n), at(&want[2], n));
            let size = scale::<T>(i);
            let unit = |x: &[f64]| x.iter().map(|x| x / size).collect::<Vec<_>>();
            let (got, values) = (cast::<T>(&unit(&got)), unit(&values));
            assert_close(&format!("eigenvalues {i}"), &got, &values, "eigh", Dense, n);
            let lower = |x: &[f64]| -> Vec<f64> {
                let kept = (0..n * n).filter(|k| k % n <= k / n);
                kept.map(|k| x[k] / size.sqrt()).collect()
            };
            let (got, factor) = (lower(&at(&one[0], n * n)), lower(&at(&want[0], n * n)));
            assert_close("factor", &cast::<T>(&got), &factor, "cholesky_solve", Dense, n);
        }
    }
    let mut bad = vec![T::ONE; 40 * 9];
    bad[35 * 9] = T::NAN;
    for threads in 1..4 {
        let cpu = Cpu::new(Some(threads)).unwrap();
        let got = cpu.cholesky_batch(mat_mut(&mut bad.clone(), 40, 9), 3, T::ONE, &mut []);
        assert!(matches!(got, Err(Error::NonFinite { index: 315, .. })), "{got:?}");
        let mut b = bad.clone();
        let got = cpu.cholesky_batch(mat_mut(&mut b[18..], 38, 9), 3, T::ZERO, &mut []);
        assert_eq!(got, Err(Error::NotPositiveDefinite { block: 0, pivot: 1 }));
        let mut values = nans::<T>(120);
        let (a, v) = (mat_mut(&mut b, 40, 9), mat_mut(&mut values, 40, 3));
        let got = cpu.eigh_batch(a, v, 3, &mut []);
        assert!(matches!(got, Err(Error::NonFinite { .. })), "{got:?}");
    }
}

/// Every way to transpose gives the bits of the element-wise one.
fn transpositions<T: Scalar>() {
    let square: [[T; 4]; 4] =
        core::array::from_fn(|i| core::array::from_fn(|j| T::from_usize(10 * i + j)));
    let want: [[T; 4]; 4] = core::array::from_fn(|i| core::array::from_fn(|j| square[j][i]));
    assert_eq!(Elements::transpose(square), want);
    assert_eq!(T::Squares::transpose(square), want);
    let [full, _] = definite::<T>(&mut Random::new(45), 19, 9);
    let (len, n) = (factor::eigh_batch_workspace_len(9), 9);
    let both = |by_elements: bool| {
        let (mut l, mut u, mut p) = (full.clone(), full.clone(), full[..19 * 45].to_vec());
        // packed: diagonally dominant whatever it holds
        for (k, x) in p.iter_mut().enumerate() {
            let on_diagonal = (0..n).any(|i| i * (i + 3) / 2 == k % 45);
            *x = if on_diagonal { T::ONE } else { T::from_f64(0.01) };
        }
        let (mut values, mut work) = (nans::<T>(19 * n), nans::<T>(len));
        let (a, b) = (mat_mut(&mut l, 19, 81), mat_mut(&mut u, 19, 81));
        let (v, c) = (mat_mut(&mut values, 19, n), mat_mut(&mut p, 19, 45));
        if by_elements {
            cholesky_batch_by::<T, Elements>(a, n, T::ZERO, &mut work).unwrap();
            eigh_batch_by::<T, Elements>(b, v, n, &mut work).unwrap();
            packed_cholesky_batch_by::<T, Elements>(c, n, T::ZERO, &mut work).unwrap();
        } else {
            cholesky_batch_by::<T, T::Squares>(a, n, T::ZERO, &mut work).unwrap();
            eigh_batch_by::<T, T::Squares>(b, v, n, &mut work).unwrap();
            packed_cholesky_batch_by::<T, T::Squares>(c, n, T::ZERO, &mut work).unwrap();
        }
        [l, u, values, p].concat()
    };
    assert_bits_equal("both ways", &both(true), &both(false));
}

/// A machine that moves rows of four matrices by plain loops, if they are shorter than 24 elements.
struct Plainly;

impl<T: Copy> Transpose<T> for Plainly {
    const TOGETHER: usize = 4;

    fn transpose(rows: [[T; 4]; 4]) -> [[T; 4]; 4] {
        Elements::transpose(rows)
    }

    fn load_rows<const L: usize>(
        vectors: &mut [[T; L]],
        part: usize,
        data: &[T],
        stride: usize,
    ) -> bool {
        let width = vectors.len();
        assert!(width.is_multiple_of(4) && part < L / 4, "{width} vectors, part {part} of {L}");
        if width > 24 || 3 * stride + width > data.len() {
            return false;
        }
        for (c, vector) in vectors.iter_mut().enumerate() {
            for k in 0..4 {
                vector[4 * part + k] = data[k * stride + c];
            }
        }
        true
    }

    fn store_rows<const L: usize>(
        data: &mut [T],
        stride: usize,
        vectors: &[[T; L]],
        [part, len]: [usize; 2],
    ) -> bool {
        assert!(len <= vectors.len() && vectors.len() < len + 4, "{len} of {}", vectors.len());
        if len > 20 || 3 * stride + len > data.len() {
            return false;
        }
        for (c, vector) in vectors.iter().take(len).enumerate() {
            for k in 0..4 {
                data[k * stride + c] = vector[4 * part + k];
            }
        }
        true
    }
}

/// A machine's own way for some rows of some groups changes no bit, within the matrices or beside.
fn whole_rows<T: Scalar>() {
    let mut random = Random::new(45);
    for n in ORDERS.into_iter().filter(|n| *n <= 33) {
        for m in [7, 16, 35] {
            let [full, hidden] = definite::<T>(&mut random, m, n);
            let (len, pack) = (n * (n + 1) / 2, |k: &usize| n > 0 && k % n <= k / n % n);
            let packed: Vec<T> = (0..full.len()).filter(pack).map(|k| full[k]).collect();
            let run = |plainly: bool| {
                let (mut l, mut u, mut p) = (hidden.clone(), hidden.clone(), packed.clone());
                let mut values = nans::<T>(m * n);
                let mut work = nans::<T>(
                    factor::cholesky_batch_workspace_len(n)
                        .max(factor::eigh_batch_workspace_len(n)),
                );
                let (a, b) = (mat_mut(&mut l, m, n * n), mat_mut(&mut u, m, n * n));
                let (c, v) = (mat_mut(&mut p, m, len), mat_mut(&mut values, m, n));
                if plainly {
                    cholesky_batch_by::<T, Plainly>(a, n, T::ZERO, &mut work).unwrap();
                    eigh_batch_by::<T, Plainly>(b, v, n, &mut work).unwrap();
                    packed_cholesky_batch_by::<T, Plainly>(c, n, T::ZERO, &mut work).unwrap();
                } else {
                    cholesky_batch_by::<T, Elements>(a, n, T::ZERO, &mut work).unwrap();
                    eigh_batch_by::<T, Elements>(b, v, n, &mut work).unwrap();
                    packed_cholesky_batch_by::<T, Elements>(c, n, T::ZERO, &mut work).unwrap();
                }
                [l, u, p, values]
            };
            for (got, want) in run(true).iter().zip(&run(false)) {
                assert_bits_equal(&format!("{m} of order {n}"), got, want);
            }
        }
    }
    // what the element-wise machine says
    let (mut vectors, mut data) = ([[T::ZERO; 8]; 4], [T::ONE; 64]);
    assert_eq!(<Elements as Transpose<T>>::TOGETHER, 0);
    assert!(!Elements::load_rows(&mut vectors, 0, &data, 8));
    assert!(!Elements::store_rows(&mut data, 8, &vectors, [0, 4]));
    assert_eq!((vectors, data), ([[T::ZERO; 8]; 4], [T::ONE; 64]));
}

both_dtypes!(whole_rows, cholesky, refusals, eigen, executor, transpositions);
