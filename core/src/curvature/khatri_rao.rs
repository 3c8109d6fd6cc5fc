//! The Jacobian of a layer's columns, J (nC × m·d̃) with rows δ_cs ⊗ x̃_s, through its Khatri–Rao
//! structure: never formed.
//!
//! Row (c, s), at c·n + s, is the gradient vec(δ_cs x̃_sᵀ); with the columns of the loss Hessian's root
//! the Gauss–Newton matrix of the layer is (1/n) JᵀJ, and JJᵀ is the Gram matrix of sample space, in
//! which (JᵀJ/n + λI)⁻¹ costs (nC)³ (MATH.md §7). For a whole network J is the layers' side by side:
//! Grams and products add up over layers with `beta` = 1.

use super::share::positions;
use crate::blas::mirror;
use crate::blas::vector::dot;
use crate::error::{check_len, take_work};
use crate::metric::support::{carve, check_matrix, check_rows};
use crate::{Backend, Error, MatMut, MatRef, Real};

/// n, C, m and d̃ of columns and inputs with contiguous rows.
fn sizes<T: Real>(
    delta: MatRef<'_, T>,
    x: MatRef<'_, T>,
) -> Result<(usize, usize, usize, usize), Error> {
    let n = x.rows();
    let columns = positions("khatri_rao: rows of delta", delta.rows(), n)?;
    check_rows("khatri_rao: delta", delta)?;
    check_rows("khatri_rao: x", x)?;
    Ok((n, columns, delta.cols(), x.cols()))
}

/// `out ← β out + JJᵀ`: `out[(c,s), (c′,s′)] = (ΔΔᵀ)[(c,s), (c′,s′)]·(XXᵀ)[s, s′]`.
///
/// Shapes: delta C·n × m (row c·n + s), x n×d̃, out nC×nC, contiguous rows. Only the block rows of the
/// lower triangle are formed, then mirrored; with `beta` ≠ 0 the lower triangle is read. `work`:
/// [`khatri_rao_gram_workspace_len`], may hold NaN.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`].
///
/// ```
/// use relfisher_core::curvature::{khatri_rao_gram, khatri_rao_gram_workspace_len};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (delta, x) = ([1.0, 2.0], [3.0, -1.0]); // two samples, one column, one output, one input
/// let (mut out, mut work) = ([f64::NAN; 4], [f64::NAN; khatri_rao_gram_workspace_len(2, 1)]);
/// let (delta, x) = (MatRef::new(&delta, 2, 1)?, MatRef::new(&x, 2, 1)?);
/// khatri_rao_gram(&Portable, MatMut::new(&mut out, 2, 2)?, 0.0, delta, x, &mut work)?;
/// assert_eq!(out, [9.0, -6.0, -6.0, 4.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn khatri_rao_gram<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    mut out: MatMut<'_, T>,
    beta: T,
    delta: MatRef<'_, T>,
    x: MatRef<'_, T>,
    work: &mut [T],
) -> Result<(), Error> {
    let (n, columns, m, _) = sizes(delta, x)?;
    let order = delta.rows();
    let names = ("khatri_rao_gram: rows of out", "khatri_rao_gram: columns of out");
    check_matrix(names, out.rb(), order, order)?;
    let mut rest = take_work(work, khatri_rao_gram_workspace_len(n, columns))?;
    let inputs = carve(&mut rest, n.saturating_mul(n))?;
    backend.gemm(MatMut::new(&mut *inputs, n, n)?, T::ZERO, T::ONE, x, x.t())?;
    let inputs = MatRef::new(inputs, n, n)?;
    for c in 0..columns {
        let (first, width) = (c.wrapping_mul(n), c.wrapping_add(1).wrapping_mul(n).min(order));
        let mut outer = MatMut::new(&mut *rest, n, width)?;
        let (rows, lower) = (delta.sub(first, 0, n, m)?, delta.sub(0, 0, width, m)?);
        backend.gemm(outer.rb_mut(), T::ZERO, T::ONE, rows, lower.t())?;
        for s in 0..n {
            // Two iterators of chunks are not zipped: that would divide by the length of a chunk.
            let mut parts = outer.row(s).chunks(n.max(1));
            for out in out.row_mut(first.wrapping_add(s)).chunks_mut(n.max(1)) {
                let Some(outer) = parts.next() else { break };
                let terms = outer.iter().zip(inputs.row(s));
                if beta == T::ZERO {
                    for (o, (d, x)) in out.iter_mut().zip(terms) {
                        *o = *d * *x;
                    }
                } else {
                    for (o, (d, x)) in out.iter_mut().zip(terms) {
                        *o = beta * *o + *d * *x;
                    }
                }
            }
        }
    }
    mirror(&mut out);
    Ok(())
}

/// The workspace of [`khatri_rao_gram`] in elements: XXᵀ (n²) and one block row of ΔΔᵀ (n·nC).
#[inline]
pub const fn khatri_rao_gram_workspace_len(n: usize, columns: usize) -> usize {
    let square = n.saturating_mul(n);
    square.saturating_add(square.saturating_mul(columns))
}

