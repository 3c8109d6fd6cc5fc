//! The blocked Cholesky factorisation of a lower triangle by rows.
//!
//! Left-looking over panels of [`NR`] columns: the panel's part of the rows above is transposed onto
//! the stack, [`KC`] columns at a time, and subtracted from all rows below with the register tile
//! of the products. What is left is the factorisation of a corner of order NR and a solve of the
//! rows below with it.

use super::rows::{Rows, row, row_mut};
use crate::Real;
use crate::blas::kernel::{KC, MR, NR, load, tile};
use crate::blas::vector::copy;

type Corner<T> = [[T; NR]; NR];

/// `A + λI = L Lᵀ` in place on the lower triangle; the position of the first refused pivot.
#[inline(always)]
pub(crate) fn factor<T: Real>(
    data: &mut [T],
    d: usize,
    rows: impl Rows,
    damping: T,
) -> Result<(), usize> {
    let tolerance = super::pivot_tolerance::<T>(d);
    let mut buffer = [[T::ZERO; NR]; KC];
    for j in (0..d).step_by(NR) {
        let mut floors = [T::ZERO; NR];
        for (i, floor) in (j..d).zip(floors.iter_mut()) {
            if let Some(x) = row_mut(data, rows, i).last_mut() {
                *x += damping;
                *floor = tolerance * *x;
            }
        }
        for k in (0..j).step_by(KC) {
            let panel = buffer.get_mut(..KC.min(j - k)).unwrap_or(&mut []);
            transpose(panel, data, rows, (j, d), k);
            for i in (j..d).step_by(MR) {
                subtract(data, rows, (i, d), j, k, panel);
            }
        }
        let corner = factor_corner(data, rows, (j, d), &floors)?;
        for i in (j + NR..d).step_by(MR) {
            solve_rows(data, rows, (i, d), j, &corner);
        }
    }
    Ok(())
}

/// panel[t][c] ← L[j + c][k + t], zero past the last row.
#[inline(always)]
fn transpose<T: Real>(
    panel: &mut [[T; NR]],
    data: &[T],
    rows: impl Rows,
    (j, d): (usize, usize),
    k: usize,
) {
    for c in 0..NR {
        let source = if j + c < d { row(data, rows, j + c) } else { &[] };
        let source = source.get(k..).unwrap_or(&[]);
        for (t, out) in panel.iter_mut().enumerate() {
            if let Some(out) = out.get_mut(c) {
                *out = source.get(t).copied().unwrap_or(T::ZERO);
            }
        }
    }
}

/// Up to four rows of the triangle, row i first, cut before column j: what is factored, and what is
/// not.
#[inline(always)]
fn four_rows<'a, T: Real>(
    data: &'a mut [T],
    rows: impl Rows,
    (i, d): (usize, usize),
    j: usize,
) -> [(&'a [T], &'a mut [T]); MR] {
    let mut rest = data.get_mut(rows.start(i)..).unwrap_or(&mut []);
    core::array::from_fn(|r| {
        let none: (&'a [T], &'a mut [T]) = (&[], &mut []);
        if i + r >= d {
            return none;
        }
        let length = rows.start(i + r + 1).wrapping_sub(rows.start(i + r)).min(rest.len());
        let Some((current, after)) = core::mem::take(&mut rest).split_at_mut_checked(length) else {
            return none;
        };
        rest = after;
        let Some(current) = current.get_mut(..=i + r) else { return none };
        match current.split_at_mut_checked(j) {
            Some((left, right)) => (left, right),
            None => none,
        }
    })
}

