//! Batches of packed matrices: one lower triangle a row, factored and solved independently.

use super::cholesky::{check_damping, log_diagonal};
use super::inverse::{gram_of_inverse, invert_factor};
use super::panel::factor;
use super::rows::{Packed, backward, bad_diagonal, first_non_finite, forward};
use crate::blas::kernel::{Triangle, packed_start};
use crate::blas::vector::all_finite;
use crate::error::{check_len, take_work};
use crate::kron::packed_len;
use crate::{Error, MatMut, MatRef, Real};

/// Shapes, layout, damping and finite input of a batch.
#[inline(always)]
fn check<T: Real>(blocks: &MatMut<'_, T>, d: usize, damping: T) -> Result<(), Error> {
    check_len("packed blocks: columns", packed_len(d), blocks.cols())?;
    check_damping(damping)?;
    if !blocks.rows_contiguous() {
        return Err(Error::Layout { what: "packed blocks: contiguous rows needed" });
    }
    Ok(())
}

#[inline(always)]
fn factor_block<T: Real>(block: &mut [T], i: usize, d: usize, damping: T) -> Result<(), Error> {
    if let Some(k) = first_non_finite(block, d, Packed) {
        let index = i.wrapping_mul(packed_start(d)).wrapping_add(k);
        return Err(Error::NonFinite { what: "packed blocks", index });
    }
    factor(block, d, Packed, damping)
        .map_err(|pivot| Error::NotPositiveDefinite { block: i, pivot })
}

/// `block_i + λI = L_i L_iᵀ` in place for every packed row of `blocks` (m × d(d+1)/2, contiguous
/// rows).
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Parameter`] for a negative damping,
/// [`Error::NonFinite`], [`Error::NotPositiveDefinite`] naming block and pivot.
///
/// ```
/// use relfisher_core::{MatMut, factor};
/// let mut blocks = [3.0, 2.0, 4.0, 0.0, 0.0, 3.0];
/// factor::packed_cholesky(MatMut::new(&mut blocks, 2, 3)?, 2, 1.0)?;
/// assert_eq!(blocks, [2.0, 1.0, 2.0, 1.0, 0.0, 2.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn packed_cholesky<T: Real>(
    mut blocks: MatMut<'_, T>,
    d: usize,
    damping: T,
) -> Result<(), Error> {
    check(&blocks, d, damping)?;
    for i in 0..blocks.rows() {
        factor_block(blocks.row_mut(i), i, d, damping)?;
    }
    Ok(())
}

/// `v_i ← (L_i L_iᵀ)⁻¹ v_i` for every row of v (m×d) with the factors of [`packed_cholesky`]
/// (m × d(d+1)/2), contiguous rows.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::NonFinite`] for v,
/// [`Error::NotPositiveDefinite`] for a factor whose diagonal is not positive and finite.
///
/// ```
/// use relfisher_core::{MatMut, MatRef, factor};
/// let mut v = [6.0, 17.0];
/// let factors = MatRef::new(&[2.0, 1.0, 2.0], 1, 3)?;
/// factor::packed_cholesky_solve(MatMut::new(&mut v, 1, 2)?, factors)?;
/// assert_eq!(v, [-0.25, 3.5]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn packed_cholesky_solve<T: Real>(
    mut v: MatMut<'_, T>,
    factors: MatRef<'_, T>,
) -> Result<(), Error> {
    let d = v.cols();
    check_len("packed_cholesky_solve: rows of factors", v.rows(), factors.rows())?;
    check_len("packed_cholesky_solve: columns of factors", packed_len(d), factors.cols())?;
    if !(v.rows_contiguous() && factors.rows_contiguous()) {
        return Err(Error::Layout { what: "packed_cholesky_solve: contiguous rows needed" });
    }
    for i in 0..v.rows() {
        let (x, l) = (v.row_mut(i), factors.row(i));
        if !all_finite(x) {
            let j = x.iter().position(|x| !x.is_finite()).unwrap_or(0);
            let index = i.wrapping_mul(d).wrapping_add(j);
            return Err(Error::NonFinite { what: "packed_cholesky_solve: v", index });
        }
        if let Some(pivot) = bad_diagonal(l, d, Packed) {
            return Err(Error::NotPositiveDefinite { block: i, pivot });
        }
        forward(x, l, Packed);
        backward(x, l, Packed);
    }
    Ok(())
}

/// `block_i ← (block_i + λI)⁻¹` in place for every packed row of `blocks` (m × d(d+1)/2,
/// contiguous rows). `work`: [`packed_inverse_workspace_len`], may hold NaN.
///
/// # Errors
/// As [`packed_cholesky`], and [`Error::Workspace`].
///
/// ```
/// use relfisher_core::{MatMut, factor};
/// let mut block = [3.0, 2.0, 4.0];
/// let mut work = [0.0; factor::packed_inverse_workspace_len(2)];
/// factor::packed_inverse(MatMut::new(&mut block, 1, 3)?, 2, 1.0, &mut work)?;
/// assert_eq!(block, [0.3125, -0.125, 0.25]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn packed_inverse<T: Real>(
    mut blocks: MatMut<'_, T>,
    d: usize,
    damping: T,
    work: &mut [T],
) -> Result<(), Error> {
    check(&blocks, d, damping)?;
    let work = take_work(work, packed_inverse_workspace_len(d))?;
    for i in 0..blocks.rows() {
        let block = blocks.row_mut(i);
        factor_block(block, i, d, damping)?;
        invert_factor(work, block, d, Packed);
        gram_of_inverse(&mut Triangle(block), work, d)?;
    }
    Ok(())
}

/// The workspace of [`packed_inverse`] in elements: d².
#[inline]
pub const fn packed_inverse_workspace_len(d: usize) -> usize {
    d.saturating_mul(d)
}

/// `Σ_i ln det(L_i L_iᵀ)` over the factors of [`packed_cholesky`] (m × d(d+1)/2, contiguous rows).
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::NotPositiveDefinite`].
/// ```
/// use relfisher_core::{MatRef, factor::packed_log_determinant};
/// let factors = [2.0, 9.0, 3.0]; // L = [2 0; 9 3]
/// let sum = packed_log_determinant(MatRef::new(&factors, 1, 3)?, 2)?;
/// assert!((sum - 36.0_f64.ln()).abs() < 1e-14);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn packed_log_determinant<T: Real>(factors: MatRef<'_, T>, d: usize) -> Result<T, Error> {
    check_len("packed_log_determinant: columns", packed_len(d), factors.cols())?;
    if !factors.rows_contiguous() {
        return Err(Error::Layout { what: "packed_log_determinant: contiguous rows needed" });
    }
    let mut sum = T::ZERO;
    for i in 0..factors.rows() {
        sum += log_diagonal(factors.row(i), d, Packed, i)?;
    }
    Ok(sum)
}
