//! Batch normalisation: the forward and the backward pass.

use relfisher_core::{MatMut, MatRef, Real};

use super::block::Block;
use super::compile::BatchNorm;
use super::parameters::Parameters;
use super::tape::{Mode, NormTape};
use crate::scratch::grown;
use crate::{Scalar, vectorised};

/// y = γ (x − mean)/√(variance + eps) + β, keeping x̂ and the statistics.
pub(super) fn normalise<T: Scalar>(
    block: &Block,
    norm: &BatchNorm<T>,
    parameters: &Parameters<T>,
    mode: Mode,
    scratch: &mut NormTape<T>,
    input: MatRef<'_, T>,
    mut output: MatMut<'_, T>,
) {
    let n = input.rows();
    for ((pair, gamma), beta) in parameters.values[block.range()]
        .chunks_exact(2)
        .zip(&mut scratch.gamma)
        .zip(&mut scratch.beta)
    {
        (*gamma, *beta) = (pair[0], pair[1]);
    }
    match mode {
        Mode::Train => vectorised!(batch_statistics(input, scratch)),
        Mode::Inference => {
            let c = block.rows;
            scratch.mean.copy_from_slice(&parameters.buffers[norm.offset..][..c]);
            scratch.variance.copy_from_slice(&parameters.buffers[norm.offset + c..][..c]);
        }
    }
    for (((&variance, &gamma), inverse), scale) in scratch
        .variance
        .iter()
        .zip(&scratch.gamma)
        .zip(&mut scratch.inverse_std)
        .zip(&mut scratch.scale)
    {
        *inverse = T::ONE / (variance + norm.eps).sqrt();
        *scale = gamma * *inverse;
    }
    let mut normalised = scratch.normalised.values_mut(n);
    let (mean, inverse) = (&scratch.mean[..], &scratch.inverse_std[..]);
    let (gamma, beta) = (&scratch.gamma[..], &scratch.beta[..]);
    vectorised!({
        for s in 0..n {
            let hats = normalised.row_mut(s);
            for (((hat, &x), &m), &i) in hats.iter_mut().zip(input.row(s)).zip(mean).zip(inverse) {
                *hat = (x - m) * i;
            }
            for (((y, &hat), &g), &b) in
                output.row_mut(s).iter_mut().zip(&*hats).zip(gamma).zip(beta)
            {
                *y = g * hat + b;
            }
        }
    });
}

/// Mean and biased variance of every column, in two passes over the rows in order.
#[inline(always)]
fn batch_statistics<T: Real>(input: MatRef<'_, T>, scratch: &mut NormTape<T>) {
    let n = T::from_usize(input.rows());
    let (mean, variance) = (&mut scratch.mean[..], &mut scratch.variance[..]);
    mean.fill(T::ZERO);
    variance.fill(T::ZERO);
    for s in 0..input.rows() {
        for (m, &x) in mean.iter_mut().zip(input.row(s)) {
            *m += x;
        }
    }
    mean.iter_mut().for_each(|m| *m /= n);
    for s in 0..input.rows() {
        for ((v, &x), &m) in variance.iter_mut().zip(input.row(s)).zip(&*mean) {
            *v += (x - m) * (x - m);
        }
    }
    variance.iter_mut().for_each(|v| *v /= n);
}

/// The backward pass of a batch normalisation, exact through the batch's mean and variance:
/// δx = γ/σ (δ − mean(δ) − x̂ mean(δ x̂)); with running averages δx = γ/σ δ. The gradient of (γ, β)
/// is `share` times the mean over the rows of (δ x̂, δ).
pub(super) fn norm_backward<T: Scalar>(
    norm: &NormTape<T>,
    mode: Mode,
    delta: MatRef<'_, T>,
    previous: Option<MatMut<'_, T>>,
    gradient: Option<(&mut [T], T)>,
    scratch: &mut Vec<T>,
) {
    let n = delta.rows();
    let mean = T::ONE / T::from_usize(n.max(1));
    let normalised = norm.normalised.values(n);
    let (by_hat, plain) = grown(scratch, 2 * delta.cols()).split_at_mut(delta.cols());
    vectorised!({
        by_hat.fill(T::ZERO);
        plain.fill(T::ZERO);
        for s in 0..n {
            let rows = delta.row(s).iter().zip(normalised.row(s));
            for (((&d, &hat), by_hat), plain) in rows.zip(&mut *by_hat).zip(&mut *plain) {
                *by_hat += d * hat;
                *plain += d;
            }
        }
        for (by_hat, plain) in by_hat.iter_mut().zip(&mut *plain) {
            *by_hat *= mean;
            *plain *= mean;
        }
    });
    if let Some((gradient, share)) = gradient {
        for ((pair, &by_hat), &plain) in gradient.chunks_exact_mut(2).zip(&*by_hat).zip(&*plain) {
            pair.copy_from_slice(&[share * by_hat, share * plain]);
        }
    }
    let Some(mut previous) = previous else { return };
    let scale = &norm.scale[..];
    vectorised!({
        for s in 0..n {
            let rows = previous.row_mut(s).iter_mut().zip(delta.row(s)).zip(scale);
            match mode {
                Mode::Inference => rows.for_each(|((x, &d), &scale)| *x = scale * d),
                Mode::Train => {
                    let sums = normalised.row(s).iter().zip(&*by_hat).zip(&*plain);
                    for (((x, &d), &scale), ((&hat, &by_hat), &plain)) in rows.zip(sums) {
                        *x = scale * (d - plain - hat * by_hat);
                    }
                }
            }
        }
    });
}
