//! The settings of mixed training.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::check::{Check, Common, Settings};
use super::{AdaptationConfig, KfacConfig, OptimizerConfig, ScheduleConfig, SgdConfig};
use crate::error::Error;

/// Groups of layers, each with an optimiser of its own.
///
/// ```
/// use relfisher::optimizer::OptimizerConfig;
/// let config: OptimizerConfig = toml::from_str(
///     r#"
///     kind = "mixed"
///     [[groups]]
///     layers = ["layers.0", 1]
///     optimizer = { kind = "sgd", learning_rate = 0.05 }
///     [[groups]] # all other layers
///     optimizer = { kind = "kfac" }
///     "#,
/// )
/// .unwrap();
/// config.validate()?;
/// # Ok::<(), relfisher::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MixedConfig {
    /// A factor of the learning rates of all groups.
    pub learning_rate: f64,
    /// The learning rates of all groups over the steps.
    pub schedule: ScheduleConfig,
    /// The groups.
    pub groups: Vec<GroupConfig>,
}

/// A group of layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupConfig {
    /// Its layers; one group leaves them out and has those of no other group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<LayerConfig>>,
    /// Their optimiser, with a constant schedule.
    pub optimizer: Box<OptimizerConfig>,
}

/// A layer with parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LayerConfig {
    /// Its place among those, from 0.
    Index(usize),
    /// The name of its parameters, `layers.0` say.
    Name(String),
}

impl fmt::Display for LayerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Name(name) => write!(f, "{name:?}"),
        }
    }
}

impl Default for MixedConfig {
    /// The first layer on SGD, the rest on K-FAC.
    fn default() -> Self {
        let group = |layers, optimizer| GroupConfig { layers, optimizer: Box::new(optimizer) };
        Self {
            learning_rate: 1.0,
            schedule: ScheduleConfig::Constant,
            groups: vec![
                group(
                    Some(vec![LayerConfig::Index(0)]),
                    OptimizerConfig::Sgd(SgdConfig::default()),
                ),
                group(None, OptimizerConfig::Kfac(KfacConfig::default())),
            ],
        }
    }
}

impl MixedConfig {
    /// Checks the groups.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let refuse = |place: String, problem: &str, remedy: &str| {
            Err(Error::input("optimiser mixed", place, problem, remedy))
        };
        if self.groups.is_empty() {
            return refuse("groups".to_owned(), "there are none", "add a [[…groups]] section");
        }
        if self.groups.iter().filter(|group| group.layers.is_none()).count() > 1 {
            let problem = "two groups have the rest of the layers";
            return refuse("groups".to_owned(), problem, "give all but one their `layers`");
        }
        for (i, group) in self.groups.iter().enumerate() {
            let optimizer = &group.optimizer;
            let place = |key: &str| format!("groups.{i}.{key}");
            if group.layers.as_ref().is_some_and(Vec::is_empty) {
                return refuse(place("layers"), "the list is empty", "name some layers");
            }
            optimizer.validate().map_err(|e| e.at(format!("optimiser mixed: group {i}")))?;
            let adapts = |a: &AdaptationConfig| *a != AdaptationConfig::Fixed;
            let adapts = match &**optimizer {
                OptimizerConfig::KfacTridiagonal(_)
                | OptimizerConfig::GgnSample(_)
                | OptimizerConfig::GgnRecycled(_)
                | OptimizerConfig::HessianFree(_)
                | OptimizerConfig::Mixed(_) => {
                    let problem = format!("{} does not treat layers one by one", optimizer.name());
                    let remedy =
                        "use sgd, adam, kfac, kflr, kfra, ekfac, rngd, rngd-sample or ggn-block";
                    return refuse(place("optimizer"), &problem, remedy);
                }
                OptimizerConfig::GgnBlock(c) => adapts(&c.adaptation),
                other => other.kronecker().is_some_and(|(_, c)| adapts(&c.adaptation)),
            };
            if adapts {
                let problem = "judges the step of the whole network";
                return refuse(place("optimizer.adaptation"), problem, "use fixed");
            }
            if *optimizer.schedule() != ScheduleConfig::Constant {
                let remedy = "give `schedule` beside the groups, for all of them";
                return refuse(place("optimizer.schedule"), "is not that of all groups", remedy);
            }
        }
        Ok(())
    }
}

impl Settings for MixedConfig {
    fn common(&self) -> Common<'_> {
        Common {
            learning_rate: self.learning_rate,
            // That of each group is its own.
            weight_decay: 0.0,
            schedule: &self.schedule,
        }
    }

    fn learning_rate_mut(&mut self) -> &mut f64 {
        &mut self.learning_rate
    }

    fn checks(&self) -> Vec<Check> {
        Vec::new()
    }
}
