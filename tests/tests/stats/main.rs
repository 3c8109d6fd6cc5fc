//! The core's Lanczos recurrence, tridiagonal eigenproblem and quadrature against dense algebra in
//! f64 and closed forms.

mod lanczos;
mod sample;

use lanczos::{Run, advance, with_spectrum};
use relfisher_core::blas::vector;
use relfisher_core::stats::{Eigenvectors, gaussian_density, lanczos_quadrature, tridiagonal_eigh};
use relfisher_core::{Error, Portable, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_bits_equal, assert_close, cast, to_f64};
use relfisher_tests::oracle::dense::{Matrix, dot};
use relfisher_tests::oracle::double_double::Double;
use relfisher_tests::random::Random;
use relfisher_tests::real::nans;
use relfisher_tests::tolerance::Oracle::{Definition, Dense, HigherPrecision, Identity};

/// The dense tridiagonal matrix.
fn tridiagonal(alpha: &[f64], beta: &[f64]) -> Matrix {
    Matrix::from_fn(alpha.len(), alpha.len(), |i, j| match i.abs_diff(j) {
        0 => alpha[i],
        1 => beta[i.min(j)],
        _ => 0.0,
    })
}

fn tridiagonal_problem<T: Real>() {
    let mut random = Random::new(1);
    for k in [0, 1, 2, 3, 5, 17, 64] {
        for scale in [1.0, 1e-30, 1e30] {
            let scaled = |x: Vec<f64>| x.into_iter().map(|x| x * scale).collect::<Vec<f64>>();
            let alpha: Vec<T> = cast(&scaled(random.normals(k)));
            let beta: Vec<T> = cast(&scaled(random.uniforms(k.saturating_sub(1), 0.5, 1.5)));
            let dense = tridiagonal(&to_f64(&alpha), &to_f64(&beta)).scaled(1.0 / scale);
            let (want, columns) = dense.eigh();
            let want: Vec<f64> = want.iter().map(|v| v * scale).collect();
            let (mut values, mut first, mut all) = (nans::<T>(k), nans::<T>(k), nans::<T>(k * k));
            let solve = |values: &mut [T], vectors: Eigenvectors<'_, T>| {
                tridiagonal_eigh(values, vectors, &alpha, &beta, &mut nans(k)).unwrap();
            };
            let label = format!("{k} × {scale:e}");
            solve(&mut values, Eigenvectors::None);
            assert_close(&label, &values, &want, "tridiagonal", Dense, k);
            let mut again = nans::<T>(k);
            solve(&mut again, Eigenvectors::First(&mut first));
            assert_bits_equal(&label, &again, &values);
            let squares: Vec<T> = first.iter().map(|s| *s * *s).collect();
            let want: Vec<f64> = (0..k).map(|i| columns.at(0, i).powi(2)).collect();
            assert_close(&label, &squares, &want, "tridiagonal first", Dense, k);
            solve(&mut again, Eigenvectors::All(&mut all));
            assert_bits_equal(&label, &again, &values);
            let s = Matrix::new(k, k, to_f64(&all));
            let theta = Matrix::diagonal(&to_f64(&values)).scaled(1.0 / scale);
            let back: Vec<T> = cast(&s.t().times(&theta).times(&s).data);
            assert_close(&label, &back, &dense.data, "tridiagonal", Identity, k);
            let unit: Vec<T> = cast(&s.times(&s.t()).data);
            assert_close(&label, &unit, &Matrix::identity(k).data, "tridiagonal", Identity, k);
        }
    }
}

