//! Tiles by tensor cores (compute capability 8.0): 128 × 128, eight warps of 64 × 32 each.
//!
//! f32 values stand in shared memory; what a mode does to them happens between there and the product:
//! twice as many bytes of parts made beforehand cost more than making them here. Fragments are those of the PTX ISA for m16n8k8 and m16n8k16: with g = lane/4 and
//! t = lane mod 4, a lane has A at rows g, g + 8 and inner indices t, t + 4, B at the same inner indices
//! of column g, and C at rows g, g + 8 and columns 2t, 2t + 1; pairs of bf16 take inner indices 2t, 2t + 1.

use super::tile::{Engine, row};
use crate::device::{Device, Shared};
use crate::word::unroll;

/// How f32 values become factors of a tensor core. A slice's part of a fragment, all its inner indices, is
/// multiplied in stages, each one instruction of a warp.
pub trait Mode {
    /// 16 rows of A by the inner indices of a slice.
    type Left: Copy;
    /// The inner indices of a slice by 8 columns of B.
    type Right: Copy;
    /// Products of fragments that make up that of a slice.
    const STAGES: usize;
    /// Whether a tensor core sums a slice only, and f32 additions the slices. Tensor cores truncate their sums,
    /// so a long sum by them drifts by up to 2⁻²³ of itself with every step.
    const SUMS_A_SLICE: bool;
    /// The part of A whose first row is row `outer` of the tile, plus the lane's.
    fn left<D: Device>(d: D, slice: Shared<f32>, outer: u32) -> Self::Left;
    /// The part of B whose first column is column `outer` of the tile, plus the lane's.
    fn right<D: Device>(d: D, slice: Shared<f32>, outer: u32) -> Self::Right;
    /// C + the products of a stage.
    fn multiply<D: Device>(
        d: D,
        stage: usize,
        c: [f32; 4],
        a: &Self::Left,
        b: &Self::Right,
    ) -> [f32; 4];
}

/// The value at inner index `k` of a slice.
#[inline(always)]
fn value<D: Device>(d: D, slice: Shared<f32>, k: u32, outer: u32) -> f32 {
    d.shared_load(slice, k * row(8) + outer)
}

/// The four values of a lane in 16 rows and 8 inner indices from k on.
#[inline(always)]
fn four<D: Device>(d: D, slice: Shared<f32>, k: u32, outer: u32) -> [f32; 4] {
    let k = k + d.lane() % 4;
    [
        value(d, slice, k, outer),
        value(d, slice, k, outer + 8),
        value(d, slice, k + 4, outer),
        value(d, slice, k + 4, outer + 8),
    ]
}

/// The two values of a lane in 8 inner indices from k on and 8 columns.
#[inline(always)]
fn two<D: Device>(d: D, slice: Shared<f32>, k: u32, outer: u32) -> [f32; 2] {
    let k = k + d.lane() % 4;
    [value(d, slice, k, outer), value(d, slice, k + 4, outer)]
}

/// The bits that a tensor core reads as the nearest tf32 number, ties away from 0: it ignores the last 13.
#[inline(always)]
fn round_to_tf32(x: f32) -> u32 {
    x.to_bits().wrapping_add(0x1000)
}

/// Factors rounded to tf32: 10 bits behind the point, relative error 2⁻¹¹.
#[derive(Clone, Copy, Debug)]
pub struct Tf32;

impl Mode for Tf32 {
    type Left = [[u32; 4]; 2];
    type Right = [[u32; 2]; 2];
    const STAGES: usize = 2;
    const SUMS_A_SLICE: bool = false;
    #[inline(always)]
    fn left<D: Device>(d: D, slice: Shared<f32>, outer: u32) -> Self::Left {
        [0, 8].map(
            #[inline(always)]
            |k| four(d, slice, k, outer).map(round_to_tf32),
        )
    }
    #[inline(always)]
    fn right<D: Device>(d: D, slice: Shared<f32>, outer: u32) -> Self::Right {
        [0, 8].map(
            #[inline(always)]
            |k| two(d, slice, k, outer).map(round_to_tf32),
        )
    }
    #[inline(always)]
    fn multiply<D: Device>(
        d: D,
        stage: usize,
        c: [f32; 4],
        a: &Self::Left,
        b: &Self::Right,
    ) -> [f32; 4] {
        d.mma_tf32(c, a[stage], b[stage])
    }
}

/// Factors as sums of two tf32 numbers, x = high + low + O(2⁻²¹x), and the three products that matter,
/// the small ones first: the accuracy of f32.
#[derive(Clone, Copy, Debug)]
pub struct Tf32x3;

/// The tf32 number next to x, and the rest, of which a tensor core takes as many bits. The difference is
/// exact; its sign is as often that of x as not, so what truncation takes from it does not add up.
#[inline(always)]
fn split(x: f32) -> (u32, u32) {
    let high = round_to_tf32(x) & !0x1fff;
    (high, (x - f32::from_bits(high)).to_bits())
}

