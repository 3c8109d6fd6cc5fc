//! Damping and clipping whose scalars stay in arrays, so that no host has to see them.

use relfisher_core::optim;

use super::elementwise::each;
use super::reduce::{THREADS, block_sum};
use crate::contract::Batch;
use crate::device::{Device, Shared};
use crate::word::Scalar;

/// `mean[b] ← tr A_b / n` of the full or packed matrices of a batch, one a block. The damping is not
/// used.
#[inline(always)]
pub fn mean_diagonal<T: Scalar, D: Device>(d: D, mean: D::Array<T>, a: D::Array<T>, b: Batch<T>) {
    let matrix = d.block()[0];
    let a = d.advance(a, u64::from(matrix) * b.distance);
    let mut sum = T::ZERO;
    let mut i = d.thread();
    while i < b.order {
        sum += d.load(a, b.index(i, i));
        i += THREADS;
    }
    let total = block_sum(d, Shared::at(0), sum);
    if d.thread() == 0 {
        d.store(mean, matrix, total / T::from_usize(b.order as usize));
    }
}

/// `A_b ← A_b + (λ + damping[b]) I`, a matrix a block, with λ of the batch.
#[inline(always)]
pub fn add_diagonal<T: Scalar, D: Device>(d: D, a: D::Array<T>, damping: D::Array<T>, b: Batch<T>) {
    let matrix = d.block()[0];
    let a = d.advance(a, u64::from(matrix) * b.distance);
    let added = b.damping + d.load(damping, matrix);
    let mut i = d.thread();
    while i < b.order {
        let at = b.index(i, i);
        d.store(a, at, d.load(a, at) + added);
        i += d.threads();
    }
}

/// How λ is split over the factors of G ⊗ A by the means of their diagonals, tr G / dim G at 2i and
/// tr A / dim A at 2i + 1 for pair i: `damping[2i] ← √λ/π`, `damping[2i + 1] ← π√λ`,
/// π = √(mean A/mean G). When π does not exist both get λ.
#[inline(always)]
pub fn split<T: Scalar, D: Device>(
    d: D,
    damping: D::Array<T>,
    means: D::Array<T>,
    pairs: u64,
    lambda: T,
) {
    each(d, pairs, |start, i| {
        let (means, damping) = (d.advance(means, 2 * start), d.advance(damping, 2 * start));
        let (g, a) = (d.load(means, 2 * i), d.load(means, 2 * i + 1));
        let (pi, root) = (a.root() / g.root(), lambda.root());
        let (for_g, for_a) = (root / pi, pi * root);
        // Comparisons with NaN fail.
        let finite = for_g < T::INFINITY && for_a < T::INFINITY;
        let exists = g > T::ZERO && a > T::ZERO && finite;
        d.store(damping, 2 * i, if exists { for_g } else { lambda });
        d.store(damping, 2 * i + 1, if exists { for_a } else { lambda });
    });
}

/// `factor[0] ← min(1, √(κ/(γ² c)))` for the curvature c = vᵀFv of a step: [`optim::kl_clip`]. One
/// block.
#[inline(always)]
pub fn kl_clip<T: Scalar, D: Device>(
    d: D,
    factor: D::Array<T>,
    curvature: D::Array<T>,
    learning_rate: T,
    bound: T,
) {
    if d.thread() == 0 {
        d.store(factor, 0, optim::kl_clip(learning_rate, d.load(curvature, 0), bound));
    }
}