/// 2 cos(jπ/(k+1)) with first components √(2/(k+1)) sin(jπ/(k+1)); decoupled and zero matrices.
fn tridiagonal_closed_forms<T: Real>() {
    let k = 40;
    let angle = |j: usize| (j + 1) as f64 * std::f64::consts::PI / (k + 1) as f64;
    let (mut values, mut first) = (nans::<T>(k), nans::<T>(k));
    let beta = vec![T::ONE; k - 1];
    let vectors = Eigenvectors::First(&mut first);
    tridiagonal_eigh(&mut values, vectors, &vec![T::ZERO; k], &beta, &mut nans(k)).unwrap();
    let want: Vec<f64> = (0..k).rev().map(|j| 2.0 * angle(j).cos()).collect();
    assert_close("path", &values, &want, "tridiagonal", Dense, k);
    let squares: Vec<T> = first.iter().map(|s| *s * *s).collect();
    let weight = |j: usize| 2.0 / (k + 1) as f64 * angle(j).sin().powi(2);
    let want: Vec<f64> = (0..k).rev().map(weight).collect();
    assert_close("path weights", &squares, &want, "tridiagonal first", Dense, k);

    let (mut values, mut all) = (nans::<T>(4), nans::<T>(16));
    let alpha: Vec<T> = cast(&[3.0, -1.0, 3.0, 0.0]);
    let vectors = Eigenvectors::All(&mut all);
    tridiagonal_eigh(&mut values, vectors, &alpha, &[T::ZERO; 3], &mut nans(4)).unwrap();
    assert_bits_equal("decoupled", &values, &cast::<T>(&[-1.0, 0.0, 3.0, 3.0]));
    assert!(all.iter().all(|x| *x == T::ZERO || x.abs() == T::ONE));
    let zeros = [T::ZERO; 4];
    tridiagonal_eigh(&mut values, Eigenvectors::None, &zeros, &zeros[1..], &mut nans(4)).unwrap();
    assert_bits_equal("zero", &values, &zeros);
}

fn tridiagonal_refusals<T: Real>() {
    let one = [T::ONE; 4];
    let solve = |values: usize, vectors: Eigenvectors<'_, T>, alpha: &[T], beta: &[T], work| {
        tridiagonal_eigh(&mut nans(values), vectors, alpha, beta, &mut nans(work))
    };
    let shape = |r: Result<(), Error>| assert!(matches!(r, Err(Error::Shape { .. })), "{r:?}");
    shape(solve(3, Eigenvectors::None, &one, &one[1..], 4));
    shape(solve(4, Eigenvectors::None, &one, &one, 4));
    shape(solve(4, Eigenvectors::First(&mut nans(3)), &one, &one[1..], 4));
    shape(solve(4, Eigenvectors::All(&mut nans(4)), &one, &one[1..], 4));
    let short = solve(4, Eigenvectors::None, &one, &one[1..], 3);
    assert_eq!(short, Err(Error::Workspace { needed: 4, found: 3 }));
    let bad = [T::ONE, T::NAN, T::ONE];
    for (alpha, beta, index) in [(&bad[..], &one[2..], 1), (&one[1..], &bad[1..], 0)] {
        let refused = solve(3, Eigenvectors::None, alpha, beta, 3);
        assert!(matches!(refused, Err(Error::NonFinite { index: i, .. }) if i == index));
    }
}

/// vᵀ p(A) v for every degree up to 2k − 1.
fn quadrature<T: Real>() {
    let mut random = Random::new(6);
    let (n, k) = (30, 6);
    let values: Vec<f64> = random.uniforms(n, -1.0, 1.0);
    let a = with_spectrum::<T>(&mut random, &values);
    let v = random.normals::<T>(n);
    let mut run = Run::<T>::new(&a, k, &[]);
    let mut lanczos = run.lanczos();
    let step = lanczos.start(&Portable, &v).unwrap();
    advance(&a, &mut lanczos, step);
    let (mut nodes, mut weights) = (nans::<T>(k), nans::<T>(k));
    let (alpha, beta) = (lanczos.alpha(), lanczos.beta());
    lanczos_quadrature(&mut nodes, &mut weights, alpha, &beta[..k - 1], &mut nans(k)).unwrap();
    assert!(weights.iter().all(|w| *w >= T::ZERO) && nodes.is_sorted());
    let (v, mut power) = (to_f64(&v), to_f64(&v));
    for degree in 0..2 * k {
        let want = dot(&v, &power) / dot(&v, &v);
        let got: f64 = to_f64(&nodes)
            .iter()
            .zip(to_f64(&weights))
            .map(|(t, w)| w * t.powi(degree as i32))
            .sum();
        let label = format!("degree {degree}");
        assert_close(&label, &[T::from_f64(got - want)], &[0.0], "quadrature", Dense, n);
        power = a.apply(&power);
    }
    let refused =
        lanczos_quadrature(&mut nodes, &mut weights[..1], alpha, &beta[..k - 1], &mut nans(k));
    assert!(matches!(refused, Err(Error::Shape { .. })));
}

