//! Tiles by fused multiply-adds: R × R elements a thread, each one chain in the order of the inner
//! index, whatever the tile. The reference of every other engine.

use super::tile::{Engine, SLICE, row};
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
