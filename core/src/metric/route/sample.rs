//! The sample-space route: exact, without forming a block, in systems of the size of the batch.
//!
//! Non-linear layer, for every neuron i, with `S_i = diag √ν_si` and `K = X̃X̃ᵀ` shared by all:
//! `(Ḡ_i + λI)⁻¹ g = (g − X̃ᵀ S_i (nλI + S_i K S_i)⁻¹ S_i X̃ g) / λ` (Woodbury; ν_si = 0 is harmless).
//!
//! Soft-max layer, with `R_s = B_s B_sᵀ`, B_s of C − 1 columns, U = [B_s ⊗ x̃_s] (C·d̃ × n(C−1)):
//! `(Ḡ + λI)⁻¹ g = (g − U (nλI + UᵀU)⁻¹ Uᵀ g) / λ`, `(UᵀU)_st = K_st B_sᵀB_t`.

use super::super::layer::{LayerMetric, NonlinearMetric, ResponseMetric, SoftmaxMetric};
use super::super::support::{
    carve, check_factor, check_finite, check_matrix, check_positive_damping, copy, dot,
};
use crate::error::take_work;
use crate::{Backend, Error, MatMut, MatRef, Real, factor};

/// `Out ← (Ḡ + λI)⁻¹ G` of a non-linear layer. Shapes: out, g m × d̃. `work` as [`workspace_len`].
/// 4n·m·d̃ + 2n²·d̃ + m·n³/3 FLOPs.
///
/// # Errors
/// Shape, layout, workspace; [`Error::Parameter`] for λ = 0 or a negative ν; [`Error::NonFinite`]
/// naming the argument; [`Error::NotPositiveDefinite`] when λ is lost in rounding.
/// ```
/// use relfisher_core::metric::layer::NonlinearMetric;
/// use relfisher_core::metric::route::sample;
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (x, nu, g) = ([2.0, 1.0], [0.5], [4.0, 2.0]);
/// let metric = NonlinearMetric::new(MatRef::new(&x, 1, 2)?, MatRef::new(&nu, 1, 1)?)?;
/// let mut step = [f64::NAN; 2];
/// let mut work = [f64::NAN; sample::workspace_len(1, 1, 2)];
/// let (out, g) = (MatMut::new(&mut step, 1, 2)?, MatRef::new(&g, 1, 2)?);
/// sample::solve(&Portable, out, &metric, g, 0.5, &mut work)?;
/// assert!((step[0] - 4.0 / 3.0).abs() < 1e-14); // g = 2x̃, an eigenvector
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn solve<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    mut out: MatMut<'_, T>,
    metric: &NonlinearMetric<'_, T>,
    g: MatRef<'_, T>,
    damping: T,
    work: &mut [T],
) -> Result<(), Error> {
    let (x, nu) = (metric.x(), metric.nu());
    let (n, m, d) = (x.rows(), nu.cols(), x.cols());
    check_matrix(("sample: rows of out", "sample: columns of out"), out.rb(), m, d)?;
    check_matrix(("sample: rows of g", "sample: columns of g"), g, m, d)?;
    check_positive_damping(damping)?;
    let mut rest = take_work(work, workspace_len(n, m, d))?;
    metric.check_inputs()?;
    check_finite("g", g)?;
    let kernel = carve(&mut rest, n.saturating_mul(n))?;
    let roots = carve(&mut rest, n.saturating_mul(m))?;
    let z = carve(&mut rest, n.saturating_mul(m))?;
    backend.gemm(MatMut::new(kernel, n, n)?, T::ZERO, T::ONE, x, x.t())?;
    backend.gemm(MatMut::new(z, n, m)?, T::ZERO, T::ONE, x, g.t())?;
    let mut s = MatMut::new(roots, n, m)?;
    for t in 0..n {
        for (root, nu) in s.row_mut(t).iter_mut().zip(nu.row(t)) {
            *root = nu.sqrt();
        }
    }
    scale(z, s.rb());
    let system = T::from_usize(n) * damping;
    backend.scaled_gram_solve(
        MatMut::new(z, n, m)?,
        MatRef::new(kernel, n, n)?,
        s.rb(),
        system,
        rest,
    )?;
    scale(z, s.rb());
    copy(&mut out, g);
    let inverse = T::ONE / damping;
    let z = MatRef::new(z, n, m)?;
    backend.gemm(out, inverse, -inverse, z.t(), x)
}

