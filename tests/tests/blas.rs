//! Dense products against naive sums in f64.

use relfisher_core::blas::{self, PackedForm};
use relfisher_core::{Error, MatMut, MatRef, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_bits_equal, assert_close, assert_symmetric, to_f64};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::Oracle::Dense;

const SIZES: [usize; 8] = [0, 1, 2, 5, 16, 17, 33, 67];

/// The storage of a matrix that an input view can have.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Rows,
    Columns,
    Padded,
    Scattered,
}

const LAYOUTS: [Layout; 4] = [Layout::Rows, Layout::Columns, Layout::Padded, Layout::Scattered];

/// Strides and length.
fn strides(layout: Layout, rows: usize, cols: usize) -> (usize, usize, usize) {
    match layout {
        Layout::Rows => (cols, 1, rows * cols),
        Layout::Columns => (1, rows, rows * cols),
        Layout::Padded => (cols + 3, 1, rows * (cols + 3)),
        Layout::Scattered => (2 * cols + 1, 2, rows * (2 * cols + 1) + 1),
    }
}

/// Stores a dense matrix in a layout, NaN between its elements.
fn stored<T: Real>(m: &Matrix, layout: Layout) -> Vec<T> {
    let (rs, cs, len) = strides(layout, m.rows, m.cols);
    let mut data = nans::<T>(len);
    for i in 0..m.rows {
        for j in 0..m.cols {
            data[i * rs + j * cs] = T::from_f64(m.at(i, j));
        }
    }
    data
}

fn random_matrix<T: Real>(random: &mut Random, rows: usize, cols: usize) -> Matrix {
    Matrix::new(rows, cols, to_f64(&random.normals::<T>(rows * cols)))
}

fn gemm_all_layouts<T: Real>() {
    let mut random = Random::new(1);
    let mut case = 0;
    for p in SIZES {
        for k in [0, 1, 3, 64, 65, 130] {
            for q in SIZES {
                let (a, b) =
                    (random_matrix::<T>(&mut random, p, k), random_matrix::<T>(&mut random, k, q));
                let old = random_matrix::<T>(&mut random, p, q);
                let (la, lb) = (LAYOUTS[case % 4], LAYOUTS[case / 4 % 4]);
                let lc = LAYOUTS[case / 16 % 3];
                case += 1;
                let (da, db) = (stored::<T>(&a, la), stored::<T>(&b, lb));
                let (sa, sb, sc) = (strides(la, p, k), strides(lb, k, q), strides(lc, p, q));
                for (alpha, beta) in [(1.0, 0.0), (-0.5, 0.0), (2.0, 1.0), (1.0, -0.25)] {
                    let mut c = if beta == 0.0 { nans(sc.2) } else { stored::<T>(&old, lc) };
                    blas::gemm(
                        MatMut::with_strides(&mut c, p, q, sc.0, sc.1).unwrap(),
                        T::from_f64(beta),
                        T::from_f64(alpha),
                        MatRef::with_strides(&da, p, k, sa.0, sa.1).unwrap(),
                        MatRef::with_strides(&db, k, q, sb.0, sb.1).unwrap(),
                    )
                    .unwrap();
                    let mut want =
                        if p * q == 0 { Matrix::zeros(p, q) } else { a.times(&b).scaled(alpha) };
                    if beta != 0.0 {
                        want = want.plus(beta, &old);
                    }
                    let view = MatRef::with_strides(&c, p, q, sc.0, sc.1).unwrap();
                    let got: Vec<T> =
                        (0..p * q).map(|x| view.at(x / q.max(1), x % q.max(1))).collect();
                    // the scale of the error is that of the terms, not of a sum that cancels
                    let scale = (k.max(1) as f64).sqrt() + old.max_abs();
                    let shift = |x: f64| x / scale;
                    let got: Vec<T> = got.iter().map(|x| T::from_f64(shift(x.to_f64()))).collect();
                    let mut want: Vec<f64> = want.data.iter().map(|x| shift(*x)).collect();
                    let mut got = got;
                    got.push(T::ONE);
                    want.push(1.0);
                    assert_close(
                        &format!("gemm {p}×{k}×{q} {la:?} {lb:?} {lc:?} α {alpha} β {beta}"),
                        &got,
                        &want,
                        "gemm",
                        Dense,
                        k + 8,
                    );
                    // nothing outside the shape is written
                    if matches!(lc, Layout::Padded) && q > 0 {
                        for i in 0..p {
                            assert!(
                                c[i * sc.0 + q..(i + 1) * sc.0].iter().all(|x| x.to_f64().is_nan())
                            );
                        }
                    }
                }
            }
        }
    }
}

