//! The settings of first-order optimisers.

use serde::{Deserialize, Serialize};

use super::ScheduleConfig;
use super::check::{Check, Common, Settings, above_zero, common_settings, share};

/// Which momentum: v ← μ v + g, then θ ← θ − γ v or the look-ahead form θ ← θ − γ (g + μ v).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MomentumKind {
    /// Polyak's heavy ball.
    #[default]
    HeavyBall,
    /// Nesterov's look-ahead.
    Nesterov,
}

/// Stochastic gradient descent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SgdConfig {
    /// The base learning rate γ.
    pub learning_rate: f64,
    /// The momentum μ ∈ [0, 1).
    pub momentum: f64,
    /// The form of momentum.
    pub momentum_kind: MomentumKind,
    /// The L2 coefficient: the gradient gets `weight_decay`·θ added.
    pub weight_decay: f64,
    /// The learning rate over the steps.
    pub schedule: ScheduleConfig,
}

impl Default for SgdConfig {
    fn default() -> Self {
        Self {
            learning_rate: 0.03,
            momentum: 0.9,
            momentum_kind: MomentumKind::HeavyBall,
            weight_decay: 1e-4,
            schedule: ScheduleConfig::Constant,
        }
    }
}

impl Settings for SgdConfig {
    common_settings!();

    fn checks(&self) -> Vec<Check> {
        vec![share("momentum", self.momentum)]
    }
}

/// Adam.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamConfig {
    /// The base learning rate γ.
    pub learning_rate: f64,
    /// The decay of the mean, in [0, 1).
    pub beta1: f64,
    /// The decay of the second moment, in [0, 1).
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// The L2 coefficient: the gradient gets `weight_decay`·θ added.
    pub weight_decay: f64,
    /// The learning rate over the steps.
    pub schedule: ScheduleConfig,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 1e-4,
            schedule: ScheduleConfig::Constant,
        }
    }
}

impl Settings for AdamConfig {
    common_settings!();

    fn checks(&self) -> Vec<Check> {
        vec![
            share("beta1", self.beta1),
            share("beta2", self.beta2),
            above_zero("epsilon", self.epsilon),
        ]
    }
}
