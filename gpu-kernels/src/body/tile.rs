//! A tile of a matrix product: `P = A Bᵀ` of two operands seen as (outer, inner).
//!
//! A block of 256 threads forms a tile of 16R × 16R elements, R × R of them in each thread's
//! registers, from slices of 16 inner indices that pass through shared memory: while one slice is
//! multiplied, the next is on its way in registers. Each element is one chain of fused
//! multiply-adds in the order of the inner index, whatever the tile.
//!
//! Shared memory: two buffers of two slices, [`shared_bytes`]; afterwards it carries the tile, 64
//! rows at a time, so that the epilogue reads and writes whole rows.

use super::epilogue::Epilogue;
use super::operand::Operand;
use crate::contract::Extent;
use crate::device::{Device, Shared};
use crate::word::{Scalar, unroll};

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Inner indices of a slice.
pub const SLICE: u32 = 16;
const QUARTER: usize = SLICE as usize / 4;
/// Threads along each side of a tile.
const SIDE: u32 = 16;
/// Columns that keep the rows of a slice on different banks.
const PAD: u32 = 4;

/// Rows and columns of a tile with R × R elements a thread.
pub const fn side(r: usize) -> u32 {
    SIDE * r as u32
}

/// Bytes of shared memory for values of `bytes` bytes.
pub const fn shared_bytes(r: usize, bytes: u32) -> u32 {
    4 * SLICE * (side(r) + PAD) * bytes
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
    pub fn of_grid<D: Device, const R: usize>(d: D, extent: Extent) -> Self {
        let [x, y, z] = d.block();
        let inner = z * extent.piece;
        let end = inner + extent.piece;
        let end = if end < extent.inner { end } else { extent.inner };
        Self { row: y * side(R), column: x * side(R), inner, end }
    }

    /// Block x of the grid forms the x-th tile of the lower triangle, row by row, over the z-th piece of
    /// the inner range.
    #[inline(always)]
    pub fn of_triangle<D: Device, const R: usize>(d: D, extent: Extent) -> Self {
        let (row, column) = super::operand::unpack(d.block()[0]);
        let place = Self::of_grid::<D, R>(d, extent);
        Self { row: row * side(R), column: column * side(R), ..place }
    }
}

/// A thread's part in moving an operand from global to shared memory: R elements of each slice, at
/// one inner index where the operand is stored along inner, else at one outer index.
struct Mover<L, const R: usize> {
    /// Of the outer index, where there is one.
    lane: L,
    outer: u32,
    inner: u32,
    /// Outer indices of the operand.
    count: u32,
}

impl<L: Copy, const R: usize> Mover<L, R> {
    /// The movement of `operand`, which has `count` outer indices from its start on.
    #[inline(always)]
    fn new<D: Device, T: Scalar, O: Operand<D, T, Lane = L>>(d: D, operand: O, count: u32) -> Self {
        let thread = d.thread();
        let (outer, inner) = if O::ALONG_INNER {
            (thread / SLICE, thread % SLICE)
        } else {
            (thread % side(R), thread / side(R))
        };
        // An index outside the matrix is not used, but must not be computed from one either.
        let lane = operand.lane(if outer < count { outer } else { 0 });
        Self { lane, outer, inner, count }
    }

    /// Reads a half of the thread's elements of the slice at the operand's start; 0 outside the
    /// matrix.
    #[inline(always)]
    fn fetch<D: Device, T: Scalar, O: Operand<D, T, Lane = L>>(
        &self,
        d: D,
        operand: O,
        left: u32,
        half: usize,
    ) -> Half<T> {
        let mut values = [T::ZERO; 4];
        // Opaque, so that the addresses of all elements are not kept in registers through the loop.
        let moving = d.opaque(if O::ALONG_INNER { self.outer } else { self.inner });
        unroll::<4>(
            #[inline(always)]
            |i| {
                let j = (half * R / 2 + i) as u32;
                if O::ALONG_INNER {
                    let outer = moving + SLICE * j;
                    if i < R / 2 && outer < self.count && self.inner < left {
                        values[i] = operand.value(d, operand.lane(outer), self.inner);
                    }
                } else {
                    let inner = moving + step(R) * j;
                    if i < R / 2 && self.outer < self.count && inner < left {
                        values[i] = operand.value(d, self.lane, inner);
                    }
                }
            },
        );
        values
    }

    /// Writes them to shared memory, inner index by inner index.
    #[inline(always)]
    fn put<D: Device, T: Scalar, O: Operand<D, T, Lane = L>>(
        &self,
        d: D,
        slice: Shared<T>,
        values: Half<T>,
        half: usize,
    ) {
        let row = side(R) + PAD;
        unroll::<4>(
            #[inline(always)]
            |i| {
                let j = (half * R / 2 + i) as u32;
                let at = if O::ALONG_INNER {
                    self.inner * row + self.outer + SLICE * j
                } else {
                    (self.inner + step(R) * j) * row + self.outer
                };
                if i < R / 2 {
                    d.shared_store(slice, at, values[i]);
                }
            },
        );
    }
}

/// Half of the R values that a thread moves of a slice: the first R/2 of these.
type Half<T> = [T; 4];

/// Inner indices between two elements of a thread that moves along outer.
const fn step(r: usize) -> u32 {
    THREADS / side(r)
}

/// Forms the tile at `place` of the product of `a` and `b` and hands it to the epilogue.
#[inline(always)]
pub fn product<T, D, A, B, E, const R: usize>(d: D, ab: (A, B), e: E, place: Place, extent: Extent)
where
    T: Scalar,
    D: Device,
    A: Operand<D, T>,
    B: Operand<D, T>,
    E: Epilogue<D, T>,
{
    let sums = accumulate::<T, D, A, B, R>(d, ab, place, extent);
    finish::<T, D, E, R>(d, sums, e, place, extent);
}

