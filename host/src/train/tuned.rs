//! The results of `--tune`: the learning rate of each optimiser and variant, and every trial.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::experiment::{Variant, toml_error};
use crate::error::Error;

/// One trial of the search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The learning rate tried.
    pub learning_rate: f64,
    /// The train loss after the last epoch; infinite when the run diverged.
    pub train_loss: f64,
}

/// The search for one optimiser and variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunedRate {
    /// The optimiser.
    pub optimizer: String,
    /// The network variant.
    pub variant: Variant,
    /// The rate with the lowest train loss.
    pub learning_rate: f64,
    /// Everything that was tried.
    pub trials: Vec<Trial>,
}

/// A file of results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    /// The name of the experiment.
    pub experiment: String,
    /// The version of the program that searched.
    pub version: String,
    /// The seed of the search.
    pub seed: u64,
    /// The epochs of each trial.
    pub epochs: usize,
    /// How a rate was chosen.
    pub rule: String,
    /// The search for each optimiser and variant.
    #[serde(default)]
    pub results: Vec<TunedRate>,
}

impl Tuned {
    /// Reads a file of results.
    ///
    /// # Errors
    /// A file that cannot be read, or a key that is unknown, missing or out of range.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "read", &e))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads the text of a file of results; `file` names it in messages.
    ///
    /// # Errors
    /// As [`Tuned::load`].
    pub fn parse(text: &str, file: &str) -> Result<Self, Error> {
        let tuned: Self = toml::from_str(text).map_err(|e| toml_error(file, text, &e))?;
        for result in &tuned.results {
            if !(result.learning_rate > 0.0 && result.learning_rate.is_finite()) {
                let place = format!("results: {}: learning_rate", result.optimizer);
                return Err(Error::input(file, place, "is not a positive number", "tune again"));
            }
        }
        Ok(tuned)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// None for finite or infinite losses.
    pub fn to_toml(&self) -> Result<String, Error> {
        let body =
            toml::to_string(self).map_err(|e| Error::input("tuned.toml", "", e, "report this"))?;
        Ok(format!(
            "# Learning rates found by `relfisher train --tune`; `inf`: the trial diverged.\n{body}"
        ))
    }

    /// The rate found for an optimiser and variant.
    pub fn rate(&self, optimizer: &str, variant: Variant) -> Option<f64> {
        let found =
            self.results.iter().find(|r| r.optimizer == optimizer && r.variant == variant)?;
        Some(found.learning_rate)
    }
}
