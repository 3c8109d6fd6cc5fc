//! Arithmetic on one element of several matrices.
//!
//! Plain functions instead of closures, and indices below one common length instead of long chains of
//! `zip`: what is not inlined would be compiled for the baseline instruction set, and the adaptors of
//! iterators are not where their bodies are long. Nor do the inner loops run over arrays by value,
//! which are then iterated in memory.

use crate::Real;

/// One element of every matrix.
pub(super) type Vector<T, const L: usize> = [T; L];
/// Four vectors: a row of a tile, four consecutive elements.
pub(super) type Quad<T, const L: usize> = [Vector<T, L>; 4];

#[inline(always)]
pub(super) fn splat<T: Real, const L: usize>(x: T) -> Vector<T, L> {
    [x; L]
}

/// `x + y`.
#[inline(always)]
pub(super) fn sum<T: Real, const L: usize>(x: &Vector<T, L>, y: &Vector<T, L>) -> Vector<T, L> {
    let mut out = *x;
    for (o, y) in out.iter_mut().zip(y) {
        *o += *y;
    }
    out
}

/// `x y`.
#[inline(always)]
pub(super) fn product<T: Real, const L: usize>(x: &Vector<T, L>, y: &Vector<T, L>) -> Vector<T, L> {
    let mut out = *x;
    for (o, y) in out.iter_mut().zip(y) {
        *o *= *y;
    }
    out
}

/// `x + y z`.
#[inline(always)]
pub(super) fn plus_product<T: Real, const L: usize>(
    x: &Vector<T, L>,
    y: &Vector<T, L>,
    z: &Vector<T, L>,
) -> Vector<T, L> {
    let mut out = *x;
    for ((o, y), z) in out.iter_mut().zip(y).zip(z) {
        *o += *y * *z;
    }
    out
}

/// `x − y z`.
#[inline(always)]
pub(super) fn minus_product<T: Real, const L: usize>(
    x: &Vector<T, L>,
    y: &Vector<T, L>,
    z: &Vector<T, L>,
) -> Vector<T, L> {
    let mut out = *x;
    for ((o, y), z) in out.iter_mut().zip(y).zip(z) {
        *o -= *y * *z;
    }
    out
}

/// `1/√x` of every lane.
#[inline(always)]
pub(super) fn reciprocal_roots<T: Real, const L: usize>(x: &Vector<T, L>) -> Vector<T, L> {
    let mut out = *x;
    for o in &mut out {
        *o = T::ONE / o.sqrt();
    }
    out
}

/// The quotient `1/x` of every lane.
#[inline(always)]
pub(super) fn reciprocals<T: Real, const L: usize>(x: &Vector<T, L>) -> Vector<T, L> {
    let mut out = *x;
    for o in &mut out {
        *o = T::ONE / *o;
    }
    out
}

/// The first four rows of `width` elements, and no closure on the way.
#[inline(always)]
pub(super) fn four_rows<T>(rows: &mut [T], width: usize) -> Option<[&mut [T]; 4]> {
    let (a, rows) = rows.split_at_mut_checked(width)?;
    let (b, rows) = rows.split_at_mut_checked(width)?;
    let (c, rows) = rows.split_at_mut_checked(width)?;
    let (d, _) = rows.split_at_mut_checked(width)?;
    Some([a, b, c, d])
}
