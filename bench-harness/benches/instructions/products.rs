//! Products: general, symmetric, Kronecker; and those of the curvature formulas.

use relfisher::Scalar;
use relfisher_bench::Random;
use relfisher_core::curvature::{
    KronBasis, ekfac_scale, ekfac_scale_workspace_len, kfra_step, kfra_step_workspace_len,
};
use relfisher_core::kron::{self, FactorDamping, KronCholesky, KronEigen};
use relfisher_core::{Backend, MatMut, MatRef, blas};

use crate::case::{Aligned, Case, Data, direct, generic, near, ulps};

/// Tells whether the Gram matrix has weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weights {
    /// XᵀX.
    None,
    /// Xᵀ diag(w) X.
    PerSample,
}

/// C ← A B, p×k by k×q.
pub(crate) fn gemm<T: Scalar>([p, k, q]: [usize; 3]) -> Case {
    let mut random = Random::new(1);
    let a = Aligned::random(&mut random, p * k, -1.0, 1.0);
    let b = Aligned::random(&mut random, k * q, -1.0, 1.0);
    direct(
        Data::<T>::new(vec![a, b], p * q, 0),
        move |cpu, given, out, _| {
            let (a, b) = (MatRef::new(&given[0], p, k)?, MatRef::new(&given[1], k, q)?);
            cpu.gemm(MatMut::new(out, p, q)?, T::ZERO, T::ONE, a, b)
        },
        move |given, out| {
            let entry = |i: usize, j: usize| -> f64 {
                (0..k).map(|s| given[0][i * k + s].to_f64() * given[1][s * q + j].to_f64()).sum()
            };
            let want: Vec<f64> = (0..p * q).map(|at| entry(at / q, at % q)).collect();
            near(out, &want, ulps::<T>(64.0));
        },
    )
}

/// C ← Xᵀ diag(w) X / n, n×d.
pub(crate) fn gram<T: Scalar>(n: usize, d: usize, weights: Weights) -> Case {
    let mut random = Random::new(2);
    let x = Aligned::random(&mut random, n * d, -1.0, 1.0);
    let w = Aligned::random(&mut random, n, 0.0, 1.0);
    let data = Data::<T>::new(vec![x, w], d * d, blas::gram_workspace_len(n, d));
    direct(
        data,
        move |cpu, given, out, work| {
            let w = (weights == Weights::PerSample).then_some(&given[1][..]);
            let (out, x) = (MatMut::new(out, d, d)?, MatRef::new(&given[0], n, d)?);
            cpu.gram(out, T::ZERO, T::ONE / T::from_usize(n), x, w, work)
        },
        move |given, out| {
            let entry = |i: usize, j: usize| -> f64 {
                let term = |s: usize| {
                    let w = if weights == Weights::None { 1.0 } else { given[1][s].to_f64() };
                    w * given[0][s * d + i].to_f64() * given[0][s * d + j].to_f64()
                };
                (0..n).map(term).sum::<f64>() / n as f64
            };
            let want: Vec<f64> = (0..d * d).map(|at| entry(at / d, at % d)).collect();
            near(out, &want, ulps::<T>(64.0));
        },
    )
}

/// G (m×m), A (d×d) positive definite, V (m×d).
fn factors<T: Scalar>(m: usize, d: usize) -> [Aligned<T>; 3] {
    let mut random = Random::new(3);
    let (g, a) = (Aligned::covariance(&mut random, m), Aligned::covariance(&mut random, d));
    [g, a, Aligned::random(&mut random, m * d, -1.0, 1.0)]
}

/// (G ⊗ A) v.
pub(crate) fn kron_apply<T: Scalar>(m: usize, d: usize) -> Case {
    let data = Data::<T>::new(factors::<T>(m, d).into(), m * d, kron::apply_workspace_len(m, d));
    generic(data, ulps::<T>(64.0), move |backend, given, out, work| {
        let (g, a) = (MatRef::new(&given[0], m, m)?, MatRef::new(&given[1], d, d)?);
        kron::apply(backend, MatMut::new(out, m, d)?, g, a, MatRef::new(&given[2], m, d)?, work)
    })
}

