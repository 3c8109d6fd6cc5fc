//! The inverse of a sum of two Kronecker products against the dense sum.

use relfisher_core::kron::{
    FactorDamping, KronSum, Sign, kron_sum_factor_workspace_len, kron_sum_solve_workspace_len,
};
use relfisher_core::{Error, MatMut, Portable, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, to_f64};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat_mut, nans};
use relfisher_tests::tolerance::Oracle::Dense;

const SHAPES: [(usize, usize); 8] =
    [(1, 1), (1, 4), (5, 1), (2, 3), (4, 4), (7, 3), (0, 3), (3, 0)];

/// The four factors; H and B of any sign, small enough that both sums are positive definite.
struct Factors<T> {
    m: usize,
    d: usize,
    g: Vec<T>,
    h: Vec<T>,
    a: Vec<T>,
    b: Vec<T>,
}

fn symmetric<T: Real>(random: &mut Random, d: usize, size: f64) -> Vec<T> {
    let q = random.normals::<f64>(d * d);
    let at = |i: usize, j: usize| size * (q[i * d + j] + q[j * d + i]) / (2.0 * d as f64);
    (0..d * d).map(|k| T::from_f64(at(k / d.max(1), k % d.max(1)))).collect()
}

fn factors<T: Real>(m: usize, d: usize, seed: u64) -> Factors<T> {
    let mut random = Random::new(seed);
    // spectra of G and A in [1/3, 1], so those of H and B stay below 0.8 of them
    let (g, a) = (random.spd(m, 3.0), random.spd(d, 3.0));
    let (h, b) = (symmetric(&mut random, m, 0.2), symmetric(&mut random, d, 0.2));
    Factors { m, d, g, h, a, b }
}

impl<T: Real> Factors<T> {
    fn dense(&self, damping: FactorDamping<T>, sign: f64) -> Matrix {
        let square = |x: &[T], d: usize| Matrix::new(d, d, to_f64(x));
        let (g, a) = (square(&self.g, self.m), square(&self.a, self.d));
        let (g, a) = (g.damped(damping.g.to_f64()), a.damped(damping.a.to_f64()));
        g.kron(&a).plus(sign, &square(&self.h, self.m).kron(&square(&self.b, self.d)))
    }

    /// Factors with `missing` elements of workspace less and solves for every v.
    fn solve(
        &self,
        damping: FactorDamping<T>,
        sign: Sign,
        vs: &mut [Vec<T>],
        missing: usize,
    ) -> Result<(), Error> {
        let (m, d) = (self.m, self.d);
        let (mut g, mut h, mut a, mut b) =
            (self.g.clone(), self.h.clone(), self.a.clone(), self.b.clone());
        let (mut s, mut t) = (nans::<T>(m), nans::<T>(d));
        let need = kron_sum_factor_workspace_len(m, d);
        let mut work = nans(need.saturating_sub(missing));
        let left = (mat_mut(&mut g, m, m), mat_mut(&mut h, m, m), &mut s[..]);
        let right = (mat_mut(&mut a, d, d), mat_mut(&mut b, d, d), &mut t[..]);
        let sum = KronSum::factor(&Portable, left, right, damping, sign, &mut work)?;
        let need = kron_sum_solve_workspace_len(m, d);
        for v in vs {
            sum.solve(&Portable, mat_mut(v, m, d), &mut nans(need))?;
            if need > 0 {
                let short = sum.solve(&Portable, mat_mut(v, m, d), &mut nans(need - 1));
                assert_eq!(short, Err(Error::Workspace { needed: need, found: need - 1 }));
            }
        }
        Ok(())
    }
}

fn none<T: Real>() -> FactorDamping<T> {
    FactorDamping { g: T::ZERO, a: T::ZERO }
}

fn solves_are_dense<T: Real>() {
    for ((m, d), seed) in SHAPES.into_iter().zip(801..) {
        let f = factors::<T>(m, d, seed);
        let mut random = Random::new(seed);
        for (sign, factor) in [(Sign::Plus, 1.0), (Sign::Minus, -1.0)] {
            for damping in [none(), FactorDamping { g: T::HALF, a: T::from_f64(0.1) }] {
                let rights: Vec<Vec<T>> = (0..2).map(|_| random.normals(m * d)).collect();
                let mut vs = rights.clone();
                f.solve(damping, sign, &mut vs, 0).unwrap();
                let dense = f.dense(damping, factor);
                for (v, right) in vs.iter().zip(&rights) {
                    let want = dense.solve_vector(&to_f64(right));
                    assert_close(
                        &format!("{sign:?} {m} {d}"),
                        v,
                        &want,
                        "kron inverse",
                        Dense,
                        m * d,
                    );
                }
            }
        }
        if kron_sum_factor_workspace_len(m, d) > 0 {
            let short = f.solve(none(), Sign::Plus, &mut [], 1);
            assert!(matches!(short, Err(Error::Workspace { .. })));
        }
    }
}

