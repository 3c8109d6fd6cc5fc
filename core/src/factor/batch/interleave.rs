//! Rows of several matrices into vectors of one element each, and back.
//!
//! Four matrices at a time, in squares of four elements.

use super::lanes::{Quad, Vector};
use crate::Real;

/// How a machine transposes squares of four rows. It moves elements and changes none, so that every
/// implementation gives the same bits; one of them may be shuffles of vectors, which compilers do not
/// find in the element-wise form.
pub trait Transpose<T> {
    /// Element c of row r of the result is element r of `rows[c]`.
    ///
    /// ```
    /// use relfisher_core::factor::batch::{Elements, Transpose};
    /// let square = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]];
    /// assert_eq!(Elements::transpose(square)[1], [1, 5, 9, 13]);
    /// ```
    fn transpose(rows: [[T; 4]; 4]) -> [[T; 4]; 4];

    /// The matrices of which this machine moves whole rows at a time, faster than squares of four; 0
    /// where it does not. A group has a multiple of it.
    const TOGETHER: usize = 0;

    /// Rows of so many matrices: lane `part`·TOGETHER + k of `vectors[c]` ← `data[k·stride + c]`.
    ///
    /// False, and nothing is written, where it cannot be done so: near the end of `data`, or where rows
    /// lie close together. `vectors` are whole squares, a multiple of four.
    ///
    /// ```
    /// use relfisher_core::factor::batch::{Elements, Transpose};
    /// let (mut vectors, mut data) = ([[0.0_f32; 16]; 4], [1.0_f32; 64]);
    /// // the element-wise form has no way of its own
    /// assert!(!Elements::load_rows(&mut vectors, 0, &data, 4));
    /// assert!(!Elements::store_rows(&mut data, 4, &vectors, [0, 4]));
    /// ```
    #[inline(always)]
    fn load_rows<const L: usize>(
        vectors: &mut [[T; L]],
        part: usize,
        data: &[T],
        stride: usize,
    ) -> bool {
        let _ = (vectors, part, data, stride);
        false
    }

    /// The inverse for the first `len` vectors, of which no more than three lie beyond: `data[k·stride + c]`
    /// ← lane `part`·TOGETHER + k of `vectors[c]` for c < `len`. Other elements of `data` keep their values.
    ///
    /// False as of [`Transpose::load_rows`].
    #[inline(always)]
    fn store_rows<const L: usize>(
        data: &mut [T],
        stride: usize,
        vectors: &[[T; L]],
        part_and_len: [usize; 2],
    ) -> bool {
        let _ = (data, stride, vectors, part_and_len);
        false
    }
}

/// One element after the other.
#[derive(Clone, Copy, Debug)]
pub struct Elements;

impl<T: Copy> Transpose<T> for Elements {
    #[inline(always)]
    fn transpose([a, b, c, d]: [[T; 4]; 4]) -> [[T; 4]; 4] {
        [
            [a[0], b[0], c[0], d[0]],
            [a[1], b[1], c[1], d[1]],
            [a[2], b[2], c[2], d[2]],
            [a[3], b[3], c[3], d[3]],
        ]
    }
}

/// Four elements from `at`, where there are so many.
#[inline(always)]
fn four_at<T>(x: &[T], at: usize) -> Option<&[T; 4]> {
    x.get(at..).and_then(|x| x.first_chunk())
}

/// The lanes 4·quad … 4·quad + 3 of a square near the end of a batch: element by element, zeros past
/// the end.
#[cold]
#[inline(never)]
fn load_last<T: Real, const L: usize>(
    square: &mut Quad<T, L>,
    four: [&[T]; 4],
    at: usize,
    quad: usize,
) {
    for (vector, k) in square.iter_mut().zip(at..) {
        for (x, m) in vector.iter_mut().skip(4 * quad).zip(four) {
            *x = m.get(k).copied().unwrap_or(T::ZERO);
        }
    }
}

/// The lanes 4·quad … 4·quad + 3 ← `four`.
#[inline(always)]
fn set_lanes<T, const L: usize>(vector: &mut Vector<T, L>, quad: usize, four: [T; 4]) {
    if let Some(lanes) = vector.as_chunks_mut().0.get_mut(quad) {
        *lanes = four;
    }
}