/// The rows i … i + MR, columns from j: minus their columns k … k + |panel| times the panel.
#[inline(always)]
fn subtract<T: Real>(
    data: &mut [T],
    rows: impl Rows,
    (i, d): (usize, usize),
    j: usize,
    k: usize,
    panel: &[[T; NR]],
) {
    let mut four = four_rows(data, rows, (i, d), j);
    let [p, q, r, s] = four.each_ref().map(|(left, _)| left.get(k..).unwrap_or(&[]));
    let mut acc = [[T::ZERO; NR]; MR];
    if i + MR <= d {
        let left = p.iter().zip(q).zip(r).zip(s).map(|(((p, q), r), s)| [*p, *q, *r, *s]);
        tile(&mut acc, left, panel.iter().copied());
    } else {
        let at = |x: &[T], t: usize| x.get(t).copied().unwrap_or(T::ZERO);
        let left = (0..panel.len()).map(|t| [at(p, t), at(q, t), at(r, t), at(s, t)]);
        tile(&mut acc, left, panel.iter().copied());
    }
    for ((_, right), sums) in four.iter_mut().zip(&acc) {
        if let Some(right) = right.first_chunk_mut::<NR>() {
            for (x, s) in right.iter_mut().zip(sums) {
                *x -= *s;
            }
        } else {
            for (x, s) in right.iter_mut().zip(sums) {
                *x -= *s;
            }
        }
    }
}

/// Factors the corner of order min(NR, d − j) whose outside has been subtracted. Returns it by
/// columns, column b: L[j + c][j + b] for c > b, and 1/L[j + b][j + b] at c = b.
#[inline(always)]
fn factor_corner<T: Real>(
    data: &mut [T],
    rows: impl Rows,
    (j, d): (usize, usize),
    floors: &[T; NR],
) -> Result<Corner<T>, usize> {
    let mut corner = [[T::ZERO; NR]; NR];
    for (i, x) in (j..d).zip(corner.iter_mut()) {
        *x = load(row(data, rows, i).get(j..).unwrap_or(&[]));
    }
    let mut columns = [[T::ZERO; NR]; NR];
    for (c, floor) in floors.iter().enumerate().take(d - j) {
        let Some((above, rest)) = corner.split_at_mut_checked(c) else { return Err(j + c) };
        let Some(current) = rest.first_mut() else { return Err(j + c) };
        for (b, (upper, column)) in above.iter().zip(columns.iter_mut()).enumerate() {
            let mut x = current.get(b).copied().unwrap_or(T::ZERO);
            for (p, q) in current.iter().zip(upper).take(b) {
                x -= *p * *q;
            }
            x *= column.get(b).copied().unwrap_or(T::ONE);
            if let (Some(out), Some(copy)) = (current.get_mut(b), column.get_mut(c)) {
                (*out, *copy) = (x, x);
            }
        }
        let mut pivot = current.get(c).copied().unwrap_or(T::ZERO);
        for p in current.iter().take(c) {
            pivot -= *p * *p;
        }
        let accepted = pivot > *floor && pivot <= T::MAX;
        if !accepted {
            return Err(j + c);
        }
        let root = pivot.sqrt();
        if let (Some(out), Some(inverse)) =
            (current.get_mut(c), columns.get_mut(c).and_then(|x| x.get_mut(c)))
        {
            (*out, *inverse) = (root, T::ONE / root);
        }
    }
    for (i, x) in (j..d).zip(&corner) {
        if let Some(out) = row_mut(data, rows, i).get_mut(j..) {
            copy(out, x);
        }
    }
    Ok(columns)
}

/// The rows i … i + MR, columns j … j + NR: divided by the transposed corner from the right.
#[inline(always)]
fn solve_rows<T: Real>(
    data: &mut [T],
    rows: impl Rows,
    (i, d): (usize, usize),
    j: usize,
    corner: &Corner<T>,
) {
    let mut four = four_rows(data, rows, (i, d), j);
    let mut x = four.each_ref().map(|(_, right)| load(right));
    for (b, column) in corner.iter().enumerate() {
        let inverse = column.get(b).copied().unwrap_or(T::ONE);
        for x in x.iter_mut() {
            let solved = x.get(b).copied().unwrap_or(T::ZERO) * inverse;
            // column[c] is zero before the diagonal; the element b itself is set afterwards
            for (x, l) in x.iter_mut().zip(column) {
                *x -= solved * *l;
            }
            if let Some(x) = x.get_mut(b) {
                *x = solved;
            }
        }
    }
    for ((_, right), x) in four.iter_mut().zip(&x) {
        copy(right, x);
    }
}
