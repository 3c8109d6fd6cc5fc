//! Where a matrix lies in memory, and the view of it within a slice.

use relfisher_core::{MatMut, MatRef, Real};

use crate::ViewError;

/// Where a matrix lies: the address of element (0, 0), the shape, the strides in elements. It borrows
/// nothing; [`Layout::within`] proves by addresses that the matrix lies in the slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The address of element (0, 0).
    pub address: usize,
    /// The rows.
    pub rows: usize,
    /// The columns.
    pub cols: usize,
    /// From a row to the next.
    pub row_stride: isize,
    /// From a column to the next.
    pub col_stride: isize,
}

impl Layout {
    /// Strides that matter as unsigned numbers: those of an axis of fewer than two elements do not,
    /// and become those of a dense row-major matrix.
    pub(crate) fn strides(&self) -> Result<(usize, usize), ViewError> {
        let negative = ViewError::Negative(self.row_stride, self.col_stride);
        if self.rows == 0 || self.cols == 0 {
            return Ok((self.cols, 1));
        }
        let usable = |stride: isize| usize::try_from(stride).map_err(|_| negative);
        let across = if self.cols > 1 { usable(self.col_stride)? } else { 1 };
        let down = match self.rows {
            1 => self.cols.saturating_mul(across),
            _ => usable(self.row_stride)?,
        };
        Ok((down, across))
    }

    /// Whether the elements, in some order, follow one another without gaps or overlaps.
    pub fn is_dense(&self) -> bool {
        let Ok((down, across)) = self.strides() else { return false };
        let by_rows = across == 1 && (down == self.cols || self.rows <= 1);
        // A column alone has stride 1 or gaps; `strides` leaves its stride in `down`.
        let by_columns = down == 1 && (across == self.rows || self.cols <= 1);
        self.rows == 0 || self.cols == 0 || by_rows || by_columns
    }

    /// The part of `data` from element (0, 0) on.
    fn offset<T>(&self, start: *const T, len: usize) -> Result<usize, ViewError> {
        if self.rows == 0 || self.cols == 0 {
            return Ok(0);
        }
        let bytes = self.address.checked_sub(start.addr()).ok_or(ViewError::Outside)?;
        let size = size_of::<T>();
        if size == 0 || !bytes.is_multiple_of(size) || bytes / size >= len {
            return Err(ViewError::Outside);
        }
        Ok(bytes / size)
    }

    /// The view of the matrix in the slice that it is a part of.
    ///
    /// # Errors
    /// [`ViewError::Negative`]; [`ViewError::Outside`] when an element is not in `data`.
    pub fn within<'a, T: Real>(&self, data: &'a [T]) -> Result<MatRef<'a, T>, ViewError> {
        let (down, across) = self.strides()?;
        let part = &data[self.offset(data.as_ptr(), data.len())?..];
        MatRef::with_strides(part, self.rows, self.cols, down, across)
            .map_err(|_| ViewError::Outside)
    }

    /// The writable view of the matrix in the slice that it is a part of.
    ///
    /// # Errors
    /// Those of [`Layout::within`]; [`ViewError::Overlap`] when elements share places.
    pub fn within_mut<'a, T: Real>(&self, data: &'a mut [T]) -> Result<MatMut<'a, T>, ViewError> {
        let (down, across) = self.strides()?;
        let offset = self.offset(data.as_ptr(), data.len())?;
        let part = &mut data[offset..];
        if MatRef::with_strides(part, self.rows, self.cols, down, across).is_err() {
            return Err(ViewError::Outside);
        }
        MatMut::with_strides(part, self.rows, self.cols, down, across)
            .map_err(|_| ViewError::Overlap)
    }

    /// Whether a view can do without the slice that the matrix is a part of.
    ///
    /// # Errors
    /// [`ViewError::Negative`]; [`ViewError::Gaps`] unless the matrix is dense.
    pub fn dense(&self) -> Result<(), ViewError> {
        self.strides()?;
        if self.is_dense() { Ok(()) } else { Err(ViewError::Gaps) }
    }
}

/// The layout of a core view.
impl<T: Real> From<MatRef<'_, T>> for Layout {
    fn from(view: MatRef<'_, T>) -> Self {
        Self {
            address: view.data().as_ptr().addr(),
            rows: view.rows(),
            cols: view.cols(),
            // A stride that a slice holds fits; one that does not matter may be anything.
            row_stride: isize::try_from(view.row_stride()).unwrap_or(isize::MAX),
            col_stride: isize::try_from(view.col_stride()).unwrap_or(isize::MAX),
        }
    }
}
