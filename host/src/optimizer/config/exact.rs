//! The settings of optimisers with the exact Gauss–Newton matrix.

use serde::{Deserialize, Serialize};

use super::check::{
    Check, Common, Settings, above_zero, at_least_zero, common_settings, count, share,
};
use super::{AdaptationConfig, ScheduleConfig, StepLength};

/// The exact Gauss–Newton block of every layer: for small layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GgnBlockConfig {
    /// The base learning rate γ.
    pub learning_rate: f64,
    /// The damping λ ≥ 0 of (B + λI)⁻¹, or the first one where it adapts.
    pub damping: f64,
    /// The heavy-ball momentum of the preconditioned gradient, in [0, 1).
    pub momentum: f64,
    /// The L2 coefficient, added to the gradient before preconditioning.
    pub weight_decay: f64,
    /// Mini-batches between two of which the blocks are measured and factored, at least 1.
    pub refresh: u64,
    /// The share of the old blocks kept at a refresh, in [0, 1); 0 keeps none.
    pub decay: f64,
    /// κ of the KL clip; 0 switches it off.
    pub kl_clip: f64,
    /// How far a step goes.
    #[serde(skip_serializing_if = "StepLength::is_rate")]
    pub step_length: StepLength,
    /// Whether λ adapts; a changed λ enters at the next refresh.
    pub adaptation: AdaptationConfig,
    /// The learning rate over the steps.
    pub schedule: ScheduleConfig,
}

impl Default for GgnBlockConfig {
    fn default() -> Self {
        Self {
            learning_rate: 0.01,
            damping: 0.1,
            momentum: 0.9,
            weight_decay: 1e-4,
            refresh: 10,
            decay: 0.5,
            kl_clip: 0.0,
            step_length: StepLength::Rate,
            adaptation: AdaptationConfig::Fixed,
            schedule: ScheduleConfig::Constant,
        }
    }
}

impl Settings for GgnBlockConfig {
    common_settings!();

    fn checks(&self) -> Vec<Check> {
        let mut checks = vec![
            at_least_zero("damping", self.damping),
            share("momentum", self.momentum),
            count("refresh", self.refresh),
            share("decay", self.decay),
            at_least_zero("kl_clip", self.kl_clip),
        ];
        checks.extend(self.adaptation.checks());
        checks
    }
}

/// The exact Gauss–Newton matrix of the whole network and of every mini-batch, in sample space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GgnSampleConfig {
    /// The base learning rate γ.
    pub learning_rate: f64,
    /// The damping λ > 0 of (C + λI)⁻¹, or the first one where it adapts: the matrix of a mini-batch
    /// is singular.
    pub damping: f64,
    /// The heavy-ball momentum of the preconditioned gradient, in [0, 1).
    pub momentum: f64,
    /// The L2 coefficient, added to the gradient before preconditioning.
    pub weight_decay: f64,
    /// κ of the KL clip; 0 switches it off.
    pub kl_clip: f64,
    /// How far a step goes.
    #[serde(skip_serializing_if = "StepLength::is_rate")]
    pub step_length: StepLength,
    /// Whether λ adapts.
    pub adaptation: AdaptationConfig,
    /// The learning rate over the steps.
    pub schedule: ScheduleConfig,
}

impl Default for GgnSampleConfig {
    fn default() -> Self {
        Self {
            learning_rate: 0.01,
            damping: 0.1,
            momentum: 0.9,
            weight_decay: 1e-4,
            kl_clip: 0.0,
            step_length: StepLength::Rate,
            adaptation: AdaptationConfig::Fixed,
            schedule: ScheduleConfig::Constant,
        }
    }
}

impl Settings for GgnSampleConfig {
    common_settings!();

    fn checks(&self) -> Vec<Check> {
        let mut checks = vec![
            above_zero("damping", self.damping),
            share("momentum", self.momentum),
            at_least_zero("kl_clip", self.kl_clip),
        ];
        checks.extend(self.adaptation.checks());
        checks
    }
}

