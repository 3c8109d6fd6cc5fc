//! Triangular solves and the solve with a Cholesky factor.

use super::cholesky::check_square;
use super::rows::{Strided, backward, backward_panel, bad_diagonal, forward, forward_panel};
use crate::blas::kernel::NR;
use crate::blas::vector::all_finite;
use crate::error::check_len;
use crate::{Error, MatMut, MatRef, Real};

/// Which triangular matrix a solve divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Triangular {
    /// L, the lower triangle as stored.
    Lower,
    /// Lᵀ.
    LowerTransposed,
}

/// Shapes, layout, finite right sides, positive diagonal.
#[inline(always)]
fn check<T: Real>(b: &MatMut<'_, T>, order: usize, l: &MatRef<'_, T>) -> Result<(), Error> {
    check_square(l, "triangular solve: l")?;
    check_len("triangular solve: b", l.rows(), order)?;
    if !b.rows_contiguous() {
        return Err(Error::Layout { what: "triangular solve: b needs contiguous rows" });
    }
    for i in 0..b.rows() {
        let row = b.row(i);
        if !all_finite(row) {
            let j = row.iter().position(|x| !x.is_finite()).unwrap_or(0);
            let index = i.wrapping_mul(b.cols()) + j;
            return Err(Error::NonFinite { what: "triangular solve: b", index });
        }
    }
    match bad_diagonal(l.data(), l.rows(), Strided(l.row_stride())) {
        Some(pivot) => Err(Error::NotPositiveDefinite { block: 0, pivot }),
        None => Ok(()),
    }
}

/// One left solve on checked arguments.
#[inline(always)]
fn left<T: Real>(b: &mut MatMut<'_, T>, l: &MatRef<'_, T>, which: Triangular) {
    let (d, rows) = (l.rows(), Strided(l.row_stride()));
    let (stride, width) = (b.row_stride(), b.cols());
    let data = b.data_mut();
    if width == 1 && stride == 1 {
        let Some(x) = data.get_mut(..d) else { return };
        match which {
            Triangular::Lower => forward(x, l.data(), rows),
            Triangular::LowerTransposed => backward(x, l.data(), rows),
        }
        return;
    }
    for j in (0..width).step_by(NR) {
        match which {
            Triangular::Lower => {
                forward_panel(data, (stride, width), l.data(), (d, rows), (j, 0));
            }
            Triangular::LowerTransposed => {
                backward_panel(data, (stride, width), l.data(), (d, rows), j);
            }
        }
    }
}

/// `B ← L⁻¹ B` or `B ← L⁻ᵀ B`.
///
/// Shapes: l d×d lower triangular with a positive diagonal (what lies above it is not read), b d×k,
/// both with contiguous rows. d²k FLOPs.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::NonFinite`] for b,
/// [`Error::NotPositiveDefinite`] for a diagonal element that is not positive and finite.
///
/// ```
/// use relfisher_core::{MatMut, MatRef, factor::{self, Triangular}};
/// let l = [2.0, f64::NAN, 1.0, 4.0];
/// let mut b = [2.0, 9.0];
/// let l = MatRef::new(&l, 2, 2)?;
/// factor::triangular_solve_left(MatMut::new(&mut b, 2, 1)?, l, Triangular::Lower)?;
/// assert_eq!(b, [1.0, 2.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn triangular_solve_left<T: Real>(
    mut b: MatMut<'_, T>,
    l: MatRef<'_, T>,
    which: Triangular,
) -> Result<(), Error> {
    check(&b, b.rows(), &l)?;
    left(&mut b, &l, which);
    Ok(())
}

