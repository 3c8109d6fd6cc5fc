//! Relative natural gradient descent on the device, block route: θ ← θ − γ (ḡ + λI)⁻¹ ∂L/∂θ with the
//! factors of the metric refreshed every T mini-batches, and two triangular solves a step.
//!
//! A neuron's block is packed, as on the host. The blocks (k, l) of the soft-max layer's matrix are the
//! Gram matrices of X̃ weighted by R_kl, R = diag(η) − ηηᵀ, so all of them are symmetric: they are
//! formed packed in one launch, and the matrix is gathered from them.
//!
//! Settings, draws and states are those of [`crate::optimizer::Rngd`], the reference: without a moving
//! average a state holds the parameters and the generator of the last refresh, which the first
//! step after a load repeats. A refresh sends the numbers of its samples to the device, nothing else.

use std::sync::Arc;

use relfisher_core::metric::neuron::Response;
use relfisher_kernels::contract::RightSides;

use super::network::{DeviceNetwork, Goals};
use super::optimizer::{DeviceMomentum, DeviceOptimizer, DeviceStep, Flags, decay_weights};
use super::rngd_sample::normalised;
use crate::error::Error;
use crate::executor::cuda::{
    Buffer, Gpu, LARGEST_SOLVE, Matrix, MatrixMut, SquareForm, Squares, ViewMut,
};
use crate::network::Network;
use crate::optimizer::{Form, RngdConfig, State, Subsystem, Weights, singular, subsystems_of};
use crate::random::{self, Rng};
use crate::scalar::Scalar;

/// The layers' metrics, and the samples that they are measured with.
pub(super) struct DeviceRngd<T: Scalar> {
    config: RngdConfig,
    damping: T,
    layers: Vec<Metric<T>>,
    /// The samples of the metric, and the parameters at the last refresh.
    reference: DeviceNetwork<T>,
    /// The generator at the last refresh.
    generator: Option<Rng>,
    draw: Draw,
    /// ν, or R of the soft-max layer, a row a sample.
    weights: Buffer<T>,
    momentum: DeviceMomentum<T>,
    direction: Buffer<T>,
    steps: u64,
    refreshes: u64,
    /// Whether the factors belong to the last refresh (not after a load).
    current: bool,
}

/// The choice of the samples.
struct Draw {
    /// A permutation of all samples.
    order: Vec<usize>,
    /// Numbers of the chosen ones, on the host and on the device.
    numbers: (Vec<u32>, Buffer<u32>),
    /// A class for each: probabilities do not depend on it.
    labels: Buffer<u32>,
}

/// The metric of one layer.
struct Metric<T> {
    name: String,
    rows: usize,
    cols: usize,
    form: MetricForm<T>,
    /// L of the damped metric: m packed matrices, or one of order C·d̃.
    factors: Buffer<T>,
    flags: Flags,
}

enum MetricForm<T> {
    Neurons {
        response: Response<T>,
        /// The moving average of the blocks; without one they are formed where they are factored.
        average: Option<Buffer<T>>,
    },
    Softmax {
        /// The blocks (k, l), k ≥ l, packed, and their moving average: C(C + 1)/2 × d̃(d̃ + 1)/2.
        pairs: Buffer<T>,
        /// Where in `pairs` each element of the matrix stands.
        places: Buffer<u32>,
    },
}

/// The elements of a packed symmetric matrix.
fn packed(n: usize) -> usize {
    n * (n + 1) / 2
}

/// Where in the packed blocks each element of the soft-max layer's matrix stands, row by row.
fn places(c: usize, d: usize) -> impl Iterator<Item = usize> {
    let at = |i: usize, j: usize| packed(i.max(j)) + i.min(j);
    let element = move |row: usize, column: usize| {
        at(row / d, column / d) * packed(d) + at(row % d, column % d)
    };
    (0..c * d).flat_map(move |row| (0..c * d).map(move |column| element(row, column)))
}

