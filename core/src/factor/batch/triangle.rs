//! The Cholesky factorisation of a group of matrices, and the solves with it.
//!
//! The lower triangles are kept as panels of four rows: panel I holds the columns 0 … 4I+3 of its
//! rows, one row after the other, and a 4×4 tile of vectors is updated in registers against two
//! panels (8 loads for 32 vector operations). Orders are padded to a multiple of 4 with the identity.

use super::lanes::{Quad, Vector, minus_product, product, reciprocal_roots, splat, sum};
use crate::Real;

/// The group that is factored.
pub(super) trait Source<T, const L: usize> {
    /// The 4×4 tile (i, j) without damping; `stored` is what the panels hold in its place.
    fn tile(&self, stored: [Quad<T, L>; 4], i: usize, j: usize) -> [Quad<T, L>; 4];
}

/// The panels hold the group.
pub(super) struct InPlace;

impl<T, const L: usize> Source<T, L> for InPlace {
    #[inline(always)]
    fn tile(&self, stored: [Quad<T, L>; 4], _i: usize, _j: usize) -> [Quad<T, L>; 4] {
        stored
    }
}

/// A matrix of a group that is not positive definite, the first of its lanes.
pub(super) struct Refusal {
    pub(super) lane: usize,
    pub(super) pivot: usize,
}

/// The vectors of all panels of matrices of order n: 4 Σ_I (4I + 4).
pub(super) const fn panels_len(n: usize) -> usize {
    panel_start(n.div_ceil(4))
}

/// Vectors before panel `i`: 4 Σ_{t<i} 4(t + 1).
#[inline(always)]
pub(super) const fn panel_start(i: usize) -> usize {
    i.saturating_mul(i.saturating_add(1)).saturating_mul(8)
}

/// The vectors of row `i` in the panels, up to the tile of the diagonal.
#[inline(always)]
pub(super) fn row_range(i: usize) -> core::ops::Range<usize> {
    let width = (i / 4).wrapping_mul(4).wrapping_add(4);
    let start = panel_start(i / 4).wrapping_add((i % 4).wrapping_mul(width));
    start..start.wrapping_add(width)
}

/// The four rows of panel `i`.
#[inline(always)]
fn panel<T, const L: usize>(l: &[Vector<T, L>], i: usize) -> [&[Vector<T, L>]; 4] {
    core::array::from_fn(|r| l.get(row_range(4 * i + r)).unwrap_or(&[]))
}

/// The 4×4 tile from column `j` of four rows.
#[inline(always)]
fn tile_at<T: Real, const L: usize>(rows: [&[Vector<T, L>]; 4], j: usize) -> [Quad<T, L>; 4] {
    let mut out = [[[T::ZERO; L]; 4]; 4];
    for (out, row) in out.iter_mut().zip(rows) {
        if let Some(four) = row.get(j..).and_then(|row| row.first_chunk::<4>()) {
            *out = *four;
        }
    }
    out
}

/// Writes a tile back.
#[inline(always)]
fn set_tile<T: Real, const L: usize>(
    rows: &mut [&mut [Vector<T, L>]; 4],
    j: usize,
    tile: &[Quad<T, L>; 4],
) {
    for (row, x) in rows.iter_mut().zip(tile) {
        if let Some(four) = row.get_mut(j..).and_then(|row| row.first_chunk_mut::<4>()) {
            *four = *x;
        }
    }
}

