//! Update rules on the device: the same settings, formulas and states as the optimisers of
//! [`crate::optimizer`], which are the reference.

use relfisher_core::optim::{self, WeightDecay};

use super::kfac::DeviceKfac;
use super::network::DeviceNetwork;
use super::rngd::DeviceRngd;
use super::rngd_sample::DeviceRngdSample;
use crate::error::Error;
use crate::executor::cuda::{Buffer, Matrix, View};
use crate::network::Network;
use crate::optimizer::{MomentumKind, OptimizerConfig, SgdConfig, State, singular};
use crate::random::Rng;
use crate::scalar::Scalar;

/// What a rule sees of one step: the network after its backward pass.
pub(super) struct DeviceStep<'a, T: Scalar> {
    pub(super) network: &'a mut DeviceNetwork<T>,
    /// The inputs of all training samples.
    pub(super) samples: Matrix<'a, T>,
    pub(super) learning_rate: T,
    pub(super) rng: &'a mut Rng,
}

/// An update rule with its memory on the device.
pub(super) trait DeviceOptimizer<T: Scalar>: Send {
    /// Updates the parameters from the gradient, which it may overwrite.
    fn step(&mut self, step: &mut DeviceStep<'_, T>) -> Result<(), Error>;

    /// Whether every step with the same learning rate puts the same work into the stream, so that it can
    /// be captured once.
    fn repeats(&self) -> bool {
        false
    }

    /// What went wrong in the steps so far, once the device has come so far.
    fn settle(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Writes everything that the next step depends on, as the host's optimiser does.
    fn save(&self, state: &mut State<T>) -> Result<(), Error>;

    /// Reads it back.
    fn load(&mut self, state: &State<T>) -> Result<(), Error>;
}

/// The rule of these settings, for a training set of so many samples.
///
/// # Errors
/// A rule that the device does not know; settings that it does not take.
pub(super) fn build<T: Scalar>(
    config: &OptimizerConfig,
    network: &Network<T>,
    on: &DeviceNetwork<T>,
    samples: usize,
) -> Result<Box<dyn DeviceOptimizer<T>>, Error> {
    config.validate()?;
    Ok(match config {
        OptimizerConfig::Sgd(c) => Box::new(DeviceSgd::new(c, on)?),
        OptimizerConfig::Adam(c) => {
            let count = on.parameters.len();
            let zeros = || Buffer::zeros(&on.gpu, count);
            Box::new(DeviceAdam {
                rule: optim::Adam {
                    beta1: T::from_f64(c.beta1),
                    beta2: T::from_f64(c.beta2),
                    epsilon: T::from_f64(c.epsilon),
                    weight_decay: WeightDecay::L2(T::from_f64(c.weight_decay)),
                },
                mean: zeros()?,
                square: zeros()?,
                steps: 0,
            })
        }
        OptimizerConfig::Rngd(c) => Box::new(DeviceRngd::new(c, network, on, samples)?),
        OptimizerConfig::RngdSample(c) => Box::new(DeviceRngdSample::new(c, network, on)?),
        OptimizerConfig::Kfac(c) => Box::new(DeviceKfac::new(c, network, on)?),
        other => {
            return Err(Error::input(
                "--device",
                other.name(),
                "this optimiser does not run on a device",
                "use sgd, adam, kfac, rngd or rngd-sample (--optimizers), or --device cpu",
            ));
        }
    })
}

/// A velocity and the rule that moves it.
pub(super) struct DeviceMomentum<T> {
    key: &'static str,
    velocity: Buffer<T>,
    rule: optim::Sgd<T>,
}

impl<T: Scalar> DeviceMomentum<T> {
    /// The heavy ball without weight decay, saved under `key`.
    pub(super) fn new(
        key: &'static str,
        momentum: f64,
        on: &DeviceNetwork<T>,
    ) -> Result<Self, Error> {
        let rule = optim::Sgd {
            learning_rate: T::ZERO,
            momentum: T::from_f64(momentum),
            form: optim::Momentum::HeavyBall,
            weight_decay: T::ZERO,
        };
        Ok(Self { key, velocity: Buffer::zeros(&on.gpu, on.parameters.len())?, rule })
    }

    /// Moves the parameters against a direction.
    pub(super) fn apply(
        &mut self,
        network: &mut DeviceNetwork<T>,
        direction: View<'_, T>,
        learning_rate: T,
    ) -> Result<(), Error> {
        let rule = optim::Sgd { learning_rate, ..self.rule };
        let (theta, velocity) = (network.parameters.view_mut(), self.velocity.view_mut());
        Ok(network.gpu.sgd(theta, velocity, direction, rule)?)
    }

    /// The same with the direction times a factor on the device.
    pub(super) fn apply_scaled(
        &mut self,
        network: &mut DeviceNetwork<T>,
        (direction, factor): (View<'_, T>, View<'_, T>),
        learning_rate: T,
    ) -> Result<(), Error> {
        let velocity = self.velocity.view_mut();
        network.gpu.axpby_scaled(velocity, (self.rule.momentum, T::ONE), direction, factor)?;
        let theta = network.parameters.view_mut();
        Ok(network.gpu.descend(theta, self.velocity.view(), learning_rate)?)
    }

    pub(super) fn save(&self, state: &mut State<T>) -> Result<(), Error> {
        state.put(self.key, &self.velocity.to_vec()?);
        Ok(())
    }

    pub(super) fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        let values = state.tensor(self.key, self.velocity.len())?;
        Ok(self.velocity.view_mut().upload(values)?)
    }
}

/// `gradient ← gradient + weight_decay·θ`; nothing for a zero coefficient.
pub(super) fn decay_weights<T: Scalar>(
    network: &mut DeviceNetwork<T>,
    weight_decay: f64,
) -> Result<(), Error> {
    if weight_decay == 0.0 {
        return Ok(());
    }
    let (gradient, theta) = (network.gradient.view_mut(), network.parameters.view());
    Ok(network.gpu.axpby(gradient, (T::ONE, T::from_f64(weight_decay)), theta)?)
}

struct DeviceSgd<T>(DeviceMomentum<T>);

impl<T: Scalar> DeviceSgd<T> {
    fn new(config: &SgdConfig, on: &DeviceNetwork<T>) -> Result<Self, Error> {
        let mut momentum = DeviceMomentum::new("sgd.velocity", config.momentum, on)?;
        momentum.rule.weight_decay = T::from_f64(config.weight_decay);
        momentum.rule.form = match config.momentum_kind {
            MomentumKind::HeavyBall => optim::Momentum::HeavyBall,
            MomentumKind::Nesterov => optim::Momentum::Nesterov,
        };
        Ok(Self(momentum))
    }
}

impl<T: Scalar> DeviceOptimizer<T> for DeviceSgd<T> {
    fn repeats(&self) -> bool {
        true
    }

