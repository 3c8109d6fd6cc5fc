//! Relative natural gradient descent, block route (S4): θ ← θ − γ (ḡ + λI)⁻¹ ∂L/∂θ for each
//! subsystem, the inverse metric refreshed every T mini-batches.
//!
//! A refresh draws fresh training samples, runs them forward with the current parameters (batch
//! statistics, running averages untouched), forms every neuron's block packed, and inverts all of
//! them in place; a step then is one pass over the packed inverses. The momentum is that of the
//! natural gradient.
//!
//! The inverses are the largest thing in a run (784-80-80-80-10 in f32: 100 MB), so a state does
//! not hold them: it holds the parameters and the generator as they were at the last refresh, and
//! the first step after a load repeats that refresh, to the same bits. Only with a moving average
//! (`metric_decay` > 0) the averaged metric itself is kept and stored.

use relfisher_core::metric::layer::{NonlinearMetric, SoftmaxMetric, dense_workspace_len};
use relfisher_core::metric::{normalisation, route};
use relfisher_core::{MatMut, MatRef, blas, factor};

use super::first_order::{Momentum, decay_weights};
use super::scope::Scope;
use super::subsystem::{Form, Subsystem, check_finite, singular, subsystems};
use super::{MetricBatch, Optimizer, RngdConfig, State, Step};
use crate::Scalar;
use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::network::{Mode, Network, Parameters, Tape};
use crate::random::Rng;
use crate::scratch::grown;

/// Relative natural gradient descent with packed inverse blocks.
pub struct Rngd<T: Scalar> {
    config: RngdConfig,
    damping: T,
    subsystems: Vec<Subsystem<T>>,
    /// Inverse metrics, one for each subsystem: packed blocks, a full matrix for the soft-max
    /// layer, and the damped-to-be 2 × 2 blocks of a batch normalisation.
    inverses: Vec<Vec<T>>,
    /// Moving averages of the metrics; empty without one.
    averages: Vec<Vec<T>>,
    tape: Option<Tape<T>>,
    momentum: Momentum<T>,
    direction: Vec<T>,
    weights: Vec<T>,
    work: Vec<T>,
    /// The length of [`Parameters::buffers`], whose values a training pass does not read.
    buffers: usize,
    steps: u64,
    refreshes: u64,
    /// The parameters and the generator at the last refresh.
    reference: Option<(Parameters<T>, Rng)>,
    /// Whether the inverses match the reference (not after a load).
    current: bool,
}

/// The elements of a subsystem's metric in memory.
fn metric_len<T: Scalar>(subsystem: &Subsystem<T>) -> usize {
    let (m, d) = (subsystem.rows, subsystem.cols);
    match subsystem.form {
        Form::Neurons(_) => m * (d * (d + 1) / 2),
        Form::Softmax => (m * d) * (m * d),
        Form::Channels(_) => m * 3,
    }
}

impl<T: Scalar> Rngd<T> {
    /// An optimiser for `network`.
    ///
    /// # Errors
    /// A network with convolutions or shared layers.
    pub fn new(config: &RngdConfig, network: &Network<T>) -> Result<Self, Error> {
        let count = network.parameter_count();
        Ok(Self {
            config: config.clone(),
            damping: T::from_f64(config.damping),
            subsystems: subsystems(network, config.smoothing)?,
            inverses: Vec::new(),
            averages: Vec::new(),
            tape: None,
            momentum: Momentum::new("rngd.velocity", count, config.momentum),
            direction: vec![T::ZERO; count],
            weights: Vec::new(),
            work: Vec::new(),
            buffers: network.buffer_count(),
            steps: 0,
            refreshes: 0,
            reference: None,
            current: false,
        })
    }

    /// Forgets the subsystems outside of `scope`: their direction stays 0.
    pub(super) fn restrict(&mut self, scope: &Scope) {
        self.subsystems.retain(|subsystem| scope.contains(subsystem.index));
    }

    fn averaging(&self) -> bool {
        self.config.metric_decay > 0.0
    }

