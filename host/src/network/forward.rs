//! The forward pass.

use relfisher_core::{MatMut, MatRef, Real};

use super::architecture::Loss;
use super::block::{BatchNorm, Block, Network};
use super::parameters::Parameters;
use super::tape::{Mode, NormTape, Tape};
use crate::error::Context;
use crate::executor::Executor;
use crate::vectorised;
use crate::{Error, Scalar};
use relfisher_core::metric::neuron::Activation;

impl<T: Scalar> Network<T> {
    /// Runs the batch on the tape through the network: one product T = X̃ W̃ᵀ for each linear layer,
    /// whose output goes straight into the next layer's input. Fills the pre-activations, the
    /// logits and the probabilities.
    ///
    /// In [`Mode::Train`] a batch normalisation uses the batch's mean and biased variance; its
    /// running averages change only in [`Network::update_running_averages`].
    ///
    /// # Errors
    /// Parameters or a tape of another network.
    pub fn forward<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        parameters: &Parameters<T>,
        mode: Mode,
        tape: &mut Tape<T>,
    ) -> Result<(), Error> {
        parameters.check(self)?;
        self.check_tape(tape)?;
        tape.mode = mode;
        let n = tape.batch;
        for (i, (block, stage)) in self.blocks.iter().zip(&self.stages).enumerate() {
            // Places are numbered in the order in which they are computed.
            let (before, after) = tape.values.split_at_mut(stage.pre);
            let output = after[0].values_mut(n);
            match (&stage.norm, &mut tape.norms[i]) {
                (Some(norm), Some(scratch)) => {
                    let input = before[stage.input].values(n);
                    normalise(block, norm, parameters, mode, scratch, input, output);
                }
                _ => {
                    let weights = block.matrix(&parameters.values)?;
                    let input = before[stage.input].augmented(n);
                    exec.gemm(output, T::ZERO, T::ONE, input, weights.t()).context(&block.name)?;
                }
            }
            if let Some(f) = stage.activation {
                let (before, after) = tape.values.split_at_mut(stage.post);
                exec.activate(after[0].values_mut(n), before[stage.pre].values(n), f)
                    .context(&block.name)?;
            }
        }
        let Some(logits) = tape.values.last().map(|v| v.values(n)) else { return Ok(()) };
        let probabilities = tape.probabilities.values_mut(n);
        match self.architecture.loss {
            Loss::SoftmaxCrossEntropy => exec.softmax(probabilities, logits),
            Loss::BinaryCrossEntropy => exec.activate(probabilities, logits, Activation::Sigm),
            Loss::Mse { .. } => Ok(()),
        }
        .context("loss")
    }

    /// Moves the running averages of every batch normalisation towards the statistics of the last
    /// training pass: mean ← (1 − momentum) mean + momentum · batch mean, and the same with the
    /// unbiased variance n/(n − 1) · batch variance. Does nothing after an inference pass.
    ///
    /// # Errors
    /// Parameters or a tape of another network.
    pub fn update_running_averages(
        &self,
        tape: &Tape<T>,
        parameters: &mut Parameters<T>,
    ) -> Result<(), Error> {
        parameters.check(self)?;
        self.check_tape(tape)?;
        if tape.mode != Mode::Train {
            return Ok(());
        }
        let n = T::from_usize(tape.batch);
        let unbiased = if tape.batch > 1 { n / (n - T::ONE) } else { T::ONE };
        for (stage, scratch) in self.stages.iter().zip(&tape.norms) {
            let (Some(norm), Some(scratch)) = (&stage.norm, scratch) else { continue };
            let c = scratch.mean.len();
            let (mean, rest) = parameters.buffers[norm.offset..].split_at_mut(c);
            let (old, new) = (T::ONE - norm.momentum, norm.momentum);
            for (average, &batch) in mean.iter_mut().zip(&scratch.mean) {
                *average = old * *average + new * batch;
            }
            for (average, &batch) in rest.iter_mut().zip(&scratch.variance) {
                *average = old * *average + new * unbiased * batch;
            }
        }
        Ok(())
    }

    /// An error unless the tape was made for this network.
    pub(super) fn check_tape(&self, tape: &Tape<T>) -> Result<(), Error> {
        let places = self.places.iter().map(|p| (p.cols, p.cols + usize::from(p.augmented)));
        if tape.batch > 0
            && places.eq(tape.values.iter().map(|b| (b.cols, b.stride)))
            && self
                .stages
                .iter()
                .map(|s| s.norm.is_some())
                .eq(tape.norms.iter().map(Option::is_some))
        {
            return Ok(());
        }
        Err(Error::input(
            "",
            "tape",
            "made for another network, or without a batch",
            "make the tape with Tape::new for this network and set its batch",
        ))
    }
}

/// y = γ (x − mean)/√(variance + eps) + β, keeping x̂ and the statistics.
fn normalise<T: Scalar>(
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
