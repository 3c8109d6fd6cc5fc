//! Views and vectors: strides, transposes, bounds, and the small loops on slices.

use relfisher_core::blas::vector;
use relfisher_core::{Error, MatMut, MatRef, Real, factor};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, to_f64};
use relfisher_tests::random::Random;
use relfisher_tests::tolerance::Oracle;

#[test]
fn reading() {
    let data: Vec<f64> = (0..24).map(f64::from).collect();
    // Rows 8 apart, columns 2 apart.
    let a = MatRef::with_strides(&data, 3, 4, 8, 2).expect("a view");
    assert_eq!((a.row_stride(), a.col_stride(), a.rows_contiguous()), (8, 2, false));
    for i in 0..3 {
        for j in 0..4 {
            let k = (8 * i + 2 * j) as f64;
            assert_eq!((a.at(i, j), a.t().at(j, i)), (k, k));
        }
    }
    assert!(a.at(3, 0).is_nan() && a.at(0, 4).is_nan() && a.row(0).is_empty());
    let b = a.sub(1, 2, 2, 2).expect("a block");
    assert_eq!((b.at(0, 0), b.at(1, 1)), (12.0, 22.0));
    assert!(a.sub(2, 0, 2, 1).is_err() && a.sub(0, usize::MAX, 1, 2).is_err());
    assert_eq!(a.sub(3, 4, 0, 0).map(|e| (e.rows(), e.cols())), Ok((0, 0)));
    let c = MatRef::new(&data, 4, 6).expect("a matrix");
    assert_eq!((c.row(1), c.data().len()), (&data[6..12], 24));
    assert!(c.row(4).is_empty() && c.t().row(0).is_empty());
}

#[test]
fn shapes_that_do_not_fit() {
    let data = [0.0f32; 6];
    let huge = usize::MAX;
    for (rows, cols, down, across) in [
        (2, 4, 4, 1),
        (3, 2, 3, 1),
        (huge, huge, 1, 1),
        (huge, 2, huge, 1),
        (2, 2, huge, huge),
        (2, 2, huge - 1, 1),
    ] {
        let view = MatRef::with_strides(&data, rows, cols, down, across);
        assert!(matches!(view, Err(Error::Layout { .. })), "{rows} {cols} {down} {across}");
    }
    assert!(MatRef::new(&data, huge, huge).is_err());
    assert!(MatRef::new(&data, huge, 0).is_ok() && MatRef::new(&data, 0, huge).is_ok());
    // A reader may repeat a row, a writer may not.
    assert!(MatRef::with_strides(&data, 5, 6, 0, 1).is_ok());
    let mut data = [0.0f32; 12];
    for (rows, cols, down, across) in
        [(2, 3, 0, 1), (2, 3, 2, 1), (3, 2, 1, 1), (3, 3, 2, 2), (2, 2, 0, 0), (2, 1, 0, 1)]
    {
        let view = MatMut::with_strides(&mut data, rows, cols, down, across);
        assert!(view.is_err(), "{rows} {cols} {down} {across}");
    }
    assert!(MatMut::with_strides(&mut data, 3, 4, 4, 1).is_ok());
    assert!(MatMut::with_strides(&mut data, 3, 4, 1, 3).is_ok());
    assert!(MatMut::with_strides(&mut data, 1, 4, 0, 3).is_ok());
}

#[test]
fn writing() {
    let mut data = vec![f64::NAN; 12];
    let mut a = MatMut::new(&mut data, 3, 4).expect("a matrix");
    a.fill(1.0);
    a.set(1, 2, 5.0);
    a.set(3, 0, 9.0);
    a.set(0, 4, 9.0);
    a.row_mut(2)[3] = 7.0;
    assert!(a.row_mut(3).is_empty());
    assert_eq!((a.at(1, 2), a.row(2)[3], a.rb().t().at(2, 1)), (5.0, 7.0, 5.0));
    assert_eq!((a.rows_contiguous(), a.row_stride(), a.col_stride()), (true, 4, 1));
    a.rb_mut().t().set(0, 2, 3.0);
    a.data_mut()[0] = 2.0;
    let a = a.into_ref();
    assert_eq!((a.at(2, 0), a.at(0, 0)), (3.0, 2.0));
    assert_eq!(data.iter().filter(|x| **x == 1.0).count(), 8);
}

#[test]
fn finite_check_names_the_place() {
    let mut data = vec![1.0f32; 6];
    assert_eq!(MatRef::new(&data, 2, 3).expect("a matrix").check_finite("x"), Ok(()));
    data[4] = f32::INFINITY;
    let a = MatRef::new(&data, 2, 3).expect("a matrix");
    assert_eq!(a.check_finite("x"), Err(Error::NonFinite { what: "x", index: 4 }));
    // Transposed, the same element is (1, 1) of 3 × 2.
    assert_eq!(a.t().check_finite("x"), Err(Error::NonFinite { what: "x", index: 3 }));
}

fn vectors<T: Real>() {
    let mut random = Random::new(1);
    for len in [0usize, 1, 2, 15, 16, 17, 100, 1000] {
        let (x, y): (Vec<T>, Vec<T>) = (random.normals(len), random.normals(len));
        let (p, q) = (to_f64(&x), to_f64(&y));
        let size: f64 = p.iter().zip(&q).map(|(a, b)| (a * b).abs()).sum();
        let dot: f64 = p.iter().zip(&q).map(|(a, b)| a * b).sum();
        let got = [vector::dot(&x, &y), T::from_f64(size)];
        assert_close("dot", &got, &[dot, size], "gemm", Oracle::Dense, len);
        let norm = p.iter().map(|a| a * a).sum::<f64>().sqrt();
        assert_close("nrm2", &[vector::nrm2(&x)], &[norm], "gemm", Oracle::Dense, len);
        let mut z = y.clone();
        vector::axpy(&mut z, T::HALF, &x);
        let want: Vec<f64> = p.iter().zip(&q).map(|(a, b)| b + 0.5 * a).collect();
        assert_close("axpy", &z, &want, "gemm", Oracle::Dense, 1);
        let mut z = x.clone();
        vector::scale(&mut z, T::TWO);
        assert!(z.iter().zip(&x).all(|(a, b)| *a == *b + *b));
        assert!(vector::all_finite(&x));
        for bad in [T::NAN, T::INFINITY, -T::INFINITY] {
            for k in 0..len {
                let mut z = x.clone();
                z[k] = bad;
                assert!(!vector::all_finite(&z), "{bad} at {k} of {len}");
            }
        }
        let mut z = vec![T::NAN; len];
        vector::scale(&mut z, T::ZERO);
        assert!(z.iter().all(|v| *v == T::ZERO), "0 · NaN must overwrite");
    }
    // Large numbers are finite too: their sum is not.
    assert!(vector::all_finite(&[T::MAX; 40]) && vector::all_finite(&[-T::MAX; 40]));
    assert_eq!(T::from_usize(7).copysign(-T::ZERO), -T::from_usize(7));
    let (small, large) = (factor::pivot_tolerance::<T>(1), factor::pivot_tolerance::<T>(100));
    assert!(T::EPSILON <= small && small <= large && large < T::from_f64(1e-3));
}

both_dtypes!(vectors);