    /// Copies the parameters and the generator, moves the generator on, and refreshes the inverses.
    fn refresh(&mut self, step: &mut Step<'_, T>) -> Result<(), Error> {
        match &mut self.reference {
            Some((parameters, rng)) => {
                // Field by field, which keeps their memory.
                parameters.values.clone_from(&step.parameters.values);
                parameters.buffers.clone_from(&step.parameters.buffers);
                rng.clone_from(step.rng);
            }
            None => self.reference = Some((step.parameters.clone(), step.rng.clone())),
        }
        self.measure(step.executor, step.network, step.metric_batch, Some(step.rng))?;
        self.refreshes += 1;
        self.invert(step.executor)
    }

    /// Forms the metrics of the reference parameters from samples drawn with the reference
    /// generator; `rng` gets the generator's state after the draw.
    fn measure(
        &mut self,
        executor: &dyn Executor<T>,
        network: &Network<T>,
        source: &mut dyn MetricBatch<T>,
        rng: Option<&mut Rng>,
    ) -> Result<(), Error> {
        let Some((parameters, start)) = &self.reference else { return Ok(()) };
        let count = self.config.metric_samples.min(source.available());
        let tape = self.tape.get_or_insert_with(|| Tape::new(network, count));
        let mut draw = start.clone();
        source.load(tape, count, &mut draw)?;
        if let Some(rng) = rng {
            *rng = draw;
        }
        network.forward(executor, parameters, Mode::Train, tape)?;

        if self.inverses.is_empty() {
            self.inverses = self.subsystems.iter().map(|s| vec![T::ZERO; metric_len(s)]).collect();
        }
        let keep = if self.refreshes == 0 { 0.0 } else { self.config.metric_decay };
        let keep = T::from_f64(keep);
        let averaging = self.config.metric_decay > 0.0;
        if averaging && self.averages.is_empty() {
            self.averages = self.inverses.clone();
        }
        let metrics = if averaging { &mut self.averages } else { &mut self.inverses };
        for (subsystem, metric) in self.subsystems.iter().zip(metrics) {
            let (m, d, n) = (subsystem.rows, subsystem.cols, tape.batch());
            let x = tape.layer_input(subsystem.index);
            match subsystem.form {
                Form::Neurons(w) => {
                    let nu = subsystem.fill_weights(executor, tape, w, &mut self.weights)?;
                    let work = grown(&mut self.work, blas::packed_grams_workspace_len(n, m, d));
                    let layer = NonlinearMetric::new(x, nu.rb()).context(&subsystem.name)?;
                    let out = MatMut::new(metric, m, d * (d + 1) / 2)?;
                    route::block::build(executor, out, &layer, keep, work)
                }
                Form::Softmax => {
                    let layer =
                        SoftmaxMetric::new(x, tape.probabilities()).context(&subsystem.name)?;
                    let work = grown(&mut self.work, dense_workspace_len(n, d));
                    let out = MatMut::new(metric, m * d, m * d)?;
                    route::block::softmax_build(executor, out, &layer, keep, work)
                }
                Form::Channels(w) => {
                    let nu = subsystem.fill_weights(executor, tape, w, &mut self.weights)?;
                    let x = tape.normalised(subsystem.index);
                    normalisation::blocks(MatMut::new(metric, m, 3)?, x, nu.rb(), keep)
                }
            }
            .context(&subsystem.name)?;
        }
        Ok(())
    }

    /// Turns metrics into damped inverses (2 × 2 blocks stay as they are: they are solved in place).
    fn invert(&mut self, executor: &dyn Executor<T>) -> Result<(), Error> {
        if self.averaging() {
            if self.inverses.is_empty() {
                self.inverses = self.averages.clone();
            }
            for (inverse, average) in self.inverses.iter_mut().zip(&self.averages) {
                inverse.copy_from_slice(average);
            }
        }
        for (subsystem, inverse) in self.subsystems.iter().zip(&mut self.inverses) {
            let (m, d) = (subsystem.rows, subsystem.cols);
            match subsystem.form {
                Form::Neurons(_) => {
                    let (p, damping) = (d * (d + 1) / 2, self.damping);
                    if damping == T::ZERO {
                        // Inversion alone would not see a pivot that vanishes but for rounding.
                        let factors = grown(&mut self.work, m * p);
                        factors.copy_from_slice(inverse);
                        route::block::factor(executor, MatMut::new(factors, m, p)?, d, damping)
                            .map_err(|e| singular(&subsystem.name, self.config.damping, e))?;
                    }
                    let work = grown(&mut self.work, factor::packed_inverse_workspace_len(d));
                    let blocks = MatMut::new(inverse, m, p)?;
                    route::block::invert(executor, blocks, d, damping, work)
                }
                // Every vector added to all rows changes no probability: singular by construction.
                Form::Softmax if self.damping == T::ZERO => {
                    Err(relfisher_core::Error::NotPositiveDefinite { block: 0, pivot: m * d - 1 })
                }
                Form::Softmax => {
                    let work = grown(&mut self.work, factor::spd_inverse_workspace_len(m * d));
                    executor.spd_inverse(MatMut::new(inverse, m * d, m * d)?, self.damping, work)
                }
                Form::Channels(_) => Ok(()),
            }
            .map_err(|e| singular(&subsystem.name, self.config.damping, e))?;
        }
        self.current = true;
        Ok(())
    }

