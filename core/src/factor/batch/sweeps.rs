//! Implicit QL on a group of tridiagonal matrices, and its rotations on their vectors.
//!
//! Every lane works on its own block at its own pace: a sweep runs over the union of the blocks, and
//! a lane takes part between the ends of its own. The rotations of some sweeps are kept and then
//! applied to four rows at a time, which stay in the level 1 cache meanwhile. After Golub and Van
//! Loan, Matrix Computations, §8.3.

#![allow(clippy::needless_range_loop, reason = "an index runs over the lanes of several vectors")]

use super::lanes::{Vector, minus_product, plus_product, product, splat};
use crate::factor::eigh::PATIENCE;
use crate::{Error, Real};

/// Sweeps that are kept before they are applied.
pub(super) const KEPT: usize = 8;

/// Sweeps that an eigenvalue may take, on average over a matrix.
const ITERATIONS: usize = 60;

/// The cosine and the sine of a rotation.
pub(super) type Rotation<T, const L: usize> = [Vector<T, L>; 2];

/// The topmost block of every lane that is not diagonal yet: rows first … last, and the elements
/// that its shift needs. A lane without one has `first` past the order.
struct Blocks<T, const L: usize> {
    first: Vector<T, L>,
    last: Vector<T, L>,
    /// d, its successor and e at `first`, d at `last`.
    ends: [Vector<T, L>; 4],
}

/// Sets the couplings that are negligible to zero, and finds the blocks.
#[inline(always)]
fn find<T: Real, const L: usize>(
    d: &[Vector<T, L>],
    e: &mut [Vector<T, L>],
    floor: &Vector<T, L>,
) -> Blocks<T, L> {
    let n = d.len();
    let (zero, one) = (splat::<T, L>(T::ZERO), splat::<T, L>(T::ONE));
    let mut blocks =
        Blocks { first: splat(T::from_usize(n)), last: zero, ends: [zero, zero, one, zero] };
    let mut below = zero;
    let mut next = d.last().copied().unwrap_or(zero);
    let mut rest = n.saturating_sub(1);
    while let Some(i) = rest.checked_sub(1) {
        rest = i;
        let (Some(e), Some(d)) = (e.get_mut(i), d.get(i)) else { break };
        let (here, after) = (T::from_usize(i), T::from_usize(i + 1));
        let Blocks { first, last, ends: [dl, dn, el, dm] } = &mut blocks;
        for lane in 0..L {
            let size = d[lane].abs() + next[lane].abs();
            let coupling = e[lane].abs();
            let open = (coupling > T::EPSILON * size) & (coupling > floor[lane]);
            let kept = if open { e[lane] } else { T::ZERO };
            let starts = open & (below[lane] == T::ZERO);
            last[lane] = if starts { after } else { last[lane] };
            dm[lane] = if starts { next[lane] } else { dm[lane] };
            first[lane] = if open { here } else { first[lane] };
            dl[lane] = if open { d[lane] } else { dl[lane] };
            dn[lane] = if open { next[lane] } else { dn[lane] };
            el[lane] = if open { kept } else { el[lane] };
            below[lane] = kept;
            e[lane] = kept;
        }
        next = *d;
    }
    blocks
}

/// Below what a coupling of a lane counts as zero whatever is beside it: see
/// [`PATIENCE`](crate::factor::eigh::PATIENCE).
struct Floors<T, const L: usize> {
    /// Where the block of the lane began, and for how many sweeps it has.
    first: Vector<T, L>,
    spent: Vector<T, L>,
    /// ε times the largest element.
    noise: Vector<T, L>,
    now: Vector<T, L>,
}

impl<T: Real, const L: usize> Floors<T, L> {
    #[inline(always)]
    fn new(d: &[Vector<T, L>], e: &[Vector<T, L>]) -> Self {
        let tiny = splat(T::MIN_POSITIVE / T::EPSILON);
        let mut noise = tiny;
        for (d, e) in d.iter().zip(e) {
            for lane in 0..L {
                noise[lane] = (T::EPSILON * d[lane].abs().max(e[lane].abs())).max(noise[lane]);
            }
        }
        let zero = splat(T::ZERO);
        Self { first: splat(-T::ONE), spent: zero, noise, now: tiny }
    }

    /// Counts a sweep over `blocks`.
    #[inline(always)]
    fn count(&mut self, blocks: &Blocks<T, L>) {
        let patience = T::from_usize(PATIENCE);
        for lane in 0..L {
            let stays = blocks.first[lane] == self.first[lane];
            let spent = if stays { self.spent[lane] + T::ONE } else { T::ONE };
            let tiny = T::MIN_POSITIVE / T::EPSILON;
            self.now[lane] = if spent < patience { tiny } else { self.noise[lane] };
            self.spent[lane] = spent;
            self.first[lane] = blocks.first[lane];
        }
    }
}