/// acc[r][c] −= Σ_k x[r][k] y[c][k] over the first `k` vectors of the rows.
#[inline(always)]
fn accumulate<T: Real, const L: usize>(
    acc: &mut [Quad<T, L>; 4],
    x: [&[Vector<T, L>]; 4],
    y: [&[Vector<T, L>]; 4],
    k: usize,
) {
    let [x0, x1, x2, x3] = x.map(|x| x.get(..k).unwrap_or(&[]));
    let [y0, y1, y2, y3] = y.map(|y| y.get(..k).unwrap_or(&[]));
    let mut sums = *acc;
    let left = x0.iter().zip(x1).zip(x2).zip(x3);
    let right = y0.iter().zip(y1).zip(y2).zip(y3);
    for ((((x0, x1), x2), x3), (((y0, y1), y2), y3)) in left.zip(right) {
        let y = [y0, y1, y2, y3];
        minus_products(&mut sums[0], x0, y);
        minus_products(&mut sums[1], x1, y);
        minus_products(&mut sums[2], x2, y);
        minus_products(&mut sums[3], x3, y);
    }
    *acc = sums;
}

/// sums[c] −= x y[c]. Written out, like the rows above: where eight elements make a vector, the compiler
/// would turn a loop over rows or columns into gathers of the same element of all four.
#[inline(always)]
fn minus_products<T: Real, const L: usize>(
    sums: &mut Quad<T, L>,
    x: &Vector<T, L>,
    y: [&Vector<T, L>; 4],
) {
    sums[0] = minus_product(&sums[0], x, y[0]);
    sums[1] = minus_product(&sums[1], x, y[1]);
    sums[2] = minus_product(&sums[2], x, y[2]);
    sums[3] = minus_product(&sums[3], x, y[3]);
}

/// row ← row L⁻ᵀ for a lower triangle L of four rows, the reciprocals of its diagonal stored.
#[allow(clippy::needless_range_loop, reason = "constant indices into register tiles")]
#[inline(always)]
fn solve_row<T: Real, const L: usize>(row: &mut Quad<T, L>, corner: &[Quad<T, L>; 4]) {
    for c in 0..4 {
        let mut x = row[c];
        for b in 0..c {
            x = minus_product(&x, &row[b], &corner[c][b]);
        }
        row[c] = product(&x, &corner[c][c]);
    }
}

/// Notes the lanes whose pivot is refused, and lets them go on with 1.
#[inline(always)]
fn check<T: Real, const L: usize>(
    pivot: &mut Vector<T, L>,
    diagonal: &Vector<T, L>,
    tolerance: T,
    refused: &mut [usize; L],
    row: usize,
) {
    let mut good = true;
    for (p, d) in pivot.iter().zip(diagonal) {
        good &= (*p > tolerance * *d) & (*p <= T::MAX);
    }
    if good {
        return;
    }
    for ((p, d), refused) in pivot.iter_mut().zip(diagonal).zip(refused) {
        let accepted = *p > tolerance * *d && *p <= T::MAX;
        if !accepted {
            *p = T::ONE;
            *refused = row.min(*refused);
        }
    }
}

