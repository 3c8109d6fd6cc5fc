//! A tile of a matrix product: `P = A Bᵀ` of two operands seen as (outer, inner).
//!
//! A block forms a square tile in registers, from slices of 16 or 64 inner indices that pass
//! through shared memory: while one slice is multiplied, the next is on its way in registers. What
//! multiplies is an [`Engine`]: fused multiply-adds ([`super::fma`]) or tensor cores
//! ([`super::tensor`]). Afterwards shared memory carries the tile, 64 rows at a time, so that the
//! epilogue reads and writes whole rows.

use super::epilogue::Epilogue;
use super::operand::Operand;
use crate::contract::Extent;
use crate::device::{Device, Shared};
use crate::word::{Scalar, unroll};

/// Inner indices of a slice, where an engine does not say otherwise.
pub const SLICE: u32 = 16;
/// Columns that keep the rows of a slice on different banks.
const PAD: u32 = 8;
/// Rows of the tile that pass to the epilogue at once.
pub(super) const HALF: u32 = 64;

/// What multiplies two slices.
pub trait Engine<T: Scalar> {
    /// A sixteenth of the side of a tile: 8, 4 or 2.
    const R: usize;
    /// Threads of a block.
    const THREADS: u32;
    /// Inner indices of a slice.
    const SLICE: u32 = SLICE;
    /// Calls of [`Engine::multiply`] for a slice: 4, with a quarter of the next slices on its way at a
    /// time, or 1, with all of them.
    const STEPS: usize;
    /// Tiles that the threads put into shared memory one behind the other, and whose sum is meant.
    const COPIES: u32 = 1;
    /// What a thread has of the tile.
    type Sums: Copy;
    /// A tile of zeros.
    fn zero() -> Self::Sums;
    /// Adds a step of the product of two slices. All threads call it with the same step.
    fn multiply<D: Device>(
        d: D,
        sums: &mut Self::Sums,
        slices: (Shared<T>, Shared<T>),
        step: usize,
    );
    /// Writes what the thread has of rows 64·half to 64·half + 63 into a tile of shared memory.
    fn put<D: Device>(d: D, sums: &Self::Sums, tile: Shared<T>, half: usize);
}

/// Rows and columns of a tile.
pub const fn side(r: usize) -> u32 {
    16 * r as u32
}

/// The distance between rows of a slice or tile in shared memory.
pub const fn row(r: usize) -> u32 {
    side(r) + PAD
}

/// Bytes of shared memory: two buffers of two slices of `slice` rows of `row` cells of `bytes` bytes.
pub const fn shared_bytes(slice: u32, row: u32, bytes: u32) -> u32 {
    4 * slice * row * bytes
}

/// The part of the product that a block forms.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The first row.
    pub row: u32,
    /// The first column.
    pub column: u32,
    /// The first inner index.
    pub inner: u32,
    /// The inner index after the last.
    pub end: u32,
}

impl Place {
    /// Block (x, y, z) of the grid forms tile (y, x) over the z-th piece of the inner range.
    #[inline(always)]
    pub fn of_grid<D: Device>(d: D, extent: Extent, side: u32) -> Self {
        let [x, y, z] = d.block();
        let inner = z * extent.piece;
        let end = inner + extent.piece;
        let end = if end < extent.inner { end } else { extent.inner };
        Self { row: y * side, column: x * side, inner, end }
    }

    /// Block x of the grid forms the x-th tile of the lower triangle, row by row, over the z-th piece of
    /// the inner range.
    #[inline(always)]
    pub fn of_triangle<D: Device>(d: D, extent: Extent, side: u32) -> Self {
        let (row, column) = super::operand::unpack(d.block()[0]);
        Self { row: row * side, column: column * side, ..Self::of_grid(d, extent, side) }
    }
}

/// A thread's part in moving an operand from global to shared memory: a few elements of each slice, at
/// one inner index where the operand is stored along inner, else at one outer index.
struct Mover<L> {
    /// Of the outer index, where there is one.
    lane: L,
    /// The first outer index of several, or the first inner one: no index of the matrix for a thread
    /// whose only outer index lies outside.
    first: u32,
    /// The inner index, where there is one.
    inner: u32,
    /// Outer indices of the operand.
    count: u32,
    /// Where the first element goes in a slice.
    at: u32,
}

/// Beyond every inner index.
const OUTSIDE: u32 = 1 << 31;

