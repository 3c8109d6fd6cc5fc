//! EKFAC: the scale, the product, the solve, and the promise against K-FAC.

use relfisher_core::curvature::{
    KronBasis, ekfac_apply, ekfac_apply_workspace_len, ekfac_scale, ekfac_scale_shared,
    ekfac_scale_shared_workspace_len, ekfac_scale_workspace_len, ekfac_solve,
    ekfac_solve_workspace_len,
};
use relfisher_core::{Error, Portable, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, cast, to_f64};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::Oracle::{Dense, Identity};

/// Orthogonal factors in both types.
struct Bases<T> {
    m: usize,
    d: usize,
    g: Vec<T>,
    a: Vec<T>,
}

impl<T: Real> Bases<T> {
    fn new(m: usize, d: usize, random: &mut Random) -> Self {
        Self { m, d, g: cast(&random.orthogonal(m)), a: cast(&random.orthogonal(d)) }
    }
    fn view(&self) -> KronBasis<'_, T> {
        KronBasis { g: mat(&self.g, self.m, self.m), a: mat(&self.a, self.d, self.d) }
    }
    fn g(&self) -> Matrix {
        Matrix::new(self.m, self.m, to_f64(&self.g))
    }
    fn a(&self) -> Matrix {
        Matrix::new(self.d, self.d, to_f64(&self.a))
    }
    /// Squares of U_Gᵀ ∇ U_A.
    fn squares(&self, gradient: &Matrix) -> Matrix {
        let rotated = self.g().t().times(gradient).times(&self.a());
        Matrix::from_fn(self.m, self.d, |i, j| rotated.at(i, j) * rotated.at(i, j))
    }
}

fn rows<T: Real>(x: &[T], first: usize, count: usize, width: usize) -> Matrix {
    Matrix::new(count, width, to_f64(&x[first * width..(first + count) * width]))
}

fn scale_is_the_mean_of_squared_rotated_gradients<T: Real>() {
    let mut random = Random::new(671);
    for (n, columns, m, d) in
        [(1, 1, 1, 1), (0, 1, 2, 3), (3, 1, 2, 5), (5, 3, 4, 3), (2, 2, 1, 7), (2, 1, 0, 2)]
    {
        let basis = Bases::<T>::new(m, d, &mut random);
        let (delta, x) = (random.normals::<T>(columns * n * m), random.normals::<T>(n * d));
        let start = random.uniforms::<T>(m * d, 0.0, 1.0);
        let (beta, alpha) = (T::HALF, T::from_f64(0.3));
        let mut sum = Matrix::zeros(m, d);
        for row in 0..columns * n {
            let gradient = rows(&delta, row, 1, m).t().times(&rows(&x, row % n, 1, d));
            sum = sum.plus(alpha.to_f64(), &basis.squares(&gradient));
        }
        let need = ekfac_scale_workspace_len(n, m, d);
        let parts = (mat(&delta, columns * n, m), mat(&x, n, d));
        let run = |out: &mut [T], beta: T, need: usize| {
            let (out, basis) = (mat_mut(out, m, d), basis.view());
            ekfac_scale(&Portable, out, beta, alpha, basis, parts, &mut nans(need))
        };
        let mut out = nans::<T>(m * d);
        run(&mut out, T::ZERO, need).unwrap();
        assert_close("scale", &out, &sum.data, "ekfac scale", Dense, n * columns + m + d);
        let mut out = start.clone();
        run(&mut out, beta, need).unwrap();
        let want = sum.plus(0.5, &rows(&start, 0, m, d));
        assert_close("scale", &out, &want.data, "ekfac scale", Dense, n * columns + m + d);
        if need > 0 {
            let short = run(&mut out, beta, need - 1);
            assert_eq!(short, Err(Error::Workspace { needed: need, found: need - 1 }));
        }
    }
}

