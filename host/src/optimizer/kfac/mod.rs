//! The K-FAC family: K-FAC, KFLR, KFRA, EKFAC and block-tridiagonal K-FAC, one preconditioner with
//! four choices ([`Strategy`]): whose output derivatives, how they go back, what shared positions
//! count as, and what stands on the diagonal.
//!
//! Every linear block or convolution is approximated by G ⊗ A with A = E[x̃x̃ᵀ] and G = E[δδᵀ], δ the
//! derivatives of the block's output (J. Martens, R. Grosse, ICML 2015; R. Grosse, J. Martens, ICML
//! 2016). Both are exponential moving averages, a plain mean at first, measured every `factor_every`
//! mini-batches:
//!
//! - labels drawn from the model, or every label weighted by its probability (an exact root of the
//!   loss Hessian with C − 1 columns for soft-max): another backward pass without a gradient;
//! - the true labels: the deltas that the training's own backward pass left on the tape;
//! - KFRA: the averaged recursion of m × m matrices (A. Botev, H. Ritter, D. Barber, ICML 2017).
//!
//! Every `refresh` mini-batches the damped averages are factored (Cholesky), or with exact damping
//! decomposed; with a `power` p below 1 they become (G ⊗ A + λI)⁻ᵖ (`power.rs`). EKFAC measures in those eigenbases, with every update of the averages and at every
//! refresh, the second moments of the gradient along each basis vector (T. George et al., NeurIPS
//! 2018): a moving average too, begun anew with every basis. A batch normalisation has the covariance
//! of its (γ_c, β_c) gradient, a 2 × 2 block for each channel; KFRA takes the diagonal of its recursion
//! for the squared derivatives there. Block-tridiagonal K-FAC adds what adjoining layers have in common
//! (`tridiagonal.rs`).

mod block;
mod measure;
mod power;
mod tridiagonal;

use relfisher_core::curvature::{Labels, Propagation, Scaling, Strategy};
use relfisher_core::kron::Damping;
use relfisher_core::optim::ema_keep;

use self::block::{Curvature, Decomposition, invert_all};
use self::tridiagonal::Chain;
use super::columns::Columns;
use super::preconditioner::{Batch, Preconditioner, check_call};
use super::scope::Scope;
use super::subsystem::singular;
use super::{KfacConfig, KroneckerKind, State};
use crate::Scalar;
use crate::curvature::{FactorScratch, ScaleScratch};
use crate::error::Error;
use crate::executor::Executor;
use crate::network::{Network, OutputCurvature};

/// Kronecker-factored curvature of every layer.
pub struct Kfac<T: Scalar> {
    kind: KroneckerKind,
    strategy: Strategy,
    rule: Damping,
    refresh: u64,
    factor_every: u64,
    decay: T,
    damping: T,
    blocks: Vec<Curvature<T>>,
    /// What adjoining layers have in common, in block-tridiagonal K-FAC.
    chain: Option<Chain<T>>,
    parameters: usize,
    updates: u64,
    /// Measurements of the scale in the present eigenbases.
    scales: u64,
    columns: Option<Columns<T>>,
    scratch: Scratch<T>,
}

/// Buffers that nothing depends on.
#[derive(Default)]
struct Scratch<T: Scalar> {
    recursion: OutputCurvature<T>,
    root: Vec<T>,
    factors: FactorScratch<T>,
    scale: ScaleScratch<T>,
    work: Vec<T>,
}

impl<T: Scalar> Kfac<T> {
    /// The curvature of `network`, nothing measured yet; of `config` the learning rate, momentum,
    /// weight decay, KL clip and adaptation do not enter.
    pub fn new(kind: KroneckerKind, config: &KfacConfig, network: &Network<T>) -> Self {
        let (strategy, rule) = (config.strategy(kind), config.damping_rule(kind));
        let decomposition = match rule {
            Damping::Exact => Decomposition::Eigen,
            Damping::Pi | Damping::Factored => Decomposition::Cholesky,
        };
        let blocks = network.blocks().iter().enumerate();
        let inverse = (decomposition, T::from_f64(config.power));
        Self {
            kind,
            strategy,
            rule,
            refresh: config.refresh.max(1),
            factor_every: config.factor_every.max(1),
            decay: T::from_f64(config.decay),
            damping: T::from_f64(config.damping),
            blocks: blocks.map(|(i, block)| Curvature::new(i, block, inverse)).collect(),
            chain: (kind == KroneckerKind::Tridiagonal).then(|| Chain::new(network)),
            parameters: network.parameter_count(),
            updates: 0,
            scales: 0,
            columns: None,
            scratch: Scratch::default(),
        }
    }