fn density<T: Real>() {
    let (nodes, weights) =
        (cast::<T>(&[-1.0, 0.5, 0.5, 2.0]), cast::<T>(&[0.25, 0.5, 0.125, 0.125]));
    let sigma = 0.125;
    let grid: Vec<T> = cast(&(0..=400).map(|i| -2.5 + 0.015625 * f64::from(i)).collect::<Vec<_>>());
    let mut got = nans::<T>(grid.len());
    gaussian_density(&mut got, &grid, &nodes, &weights, T::from_f64(sigma)).unwrap();
    let normal = |x: f64| (-0.5 * x * x).exp() / (std::f64::consts::TAU.sqrt() * sigma);
    let want: Vec<f64> = to_f64(&grid)
        .iter()
        .map(|t| {
            let pairs = to_f64(&nodes).into_iter().zip(to_f64(&weights));
            pairs.map(|(x, w)| w * normal((t - x) / sigma)).sum()
        })
        .collect();
    assert_close("density", &got, &want, "gaussian density", Definition, 1);
    // the trapezoidal sum of normal densities is exact to e^(−2π²σ²/h²) and the cut-off tails
    let mass: f64 = to_f64(&got).iter().sum::<f64>() * 0.015625;
    assert_close("mass", &[T::from_f64(mass)], &[1.0], "gaussian density", Definition, 1);
    let one = [T::ONE];
    for sigma in [T::ZERO, -T::ONE, T::NAN, T::INFINITY, T::MIN_POSITIVE * T::EPSILON] {
        let refused = gaussian_density(&mut [T::NAN], &one, &one, &one, sigma);
        assert!(matches!(refused, Err(Error::Parameter { .. })), "{sigma}");
    }
    let refused = gaussian_density(&mut [T::NAN], &one, &[T::NAN], &one, T::ONE);
    assert!(matches!(refused, Err(Error::NonFinite { .. })));
    let refused = gaussian_density(&mut [T::NAN], &one, &one, &[], T::ONE);
    assert!(matches!(refused, Err(Error::Shape { .. })));
}

/// Σ xᵢ yᵢ in twice the precision of f64.
pub(crate) fn exact_dot<T: Real>(x: &[T], y: &[T]) -> f64 {
    let pairs = x.iter().zip(y);
    let sum = pairs.fold(Double::from(0.0), |sum, (x, y)| {
        sum + Double::from(x.to_f64()) * Double::from(y.to_f64())
    });
    sum.hi
}

/// Sums over millions keep their digits; norms neither overflow nor underflow.
fn long_sums<T: Real>() {
    let mut random = Random::new(7);
    for n in [0, 1, 1023, 1024, 1025, 3 * 1024 + 7, (1 << 22) + 5] {
        // positive terms: every rounding error counts
        let (x, y) = (random.uniforms::<T>(n, 0.5, 1.0), random.uniforms::<T>(n, 0.5, 1.0));
        let exact = exact_dot(&x, &y);
        let got = vector::dot_pairwise(&x, &y);
        assert_close(&format!("{n}"), &[got], &[exact], "long sum", HigherPrecision, 1);
        let exact = exact_dot(&x, &x);
        let got = vector::norm(&x);
        assert_close(&format!("{n}"), &[got], &[exact.sqrt()], "long sum", HigherPrecision, 1);
    }
    for unit in [T::MIN_POSITIVE, T::MIN_POSITIVE.sqrt(), T::MAX / T::from_f64(8.0)] {
        let x: Vec<T> =
            [3.0, 4.0, 0.0, 12.0].iter().map(|c| unit * T::from_f64(*c / 8.0)).collect();
        let relative = [vector::norm(&x) / unit];
        assert_close("scale", &relative, &[13.0 / 8.0], "long sum", HigherPrecision, 1);
    }
    assert_eq!(vector::norm::<T>(&[T::ZERO; 9]), T::ZERO);
    assert_eq!(vector::norm(&[T::ONE, -T::INFINITY]), T::INFINITY);
    assert!(!vector::norm(&[T::ONE, T::NAN]).is_finite());
    assert!(!vector::norm(&[T::INFINITY, T::NAN]).is_finite());
}

both_dtypes!(
    tridiagonal_problem,
    tridiagonal_closed_forms,
    tridiagonal_refusals,
    quadrature,
    density,
    long_sums,
);
