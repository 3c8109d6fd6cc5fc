//! Views of `faer` matrices.
//!
//! A [`faer::Mat`] pads its columns to 64 bytes with memory that was never written, so with more than one
//! column, and rows that are no multiple of 8 (f64) or 16 (f32), it is refused: [`ViewError::Padded`]. Hold
//! the numbers in a slice and look at it through both libraries instead.
//!
//! From samples as columns to the metric of a layer, without a copy:
//!
//! ```
//! use faer::{MatMut, MatRef};
//! use relfisher_core::metric::layer::{LayerMetric, NonlinearMetric};
//! use relfisher_core::{Portable, metric::neuron::Response};
//! use relfisher_views::faer::{view, view_mut};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Two inputs and the bias of three samples, one a column; gradients are d̃ × m.
//! let mut inputs = [0.0; 9];
//! let mut x = MatMut::from_column_major_slice_mut(&mut inputs, 3, 3);
//! x.copy_from(faer::mat![[1.0, -2.0, 0.5], [0.0, 1.0, 3.0], [1.0, 1.0, 1.0]]);
//! let w = [0.5, -0.25, 0.125]; // of one tanh neuron
//! let t = faer::RowRef::from_slice(&w) * x.as_ref();
//! let mut nu = [0.0; 3];
//! Response::Tanh.nu_slice(&mut nu, &[t[0], t[1], t[2]])?;
//! let nu = MatRef::from_column_major_slice(&nu, 1, 3);
//! // The core reads rows: the transposes have a sample in each.
//! let metric = NonlinearMetric::new(view(x.as_ref())?.t(), view(nu)?.t())?;
//!
//! let (gradient, mut product) = (faer::mat![[0.5], [0.25], [-1.0]], faer::Mat::zeros(3, 1));
//! let mut work = vec![0.0; metric.multiply_workspace_len()];
//! let (out, g) = (view_mut(product.as_mut())?.t(), view(gradient.as_ref())?.t());
//! metric.multiply(&Portable, out, g, &mut work)?;
//!
//! // Ḡ times the gradient by faer's own products.
//! let weighted = faer::Mat::from_fn(3, 3, |i, s| x[(i, s)] * nu[(0, s)] / 3.0);
//! let wanted = &weighted * (x.as_ref().transpose() * &gradient);
//! assert!((wanted - product).norm_max() < 1e-14);
//! # Ok(())
//! # }
//! ```

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
/// [`ViewError::Negative`], [`ViewError::Gaps`]; [`ViewError::Padded`] for a column-major matrix with places
/// between its columns, or its transpose.
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
    dense(place)?;
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
    dense(place)?;
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

/// [`Layout::dense`]; says of columns with places between them what an owned matrix can do about it.
fn dense(place: Layout) -> Result<(), ViewError> {
    let apart = |near: isize, far: isize, len: usize| {
        near == 1 && usize::try_from(far).is_ok_and(|far| far > len)
    };
    place.dense().map_err(|error| {
        let padded = apart(place.row_stride, place.col_stride, place.rows)
            || apart(place.col_stride, place.row_stride, place.cols);
        if error == ViewError::Gaps && padded { ViewError::Padded } else { error }
    })
}

/// The strides that matter.
fn signed<T: Real>(view: MatRef<'_, T>) -> Result<(isize, isize), ViewError> {
    let (down, across) = Layout::from(view).strides()?;
    let refused = ViewError::Negative(isize::MAX, isize::MAX);
    let signed = |stride: usize| isize::try_from(stride).map_err(|_| refused);
    Ok((signed(down)?, signed(across)?))
}
