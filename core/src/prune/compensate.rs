//! The best weights of a layer without any set of them, for a Kronecker-factored H.

use crate::blas::vector::{axpy, dot};
use crate::error::take_work;
use crate::metric::support::{carve, check_damping, check_finite, check_matrix, check_rows};
use crate::{Backend, Error, MatMut, MatRef, Real};

/// When conjugate gradients stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompensateOptions<T> {
    /// Converged when ‖r‖ ≤ tolerance·‖H_FQ w_Q‖.
    pub tolerance: T,
    /// The most products with H.
    pub max_iterations: usize,
}

impl<T: Real> Default for CompensateOptions<T> {
    /// 10⁻⁴ (or 32 ε, whichever is larger), 200 products: what is left of the residual is far below the
    /// error of the factors.
    fn default() -> Self {
        let floor = T::from_f64(32.0) * T::EPSILON;
        Self { tolerance: T::from_f64(1e-4).max(floor), max_iterations: 200 }
    }
}

/// `W_Q ← 0, W_F ← W_F + X` with H_FF X = H_FQ W_Q, H = G ⊗ A + λI: the minimum of ½ δᵀHδ over all δ with
/// δ_Q = −W_Q, for all removed weights Q at once (the joint step of optimal brain surgeon). By
/// conjugate gradients over the free weights F with a Jacobi preconditioner, which need no inverse:
/// 2md(m + d) FLOPs a product. Every iterate costs less than the one before, so the last one is kept
/// where the products are spent. Returns the number of products.
///
/// Shapes: w and kept m×d (kept: 1 for a free weight, 0 for a removed one), g m×m, a d×d symmetric,
/// contiguous rows. `work`: [`kron_compensate_workspace_len`]`(m, d)`, may hold NaN.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`], [`Error::NonFinite`], [`Error::Parameter`] for λ
/// or a tolerance below 0, [`Error::NotPositiveDefinite`] where a direction has no positive curvature.
///
/// ```
/// use relfisher_core::prune::{self, CompensateOptions};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (g, a, kept) = ([1.0], [2.0, 1.0, 1.0, 2.0], [1.0, 0.0]);
/// let mut w = [1.0_f64, 1.0];
/// let mut work = [f64::NAN; prune::kron_compensate_workspace_len(1, 2)];
/// let factors = (MatRef::new(&g, 1, 1)?, MatRef::new(&a, 2, 2)?);
/// let (view, kept) = (MatMut::new(&mut w, 1, 2)?, MatRef::new(&kept, 1, 2)?);
/// let options = CompensateOptions::default();
/// prune::kron_compensate(&Portable, view, kept, factors, 0.0, options, &mut work)?;
/// assert!((w[0] - 1.5).abs() < 1e-15 && w[1] == 0.0);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn kron_compensate<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    mut w: MatMut<'_, T>,
    kept: MatRef<'_, T>,
    (g, a): (MatRef<'_, T>, MatRef<'_, T>),
    lambda: T,
    options: CompensateOptions<T>,
    work: &mut [T],
) -> Result<usize, Error> {
    let (m, d) = (w.rows(), w.cols());
    check_rows("kron_compensate: w", w.rb())?;
    let names = ("kron_compensate: rows of kept", "kron_compensate: columns of kept");
    check_matrix(names, kept, m, d)?;
    check_matrix(("kron_compensate: rows of g", "kron_compensate: columns of g"), g, m, m)?;
    check_matrix(("kron_compensate: rows of a", "kron_compensate: columns of a"), a, d, d)?;
    check_damping(lambda)?;
    if options.tolerance < T::ZERO || !options.tolerance.is_finite() {
        return Err(Error::Parameter { what: "tolerance must be finite and >= 0" });
    }
    let size = m.saturating_mul(d);
    let mut rest = take_work(work, kron_compensate_workspace_len(m, d))?;
    check_finite("kron_compensate: w", w.rb())?;
    check_finite("kron_compensate: g", g)?;
    check_finite("kron_compensate: a", a)?;
    let x = carve(&mut rest, size)?;
    let (r, inverse) = (carve(&mut rest, size)?, carve(&mut rest, size)?);
    let (p, hp) = (carve(&mut rest, size)?, carve(&mut rest, size)?);
    // Everything relative to the largest elements, so that no square overflows or vanishes: X is linear
    // in W_Q and does not depend on the size of H.
    let unit = |x: T| if x > T::ZERO { x } else { T::ONE };
    let largest = |x: MatRef<'_, T>| {
        let mut largest = T::ZERO;
        for i in 0..x.rows() {
            for x in x.row(i) {
                largest = largest.max(x.abs());
            }
        }
        unit(largest)
    };
    let (g_size, a_size, w_size) = (largest(g), largest(a), largest(w.rb()));
    let damping = lambda / g_size / a_size;
    if !damping.is_finite() {
        return Err(Error::Parameter { what: "damping is too large beside the factors" });
    }
    // P_F H v for v in p, into hp, through scratch.
    let multiply = |p: &[T], hp: &mut [T], scratch: &mut [T]| -> Result<(), Error> {
        let (v, mut scratch) = (MatRef::new(p, m, d)?, MatMut::new(scratch, m, d)?);
        let mut out = MatMut::new(hp, m, d)?;
        backend.gemm(scratch.rb_mut(), T::ZERO, T::ONE / g_size, g, v)?;
        backend.gemm(out.rb_mut(), T::ZERO, T::ONE / a_size, scratch.rb(), a)?;
        for i in 0..m {
            for ((o, v), k) in out.row_mut(i).iter_mut().zip(v.row(i)).zip(kept.row(i)) {
                *o = if *k == T::ZERO { T::ZERO } else { *o + damping * *v };
            }
        }
        Ok(())
    };
    // W_Q into p, then r = P_F H W_Q.
    let (mut removed, mut scales) =
        (MatMut::new(&mut *p, m, d)?, MatMut::new(&mut *inverse, m, d)?);
    for i in 0..m {
        let rows = removed.row_mut(i).iter_mut().zip(scales.row_mut(i));
        let inputs = w.row(i).iter().zip(kept.row(i));
        for (j, ((p, scale), (w, k))) in rows.zip(inputs).enumerate() {
            *p = if *k == T::ZERO { *w / w_size } else { T::ZERO };
            let diagonal = (g.at(i, i) / g_size) * (a.at(j, j) / a_size) + damping;
            *scale = if diagonal > T::ZERO { T::ONE / diagonal } else { T::ONE };
        }
    }
    multiply(p, r, rest)?;
    x.fill(T::ZERO);
    let target = options.tolerance * options.tolerance * dot(r, r);
    let mut rho = precondition(p, r, inverse, T::ZERO);
    let mut products = 1;
    while dot(r, r) > target && rho > T::ZERO && products < options.max_iterations {
        multiply(p, hp, rest)?;
        products = products.wrapping_add(1);
        let curvature = dot(p, hp);
        if !(curvature > T::ZERO && curvature.is_finite()) {
            if curvature == T::ZERO || dot(r, r) <= target {
                break;
            }
            return Err(Error::NotPositiveDefinite { block: 0, pivot: products });
        }
        let step = rho / curvature;
        axpy(x, step, p);
        axpy(r, T::ZERO - step, hp);
        let before = rho;
        rho = T::ZERO;
        for (r, inverse) in r.iter().zip(inverse.iter()) {
            rho += *r * (*r * *inverse);
        }
        precondition(p, r, inverse, rho / before);
    }
    let x = MatRef::new(&*x, m, d)?;
    for i in 0..m {
        let rows = w.row_mut(i).iter_mut().zip(x.row(i)).zip(kept.row(i));
        for (j, ((w, x), k)) in rows.enumerate() {
            *w = if *k == T::ZERO { T::ZERO } else { *w + w_size * *x };
            if !w.is_finite() {
                let index = i.wrapping_mul(d).wrapping_add(j);
                return Err(Error::NonFinite { what: "kron_compensate: step", index });
            }
        }
    }
    Ok(products)
}

/// `p ← W r + β p`, W the inverse of the diagonal; β = 0 never reads p. Returns rᵀWr.
fn precondition<T: Real>(p: &mut [T], r: &[T], inverse: &[T], beta: T) -> T {
    let mut rho = T::ZERO;
    for ((p, r), inverse) in p.iter_mut().zip(r).zip(inverse) {
        let scaled = *r * *inverse;
        rho += *r * scaled;
        *p = if beta == T::ZERO { scaled } else { scaled + beta * *p };
    }
    rho
}

/// The workspace of [`kron_compensate`] in elements: six m×d matrices.
#[inline]
pub const fn kron_compensate_workspace_len(m: usize, d: usize) -> usize {
    m.saturating_mul(d).saturating_mul(6)
}