/// ((G + λI) ⊗ (A + λI))⁻¹ v: Cholesky factors and solve.
pub(crate) fn kron_cholesky<T: Scalar>(m: usize, d: usize) -> Case {
    let [g, a, v] = factors::<T>(m, d);
    let work = m * m + d * d + kron::kron_cholesky_solve_workspace_len(m, d);
    let data = Data::<T>::in_place(vec![v, g, a], work);
    generic(data, ulps::<T>(4096.0), move |backend, given, out, work| {
        let (g, rest) = work.split_at_mut(m * m);
        let (a, rest) = rest.split_at_mut(d * d);
        g.copy_from_slice(&given[1]);
        a.copy_from_slice(&given[2]);
        let damping = FactorDamping { g: T::from_f64(0.1), a: T::from_f64(0.1) };
        let (g, a) = (MatMut::new(g, m, m)?, MatMut::new(a, d, d)?);
        let factors = KronCholesky::factor(backend, g, a, damping)?;
        factors.solve(backend, MatMut::new(out, m, d)?, rest)
    })
}

/// (G ⊗ A + λI)⁻¹ v: eigenbases and solve.
pub(crate) fn kron_eigen<T: Scalar>(m: usize, d: usize) -> Case {
    let [g, a, v] = factors::<T>(m, d);
    let (basis, solve) =
        (kron::kron_eigen_factor_workspace_len(m, d), kron::kron_eigen_apply_workspace_len(m, d));
    let data = Data::<T>::in_place(vec![v, g, a], m * m + m + d * d + d + basis + solve);
    generic(data, ulps::<T>(4096.0), move |backend, given, out, work| {
        let (g, rest) = work.split_at_mut(m * m);
        let (g_values, rest) = rest.split_at_mut(m);
        let (a, rest) = rest.split_at_mut(d * d);
        let (a_values, rest) = rest.split_at_mut(d);
        let (basis, solve) = rest.split_at_mut(basis);
        g.copy_from_slice(&given[1]);
        a.copy_from_slice(&given[2]);
        let (g, a) = (MatMut::new(g, m, m)?, MatMut::new(a, d, d)?);
        let eigen = KronEigen::factor(backend, (g, g_values), (a, a_values), basis)?;
        eigen.solve(backend, MatMut::new(out, m, d)?, T::from_f64(0.1), solve)
    })
}

/// EKFAC's scale: Σ_s ((U_Gᵀδ_s)∘²)((U_Aᵀx̃_s)∘²)ᵀ / n.
pub(crate) fn ekfac<T: Scalar>([n, m, d]: [usize; 3]) -> Case {
    let mut random = Random::new(4);
    let [g, a, _] = factors::<T>(m, d);
    let delta = Aligned::random(&mut random, n * m, -1.0, 1.0);
    let x = Aligned::random(&mut random, n * d, -1.0, 1.0);
    let data = Data::<T>::new(vec![g, a, delta, x], m * d, ekfac_scale_workspace_len(n, m, d));
    generic(data, ulps::<T>(128.0), move |backend, given, out, work| {
        let (g, a) = (MatRef::new(&given[0], m, m)?, MatRef::new(&given[1], d, d)?);
        let rows = (MatRef::new(&given[2], n, m)?, MatRef::new(&given[3], n, d)?);
        let (out, mean) = (MatMut::new(out, m, d)?, T::ONE / T::from_usize(n));
        ekfac_scale(backend, out, T::ZERO, mean, KronBasis { g, a }, rows, work)
    })
}

/// KFRA's output factor, one layer down.
pub(crate) fn kfra<T: Scalar>([n, m, d]: [usize; 3]) -> Case {
    let mut random = Random::new(5);
    let g = Aligned::covariance(&mut random, m);
    let w = Aligned::random(&mut random, m * d, -1.0, 1.0);
    let slopes = Aligned::random(&mut random, n * d, 0.0, 1.0);
    let data = Data::<T>::new(vec![g, w, slopes], d * d, kfra_step_workspace_len(n, m, d));
    generic(data, ulps::<T>(128.0), move |backend, given, out, work| {
        let (g, w) = (MatRef::new(&given[0], m, m)?, MatRef::new(&given[1], m, d)?);
        let slopes = MatRef::new(&given[2], n, d)?;
        kfra_step(backend, MatMut::new(out, d, d)?, g, w, slopes, work)
    })
}
