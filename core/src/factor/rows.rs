//! Lower triangles by rows, wherever they start.

use crate::Real;
use crate::blas::kernel::{MR, NR, load, packed_start, tile};
use crate::blas::vector::{all_finite, dot};

/// Where row i of a lower triangle starts; rows do not overlap and follow each other.
pub(crate) trait Rows: Copy {
    fn start(self, i: usize) -> usize;
}

/// Rows of a matrix at a distance.
#[derive(Clone, Copy)]
pub(crate) struct Strided(pub(crate) usize);

/// Rows of a packed triangle.
#[derive(Clone, Copy)]
pub(crate) struct Packed;

impl Rows for Strided {
    #[inline(always)]
    fn start(self, i: usize) -> usize {
        i.wrapping_mul(self.0)
    }
}

impl Rows for Packed {
    #[inline(always)]
    fn start(self, i: usize) -> usize {
        packed_start(i)
    }
}

/// The elements of row i up to the diagonal; empty outside the slice.
#[inline(always)]
pub(crate) fn row<T>(data: &[T], rows: impl Rows, i: usize) -> &[T] {
    data.get(rows.start(i)..).and_then(|d| d.get(..=i)).unwrap_or(&[])
}

/// The same, writable.
#[inline(always)]
pub(crate) fn row_mut<T>(data: &mut [T], rows: impl Rows, i: usize) -> &mut [T] {
    data.get_mut(rows.start(i)..).and_then(|d| d.get_mut(..=i)).unwrap_or(&mut [])
}

/// The packed index of the first element of the lower triangle that is not finite.
#[inline(always)]
pub(crate) fn first_non_finite<T: Real>(data: &[T], d: usize, rows: impl Rows) -> Option<usize> {
    for i in 0..d {
        let row = row(data, rows, i);
        if !all_finite(row) {
            let j = row.iter().position(|x| !x.is_finite()).unwrap_or(0);
            return Some(packed_start(i) + j);
        }
    }
    None
}

/// The first row whose diagonal element is not a positive finite number.
#[inline(always)]
pub(crate) fn bad_diagonal<T: Real>(data: &[T], d: usize, rows: impl Rows) -> Option<usize> {
    (0..d).find(|i| match row(data, rows, *i).last() {
        Some(x) => !(*x > T::ZERO && x.is_finite()),
        None => true,
    })
}

/// `x ← L⁻¹ x`.
#[inline(always)]
pub(crate) fn forward<T: Real>(x: &mut [T], l: &[T], rows: impl Rows) {
    for i in 0..x.len() {
        let row = row(l, rows, i);
        let Some((done, rest)) = x.split_at_mut_checked(i) else { return };
        if let (Some(x), Some(diagonal)) = (rest.first_mut(), row.last()) {
            *x = (*x - dot(done, row)) / *diagonal;
        }
    }
}

/// `x ← L⁻ᵀ x`.
#[inline(always)]
pub(crate) fn backward<T: Real>(x: &mut [T], l: &[T], rows: impl Rows) {
    for i in (0..x.len()).rev() {
        let row = row(l, rows, i);
        let Some((before, rest)) = x.split_at_mut_checked(i) else { return };
        if let (Some(x), Some(diagonal)) = (rest.first_mut(), row.last()) {
            *x /= *diagonal;
            let factor = -*x;
            crate::blas::vector::axpy(before, factor, row);
        }
    }
}