/// `z ← S ∘ z`; both contiguous, row-major.
#[inline(always)]
fn scale<T: Real>(z: &mut [T], s: MatRef<'_, T>) {
    for (z, s) in z.iter_mut().zip(s.data()) {
        *z = *s * *z;
    }
}

/// The scratch of [`solve`]: K (n²), S and z (2n·m), and that of the systems.
pub const fn workspace_len(n: usize, m: usize, _d: usize) -> usize {
    n.saturating_mul(n)
        .saturating_add(n.saturating_mul(m).saturating_mul(2))
        .saturating_add(factor::scaled_gram_solve_workspace_len(n, m))
}

/// The n(C − 1) rows b_sk of length C whose outer products sum to the soft-max metric,
/// `diag(η_s) − η_s η_sᵀ = Σ_k b_sk b_skᵀ`: the closed-form Cholesky columns of the multinomial
/// covariance. With the tails `q_k = Σ_{i>k} η_i`, b_sk is `√(η_k q_k / q_{k−1})` at k,
/// `−√(η_k q_k / q_{k−1})·η_i / q_k` at i > k, 0 before (K. Tanabe, M. Sagae, JRSS B 54, 1992).
/// A vanishing tail gives zero rows. Shapes: roots n(C−1) × C, η n × C.
///
/// # Errors
/// Shape or layout.
/// ```
/// use relfisher_core::{MatMut, MatRef, metric::route::sample};
/// let mut root = [f64::NAN; 2];
/// let eta = MatRef::new(&[0.5, 0.5], 1, 2)?;
/// sample::softmax_roots(MatMut::new(&mut root, 1, 2)?, eta)?;
/// assert_eq!(root, [0.5, -0.5]); // bbᵀ = diag η − ηηᵀ
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn softmax_roots<T: Real>(mut roots: MatMut<'_, T>, eta: MatRef<'_, T>) -> Result<(), Error> {
    let (n, c) = (eta.rows(), eta.cols());
    let rank = c.saturating_sub(1);
    check_matrix(
        ("softmax_roots: rows of roots", "softmax_roots: columns of roots"),
        roots.rb(),
        n.saturating_mul(rank),
        c,
    )?;
    ResponseMetric::Softmax(eta).check_shape(n)?;
    for s in 0..n {
        let probabilities = eta.row(s);
        let mut tail = T::ZERO;
        for k in (0..rank).rev() {
            let here = eta.at(s, k);
            if k.wrapping_add(1) == rank {
                tail = eta.at(s, rank);
            }
            let whole = tail + here;
            let ratio = if tail > T::ZERO { tail / whole } else { T::ZERO };
            let root = (here * ratio).sqrt();
            let row = roots.row_mut(s.wrapping_mul(rank).wrapping_add(k));
            for (i, (b, p)) in row.iter_mut().zip(probabilities).enumerate() {
                *b = if i < k || tail <= T::ZERO {
                    T::ZERO
                } else if i == k {
                    root
                } else {
                    -(root * (*p / tail))
                };
            }
            tail = whole;
        }
    }
    Ok(())
}