impl<T: Scalar> Metric<T> {
    fn new(subsystem: Subsystem<T>, averaging: bool, on: &DeviceNetwork<T>) -> Result<Self, Error> {
        let Subsystem { name, rows: m, cols: d, form, .. } = subsystem;
        let (gpu, softmax) = (&on.gpu, form == Form::Softmax);
        let order = if softmax { m * d } else { d };
        if order > LARGEST_SOLVE {
            return Err(Error::input(
                "--device",
                &name,
                format_args!("a metric of order {order}"),
                format_args!("metrics up to order {LARGEST_SOLVE} fit; use --device cpu"),
            ));
        }
        let form = match form {
            Form::Neurons(Weights::Response(response)) => {
                let average = averaging.then(|| Buffer::new(gpu, m * packed(d)));
                MetricForm::Neurons { response, average: average.transpose()? }
            }
            Form::Softmax => {
                // The order is far below 2¹⁶.
                let places: Vec<u32> = places(m, d).map(|place| place as u32).collect();
                MetricForm::Softmax {
                    pairs: Buffer::new(gpu, packed(m) * packed(d))?,
                    places: Buffer::from_slice(gpu, &places)?,
                }
            }
            Form::Neurons(Weights::SoftmaxDiagonal) | Form::Channels(_) => {
                return Err(normalised(&name));
            }
        };
        let (len, count) = if softmax { (order * order, 1) } else { (m * packed(d), m) };
        let (factors, flags) = (Buffer::new(gpu, len)?, Flags::new(count, on)?);
        Ok(Self { name, rows: m, cols: d, form, factors, flags })
    }

    /// Values of [`DeviceRngd::weights`] for a sample.
    fn weights(&self) -> usize {
        match self.form {
            MetricForm::Neurons { .. } => self.rows,
            MetricForm::Softmax { .. } => packed(self.rows),
        }
    }

    fn needs_probabilities(&self) -> bool {
        matches!(self.form, MetricForm::Softmax { .. })
    }

    fn squares(&self) -> Squares {
        let (m, d) = (self.rows, self.cols);
        match self.form {
            MetricForm::Neurons { .. } => Squares { count: m, order: d, form: SquareForm::Packed },
            MetricForm::Softmax { .. } => Squares::one(m * d),
        }
    }

    /// `metric ← keep·metric + (1 − keep) Ḡ` for the samples of the reference.
    fn measure(
        &mut self,
        reference: &DeviceNetwork<T>,
        layer: usize,
        weights: ViewMut<'_, T>,
        keep: T,
    ) -> Result<(), Error> {
        let (gpu, n, count) = (&reference.gpu, reference.batch, self.weights());
        let mut weights = weights.slice(0..n * count);
        let metric = match &mut self.form {
            MetricForm::Neurons { response, average } => {
                gpu.response_nu(weights.again(), reference.output(layer), *response)?;
                average.as_mut().unwrap_or(&mut self.factors)
            }
            MetricForm::Softmax { pairs, .. } => {
                let eta = reference.probabilities.view().slice(0..n * self.rows);
                gpu.softmax_metric(weights.again(), eta, (n, self.rows))?;
                pairs
            }
        };
        let metric = MatrixMut::new(metric.view_mut(), count, packed(self.cols))?;
        let weights = Matrix::new(weights.read(), n, count)?;
        let update = (keep, (T::ONE - keep) / T::from_usize(n));
        Ok(gpu.packed_grams(metric, update, reference.input(layer)?, weights)?)
    }

    /// Factors the damped metric.
    fn factor(&mut self, on: &DeviceNetwork<T>, damping: T) -> Result<(), Error> {
        let (gpu, squares) = (&on.gpu, self.squares());
        match &self.form {
            MetricForm::Neurons { average, .. } => {
                if let Some(average) = average {
                    self.factors.view_mut().copy_from(average.view())?;
                }
            }
            // Every vector added to all rows changes no probability: singular by construction.
            MetricForm::Softmax { .. } if damping == T::ZERO => {
                let pivot = squares.order - 1;
                let e = relfisher_core::Error::NotPositiveDefinite { block: 0, pivot };
                return Err(singular(&self.name, 0.0, e));
            }
            MetricForm::Softmax { pairs, places } => {
                let matrix = MatrixMut::new(self.factors.view_mut(), places.len(), 1)?;
                gpu.gather(matrix, Matrix::new(pairs.view(), pairs.len(), 1)?, places.view())?;
            }
        }
        let (factors, flags) = (self.factors.view_mut(), self.flags.last.view_mut());
        gpu.cholesky(factors, flags, squares, damping)?;
        self.flags.keep(on)?;
        if damping == T::ZERO {
            // Known at once on the host too: a later layer must not be blamed.
            self.flags.check(&self.name, 0.0)?;
        }
        Ok(())
    }

