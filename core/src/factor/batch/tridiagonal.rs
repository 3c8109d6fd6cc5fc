//! Householder's reduction of a group of symmetric matrices to tridiagonal form.
//!
//! The reflector of row i is found, and the update with the reflector before it is left for the pass
//! over the triangle that also multiplies by the new one: so every element is read and written once
//! for each reflector, four rows at a time. Vectors past the order at hand are kept at zero, which
//! makes rows that are not there harmless.

#![allow(clippy::needless_range_loop, reason = "an index runs over the lanes of several vectors")]

use super::lanes::{Quad, Vector, four_rows, minus_product, plus_product, product, splat, sum};
use super::triangle::row_range;
use crate::Real;

/// What the reduction leaves, and its scratch; every slice has the padded order.
pub(super) struct Reduction<'a, T, const L: usize> {
    /// The lower triangles; on return row i holds the reflector u_i before the diagonal.
    pub(super) rows: &'a mut [Vector<T, L>],
    /// The diagonal of the tridiagonal matrices.
    pub(super) diagonal: &'a mut [Vector<T, L>],
    /// off[i] couples i and i + 1.
    pub(super) off: &'a mut [Vector<T, L>],
    /// 2/|u_i|².
    pub(super) inverse: &'a mut [Vector<T, L>],
    /// u, q, and those of the reflector before.
    pub(super) scratch: [&'a mut [Vector<T, L>]; 4],
}

/// Makes the reflector of a row in place: (2/|u|², coupling). Lanes whose row is zero, or so small
/// that it counts as zero, get u = 0.
#[inline(always)]
fn reflector<T: Real, const L: usize>(u: &mut [Vector<T, L>]) -> (Vector<T, L>, Vector<T, L>) {
    let (zero, one) = (splat::<T, L>(T::ZERO), splat::<T, L>(T::ONE));
    if u.len() <= 1 {
        // nothing to reflect: the row has one element
        let coupling = u.first().copied().unwrap_or(zero);
        u.fill(zero);
        return (one, coupling);
    }
    let mut size = zero;
    for x in u.iter() {
        for (s, x) in size.iter_mut().zip(x) {
            *s = x.abs().max(*s);
        }
    }
    let mut scale = zero;
    for (scale, size) in scale.iter_mut().zip(&size) {
        let quotient = T::ONE / *size;
        *scale = if *size > T::MIN_POSITIVE { quotient } else { T::ZERO };
    }
    let (mut squared, mut last) = (zero, zero);
    for x in u.iter_mut() {
        *x = product(x, &scale);
        squared = plus_product(&squared, x, x);
        last = *x;
    }
    let (mut inverse, mut coupling, mut first) = (one, zero, zero);
    for lane in 0..L {
        let there = scale[lane] > T::ZERO;
        let square = if there { squared[lane] } else { T::ONE };
        let target = -square.sqrt().copysign(last[lane]);
        let height = square - last[lane] * target;
        inverse[lane] = if there { T::ONE / height } else { T::ONE };
        coupling[lane] = if there { size[lane] * target } else { T::ZERO };
        first[lane] = if there { last[lane] - target } else { T::ZERO };
    }
    if let Some(x) = u.last_mut() {
        *x = first;
    }
    (inverse, coupling)
}

/// a ← a − (u_r q_k + q_r u_k).
#[inline(always)]
fn rank_two<T: Real, const L: usize>(
    a: &Vector<T, L>,
    (ur, qr): (&Vector<T, L>, &Vector<T, L>),
    (uk, qk): (&Vector<T, L>, &Vector<T, L>),
) -> Vector<T, L> {
    let mut out = *a;
    for lane in 0..L {
        out[lane] -= ur[lane] * qk[lane] + qr[lane] * uk[lane];
    }
    out
}

/// Four vectors from position `j`; zeros past the end.
#[inline(always)]
fn four<T: Real, const L: usize>(x: &[Vector<T, L>], j: usize) -> Quad<T, L> {
    let found = x.get(j..).and_then(|x| x.first_chunk::<4>());
    found.copied().unwrap_or([splat(T::ZERO); 4])
}

/// One element a_rk of A ← A − (v pᵀ + p vᵀ), and its part of A u: at k in `y`, at r in `sum`. Vectors
/// are v, p, u at r and at k.
#[inline(always)]
fn update_one<T: Real, const L: usize>(
    a: &mut Vector<T, L>,
    [vr, pr, ur]: [&Vector<T, L>; 3],
    [vk, pk, uk]: [&Vector<T, L>; 3],
    y: &mut Vector<T, L>,
    sum: &mut Vector<T, L>,
) {
    let x = rank_two(a, (vr, pr), (vk, pk));
    *a = x;
    *y = plus_product(y, ur, &x);
    *sum = plus_product(sum, &x, uk);
}