fn gemm_refuses<T: Real>() {
    let data = vec![T::ONE; 64];
    let m = |r, c| mat(&data, r, c);
    let mut c = nans::<T>(64);
    let shape = |e: Result<(), Error>| assert!(matches!(e, Err(Error::Shape { .. })), "{e:?}");
    shape(blas::gemm(mat_mut(&mut c, 2, 2), T::ZERO, T::ONE, m(3, 2), m(2, 2)));
    shape(blas::gemm(mat_mut(&mut c, 2, 2), T::ZERO, T::ONE, m(2, 3), m(2, 2)));
    shape(blas::gemm(mat_mut(&mut c, 2, 2), T::ZERO, T::ONE, m(2, 2), m(2, 3)));
    assert!(c.iter().all(|x| x.to_f64().is_nan()), "an error must not write");
    let view = MatMut::with_strides(&mut c, 3, 3, 10, 2).unwrap();
    let refused = blas::gemm(view, T::ZERO, T::ONE, m(3, 3), m(3, 3));
    assert!(matches!(refused, Err(Error::Layout { .. })));
}

fn grams<T: Real>() {
    let mut random = Random::new(2);
    for (n, d) in [(0, 3), (1, 1), (4, 0), (3, 5), (64, 16), (65, 17), (130, 50), (7, 81)] {
        let x = random_matrix::<T>(&mut random, n, d);
        let w = random.normals::<T>(n);
        let base = random_matrix::<T>(&mut random, d, d);
        let old = base.plus(1.0, &base.t());
        let old = Matrix::new(d, d, old.data.iter().map(|v| T::from_f64(*v).to_f64()).collect());
        let (dx, lx) = (stored::<T>(&x, Layout::Padded), strides(Layout::Padded, n, d));
        for weights in [None, Some(&w[..])] {
            for (alpha, beta) in [(1.0, 0.0), (0.5, 0.0), (2.0, -0.5)] {
                let mut c = if beta == 0.0 { nans(d * d) } else { stored::<T>(&old, Layout::Rows) };
                let mut work = nans(blas::gram_workspace_len(n, d));
                let x_view = MatRef::with_strides(&dx, n, d, lx.0, lx.1).unwrap();
                let (b, a) = (T::from_f64(beta), T::from_f64(alpha));
                blas::gram(mat_mut(&mut c, d, d), b, a, x_view, weights, &mut work).unwrap();
                let weight = |s: usize| weights.map_or(1.0, |w| w[s].to_f64());
                let mut want = Matrix::from_fn(d, d, |i, j| {
                    alpha * (0..n).map(|s| weight(s) * x.at(s, i) * x.at(s, j)).sum::<f64>()
                });
                if beta != 0.0 {
                    want = want.plus(beta, &old);
                }
                assert_close(&format!("gram {n}×{d}"), &c, &want.data, "gram", Dense, n + 8);
                assert_symmetric("gram", &c, d);
            }
        }
    }
    let x = vec![T::ONE; 6];
    let mut c = nans::<T>(9);
    let short =
        blas::gram(mat_mut(&mut c, 3, 3), T::ZERO, T::ONE, mat(&x, 2, 3), Some(&x[..1]), &mut []);
    assert!(matches!(short, Err(Error::Shape { .. })));
    let wrong = blas::gram(mat_mut(&mut c, 2, 2), T::ZERO, T::ONE, mat(&x, 2, 3), None, &mut []);
    assert!(matches!(wrong, Err(Error::Shape { .. })));
}

