//! Optimisers: from a gradient to new parameters.
//!
//! All share one interface, [`Optimizer`]: the training loop fills a tape by a forward and a
//! backward pass, and hands it with the mean gradient to [`Optimizer::step`]. An optimiser may read
//! the layer inputs, pre-activations and probabilities of the tape (curvature of the mini-batch),
//! run another backward pass for labels drawn from the model (K-FAC), or load fresh training
//! samples into a tape of its own ([`MetricBatch`], RNGD's block route). The formulas are the
//! core's; this module keeps the buffers, the moving averages and the refresh counters.
//!
//! | file | what |
//! | --- | --- |
//! | `config/` | settings, their domains |
//! | `preconditioner.rs` | curvature as a component: `update(batch)`, `precondition(gradient) → step` |
//! | `kfac/` | K-FAC, KFLR, KFRA, EKFAC, block-tridiagonal K-FAC |
//! | `exact/` | Gauss–Newton blocks; the whole Gauss–Newton matrix in sample space |
//! | `preconditioned.rs`, `adaptation.rs` | the optimiser around a preconditioner; its damping |
//! | `hessian_free/` | conjugate gradients on Gauss–Newton products |
//! | `rngd.rs`, `rngd_sample.rs`, `subsystem.rs` | relative natural gradient descent |
//! | `first_order.rs` | SGD, Adam, momentum |
//! | `mixed.rs`, `scope.rs` | groups of layers, each with an optimiser of its own |
//! | `columns.rs`, `product.rs`, `vectors.rs` | derivatives sent back, products, sums |
//!
//! Every optimiser adds L2 weight decay to the gradient before it preconditions, is deterministic
//! (same bits for any number of threads), allocates nothing in a step once the buffers exist, and
//! saves its memory to a [`State`] so that a resumed run continues to the same bits.

mod adaptation;
mod columns;
mod config;
mod exact;
mod first_order;
mod hessian_free;
mod kfac;
mod mixed;
mod preconditioned;
mod preconditioner;
mod product;
mod rngd;
mod rngd_sample;
mod scope;
mod state;
mod subsystem;
mod vectors;

pub(crate) use adaptation::Adaptation;
pub use config::{
    AdamConfig, AdaptationConfig, CgPreconditioner, DampingKind, GgnBlockConfig, GgnRecycledConfig,
    GgnSampleConfig, GroupConfig, HessianFreeConfig, KfacConfig, KroneckerKind, LabelsConfig,
    LayerConfig, LineSearch, MixedConfig, MomentumKind, OptimizerConfig, RngdConfig,
    RngdSampleConfig, ScheduleConfig, SgdConfig, SharingConfig, StepLength,
};
pub use exact::{GgnBlock, GgnRecycled, GgnSample};
pub use first_order::{Adam, Sgd};
pub use hessian_free::HessianFree;
pub use kfac::Kfac;
pub use mixed::Mixed;
pub use preconditioned::{Descent, Preconditioned};
pub use preconditioner::{Batch, Preconditioner};
pub use rngd::Rngd;
pub use rngd_sample::RngdSample;
use scope::Scope;
pub use state::State;
pub(crate) use subsystem::{Form, Subsystem, Weights, singular, subsystems_of};

use crate::Scalar;
use crate::curvature::Memory;
use crate::error::Error;
use crate::executor::Executor;
use crate::network::{Network, Parameters, Tape, Targets};
use crate::random::Rng;

/// An optimiser: keeps its own memory and turns gradients into parameter updates.
pub trait Optimizer<T: Scalar>: Send {
    /// The name, as in the `kind` key of [`OptimizerConfig`].
    fn name(&self) -> &'static str;

