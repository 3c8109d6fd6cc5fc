//! Relative natural gradient descent in sample space: the metric of every mini-batch, inverted
//! exactly at every step.
//!
//! With n samples in the mini-batch and n < d̃ the solve of every neuron is an n × n system that
//! shares one Gram matrix K = X̃X̃ᵀ ([`relfisher_core::metric::route::sample`]); the cost model takes
//! another exact route where that is cheaper. The soft-max layer couples C·d̃ parameters, and both
//! of its direct systems (C·d̃ and n(C − 1) unknowns) cost more than the rest of the step; it is
//! solved matrix-free by conjugate gradients, each product costing 4·n·C·d̃ operations, to a
//! relative residual of √ε/4. Batch normalisations are solved channel by channel.
//!
//! Nothing but the velocity outlives a step.

use relfisher_core::metric::cost::Route;
use relfisher_core::metric::layer::{LayerMetric, NonlinearMetric, SoftmaxMetric, SolveOptions};
use relfisher_core::metric::normalisation;
use relfisher_core::metric::route::{conjugate_gradient, sample};
use relfisher_core::{MatMut, MatRef};

use super::first_order::{Momentum, decay_weights};
use super::scope::Scope;
use super::subsystem::{Form, Subsystem, check_finite, singular, subsystems};
use super::{Optimizer, RngdSampleConfig, State, Step};
use crate::Scalar;
use crate::error::{Context, Error};
use crate::network::Network;
use crate::scratch::grown;
use crate::vectorised;

/// ‖r‖/‖g‖ at which the conjugate gradients of the soft-max layer stop: √ε/4, 9e-5 in f32 and 4e-9
/// in f64. The gradient itself carries rounding of order ε times the condition of the metric, and a
/// residual below √ε changes no step by more than that much of its length.
fn softmax_tolerance<T: Scalar>() -> T {
    relfisher_core::Real::sqrt(T::EPSILON) * T::from_f64(0.25)
}

/// Relative natural gradient descent with the exact metric of each mini-batch.
pub struct RngdSample<T: Scalar> {
    config: RngdSampleConfig,
    damping: T,
    subsystems: Vec<Subsystem<T>>,
    momentum: Momentum<T>,
    direction: Vec<T>,
    weights: Vec<T>,
    work: Vec<T>,
}

impl<T: Scalar> RngdSample<T> {
    /// An optimiser for `network`.
    ///
    /// # Errors
    /// A network with convolutions or shared layers.
    pub fn new(config: &RngdSampleConfig, network: &Network<T>) -> Result<Self, Error> {
        let count = network.parameter_count();
        Ok(Self {
            config: config.clone(),
            damping: T::from_f64(config.damping),
            subsystems: subsystems(network, config.smoothing)?,
            momentum: Momentum::new("rngd-sample.velocity", count, config.momentum),
            direction: vec![T::ZERO; count],
            weights: Vec::new(),
            work: Vec::new(),
        })
    }

    /// Forgets the subsystems outside of `scope`: their direction stays 0.
    pub(super) fn restrict(&mut self, scope: &Scope) {
        self.subsystems.retain(|subsystem| scope.contains(subsystem.index));
    }

    /// `direction ← (ḡ + λI)⁻¹ gradient` with the metric of the batch on the tape.
    fn precondition(&mut self, step: &mut Step<'_, T>) -> Result<(), Error> {
        let (executor, tape) = (step.executor, &*step.tape);
        for subsystem in &self.subsystems {
            let (m, d, n) = (subsystem.rows, subsystem.cols, tape.batch());
            let x = tape.layer_input(subsystem.index);
            let g = &step.gradient[subsystem.range.clone()];
            let out = &mut self.direction[subsystem.range.clone()];
            match subsystem.form {
                Form::Neurons(w) => {
                    let nu = subsystem.fill_weights(executor, tape, w, &mut self.weights)?;
                    let metric = NonlinearMetric::new(x, nu.rb()).context(&subsystem.name)?;
                    let route = NonlinearMetric::<T>::route(n, m, d, None, true);
                    let options = SolveOptions { route: Some(route), ..SolveOptions::default() };
                    let len = NonlinearMetric::<T>::solve_workspace_len(n, m, d, route);
                    let work = grown(&mut self.work, len);
                    let (out, g) = (MatMut::new(out, m, d)?, MatRef::new(g, m, d)?);
                    let damping = self.damping;
                    if route == Route::Sample {
                        vectorised!(sample::solve(executor, out, &metric, g, damping, work))
                    } else {
                        metric.solve(executor, out, g, damping, options, work)
                    }
                }
                Form::Softmax => {
                    let metric =
                        SoftmaxMetric::new(x, tape.probabilities()).context(&subsystem.name)?;
                    let options = conjugate_gradient::Options {
                        tolerance: softmax_tolerance(),
                        ..conjugate_gradient::Options::default()
                    };
                    let len =
                        conjugate_gradient::workspace_len(m, d, metric.multiply_workspace_len());
                    let work = grown(&mut self.work, len);
                    let (out, g) = (MatMut::new(out, m, d)?, MatRef::new(g, m, d)?);
                    let damping = self.damping;
                    vectorised!(conjugate_gradient::solve(
                        executor, out, &metric, g, damping, options, work
                    ))
                    .map(|_| ())
                }
                Form::Channels(w) => {
                    let nu = subsystem.fill_weights(executor, tape, w, &mut self.weights)?;
                    let blocks = grown(&mut self.work, m * 3);
                    let x = tape.normalised(subsystem.index);
                    normalisation::blocks(MatMut::new(blocks, m, 3)?, x, nu.rb(), T::ZERO)
                        .context(&subsystem.name)?;
                    out.copy_from_slice(g);
                    let blocks = MatRef::new(blocks, m, 3)?;
                    normalisation::solve(MatMut::new(out, m, 2)?, blocks, self.damping)
                }
            }
            .map_err(|e| singular(&subsystem.name, self.config.damping, e))?;
        }
        Ok(())
    }
}

impl<T: Scalar> Optimizer<T> for RngdSample<T> {
    fn name(&self) -> &'static str {
        "rngd-sample"
    }

    fn step(&mut self, step: &mut Step<'_, T>) -> Result<(), Error> {
        check_finite(step.network, "gradient", step.gradient)?;
        decay_weights(step, self.config.weight_decay)?;
        self.precondition(step)?;
        self.momentum.apply(step, &mut self.direction, T::ONE)
    }

    fn save(&self, state: &mut State<T>) {
        self.momentum.save(state);
    }

    fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        self.momentum.load(state)
    }
}