fn packed_forms<T: Real>() {
    let mut random = Random::new(3);
    let shapes = [
        (0, 2, 3),
        (1, 1, 1),
        (3, 0, 4),
        (3, 4, 0),
        (5, 3, 2),
        (70, 5, 9),
        (64, 17, 33),
        (20, 2, 81),
        (130, 3, 40),
    ];
    for (n, m, d) in shapes {
        let x = random.normals::<T>(n * d);
        let nu = random.uniforms::<T>(n * m, 0.0, 1.0);
        let pairs = d * (d + 1) / 2;
        let old = random.normals::<T>(m * pairs);
        for form in [PackedForm::PairProducts, PackedForm::PerNeuron, PackedForm::Automatic] {
            for (alpha, beta) in [(1.0, 0.0), (0.25, 0.0), (1.0, 0.5)] {
                let mut want = Vec::new();
                for i in 0..m {
                    for a in 0..d {
                        for b in 0..=a {
                            let sum: f64 = (0..n)
                                .map(|s| {
                                    nu[s * m + i].to_f64()
                                        * x[s * d + a].to_f64()
                                        * x[s * d + b].to_f64()
                                })
                                .sum();
                            let previous =
                                if beta == 0.0 { 0.0 } else { beta * old[want.len()].to_f64() };
                            want.push(alpha * sum + previous);
                        }
                    }
                }
                let run = || {
                    let mut out = if beta == 0.0 { nans(m * pairs) } else { old.clone() };
                    blas::packed_grams_by(
                        mat_mut(&mut out, m, pairs),
                        T::from_f64(beta),
                        T::from_f64(alpha),
                        mat(&x, n, d),
                        mat(&nu, n, m),
                        form,
                    )
                    .unwrap();
                    out
                };
                let out = run();
                assert_close(
                    &format!("{form:?} {n} {m} {d}"),
                    &out,
                    &want,
                    "packed_grams",
                    Dense,
                    n + 8,
                );
                assert_bits_equal("packed_grams again", &out, &run());
            }
        }
        let blocks = random.normals::<T>(m * pairs);
        let v = random.normals::<T>(m * d);
        let mut out = nans::<T>(m * d);
        blas::packed_symv(mat_mut(&mut out, m, d), mat(&blocks, m, pairs), mat(&v, m, d)).unwrap();
        let want: Vec<f64> = (0..m)
            .flat_map(|i| {
                let block = Matrix::unpacked(&to_f64(&blocks[i * pairs..(i + 1) * pairs]), d);
                block.apply(&to_f64(&v[i * d..(i + 1) * d]))
            })
            .collect();
        assert_close(&format!("packed_symv {m} {d}"), &out, &want, "packed_symv", Dense, d + 8);
    }
    let mut out = nans::<T>(5);
    let x = vec![T::ONE; 6];
    let refused = blas::packed_grams(
        mat_mut(&mut out, 1, 5),
        T::ZERO,
        T::ONE,
        mat(&x, 2, 3),
        mat(&x, 2, 1),
        &mut [],
    );
    assert!(matches!(refused, Err(Error::Shape { .. })));
    let refused = blas::packed_symv(mat_mut(&mut out, 1, 3), mat(&x, 1, 5), mat(&x, 1, 3));
    assert!(matches!(refused, Err(Error::Shape { .. })));
}

fn extreme_scales<T: Real>() {
    // 2^±40 in f32 and 2^±400 in f64: products stay in range, squares of squares do not
    let exponent = if T::EPSILON.to_f64() > 1e-10 { 40.0 } else { 400.0 };
    let mut random = Random::new(4);
    for scale in [2.0_f64.powf(exponent), 2.0_f64.powf(-exponent)] {
        let unit = random.normals::<T>(20 * 21);
        let x: Vec<T> = unit.iter().map(|v| *v * T::from_f64(scale)).collect();
        let (mut got, mut want) = (nans::<T>(21 * 21), nans::<T>(21 * 21));
        blas::gram(mat_mut(&mut got, 21, 21), T::ZERO, T::ONE, mat(&x, 20, 21), None, &mut [])
            .unwrap();
        blas::gram(mat_mut(&mut want, 21, 21), T::ZERO, T::ONE, mat(&unit, 20, 21), None, &mut [])
            .unwrap();
        let back = T::from_f64(1.0 / scale);
        let got: Vec<T> = got.iter().map(|v| *v * back * back).collect();
        assert_bits_equal("powers of two commute with the product", &got, &want);
    }
}

fn vectors<T: Real>() {
    let mut random = Random::new(5);
    for n in [0, 1, 7, 8, 31, 32, 33, 100, 1000] {
        let (x, y) = (random.normals::<T>(n), random.normals::<T>(n));
        let want: f64 = x.iter().zip(&y).map(|(a, b)| a.to_f64() * b.to_f64()).sum();
        let size: f64 = x.iter().zip(&y).map(|(a, b)| (a.to_f64() * b.to_f64()).abs()).sum();
        let got = [blas::vector::dot(&x, &y), T::from_f64(size.max(1.0))];
        assert_close("dot", &got, &[want, size.max(1.0)], "gemm", Dense, n);
        assert!(blas::vector::all_finite(&x));
        for bad in [T::NAN, T::INFINITY, -T::INFINITY] {
            for place in [0, n / 2, n.saturating_sub(1)] {
                let mut x = x.clone();
                if let Some(slot) = x.get_mut(place) {
                    *slot = bad;
                    assert!(!blas::vector::all_finite(&x), "{bad} at {place} of {n}");
                }
            }
        }
    }
}

both_dtypes!(gemm_all_layouts, gemm_refuses, grams, packed_forms, extreme_scales, vectors,);