/// `B ← B L⁻¹` or `B ← B L⁻ᵀ`, row by row.
///
/// Shapes: l d×d lower triangular with a positive diagonal, b k×d, both with contiguous rows.
///
/// # Errors
/// As [`triangular_solve_left`].
///
/// ```
/// use relfisher_core::{MatMut, MatRef, factor::{self, Triangular}};
/// let mut b = [2.0, 9.0];
/// let l = MatRef::new(&[2.0, 0.0, 1.0, 4.0], 2, 2)?;
/// let transposed = Triangular::LowerTransposed;
/// factor::triangular_solve_right(MatMut::new(&mut b, 1, 2)?, l, transposed)?;
/// assert_eq!(b, [1.0, 2.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn triangular_solve_right<T: Real>(
    mut b: MatMut<'_, T>,
    l: MatRef<'_, T>,
    which: Triangular,
) -> Result<(), Error> {
    check(&b, b.cols(), &l)?;
    for i in 0..b.rows() {
        let (x, rows) = (b.row_mut(i), Strided(l.row_stride()));
        match which {
            // x L⁻¹ = (L⁻ᵀ xᵀ)ᵀ
            Triangular::Lower => backward(x, l.data(), rows),
            Triangular::LowerTransposed => forward(x, l.data(), rows),
        }
    }
    Ok(())
}

/// `B ← (L Lᵀ)⁻¹ B` with the factor of [`cholesky`](super::cholesky()).
///
/// Shapes: l d×d with contiguous rows, b d×k with contiguous rows or columns: with the columns of a
/// transposed view this is V ← V (L Lᵀ)⁻¹. 2d²k FLOPs.
///
/// # Errors
/// As [`triangular_solve_left`].
///
/// ```
/// use relfisher_core::{MatMut, MatRef, factor};
/// let mut b = [6.0, 17.0];
/// let l = MatRef::new(&[2.0, 0.0, 1.0, 2.0], 2, 2)?;
/// factor::cholesky_solve(MatMut::new(&mut b, 2, 1)?, l)?;
/// assert_eq!(b, [-0.25, 3.5]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn cholesky_solve<T: Real>(mut b: MatMut<'_, T>, l: MatRef<'_, T>) -> Result<(), Error> {
    // A single row seen through a transposed view has contiguous rows too, but a stride below its length.
    if b.row_stride() == 1 && b.cols() > 1 {
        let mut rows = b.t();
        triangular_solve_right(rows.rb_mut(), l, Triangular::LowerTransposed)?;
        return triangular_solve_right(rows, l, Triangular::Lower);
    }
    check(&b, b.rows(), &l)?;
    left(&mut b, &l, Triangular::Lower);
    left(&mut b, &l, Triangular::LowerTransposed);
    Ok(())
}

/// Calls `solve` with each matrix of d rows of `b`, which lie one below the other with contiguous rows, from the
/// first on: what [`Backend::cholesky_solve_stacked`](crate::Backend::cholesky_solve_stacked) solves for.
///
/// # Errors
/// [`Error::Layout`]; [`Error::Shape`] when d does not divide the rows; the first error of `solve`.
///
/// ```
/// use relfisher_core::{MatMut, factor};
/// let mut b = [1.0, 2.0, 3.0, 4.0];
/// factor::for_each_stacked(MatMut::new(&mut b, 4, 1)?, 2, |mut part| {
///     part.row_mut(0).fill(0.0);
///     Ok(())
/// })?;
/// assert_eq!(b, [0.0, 2.0, 0.0, 4.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn for_each_stacked<T: Real>(
    mut b: MatMut<'_, T>,
    d: usize,
    mut solve: impl FnMut(MatMut<'_, T>) -> Result<(), Error>,
) -> Result<(), Error> {
    if !b.rows_contiguous() {
        return Err(Error::Layout { what: "stacked solve: b needs contiguous rows" });
    }
    let (k, stride, count) = (b.cols(), b.row_stride(), b.rows().checked_div(d).unwrap_or(0));
    check_len("stacked solve: rows of b, a multiple of the order", count * d, b.rows())?;
    for i in 0..count {
        let rest = b.data_mut().get_mut(i * d * stride..).unwrap_or_default();
        solve(MatMut::with_strides(rest, d, k, stride, 1)?)?;
    }
    Ok(())
}