    /// `v ← (L Lᵀ)⁻¹ v` for the layer's part of a vector.
    fn solve(&self, gpu: &Gpu, v: ViewMut<'_, T>) -> Result<(), Error> {
        let squares = self.squares();
        let sides = RightSides { distance: squares.order as u64, side: 0, element: 1 };
        Ok(gpu.cholesky_solve(v, (sides, 1), self.factors.view(), squares)?)
    }

    /// The moving average as the host keeps it; nothing without one.
    fn average(&self) -> Result<Vec<T>, Error> {
        match &self.form {
            MetricForm::Neurons { average, .. } => {
                Ok(average.as_ref().map_or(Ok(Vec::new()), Buffer::to_vec)?)
            }
            MetricForm::Softmax { pairs, .. } => {
                let pairs = pairs.to_vec()?;
                Ok(places(self.rows, self.cols).map(|place| pairs[place]).collect())
            }
        }
    }

    /// Takes over a moving average of the host, of whose soft-max matrix only the lower triangle counts.
    fn set_average(&mut self, values: &[T]) -> Result<(), Error> {
        match &mut self.form {
            MetricForm::Neurons { average, .. } => {
                if let Some(average) = average {
                    average.view_mut().upload(values)?;
                }
            }
            MetricForm::Softmax { pairs, .. } => {
                let mut blocks = vec![T::ZERO; pairs.len()];
                let order = self.rows * self.cols;
                for (i, place) in places(self.rows, self.cols).enumerate() {
                    if i % order <= i / order {
                        blocks[place] = values[i];
                    }
                }
                pairs.view_mut().upload(&blocks)?;
            }
        }
        Ok(())
    }
}

impl Draw {
    fn new(gpu: &Arc<Gpu>, count: usize) -> Result<Self, Error> {
        let numbers = (Vec::with_capacity(count), Buffer::new(gpu, count)?);
        Ok(Self { order: Vec::new(), numbers, labels: Buffer::zeros(gpu, count)? })
    }

    /// Chooses samples of 0..n and sends their numbers to the device.
    fn choose(&mut self, n: usize, rng: &mut Rng) -> Result<(), Error> {
        let (host, device) = &mut self.numbers;
        host.clear();
        let chosen = random::choose(&mut self.order, (device.len(), n), rng);
        // A training set of 2³² samples does not fit into the memory.
        host.extend(chosen.iter().map(|&sample| sample as u32));
        Ok(device.view_mut().upload(host)?)
    }
}

impl<T: Scalar> DeviceRngd<T> {
    pub(super) fn new(
        config: &RngdConfig,
        network: &Network<T>,
        on: &DeviceNetwork<T>,
        samples: usize,
    ) -> Result<Self, Error> {
        let (gpu, count) = (&on.gpu, config.metric_samples.min(samples));
        let mut layers = Vec::new();
        for subsystem in subsystems_of(network, config.smoothing) {
            layers.push(Metric::new(subsystem, config.metric_decay > 0.0, on)?);
        }
        let widest = layers.iter().map(Metric::weights).max().unwrap_or(0);
        Ok(Self {
            config: config.clone(),
            damping: T::from_f64(config.damping),
            layers,
            reference: on.forward_only(count)?,
            generator: None,
            draw: Draw::new(gpu, count)?,
            weights: Buffer::new(gpu, count * widest)?,
            momentum: DeviceMomentum::new("rngd.velocity", config.momentum, on)?,
            direction: Buffer::new(gpu, on.parameters.len())?,
            steps: 0,
            refreshes: 0,
            current: false,
        })
    }