    /// `direction ← (ḡ + λI)⁻¹ gradient`.
    fn precondition(&mut self, executor: &dyn Executor<T>, gradient: &[T]) -> Result<(), Error> {
        for (subsystem, inverse) in self.subsystems.iter().zip(&self.inverses) {
            let (m, d) = (subsystem.rows, subsystem.cols);
            let (g, out) =
                (&gradient[subsystem.range.clone()], &mut self.direction[subsystem.range.clone()]);
            match subsystem.form {
                Form::Neurons(_) => route::block::apply_inverse(
                    executor,
                    MatMut::new(out, m, d)?,
                    MatRef::new(inverse, m, d * (d + 1) / 2)?,
                    MatRef::new(g, m, d)?,
                ),
                Form::Softmax => executor.gemm(
                    MatMut::new(out, 1, m * d)?,
                    T::ZERO,
                    T::ONE,
                    MatRef::new(g, 1, m * d)?,
                    MatRef::new(inverse, m * d, m * d)?,
                ),
                Form::Channels(_) => {
                    out.copy_from_slice(g);
                    let blocks = MatRef::new(inverse, m, 3)?;
                    normalisation::solve(MatMut::new(out, m, 2)?, blocks, self.damping)
                }
            }
            .map_err(|e| singular(&subsystem.name, self.config.damping, e))?;
        }
        Ok(())
    }
}

impl<T: Scalar> Optimizer<T> for Rngd<T> {
    fn name(&self) -> &'static str {
        "rngd"
    }

    fn step(&mut self, step: &mut Step<'_, T>) -> Result<(), Error> {
        check_finite(step.network, "gradient", step.gradient)?;
        if self.steps.is_multiple_of(self.config.refresh) {
            self.refresh(step)?;
        } else if !self.current {
            if !self.averaging() {
                self.measure(step.executor, step.network, step.metric_batch, None)?;
            }
            self.invert(step.executor)?;
        }
        decay_weights(step, self.config.weight_decay)?;
        self.precondition(step.executor, step.gradient)?;
        self.momentum.apply(step, &mut self.direction, T::ONE)?;
        self.steps += 1;
        Ok(())
    }

    fn save(&self, state: &mut State<T>) {
        state.put_counter("rngd.steps", self.steps);
        state.put_counter("rngd.refreshes", self.refreshes);
        self.momentum.save(state);
        if self.averaging() {
            for (subsystem, average) in self.subsystems.iter().zip(&self.averages) {
                state.put(format!("rngd.metric.{}", subsystem.name), average);
            }
        } else if let Some((parameters, rng)) = &self.reference {
            state.put("rngd.reference", &parameters.values);
            state.put_generator("rngd.reference", rng);
        }
    }

    fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        self.steps = state.counter("rngd.steps")?;
        self.refreshes = state.counter("rngd.refreshes")?;
        self.momentum.load(state)?;
        self.current = false;
        self.reference = None;
        self.averages.clear();
        if self.refreshes == 0 {
            return Ok(());
        }
        if self.averaging() {
            for subsystem in &self.subsystems {
                let name = format!("rngd.metric.{}", subsystem.name);
                self.averages.push(state.tensor(&name, metric_len(subsystem))?.to_vec());
            }
        } else {
            let values = state.tensor("rngd.reference", self.direction.len())?.to_vec();
            let rng = state.generator("rngd.reference")?.clone();
            self.reference =
                Some((Parameters { values, buffers: vec![T::ZERO; self.buffers] }, rng));
        }
        Ok(())
    }
}