/// H = 0 leaves (G ⊗ A)⁻¹; H ⊗ B = G ⊗ A doubles it, and its difference is singular.
fn extremes<T: Real>() {
    let mut f = factors::<T>(3, 2, 820);
    let right: Vec<T> = Random::new(821).normals(6);
    f.h.fill(T::ZERO);
    let mut v = [right.clone()];
    f.solve(none(), Sign::Minus, &mut v, 0).unwrap();
    let want = f.dense(none(), 0.0).solve_vector(&to_f64(&right));
    assert_close("H = 0", &v[0], &want, "kron inverse", Dense, 6);
    (f.h, f.b) = (f.g.clone(), f.a.clone());
    let mut v = [right.clone()];
    f.solve(none(), Sign::Plus, &mut v, 0).unwrap();
    let want = f.dense(none(), 0.0).scaled(2.0).solve_vector(&to_f64(&right));
    assert_close("H ⊗ B = G ⊗ A", &v[0], &want, "kron inverse", Dense, 6);
    let singular = f.solve(none(), Sign::Minus, &mut [], 0);
    assert!(matches!(singular, Err(Error::NotPositiveDefinite { block: 2, .. })), "{singular:?}");
}

fn refusals<T: Real>() {
    let good = || factors::<T>(2, 3, 830);
    let ask = |f: &Factors<T>| f.solve(none(), Sign::Plus, &mut [], 0);
    let mut f = good();
    f.g[3] = -T::ONE;
    assert_eq!(ask(&f), Err(Error::NotPositiveDefinite { block: 0, pivot: 1 }));
    let mut f = good();
    f.a[0] = T::ZERO;
    assert_eq!(ask(&f), Err(Error::NotPositiveDefinite { block: 1, pivot: 0 }));
    // H ⊗ B far below −G ⊗ A
    let mut f = good();
    f.h = vec![T::from_f64(-9.0), T::ZERO, T::ZERO, T::from_f64(-9.0)];
    f.b = f.a.clone();
    assert!(matches!(ask(&f), Err(Error::NotPositiveDefinite { block: 2, .. })));
    for bad in [T::NAN, T::INFINITY] {
        let mut f = good();
        f.h[2] = bad;
        assert!(matches!(ask(&f), Err(Error::NonFinite { .. })), "{bad} in h");
        let mut f = good();
        f.a[0] = bad;
        assert!(matches!(ask(&f), Err(Error::NonFinite { .. })), "{bad} in a");
        let f = good();
        let mut v = [vec![T::ONE, bad, T::ONE, T::ONE, T::ONE, T::ONE]];
        let refused = f.solve(none(), Sign::Plus, &mut v, 0);
        assert!(matches!(refused, Err(Error::NonFinite { .. })), "{bad} in v");
    }
    let negative = FactorDamping { g: -T::ONE, a: T::ZERO };
    let refused = good().solve(negative, Sign::Plus, &mut [], 0);
    assert!(matches!(refused, Err(Error::Parameter { .. })));
    // shapes and layouts
    let (mut g, mut h, mut a, mut b) = (nans::<T>(9), nans::<T>(9), nans::<T>(9), nans::<T>(9));
    let (mut s, mut t) = (nans::<T>(3), nans::<T>(2));
    let (plus, mut work) = (Sign::Plus, nans(99));
    let mut try_with = |(p, q): (usize, usize), values: usize, h_stride: (usize, usize)| {
        let h = MatMut::with_strides(&mut h, p, p, h_stride.0, h_stride.1).unwrap();
        let left = (mat_mut(&mut g, p, q), h, &mut s[..values]);
        let right = (mat_mut(&mut a, 2, 2), mat_mut(&mut b, 2, 2), &mut t[..]);
        KronSum::factor(&Portable, left, right, none(), plus, &mut work).map(|_| ())
    };
    assert!(matches!(try_with((2, 3), 2, (2, 1)), Err(Error::Shape { .. })), "g is not square");
    assert!(matches!(try_with((2, 2), 3, (2, 1)), Err(Error::Shape { .. })), "too many values");
    assert!(matches!(try_with((2, 2), 2, (1, 2)), Err(Error::Layout { .. })), "h by columns");
}

both_dtypes!(solves_are_dense, extremes, refusals);