    /// Forgets the blocks outside of `scope`: steps leave their part of the gradient as it is.
    pub(super) fn restrict(&mut self, scope: &Scope) {
        self.blocks.retain(|block| scope.contains(block.index));
    }

    /// The choices that make this member of the family.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// A (d̃ × d̃) and G (m × m) of a block as they are averaged now; `None` for a batch normalisation.
    pub fn factors(&self, block: usize) -> Option<(&[T], &[T])> {
        self.blocks.iter().find(|b| b.index == block)?.factors()
    }

    /// How many columns a sample sends back; 0 where the backward pass of the training serves.
    fn column_count(&self, network: &Network<T>) -> usize {
        match (self.strategy.propagation, self.strategy.labels) {
            (Propagation::Averaged, _) | (_, Labels::Empirical) => 0,
            (_, Labels::Type2) => Columns::root_count(network),
            (_, Labels::MonteCarlo { draws }) => draws,
        }
    }

    fn key(&self, end: &str) -> String {
        format!("{}.{end}", self.kind.name())
    }
}

impl<T: Scalar> Preconditioner<T> for Kfac<T> {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn damping(&self) -> T {
        self.damping
    }

    fn set_damping(&mut self, damping: T) {
        self.damping = damping;
    }

    fn update(&mut self, mut batch: Batch<'_, T>) -> Result<(), Error> {
        let average = self.updates.is_multiple_of(self.factor_every);
        let refresh = self.updates.is_multiple_of(self.refresh);
        let scale = self.strategy.scaling == Scaling::Eigenvalues && (average || refresh);
        let executor = batch.executor;
        if average || scale {
            self.pull_columns(&mut batch)?;
        }
        if average {
            let keep = ema_keep(self.decay, self.updates / self.factor_every);
            self.measure(&batch, keep)?;
        }
        if refresh {
            let (rule, damping) = (self.rule, self.damping);
            invert_all(executor, &mut self.blocks, &|block| block.invert(executor, rule, damping))?;
            if let Some(chain) = &mut self.chain {
                chain.refresh(executor, &self.blocks, (rule, damping))?;
            }
            self.scales = 0;
        }
        if scale {
            let keep = ema_keep(self.decay, self.scales);
            self.measure_scale(&batch, keep)?;
            self.scales += 1;
        }
        self.updates += 1;
        Ok(())
    }

    fn precondition(
        &mut self,
        executor: &dyn Executor<T>,
        gradient: &[T],
        step: &mut [T],
    ) -> Result<(), Error> {
        check_call(self.kind.name(), self.updates, self.parameters, (gradient, &*step))?;
        step.copy_from_slice(gradient);
        let Self { blocks, chain, damping, scratch, .. } = self;
        let mut solve = |block: &Curvature<T>, part: &mut [T]| {
            block
                .solve(executor, part, *damping, &mut scratch.work)
                .map_err(|e| singular(block.name(), damping.to_f64(), e))
        };
        match chain {
            Some(chain) => chain.apply(executor, blocks, step, &mut solve),
            None => blocks.iter().try_for_each(|block| solve(block, &mut step[block.range()])),
        }
    }

    fn save(&self, state: &mut State<T>) {
        state.put_counter(self.key("updates"), self.updates);
        state.put_counter(self.key("scales"), self.scales);
        state.put(self.key("damping"), &[self.damping]);
        for block in &self.blocks {
            for (end, tensor) in block.tensors() {
                state.put(self.key(&format!("{end}.{}", block.name())), tensor);
            }
        }
        for link in self.chain.iter().flat_map(|chain| &chain.links) {
            let name = self.blocks[link.blocks[0]].name();
            for (end, tensor) in link.tensors() {
                state.put(self.key(&format!("{end}.{name}")), tensor);
            }
        }
    }

    fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        self.updates = state.counter(&self.key("updates"))?;
        self.scales = state.counter(&self.key("scales"))?;
        self.damping = state.tensor(&self.key("damping"), 1)?[0];
        let kind = self.kind.name();
        for block in &mut self.blocks {
            let name = block.name().to_owned();
            for (end, tensor) in block.tensors_mut() {
                state.read(&format!("{kind}.{end}.{name}"), tensor)?;
            }
        }
        for link in self.chain.iter_mut().flat_map(|chain| &mut chain.links) {
            let name = self.blocks[link.blocks[0]].name();
            for (end, tensor) in link.tensors_mut() {
                state.read(&format!("{kind}.{end}.{name}"), tensor)?;
            }
        }
        Ok(())
    }
}
