//! The settings of an optimiser as an experiment file writes them.

mod check;
mod damping;
mod exact;
mod first_order;
mod kronecker;
mod mixed;
mod relative;
mod schedule;

pub use damping::{AdaptationConfig, StepLength};
pub use exact::{
    CgPreconditioner, GgnBlockConfig, GgnRecycledConfig, GgnSampleConfig, HessianFreeConfig,
    LineSearch,
};
pub use first_order::{AdamConfig, MomentumKind, SgdConfig};
pub use kronecker::{DampingKind, KfacConfig, KroneckerKind, LabelsConfig, SharingConfig};
pub use mixed::{GroupConfig, LayerConfig, MixedConfig};
pub use relative::{RngdConfig, RngdSampleConfig};
pub use schedule::ScheduleConfig;

use serde::{Deserialize, Serialize};

use self::check::{Settings, above_zero, at_least_zero};
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
    /// Kronecker-factored low rank (Botev, Ritter and Barber 2017): K-FAC without label noise.
    Kflr(KfacConfig),
    /// Kronecker-factored recursive approximation (Botev, Ritter and Barber 2017).
    Kfra(KfacConfig),
    /// Eigenvalue-corrected K-FAC (George et al. 2018).
    Ekfac(KfacConfig),
    /// Block-tridiagonal K-FAC (Martens and Grosse 2015, §4.3).
    KfacTridiagonal(KfacConfig),
    /// The exact Gauss–Newton block of every layer.
    GgnBlock(GgnBlockConfig),
    /// The exact Gauss–Newton matrix of the whole network, in sample space.
    GgnSample(GgnSampleConfig),
    /// The largest eigenpairs of the same matrix, recycled between refreshes.
    GgnRecycled(GgnRecycledConfig),
    /// Hessian-free optimisation (Martens 2010).
    HessianFree(HessianFreeConfig),
    /// Groups of layers, each with an optimiser of its own.
    Mixed(MixedConfig),
}

impl OptimizerConfig {
    /// The names of all optimisers, in the order of the tables.
    pub const NAMES: [&'static str; 14] = [
        "sgd",
        "adam",
        "rngd",
        "rngd-sample",
        "kfac",
        "kflr",
        "kfra",
        "ekfac",
        "kfac-tridiagonal",
        "ggn-block",
        "ggn-sample",
        "ggn-recycled",
        "hessian-free",
        "mixed",
    ];

    /// The default settings of the optimiser `name`.
    ///
    /// # Errors
    /// One line that lists the known names.
    pub fn by_name(name: &str) -> Result<Self, Error> {
        Ok(match name {
            "sgd" => Self::Sgd(SgdConfig::default()),
            "adam" => Self::Adam(AdamConfig::default()),
            "rngd" => Self::Rngd(RngdConfig::default()),
            "rngd-sample" => Self::RngdSample(RngdSampleConfig::default()),
            "kfac" => Self::Kfac(KfacConfig::default()),
            "kflr" => Self::Kflr(KfacConfig::default()),
            "kfra" => Self::Kfra(KfacConfig::default()),
            "ekfac" => Self::Ekfac(KfacConfig::default()),
            "kfac-tridiagonal" => Self::KfacTridiagonal(KfacConfig::default()),
            "ggn-block" => Self::GgnBlock(GgnBlockConfig::default()),
            "ggn-sample" => Self::GgnSample(GgnSampleConfig::default()),
            "ggn-recycled" => Self::GgnRecycled(GgnRecycledConfig::default()),
            "hessian-free" => Self::HessianFree(HessianFreeConfig::default()),
            "mixed" => Self::Mixed(MixedConfig::default()),
            _ => {
                return Err(Error::input(
                    "optimiser",
                    name,
                    "no such optimiser",
                    format!("use one of {}", Self::NAMES.join(", ")),
                ));
            }
        })
    }