/// The lanes 4·quad … 4·quad + 3.
#[inline(always)]
fn lanes<T: Real, const L: usize>(vector: &Vector<T, L>, quad: usize) -> [T; 4] {
    vector.as_chunks().0.get(quad).copied().unwrap_or([T::ZERO; 4])
}

/// The lanes 4·quad … 4·quad + 3 of `squares` ← as many elements of each of the four matrices from
/// `at` on: four vectors are four elements.
///
/// Nothing here runs over an array: such loops are compiled as loops over memory.
#[inline(always)]
pub(super) fn load<T: Real, M: Transpose<T>, const L: usize>(
    squares: &mut [Quad<T, L>],
    [a, b, c, d]: [&[T]; 4],
    mut at: usize,
    quad: usize,
) {
    for square in squares {
        if let (Some(w), Some(x), Some(y), Some(z)) =
            (four_at(a, at), four_at(b, at), four_at(c, at), four_at(d, at))
        {
            let [p, q, r, s] = square;
            let [w, x, y, z] = M::transpose([*w, *x, *y, *z]);
            set_lanes(p, quad, w);
            set_lanes(q, quad, x);
            set_lanes(r, quad, y);
            set_lanes(s, quad, z);
        } else {
            load_last(square, [a, b, c, d], at, quad);
        }
        at = at.wrapping_add(4);
    }
}

/// Four elements of four matrices, from the lanes 4·quad … 4·quad + 3.
#[inline(always)]
fn unload<T: Real, M: Transpose<T>, const L: usize>(
    [p, q, r, s]: &Quad<T, L>,
    quad: usize,
) -> [[T; 4]; 4] {
    M::transpose([lanes(p, quad), lanes(q, quad), lanes(r, quad), lanes(s, quad)])
}

/// The elements of `m` from `at` on ← `four`.
#[inline(always)]
fn set_four<T>(m: &mut [T], at: usize, four: [T; 4]) {
    if let Some(out) = m.get_mut(at..).and_then(|m| m.first_chunk_mut()) {
        *out = four;
    }
}

/// The inverse of [`load`].
#[inline(always)]
pub(super) fn store<T: Real, M: Transpose<T>, const L: usize>(
    [a, b, c, d]: &mut [&mut [T]; 4],
    mut at: usize,
    squares: &[Quad<T, L>],
    quad: usize,
) {
    for square in squares {
        let [w, x, y, z] = unload::<T, M, L>(square, quad);
        set_four(a, at, w);
        set_four(b, at, x);
        set_four(c, at, y);
        set_four(d, at, z);
        at = at.wrapping_add(4);
    }
}

/// The first r + 1 elements of `m` from `at` on ← those of `four`.
#[inline(always)]
fn set_some<T>(m: &mut [T], at: usize, [w, x, y, z]: [T; 4], r: usize) {
    let Some([a, rest @ ..]) = m.get_mut(at..).and_then(|m| m.get_mut(..=r)) else { return };
    *a = w;
    let [b, rest @ ..] = rest else { return };
    *b = x;
    let [c, rest @ ..] = rest else { return };
    *c = y;
    if let [d, ..] = rest {
        *d = z;
    }
}

/// The same for the first r + 1 elements of one square.
#[inline(always)]
pub(super) fn store_corner<T: Real, M: Transpose<T>, const L: usize>(
    [a, b, c, d]: &mut [&mut [T]; 4],
    at: usize,
    square: &Quad<T, L>,
    (quad, r): (usize, usize),
) {
    let [w, x, y, z] = unload::<T, M, L>(square, quad);
    set_some(a, at, w, r);
    set_some(b, at, x, r);
    set_some(c, at, y, r);
    set_some(d, at, z, r);
}

/// The next `found` ≤ 4 matrices of `data`, which follow each other at a distance of `stride`; empty
/// past them.
#[inline(always)]
pub(super) fn four_mut<T>(data: &mut [T], stride: usize, found: usize) -> [&mut [T]; 4] {
    let mut rest = data;
    let mut out: [&mut [T]; 4] = [&mut [], &mut [], &mut [], &mut []];
    for out in out.iter_mut().take(found) {
        let all = core::mem::take(&mut rest);
        let cut = stride.min(all.len());
        let Some((head, tail)) = all.split_at_mut_checked(cut) else { continue };
        (*out, rest) = (head, tail);
    }
    out
}
