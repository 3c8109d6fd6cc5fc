//! The settings of relative natural gradient descent.

use serde::{Deserialize, Serialize};

use super::ScheduleConfig;
use super::check::{
    Check, Common, Settings, above_zero, at_least_zero, common_settings, count, share,
};

/// Relative natural gradient descent, block route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RngdConfig {
    /// The base learning rate γ.
    pub learning_rate: f64,
    /// The damping λ ≥ 0 of (ḡ + λI)⁻¹.
    pub damping: f64,
    /// The heavy-ball momentum of the natural gradient, in [0, 1).
    pub momentum: f64,
    /// The L2 coefficient, added to the gradient before preconditioning.
    pub weight_decay: f64,
    /// Mini-batches between two refreshes of the inverse metric, at least 1.
    pub refresh: u64,
    /// Training samples that a refreshed metric is the mean of, at least 1.
    pub metric_samples: usize,
    /// The smoothing ω ≥ 0 of a relu neuron's response.
    pub smoothing: f64,
    /// The share of the previous metric kept at a refresh, in [0, 1); 0 keeps none.
    pub metric_decay: f64,
    /// The learning rate over the steps.
    pub schedule: ScheduleConfig,
}

impl Default for RngdConfig {
    fn default() -> Self {
        Self {
            learning_rate: 0.01,
            damping: 0.1,
            momentum: 0.9,
            weight_decay: 1e-4,
            refresh: 100,
            metric_samples: 1000,
            smoothing: 1.0,
            metric_decay: 0.0,
            schedule: ScheduleConfig::Constant,
        }
    }
}

impl Settings for RngdConfig {
    common_settings!();

    fn checks(&self) -> Vec<Check> {
        vec![
            at_least_zero("damping", self.damping),
            share("momentum", self.momentum),
            count("refresh", self.refresh),
            count("metric_samples", self.metric_samples as u64),
            at_least_zero("smoothing", self.smoothing),
            share("metric_decay", self.metric_decay),
        ]
    }
}

/// Relative natural gradient descent in sample space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RngdSampleConfig {
    /// The base learning rate γ.
    pub learning_rate: f64,
    /// The damping λ > 0 of (ḡ + λI)⁻¹: the metric of a mini-batch has rank at most n.
    pub damping: f64,
    /// The heavy-ball momentum of the natural gradient, in [0, 1).
    pub momentum: f64,
    /// The L2 coefficient, added to the gradient before preconditioning.
    pub weight_decay: f64,
    /// The smoothing ω ≥ 0 of a relu neuron's response.
    pub smoothing: f64,
    /// The learning rate over the steps.
    pub schedule: ScheduleConfig,
}

impl Default for RngdSampleConfig {
    fn default() -> Self {
        Self {
            learning_rate: 0.01,
            damping: 0.1,
            momentum: 0.9,
            weight_decay: 1e-4,
            smoothing: 1.0,
            schedule: ScheduleConfig::Constant,
        }
    }
}

impl Settings for RngdSampleConfig {
    common_settings!();

    fn checks(&self) -> Vec<Check> {
        vec![
            above_zero("damping", self.damping),
            share("momentum", self.momentum),
            at_least_zero("smoothing", self.smoothing),
        ]
    }
}