/// `out ← β out + J vec V`: `out[c·n + s] = δ_csᵀ V x̃_s`.
///
/// Shapes: delta C·n × m, x n×d̃, v m×d̃ (any strides), out nC. `work`:
/// [`khatri_rao_apply_workspace_len`].
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`].
///
/// ```
/// use relfisher_core::curvature::{khatri_rao_apply, khatri_rao_apply_workspace_len};
/// use relfisher_core::{MatRef, Portable};
/// let (delta, x, v) = ([1.0, 2.0], [3.0, -1.0], [10.0]);
/// let (mut out, mut work) = ([f64::NAN; 2], [f64::NAN; khatri_rao_apply_workspace_len(2, 1)]);
/// let (delta, x, v) = (MatRef::new(&delta, 2, 1)?, MatRef::new(&x, 2, 1)?, MatRef::new(&v, 1, 1)?);
/// khatri_rao_apply(&Portable, &mut out, 0.0, delta, x, v, &mut work)?;
/// assert_eq!(out, [30.0, -20.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn khatri_rao_apply<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    out: &mut [T],
    beta: T,
    delta: MatRef<'_, T>,
    x: MatRef<'_, T>,
    v: MatRef<'_, T>,
    work: &mut [T],
) -> Result<(), Error> {
    let (n, _, m, d) = sizes(delta, x)?;
    check_len("khatri_rao_apply: out", delta.rows(), out.len())?;
    check_len("khatri_rao_apply: rows of v", m, v.rows())?;
    check_len("khatri_rao_apply: columns of v", d, v.cols())?;
    let work = take_work(work, khatri_rao_apply_workspace_len(n, m))?;
    let mut images = MatMut::new(work, n, m)?;
    backend.gemm(images.rb_mut(), T::ZERO, T::ONE, x, v.t())?;
    for (c, out) in out.chunks_mut(n.max(1)).enumerate() {
        for (s, o) in out.iter_mut().enumerate() {
            let sum = dot(delta.row(c.wrapping_mul(n).wrapping_add(s)), images.row(s));
            *o = if beta == T::ZERO { sum } else { beta * *o + sum };
        }
    }
    Ok(())
}

/// The workspace of [`khatri_rao_apply`] in elements: X Vᵀ, n·m.
#[inline]
pub const fn khatri_rao_apply_workspace_len(n: usize, m: usize) -> usize {
    n.saturating_mul(m)
}

/// `Out ← β Out + Jᵀ u`: `Out = Σ_cs u[c·n + s] δ_cs x̃_sᵀ`.
///
/// Shapes: delta C·n × m, x n×d̃, coefficients u nC, out m×d̃ (contiguous rows or columns). `work`:
/// [`khatri_rao_transpose_workspace_len`].
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`].
///
/// ```
/// use relfisher_core::curvature::{khatri_rao_transpose, khatri_rao_transpose_workspace_len};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (delta, x) = ([1.0, 2.0], [3.0, -1.0]);
/// let (mut out, mut work) = ([f64::NAN; 1], [f64::NAN; khatri_rao_transpose_workspace_len(2, 1)]);
/// let (delta, x) = (MatRef::new(&delta, 2, 1)?, MatRef::new(&x, 2, 1)?);
/// let o = MatMut::new(&mut out, 1, 1)?;
/// khatri_rao_transpose(&Portable, o, 0.0, delta, x, &[10.0, 1.0], &mut work)?;
/// assert_eq!(out, [28.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn khatri_rao_transpose<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    out: MatMut<'_, T>,
    beta: T,
    delta: MatRef<'_, T>,
    x: MatRef<'_, T>,
    coefficients: &[T],
    work: &mut [T],
) -> Result<(), Error> {
    let (n, columns, m, d) = sizes(delta, x)?;
    check_len("khatri_rao_transpose: coefficients", delta.rows(), coefficients.len())?;
    check_len("khatri_rao_transpose: rows of out", m, out.rows())?;
    check_len("khatri_rao_transpose: columns of out", d, out.cols())?;
    let work = take_work(work, khatri_rao_transpose_workspace_len(n, m))?;
    let mut sums = MatMut::new(work, n, m)?;
    sums.fill(T::ZERO);
    for c in 0..columns {
        for s in 0..n {
            let row = c.wrapping_mul(n).wrapping_add(s);
            let factor = coefficients.get(row).copied().unwrap_or(T::ZERO);
            crate::blas::vector::axpy(sums.row_mut(s), factor, delta.row(row));
        }
    }
    backend.gemm(out, beta, T::ONE, sums.rb().t(), x)
}

/// The workspace of [`khatri_rao_transpose`] in elements: n·m weighted columns.
#[inline]
pub const fn khatri_rao_transpose_workspace_len(n: usize, m: usize) -> usize {
    n.saturating_mul(m)
}
