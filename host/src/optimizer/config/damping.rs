//! Whether the damping changes over the steps.

use relfisher_core::Real;
use relfisher_core::optim::LevenbergMarquardt;
use serde::{Deserialize, Serialize};

use super::check::{Check, count};

/// The damping λ over the steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AdaptationConfig {
    /// The λ of the settings throughout.
    #[default]
    Fixed,
    /// After every `every` steps λ is multiplied by `decay`^`every` where the quadratic model was
    /// good (reduction ratio above ¾), and divided by it where it was bad (below ¼). The model is
    /// gᵀδ + ½ δᵀ(C + ηI)δ for the step δ taken, C the Gauss–Newton matrix of the mini-batch itself
    /// (one pass forward in the direction δ), η the weight decay, without λ; the loss after the step
    /// is that of the same mini-batch (Martens and Grosse 2015, §6.5).
    LevenbergMarquardt {
        /// Steps between two adaptations, at least 1.
        #[serde(default = "default_every")]
        every: u64,
        /// The factor of one step, in (0, 1).
        #[serde(default = "default_decay")]
        decay: f64,
    },
}

/// How far along its direction d a step goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepLength {
    /// As far as the learning rate and the KL clip say.
    #[default]
    Rate,
    /// α = ⟨d, g⟩/dᵀ(C + (λ + η)I)d, where the quadratic model of the mini-batch is least along d, times
    /// the learning rate: C the exact Gauss–Newton matrix of the mini-batch (one pass forward in the
    /// direction d), g its gradient with weight decay η (Martens and Grosse 2015, §6.4). The KL clip
    /// does not apply. The learning rate is then 1 or less, whatever the scale of d: with a momentum μ
    /// about 1 − μ.
    Quadratic,
}

impl StepLength {
    /// Whether it is the default.
    pub(super) fn is_rate(&self) -> bool {
        *self == Self::Rate
    }
}

fn default_every() -> u64 {
    5
}

fn default_decay() -> f64 {
    0.95
}

impl AdaptationConfig {
    /// The rule, when there is one.
    pub(crate) fn rule<T: Real>(&self) -> Option<LevenbergMarquardt<T>> {
        match *self {
            Self::Fixed => None,
            Self::LevenbergMarquardt { every, decay } => Some(LevenbergMarquardt {
                decay: T::from_f64(decay),
                interval: every,
                ..LevenbergMarquardt::default()
            }),
        }
    }

    pub(super) fn checks(&self) -> Vec<Check> {
        match *self {
            Self::Fixed => vec![],
            Self::LevenbergMarquardt { every, decay } => vec![
                count("adaptation.every", every),
                ("adaptation.decay", decay, decay > 0.0 && decay < 1.0, "above 0 and below 1"),
            ],
        }
    }
}