/// The state of a sweep between two rotations.
struct State<T, const L: usize> {
    sine: Vector<T, L>,
    cosine: Vector<T, L>,
    shift: Vector<T, L>,
    bulge: Vector<T, L>,
}

/// The bulge that starts a sweep with Wilkinson's shift.
#[inline(always)]
fn start<T: Real, const L: usize>(blocks: &Blocks<T, L>) -> State<T, L> {
    let [dl, dn, el, dm] = &blocks.ends;
    let mut bulge = splat::<T, L>(T::ZERO);
    for lane in 0..L {
        let half = (dn[lane] - dl[lane]) / (T::TWO * el[lane]);
        // |half| < 1/ε: a smaller coupling counts as zero
        let root = (half * half + T::ONE).sqrt();
        bulge[lane] = dm[lane] - dl[lane] + el[lane] / (half + root.copysign(half));
    }
    let one = splat(T::ONE);
    State { sine: one, cosine: one, shift: splat(T::ZERO), bulge }
}

/// The numbers that keep squares between the ends of the format.
#[derive(Clone, Copy)]
struct Range<T> {
    /// Below this a square may lose digits,
    small: T,
    /// unless it is multiplied by this,
    up: T,
    /// and the root by that.
    down: T,
}

/// One rotation of every lane whose block holds row i and the next.
#[inline(always)]
fn rotate<T: Real, const L: usize>(
    state: &mut State<T, L>,
    blocks: &mut Blocks<T, L>,
    (d, e): ([&mut Vector<T, L>; 2], [&mut Vector<T, L>; 2]),
    i: usize,
    range: Range<T>,
) -> Rotation<T, L> {
    let (here, after) = (T::from_usize(i), T::from_usize(i + 1));
    let ([to_d0, to_d1], [to_e0, to_e1]) = (d, e);
    // copies: the compiler need not ask whether they overlap
    let (mut d0, mut d1, mut e0, mut e1) = (*to_d0, *to_d1, *to_e0, *to_e1);
    let State { sine, cosine, shift, bulge } = state;
    let Blocks { first, last, .. } = blocks;
    let mut out = [splat(T::ONE), splat(T::ZERO)];
    let [cosines, sines] = &mut out;
    for lane in 0..L {
        let active = (here >= first[lane]) & (here < last[lane]);
        let (f, b, g) = (sine[lane] * e0[lane], cosine[lane] * e0[lane], bulge[lane]);
        let large = f.abs().max(g.abs());
        let small = large < range.small;
        let (up, down) = if small { (range.up, range.down) } else { (T::ONE, T::ONE) };
        let (f, g) = (f * up, g * up);
        let squared = f * f + g * g;
        // both are zero: the matrix falls apart here, and the sweep of this lane ends
        let splits = squared == T::ZERO;
        let squared = if splits { T::ONE } else { squared };
        let root = squared.sqrt();
        let inverse = T::ONE / root;
        let (s, c, root) = (f * inverse, g * inverse, root * down);
        let x = d1[lane] - shift[lane];
        let q = (d0[lane] - x) * s + T::TWO * c * b;
        let p = s * q;
        let rotated = active & !splits;
        let kept = if splits | (after == last[lane]) { T::ZERO } else { root };
        e1[lane] = if active { kept } else { e1[lane] };
        d1[lane] = if active { x + p } else { d1[lane] };
        let ends = rotated & (here == first[lane]);
        let next = c * q - b;
        d0[lane] = if ends { d0[lane] - p } else { d0[lane] };
        e0[lane] = if ends { next } else { e0[lane] };
        sine[lane] = if rotated { s } else { sine[lane] };
        cosine[lane] = if rotated { c } else { cosine[lane] };
        shift[lane] = if rotated { p } else { shift[lane] };
        bulge[lane] = if rotated { next } else { bulge[lane] };
        first[lane] = if active & splits { after } else { first[lane] };
        cosines[lane] = if rotated { c } else { T::ONE };
        sines[lane] = if rotated { s } else { T::ZERO };
    }
    (*to_d0, *to_d1, *to_e0, *to_e1) = (d0, d1, e0, e1);
    out
}

/// Sweeps that are kept: rows first … last of each, its rotations `order` apart.
struct Kept<'a, T, const L: usize> {
    rotations: &'a mut [Rotation<T, L>],
    ranges: [(usize, usize); KEPT],
    count: usize,
}