    fn averaging(&self) -> bool {
        self.config.metric_decay > 0.0
    }

    /// Copies the parameters and the generator, moves the generator on, and refreshes the factors.
    fn refresh(&mut self, step: &mut DeviceStep<'_, T>) -> Result<(), Error> {
        self.reference.parameters.view_mut().copy_from(step.network.parameters.view())?;
        self.generator = Some(step.rng.clone());
        self.measure(step.samples, step.rng)?;
        self.refreshes += 1;
        self.factor()
    }

    /// Forms the metrics of the reference parameters from samples that are drawn with `rng`.
    fn measure(&mut self, samples: Matrix<'_, T>, rng: &mut Rng) -> Result<(), Error> {
        self.draw.choose(samples.rows(), rng)?;
        let reference = &mut self.reference;
        reference.load(samples, self.draw.numbers.1.view())?;
        reference.forward()?;
        if self.layers.iter().any(Metric::needs_probabilities) {
            reference.loss(Goals::Classes(self.draw.labels.view()))?;
        }
        let keep = if self.refreshes == 0 { 0.0 } else { self.config.metric_decay };
        for (i, metric) in self.layers.iter_mut().enumerate() {
            metric.measure(reference, i, self.weights.view_mut(), T::from_f64(keep))?;
        }
        Ok(())
    }

    /// Factors the damped metrics.
    fn factor(&mut self) -> Result<(), Error> {
        for metric in &mut self.layers {
            metric.factor(&self.reference, self.damping)?;
        }
        self.current = true;
        Ok(())
    }

    /// `direction ← (ḡ + λI)⁻¹ gradient`.
    fn precondition(&mut self, on: &DeviceNetwork<T>) -> Result<(), Error> {
        self.direction.view_mut().copy_from(on.gradient.view())?;
        for (metric, layer) in self.layers.iter().zip(&on.layers) {
            metric.solve(&on.gpu, self.direction.view_mut().slice(layer.range.clone()))?;
        }
        Ok(())
    }
}

impl<T: Scalar> DeviceOptimizer<T> for DeviceRngd<T> {
    fn step(&mut self, step: &mut DeviceStep<'_, T>) -> Result<(), Error> {
        if self.steps.is_multiple_of(self.config.refresh) {
            self.refresh(step)?;
        } else if !self.current {
            if let Some(mut generator) = self.generator.clone() {
                self.measure(step.samples, &mut generator)?;
            }
            self.factor()?;
        }
        decay_weights(step.network, self.config.weight_decay)?;
        self.precondition(step.network)?;
        self.momentum.apply(step.network, self.direction.view(), step.learning_rate)?;
        self.steps += 1;
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Error> {
        self.layers.iter().try_for_each(|m| m.flags.check(&m.name, self.config.damping))
    }

    fn save(&self, state: &mut State<T>) -> Result<(), Error> {
        state.put_counter("rngd.steps", self.steps);
        state.put_counter("rngd.refreshes", self.refreshes);
        self.momentum.save(state)?;
        if self.refreshes == 0 {
            return Ok(());
        }
        if self.averaging() {
            for metric in &self.layers {
                state.put(format!("rngd.metric.{}", metric.name), &metric.average()?);
            }
        } else if let Some(generator) = &self.generator {
            state.put("rngd.reference", &self.reference.parameters.to_vec()?);
            state.put_generator("rngd.reference", generator);
        }
        Ok(())
    }

    fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        self.steps = state.counter("rngd.steps")?;
        self.refreshes = state.counter("rngd.refreshes")?;
        self.momentum.load(state)?;
        self.current = false;
        self.generator = None;
        if self.refreshes == 0 {
            return Ok(());
        }
        if self.averaging() {
            for metric in &mut self.layers {
                let name = format!("rngd.metric.{}", metric.name);
                metric.set_average(state.tensor(&name, metric.factors.len())?)?;
            }
        } else {
            let parameters = &mut self.reference.parameters;
            let values = state.tensor("rngd.reference", parameters.len())?;
            parameters.view_mut().upload(values)?;
            self.generator = Some(state.generator("rngd.reference")?.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
