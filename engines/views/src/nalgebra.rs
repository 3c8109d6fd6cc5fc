//! Views of `nalgebra` matrices.
//!
//! From samples as columns to the metric of a layer, without a copy:
//!
//! ```
//! use nalgebra::{Matrix3, RowVector3, Vector3};
//! use relfisher_core::metric::layer::{LayerMetric, NonlinearMetric};
//! use relfisher_core::{Portable, metric::neuron::Response};
//! use relfisher_views::nalgebra::{view, view_mut};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Two inputs and the bias of three samples, one a column; gradients are d̃ × m.
//! let x = Matrix3::new(1.0, -2.0, 0.5, 0.0, 1.0, 3.0, 1.0, 1.0, 1.0);
//! let t = RowVector3::new(0.5, -0.25, 0.125) * x; // of one tanh neuron
//! let mut nu = RowVector3::zeros();
//! Response::Tanh.nu_slice(nu.as_mut_slice(), t.as_slice())?;
//! // The core reads rows: the transposes have a sample in each.
//! let metric = NonlinearMetric::new(view(&x)?.t(), view(&nu)?.t())?;
//!
//! let (gradient, mut product) = (Vector3::new(0.5, 0.25, -1.0), Vector3::zeros());
//! let mut work = vec![0.0; metric.multiply_workspace_len()];
//! metric.multiply(&Portable, view_mut(&mut product)?.t(), view(&gradient)?.t(), &mut work)?;
//!
//! // Ḡ times the gradient by nalgebra's own products.
//! let mean = x * Matrix3::from_diagonal(&nu.transpose()) * x.transpose() / 3.0;
//! assert!((mean * gradient - product).amax() < 1e-14);
//! # Ok(())
//! # }
//! ```

use std::slice;

use nalgebra::{DMatrixView, DMatrixViewMut, Dim, Dyn, Matrix, RawStorage, RawStorageMut};
use relfisher_core::{MatMut, MatRef, Real};

use crate::{Layout, ViewError};

/// A core view as one of `nalgebra`, with strides that are known when it runs.
pub type View<'a, T> = DMatrixView<'a, T, Dyn, Dyn>;

/// The same to be written.
pub type ViewMut<'a, T> = DMatrixViewMut<'a, T, Dyn, Dyn>;

/// Where a matrix lies.
pub fn layout<T, R: Dim, C: Dim, S: RawStorage<T, R, C>>(matrix: &Matrix<T, R, C, S>) -> Layout {
    let ((rows, cols), (down, across)) = (matrix.shape(), matrix.strides());
    // Strides of elements in memory are below isize::MAX.
    let signed = |stride: usize| isize::try_from(stride).unwrap_or(isize::MAX);
    let (row_stride, col_stride) = (signed(down), signed(across));
    Layout { address: matrix.as_ptr().addr(), rows, cols, row_stride, col_stride }
}

/// A dense matrix, of any dimensions and storage, as a core view.
///
/// # Errors
/// [`ViewError::Gaps`].
///
/// ```
/// let a = nalgebra::DMatrix::from_row_slice(2, 2, &[1.0, 2.0, 3.0, 4.0]);
/// let view = relfisher_views::nalgebra::view(&a)?;
/// assert_eq!((view.at(0, 1), view.data().as_ptr()), (2.0, a.as_ptr()));
/// # Ok::<(), relfisher_views::ViewError>(())
/// ```
pub fn view<T: Real, R: Dim, C: Dim, S: RawStorage<T, R, C>>(
    matrix: &Matrix<T, R, C, S>,
) -> Result<MatRef<'_, T>, ViewError> {
    let place = layout(matrix);
    place.dense()?;
    if place.rows == 0 || place.cols == 0 {
        return place.within(&[]);
    }
    // SAFETY: the storage promises that its pointer and strides address rows·cols initialised elements
    // that are borrowed as long as `matrix`; dense, they are exactly those behind the pointer.
    let data = unsafe { slice::from_raw_parts(matrix.as_ptr(), place.rows * place.cols) };
    place.within(data)
}

/// A dense matrix as a writable core view.
///
/// # Errors
/// [`ViewError::Gaps`].
pub fn view_mut<T: Real, R: Dim, C: Dim, S: RawStorageMut<T, R, C>>(
    matrix: &mut Matrix<T, R, C, S>,
) -> Result<MatMut<'_, T>, ViewError> {
    let place = layout(matrix);
    place.dense()?;
    if place.rows == 0 || place.cols == 0 {
        return place.within_mut(&mut []);
    }
    let pointer = matrix.data.ptr_mut();
    // SAFETY: as in `view`, and the borrow of `matrix` is exclusive.
    let data = unsafe { slice::from_raw_parts_mut(pointer, place.rows * place.cols) };
    place.within_mut(data)
}

/// A core view for `nalgebra`; every view can be had.
///
/// # Errors
/// [`ViewError::Negative`] for strides above `isize::MAX`, which no slice of numbers has.
pub fn of<T: Real>(view: MatRef<'_, T>) -> Result<View<'_, T>, ViewError> {
    let (down, across) = Layout::from(view).strides()?;
    let (data, rows, cols) = (view.data(), view.rows(), view.cols());
    Ok(View::from_slice_with_strides(data, rows, cols, down, across))
}

/// A writable core view for `nalgebra`.
///
/// # Errors
/// Those of [`of`].
pub fn of_mut<'a, T: Real>(view: &'a mut MatMut<'_, T>) -> Result<ViewMut<'a, T>, ViewError> {
    let (down, across) = Layout::from(view.rb()).strides()?;
    let (rows, cols) = (view.rows(), view.cols());
    Ok(ViewMut::from_slice_with_strides_mut(view.data_mut(), rows, cols, down, across))
}
