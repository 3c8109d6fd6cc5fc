//! Losses of outputs that are not classes: each sample's loss and its gradient in the outputs.
//!
//! A warp has a sample; its lanes stride over the outputs. Sums are trees over lanes of chains in
//! the order of the outputs.

use super::reduce::warp_sum;
use super::softmax::{ROWS, each};
use crate::contract::Targets;
use crate::device::Device;
use crate::word::Scalar;

/// `loss[s] ← w Σ_c (z_sc − y_sc)²`, `δ[s] ← scale·2w(z[s] − y[s])`. Shapes: δ, z and y n × C, loss n.
#[inline(always)]
pub fn mse<T: Scalar, D: Device>(
    d: D,
    delta: D::Array<T>,
    loss: D::Array<T>,
    outputs: D::Array<T>,
    targets: D::Array<T>,
    s: Targets<T>,
) {
    let double = s.weight + s.weight;
    let sum = |z: T, y: T| {
        let error = z - y;
        (error * error, double * error)
    };
    let total = losses(d, delta, [outputs, targets], s, sum);
    finish(d, loss, s, s.weight * total);
}

/// `loss[s] ← Σ_c ln(1 + e^{z_sc}) − y_sc z_sc`, `δ[s] ← scale·(sigm z[s] − y[s])`: independent
/// Bernoulli outputs given as logits. Shapes: δ, z and y n × C, loss n; the weight is not used.
#[inline(always)]
pub fn binary_cross_entropy<T: Scalar, D: Device>(
    d: D,
    delta: D::Array<T>,
    loss: D::Array<T>,
    logits: D::Array<T>,
    targets: D::Array<T>,
    s: Targets<T>,
) {
    let of = |z: T, y: T| {
        // 1 − p = sigm(−z) keeps its digits as p → 1.
        let slope = if z > T::ZERO { (T::ONE - y) - (-z).sigm() } else { z.sigm() - y };
        let positive = if z > T::ZERO { z } else { T::ZERO };
        // ln(1 + eᶻ) − yz without overflow; |z| by its sign, so that NaN stays NaN.
        let negative = if z > T::ZERO { -z } else { z };
        (positive - z * y + negative.exp().ln_1p(), slope)
    };
    let total = losses(d, delta, [logits, targets], s, of);
    finish(d, loss, s, total);
}

/// Writes the gradients of the warp's sample by `of`, which gives an output's loss and slope; returns
/// the sum of the losses.
#[inline(always)]
fn losses<T: Scalar, D: Device>(
    d: D,
    delta: D::Array<T>,
    [outputs, targets]: [D::Array<T>; 2],
    s: Targets<T>,
    of: impl Fn(T, T) -> (T, T),
) -> T {
    let sample = d.block()[0] * ROWS + d.warp();
    if sample >= s.samples {
        return T::ZERO;
    }
    let row = u64::from(sample) * u64::from(s.outputs);
    let (outputs, targets) = (d.advance(outputs, row), d.advance(targets, row));
    let delta = d.advance(delta, row);
    let mut sum = T::ZERO;
    each(d, s.outputs, |c| {
        let (loss, slope) = of(d.load(outputs, c), d.load(targets, c));
        sum += loss;
        d.store(delta, c, s.scale * slope);
    });
    warp_sum(d, sum)
}

/// Writes the loss of the warp's sample.
#[inline(always)]
fn finish<T: Scalar, D: Device>(d: D, loss: D::Array<T>, s: Targets<T>, value: T) {
    let sample = d.block()[0] * ROWS + d.warp();
    if sample < s.samples && d.lane() == 0 {
        d.store(loss, sample, value);
    }
}