/// The thread's elements of the tile.
#[inline(always)]
fn accumulate<T, D, A, B, const R: usize>(
    d: D,
    (a, b): (A, B),
    place: Place,
    extent: Extent,
) -> [[T; R]; R]
where
    T: Scalar,
    D: Device,
    A: Operand<D, T>,
    B: Operand<D, T>,
{
    let row = side(R) + PAD;
    let slice = Shared::<T>::at(0);
    let buffer = |parity: u32| {
        let a = slice.skip(parity * 2 * SLICE * row);
        (a, a.skip(SLICE * row))
    };
    let (mut a, mut b) =
        (a.start(d, place.row, place.inner), b.start(d, place.column, place.inner));
    let move_a = Mover::<A::Lane, R>::new(d, a, extent.rows - place.row);
    let move_b = Mover::<B::Lane, R>::new(d, b, extent.columns - place.column);
    let (down, across) = (d.thread() / SIDE * 4, d.thread() % SIDE * 4);

    let mut sums = [[T::ZERO; R]; R];
    let mut left = place.end - place.inner;
    unroll::<2>(
        #[inline(always)]
        |half| {
            move_a.put::<D, T, A>(d, slice, move_a.fetch(d, a, left, half), half);
            move_b.put::<D, T, B>(d, buffer(0).1, move_b.fetch(d, b, left, half), half);
        },
    );
    let mut parity = 0;
    loop {
        d.barrier();
        let more = left > SLICE;
        let (to_a, to_b) = buffer(parity ^ 1);
        let (from_a, from_b) = buffer(parity);
        let (from_a, from_b) = (from_a.skip(down), from_b.skip(across));
        if more {
            left -= SLICE;
            (a, b) = (a.step(d, SLICE), b.step(d, SLICE));
        }
        // A quarter of the next slices is under way during each quarter of the products: all of
        // them at once would take too many registers.
        unroll::<2>(
            #[inline(always)]
            |half| {
                let next = if more { move_a.fetch(d, a, left, half) } else { [T::ZERO; 4] };
                unroll::<QUARTER>(
                    #[inline(always)]
                    |k| multiply(d, &mut sums, (from_a, from_b), half * QUARTER + k),
                );
                if more {
                    move_a.put::<D, T, A>(d, to_a, next, half);
                }
            },
        );
        unroll::<2>(
            #[inline(always)]
            |half| {
                let next = if more { move_b.fetch(d, b, left, half) } else { [T::ZERO; 4] };
                unroll::<QUARTER>(
                    #[inline(always)]
                    |k| multiply(d, &mut sums, (from_a, from_b), (2 + half) * QUARTER + k),
                );
                if more {
                    move_b.put::<D, T, B>(d, to_b, next, half);
                }
            },
        );
        if !more {
            return sums;
        }
        parity ^= 1;
    }
}

/// Adds the products of inner index k of two slices, which begin at the thread's rows and columns.
#[inline(always)]
fn multiply<T: Scalar, D: Device, const R: usize>(
    d: D,
    sums: &mut [[T; R]; R],
    (a, b): (Shared<T>, Shared<T>),
    k: usize,
) {
    let at = k as u32 * (side(R) + PAD);
    let x = fragment::<T, D, R>(d, a, at);
    let y = fragment::<T, D, R>(d, b, at);
    unroll::<R>(
        #[inline(always)]
        |i| {
            unroll::<R>(
                #[inline(always)]
                |j| sums[i][j] = x[i].fused(y[j], sums[i][j]),
            )
        },
    );
}

/// Four values at `at` and, for R = 8, four more half a tile further on.
#[inline(always)]
fn fragment<T: Scalar, D: Device, const R: usize>(d: D, slice: Shared<T>, at: u32) -> [T; R] {
    let mut values = [T::ZERO; R];
    unroll::<2>(
        #[inline(always)]
        |half| {
            if half * 4 < R {
                let four = d.shared_load4(slice, at + half as u32 * SIDE * 4);
                unroll::<4>(
                    #[inline(always)]
                    |i| values[half * 4 + i] = four[i],
                );
            }
        },
    );
    values
}

/// Passes the tile through shared memory, 64 rows at a time, to the epilogue.
#[inline(always)]
fn finish<T, D, E, const R: usize>(d: D, sums: [[T; R]; R], e: E, place: Place, extent: Extent)
where
    T: Scalar,
    D: Device,
    E: Epilogue<D, T>,
{
    let e = e.start(d, place.row, place.column);
    let (rows, columns) = (extent.rows - place.row, extent.columns - place.column);
    let tile = Shared::<T>::at(0);
    let (width, row) = (side(R), side(R) + PAD);
    let (down, across) = (d.thread() / SIDE * 4, d.thread() % SIDE * 4);
    unroll::<2>(
        #[inline(always)]
        |half| {
            if half * 4 < R {
                d.barrier();
                unroll::<4>(
                    #[inline(always)]
                    |i| {
                        let sums = &sums[half * 4 + i];
                        let at = (down + i as u32) * row + across;
                        unroll::<2>(
                            #[inline(always)]
                            |part| {
                                if part * 4 < R {
                                    let four = [0, 1, 2, 3].map(|j| sums[part * 4 + j]);
                                    d.shared_store4(tile, at + part as u32 * SIDE * 4, four);
                                }
                            },
                        );
                    },
                );
                d.barrier();
                let mut at = d.thread();
                while at < 64 * width {
                    let (r, c) = (at / width, at % width);
                    let below = r + 64 * half as u32;
                    if below < rows && c < columns {
                        e.store(d, below, c, d.shared_load(tile, r * row + c));
                    }
                    at += THREADS;
                }
            }
        },
    );
}
