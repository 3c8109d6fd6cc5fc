//! The Cholesky factorisation of one matrix.

use super::panel::factor;
use super::rows::{Strided, bad_diagonal, first_non_finite, row};
use crate::error::check_len;
use crate::{Error, MatMut, MatRef, Real};

/// [`Error::Shape`] unless square, [`Error::Layout`] unless the rows are contiguous.
#[inline(always)]
pub(crate) fn check_square<T: Real>(a: &MatRef<'_, T>, what: &'static str) -> Result<(), Error> {
    check_len(what, a.rows(), a.cols())?;
    if a.rows_contiguous() { Ok(()) } else { Err(Error::Layout { what }) }
}

/// [`Error::Parameter`] unless λ is finite and not negative.
#[inline(always)]
pub(crate) fn check_damping<T: Real>(damping: T) -> Result<(), Error> {
    if damping >= T::ZERO && damping.is_finite() {
        Ok(())
    } else {
        Err(Error::Parameter { what: "damping must be finite and >= 0" })
    }
}

/// `A + λI = L Lᵀ` in place.
///
/// Reads the lower triangle of `a` (d×d, contiguous rows), writes L there and zeros above it. Row
/// by row in dot-product form, d³/3 FLOPs.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Parameter`] for a negative damping,
/// [`Error::NonFinite`], [`Error::NotPositiveDefinite`] with the pivot (see
/// [`pivot_tolerance`](super::pivot_tolerance)).
///
/// ```
/// use relfisher_core::{Error, MatMut, factor};
/// let mut a = [3.0, 0.0, 2.0, 4.0];
/// factor::cholesky(MatMut::new(&mut a, 2, 2)?, 1.0)?;
/// assert_eq!(a, [2.0, 0.0, 1.0, 2.0]);
/// let mut singular = [1.0, 1.0, 1.0, 1.0];
/// let refused = factor::cholesky(MatMut::new(&mut singular, 2, 2)?, 0.0);
/// assert_eq!(refused, Err(Error::NotPositiveDefinite { block: 0, pivot: 1 }));
/// # Ok::<(), Error>(())
/// ```
#[inline(always)]
pub fn cholesky<T: Real>(mut a: MatMut<'_, T>, damping: T) -> Result<(), Error> {
    check_square(&a.rb(), "cholesky: a")?;
    check_damping(damping)?;
    let (d, rows) = (a.rows(), Strided(a.row_stride()));
    if let Some(index) = first_non_finite(a.data_mut(), d, rows) {
        let (i, j) = unpack_index(index);
        return Err(Error::NonFinite { what: "cholesky: a", index: i.wrapping_mul(d) + j });
    }
    factor(a.data_mut(), d, rows, damping)
        .map_err(|pivot| Error::NotPositiveDefinite { block: 0, pivot })?;
    for i in 0..d {
        if let Some(above) = a.row_mut(i).get_mut(i + 1..) {
            above.fill(T::ZERO);
        }
    }
    Ok(())
}

/// The row and column of a packed index.
#[inline]
pub(crate) fn unpack_index(index: usize) -> (usize, usize) {
    let (mut i, mut start) = (0_usize, 0_usize);
    while start + i < index {
        start += i + 1;
        i += 1;
    }
    (i, index - start)
}

/// `ln det(L Lᵀ) = 2 Σ ln L_ii` from the factor of [`cholesky`], d×d with contiguous rows.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::NotPositiveDefinite`] when a diagonal element is
/// not positive and finite.
///
/// ```
/// use relfisher_core::{MatRef, factor};
/// let value = factor::log_determinant(MatRef::new(&[2.0_f64, 0.0, 1.0, 2.0], 2, 2)?)?;
/// assert!((value - 16.0_f64.ln()).abs() < 1e-15);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn log_determinant<T: Real>(l: MatRef<'_, T>) -> Result<T, Error> {
    check_square(&l, "log_determinant: l")?;
    log_diagonal(l.data(), l.rows(), Strided(l.row_stride()), 0)
}

/// 2 Σ ln L_ii of one triangle.
#[inline(always)]
pub(crate) fn log_diagonal<T: Real>(
    l: &[T],
    d: usize,
    rows: impl super::rows::Rows,
    block: usize,
) -> Result<T, Error> {
    if let Some(pivot) = bad_diagonal(l, d, rows) {
        return Err(Error::NotPositiveDefinite { block, pivot });
    }
    let mut sum = T::ZERO;
    for i in 0..d {
        sum += row(l, rows, i).last().copied().unwrap_or(T::ONE).ln();
    }
    Ok(T::TWO * sum)
}
