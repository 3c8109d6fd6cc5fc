//! The forward pass.

use relfisher_core::conv::{self, PaddingCount, Window};
use relfisher_core::{MatMut, MatRef};

use super::architecture::Loss;
use super::block::{BlockKind, cast_activation};
use super::compile::{Network, Node, Op, Order};
use super::convolution::{Bias, Patches};
use super::normalisation::normalise;
use super::parameters::Parameters;
use super::tape::{Mode, Tape};
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
        for node in &self.nodes {
            self.run_node(exec, node, parameters, tape).map_err(|e| self.at_node(node, e))?;
        }
        self.predict(exec, tape)
    }

    /// Probabilities from the logits on the tape.
    pub(super) fn predict<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        tape: &mut Tape<T>,
    ) -> Result<(), Error> {
        let n = tape.batch;
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
        for node in &self.nodes {
            let Op::Norm { block, norm } = &node.op else { continue };
            let Some(scratch) = &tape.norms[*block] else { continue };
            let c = scratch.mean.len();
            let rows = T::from_usize(tape.rows(node.output).rows());
            let unbiased = if rows > T::ONE { rows / (rows - T::ONE) } else { T::ONE };
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

    /// Computes one node's output place.
    fn run_node<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        node: &Node<T>,
        parameters: &Parameters<T>,
        tape: &mut Tape<T>,
    ) -> Result<(), Error> {
        let (n, mode) = (tape.batch, tape.mode);
        let (from, to) = (self.places[node.input], self.places[node.output]);
        // Places are numbered in the order in which they are computed.
        let (before, after) = tape.values.split_at_mut(node.output);
        let (source, target) = (&before[node.input], &mut after[0]);
        let input = source.values(n * from.positions);
        let output = target.values_mut(n * to.positions);
        match &node.op {
            Op::Linear { block } => {
                let weights = self.blocks[*block].matrix(&parameters.values)?;
                let input = source.augmented(n * from.positions);
                exec.gemm(output, T::ZERO, T::ONE, input, weights.t())?;
            }
            Op::Convolution { block, conv } => {
                let block = &self.blocks[*block];
                let weights = &parameters.values[block.range()];
                let bias = if block.has_bias() { Bias::With } else { Bias::Without };
                let output = &mut target.data[..n * to.len()];
                Patches::new(block, *conv).forward(
                    exec,
                    (output, T::ZERO),
                    &source.data[..n * from.len()],
                    (weights, bias),
                    &mut tape.scratch,
                )?;
            }
            Op::Norm { block, norm } => {
                if let Some(scratch) = &mut tape.norms[*block] {
                    normalise(&self.blocks[*block], norm, parameters, mode, scratch, input, output);
                }
            }
            Op::Activation(f) => exec.activate(output, input, cast_activation(*f))?,
            Op::MaxPool { window, index } => {
                let maxima = tape.maxima[*index].chunks_exact_mut(to.len());
                let outputs = target.data[..n * to.len()].chunks_exact_mut(to.len());
                let images = source.data[..n * from.len()].chunks_exact(from.len());
                for ((maxima, out), image) in maxima.zip(outputs).zip(images) {
                    vectorised!(conv::max_pool(out, maxima, image, window))?;
                }
            }
            Op::AvgPool { window, count } => {
                let images = &source.data[..n * from.len()];
                let output = &mut target.data[..n * to.len()];
                average(exec, output, images, window, *count)?;
            }
            Op::Reshape { channels, positions, order } => {
                reshape(output, input, *channels, *positions, *order)?;
            }
        }
        Ok(())
    }

    /// The first value on the tape that is not finite: its sample, and the layer that gave it (or, of
    /// what has no parameters, the one before).
    pub(crate) fn first_not_finite(&self, tape: &Tape<T>) -> Option<(usize, &str)> {
        let mut layer = "the inputs";
        for node in &self.nodes {
            if let Some(block) = node.op.block() {
                layer = &self.blocks[block].name;
            }
            let rows = tape.rows(node.output);
            let bad = |row: &usize| !rows.row(*row).iter().all(|x| x.is_finite());
            if let Some(row) = (0..rows.rows()).find(bad) {
                return Some((row / self.places[node.output].positions.max(1), layer));
            }
        }
        None
    }

    /// The error with the name of the node's layer.
    pub(super) fn at_node(&self, node: &Node<T>, e: Error) -> Error {
        match node.op.block() {
            Some(block) => e.at(&self.blocks[block].name),
            None => e,
        }
    }

    /// An error unless the tape was made for this network.
    pub(crate) fn check_tape(&self, tape: &Tape<T>) -> Result<(), Error> {
        let places = self.places.iter().map(|p| (p.cols, p.cols + usize::from(p.augmented)));
        if tape.batch > 0
            && places.eq(tape.values.iter().map(|b| (b.cols, b.stride)))
            && tape.positions.iter().eq(self.places.iter().map(|p| &p.positions))
            && tape.maxima.len() == self.max_pools
            && self
                .blocks
                .iter()
                .map(|b| b.kind == BlockKind::BatchNorm)
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

/// Averages the windows of every image.
pub(super) fn average<T: Scalar, E: Executor<T> + ?Sized>(
    exec: &E,
    out: &mut [T],
    images: &[T],
    window: &Window,
    count: PaddingCount,
) -> Result<(), relfisher_core::Error> {
    let len = window.image_len();
    exec.for_each_part(out, window.positions() * window.channels, 0, &|s, out, _| {
        let image = images.get(s * len..).and_then(|i| i.get(..len)).unwrap_or(&[]);
        vectorised!(conv::avg_pool(out, image, window, count))
    })
}

/// Copies every sample into rows of another length or order.
pub(super) fn reshape<T: Scalar>(
    mut out: MatMut<'_, T>,
    from: MatRef<'_, T>,
    channels: usize,
    positions: usize,
    order: Order,
) -> Result<(), relfisher_core::Error> {
    let samples = (out.rows() * out.cols()).checked_div(channels * positions).unwrap_or(0);
    for s in 0..samples {
        match order {
            // Neither side has gaps inside a sample where an image changes its order.
            Order::ChannelsFirst => {
                let image = from.data().get(s * positions * channels..).unwrap_or(&[]);
                let image = image.get(..positions * channels).unwrap_or(&[]);
                conv::to_channels_first(out.row_mut(s), image, channels, positions)?;
            }
            Order::ChannelsLast => {
                let len = positions * channels;
                let image = out.data_mut().get_mut(s * len..(s + 1) * len).unwrap_or(&mut []);
                conv::to_channels_last(image, from.row(s), channels, positions)?;
            }
            Order::Kept if from.rows() == samples => {
                for t in 0..positions {
                    let part = &from.row(s)[t * channels..(t + 1) * channels];
                    out.row_mut(s * positions + t).copy_from_slice(part);
                }
            }
            Order::Kept => {
                for t in 0..positions {
                    let part = from.row(s * positions + t);
                    out.row_mut(s)[t * channels..(t + 1) * channels].copy_from_slice(part);
                }
            }
        }
    }
    Ok(())
}