/// The largest eigenpairs of the whole network's Gauss–Newton matrix, recycled between refreshes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GgnRecycledConfig {
    /// The base learning rate γ.
    pub learning_rate: f64,
    /// The damping λ > 0, or the first one where it adapts.
    pub damping: f64,
    /// The heavy-ball momentum of the preconditioned gradient, in [0, 1).
    pub momentum: f64,
    /// The L2 coefficient, added to the gradient before preconditioning.
    pub weight_decay: f64,
    /// The eigenpairs that are kept, at least 1.
    pub rank: usize,
    /// Mini-batches between two on which they are measured, at least 1.
    pub refresh: u64,
    /// κ of the KL clip; 0 switches it off.
    pub kl_clip: f64,
    /// How far a step goes.
    #[serde(skip_serializing_if = "StepLength::is_rate")]
    pub step_length: StepLength,
    /// Whether λ adapts.
    pub adaptation: AdaptationConfig,
    /// The learning rate over the steps.
    pub schedule: ScheduleConfig,
}

impl Default for GgnRecycledConfig {
    fn default() -> Self {
        Self {
            learning_rate: 0.01,
            damping: 0.1,
            momentum: 0.9,
            weight_decay: 1e-4,
            rank: 20,
            refresh: 10,
            kl_clip: 0.0,
            step_length: StepLength::Rate,
            adaptation: AdaptationConfig::Fixed,
            schedule: ScheduleConfig::Constant,
        }
    }
}

impl Settings for GgnRecycledConfig {
    common_settings!();

    fn checks(&self) -> Vec<Check> {
        let mut checks = vec![
            above_zero("damping", self.damping),
            share("momentum", self.momentum),
            count("rank", self.rank as u64),
            count("refresh", self.refresh),
            at_least_zero("kl_clip", self.kl_clip),
        ];
        checks.extend(self.adaptation.checks());
        checks
    }
}

/// What the conjugate gradients of a Hessian-free step are preconditioned with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CgPreconditioner {
    /// Nothing.
    None,
    /// (diag(F) + λ)^¾ with the diagonal of the mini-batch's empirical Fisher matrix (Martens 2010,
    /// §4.7).
    #[default]
    Diagonal,
    /// K-FAC with labels drawn from the model, at its default settings and this λ.
    Kfac,
}

/// What is done with the direction that the conjugate gradients found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineSearch {
    /// It is taken as it is.
    None,
    /// Shortened until the loss of the mini-batch falls enough (Armijo's rule).
    #[default]
    Backtracking,
}

/// Hessian-free optimisation (J. Martens, *Deep learning via Hessian-free optimization*, ICML 2010):
/// conjugate gradients on products with the damped Gauss–Newton matrix of the mini-batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HessianFreeConfig {
    /// The factor of a step; 1 takes the minimum of the quadratic model.
    pub learning_rate: f64,
    /// The damping λ ≥ 0, or the first one where it adapts.
    pub damping: f64,
    /// The L2 coefficient, of the gradient and of the matrix.
    pub weight_decay: f64,
    /// The most conjugate-gradient iterations of a step, at least 1.
    pub iterations: usize,
    /// ε ≥ 0 of Martens' rule: the iteration ends when the last k = max(10, i/10) of its i iterations
    /// lowered the quadratic model by less than the share kε; 0 never ends it.
    pub tolerance: f64,
    /// The share of the last step that the next iteration starts from, in [0, 1); 0 starts from zero.
    pub warm_start: f64,
    /// The preconditioner.
    pub preconditioner: CgPreconditioner,
    /// What is done with the direction.
    pub line_search: LineSearch,
    /// Whether λ adapts.
    pub adaptation: AdaptationConfig,
    /// The learning rate over the steps.
    pub schedule: ScheduleConfig,
}

impl Default for HessianFreeConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1.0,
            damping: 1.0,
            weight_decay: 1e-4,
            iterations: 30,
            tolerance: 5e-4,
            warm_start: 0.95,
            preconditioner: CgPreconditioner::Diagonal,
            line_search: LineSearch::Backtracking,
            adaptation: AdaptationConfig::LevenbergMarquardt { every: 1, decay: 2.0 / 3.0 },
            schedule: ScheduleConfig::Constant,
        }
    }
}

impl Settings for HessianFreeConfig {
    common_settings!();

    fn checks(&self) -> Vec<Check> {
        let mut checks = vec![
            at_least_zero("damping", self.damping),
            count("iterations", self.iterations as u64),
            at_least_zero("tolerance", self.tolerance),
            share("warm_start", self.warm_start),
        ];
        checks.extend(self.adaptation.checks());
        checks
    }
}