/// Columns j … j + NR of `B ← L⁻¹ B`, rows of B at a distance of `stride`, `width` columns; rows
/// before `first` (a multiple of MR) are known to be zero there.
#[inline(always)]
pub(crate) fn forward_panel<T: Real>(
    b: &mut [T],
    (stride, width): (usize, usize),
    l: &[T],
    (d, rows): (usize, impl Rows),
    (j, first): (usize, usize),
) {
    let lanes = NR.min(width.saturating_sub(j));
    for i in (first..d).step_by(MR) {
        let Some((done, rest)) = b.split_at_mut_checked(i.wrapping_mul(stride)) else { return };
        let left = |r: usize| {
            let row = row(l, rows, (i + r).min(d - 1));
            row.get(first..i).unwrap_or(&[])
        };
        let above = (first..i).map(|k| panel_row(done, k.wrapping_mul(stride) + j, lanes));
        let a = left(0).iter().zip(left(1)).zip(left(2)).zip(left(3));
        let mut acc = [[T::ZERO; NR]; MR];
        tile(&mut acc, a.map(|(((p, q), r), s)| [*p, *q, *r, *s]), above);
        let mut solved = [[T::ZERO; NR]; MR];
        for r in 0..MR.min(d - i) {
            let corner = row(l, rows, i + r).get(i..).unwrap_or(&[]);
            let start = r.wrapping_mul(stride) + j;
            let mut x = panel_row(rest, start, lanes);
            subtract(&mut x, &acc[r], T::ONE);
            for (s, l) in solved.iter().zip(corner).take(r) {
                subtract(&mut x, s, *l);
            }
            let diagonal = corner.get(r).copied().unwrap_or(T::ONE);
            for x in &mut x {
                *x /= diagonal;
            }
            solved[r] = x;
            write_row(rest, start, lanes, &x);
        }
    }
}

/// Columns j … j + NR of `B ← L⁻ᵀ B`.
#[inline(always)]
pub(crate) fn backward_panel<T: Real>(
    b: &mut [T],
    (stride, width): (usize, usize),
    l: &[T],
    (d, rows): (usize, impl Rows),
    j: usize,
) {
    let lanes = NR.min(width.saturating_sub(j));
    for i in (0..d).step_by(MR).rev() {
        let below = d.min(i + MR);
        let Some((head, done)) = b.split_at_mut_checked(below.wrapping_mul(stride).min(b.len()))
        else {
            return;
        };
        let after =
            (0..d - below).map(|k| panel_row(done, k.wrapping_mul(stride).wrapping_add(j), lanes));
        let a = (below..d).map(|k| {
            let column = row(l, rows, k).get(i..).and_then(|x| x.first_chunk::<MR>());
            column.copied().unwrap_or([T::ZERO; MR])
        });
        let mut acc = [[T::ZERO; NR]; MR];
        tile(&mut acc, a, after);
        let mut solved = [[T::ZERO; NR]; MR];
        for r in (0..MR.min(d - i)).rev() {
            let start = (i + r).wrapping_mul(stride) + j;
            let mut x = panel_row(head, start, lanes);
            subtract(&mut x, &acc[r], T::ONE);
            for (c, s) in solved.iter().enumerate().skip(r + 1) {
                let factor = row(l, rows, i + c).get(i + r).copied().unwrap_or(T::ZERO);
                if i + c < d {
                    subtract(&mut x, s, factor);
                }
            }
            let diagonal = row(l, rows, i + r).last().copied().unwrap_or(T::ONE);
            for x in &mut x {
                *x /= diagonal;
            }
            solved[r] = x;
            write_row(head, start, lanes, &x);
        }
    }
}

#[inline(always)]
fn panel_row<T: Real>(data: &[T], start: usize, lanes: usize) -> [T; NR] {
    let row = data.get(start..).unwrap_or(&[]);
    if lanes == NR { load(row) } else { load(row.get(..lanes).unwrap_or(&[])) }
}

#[inline(always)]
fn write_row<T: Real>(data: &mut [T], start: usize, lanes: usize, x: &[T; NR]) {
    if let Some(row) = data.get_mut(start..).and_then(|d| d.get_mut(..lanes)) {
        crate::blas::vector::copy(row, x);
    }
}

#[inline(always)]
fn subtract<T: Real>(x: &mut [T; NR], y: &[T; NR], factor: T) {
    for (x, y) in x.iter_mut().zip(y) {
        *x -= factor * *y;
    }
}
