//! Matrices on the device: rows at equal distances.

use std::ops::Range;

use relfisher_core::Error as CoreError;
use relfisher_kernels::Word;

use super::Error;
use super::memory::{View, ViewMut};

/// A matrix for reading: row i begins at value i·stride.
pub struct Matrix<'a, T> {
    pub(super) values: View<'a, T>,
    rows: usize,
    cols: usize,
    stride: usize,
}

impl<T> Clone for Matrix<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Matrix<'_, T> {}

/// A matrix for writing: row i begins at value i·stride.
pub struct MatrixMut<'a, T> {
    pub(super) values: ViewMut<'a, T>,
    rows: usize,
    cols: usize,
    stride: usize,
}

/// The largest distance of rows: kernels index inside a tile of 128 rows with 32 bits.
const MOST_STRIDE: usize = 1 << 24;

/// Rows of `cols` values at a distance of `stride` inside `len` values.
fn check(len: usize, rows: usize, cols: usize, stride: usize) -> Result<(), CoreError> {
    let fits = rows == 0
        || (rows - 1)
            .checked_mul(stride)
            .and_then(|before| before.checked_add(cols))
            .is_some_and(|needed| needed <= len);
    if !fits {
        let what = "matrix on the device: values";
        return Err(CoreError::Shape { what, expected: rows.saturating_mul(stride), found: len });
    }
    if cols > stride || stride > MOST_STRIDE || u32::try_from(rows).is_err() {
        return Err(CoreError::Layout { what: "matrix on the device" });
    }
    Ok(())
}

/// Where rows × columns of a matrix with such sides stand among its values, gaps between rows
/// included.
fn place(
    [height, width, stride]: [usize; 3],
    rows: &Range<usize>,
    cols: &Range<usize>,
) -> Result<Range<usize>, CoreError> {
    for (range, end) in [(rows, height), (cols, width)] {
        if range.start > range.end || range.end > end {
            let what = "block of a matrix on the device";
            return Err(CoreError::Shape { what, expected: end, found: range.end });
        }
    }
    // No product overflows: the whole matrix was found to fit.
    let start = if rows.is_empty() { 0 } else { rows.start * stride + cols.start };
    let end = if rows.is_empty() { 0 } else { (rows.end - 1) * stride + cols.end };
    Ok(start..end)
}

impl<'a, T: Word> Matrix<'a, T> {
    /// The first `rows·cols` values, row by row.
    ///
    /// # Errors
    /// Fewer values.
    pub fn new(values: View<'a, T>, rows: usize, cols: usize) -> Result<Self, CoreError> {
        Self::strided(values, rows, cols, cols)
    }

    /// Rows of `cols` values, `stride` apart.
    ///
    /// # Errors
    /// Fewer values; `stride < cols`; rows more than 2²⁴ values apart.
    pub fn strided(
        values: View<'a, T>,
        rows: usize,
        cols: usize,
        stride: usize,
    ) -> Result<Self, CoreError> {
        check(values.len(), rows, cols, stride)?;
        Ok(Self { values, rows, cols, stride })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Values from a row to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// A block of the matrix: its rows are as far apart.
    ///
    /// # Errors
    /// A range that leaves the matrix.
    pub fn block(self, rows: Range<usize>, cols: Range<usize>) -> Result<Self, CoreError> {
        let values = place([self.rows, self.cols, self.stride], &rows, &cols)?;
        let values = self.values.slice(values);
        Ok(Self { values, rows: rows.len(), cols: cols.len(), stride: self.stride })
    }

    /// The first `cols` columns.
    #[must_use]
    pub fn columns(self, cols: usize) -> Self {
        Self { cols: cols.min(self.cols), ..self }
    }
}

impl<'a, T: Word> MatrixMut<'a, T> {
    /// The first `rows·cols` values, row by row.
    ///
    /// # Errors
    /// Fewer values.
    pub fn new(values: ViewMut<'a, T>, rows: usize, cols: usize) -> Result<Self, CoreError> {
        Self::strided(values, rows, cols, cols)
    }

    /// Rows of `cols` values, `stride` apart.
    ///
    /// # Errors
    /// Fewer values; `stride < cols`; rows more than 2²⁴ values apart.
    pub fn strided(
        values: ViewMut<'a, T>,
        rows: usize,
        cols: usize,
        stride: usize,
    ) -> Result<Self, CoreError> {
        check(values.len(), rows, cols, stride)?;
        Ok(Self { values, rows, cols, stride })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Values from a row to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The same matrix for a shorter time.
    pub fn again(&mut self) -> MatrixMut<'_, T> {
        let Self { rows, cols, stride, .. } = *self;
        MatrixMut { values: self.values.again(), rows, cols, stride }
    }

    /// A block of the matrix: its rows are as far apart. What stands between them belongs to the view
    /// but not to the block, so one launch never gets two blocks of a matrix of which it writes one.
    ///
    /// # Errors
    /// A range that leaves the matrix.
    pub fn block(
        self,
        rows: Range<usize>,
        cols: Range<usize>,
    ) -> Result<MatrixMut<'a, T>, CoreError> {
        let values = place([self.rows, self.cols, self.stride], &rows, &cols)?;
        let values = self.values.slice(values);
        Ok(MatrixMut { values, rows: rows.len(), cols: cols.len(), stride: self.stride })
    }

    /// The values behind the matrix, gaps between rows included.
    pub fn values(self) -> ViewMut<'a, T> {
        self.values
    }

    /// Copies a matrix of the same shape; both without gaps between rows.
    ///
    /// # Errors
    /// Shape, gaps; a failed call.
    pub fn copy_from(&mut self, from: Matrix<'_, T>) -> Result<(), Error> {
        let whole = |rows, cols, stride| rows <= 1 || cols == stride;
        let alike = (self.rows, self.cols) == (from.rows, from.cols);
        if !alike || !whole(self.rows, self.cols, self.stride) || from.stride != self.stride {
            return Err(CoreError::Layout { what: "copy of a matrix on the device" }.into());
        }
        let count = self.rows * self.cols;
        self.values.again().slice(0..count).copy_from(from.values.slice(0..count))
    }

    /// The same matrix for reading.
    pub fn read(&self) -> Matrix<'_, T> {
        let Self { rows, cols, stride, .. } = *self;
        Matrix { values: self.values.read(), rows, cols, stride }
    }
}
