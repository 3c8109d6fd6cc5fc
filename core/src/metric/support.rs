//! Small shared pieces: checks, workspace carving, fixed-order reductions.

use crate::{Error, MatMut, MatRef, Real};

const LANES: usize = 16;

/// `Σ a_j b_j` over the shorter of the two, in a fixed order (16 lanes, then the rest).
#[inline(always)]
pub(crate) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let n = a.len().min(b.len());
    let (a, b) = (a.get(..n).unwrap_or(&[]), b.get(..n).unwrap_or(&[]));
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [T::ZERO; LANES];
    for (x, y) in a_lanes.iter().zip(b_lanes) {
        for ((s, x), y) in sums.iter_mut().zip(x).zip(y) {
            *s += *x * *y;
        }
    }
    let mut total = T::ZERO;
    for s in sums {
        total += s;
    }
    for (x, y) in a_rest.iter().zip(b_rest) {
        total += *x * *y;
    }
    total
}

/// `Σ w_j a_j²` over the shorter of the two, in the order of [`dot`].
#[inline(always)]
pub(crate) fn weighted_square<T: Real>(a: &[T], w: &[T]) -> T {
    let n = a.len().min(w.len());
    let (a, w) = (a.get(..n).unwrap_or(&[]), w.get(..n).unwrap_or(&[]));
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (w_lanes, w_rest) = w.as_chunks::<LANES>();
    let mut sums = [T::ZERO; LANES];
    for (x, w) in a_lanes.iter().zip(w_lanes) {
        for ((s, x), w) in sums.iter_mut().zip(x).zip(w) {
            *s += *x * (*w * *x);
        }
    }
    let mut total = T::ZERO;
    for s in sums {
        total += s;
    }
    for (x, w) in a_rest.iter().zip(w_rest) {
        total += *x * (*w * *x);
    }
    total
}

/// Whether every element is finite: `x·0` is 0 for a finite x and NaN otherwise.
#[inline(always)]
fn all_finite<T: Real>(row: &[T]) -> bool {
    let (lanes, rest) = row.as_chunks::<LANES>();
    let mut sums = [T::ZERO; LANES];
    for x in lanes {
        for (s, x) in sums.iter_mut().zip(x) {
            *s += *x * T::ZERO;
        }
    }
    let mut total = T::ZERO;
    for s in sums {
        total += s;
    }
    for x in rest {
        total += *x * T::ZERO;
    }
    total == T::ZERO
}

/// [`Error::NonFinite`] naming `what` and the first non-finite element. Rows are contiguous.
#[inline(always)]
pub(crate) fn check_finite<T: Real>(what: &'static str, a: MatRef<'_, T>) -> Result<(), Error> {
    for s in 0..a.rows() {
        if !all_finite(a.row(s)) {
            return a.check_finite(what);
        }
    }
    Ok(())
}

/// Weights must be finite and ≥ 0.
#[inline(always)]
pub(crate) fn check_weights<T: Real>(
    what: &'static str,
    negative: &'static str,
    a: MatRef<'_, T>,
) -> Result<(), Error> {
    check_finite(what, a)?;
    for s in 0..a.rows() {
        if !a.row(s).iter().fold(true, |ok, x| ok & (*x >= T::ZERO)) {
            return Err(Error::Parameter { what: negative });
        }
    }
    Ok(())
}

/// Rows must be contiguous slices.
pub(crate) fn check_rows<T: Real>(what: &'static str, a: MatRef<'_, T>) -> Result<(), Error> {
    if a.rows_contiguous() { Ok(()) } else { Err(Error::Layout { what }) }
}

/// A matrix argument: its shape, named by row and column, and contiguous rows.
pub(crate) fn check_matrix<T: Real>(
    what: (&'static str, &'static str),
    a: MatRef<'_, T>,
    rows: usize,
    cols: usize,
) -> Result<(), Error> {
    crate::error::check_len(what.0, rows, a.rows())?;
    crate::error::check_len(what.1, cols, a.cols())?;
    check_rows(what.0, a)
}