    fn step(&mut self, step: &mut DeviceStep<'_, T>) -> Result<(), Error> {
        let network = &mut *step.network;
        let rule = optim::Sgd { learning_rate: step.learning_rate, ..self.0.rule };
        let (theta, velocity) = (network.parameters.view_mut(), self.0.velocity.view_mut());
        Ok(network.gpu.sgd(theta, velocity, network.gradient.view(), rule)?)
    }

    fn save(&self, state: &mut State<T>) -> Result<(), Error> {
        self.0.save(state)
    }

    fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        self.0.load(state)
    }
}

struct DeviceAdam<T> {
    rule: optim::Adam<T>,
    mean: Buffer<T>,
    square: Buffer<T>,
    steps: u64,
}

impl<T: Scalar> DeviceOptimizer<T> for DeviceAdam<T> {
    fn step(&mut self, step: &mut DeviceStep<'_, T>) -> Result<(), Error> {
        let network = &mut *step.network;
        let rule = self.rule.at(step.learning_rate, self.steps);
        self.steps += 1;
        let moments = [self.mean.view_mut(), self.square.view_mut()];
        let theta = network.parameters.view_mut();
        Ok(network.gpu.adam(theta, moments, network.gradient.view(), rule)?)
    }

    fn save(&self, state: &mut State<T>) -> Result<(), Error> {
        state.put_counter("adam.steps", self.steps);
        state.put("adam.mean", &self.mean.to_vec()?);
        state.put("adam.square", &self.square.to_vec()?);
        Ok(())
    }

    fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        self.steps = state.counter("adam.steps")?;
        let count = self.mean.len();
        self.mean.view_mut().upload(state.tensor("adam.mean", count)?)?;
        Ok(self.square.view_mut().upload(state.tensor("adam.square", count)?)?)
    }
}

/// Flags of factorisations, looked at when the run settles: nothing waits for the device meanwhile.
pub(super) struct Flags {
    /// One for each matrix: 0, or the first refused pivot counted from 1, of any step so far.
    pub(super) worst: Buffer<u32>,
    /// Those of the last factorisations.
    pub(super) last: Buffer<u32>,
}

impl Flags {
    pub(super) fn new<T: Scalar>(count: usize, on: &DeviceNetwork<T>) -> Result<Self, Error> {
        Ok(Self { worst: Buffer::zeros(&on.gpu, count)?, last: Buffer::zeros(&on.gpu, count)? })
    }

    /// Keeps what the last factorisations refused.
    pub(super) fn keep<T: Scalar>(&mut self, on: &DeviceNetwork<T>) -> Result<(), Error> {
        Ok(on.gpu.keep_flags(self.worst.view_mut(), self.last.view(), 0)?)
    }

    /// An error that names a layer when a matrix of its metric was refused.
    pub(super) fn check(&self, layer: &str, damping: f64) -> Result<(), Error> {
        match self.refused()? {
            None => Ok(()),
            Some((block, pivot)) => {
                let e = relfisher_core::Error::NotPositiveDefinite { block, pivot };
                Err(singular(layer, damping, e))
            }
        }
    }

    /// The first matrix that was refused, and its pivot.
    pub(super) fn refused(&self) -> Result<Option<(usize, usize)>, Error> {
        let flags = self.worst.to_vec()?;
        let at = flags.iter().position(|flag| *flag != 0);
        Ok(at.map(|at| (at, flags[at] as usize - 1)))
    }
}