    /// Updates `step.parameters` from `step.gradient`, which it may overwrite.
    ///
    /// # Errors
    /// A divergence error when the gradient, the curvature or the new parameters are not finite
    /// (the parameters are then unspecified); an input error naming the layer and the remedy when a
    /// metric is singular and the damping is zero; errors of the metric batch.
    fn step(&mut self, step: &mut Step<'_, T>) -> Result<(), Error>;

    /// Writes everything that the next step depends on.
    fn save(&self, state: &mut State<T>);

    /// Reads what [`Optimizer::save`] wrote, into an optimiser built from the same settings and
    /// network.
    ///
    /// # Errors
    /// One line that names the tensor, counter or generator that is missing or has another length.
    fn load(&mut self, state: &State<T>) -> Result<(), Error>;
}

/// What an optimiser sees of one training step.
pub struct Step<'a, T: Scalar> {
    /// Runs the products and element-wise work.
    pub executor: &'a dyn Executor<T>,
    /// The network.
    pub network: &'a Network<T>,
    /// The mini-batch after its forward pass, loss and backward pass. Its values are unspecified
    /// after the step: an optimiser that judges its step runs the batch again.
    pub tape: &'a mut Tape<T>,
    /// What the outputs of the mini-batch should have been.
    pub targets: Targets<'a, T>,
    /// The mean loss of the mini-batch, as [`Network::loss`] reported it.
    pub loss: f64,
    /// The parameters (and running averages), to be updated.
    pub parameters: &'a mut Parameters<T>,
    /// The mean gradient of the mini-batch, without weight decay; flat, as the parameters. May be
    /// overwritten.
    pub gradient: &'a mut [T],
    /// The learning rate of this step: base rate times schedule.
    pub learning_rate: T,
    /// The number of steps before this one.
    pub index: u64,
    /// The optimiser's generator; part of the run's state.
    pub rng: &'a mut Rng,
    /// Loads fresh training samples.
    pub metric_batch: &'a mut dyn MetricBatch<T>,
}

/// A source of fresh training inputs for metrics that are means over more than the mini-batch.
pub trait MetricBatch<T: Scalar> {
    /// The largest number of samples that one [`MetricBatch::load`] can give: the size of the
    /// training set.
    fn available(&self) -> usize;

    /// Draws `count` different training samples with `rng`, sets the batch size of `tape` to
    /// `count` and writes their inputs. The result depends on `rng` and `count` only.
    ///
    /// # Errors
    /// `count` above [`MetricBatch::available`] or above the capacity of the tape.
    fn load(&mut self, tape: &mut Tape<T>, count: usize, rng: &mut Rng) -> Result<(), Error>;
}

impl OptimizerConfig {
    /// The optimiser for `network`, with an empty memory.
    ///
    /// # Errors
    /// Those of [`OptimizerConfig::validate`]; layers that the optimiser cannot take.
    pub fn build<T: Scalar>(&self, network: &Network<T>) -> Result<Box<dyn Optimizer<T>>, Error> {
        self.build_within(network, &Scope::all(network))
    }

    /// The optimiser for the layers of a scope. Those that do not treat layers one by one, which
    /// mixed training refuses, take all layers whatever the scope is.
    fn build_within<T: Scalar>(
        &self,
        network: &Network<T>,
        scope: &Scope,
    ) -> Result<Box<dyn Optimizer<T>>, Error> {
        self.validate()?;
        let (curvature, descent): (Box<dyn Preconditioner<T>>, _) = match self {
            Self::Sgd(c) => return Ok(Box::new(Sgd::new(c, network).within(scope))),
            Self::Adam(c) => return Ok(Box::new(Adam::new(c, network).within(scope))),
            Self::RngdSample(c) => {
                let mut optimizer = RngdSample::new(c, network)?;
                optimizer.restrict(scope);
                return Ok(Box::new(optimizer));
            }
            Self::Rngd(c) => {
                let mut optimizer = Rngd::new(c, network)?;
                optimizer.restrict(scope);
                return Ok(Box::new(optimizer));
            }
            Self::HessianFree(c) => return Ok(Box::new(HessianFree::new(c, network))),
            Self::Mixed(c) => return Ok(Box::new(Mixed::new(c, network)?)),
            Self::KfacTridiagonal(c) => (self.preconditioner(network)?, c.descent()),
            Self::Kfac(c) | Self::Kflr(c) | Self::Kfra(c) | Self::Ekfac(c) => {
                let kind = self.kronecker().map_or(KroneckerKind::Kfac, |(kind, _)| kind);
                let mut curvature = Kfac::new(kind, c, network);
                curvature.restrict(scope);
                (Box::new(curvature), c.descent())
            }
            Self::GgnBlock(c) => {
                let curvature = GgnBlock::of_scope(c, network, Memory::default(), scope)?;
                (Box::new(curvature), c.descent())
            }
            Self::GgnSample(c) => (self.preconditioner(network)?, c.descent()),
            Self::GgnRecycled(c) => (self.preconditioner(network)?, c.descent()),
        };
        Ok(Box::new(Preconditioned::new(curvature, descent, network).within(scope)))
    }
}