impl<L: Copy> Mover<L> {
    /// The movement of `operand`, which has `count` outer indices from its start on.
    #[inline(always)]
    fn new<D: Device, T: Scalar, O: Operand<D, T, Lane = L>, G: Engine<T>>(
        d: D,
        operand: O,
        count: u32,
    ) -> Self {
        let thread = d.thread();
        if O::ALONG_INNER {
            let (first, inner) = (thread / G::SLICE, thread % G::SLICE);
            return Self {
                lane: operand.lane(0),
                first,
                inner,
                count,
                at: inner * row(G::R) + first,
            };
        }
        let (outer, inner) = (thread % side(G::R), thread / side(G::R));
        let at = inner * row(G::R) + outer;
        // An index outside the matrix is not used, but must not be computed from one either.
        let (lane, first) =
            if outer < count { (operand.lane(outer), inner) } else { (operand.lane(0), OUTSIDE) };
        Self { lane, first, inner, count, at }
    }

    /// Reads a half of the thread's elements of the slice at the operand's start; nothing outside
    /// the matrix.
    #[inline(always)]
    fn fetch<D: Device, T: Scalar, O: Operand<D, T, Lane = L>, G: Engine<T>>(
        &self,
        d: D,
        operand: O,
        left: u32,
        half: usize,
    ) -> Half<O::Raw> {
        let mut values = [O::NOTHING; 4];
        // Opaque, so that the addresses of all elements are not kept in registers through the loop.
        let moving = d.opaque(self.first);
        unroll::<4>(
            #[inline(always)]
            |i| {
                let j = (half * each::<T, G>() / 2 + i) as u32;
                if i >= each::<T, G>() / 2 {
                    return;
                }
                if O::ALONG_INNER {
                    let outer = moving + G::THREADS / G::SLICE * j;
                    if outer < self.count && self.inner < left {
                        values[i] = operand.fetch(d, operand.lane(outer), self.inner);
                    }
                } else {
                    let inner = moving + G::THREADS / side(G::R) * j;
                    if inner < left {
                        values[i] = operand.fetch(d, self.lane, inner);
                    }
                }
            },
        );
        values
    }

    /// Writes them to shared memory, inner index by inner index.
    #[inline(always)]
    fn put<D: Device, T: Scalar, O: Operand<D, T, Lane = L>, G: Engine<T>>(
        &self,
        d: D,
        slice: Shared<T>,
        values: Half<O::Raw>,
        half: usize,
    ) {
        let apart = if O::ALONG_INNER {
            G::THREADS / G::SLICE
        } else {
            G::THREADS / side(G::R) * row(G::R)
        };
        unroll::<4>(
            #[inline(always)]
            |i| {
                if i < each::<T, G>() / 2 {
                    d.shared_store(
                        slice,
                        self.at + apart * (half * each::<T, G>() / 2 + i) as u32,
                        O::value(d, values[i]),
                    );
                }
            },
        );
    }
}

/// The elements of a slice that a thread moves: 8 or 4.
const fn each<T: Scalar, G: Engine<T>>() -> usize {
    (G::SLICE * side(G::R) / G::THREADS) as usize
}

/// What makes half of the values that a thread moves of a slice: the first of these.
type Half<V> = [V; 4];

/// Forms the tile at `place` of the product of `a` and `b` and hands it to the epilogue.
#[inline(always)]
pub fn product<T, D, A, B, E, G>(d: D, ab: (A, B), e: E, place: Place, extent: Extent)
where
    T: Scalar,
    D: Device,
    A: Operand<D, T>,
    B: Operand<D, T>,
    E: Epilogue<D, T>,
    G: Engine<T>,
{
    let sums = accumulate::<T, D, A, B, G>(d, ab, place, extent);
    finish::<T, D, E, G>(d, sums, e, place, extent);
}

