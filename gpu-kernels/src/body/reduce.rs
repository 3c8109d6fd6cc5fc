//! Sums in a fixed order.

use crate::device::{Device, Shared, WARP};
use crate::word::{Scalar, unroll};

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Elements that a block sums.
pub const CHUNK: u32 = 4096;
/// Bytes of shared memory: a value a warp.
pub const SHARED_BYTES: u32 = THREADS / WARP * 8;

/// The sum of a value of every lane: a tree over the distances 16, 8, 4, 2, 1, the same bits in all
/// lanes because addition commutes.
#[inline(always)]
pub fn warp_sum<T: Scalar, D: Device>(d: D, value: T) -> T {
    let mut sum = value;
    unroll::<5>(
        #[inline(always)]
        |i| sum += d.shuffle_xor(sum, WARP >> (i + 1)),
    );
    sum
}

/// The sum of a value of every thread of the block, warps in order, given to all threads.
/// Uses a value a warp of `scratch`, which may be used again after the next barrier.
#[inline(always)]
pub fn block_sum<T: Scalar, D: Device>(d: D, scratch: Shared<T>, value: T) -> T {
    let sum = warp_sum(d, value);
    if d.lane() == 0 {
        d.shared_store(scratch, d.warp(), sum);
    }
    d.barrier();
    let mut total = d.shared_load(scratch, 0);
    let mut warp = 1;
    while warp < d.threads() / WARP {
        total += d.shared_load(scratch, warp);
        warp += 1;
    }
    total
}

/// `out[block] ← Σ x[i]·y[i]` over the block's chunk; launched again on its own output with
/// [`sum`] until one value is left.
#[inline(always)]
pub fn dot<T: Scalar, D: Device>(
    d: D,
    out: D::Array<T>,
    x: D::Array<T>,
    y: D::Array<T>,
    count: u64,
) {
    reduce(d, out, count, |start, i| {
        d.load(d.advance(x, start), i) * d.load(d.advance(y, start), i)
    });
}

/// `out[block] ← Σ x[i]` over the block's chunk.
#[inline(always)]
pub fn sum<T: Scalar, D: Device>(d: D, out: D::Array<T>, x: D::Array<T>, count: u64) {
    reduce(d, out, count, |start, i| d.load(d.advance(x, start), i));
}

#[inline(always)]
fn reduce<T: Scalar, D: Device>(d: D, out: D::Array<T>, count: u64, term: impl Fn(u64, u32) -> T) {
    let block = d.block()[0];
    let start = u64::from(block) * u64::from(CHUNK);
    let length = if count - start < u64::from(CHUNK) { (count - start) as u32 } else { CHUNK };
    let mut sum = T::ZERO;
    let mut i = d.thread();
    while i < length {
        sum += term(start, i);
        i += THREADS;
    }
    let total = block_sum(d, Shared::at(0), sum);
    if d.thread() == 0 {
        d.store(out, block, total);
    }
}

/// `c[i] ← α Σ_z p[z·count + i] + β c[i]`, z in order: joins the pieces of a product whose inner
/// range was split. c is not read when β = 0.
#[inline(always)]
pub fn join<T: Scalar, D: Device>(
    d: D,
    c: D::Array<T>,
    pieces: D::Array<T>,
    join: crate::contract::Join<T>,
) {
    super::elementwise::each(d, join.count, |start, i| {
        let mut piece = d.advance(pieces, start);
        let mut total = d.load(piece, i);
        let mut z = 1;
        while z < join.pieces {
            piece = d.advance(piece, join.count);
            total += d.load(piece, i);
            z += 1;
        }
        let c = d.advance(c, start);
        let mut result = join.update.alpha * total;
        if join.update.beta != T::ZERO {
            result += join.update.beta * d.load(c, i);
        }
        d.store(c, i, result);
    });
}