/// The same for row r of the square on the diagonal.
#[inline(always)]
fn update_corner<T: Real, const L: usize>(
    row: &mut [Vector<T, L>],
    r: usize,
    (v, p, u): (&Quad<T, L>, &Quad<T, L>, &Quad<T, L>),
    here: &mut Quad<T, L>,
    sums: &mut Quad<T, L>,
) {
    let (Some(vr), Some(pr), Some(ur), Some(sum)) = (v.get(r), p.get(r), u.get(r), sums.get_mut(r))
    else {
        return;
    };
    for c in 0..=r {
        let (Some(a), Some(vc), Some(pc), Some(uc), Some(y)) =
            (row.get_mut(c), v.get(c), p.get(c), u.get(c), here.get_mut(c))
        else {
            break;
        };
        let x = rank_two(a, (vr, pr), (vc, pc));
        *a = x;
        if c < r {
            *y = plus_product(y, ur, &x);
        }
        *sum = plus_product(sum, &x, uc);
    }
}

/// One element w of W ← W − t sᵀ, and its part u_r w of uᵀW in `y`.
#[inline(always)]
fn reflect_one<T: Real, const L: usize>(
    w: &mut Vector<T, L>,
    (t, s): (&Vector<T, L>, &Vector<T, L>),
    u: &Vector<T, L>,
    y: &mut Vector<T, L>,
) {
    let x = minus_product(w, t, s);
    *w = x;
    *y = plus_product(y, u, &x);
}

/// On the leading order i: A ← A − (u qᵀ + q uᵀ) with the old pair, and q ← A u with the new one.
#[inline(always)]
fn update_and_multiply<T: Real, const L: usize>(
    rows: &mut [Vector<T, L>],
    i: usize,
    (old_u, old_q): (&[Vector<T, L>], &[Vector<T, L>]),
    (u, q): (&[Vector<T, L>], &mut [Vector<T, L>]),
) {
    q.fill(splat(T::ZERO));
    for j in (0..i).step_by(4) {
        let Some(group) = rows.get_mut(row_range(j).start..) else { return };
        let Some([a0, a1, a2, a3]) = four_rows(group, j.wrapping_add(4)) else { return };
        let (Some((a0, b0)), Some((a1, b1)), Some((a2, b2)), Some((a3, b3))) = (
            a0.split_at_mut_checked(j),
            a1.split_at_mut_checked(j),
            a2.split_at_mut_checked(j),
            a3.split_at_mut_checked(j),
        ) else {
            return;
        };
        let (vr, pr, ur) = (four(old_u, j), four(old_q, j), four(u, j));
        let mut sums = [splat::<T, L>(T::ZERO); 4];
        let Some((before, here)) = q.split_at_mut_checked(j) else { return };
        let (Some(v), Some(p), Some(u)) = (old_u.get(..j), old_q.get(..j), u.get(..j)) else {
            return;
        };
        for k in 0..j {
            let (Some(a0), Some(a1), Some(a2), Some(a3)) =
                (a0.get_mut(k), a1.get_mut(k), a2.get_mut(k), a3.get_mut(k))
            else {
                break;
            };
            let (Some(vk), Some(pk), Some(uk), Some(qk)) =
                (v.get(k), p.get(k), u.get(k), before.get_mut(k))
            else {
                break;
            };
            let mut y = *qk;
            let shared = [vk, pk, uk];
            update_one(a0, [&vr[0], &pr[0], &ur[0]], shared, &mut y, &mut sums[0]);
            update_one(a1, [&vr[1], &pr[1], &ur[1]], shared, &mut y, &mut sums[1]);
            update_one(a2, [&vr[2], &pr[2], &ur[2]], shared, &mut y, &mut sums[2]);
            update_one(a3, [&vr[3], &pr[3], &ur[3]], shared, &mut y, &mut sums[3]);
            *qk = y;
        }
        let Some(here) = here.first_chunk_mut::<4>() else { return };
        let pair = (&vr, &pr, &ur);
        update_corner(b0, 0, pair, here, &mut sums);
        update_corner(b1, 1, pair, here, &mut sums);
        update_corner(b2, 2, pair, here, &mut sums);
        update_corner(b3, 3, pair, here, &mut sums);
        for (x, s) in here.iter_mut().zip(&sums) {
            *x = sum(x, s);
        }
    }
    for x in q.iter_mut().skip(i) {
        *x = splat(T::ZERO);
    }
}

