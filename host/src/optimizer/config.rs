//! The settings of an optimiser as an experiment file writes them.

use serde::{Deserialize, Serialize};

use relfisher_core::optim::{Decay, Schedule};

use crate::error::Error;

/// One optimiser and its settings; `kind` names it, every other key has a default, and a key that
/// the optimiser does not know is an error.
///
/// ```
/// use relfisher::optimizer::OptimizerConfig;
/// let config: OptimizerConfig = toml::from_str("kind = \"rngd\"\ndamping = 0.2").unwrap();
/// assert_eq!((config.name(), config.learning_rate()), ("rngd", 0.01));
/// assert!(toml::from_str::<OptimizerConfig>("kind = \"sgd\"\ndampng = 0.2").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum OptimizerConfig {
    /// Stochastic gradient descent with momentum.
    Sgd(SgdConfig),
    /// Adam (Kingma and Ba 2015).
    Adam(AdamConfig),
    /// Relative natural gradient descent, block route: packed inverse blocks, refreshed now and then.
    Rngd(RngdConfig),
    /// Relative natural gradient descent in sample space: the metric of every mini-batch, inverted
    /// exactly at every step.
    RngdSample(RngdSampleConfig),
    /// Kronecker-factored approximate curvature (Martens and Grosse 2015).
    Kfac(KfacConfig),
}

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

/// Kronecker-factored approximate curvature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KfacConfig {
    /// The base learning rate γ.
    pub learning_rate: f64,
    /// The damping λ, shared between the factors by π.
    pub damping: f64,
    /// The heavy-ball momentum of the preconditioned gradient, in [0, 1).
    pub momentum: f64,
    /// The L2 coefficient, added to the gradient before preconditioning.
    pub weight_decay: f64,
    /// Mini-batches between two refreshes of the inverse factors, at least 1.
    pub refresh: u64,
    /// Mini-batches between two updates of the moving averages, at least 1.
    pub factor_every: u64,
    /// The share of the old factors kept by an update of the moving averages, in [0, 1).
    pub decay: f64,
    /// κ of the KL clip, > 0; none when absent. `0` in a file switches it off.
    pub kl_clip: f64,
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

impl Default for KfacConfig {
    fn default() -> Self {
        Self {
            learning_rate: 0.01,
            damping: 0.1,
            momentum: 0.9,
            weight_decay: 1e-4,
            refresh: 20,
            factor_every: 2,
            decay: 0.99,
            kl_clip: 1e-2,
            schedule: ScheduleConfig::Constant,
        }
    }
}

impl OptimizerConfig {
    /// The names of all optimisers, in the order of the tables.
    pub const NAMES: [&'static str; 5] = ["sgd", "adam", "rngd", "rngd-sample", "kfac"];

    /// The default settings of the optimiser `name`.
    ///
    /// # Errors
    /// One line that lists the known names.
    pub fn by_name(name: &str) -> Result<Self, Error> {
        match name {
            "sgd" => Ok(Self::Sgd(SgdConfig::default())),
            "adam" => Ok(Self::Adam(AdamConfig::default())),
            "rngd" => Ok(Self::Rngd(RngdConfig::default())),
            "rngd-sample" => Ok(Self::RngdSample(RngdSampleConfig::default())),
            "kfac" => Ok(Self::Kfac(KfacConfig::default())),
            _ => Err(Error::input(
                "optimiser",
                name,
                "no such optimiser",
                format!("use one of {}", Self::NAMES.join(", ")),
            )),
        }
    }

    /// The name of the optimiser, as in the `kind` key.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd(_) => "sgd",
            Self::Adam(_) => "adam",
            Self::Rngd(_) => "rngd",
            Self::RngdSample(_) => "rngd-sample",
            Self::Kfac(_) => "kfac",
        }
    }

    /// The base learning rate γ.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Sgd(c) => c.learning_rate,
            Self::Adam(c) => c.learning_rate,
            Self::Rngd(c) => c.learning_rate,
            Self::RngdSample(c) => c.learning_rate,
            Self::Kfac(c) => c.learning_rate,
        }
    }

    /// Sets the base learning rate γ (a search over a grid does).
    pub fn set_learning_rate(&mut self, rate: f64) {
        match self {
            Self::Sgd(c) => c.learning_rate = rate,
            Self::Adam(c) => c.learning_rate = rate,
            Self::Rngd(c) => c.learning_rate = rate,
            Self::RngdSample(c) => c.learning_rate = rate,
            Self::Kfac(c) => c.learning_rate = rate,
        }
    }

    /// The schedule of the learning rate.
    pub fn schedule(&self) -> &ScheduleConfig {
        match self {
            Self::Sgd(c) => &c.schedule,
            Self::Adam(c) => &c.schedule,
            Self::Rngd(c) => &c.schedule,
            Self::RngdSample(c) => &c.schedule,
            Self::Kfac(c) => &c.schedule,
        }
    }
}

/// A condition on a setting: (key, value, holds, domain).
type Check = (&'static str, f64, bool, &'static str);

fn at_least_zero(key: &'static str, x: f64) -> Check {
    (key, x, x.is_finite() && x >= 0.0, "a finite number, at least 0")
}

fn above_zero(key: &'static str, x: f64) -> Check {
    (key, x, x.is_finite() && x > 0.0, "a finite number above 0")
}

fn share(key: &'static str, x: f64) -> Check {
    (key, x, (0.0..1.0).contains(&x), "at least 0 and below 1")
}

fn count(key: &'static str, n: u64) -> Check {
    (key, n as f64, n >= 1, "at least 1")
}

impl OptimizerConfig {
    /// Checks every setting against its domain.
    ///
    /// # Errors
    /// One line that names the optimiser, the key, the value and the domain.
    pub fn validate(&self) -> Result<(), Error> {
        let mut checks = vec![above_zero("learning_rate", self.learning_rate())];
        match self {
            Self::Sgd(c) => checks.extend([
                share("momentum", c.momentum),
                at_least_zero("weight_decay", c.weight_decay),
            ]),
            Self::Adam(c) => checks.extend([
                share("beta1", c.beta1),
                share("beta2", c.beta2),
                above_zero("epsilon", c.epsilon),
                at_least_zero("weight_decay", c.weight_decay),
            ]),
            Self::Rngd(c) => checks.extend([
                at_least_zero("damping", c.damping),
                share("momentum", c.momentum),
                at_least_zero("weight_decay", c.weight_decay),
                count("refresh", c.refresh),
                count("metric_samples", c.metric_samples as u64),
                at_least_zero("smoothing", c.smoothing),
                share("metric_decay", c.metric_decay),
            ]),
            Self::RngdSample(c) => checks.extend([
                above_zero("damping", c.damping),
                share("momentum", c.momentum),
                at_least_zero("weight_decay", c.weight_decay),
                at_least_zero("smoothing", c.smoothing),
            ]),
            Self::Kfac(c) => checks.extend([
                at_least_zero("damping", c.damping),
                share("momentum", c.momentum),
                at_least_zero("weight_decay", c.weight_decay),
                count("refresh", c.refresh),
                count("factor_every", c.factor_every),
                share("decay", c.decay),
                at_least_zero("kl_clip", c.kl_clip),
            ]),
        }
        checks.extend(self.schedule().checks());
        match checks.into_iter().find(|(_, _, holds, _)| !holds) {
            None => Ok(()),
            Some((key, value, _, domain)) => Err(Error::input(
                format!("optimiser {}", self.name()),
                key,
                format!("{value} is outside its domain"),
                format!("use {domain}"),
            )),
        }
    }
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

    fn checks(&self) -> Vec<Check> {
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
