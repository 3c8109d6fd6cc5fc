//! The learning rate over the steps.

use relfisher_core::optim::{Decay, Schedule};
use serde::{Deserialize, Serialize};

use super::check::Check;

/// The learning rate over the steps, relative to the base rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// The base rate throughout.
    #[default]
    Constant,
    /// Multiplied by `factor` after every `every` epochs.
    Step {
        /// Epochs between two changes, at least 1.
        every: f64,
        /// The factor of a change, in (0, 1].
        factor: f64,
    },
    /// From 1 down to `floor` along half a cosine over the whole run.
    Cosine {
        /// The last factor, in [0, 1].
        #[serde(default)]
        floor: f64,
    },
    /// Multiplied by `factor` in every epoch, continuously.
    Exponential {
        /// The factor of an epoch, in (0, 1].
        factor: f64,
    },
}

impl ScheduleConfig {
    /// The factor of the base rate at step `index` (from 0) of a run of `epochs` epochs of
    /// `steps_per_epoch` steps.
    pub fn factor(&self, index: u64, steps_per_epoch: u64, epochs: u64) -> f64 {
        let steps = steps_per_epoch.max(1);
        let decay = match *self {
            Self::Constant => Decay::Constant,
            Self::Step { every, factor } => {
                Decay::Step { every: (every * steps as f64).round() as u64, factor }
            }
            Self::Cosine { floor } => Decay::Cosine { total: steps.saturating_mul(epochs), floor },
            Self::Exponential { factor } => {
                Decay::Exponential { factor: factor.powf(1.0 / steps as f64) }
            }
        };
        Schedule { base: 1.0, warm_up: 0, decay }.rate(index)
    }

    pub(super) fn checks(&self) -> Vec<Check> {
        let factor = |x: f64| ("schedule.factor", x, x > 0.0 && x <= 1.0, "above 0 and at most 1");
        match *self {
            Self::Constant => vec![],
            Self::Step { every, factor: f } => vec![
                ("schedule.every", every, every.is_finite() && every >= 1.0, "at least 1"),
                factor(f),
            ],
            Self::Cosine { floor } => {
                vec![("schedule.floor", floor, (0.0..=1.0).contains(&floor), "from 0 to 1")]
            }
            Self::Exponential { factor: f } => vec![factor(f)],
        }
    }
}