/// `Out ← (Ḡ + λI)⁻¹ G` of a soft-max layer. Shapes: out, g C × d̃. `work` as
/// [`softmax_workspace_len`]. One Cholesky factorisation of n(C − 1) unknowns.
///
/// # Errors
/// As [`solve`].
/// ```
/// use relfisher_core::metric::layer::SoftmaxMetric;
/// use relfisher_core::metric::route::sample;
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (x, eta, g) = ([1.0], [0.5, 0.5], [1.0, -1.0]);
/// let metric = SoftmaxMetric::new(MatRef::new(&x, 1, 1)?, MatRef::new(&eta, 1, 2)?)?;
/// let (mut step, mut work) = ([f64::NAN; 2], [f64::NAN; sample::softmax_workspace_len(1, 2)]);
/// let (out, g) = (MatMut::new(&mut step, 2, 1)?, MatRef::new(&g, 2, 1)?);
/// sample::softmax_solve(&Portable, out, &metric, g, 0.5, &mut work)?;
/// // g is an eigenvector of diag η − ηηᵀ with the value ½
/// assert!((step[0] - 1.0).abs() < 1e-14 && (step[1] + 1.0).abs() < 1e-14);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn softmax_solve<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    mut out: MatMut<'_, T>,
    metric: &SoftmaxMetric<'_, T>,
    g: MatRef<'_, T>,
    damping: T,
    work: &mut [T],
) -> Result<(), Error> {
    let (x, eta) = (metric.x(), metric.eta());
    let (n, c, d) = (x.rows(), eta.cols(), x.cols());
    check_matrix(("sample: rows of out", "sample: columns of out"), out.rb(), c, d)?;
    check_matrix(("sample: rows of g", "sample: columns of g"), g, c, d)?;
    check_positive_damping(damping)?;
    let mut rest = take_work(work, softmax_workspace_len(n, c))?;
    metric.check_inputs()?;
    check_finite("g", g)?;
    let rank = c.saturating_sub(1);
    let size = n.saturating_mul(rank);
    let kernel = carve(&mut rest, n.saturating_mul(n))?;
    let p = carve(&mut rest, n.saturating_mul(c))?;
    let roots = carve(&mut rest, size.saturating_mul(c))?;
    let system = carve(&mut rest, size.saturating_mul(size))?;
    let z = carve(&mut rest, size)?;
    softmax_roots(MatMut::new(roots, size, c)?, eta)?;
    let roots = MatRef::new(roots, size, c)?;
    backend.gemm(MatMut::new(kernel, n, n)?, T::ZERO, T::ONE, x, x.t())?;
    backend.gemm(MatMut::new(p, n, c)?, T::ZERO, T::ONE, x, g.t())?;
    let mut system = MatMut::new(system, size, size)?;
    backend.gemm(system.rb_mut(), T::ZERO, T::ONE, roots, roots.t())?;
    scale_by_kernel(&mut system, MatRef::new(kernel, n, n)?, rank);
    backend.cholesky(system.rb_mut(), T::from_usize(n) * damping)?;
    check_factor(system.rb(), damping)?;
    let mut y = MatMut::new(p, n, c)?;
    for s in 0..n {
        for k in 0..rank {
            let r = s.wrapping_mul(rank).wrapping_add(k);
            if let Some(z) = z.get_mut(r) {
                *z = dot(roots.row(r), y.row(s));
            }
        }
    }
    backend.cholesky_solve(MatMut::new(z, size, 1)?, system.rb())?;
    for s in 0..n {
        let row = y.row_mut(s);
        row.fill(T::ZERO);
        for k in 0..rank {
            let r = s.wrapping_mul(rank).wrapping_add(k);
            let weight = z.get(r).copied().unwrap_or(T::ZERO);
            for (y, b) in row.iter_mut().zip(roots.row(r)) {
                *y += weight * *b;
            }
        }
    }
    copy(&mut out, g);
    let inverse = T::ONE / damping;
    backend.gemm(out, inverse, -inverse, y.rb().t(), x)
}

/// Block (s, t) of the system, rank × rank, times K_st, for t ≤ s; only the lower triangle is used.
fn scale_by_kernel<T: Real>(system: &mut MatMut<'_, T>, kernel: MatRef<'_, T>, rank: usize) {
    for s in 0..kernel.rows() {
        for k in 0..rank {
            let row = system.row_mut(s.wrapping_mul(rank).wrapping_add(k));
            let mut rest = row;
            for weight in kernel.row(s).iter().take(s.wrapping_add(1)) {
                let Some((block, tail)) = rest.split_at_mut_checked(rank) else { break };
                for x in block {
                    *x *= *weight;
                }
                rest = tail;
            }
        }
    }
}

/// The scratch of [`softmax_solve`]: K, P, the roots, the system of n(C − 1) unknowns, its right side.
pub const fn softmax_workspace_len(n: usize, c: usize) -> usize {
    let size = n.saturating_mul(c.saturating_sub(1));
    n.saturating_mul(n)
        .saturating_add(n.saturating_mul(c))
        .saturating_add(size.saturating_mul(c))
        .saturating_add(size.saturating_mul(size))
        .saturating_add(size)
}
