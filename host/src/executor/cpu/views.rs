//! Shape checks and the translation of the core's views into those of `faer`.

use relfisher_core::{Error, MatMut, MatRef, Real};

/// `Ok` when `found == expected`.
#[inline]
pub(super) fn check_len(what: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found { Ok(()) } else { Err(Error::Shape { what, expected, found }) }
}

/// `Layout` naming `what` unless `good`.
#[inline]
pub(super) fn check_layout(what: &'static str, good: bool) -> Result<(), Error> {
    if good { Ok(()) } else { Err(Error::Layout { what }) }
}

/// The length of a packed lower triangle of order d.
#[inline]
pub(super) const fn packed_len(d: usize) -> usize {
    d * (d + 1) / 2
}

/// The same matrix for `faer`; `None` when neither rows nor columns are contiguous.
pub(super) fn dense<'a, T: Real>(m: MatRef<'a, T>) -> Option<faer::MatRef<'a, T>> {
    let (rows, cols) = (m.rows(), m.cols());
    if m.rows_contiguous() {
        let stride = if rows <= 1 { cols } else { m.row_stride() };
        let t = faer::MatRef::from_column_major_slice_with_stride(m.data(), cols, rows, stride);
        Some(t.transpose())
    } else if m.row_stride() == 1 || rows <= 1 {
        let stride = m.col_stride();
        Some(faer::MatRef::from_column_major_slice_with_stride(m.data(), rows, cols, stride))
    } else {
        None
    }
}

/// The same output for `faer`; `None` when neither rows nor columns are contiguous.
pub(super) fn dense_mut<'a, T: Real>(m: &'a mut MatMut<'_, T>) -> Option<faer::MatMut<'a, T>> {
    let (rows, cols) = (m.rows(), m.cols());
    let (down, across) = (m.row_stride(), m.col_stride());
    if m.rows_contiguous() {
        let stride = if rows <= 1 { cols } else { down };
        let data = m.data_mut();
        let t = faer::MatMut::from_column_major_slice_with_stride_mut(data, cols, rows, stride);
        Some(t.transpose_mut())
    } else if down == 1 || rows <= 1 {
        let data = m.data_mut();
        Some(faer::MatMut::from_column_major_slice_with_stride_mut(data, rows, cols, across))
    } else {
        None
    }
}
