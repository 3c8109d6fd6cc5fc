//! Matrices on the device: rows at equal distances.

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