/// Reduces the matrices of order n.
#[inline(always)]
pub(super) fn reduce<T: Real, const L: usize>(reduction: &mut Reduction<'_, T, L>, n: usize) {
    let Reduction { rows, diagonal, off, inverse, scratch } = reduction;
    let [mut u, mut q, mut old_u, mut old_q] = scratch.each_mut().map(|x| &mut **x);
    for x in [&mut *u, &mut *q, &mut *old_u, &mut *old_q] {
        x.fill(splat(T::ZERO));
    }
    for i in (0..n).rev() {
        let Some(row) = rows.get_mut(row_range(i)).and_then(|r| r.get_mut(..=i)) else { return };
        let (vi, pi) = (one_of(old_u, i), one_of(old_q, i));
        for (a, (vk, pk)) in row.iter_mut().zip(old_u.iter().zip(old_q.iter())) {
            *a = rank_two(a, (&vi, &pi), (vk, pk));
        }
        set(old_u, i, splat(T::ZERO));
        set(old_q, i, splat(T::ZERO));
        set(diagonal, i, one_of(row, i));
        let (factor, coupling) = reflector(row.get_mut(..i).unwrap_or(&mut []));
        set(inverse, i, factor);
        if let Some(before) = i.checked_sub(1) {
            set(off, before, coupling);
        }
        u.fill(splat(T::ZERO));
        for (u, x) in u.iter_mut().zip(row.iter().take(i)) {
            *u = *x;
        }
        update_and_multiply(rows, i, (&*old_u, &*old_q), (&*u, &mut *q));
        // q ← q/h − (u·q/2h²) u
        let mut along = splat(T::ZERO);
        for (q, u) in q.iter_mut().zip(u.iter()).take(i) {
            *q = product(q, &factor);
            along = plus_product(&along, q, u);
        }
        let half = product(&product(&along, &factor), &splat(T::HALF));
        for (q, u) in q.iter_mut().zip(u.iter()).take(i) {
            *q = minus_product(q, &half, u);
        }
        core::mem::swap(&mut u, &mut old_u);
        core::mem::swap(&mut q, &mut old_q);
    }
    if let Some(last) = n.checked_sub(1) {
        set(off, last, splat(T::ZERO));
    }
}

#[inline(always)]
fn one_of<T: Real, const L: usize>(x: &[Vector<T, L>], i: usize) -> Vector<T, L> {
    x.get(i).copied().unwrap_or(splat(T::ZERO))
}

#[inline(always)]
fn set<T, const L: usize>(x: &mut [Vector<T, L>], i: usize, value: Vector<T, L>) {
    if let Some(x) = x.get_mut(i) {
        *x = value;
    }
}

/// `vectors` ← Q = P_{n−1} … P_1 (rows at a distance of the padded order), A = Q T Qᵀ. Uses the
/// scratch of the reduction.
#[inline(always)]
pub(super) fn accumulate<T: Real, const L: usize>(
    vectors: &mut [Vector<T, L>],
    reduction: &mut Reduction<'_, T, L>,
    n: usize,
) {
    let padded = n.next_multiple_of(4);
    let Reduction { rows, inverse, scratch, .. } = reduction;
    let [u, mut s, scaled, mut old_s] = scratch.each_mut().map(|x| &mut **x);
    for x in [&mut *u, &mut *s, &mut *scaled, &mut *old_s] {
        x.fill(splat(T::ZERO));
    }
    vectors.fill(splat(T::ZERO));
    for x in vectors.iter_mut().step_by(padded.wrapping_add(1).max(1)).take(n) {
        *x = splat(T::ONE);
    }
    // row 1 has no reflector; one more pass applies the last one
    for i in 2..=n {
        u.fill(splat(T::ZERO));
        if i < n {
            let row = rows.get(row_range(i)).and_then(|row| row.get(..i)).unwrap_or(&[]);
            for (u, x) in u.iter_mut().zip(row) {
                *u = *x;
            }
        }
        s.fill(splat(T::ZERO));
        let order = i - 1;
        for r in (0..order).step_by(4) {
            let Some(group) = vectors.get_mut(r.wrapping_mul(padded)..) else { return };
            let Some([w0, w1, w2, w3]) = four_rows(group, padded) else { return };
            let (ur, tr) = (four(u, r), four(scaled, r));
            let (Some(w0), Some(w1), Some(w2), Some(w3), Some(old), Some(new)) = (
                w0.get_mut(..order),
                w1.get_mut(..order),
                w2.get_mut(..order),
                w3.get_mut(..order),
                old_s.get(..order),
                s.get_mut(..order),
            ) else {
                return;
            };
            for k in 0..order {
                let (Some(w0), Some(w1), Some(w2), Some(w3), Some(old), Some(new)) = (
                    w0.get_mut(k),
                    w1.get_mut(k),
                    w2.get_mut(k),
                    w3.get_mut(k),
                    old.get(k),
                    new.get_mut(k),
                ) else {
                    break;
                };
                let mut y = *new;
                reflect_one(w0, (&tr[0], old), &ur[0], &mut y);
                reflect_one(w1, (&tr[1], old), &ur[1], &mut y);
                reflect_one(w2, (&tr[2], old), &ur[2], &mut y);
                reflect_one(w3, (&tr[3], old), &ur[3], &mut y);
                *new = y;
            }
        }
        // row and column i − 1 of Q are those of the identity so far
        set(s, order, one_of(u, order));
        let factor = one_of(inverse, i);
        for (t, u) in scaled.iter_mut().zip(u.iter()) {
            *t = product(u, &factor);
        }
        core::mem::swap(&mut s, &mut old_s);
    }
}