fn shared_scale_squares_the_sum_over_positions<T: Real>() {
    let mut random = Random::new(672);
    // both orders of the products: few positions, and many
    for (t, m, d) in [(1, 1, 1), (0, 2, 2), (2, 5, 6), (1, 3, 8), (40, 3, 4), (9, 1, 5), (3, 2, 0)]
    {
        let basis = Bases::<T>::new(m, d, &mut random);
        let (delta, p) = (random.normals::<T>(t * m), random.normals::<T>(t * d));
        let start = random.uniforms::<T>(m * d, 0.0, 1.0);
        let gradient = rows(&delta, 0, t, m).t().times(&rows(&p, 0, t, d));
        let want = rows(&start, 0, m, d).plus(0.25, &basis.squares(&gradient));
        let need = ekfac_scale_shared_workspace_len(t, m, d);
        let run = |out: &mut [T], need: usize| {
            let parts = (mat(&delta, t, m), mat(&p, t, d));
            let (out, alpha) = (mat_mut(out, m, d), T::from_f64(0.25));
            ekfac_scale_shared(&Portable, out, alpha, basis.view(), parts, &mut nans(need))
        };
        let mut out = start.clone();
        run(&mut out, need).unwrap();
        assert_close("shared", &out, &want.data, "ekfac scale", Dense, t + m + d);
        if need > 0 {
            let short = run(&mut out, need - 1);
            assert_eq!(short, Err(Error::Workspace { needed: need, found: need - 1 }));
        }
    }
}

fn products_and_solves_are_dense<T: Real>() {
    let mut random = Random::new(673);
    for (m, d) in [(1, 1), (2, 5), (4, 3), (0, 3), (7, 1)] {
        let basis = Bases::<T>::new(m, d, &mut random);
        let scale = random.uniforms::<T>(m * d, 0.5, 2.0);
        let v = random.normals::<T>(m * d);
        let u = basis.g().kron(&basis.a());
        let need = ekfac_solve_workspace_len(m, d);
        assert_eq!(need, ekfac_apply_workspace_len(m, d));
        for lambda in [0.0, 0.25] {
            let shifted: Vec<f64> = scale.iter().map(|s| s.to_f64() + lambda).collect();
            let dense = u.times(&Matrix::diagonal(&shifted)).times(&u.t());
            let (sv, lambda) = (mat(&scale, m, d), T::from_f64(lambda));
            let mut out = v.clone();
            let o = mat_mut(&mut out, m, d);
            ekfac_apply(&Portable, o, basis.view(), sv, lambda, &mut nans(need)).unwrap();
            assert_close("apply", &out, &dense.apply(&to_f64(&v)), "ekfac", Dense, m + d);
            let mut out = v.clone();
            let o = mat_mut(&mut out, m, d);
            ekfac_solve(&Portable, o, basis.view(), sv, lambda, &mut nans(need)).unwrap();
            let inverse: Vec<f64> = shifted.iter().map(|s| 1.0 / s).collect();
            let dense = u.times(&Matrix::diagonal(&inverse)).times(&u.t());
            assert_close("solve", &out, &dense.apply(&to_f64(&v)), "ekfac", Dense, m + d);
        }
    }
    let basis = Bases::<T>::new(2, 2, &mut random);
    let run = |scale: [f64; 4], lambda: f64, v: T| {
        let (scale, mut v) = (cast::<T>(&scale), vec![v; 4]);
        let (sv, o) = (mat(&scale, 2, 2), mat_mut(&mut v, 2, 2));
        ekfac_solve(&Portable, o, basis.view(), sv, T::from_f64(lambda), &mut nans(4))
    };
    let singular = Err(Error::NotPositiveDefinite { block: 1, pivot: 0 });
    assert_eq!(run([1.0, 2.0, 0.0, 1.0], 0.0, T::ONE), singular);
    assert_eq!(run([1e9, 2e9, 1e-10, 1e9], 0.0, T::ONE), singular);
    assert_eq!(run([1.0, 2.0, -0.5, 1.0], 0.25, T::ONE), singular);
    assert_eq!(run([1.0, 2.0, 0.0, 1.0], 0.25, T::ONE), Ok(()));
    assert!(matches!(run([1.0; 4], -1.0, T::ONE), Err(Error::Parameter { .. })));
    assert!(matches!(run([1.0; 4], 1.0, T::NAN), Err(Error::NonFinite { .. })));
    assert!(matches!(run([f64::NAN; 4], 1.0, T::ONE), Err(Error::NonFinite { .. })));
}