/// The thread's part of the tile.
#[inline(always)]
fn accumulate<T, D, A, B, G>(d: D, (a, b): (A, B), place: Place, extent: Extent) -> G::Sums
where
    T: Scalar,
    D: Device,
    A: Operand<D, T>,
    B: Operand<D, T>,
    G: Engine<T>,
{
    let buffer = |parity: u32| {
        let a = Shared::<T>::at(0).skip(parity * 2 * G::SLICE * row(G::R));
        (a, a.skip(G::SLICE * row(G::R)))
    };
    let (mut a, mut b) =
        (a.start(d, place.row, place.inner), b.start(d, place.column, place.inner));
    let move_a = Mover::<A::Lane>::new::<D, T, A, G>(d, a, extent.rows - place.row);
    let move_b = Mover::<B::Lane>::new::<D, T, B, G>(d, b, extent.columns - place.column);

    let mut sums = G::zero();
    let mut left = place.end - place.inner;
    unroll::<2>(
        #[inline(always)]
        |half| {
            let (to_a, to_b) = buffer(0);
            let values = move_a.fetch::<D, T, A, G>(d, a, left, half);
            move_a.put::<D, T, A, G>(d, to_a, values, half);
            let values = move_b.fetch::<D, T, B, G>(d, b, left, half);
            move_b.put::<D, T, B, G>(d, to_b, values, half);
        },
    );
    let mut parity = 0;
    loop {
        d.barrier();
        let more = left > G::SLICE;
        let (slices, (to_a, to_b)) = (buffer(parity), buffer(parity ^ 1));
        if more {
            left -= G::SLICE;
            (a, b) = (a.step(d, G::SLICE), b.step(d, G::SLICE));
        }
        if G::STEPS == 1 {
            let (mut next_a, mut next_b) = ([[A::NOTHING; 4]; 2], [[B::NOTHING; 4]; 2]);
            if more {
                unroll::<2>(
                    #[inline(always)]
                    |half| {
                        next_a[half] = move_a.fetch::<D, T, A, G>(d, a, left, half);
                        next_b[half] = move_b.fetch::<D, T, B, G>(d, b, left, half);
                    },
                );
            }
            G::multiply(d, &mut sums, slices, 0);
            if more {
                unroll::<2>(
                    #[inline(always)]
                    |half| {
                        move_a.put::<D, T, A, G>(d, to_a, next_a[half], half);
                        move_b.put::<D, T, B, G>(d, to_b, next_b[half], half);
                    },
                );
            }
        } else {
            // A quarter of the next slices is under way during each quarter of the products: all of
            // them at once would take too many registers.
            unroll::<2>(
                #[inline(always)]
                |half| {
                    let mut next = [A::NOTHING; 4];
                    if more {
                        next = move_a.fetch::<D, T, A, G>(d, a, left, half);
                    }
                    G::multiply(d, &mut sums, slices, half);
                    if more {
                        move_a.put::<D, T, A, G>(d, to_a, next, half);
                    }
                },
            );
            unroll::<2>(
                #[inline(always)]
                |half| {
                    let mut next = [B::NOTHING; 4];
                    if more {
                        next = move_b.fetch::<D, T, B, G>(d, b, left, half);
                    }
                    G::multiply(d, &mut sums, slices, 2 + half);
                    if more {
                        move_b.put::<D, T, B, G>(d, to_b, next, half);
                    }
                },
            );
        }
        if !more {
            return sums;
        }
        parity ^= 1;
    }
}

/// Passes the tile through shared memory, 64 rows at a time, to the epilogue.
#[inline(always)]
fn finish<T, D, E, G>(d: D, sums: G::Sums, e: E, place: Place, extent: Extent)
where
    T: Scalar,
    D: Device,
    E: Epilogue<D, T>,
    G: Engine<T>,
{
    let e = e.start(d, place.row, place.column);
    let (rows, columns) = (extent.rows - place.row, extent.columns - place.column);
    let tile = Shared::<T>::at(0);
    let width = side(G::R);
    let high = if width < HALF { width } else { HALF };
    unroll::<2>(
        #[inline(always)]
        |half| {
            if half as u32 * HALF < width {
                d.barrier();
                G::put(d, &sums, tile, half);
                d.barrier();
                let mut at = d.thread();
                while at < high * width {
                    let (r, c) = (at / width, at % width);
                    let below = r + HALF * half as u32;
                    if below < rows && c < columns {
                        let at = r * row(G::R) + c;
                        let mut value = d.shared_load(tile, at);
                        unroll::<4>(
                            #[inline(always)]
                            |copy| {
                                if copy > 0 && (copy as u32) < G::COPIES {
                                    let tile = tile.skip(copy as u32 * high * row(G::R));
                                    value += d.shared_load(tile, at);
                                }
                            },
                        );
                        e.store(d, below, c, value);
                    }
                    at += G::THREADS;
                }
            }
        },
    );
}