/// λ must be finite and ≥ 0.
pub(crate) fn check_damping<T: Real>(damping: T) -> Result<(), Error> {
    if damping.is_finite() && damping >= T::ZERO {
        Ok(())
    } else {
        Err(Error::Parameter { what: "damping must be finite and >= 0" })
    }
}

/// The weight of the past in a moving average.
pub(crate) fn check_keep<T: Real>(keep: T) -> Result<(), Error> {
    if keep >= T::ZERO && keep <= T::ONE {
        Ok(())
    } else {
        Err(Error::Parameter { what: "keep must be in [0, 1]" })
    }
}

/// λ must be finite and > 0, for routes that divide by it; 1/λ must be finite too.
pub(crate) fn check_positive_damping<T: Real>(damping: T) -> Result<(), Error> {
    check_damping(damping)?;
    if damping > T::ZERO && (T::ONE / damping).is_finite() {
        Ok(())
    } else {
        let what = "damping must be > 0, and 1/damping finite (only the block route of independent \
                    neurons takes less)";
        Err(Error::Parameter { what })
    }
}

/// Cuts the next `len` elements off the front of `rest`.
pub(crate) fn carve<'a, T>(rest: &mut &'a mut [T], len: usize) -> Result<&'a mut [T], Error> {
    let slice = core::mem::take(rest);
    let found = slice.len();
    let (head, tail) =
        slice.split_at_mut_checked(len).ok_or(Error::Workspace { needed: len, found })?;
    *rest = tail;
    Ok(head)
}

/// `out ← a`, row by row.
#[inline(always)]
pub(crate) fn copy<T: Real>(out: &mut MatMut<'_, T>, a: MatRef<'_, T>) {
    for i in 0..out.rows() {
        for (o, x) in out.row_mut(i).iter_mut().zip(a.row(i)) {
            *o = *x;
        }
    }
}

/// The block of `rows × cols` elements whose first element is (i, j).
pub(crate) fn block_mut<'b, T: Real>(
    a: &'b mut MatMut<'_, T>,
    (i, j): (usize, usize),
    rows: usize,
    cols: usize,
) -> Result<MatMut<'b, T>, Error> {
    let outside = Error::Layout { what: "submatrix outside its matrix" };
    match (i.checked_add(rows), j.checked_add(cols)) {
        (Some(r), Some(c)) if r <= a.rows() && c <= a.cols() => {}
        _ => return Err(outside),
    }
    let (down, across) = (a.row_stride(), a.col_stride());
    let start = if rows == 0 || cols == 0 {
        0
    } else {
        i.wrapping_mul(down).wrapping_add(j.wrapping_mul(across))
    };
    let data = a.data_mut().get_mut(start..).ok_or(outside)?;
    MatMut::with_strides(data, rows, cols, down, across)
}

/// Refuses a Cholesky factor whose last element of `row` (the pivot) is not a finite positive
/// number; without damping also one that is zero to working precision: pivot² ≤ d·ε·‖row‖², the
/// row's squared norm being the diagonal element of the factored matrix.
#[inline(always)]
pub(crate) fn check_pivot<T: Real>(row: &[T], d: usize, damping: T) -> bool {
    let Some(pivot) = row.last() else { return true };
    if !(pivot.is_finite() && *pivot > T::ZERO) {
        return false;
    }
    damping > T::ZERO || *pivot * *pivot > T::from_usize(d) * T::EPSILON * dot(row, row)
}

/// [`check_pivot`] for every row of a full lower-triangular factor.
pub(crate) fn check_factor<T: Real>(l: MatRef<'_, T>, damping: T) -> Result<(), Error> {
    for a in 0..l.rows() {
        let row = l.row(a).get(..a.wrapping_add(1)).unwrap_or(&[]);
        if row.is_empty() || !check_pivot(row, l.rows(), damping) {
            return Err(Error::NotPositiveDefinite { block: 0, pivot: a });
        }
    }
    Ok(())
}

/// The length of a packed triangle, d(d+1)/2.
pub(crate) const fn packed_len(d: usize) -> usize {
    d.saturating_mul(d.saturating_add(1)) / 2
}
