//! Tiles by fused multiply-adds. [`Fma`]: R × R elements a thread, each one chain in the order of the
//! inner index, whatever the tile; the reference of every other engine. [`Narrow`]: small tiles for
//! products that have few of them, where the time is that of one block.

use super::tile::{Engine, SLICE, row, side};
use crate::device::{Device, Shared};
use crate::word::{Scalar, unroll};

/// Tiles of 16R × 16R with R = 8 (for f32) or 4 (for f64).
#[derive(Clone, Copy, Debug)]
pub struct Fma<const R: usize>;

/// Threads of a block.
pub const THREADS: u32 = SIDE * SIDE;
const QUARTER: usize = SLICE as usize / 4;
/// Threads along each side of a tile.
const SIDE: u32 = 16;

impl<T: Scalar, const R: usize> Engine<T> for Fma<R> {
    const R: usize = R;
    const THREADS: u32 = THREADS;
    const STEPS: usize = 4;
    type Sums = [[T; R]; R];

    #[inline(always)]
    fn zero() -> Self::Sums {
        [[T::ZERO; R]; R]
    }

    #[inline(always)]
    fn multiply<D: Device>(
        d: D,
        sums: &mut Self::Sums,
        (a, b): (Shared<T>, Shared<T>),
        quarter: usize,
    ) {
        let (down, across) = (d.thread() / SIDE * 4, d.thread() % SIDE * 4);
        unroll::<QUARTER>(
            #[inline(always)]
            |k| {
                let at = (quarter * QUARTER + k) as u32 * row(R);
                let x = fragment::<T, D, R>(d, a.skip(down), at);
                let y = fragment::<T, D, R>(d, b.skip(across), at);
                unroll::<R>(
                    #[inline(always)]
                    |i| {
                        unroll::<R>(
                            #[inline(always)]
                            |j| sums[i][j] = x[i].fused(y[j], sums[i][j]),
                        );
                    },
                );
            },
        );
    }

    #[inline(always)]
    fn put<D: Device>(d: D, sums: &Self::Sums, tile: Shared<T>, half: usize) {
        let (down, across) = (d.thread() / SIDE * 4, d.thread() % SIDE * 4);
        unroll::<4>(
            #[inline(always)]
            |i| {
                let sums = &sums[half * 4 + i];
                let at = (down + i as u32) * row(R) + across;
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
    }
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

/// Tiles of 32 × 32 from slices of 64 inner indices. Each quarter of the threads multiplies a quarter of
/// every slice, 4 × 4 elements a thread; the four sums are added at the end.
#[derive(Clone, Copy, Debug)]
pub struct Narrow;

/// Inner indices of a slice of [`Narrow`].
pub const NARROW_SLICE: u32 = 64;
/// A sixteenth of the side of its tile.
pub const NARROW: usize = 2;
/// Threads that form a whole tile.
const TEAM: u32 = 64;
/// Threads of a team along each side of the tile.
const TEAM_SIDE: u32 = 8;

/// The team of a thread, and its first row and column.
#[inline(always)]
fn post<D: Device>(d: D) -> (u32, u32, u32) {
    let (team, member) = (d.thread() / TEAM, d.thread() % TEAM);
    (team, member / TEAM_SIDE * 4, member % TEAM_SIDE * 4)
}

impl<T: Scalar> Engine<T> for Narrow {
    const R: usize = NARROW;
    const THREADS: u32 = THREADS;
    const SLICE: u32 = NARROW_SLICE;
    const STEPS: usize = 1;
    const COPIES: u32 = THREADS / TEAM;
    type Sums = [[T; 4]; 4];

    #[inline(always)]
    fn zero() -> Self::Sums {
        [[T::ZERO; 4]; 4]
    }

    #[inline(always)]
    fn multiply<D: Device>(d: D, sums: &mut Self::Sums, (a, b): (Shared<T>, Shared<T>), _: usize) {
        let (team, down, across) = post(d);
        let first = team * (NARROW_SLICE / 4) * row(NARROW);
        let (a, b) = (a.skip(first + down), b.skip(first + across));
        unroll::<16>(
            #[inline(always)]
            |k| {
                let at = k as u32 * row(NARROW);
                let (x, y) = (d.shared_load4(a, at), d.shared_load4(b, at));
                unroll::<4>(
                    #[inline(always)]
                    |i| {
                        unroll::<4>(
                            #[inline(always)]
                            |j| sums[i][j] = x[i].fused(y[j], sums[i][j]),
                        );
                    },
                );
            },
        );
    }

    #[inline(always)]
    fn put<D: Device>(d: D, sums: &Self::Sums, tile: Shared<T>, _: usize) {
        let (team, down, across) = post(d);
        let at = (team * side(NARROW) + down) * row(NARROW) + across;
        unroll::<4>(
            #[inline(always)]
            |i| d.shared_store4(tile, at + i as u32 * row(NARROW), sums[i]),
        );
    }
}
