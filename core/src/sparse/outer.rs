//! The mean of the outer products of sparse vectors, as a sparse matrix.

use crate::error::check_len;
use crate::{Error, Real};

/// Sparse vectors, row after row: row s is `values[starts[s]..starts[s + 1]]` at the ascending
/// `indices[…]`.
#[derive(Clone, Copy, Debug)]
pub struct SparseRef<'a, T> {
    /// Where each row begins, and where the last one ends.
    pub starts: &'a [usize],
    /// The columns.
    pub indices: &'a [u32],
    /// The values.
    pub values: &'a [T],
}

/// [`SparseRef`] to be written.
#[derive(Debug)]
pub struct SparseMut<'a, T> {
    /// Where each row begins, and where the last one ends.
    pub starts: &'a mut [usize],
    /// The columns.
    pub indices: &'a mut [u32],
    /// The values.
    pub values: &'a mut [T],
}

impl<'a, T> SparseRef<'a, T> {
    /// The number of rows.
    fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    fn row(&self, s: usize) -> Result<(&'a [u32], &'a [T]), Error> {
        let range = |begin: usize, end: usize| {
            Some((self.indices.get(begin..end)?, self.values.get(begin..end)?))
        };
        let (begin, end) = (self.starts.get(s), self.starts.get(s.saturating_add(1)));
        match (begin, end) {
            (Some(begin), Some(end)) => range(*begin, *end),
            _ => None,
        }
        .ok_or(Error::Layout { what: "sparse rows: starts" })
    }
}

/// `out ← rowsᵀ`. Shapes: rows n × d by n + 1 starts, out d × n by d + 1 starts and as many places as
/// `rows` has entries. `out` may hold anything on entry.
///
/// # Errors
/// [`Error::Shape`] for too few places or a column beyond d, [`Error::Layout`] for starts that leave
/// their slices.
///
/// ```
/// use relfisher_core::sparse::{SparseMut, SparseRef, transpose};
/// let rows = SparseRef { starts: &[0, 1, 3], indices: &[1, 0, 1], values: &[5.0, 6.0, 7.0] };
/// let (mut starts, mut indices, mut values) = ([9; 3], [9; 3], [f64::NAN; 3]);
/// let out = SparseMut { starts: &mut starts, indices: &mut indices, values: &mut values };
/// transpose(out, rows)?;
/// assert_eq!((starts, indices, values), ([0, 1, 3], [1, 0, 1], [6.0, 5.0, 7.0]));
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn transpose<T: Real>(out: SparseMut<'_, T>, rows: SparseRef<'_, T>) -> Result<(), Error> {
    let SparseMut { starts, indices, values } = out;
    let places = indices.len().min(values.len());
    let columns = starts.len().saturating_sub(1);
    starts.fill(0);
    for s in 0..rows.rows() {
        for index in rows.row(s)?.0 {
            let at = (*index as usize).saturating_add(1);
            match starts.get_mut(at) {
                Some(count) => *count = count.saturating_add(1),
                None => return Err(outside(columns, *index)),
            }
        }
    }
    let entries = accumulate(starts);
    if entries > places {
        check_len("transpose: places", entries, places)?;
    }
    for s in 0..rows.rows() {
        let (columns_of, values_of) = rows.row(s)?;
        for (index, value) in columns_of.iter().zip(values_of) {
            let Some(next) = starts.get_mut(*index as usize) else {
                return Err(outside(columns, *index));
            };
            if let (Some(i), Some(v)) = (indices.get_mut(*next), values.get_mut(*next)) {
                (*i, *v) = (s as u32, *value);
            }
            *next = next.saturating_add(1);
        }
    }
    shift(starts);
    Ok(())
}

/// Counts behind the first place become starts; their sum.
fn accumulate(starts: &mut [usize]) -> usize {
    let mut sum = 0_usize;
    for start in starts.iter_mut() {
        sum = sum.saturating_add(*start);
        *start = sum;
    }
    sum
}

/// Starts that have run to the ends of their rows go back.
fn shift(starts: &mut [usize]) {
    let mut before = 0;
    for start in starts.iter_mut() {
        (*start, before) = (before, *start);
    }
}

fn outside(columns: usize, index: u32) -> Error {
    Error::Shape { what: "sparse rows: column", expected: columns, found: index as usize }
}

