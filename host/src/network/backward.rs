//! The backward pass.

use relfisher_core::MatRef;

use super::compile::{Network, Node, Op};
use super::convolution::{Bias, Patches};
use super::cotangents::{Cotangents, Statistics};
use super::normalisation::norm_backward;
use super::parameters::Parameters;
use super::tape::{Mode, Tape};
use crate::executor::Executor;
use crate::{Error, Scalar};

impl<T: Scalar> Network<T> {
    /// Takes the output deltas that [`Network::loss`] or [`Network::sample_model_labels`] left on
    /// the tape back through the network: δ_prev = (δ W) ∘ f′(t), per sample. With `gradient` the
    /// mean gradient (1/n) Δᵀ X̃ of every block is written there (it may hold anything before);
    /// without it only the deltas are computed. To be called once for each set of output deltas.
    ///
    /// # Errors
    /// Parameters, a tape or a gradient of another network.
    pub fn backward<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        parameters: &Parameters<T>,
        tape: &mut Tape<T>,
        gradient: Option<&mut [T]>,
    ) -> Result<(), Error> {
        let mut deltas = std::mem::take(&mut tape.deltas);
        let outcome = self.pull_back(exec, parameters, tape, &mut deltas, gradient);
        tape.deltas = deltas;
        outcome
    }

    /// Takes output derivatives ([`Cotangents::output_mut`]) back to every block, per sample and
    /// column. With `gradient` (one column only) the mean gradient (1/n) Δᵀ X̃ of every block is
    /// written there.
    ///
    /// # Errors
    /// Parameters, a tape, cotangents or a gradient of another network; a gradient of several
    /// columns.
    pub fn pull_back<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        parameters: &Parameters<T>,
        tape: &Tape<T>,
        cotangents: &mut Cotangents<T>,
        mut gradient: Option<&mut [T]>,
    ) -> Result<(), Error> {
        parameters.check(self)?;
        self.check_tape(tape)?;
        cotangents.check(self, tape.batch)?;
        if gradient.is_some() && cotangents.columns() != 1 {
            let problem = format!("{} columns with a gradient", cotangents.columns());
            return Err(Error::input("", "cotangents", problem, "give one column for a gradient"));
        }
        if let Some(found) = gradient.as_ref().map(|g| g.len())
            && found != self.parameter_count
        {
            return Err(Error::input(
                "",
                "gradient",
                format_args!("{found} numbers, but there are {} parameters", self.parameter_count),
                "make it as long as the parameter vector",
            ));
        }
        for node in self.nodes.iter().rev() {
            self.pull_through(exec, node, (parameters, tape), cotangents, gradient.as_deref_mut())
                .map_err(|e| self.at_node(node, e))?;
        }
        Ok(())
    }

    fn pull_through<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        node: &Node<T>,
        (parameters, tape): (&Parameters<T>, &Tape<T>),
        cotangents: &mut Cotangents<T>,
        gradient: Option<&mut [T]>,
    ) -> Result<(), Error> {
        let (n, columns) = (tape.batch, cotangents.columns());
        let (from, to) = (self.places[node.input], self.places[node.output]);
        let Some(slot) = to.slot else { return Ok(()) };
        let count = columns * n;
        let (before, after) = cotangents.buffers.split_at_mut(slot);
        let delta = &mut after[0].data[..count * to.len()];
        if let Op::Activation(f) = node.op {
            return self.pull_activation(exec, (tape, node.input), f, delta);
        }
        let previous = from.slot.map(|slot| &mut before[slot].data[..count * from.len()]);
        let scratch = &mut cotangents.scratch;
        if let Op::Norm { block, .. } = node.op
            && let Some(norm) = &tape.norms[block]
        {
            // Sums over the batch belong to the gradient and to the way back.
            let share = T::from_usize(to.positions);
            let mode = match cotangents.statistics {
                Statistics::Batch => tape.mode,
                Statistics::Constant => Mode::Inference,
            };
            let mut gradient = gradient.map(|g| &mut g[self.blocks[block].range()]);
            let mut previous = previous;
            for c in 0..columns {
                let rows = n * to.positions;
                let part = c * rows * to.cols..(c + 1) * rows * to.cols;
                let delta = MatRef::new(&delta[part.clone()], rows, to.cols)?;
                let previous = match previous.as_deref_mut() {
                    Some(p) => Some(relfisher_core::MatMut::new(&mut p[part], rows, to.cols)?),
                    None => None,
                };
                let gradient = gradient.as_deref_mut().map(|g| (g, share));
                norm_backward(norm, mode, delta, previous, gradient, scratch);
            }
            return Ok(());
        }
        if let (Some(block), Some(gradient)) = (node.op.block(), gradient) {
            let mean = T::ONE / T::from_usize(n);
            let out = &mut gradient[self.blocks[block].range()];
            let input = Input { buffer: &tape.values[node.input], bias: Bias::With };
            self.node_gradient(exec, node, (out, T::ZERO, mean), (delta, n), input, scratch)?;
        }
        if let Some(previous) = previous {
            let weights = node.op.block().map(|b| &parameters.values[self.blocks[b].range()]);
            self.pull_node(exec, node, tape, (previous, T::ZERO), (delta, n), weights, scratch)?;
        }
        Ok(())
    }
}

/// What a block multiplies its weights with: values, or a direction in them (whose trailing element
/// is 0).
pub(super) struct Input<'a, T> {
    pub(super) buffer: &'a super::tape::Buffer<T>,
    pub(super) bias: Bias,
}

impl<T: Scalar> Network<T> {
    /// `gradient ← α Σ_s Δ_sᵀ X̃_s + β gradient` for a linear layer or a convolution.
    pub(super) fn node_gradient<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        node: &Node<T>,
        (out, beta, alpha): (&mut [T], T, T),
        (delta, n): (&[T], usize),
        input: Input<'_, T>,
        scratch: &mut Vec<T>,
    ) -> Result<(), Error> {
        let (from, to) = (self.places[node.input], self.places[node.output]);
        match node.op {
            Op::Linear { block } => {
                let block = &self.blocks[block];
                let rows = n * to.positions;
                let delta = MatRef::new(delta, rows, to.cols)?;
                let out = relfisher_core::MatMut::new(out, block.rows, block.cols)?;
                exec.gemm(out, beta, alpha, delta.t(), input.buffer.augmented(rows))?;
            }
            Op::Convolution { block, conv } => {
                let patches = Patches::new(&self.blocks[block], conv);
                let bias = if self.blocks[block].has_bias() { input.bias } else { Bias::Without };
                let images = &input.buffer.data[..n * from.len()];
                patches.gradient(exec, (out, beta, alpha), delta, (images, bias), scratch)?;
            }
            _ => {}
        }
        Ok(())
    }
}
