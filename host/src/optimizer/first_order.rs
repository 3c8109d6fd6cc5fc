//! First-order optimisers, and the momentum that all optimisers but Adam share.

use std::ops::Range;

use relfisher_core::optim::{self, WeightDecay};

use super::scope::Scope;
use super::subsystem::check_finite;
use super::{AdamConfig, MomentumKind, Optimizer, SgdConfig, State, Step};
use crate::Scalar;
use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::network::Network;
use crate::vectorised;

/// A velocity v, its coefficient μ, and its name in a state.
pub(super) struct Momentum<T> {
    key: String,
    velocity: Vec<T>,
    momentum: T,
}

impl<T: Scalar> Momentum<T> {
    /// A velocity of zeros, saved under `key`.
    pub(super) fn new(key: impl Into<String>, count: usize, momentum: f64) -> Self {
        Self { key: key.into(), velocity: vec![T::ZERO; count], momentum: T::from_f64(momentum) }
    }

    /// Moves the parameters against `direction`, which becomes `scale·direction`, by the heavy ball.
    pub(super) fn apply(
        &mut self,
        step: &mut Step<'_, T>,
        direction: &mut [T],
        scale: T,
    ) -> Result<(), Error> {
        let rule = optim::Sgd {
            learning_rate: step.learning_rate,
            momentum: self.momentum,
            form: optim::Momentum::HeavyBall,
            weight_decay: T::ZERO,
        };
        if scale == T::ONE {
            let all = 0..direction.len();
            let values = (&mut step.parameters.values[..], all);
            return self.descend(step.executor, rule, values, direction);
        }
        let outputs = &mut [&mut step.parameters.values[..], &mut self.velocity, direction];
        step.executor
            .for_each_chunk(outputs, &[], &|outputs, _| {
                if let [theta, velocity, d] = outputs {
                    // The pieces have one length, so the rule cannot refuse them.
                    let _ = vectorised!({
                        d.iter_mut().for_each(|d| *d = scale * *d);
                        rule.step(theta, velocity, d)
                    });
                }
            })
            .context(&self.key)
    }

    /// `planned ← −rate (μ v + scale·direction)`: what [`Momentum::apply`] would add to the parameters.
    pub(super) fn planned(&self, planned: &mut [T], direction: &[T], scale: T, rate: T) {
        let elements = planned.iter_mut().zip(&self.velocity).zip(direction);
        elements.for_each(|((p, v), d)| *p = -rate * (self.momentum * *v + scale * *d));
    }

    fn descend(
        &mut self,
        executor: &dyn Executor<T>,
        rule: optim::Sgd<T>,
        (values, range): (&mut [T], Range<usize>),
        direction: &[T],
    ) -> Result<(), Error> {
        let outputs = &mut [&mut values[range.clone()], &mut self.velocity[range.clone()]];
        executor
            .for_each_chunk(outputs, &[&direction[range]], &|outputs, inputs| {
                if let ([theta, velocity], [d]) = (outputs, inputs) {
                    // The pieces have one length, so the rule cannot refuse them.
                    let _ = vectorised!(rule.step(theta, velocity, d));
                }
            })
            .context(&self.key)
    }

    pub(super) fn save(&self, state: &mut State<T>) {
        state.put(self.key.clone(), &self.velocity);
    }

    pub(super) fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        state.read(&self.key, &mut self.velocity)
    }
}

/// `gradient ← gradient + weight_decay·θ`; nothing for a zero coefficient.
pub(super) fn decay_weights<T: Scalar>(
    step: &mut Step<'_, T>,
    weight_decay: f64,
) -> Result<(), Error> {
    if weight_decay == 0.0 {
        return Ok(());
    }
    let decay = T::from_f64(weight_decay);
    step.executor
        .for_each_chunk(&mut [step.gradient], &[&step.parameters.values], &|outputs, inputs| {
            if let ([gradient], [theta]) = (outputs, inputs) {
                // The pieces have one length, so the rule cannot refuse them.
                let _ = vectorised!(optim::add_weight_decay(gradient, theta, decay));
            }
        })
        .context("weight decay")
}