    /// The name of the optimiser, as in the `kind` key.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd(_) => "sgd",
            Self::Adam(_) => "adam",
            Self::Rngd(_) => "rngd",
            Self::RngdSample(_) => "rngd-sample",
            Self::GgnBlock(_) => "ggn-block",
            Self::GgnSample(_) => "ggn-sample",
            Self::GgnRecycled(_) => "ggn-recycled",
            Self::HessianFree(_) => "hessian-free",
            Self::Mixed(_) => "mixed",
            _ => self.kronecker().map_or("", |(kind, _)| kind.name()),
        }
    }

    /// The kind and the settings of a Kronecker-factored optimiser.
    pub fn kronecker(&self) -> Option<(KroneckerKind, &KfacConfig)> {
        match self {
            Self::Kfac(c) => Some((KroneckerKind::Kfac, c)),
            Self::Kflr(c) => Some((KroneckerKind::Kflr, c)),
            Self::Kfra(c) => Some((KroneckerKind::Kfra, c)),
            Self::Ekfac(c) => Some((KroneckerKind::Ekfac, c)),
            Self::KfacTridiagonal(c) => Some((KroneckerKind::Tridiagonal, c)),
            _ => None,
        }
    }

    fn settings(&self) -> &dyn Settings {
        match self {
            Self::Sgd(c) => c,
            Self::Adam(c) => c,
            Self::Rngd(c) => c,
            Self::RngdSample(c) => c,
            Self::Kfac(c)
            | Self::Kflr(c)
            | Self::Kfra(c)
            | Self::Ekfac(c)
            | Self::KfacTridiagonal(c) => c,
            Self::GgnBlock(c) => c,
            Self::GgnSample(c) => c,
            Self::GgnRecycled(c) => c,
            Self::HessianFree(c) => c,
            Self::Mixed(c) => c,
        }
    }

    fn settings_mut(&mut self) -> &mut dyn Settings {
        match self {
            Self::Sgd(c) => c,
            Self::Adam(c) => c,
            Self::Rngd(c) => c,
            Self::RngdSample(c) => c,
            Self::Kfac(c)
            | Self::Kflr(c)
            | Self::Kfra(c)
            | Self::Ekfac(c)
            | Self::KfacTridiagonal(c) => c,
            Self::GgnBlock(c) => c,
            Self::GgnSample(c) => c,
            Self::GgnRecycled(c) => c,
            Self::HessianFree(c) => c,
            Self::Mixed(c) => c,
        }
    }

    /// The base learning rate γ.
    pub fn learning_rate(&self) -> f64 {
        self.settings().common().learning_rate
    }

    /// Sets the base learning rate γ (a search over a grid does).
    pub fn set_learning_rate(&mut self, rate: f64) {
        *self.settings_mut().learning_rate_mut() = rate;
    }

    /// The L2 coefficient.
    pub fn weight_decay(&self) -> f64 {
        self.settings().common().weight_decay
    }

    /// The schedule of the learning rate.
    pub fn schedule(&self) -> &ScheduleConfig {
        self.settings().common().schedule
    }

    /// Checks every setting against its domain.
    ///
    /// # Errors
    /// One line that names the optimiser, the key, the value and the domain.
    pub fn validate(&self) -> Result<(), Error> {
        let settings = self.settings();
        let common = settings.common();
        let mut checks = vec![
            above_zero("learning_rate", common.learning_rate),
            at_least_zero("weight_decay", common.weight_decay),
        ];
        checks.extend(settings.checks());
        checks.extend(common.schedule.checks());
        let place = format!("optimiser {}", self.name());
        if let Some((key, value, _, domain)) = checks.into_iter().find(|(_, _, holds, _)| !holds) {
            let problem = format!("{value} is outside its domain");
            return Err(Error::input(place, key, problem, format!("use {domain}")));
        }
        if let Self::Mixed(config) = self {
            return config.validate();
        }
        let contradiction = self.kronecker().and_then(|(kind, c)| c.contradiction(kind));
        match contradiction {
            Some((key, why)) => Err(Error::input(place, key, "does not fit this optimiser", why)),
            None => Ok(()),
        }
    }
}
