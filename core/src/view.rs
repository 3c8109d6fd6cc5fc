//! Strided views of matrices that the caller owns.
//!
//! A view is a slice, a shape and two strides, all in elements. The usual matrix is row-major with
//! contiguous rows ([`MatRef::new`]); [`MatRef::t`] transposes without moving anything, so a
//! routine that takes a `MatRef` needs no transposition flags. Element access cannot panic: a
//! constructor proves that every index lies inside the slice, and an index outside the shape reads
//! as NaN and writes nothing.

use crate::{Error, Real};

/// A read-only matrix view: element (i, j) is `data[i·row_stride + j·col_stride]`.
/// ```
/// use relfisher_core::MatRef;
/// let data = [1.0, 2.0, 3.0, 9.0, 4.0, 5.0, 6.0, 9.0]; // rows of three, a gap behind each
/// let a = MatRef::with_strides(&data, 2, 3, 4, 1)?;
/// assert_eq!((a.rows(), a.cols(), a.row_stride(), a.col_stride()), (2, 3, 4, 1));
/// assert_eq!((a.row(1), a.data().len()), (&[4.0, 5.0, 6.0][..], 8));
/// let corner = a.sub(0, 1, 2, 2)?.t();
/// assert_eq!((corner.at(1, 0), corner.rows_contiguous()), (3.0, false));
/// assert!(corner.check_finite("corner").is_ok());
/// assert!(MatRef::with_strides(&data, 3, 3, 4, 1).is_err(), "the third row is outside");
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MatRef<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// A writable matrix view: element (i, j) is `data[i·row_stride + j·col_stride]`; no two elements
/// share a place.
/// ```
/// use relfisher_core::MatMut;
/// let mut data = [f64::NAN; 6];
/// let mut a = MatMut::new(&mut data, 2, 3)?;
/// a.fill(0.0);
/// a.set(1, 2, 5.0);
/// a.row_mut(0)[1] = 4.0;
/// assert_eq!((a.rows(), a.cols(), a.row_stride(), a.col_stride()), (2, 3, 3, 1));
/// assert_eq!((a.at(1, 2), a.row(0), a.rows_contiguous()), (5.0, &[0.0, 4.0, 0.0][..], true));
/// a.rb_mut().t().set(0, 1, 3.0); // (1, 0) through the transposed view
/// assert_eq!((a.rb().at(1, 0), a.data_mut()[3]), (3.0, 3.0));
/// let read_only = a.into_ref();
/// assert_eq!(read_only.row(1), [3.0, 0.0, 5.0]);
/// let mut shared = [0.0; 4];
/// assert!(MatMut::with_strides(&mut shared, 2, 2, 1, 1).is_err(), "two elements share a place");
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[derive(Debug)]
pub struct MatMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// The number of elements that a view of this shape spans, or `None` on overflow.
const fn span(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> Option<usize> {
    if rows == 0 || cols == 0 {
        return Some(0);
    }
    let Some(down) = (rows - 1).checked_mul(row_stride) else { return None };
    let Some(across) = (cols - 1).checked_mul(col_stride) else { return None };
    let Some(last) = down.checked_add(across) else { return None };
    last.checked_add(1)
}

/// Whether strides address every element of the shape once.
const fn disjoint(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> bool {
    let wide = match cols.checked_mul(col_stride) {
        Some(w) => row_stride >= w && (col_stride > 0 || cols <= 1),
        None => false,
    };
    let tall = match rows.checked_mul(row_stride) {
        Some(h) => col_stride >= h && (row_stride > 0 || rows <= 1),
        None => false,
    };
    rows <= 1 && (cols <= 1 || col_stride > 0) || cols <= 1 && row_stride > 0 || wide || tall
}

impl<'a, T: Real> MatRef<'a, T> {
    /// A row-major matrix with contiguous rows over the first `rows·cols` elements of `data`.
    ///
    /// # Errors
    /// [`Error::Layout`] when `data` is too short.
    ///
    /// ```
    /// use relfisher_core::MatRef;
    /// let a = MatRef::new(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3)?;
    /// assert_eq!((a.at(1, 0), a.t().at(0, 1)), (4.0, 4.0));
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    #[inline]
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Result<Self, Error> {
        Self::with_strides(data, rows, cols, cols, 1)
    }

    /// A view with explicit strides, in elements.
    ///
    /// # Errors
    /// [`Error::Layout`] when an element of the shape lies outside `data`.
    #[inline]
    pub fn with_strides(
        data: &'a [T],
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Result<Self, Error> {
        match span(rows, cols, row_stride, col_stride) {
            Some(s) if s <= data.len() => Ok(Self { data, rows, cols, row_stride, col_stride }),
            _ => Err(Error::Layout { what: "matrix view outside its slice" }),
        }
    }

    /// The number of rows.
    #[inline]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    #[inline]
    pub const fn cols(&self) -> usize {
        self.cols
    }

    /// The distance between two rows, in elements.
    #[inline]
    pub const fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// The distance between two columns, in elements.
    #[inline]
    pub const fn col_stride(&self) -> usize {
        self.col_stride
    }

    /// The slice that the view was made of (element (0, 0) first).
    #[inline]
    pub const fn data(&self) -> &'a [T] {
        self.data
    }

    /// The transposed view; nothing is moved.
    #[inline]
    pub const fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// Element (i, j), or NaN outside the shape.
    #[inline(always)]
    pub fn at(&self, i: usize, j: usize) -> T {
        if i < self.rows && j < self.cols {
            match self
                .data
                .get(i.wrapping_mul(self.row_stride).wrapping_add(j.wrapping_mul(self.col_stride)))
            {
                Some(x) => *x,
                None => T::NAN,
            }
        } else {
            T::NAN
        }
    }

    /// Whether each row is a contiguous slice.
    #[inline(always)]
    pub const fn rows_contiguous(&self) -> bool {
        self.col_stride == 1 || self.cols <= 1
    }

    /// Row i as a slice of `cols` elements; empty when the rows are not contiguous or i is outside.
    #[inline(always)]
    pub fn row(&self, i: usize) -> &'a [T] {
        if i < self.rows && self.rows_contiguous() {
            let start = i.wrapping_mul(self.row_stride);
            self.data.get(start..).and_then(|d| d.get(..self.cols)).unwrap_or(&[])
        } else {
            &[]
        }
    }

    /// The block of `rows × cols` elements whose first element is (i, j).
    ///
    /// # Errors
    /// [`Error::Layout`] when the block leaves the matrix.
    #[inline]
    pub fn sub(self, i: usize, j: usize, rows: usize, cols: usize) -> Result<Self, Error> {
        let outside = Error::Layout { what: "submatrix outside its matrix" };
        match (i.checked_add(rows), j.checked_add(cols)) {
            (Some(r), Some(c)) if r <= self.rows && c <= self.cols => {}
            _ => return Err(outside),
        }
        let start =
            if rows == 0 || cols == 0 { 0 } else { i * self.row_stride + j * self.col_stride };
        let data = self.data.get(start..).ok_or(outside)?;
        Ok(Self { data, rows, cols, row_stride: self.row_stride, col_stride: self.col_stride })
    }

    /// [`Error::NonFinite`] naming `what` when an element is NaN or infinite.
    ///
    /// # Errors
    /// As said.
    pub fn check_finite(&self, what: &'static str) -> Result<(), Error> {
        let solid = self.rows_contiguous();
        for i in 0..self.rows {
            if solid && crate::blas::vector::all_finite(self.row(i)) {
                continue;
            }
            for j in 0..self.cols {
                if !self.at(i, j).is_finite() {
                    return Err(Error::NonFinite {
                        what,
                        index: i.wrapping_mul(self.cols).wrapping_add(j),
                    });
                }
            }
        }
        Ok(())
    }
}

impl<'a, T: Real> MatMut<'a, T> {
    /// A row-major matrix with contiguous rows over the first `rows·cols` elements of `data`.
    ///
    /// # Errors
    /// [`Error::Layout`] when `data` is too short.
    #[inline]
    pub fn new(data: &'a mut [T], rows: usize, cols: usize) -> Result<Self, Error> {
        Self::with_strides(data, rows, cols, cols, 1)
    }

    /// A view with explicit strides, in elements.
    ///
    /// # Errors
    /// [`Error::Layout`] when an element lies outside `data` or two elements share a place.
    #[inline]
    pub fn with_strides(
        data: &'a mut [T],
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Result<Self, Error> {
        if !disjoint(rows, cols, row_stride, col_stride) && rows != 0 && cols != 0 {
            return Err(Error::Layout { what: "overlapping rows or columns of an output" });
        }
        match span(rows, cols, row_stride, col_stride) {
            Some(s) if s <= data.len() => Ok(Self { data, rows, cols, row_stride, col_stride }),
            _ => Err(Error::Layout { what: "matrix view outside its slice" }),
        }
    }

    /// The number of rows.
    #[inline]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    #[inline]
    pub const fn cols(&self) -> usize {
        self.cols
    }

    /// The distance between two rows, in elements.
    #[inline]
    pub const fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// The distance between two columns, in elements.
    #[inline]
    pub const fn col_stride(&self) -> usize {
        self.col_stride
    }

    /// The slice that the view was made of (element (0, 0) first).
    #[inline]
    pub fn data_mut(&mut self) -> &mut [T] {
        self.data
    }

    /// A shorter-lived view of the same matrix.
    #[inline]
    pub fn rb_mut(&mut self) -> MatMut<'_, T> {
        MatMut {
            data: self.data,
            rows: self.rows,
            cols: self.cols,
            row_stride: self.row_stride,
            col_stride: self.col_stride,
        }
    }

    /// A read-only view of the same matrix.
    #[inline]
    pub fn rb(&self) -> MatRef<'_, T> {
        MatRef {
            data: self.data,
            rows: self.rows,
            cols: self.cols,
            row_stride: self.row_stride,
            col_stride: self.col_stride,
        }
    }

    /// The view given up for a read-only one that lives as long.
    #[inline]
    pub fn into_ref(self) -> MatRef<'a, T> {
        MatRef {
            data: self.data,
            rows: self.rows,
            cols: self.cols,
            row_stride: self.row_stride,
            col_stride: self.col_stride,
        }
    }

    /// The transposed view; nothing is moved.
    #[inline]
    pub fn t(self) -> MatMut<'a, T> {
        MatMut {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// Element (i, j), or NaN outside the shape.
    #[inline(always)]
    pub fn at(&self, i: usize, j: usize) -> T {
        self.rb().at(i, j)
    }

    /// Writes element (i, j); outside the shape nothing is written.
    #[inline(always)]
    pub fn set(&mut self, i: usize, j: usize, value: T) {
        if i < self.rows && j < self.cols {
            let k = i.wrapping_mul(self.row_stride).wrapping_add(j.wrapping_mul(self.col_stride));
            if let Some(x) = self.data.get_mut(k) {
                *x = value;
            }
        }
    }

    /// Whether each row is a contiguous slice.
    #[inline(always)]
    pub const fn rows_contiguous(&self) -> bool {
        self.col_stride == 1 || self.cols <= 1
    }

    /// Row i as a slice of `cols` elements; empty when the rows are not contiguous or i is outside.
    #[inline(always)]
    pub fn row(&self, i: usize) -> &[T] {
        self.rb().row(i)
    }

    /// Row i as a writable slice; empty when the rows are not contiguous or i is outside.
    #[inline(always)]
    pub fn row_mut(&mut self, i: usize) -> &mut [T] {
        if i < self.rows && self.rows_contiguous() {
            let (start, cols) = (i.wrapping_mul(self.row_stride), self.cols);
            self.data.get_mut(start..).and_then(|d| d.get_mut(..cols)).unwrap_or(&mut [])
        } else {
            &mut []
        }
    }

    /// Sets every element.
    pub fn fill(&mut self, value: T) {
        for i in 0..self.rows {
            for j in 0..self.cols {
                self.set(i, j, value);
            }
        }
    }
}