impl<T: Real, const L: usize> Kept<'_, T, L> {
    /// Applies all sweeps to the columns of `vectors`, rows at a distance of `padded`.
    #[inline(always)]
    fn apply(&mut self, vectors: &mut [Vector<T, L>], n: usize) {
        let padded = n.next_multiple_of(4);
        let sweeps = self.ranges.get(..self.count).unwrap_or(&[]);
        for group in vectors.chunks_exact_mut((4 * padded).max(1)) {
            let mut rest = &*self.rotations;
            for (first, last) in sweeps {
                let Some((rotations, others)) = rest.split_at_checked(n) else { break };
                rest = others;
                let mut parts = group.chunks_exact_mut(padded.max(1));
                let mut next = || {
                    let row = parts.next().and_then(|row| row.get_mut(*first..=*last));
                    row.unwrap_or(&mut [])
                };
                let rows = [next(), next(), next(), next()];
                sweep(rows, rotations.get(*first..*last).unwrap_or(&[]));
            }
        }
        self.count = 0;
    }
}

/// One sweep on four rows, each one element longer than there are rotations: from the last pair of
/// columns to the first (x, y) ← (c x − s y, s x + c y), x of which goes into the next pair.
#[inline(always)]
fn sweep<T: Real, const L: usize>(rows: [&mut [Vector<T, L>]; 4], rotations: &[Rotation<T, L>]) {
    let mut carried = [splat::<T, L>(T::ZERO); 4];
    let mut out: [&mut [Vector<T, L>]; 4] = rows;
    for (carried, row) in carried.iter_mut().zip(&out) {
        *carried = row.last().copied().unwrap_or(*carried);
    }
    let count = rotations.len();
    let [r0, r1, r2, r3] = out.each_mut().map(|row| row.get_mut(..=count).unwrap_or(&mut []));
    let [mut y0, mut y1, mut y2, mut y3] = carried;
    let mut k = count;
    while let Some(i) = k.checked_sub(1) {
        let Some([c, s]) = rotations.get(i) else { break };
        step(r0, &mut y0, i, c, s);
        step(r1, &mut y1, i, c, s);
        step(r2, &mut y2, i, c, s);
        step(r3, &mut y3, i, c, s);
        k = i;
    }
    for (row, y) in [r0, r1, r2, r3].into_iter().zip([y0, y1, y2, y3]) {
        if let Some(x) = row.first_mut() {
            *x = y;
        }
    }
}

#[inline(always)]
fn step<T: Real, const L: usize>(
    row: &mut [Vector<T, L>],
    y: &mut Vector<T, L>,
    i: usize,
    c: &Vector<T, L>,
    s: &Vector<T, L>,
) {
    if let Some([x, after]) = row.get_mut(i..).and_then(|row| row.first_chunk_mut::<2>()) {
        *after = plus_product(&product(s, x), c, y);
        *y = minus_product(&product(c, x), s, y);
    }
}

/// Diagonalises the tridiagonal matrices with the diagonal d and e[i] between i and i + 1 (the last
/// is 0), scaled to elements of about 1, and applies the rotations to the columns of `vectors`.
/// `rotations` is scratch of [`KEPT`] n.
#[inline(always)]
pub(super) fn diagonalise<T: Real, const L: usize>(
    vectors: &mut [Vector<T, L>],
    d: &mut [Vector<T, L>],
    e: &mut [Vector<T, L>],
    rotations: &mut [Rotation<T, L>],
) -> Result<(), Error> {
    let n = d.len();
    let small = T::MIN_POSITIVE.sqrt() / T::EPSILON;
    let (up, down) = (T::EPSILON / T::MIN_POSITIVE, T::MIN_POSITIVE / T::EPSILON);
    let range = Range { small, up, down };
    let mut kept = Kept { rotations, ranges: [(0, 0); KEPT], count: 0 };
    let limit = n.saturating_mul(ITERATIONS);
    let mut floors = Floors::new(d, e);
    for _ in 0..limit {
        let mut blocks = find(d, e, &floors.now);
        floors.count(&blocks);
        let (mut first, mut last) = (T::from_usize(n), T::ZERO);
        for (f, l) in blocks.first.iter().zip(&blocks.last) {
            (first, last) = (f.min(first), l.max(last));
        }
        let (first, last) = (first.to_f64() as usize, last.to_f64() as usize);
        if first >= last {
            kept.apply(vectors, n);
            return Ok(());
        }
        let mut state = start(&blocks);
        let place = kept.count.wrapping_mul(n);
        let Some(out) = kept.rotations.get_mut(place..) else { break };
        let mut rest = last;
        while rest > first {
            rest -= 1;
            let i = rest;
            let (Some([d0, d1]), Some([e0, e1]), Some(out)) = (
                d.get_mut(i..).and_then(|d| d.first_chunk_mut::<2>()),
                e.get_mut(i..).and_then(|e| e.first_chunk_mut::<2>()),
                out.get_mut(i),
            ) else {
                break;
            };
            *out = rotate(&mut state, &mut blocks, ([d0, d1], [e0, e1]), i, range);
        }
        if let Some(range) = kept.ranges.get_mut(kept.count) {
            *range = (first, last);
        }
        kept.count += 1;
        if kept.count >= KEPT {
            kept.apply(vectors, n);
        }
    }
    Err(Error::NoConvergence { iterations: limit })
}
