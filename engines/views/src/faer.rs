//! Views of `faer` matrices.
//!
//! A [`faer::Mat`] may pad its columns with memory that was never written; such a one is refused. Hold
//! the numbers in a slice and look at it through both libraries instead: [`of`] takes any core view.

use std::slice;

use relfisher_core::{MatMut, MatRef, Real};

use crate::{Layout, ViewError};

/// Where a matrix lies.
pub fn layout<T>(matrix: faer::MatRef<'_, T>) -> Layout {
    Layout {
        address: matrix.as_ptr().addr(),
        rows: matrix.nrows(),
        cols: matrix.ncols(),
        row_stride: matrix.row_stride(),
        col_stride: matrix.col_stride(),
    }
}

/// A dense matrix as a core view; of an owned one `view(a.as_ref())`.
///
/// # Errors
/// [`ViewError::Negative`], [`ViewError::Gaps`] (padded columns too).
///
/// ```
/// let numbers = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
/// let a = faer::MatRef::from_row_major_slice(&numbers, 2, 3);
/// let view = relfisher_views::faer::view(a)?;
/// assert_eq!((view.at(1, 0), view.data().as_ptr()), (4.0, numbers.as_ptr()));
/// # Ok::<(), relfisher_views::ViewError>(())
/// ```
pub fn view<T: Real>(matrix: faer::MatRef<'_, T>) -> Result<MatRef<'_, T>, ViewError> {
    let place = layout(matrix);
    place.dense()?;
    if place.rows == 0 || place.cols == 0 {
        return place.within(&[]);
    }
    // SAFETY: a `faer::MatRef` addresses rows·cols initialised elements that are borrowed as long as it
    // lives; dense, with strides that are not negative, they are exactly those behind its pointer.
    let data = unsafe { slice::from_raw_parts(matrix.as_ptr(), place.rows * place.cols) };
    place.within(data)
}

/// A dense matrix as a writable core view; of an owned one `view_mut(a.as_mut())`.
///
/// # Errors
/// Those of [`view`].
pub fn view_mut<T: Real>(matrix: faer::MatMut<'_, T>) -> Result<MatMut<'_, T>, ViewError> {
    let place = layout(matrix.as_ref());
    place.dense()?;
    if place.rows == 0 || place.cols == 0 {
        return place.within_mut(&mut []);
    }
    // SAFETY: as in `view`; a `faer::MatMut` is the only borrow of its elements, and it is given up.
    let data = unsafe { slice::from_raw_parts_mut(matrix.as_ptr_mut(), place.rows * place.cols) };
    place.within_mut(data)
}

/// A core view for `faer`; every view can be had.
///
/// # Errors
/// [`ViewError::Negative`] for strides above `isize::MAX`, which no slice of numbers has.
pub fn of<T: Real>(view: MatRef<'_, T>) -> Result<faer::MatRef<'_, T>, ViewError> {
    let (down, across) = signed(view)?;
    let (pointer, rows, cols) = (view.data().as_ptr(), view.rows(), view.cols());
    // SAFETY: the constructor of a core view has proved that every element of the shape lies in its
    // slice, which is borrowed as long.
    Ok(unsafe { faer::MatRef::from_raw_parts(pointer, rows, cols, down, across) })
}

/// A writable core view for `faer`.
///
/// # Errors
/// Those of [`of`].
pub fn of_mut<'a, T: Real>(view: &'a mut MatMut<'_, T>) -> Result<faer::MatMut<'a, T>, ViewError> {
    let (down, across) = signed(view.rb())?;
    let (rows, cols) = (view.rows(), view.cols());
    let pointer = view.data_mut().as_mut_ptr();
    // SAFETY: as in `of`; no two elements of a writable core view share a place, and its slice is
    // borrowed exclusively.
    Ok(unsafe { faer::MatMut::from_raw_parts_mut(pointer, rows, cols, down, across) })
}

/// The strides that matter.
fn signed<T: Real>(view: MatRef<'_, T>) -> Result<(isize, isize), ViewError> {
    let (down, across) = Layout::from(view).strides()?;
    let refused = ViewError::Negative(isize::MAX, isize::MAX);
    let signed = |stride: usize| isize::try_from(stride).map_err(|_| refused);
    Ok((signed(down)?, signed(across)?))
}
