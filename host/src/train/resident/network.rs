//! A network on the device: parameters, one mini-batch, forward and backward passes.
//!
//! Rows of inputs end with a 1, as W̃ = [W | b] demands; everything else is n rows of a layer's
//! outputs without gaps.

use std::ops::Range;
use std::sync::Arc;

use relfisher_core::metric::neuron::Activation;

use crate::error::Error;
use crate::executor::cuda::{Buffer, Gpu, Matrix, MatrixMut, Side, ValueLoss, View};
use crate::network::{Link, Loss, Network, cast_activation};
use crate::random::{self, Rng};
use crate::scalar::Scalar;

/// A layer on the device.
pub(super) struct Layer<T> {
    /// The index of its block in the network.
    pub(super) block: usize,
    /// Outputs m.
    pub(super) rows: usize,
    /// Parameters of an output d̃, the bias last.
    pub(super) cols: usize,
    /// Its elements in the parameter vector.
    pub(super) range: Range<usize>,
    activation: Activation<T>,
    /// X̃, n × d̃ with ones in the last column.
    input: Buffer<T>,
    /// T, n × m.
    output: Buffer<T>,
    /// Δ, n × m.
    pub(super) delta: Buffer<T>,
}

/// What the outputs of a mini-batch should be.
#[derive(Clone, Copy)]
pub(super) enum Goals<'a, T> {
    /// A class for each sample.
    Classes(View<'a, u32>),
    /// Numbers for each sample.
    Values(View<'a, T>),
}

/// A network on the device.
pub(super) struct DeviceNetwork<T: Scalar> {
    pub(super) gpu: Arc<Gpu>,
    pub(super) layers: Vec<Layer<T>>,
    pub(super) parameters: Buffer<T>,
    pub(super) gradient: Buffer<T>,
    /// η, n × C.
    pub(super) probabilities: Buffer<T>,
    /// Values that nobody reads again: what a fused kernel writes besides.
    spare: Buffer<T>,
    losses: Buffer<T>,
    loss: Loss,
    capacity: usize,
    /// Samples of the mini-batch.
    pub(super) batch: usize,
}

impl<T: Scalar> DeviceNetwork<T> {
    /// Room for mini-batches of up to `capacity` samples, with these parameters.
    ///
    /// # Errors
    /// Not enough memory; failed calls.
    pub(super) fn new(
        gpu: &Arc<Gpu>,
        network: &Network<T>,
        links: &[Link],
        (parameters, capacity): (&[T], usize),
    ) -> Result<Self, Error> {
        let mut layers = Vec::with_capacity(links.len());
        let mut widest = 0;
        for link in links {
            let block = &network.blocks()[link.block];
            let (m, d) = (block.rows, block.cols);
            widest = widest.max(m);
            let mut ones = vec![T::ZERO; capacity * d];
            ones.chunks_exact_mut(d).for_each(|row| row[d - 1] = T::ONE);
            layers.push(Layer {
                block: link.block,
                rows: m,
                cols: d,
                range: block.range(),
                activation: cast_activation(link.activation),
                input: Buffer::from_slice(gpu, &ones)?,
                output: Buffer::new(gpu, capacity * m)?,
                delta: Buffer::new(gpu, capacity * m)?,
            });
        }
        let outputs = network.outputs();
        Ok(Self {
            gpu: Arc::clone(gpu),
            layers,
            parameters: Buffer::from_slice(gpu, parameters)?,
            gradient: Buffer::new(gpu, parameters.len())?,
            probabilities: Buffer::new(gpu, capacity * outputs)?,
            spare: Buffer::new(gpu, capacity * widest)?,
            losses: Buffer::new(gpu, capacity)?,
            loss: network.loss_kind(),
            capacity,
            batch: 0,
        })
    }

    /// The most samples of a mini-batch.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The samples of `set` with these numbers become the mini-batch.
    pub(super) fn load(&mut self, set: Matrix<'_, T>, indices: View<'_, u32>) -> Result<(), Error> {
        self.batch = indices.len();
        let n = self.batch;
        if let Some(first) = self.layers.first_mut() {
            let d = first.cols;
            let rows = first.input.view_mut();
            let inputs = MatrixMut::strided(rows, n, d - 1, d)?;
            self.gpu.gather(inputs, set, indices)?;
        }
        Ok(())
    }

    /// X̃ of a layer, n × d̃.
    pub(super) fn input(&self, layer: usize) -> Result<Matrix<'_, T>, Error> {
        let layer = &self.layers[layer];
        Ok(Matrix::new(layer.input.view(), self.batch, layer.cols)?)
    }

    /// T of a layer: n·m values.
    pub(super) fn output(&self, layer: usize) -> View<'_, T> {
        let layer = &self.layers[layer];
        layer.output.view().slice(0..self.batch * layer.rows)
    }

    /// Δ of a layer, n × m.
    pub(super) fn delta(&self, layer: usize) -> Result<Matrix<'_, T>, Error> {
        let layer = &self.layers[layer];
        Ok(Matrix::new(layer.delta.view(), self.batch, layer.rows)?)
    }

    /// Fills T and X̃ of every layer.
    pub(super) fn forward(&mut self) -> Result<(), Error> {
        let Self { gpu, layers, parameters, spare, batch, .. } = self;
        let n = *batch;
        for i in 0..layers.len() {
            let (before, after) = layers.split_at_mut(i + 1);
            let layer = &mut before[i];
            let (m, d) = (layer.rows, layer.cols);
            let w = Matrix::new(parameters.view().slice(layer.range.clone()), m, d)?;
            let x = Matrix::new(layer.input.view(), n, d)?.columns(d - 1);
            let t = MatrixMut::new(layer.output.view_mut(), n, m)?;
            let a = match after.first_mut() {
                Some(next) => MatrixMut::strided(next.input.view_mut(), n, m, next.cols)?,
                None => MatrixMut::new(spare.view_mut(), n, m)?,
            };
            gpu.forward(t, a, x, w, layer.activation)?;
        }
        Ok(())
    }

    /// The losses and the output's Δ for these goals; η for the soft-max.
    pub(super) fn loss(&mut self, goals: Goals<'_, T>) -> Result<(), Error> {
        let Some(last) = self.layers.last_mut() else { return Ok(()) };
        let (n, len) = (self.batch, self.batch * last.rows);
        let (delta, losses) = (last.delta.view_mut().slice(0..len), self.losses.view_mut());
        let (losses, outputs) = (losses.slice(0..n), last.output.view().slice(0..len));
        match goals {
            Goals::Classes(labels) => {
                let eta = self.probabilities.view_mut().slice(0..len);
                self.gpu.softmax([eta, delta, losses], outputs, labels, T::ONE)?;
            }
            Goals::Values(values) => {
                let kind = match self.loss {
                    Loss::Mse { scale } => ValueLoss::SquaredError { weight: T::from_f64(scale) },
                    Loss::BinaryCrossEntropy | Loss::SoftmaxCrossEntropy => {
                        ValueLoss::BinaryCrossEntropy
                    }
                };
                self.gpu.value_loss([delta, losses], outputs, values, kind)?;
            }
        }
        Ok(())
    }

    /// The output's Δ for labels drawn from the model, with the draws of
    /// [`crate::network::Network::draw_output_deltas`]: random numbers are sent, outputs are not fetched.
    pub(super) fn draw_deltas(&mut self, rng: &mut Rng) -> Result<(), Error> {
        let Some(last) = self.layers.last_mut() else { return Ok(()) };
        let (n, len) = (self.batch, self.batch * last.rows);
        let delta = last.delta.view_mut().slice(0..len);
        let outputs = last.output.view().slice(0..len);
        let mut uniforms = |count| -> Result<Buffer<f64>, Error> {
            let draws: Vec<f64> = (0..count).map(|_| random::uniform(rng)).collect();
            Ok(Buffer::from_slice(&self.gpu, &draws)?)
        };
        match self.loss {
            Loss::SoftmaxCrossEntropy => {
                let eta = self.probabilities.view().slice(0..len);
                self.gpu.draw_deltas(delta, eta, uniforms(n)?.view())?;
            }
            Loss::BinaryCrossEntropy => {
                self.gpu.draw_bernoulli(delta, outputs, uniforms(len)?.view())?;
            }
            Loss::Mse { scale } => {
                // 2·scale·(f − y) with f − y = −σz and σ² = 1/(2 scale).
                let root = (2.0 * scale).sqrt();
                let draws: Vec<T> =
                    (0..len).map(|_| T::from_f64(-root * random::normal(rng))).collect();
                delta.upload(&draws)?;
            }
        }
        Ok(())
    }

    /// The losses of the mini-batch.
    pub(super) fn losses(&self) -> View<'_, T> {
        self.losses.view().slice(0..self.batch)
    }

    /// Takes the output's Δ back to every layer; with `gradient`, (1/n) ΔᵀX̃ of every layer goes there.
    pub(super) fn backward(&mut self, gradient: Gradient) -> Result<(), Error> {
        let Self { gpu, layers, parameters, batch, gradient: out, .. } = self;
        let (n, mean) = (*batch, T::ONE / T::from_usize(*batch));
        for i in (0..layers.len()).rev() {
            let (before, after) = layers.split_at_mut(i);
            let layer = &mut after[0];
            let (m, d) = (layer.rows, layer.cols);
            let delta = Matrix::new(layer.delta.view(), n, m)?;
            if gradient == Gradient::Mean {
                let x = Matrix::new(layer.input.view(), n, d)?;
                let part = out.view_mut().slice(layer.range.clone());
                let part = MatrixMut::new(part, m, d)?;
                let sides = ((delta, Side::Transposed), (x, Side::Stored));
                gpu.gemm(part, (T::ZERO, mean), sides.0, sides.1)?;
            }
            let Some(previous) = before.last_mut() else { continue };
            let width = previous.rows;
            let t = Matrix::new(previous.output.view(), n, width)?;
            let w = Matrix::new(parameters.view().slice(layer.range.clone()), m, d)?;
            let result = MatrixMut::new(previous.delta.view_mut(), n, width)?;
            gpu.backward(result, (t, previous.activation), delta, w)?;
        }
        Ok(())
    }
}

/// What a backward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gradient {
    /// The mean gradient.
    Mean,
    /// The deltas alone.
    None,
}
