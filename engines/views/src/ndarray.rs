//! Views of `ndarray` matrices.

use ndarray::{
    ArrayBase, ArrayView2, ArrayViewMut2, Data, DataMut, Ix2, ShapeBuilder, StrideShape,
};
use relfisher_core::{MatMut, MatRef, Real};

use crate::{Layout, ViewError};

/// Where a matrix lies.
pub fn layout<S: Data>(matrix: &ArrayBase<S, Ix2>) -> Layout {
    let (rows, cols) = matrix.dim();
    let strides = matrix.strides();
    let address = matrix.as_ptr().addr();
    Layout { address, rows, cols, row_stride: strides[0], col_stride: strides[1] }
}

/// A dense matrix, row by row or column by column, as a core view.
///
/// # Errors
/// [`ViewError::Negative`], [`ViewError::Gaps`] (broadcast matrices too).
///
/// ```
/// let a = ndarray::array![[1.0, 2.0], [3.0, 4.0]];
/// let view = relfisher_views::ndarray::view(&a)?;
/// assert_eq!(view.data().as_ptr(), a.as_ptr());
/// # Ok::<(), relfisher_views::ViewError>(())
/// ```
pub fn view<T: Real, S: Data<Elem = T>>(
    matrix: &ArrayBase<S, Ix2>,
) -> Result<MatRef<'_, T>, ViewError> {
    let place = layout(matrix);
    place.dense()?;
    place.within(matrix.as_slice_memory_order().ok_or(ViewError::Gaps)?)
}

/// A dense matrix as a writable core view.
///
/// # Errors
/// Those of [`view`].
pub fn view_mut<T: Real, S: DataMut<Elem = T>>(
    matrix: &mut ArrayBase<S, Ix2>,
) -> Result<MatMut<'_, T>, ViewError> {
    let place = layout(matrix);
    place.dense()?;
    place.within_mut(matrix.as_slice_memory_order_mut().ok_or(ViewError::Gaps)?)
}

/// A core view for `ndarray`; every view can be had.
///
/// # Errors
/// [`ViewError::Outside`] when `ndarray` refuses the strides, which no core view gives it reason to.
pub fn of<T: Real>(view: MatRef<'_, T>) -> Result<ArrayView2<'_, T>, ViewError> {
    ArrayView2::from_shape(shape(view)?, view.data()).map_err(|_| ViewError::Outside)
}

/// A writable core view for `ndarray`.
///
/// # Errors
/// Those of [`of`].
pub fn of_mut<'a, T: Real>(view: &'a mut MatMut<'_, T>) -> Result<ArrayViewMut2<'a, T>, ViewError> {
    ArrayViewMut2::from_shape(shape(view.rb())?, view.data_mut()).map_err(|_| ViewError::Outside)
}

/// Shape and strides. `ndarray` wants those of a matrix without elements to fit the slice all the same:
/// 0 always does.
fn shape<T: Real>(view: MatRef<'_, T>) -> Result<StrideShape<Ix2>, ViewError> {
    let empty = view.rows() == 0 || view.cols() == 0;
    let strides = if empty { (0, 0) } else { Layout::from(view).strides()? };
    Ok((view.rows(), view.cols()).strides(strides))
}