/// In the eigenbasis of G and A of the same samples EKFAC is at most as far from the exact block as
/// K-FAC (George et al. 2018, proposition 1), with and without shared weights.
fn never_further_than_kfac<T: Real>() {
    for (seed, t) in (0..20).flat_map(|s| [1, 3].map(|t| (700 + s, t))) {
        let mut random = Random::new(seed);
        let (n, m, d) = (2 + random.below(6), 1 + random.below(4), 1 + random.below(4));
        let (delta, x) = (random.normals::<f64>(n * t * m), random.normals::<f64>(n * t * d));
        let (mut exact, mut g, mut a) =
            (Matrix::zeros(m * d, m * d), Matrix::zeros(m, m), Matrix::zeros(d, d));
        let share = 1.0 / n as f64;
        for s in 0..n {
            let (delta, x) = (rows(&delta, s * t, t, m), rows(&x, s * t, t, d));
            let gradient = delta.t().times(&x);
            exact = exact.plus(share, &Matrix::outer(&gradient.data, &gradient.data));
            g = g.plus(share, &delta.t().times(&delta));
            a = a.plus(share / t as f64, &x.t().times(&x));
        }
        let (u, v) = (g.eigh().1, a.eigh().1);
        let basis = Bases::<T> { m, d, g: cast(&u.data), a: cast(&v.data) };
        let (delta, x) = (cast::<T>(&delta), cast::<T>(&x));
        let (mut scale, alpha) = (vec![T::ZERO; m * d], T::from_f64(share));
        if t == 1 {
            let parts = (mat(&delta, n, m), mat(&x, n, d));
            let (o, mut work) =
                (mat_mut(&mut scale, m, d), nans(ekfac_scale_workspace_len(n, m, d)));
            ekfac_scale(&Portable, o, T::ZERO, alpha, basis.view(), parts, &mut work).unwrap();
        } else {
            let mut work = nans(ekfac_scale_shared_workspace_len(t, m, d));
            for (delta, x) in delta.chunks(t * m).zip(x.chunks(t * d)) {
                let parts = (mat(delta, t, m), mat(x, t, d));
                let o = mat_mut(&mut scale, m, d);
                ekfac_scale_shared(&Portable, o, alpha, basis.view(), parts, &mut work).unwrap();
            }
        }
        let u = u.kron(&v);
        // it is the diagonal of the exact block in this basis
        let rotated = u.t().times(&exact).times(&u);
        let want: Vec<f64> = (0..m * d).map(|k| rotated.at(k, k)).collect();
        assert_close("diagonal", &scale, &want, "ekfac scale", Identity, n * t + m + d);
        let ekfac = u.times(&Matrix::diagonal(&to_f64(&scale))).times(&u.t());
        let (near, far) = (exact.plus(-1.0, &ekfac).norm(), exact.plus(-1.0, &g.kron(&a)).norm());
        let slack = relfisher_tests::tolerance::tolerance::<T>("ekfac scale", Identity, m + d);
        assert!(near <= far + slack * exact.norm(), "seed {seed}, {t} positions: {near} {far}");
    }
}

both_dtypes!(
    scale_is_the_mean_of_squared_rotated_gradients,
    shared_scale_squares_the_sum_over_positions,
    products_and_solves_are_dense,
    never_further_than_kfac,
);
