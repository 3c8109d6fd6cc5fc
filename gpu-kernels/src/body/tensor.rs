//! Tiles by tensor cores (compute capability 8.0): 128 × 128, sixteen warps of 32 × 32 each.
//!
//! f32 values stand in shared memory; what a mode does to them happens between there and the
//! product. Fragments are those of the PTX ISA for m16n8k8 and m16n8k16: with g = lane/4 and
//! t = lane mod 4, a lane has A at rows g, g + 8 and inner indices t, t + 4, B at the same inner indices
//! of column g, and C at rows g, g + 8 and columns 2t, 2t + 1; pairs of bf16 take inner indices 2t, 2t + 1.

use super::tile::{Engine, row};
use crate::device::{Device, Shared};
use crate::word::unroll;

/// How f32 values become factors of a tensor core.
pub trait Mode {
    /// The inner indices of one product of fragments: 8 or 16.
    const DEPTH: u32;
    /// A fragment's element or pair of elements, in the form that [`Mode::multiply`] takes.
    type Factor: Copy;
    /// The factor from the values at an inner index and, for pairs, the next.
    fn factor(first: f32, second: f32) -> Self::Factor;
    /// C + A B.
    fn multiply<D: Device>(
        d: D,
        c: [f32; 4],
        a: [Self::Factor; 4],
        b: [Self::Factor; 2],
    ) -> [f32; 4];
}

/// The nearest tf32 number, ties away from 0, as the bits of an f32 whose last 13 are 0.
#[inline(always)]
fn round_to_tf32(x: f32) -> u32 {
    x.to_bits().wrapping_add(0x1000) & !0x1fff
}

/// Factors rounded to tf32: 10 bits behind the point, relative error 2⁻¹¹.
#[derive(Clone, Copy, Debug)]
pub struct Tf32;

impl Mode for Tf32 {
    const DEPTH: u32 = 8;
    type Factor = u32;
    #[inline(always)]
    fn factor(first: f32, _: f32) -> u32 {
        round_to_tf32(first)
    }
    #[inline(always)]
    fn multiply<D: Device>(d: D, c: [f32; 4], a: [u32; 4], b: [u32; 2]) -> [f32; 4] {
        d.mma_tf32(c, a, b)
    }
}

/// Factors as sums of two tf32 numbers, x = high + low + O(2⁻²²x), and the three products that matter,
/// the small ones first: the accuracy of f32.
#[derive(Clone, Copy, Debug)]
pub struct Tf32x3;

impl Mode for Tf32x3 {
    const DEPTH: u32 = 8;
    type Factor = (u32, u32);
    #[inline(always)]
    fn factor(first: f32, _: f32) -> (u32, u32) {
        let high = round_to_tf32(first);
        // The difference is exact.
        (high, round_to_tf32(first - f32::from_bits(high)))
    }
    #[inline(always)]
    fn multiply<D: Device>(d: D, c: [f32; 4], a: [(u32, u32); 4], b: [(u32, u32); 2]) -> [f32; 4] {
        let (a_high, a_low) = (a.map(|x| x.0), a.map(|x| x.1));
        let (b_high, b_low) = (b.map(|x| x.0), b.map(|x| x.1));
        let c = d.mma_tf32(c, a_low, b_high);
        let c = d.mma_tf32(c, a_high, b_low);
        d.mma_tf32(c, a_high, b_high)
    }
}

/// Factors rounded to bf16: 7 bits behind the point, relative error 2⁻⁸.
#[derive(Clone, Copy, Debug)]
pub struct Bf16;

/// The nearest bf16 number, ties to even, as the upper half of the bits of an f32.
#[inline(always)]
fn round_to_bf16(x: f32) -> u32 {
    let bits = x.to_bits();
    bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16
}

impl Mode for Bf16 {
    const DEPTH: u32 = 16;
    type Factor = u32;
    #[inline(always)]
    fn factor(first: f32, second: f32) -> u32 {
        round_to_bf16(first) | round_to_bf16(second) << 16
    }
    #[inline(always)]
    fn multiply<D: Device>(d: D, c: [f32; 4], a: [u32; 4], b: [u32; 2]) -> [f32; 4] {
        d.mma_bf16(c, a, b)
    }
}

/// Tiles by tensor cores in a mode.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<M>(core::marker::PhantomData<M>);

/// Threads of a block.
pub const THREADS: u32 = 512;
/// Fragments of C down and across a warp's part of the tile.
const DOWN: usize = 2;
const ACROSS: usize = 4;

/// The first row and column of the warp's part.
#[inline(always)]
fn corner<D: Device>(d: D) -> (u32, u32) {
    (d.warp() / 4 * 32, d.warp() % 4 * 32)
}

/// The factor at inner index t or 2t of a piece that begins at row `k` of the slice.
#[inline(always)]
fn factor<M: Mode, D: Device>(d: D, slice: Shared<f32>, k: u32, outer: u32) -> M::Factor {
    let t = d.lane() % 4;
    if M::DEPTH == 16 {
        let at = (k + 2 * t) * row(8) + outer;
        M::factor(d.shared_load(slice, at), d.shared_load(slice, at + row(8)))
    } else {
        M::factor(d.shared_load(slice, (k + t) * row(8) + outer), 0.0)
    }
}

impl<M: Mode> Engine<f32> for Tensor<M> {
    const R: usize = 8;
    const THREADS: u32 = THREADS;
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
        quarter: usize,
    ) {
        let ((down, across), g) = (corner(d), d.lane() / 4);
        // A quarter is a row of fragments, over all columns and half of the inner indices or over half
        // of the columns and all inner indices.
        let (i, part) = (quarter % DOWN, quarter / DOWN);
        let deep = M::DEPTH == 16;
        let k = if deep { 0 } else { part as u32 * 8 };
        // Inner indices from the first to the second register of a fragment.
        let step = M::DEPTH / 2;
        let outer = down + i as u32 * 16 + g;
        let x = [
            factor::<M, D>(d, a, k, outer),
            factor::<M, D>(d, a, k, outer + 8),
            factor::<M, D>(d, a, k + step, outer),
            factor::<M, D>(d, a, k + step, outer + 8),
        ];
        unroll::<ACROSS>(
            #[inline(always)]
            |j| {
                if deep && j / 2 != part {
                    return;
                }
                let outer = across + j as u32 * 8 + g;
                let y = [factor::<M, D>(d, b, k, outer), factor::<M, D>(d, b, k + step, outer)];
                sums[i][j] = M::multiply(d, sums[i][j], x, y);
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