/// Factors the group into the panels `l`; diagonal elements are stored as their reciprocals, and
/// the rows past the order must be zero. All lanes are factored to the end whatever becomes of the
/// others, so that the refusal names the first matrix and not the first pivot.
#[allow(clippy::needless_range_loop, reason = "constant indices into register tiles")]
#[inline(always)]
pub(super) fn factor<T: Real, const L: usize>(
    l: &mut [Vector<T, L>],
    source: &impl Source<T, L>,
    damping: &Vector<T, L>,
    n: usize,
) -> Result<(), Refusal> {
    let tolerance = crate::factor::pivot_tolerance::<T>(n);
    let mut refused = [usize::MAX; L];
    for i in 0..n.div_ceil(4) {
        let Some((done, rest)) = l.split_at_mut_checked(panel_start(i)) else { break };
        let width = 4 * i + 4;
        let mut parts = rest.chunks_exact_mut(width.max(4));
        let mut rows: [&mut [Vector<T, L>]; 4] =
            core::array::from_fn(|_| parts.next().unwrap_or(&mut []));
        for j in 0..i {
            let above = panel(done, j);
            let current = rows.each_ref().map(|row| &**row);
            let mut acc = source.tile(tile_at(current, 4 * j), i, j);
            accumulate(&mut acc, current, above, 4 * j);
            let corner = tile_at(above, 4 * j);
            // no loop over the rows, as in `minus_products`
            let [first, second, third, fourth] = &mut acc;
            solve_row(first, &corner);
            solve_row(second, &corner);
            solve_row(third, &corner);
            solve_row(fourth, &corner);
            set_tile(&mut rows, 4 * j, &acc);
        }
        let current = rows.each_ref().map(|row| &**row);
        let mut acc = source.tile(tile_at(current, 4 * i), i, i);
        let mut diagonal = [splat::<T, L>(T::ONE); 4];
        for r in 0..4 {
            if 4 * i + r < n {
                acc[r][r] = sum(&acc[r][r], damping);
                diagonal[r] = acc[r][r];
            } else {
                // a row of the identity, whatever the padding holds
                acc[r] = [splat(T::ZERO); 4];
                acc[r][r] = splat(T::ONE);
            }
        }
        accumulate(&mut acc, current, current, 4 * i);
        for c in 0..4 {
            let mut pivot = acc[c][c];
            for b in 0..c {
                pivot = minus_product(&pivot, &acc[c][b], &acc[c][b]);
            }
            check(&mut pivot, &diagonal[c], tolerance, &mut refused, 4 * i + c);
            let reciprocal = reciprocal_roots(&pivot);
            acc[c][c] = reciprocal;
            for r in c + 1..4 {
                let mut x = acc[r][c];
                for b in 0..c {
                    x = minus_product(&x, &acc[r][b], &acc[c][b]);
                }
                acc[r][c] = product(&x, &reciprocal);
            }
        }
        set_tile(&mut rows, 4 * i, &acc);
    }
    match refused.iter().position(|pivot| *pivot != usize::MAX) {
        Some(lane) => Err(Refusal { lane, pivot: refused.get(lane).copied().unwrap_or(0) }),
        None => Ok(()),
    }
}

/// x ← (L Lᵀ)⁻¹ x with the panels of [`factor`].
#[inline(always)]
pub(super) fn solve<T: Real, const L: usize>(x: &mut [Quad<T, L>], l: &[Vector<T, L>]) {
    for i in 0..x.len() {
        let Some((done, rest)) = x.split_at_mut_checked(i) else { return };
        let Some(current) = rest.first_mut() else { return };
        let rows = panel(l, i);
        let corner = tile_at(rows, 4 * i);
        let [l0, l1, l2, l3] = rows;
        let mut sums = *current;
        let left = l0.iter().zip(l1).zip(l2).zip(l3);
        for ((((l0, l1), l2), l3), y) in left.zip(done.as_flattened()) {
            for (sum, l) in sums.iter_mut().zip([l0, l1, l2, l3]) {
                *sum = minus_product(sum, l, y);
            }
        }
        for c in 0..4 {
            sums[c] = product(&sums[c], &corner[c][c]);
            for r in c + 1..4 {
                sums[r] = minus_product(&sums[r], &corner[r][c], &sums[c]);
            }
        }
        *current = sums;
    }
    for i in (0..x.len()).rev() {
        let Some((before, rest)) = x.split_at_mut_checked(i) else { return };
        let Some(current) = rest.first_mut() else { return };
        let rows = panel(l, i);
        let corner = tile_at(rows, 4 * i);
        let [l0, l1, l2, l3] = rows;
        let mut y = *current;
        for c in (0..4).rev() {
            for r in c + 1..4 {
                y[c] = minus_product(&y[c], &corner[r][c], &y[r]);
            }
            y[c] = product(&y[c], &corner[c][c]);
        }
        *current = y;
        let left = l0.iter().zip(l1).zip(l2).zip(l3);
        for (x, (((l0, l1), l2), l3)) in before.as_flattened_mut().iter_mut().zip(left) {
            let mut sum = *x;
            for (y, l) in y.iter().zip([l0, l1, l2, l3]) {
                sum = minus_product(&sum, l, y);
            }
            *x = sum;
        }
    }
}