/// The pattern of Σ_s u_s u_sᵀ: the pairs of columns that are together in at least one row. Writes where
/// its rows begin into `starts` and returns its entries; stops as soon as they are more than `limit`,
/// and `starts` is then unspecified.
///
/// Shapes: rows n × d, columns its transpose (d rows), starts d + 1, marks d. `starts` and `marks` may
/// hold anything on entry.
///
/// # Errors
/// [`Error::Shape`] or [`Error::Layout`] for slices that do not fit together.
pub fn outer_pattern<T: Real>(
    starts: &mut [usize],
    rows: SparseRef<'_, T>,
    columns: SparseRef<'_, T>,
    limit: usize,
    marks: &mut [u32],
) -> Result<usize, Error> {
    let d = columns.rows();
    check_len("outer_pattern: starts", d.saturating_add(1), starts.len())?;
    check_len("outer_pattern: marks", d, marks.len())?;
    starts.fill(0);
    marks.fill(u32::MAX);
    let mut total = 0_usize;
    for j in 0..d {
        let mut count = 0_usize;
        for s in columns.row(j)?.0 {
            for k in rows.row(*s as usize)?.0 {
                let Some(mark) = marks.get_mut(*k as usize) else { return Err(outside(d, *k)) };
                count = count.saturating_add(usize::from(*mark != j as u32));
                *mark = j as u32;
            }
        }
        total = total.saturating_add(count);
        if total > limit {
            return Ok(total);
        }
        if let Some(start) = starts.get_mut(j.saturating_add(1)) {
            *start = count;
        }
    }
    Ok(accumulate(starts))
}

/// `out ← (1/n) Σ_s u_s u_sᵀ` on the joint support: the arithmetic mean of the outer products of n
/// sparse vectors, symmetric, both triangles, columns ascending. Its diagonal is the arithmetic
/// metric. A pair that is together in some row has an entry, be it 0.
///
/// Shapes: rows n × d, columns its transpose (d rows); `out.starts` (d + 1) as [`outer_pattern`] wrote
/// it, places for the entries that it counted; marks and places d. Everything but the starts may hold
/// anything on entry.
///
/// # Errors
/// [`Error::Shape`] or [`Error::Layout`] for slices that do not fit together, [`Error::NonFinite`] with
/// the place of a mean that overflows; [`Error::Parameter`] without rows.
///
/// ```
/// use relfisher_core::sparse::{SparseMut, SparseRef, outer_mean, outer_pattern, transpose};
/// // u = (1, 0, 2), (3, 0, 0)
/// let rows = SparseRef { starts: &[0, 2, 3], indices: &[0, 2, 0], values: &[1.0, 2.0, 3.0] };
/// let (mut starts, mut indices, mut values) = ([0; 4], [0; 3], [0.0; 3]);
/// let out = SparseMut { starts: &mut starts, indices: &mut indices, values: &mut values };
/// transpose(out, rows)?;
/// let columns = SparseRef { starts: &starts, indices: &indices, values: &values };
/// let (mut begin, mut marks, mut places) = ([0; 4], [0; 3], [0; 3]);
/// assert_eq!(outer_pattern(&mut begin, rows, columns, 100, &mut marks)?, 4);
/// let (mut at, mut mean) = ([0; 4], [f64::NAN; 4]);
/// let out = SparseMut { starts: &mut begin, indices: &mut at, values: &mut mean };
/// outer_mean(out, rows, columns, &mut marks, &mut places)?;
/// assert_eq!((begin, at, mean), ([0, 2, 2, 4], [0, 2, 0, 2], [5.0, 1.0, 1.0, 2.0]));
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn outer_mean<T: Real>(
    out: SparseMut<'_, T>,
    rows: SparseRef<'_, T>,
    columns: SparseRef<'_, T>,
    marks: &mut [u32],
    places: &mut [usize],
) -> Result<(), Error> {
    let SparseMut { starts, indices, values } = out;
    let d = columns.rows();
    check_len("outer_mean: starts", d.saturating_add(1), starts.len())?;
    check_len("outer_mean: marks", d, marks.len())?;
    check_len("outer_mean: places", d, places.len())?;
    let entries = starts.last().copied().unwrap_or(0);
    check_len("outer_mean: indices", entries, indices.len())?;
    check_len("outer_mean: values", entries, values.len())?;
    if rows.rows() == 0 {
        return Err(Error::Parameter { what: "outer_mean: no rows" });
    }
    let share = T::ONE / T::from_usize(rows.rows());
    marks.fill(u32::MAX);
    values.fill(T::ZERO);
    // The matrix is symmetric: row j visited column by column appends j to every row that it meets,
    // so that each gets its columns in ascending order without a sort.
    for j in 0..d {
        let (samples, factors) = columns.row(j)?;
        for (s, factor) in samples.iter().zip(factors) {
            let (at, value_of) = rows.row(*s as usize)?;
            for (k, value) in at.iter().zip(value_of) {
                let k = *k as usize;
                let (Some(mark), Some(place)) = (marks.get_mut(k), places.get_mut(k)) else {
                    return Err(outside(d, k as u32));
                };
                if *mark != j as u32 {
                    *mark = j as u32;
                    if let Some(start) = starts.get_mut(k) {
                        *place = *start;
                        *start = start.saturating_add(1);
                    }
                    if let Some(index) = indices.get_mut(*place) {
                        *index = j as u32;
                    }
                }
                match values.get_mut(*place) {
                    Some(sum) => *sum += *factor * *value,
                    None => return Err(Error::Layout { what: "outer_mean: starts" }),
                }
            }
        }
    }
    shift(starts);
    for (index, value) in values.iter_mut().enumerate() {
        *value = share * *value;
        if !value.is_finite() {
            return Err(Error::NonFinite { what: "outer_mean: a mean overflows", index });
        }
    }
    Ok(())
}