/// Stochastic gradient descent with momentum.
pub struct Sgd<T: Scalar> {
    config: SgdConfig,
    momentum: Momentum<T>,
    scope: Scope,
}

impl<T: Scalar> Sgd<T> {
    /// An optimiser for `network`.
    pub fn new(config: &SgdConfig, network: &Network<T>) -> Self {
        let momentum = Momentum::new("sgd.velocity", network.parameter_count(), config.momentum);
        Self { config: config.clone(), momentum, scope: Scope::all(network) }
    }

    /// Moves the parameters of a scope only.
    pub(super) fn within(mut self, scope: &Scope) -> Self {
        self.scope = scope.clone();
        self
    }
}

impl<T: Scalar> Optimizer<T> for Sgd<T> {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn step(&mut self, step: &mut Step<'_, T>) -> Result<(), Error> {
        check_finite(step.network, "gradient", step.gradient)?;
        let rule = optim::Sgd {
            learning_rate: step.learning_rate,
            momentum: self.momentum.momentum,
            form: match self.config.momentum_kind {
                MomentumKind::HeavyBall => optim::Momentum::HeavyBall,
                MomentumKind::Nesterov => optim::Momentum::Nesterov,
            },
            weight_decay: T::from_f64(self.config.weight_decay),
        };
        for range in self.scope.ranges() {
            let values = (&mut step.parameters.values[..], range.clone());
            self.momentum.descend(step.executor, rule, values, step.gradient)?;
        }
        Ok(())
    }

    fn save(&self, state: &mut State<T>) {
        self.momentum.save(state);
    }

    fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        self.momentum.load(state)
    }
}

/// Adam (D. P. Kingma, J. Ba, ICLR 2015, algorithm 1) with L2 added to the gradient.
pub struct Adam<T: Scalar> {
    config: AdamConfig,
    mean: Vec<T>,
    square: Vec<T>,
    steps: u64,
    scope: Scope,
}

impl<T: Scalar> Adam<T> {
    /// An optimiser for `network`.
    pub fn new(config: &AdamConfig, network: &Network<T>) -> Self {
        let count = network.parameter_count();
        Self {
            config: config.clone(),
            mean: vec![T::ZERO; count],
            square: vec![T::ZERO; count],
            steps: 0,
            scope: Scope::all(network),
        }
    }

    /// Moves the parameters of a scope only.
    pub(super) fn within(mut self, scope: &Scope) -> Self {
        self.scope = scope.clone();
        self
    }
}

impl<T: Scalar> Optimizer<T> for Adam<T> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn step(&mut self, step: &mut Step<'_, T>) -> Result<(), Error> {
        check_finite(step.network, "gradient", step.gradient)?;
        let rule = optim::Adam {
            beta1: T::from_f64(self.config.beta1),
            beta2: T::from_f64(self.config.beta2),
            epsilon: T::from_f64(self.config.epsilon),
            weight_decay: WeightDecay::L2(T::from_f64(self.config.weight_decay)),
        }
        .at(step.learning_rate, self.steps);
        self.steps += 1;
        for range in self.scope.ranges() {
            let outputs = &mut [
                &mut step.parameters.values[range.clone()],
                &mut self.mean[range.clone()],
                &mut self.square[range.clone()],
            ];
            let gradient = &step.gradient[range.clone()];
            step.executor
                .for_each_chunk(outputs, &[gradient], &|outputs, inputs| {
                    if let ([theta, mean, square], [gradient]) = (outputs, inputs) {
                        // The pieces have one length, so the rule cannot refuse them.
                        let _ = vectorised!(rule.step(theta, mean, square, gradient));
                    }
                })
                .context("adam")?;
        }
        Ok(())
    }

    fn save(&self, state: &mut State<T>) {
        state.put_counter("adam.steps", self.steps);
        state.put("adam.mean", &self.mean);
        state.put("adam.square", &self.square);
    }

    fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        self.steps = state.counter("adam.steps")?;
        state.read("adam.mean", &mut self.mean)?;
        state.read("adam.square", &mut self.square)
    }
}