impl Mode for Tf32x3 {
    type Left = [[(u32, u32); 4]; 2];
    type Right = [[(u32, u32); 2]; 2];
    const STAGES: usize = 6;
    const SUMS_A_SLICE: bool = true;
    #[inline(always)]
    fn left<D: Device>(d: D, slice: Shared<f32>, outer: u32) -> Self::Left {
        [0, 8].map(
            #[inline(always)]
            |k| four(d, slice, k, outer).map(split),
        )
    }
    #[inline(always)]
    fn right<D: Device>(d: D, slice: Shared<f32>, outer: u32) -> Self::Right {
        [0, 8].map(
            #[inline(always)]
            |k| two(d, slice, k, outer).map(split),
        )
    }
    #[inline(always)]
    fn multiply<D: Device>(
        d: D,
        stage: usize,
        c: [f32; 4],
        a: &Self::Left,
        b: &Self::Right,
    ) -> [f32; 4] {
        let (a, b) = (a[stage % 2], b[stage % 2]);
        let (a_high, a_low) = (a.map(|x| x.0), a.map(|x| x.1));
        let (b_high, b_low) = (b.map(|x| x.0), b.map(|x| x.1));
        match stage / 2 {
            0 => d.mma_tf32(c, a_low, b_high),
            1 => d.mma_tf32(c, a_high, b_low),
            _ => d.mma_tf32(c, a_high, b_high),
        }
    }
}

/// Factors rounded to bf16: 7 bits behind the point, relative error 2⁻⁸.
#[derive(Clone, Copy, Debug)]
pub struct Bf16;

/// The pair at inner indices k and k + 1.
#[inline(always)]
fn pair<D: Device>(d: D, slice: Shared<f32>, k: u32, outer: u32) -> u32 {
    d.pack_bf16(value(d, slice, k, outer), value(d, slice, k + 1, outer))
}

impl Mode for Bf16 {
    type Left = [u32; 4];
    type Right = [u32; 2];
    const STAGES: usize = 1;
    const SUMS_A_SLICE: bool = false;
    #[inline(always)]
    fn left<D: Device>(d: D, slice: Shared<f32>, outer: u32) -> [u32; 4] {
        let k = d.lane() % 4 * 2;
        [
            pair(d, slice, k, outer),
            pair(d, slice, k, outer + 8),
            pair(d, slice, k + 8, outer),
            pair(d, slice, k + 8, outer + 8),
        ]
    }
    #[inline(always)]
    fn right<D: Device>(d: D, slice: Shared<f32>, outer: u32) -> [u32; 2] {
        let k = d.lane() % 4 * 2;
        [pair(d, slice, k, outer), pair(d, slice, k + 8, outer)]
    }
    #[inline(always)]
    fn multiply<D: Device>(d: D, _: usize, c: [f32; 4], a: &[u32; 4], b: &[u32; 2]) -> [f32; 4] {
        d.mma_bf16(c, *a, *b)
    }
}

/// Tiles by tensor cores in a mode.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<M>(core::marker::PhantomData<M>);

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Fragments of C down and across a warp's part of the tile.
const DOWN: usize = 4;
const ACROSS: usize = 4;
/// The most stages of a mode.
const MOST_STAGES: usize = 6;

/// The first row and column of the warp's part.
#[inline(always)]
fn corner<D: Device>(d: D) -> (u32, u32) {
    (d.warp() / 4 * 64, d.warp() % 4 * 32)
}

impl<M: Mode> Engine<f32> for Tensor<M> {
    const R: usize = 8;
    const THREADS: u32 = THREADS;
    const STEPS: usize = 1;
    type Sums = [[[f32; 4]; ACROSS]; DOWN];

    #[inline(always)]
    fn zero() -> Self::Sums {
        [[[0.0; 4]; ACROSS]; DOWN]
    }

    #[inline(always)]
    fn multiply<D: Device>(
        d: D,
        sums: &mut Self::Sums,
        (a, b): (Shared<f32>, Shared<f32>),
        _: usize,
    ) {
        const { assert!(M::STAGES <= MOST_STAGES) };
        let ((down, across), g) = (corner(d), d.lane() / 4);
        let right = [0, 1, 2, 3].map(
            #[inline(always)]
            |j| M::right(d, b, across + j * 8 + g),
        );
        unroll::<DOWN>(
            #[inline(always)]
            |i| {
                let left = M::left(d, a, down + i as u32 * 16 + g);
                let mut c = if M::SUMS_A_SLICE { [[0.0; 4]; ACROSS] } else { sums[i] };
                // Stage by stage, so that no product waits for the one right before it.
                unroll::<MOST_STAGES>(
                    #[inline(always)]
                    |stage| {
                        if stage < M::STAGES {
                            unroll::<ACROSS>(
                                #[inline(always)]
                                |j| c[j] = M::multiply(d, stage, c[j], &left, &right[j]),
                            );
                        }
                    },
                );
                if !M::SUMS_A_SLICE {
                    sums[i] = c;
                    return;
                }
                unroll::<ACROSS>(
                    #[inline(always)]
                    |j| {
                        unroll::<4>(
                            #[inline(always)]
                            |e| sums[i][j][e] += c[j][e],
                        );
                    },
                );
            },
        );
    }

    #[inline(always)]
    fn put<D: Device>(d: D, sums: &Self::Sums, tile: Shared<f32>, half: usize) {
        let ((down, across), g, t) = (corner(d), d.lane() / 4, d.lane() % 4);
        if down / 64 != half as u32 {
            return;
        }
        unroll::<DOWN>(
            #[inline(always)]
            |i| {
                unroll::<ACROSS>(
                    #[inline(always)]
                    |j| {
                        unroll::<4>(
                            #[inline(always)]
                            |e| {
                                let r = down % 64 + i as u32 * 16 + g + 8 * (e as u32 / 2);
                                let c = across + j as u32 * 8 + 2 * t + e as u32 % 2;
                                d.shared_store(tile, r * row(8) + c, sums[i][j][e]);
                            },
                        );
                    },
                );
            },
        );
    }
}
