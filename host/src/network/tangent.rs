//! Directional derivatives forward through the network.

use relfisher_core::{MatRef, Real};

use super::block::cast_activation;
use super::compile::{Network, Node, Op, Place};
use super::convolution::{Bias, Patches};
use super::forward::{average, reshape};
use super::parameters::Parameters;
use super::tape::{Buffer, Tape, empty};
use crate::executor::Executor;
use crate::{Error, Scalar};

/// The derivatives of a tape's values in one direction of the parameters (the R-operator of
/// B. Pearlmutter, 1994).
#[derive(Clone, Debug)]
pub struct Tangents<T> {
    pub(super) values: Vec<Buffer<T>>,
    pub(super) scratch: Vec<T>,
}

impl<T: Real> Tangents<T> {
    /// Room for batches of up to `capacity` samples.
    pub fn new(network: &Network<T>, capacity: usize) -> Self {
        let values = network.places.iter().map(|p| {
            // What lies before the first parameters does not depend on them.
            let rows = if p.slot.is_some() { capacity * p.positions } else { 0 };
            Buffer::new(rows, p.cols, p.augmented.then_some(T::ZERO))
        });
        Self { values: values.collect(), scratch: Vec::new() }
    }

    /// Checks that these are tangents of `network` with room for n samples.
    ///
    /// # Errors
    /// Those of another network or a smaller batch.
    pub fn check(&self, network: &Network<T>, n: usize) -> Result<(), Error> {
        let fits = |(place, buffer): (&Place, &Buffer<T>)| {
            let rows = if place.slot.is_some() { n.saturating_mul(place.positions) } else { 0 };
            let stride = place.cols + usize::from(place.augmented);
            (buffer.cols, buffer.stride) == (place.cols, stride)
                && buffer.data.len() >= rows.saturating_mul(stride)
        };
        if self.values.len() == network.places.len()
            && network.places.iter().zip(&self.values).all(fits)
        {
            return Ok(());
        }
        Err(Error::input(
            "",
            "tangents",
            format_args!("made for another network, or for fewer than {n} samples"),
            "make them with Tangents::new for this network and batch",
        ))
    }

    /// The elements that [`Tangents::new`] allocates, saturating.
    pub fn required_len(network: &Network<T>, capacity: usize) -> usize {
        let moving = network.places.iter().filter(|p| p.slot.is_some());
        let each = moving.map(|p| p.positions.saturating_mul(p.cols + usize::from(p.augmented)));
        each.fold(0, usize::saturating_add).saturating_mul(capacity)
    }

    /// The derivative of the network's outputs (n × outputs) after [`Network::push_forward`].
    pub fn outputs(&self, n: usize) -> MatRef<'_, T> {
        self.values.last().map_or_else(|| empty(0), |buffer| buffer.values(n))
    }
}

impl<T: Scalar> Network<T> {
    /// The derivative of every value of the batch on the tape in the direction `direction` of the
    /// parameters: J v at the outputs. The statistics of a batch normalisation count as constants.
    /// To be called after [`Network::forward`].
    ///
    /// # Errors
    /// Parameters, a tape, tangents or a direction of another network.
    pub fn push_forward<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        parameters: &Parameters<T>,
        tape: &Tape<T>,
        direction: &[T],
        tangents: &mut Tangents<T>,
    ) -> Result<(), Error> {
        parameters.check(self)?;
        self.check_tape(tape)?;
        tangents.check(self, tape.batch)?;
        if direction.len() != self.parameter_count {
            return Err(Error::input(
                "",
                "direction",
                format_args!(
                    "{} numbers, but there are {} parameters",
                    direction.len(),
                    self.parameter_count
                ),
                "make it as long as the parameter vector",
            ));
        }
        for node in &self.nodes {
            self.push_node(exec, node, (parameters, direction), tape, tangents)
                .map_err(|e| self.at_node(node, e))?;
        }
        Ok(())
    }

    fn push_node<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        node: &Node<T>,
        (parameters, direction): (&Parameters<T>, &[T]),
        tape: &Tape<T>,
        tangents: &mut Tangents<T>,
    ) -> Result<(), Error> {
        let n = tape.batch;
        let (from, to) = (self.places[node.input], self.places[node.output]);
        if to.slot.is_none() {
            return Ok(());
        }
        let moving = from.slot.is_some();
        let (before, after) = tangents.values.split_at_mut(node.output);
        let (source, target) = (&before[node.input], &mut after[0]);
        let rows = n * from.positions;
        match &node.op {
            Op::Linear { block } => {
                let block = &self.blocks[*block];
                let values = &tape.values[node.input];
                let v = block.matrix(direction)?;
                let mut out = target.values_mut(rows);
                exec.gemm(out.rb_mut(), T::ZERO, T::ONE, values.augmented(rows), v.t())?;
                if moving {
                    let w = block.matrix(&parameters.values)?;
                    exec.gemm(out, T::ONE, T::ONE, source.augmented(rows), w.t())?;
                }
            }
            Op::Convolution { block, conv } => {
                let block = &self.blocks[*block];
                let patches = Patches::new(block, *conv);
                let bias = if block.has_bias() { Bias::With } else { Bias::Without };
                let out = &mut target.data[..n * to.len()];
                let images = &tape.values[node.input].data[..n * from.len()];
                let v = (&direction[block.range()], bias);
                patches.forward(exec, (out, T::ZERO), images, v, &mut tangents.scratch)?;
                if moving {
                    let images = &source.data[..n * from.len()];
                    let w = (&parameters.values[block.range()], Bias::Without);
                    patches.forward(exec, (out, T::ONE), images, w, &mut tangents.scratch)?;
                }
            }
            Op::Norm { block, .. } => {
                let Some(norm) = &tape.norms[*block] else { return Ok(()) };
                let v = &direction[self.blocks[*block].range()];
                let hats = norm.normalised.values(rows);
                let (input, mut out) =
                    (source.values(rows * usize::from(moving)), target.values_mut(rows));
                for s in 0..rows {
                    let pairs = hats.row(s).iter().zip(v.chunks_exact(2));
                    for (y, (&hat, v)) in out.row_mut(s).iter_mut().zip(pairs) {
                        *y = v[0] * hat + v[1];
                    }
                    let moved = input.row(s).iter().zip(&norm.scale);
                    for (y, (&x, &scale)) in out.row_mut(s).iter_mut().zip(moved) {
                        *y += scale * x;
                    }
                }
            }
            Op::Activation(f) => {
                let (input, mut out) = (source.values(rows), target.values_mut(rows));
                for s in 0..rows {
                    out.row_mut(s).copy_from_slice(input.row(s));
                }
                exec.activation_backward(out, tape.rows(node.input), cast_activation(*f))?;
            }
            Op::MaxPool { index, .. } => {
                let outputs = target.data[..n * to.len()].chunks_exact_mut(to.len());
                let images = source.data[..n * from.len()].chunks_exact(from.len());
                let maxima = tape.maxima[*index].chunks_exact(to.len());
                for ((out, image), maxima) in outputs.zip(images).zip(maxima) {
                    for (y, &place) in out.iter_mut().zip(maxima) {
                        *y = image[place as usize];
                    }
                }
            }
            Op::AvgPool { window, count } => {
                let images = &source.data[..n * from.len()];
                average(exec, &mut target.data[..n * to.len()], images, window, *count)?;
            }
            Op::Reshape { channels, positions, order } => {
                let (input, out) = (source.values(rows), target.values_mut(n * to.positions));
                reshape(out, input, *channels, *positions, *order)?;
            }
        }
        Ok(())
    }
}
