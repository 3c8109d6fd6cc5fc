//! The experiment file: what is trained on what, by which optimisers, for how long.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::network::NetworkConfig;
use super::task::{Pace, Task};
use super::tuned::Tuned;
use crate::dataset::{BUNDLED, CURVE_SAMPLES};
use crate::error::Error;
use crate::network::Init;
use crate::optimizer::OptimizerConfig;

/// The precision of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Double precision.
    F64,
}

/// A network variant of the run matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// Without batch normalisation.
    Plain,
    /// Batch normalisation between each hidden linear layer and its activation.
    BatchNorm,
}

/// How pixels become network inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// x/255, in 0 … 1.
    #[default]
    Unit,
    /// (x/255 − mean)/deviation, over all pixels of the training set.
    Standard,
}

/// Where the samples come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// A folder with an IDX pair; the bundled MNIST-10k subset when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// Images of random curves instead, drawn for the purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curves: Option<CurvesConfig>,
    /// The classes of a folder's labels: 0 to `classes` − 1.
    pub classes: usize,
    /// How pixels become inputs.
    pub scaling: Scaling,
    /// The first so many training samples; all (20,000 curves) when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_samples: Option<usize>,
    /// The first so many test samples; all (10,000 curves) when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_samples: Option<usize>,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            directory: None,
            curves: None,
            classes: 10,
            scaling: Scaling::Unit,
            train_samples: None,
            test_samples: None,
        }
    }
}

impl DataConfig {
    /// What the samples are, for people.
    pub fn name(&self) -> String {
        match (&self.directory, &self.curves) {
            (Some(directory), _) => directory.display().to_string(),
            (None, Some(_)) => "curves-like images".to_string(),
            (None, None) => BUNDLED.to_string(),
        }
    }

    /// The training and test images to draw where the samples are curves.
    pub(crate) fn curve_samples(&self) -> (usize, usize) {
        let (train, test) = CURVE_SAMPLES;
        (self.train_samples.unwrap_or(train), self.test_samples.unwrap_or(test))
    }
}

/// Images of smooth random curves ([`crate::dataset::Curve`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurvesConfig {
    /// The seed of the images; another one than that of the experiment, so that repetitions of an
    /// experiment see the same data.
    pub seed: u64,
}

/// How large an experiment is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Size {
    /// As the file says without its `[full]` table.
    #[default]
    Reduced,
    /// With the values of the `[full]` table in place of the others.
    Full,
}

/// The search of `--tune`: every optimiser and variant at each rate of its grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TuneConfig {
    /// The seed of the search.
    pub seed: u64,
    /// The epochs of each trial; the lowest train loss after the last one wins.
    pub epochs: usize,
    /// The rates tried, by optimiser.
    pub learning_rates: std::collections::BTreeMap<String, Vec<f64>>,
}

/// An experiment file. An unknown key is an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// The name, for records and folders.
    pub name: String,
    /// What it is, for people.
    #[serde(default)]
    pub description: String,
    /// The seed of initial weights, mini-batches and sampled labels.
    #[serde(default = "one")]
    pub seed: u64,
    /// Passes over the training set.
    pub epochs: usize,
    /// Other passes for some optimisers, by name: cheap steps can be more.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub epochs_of: std::collections::BTreeMap<String, usize>,
    /// Samples of a mini-batch.
    pub batch_size: usize,
    /// The precision.
    #[serde(default)]
    pub dtype: Precision,
    /// What the network learns.
    #[serde(default)]
    pub task: Task,
    /// What records and curves count progress in.
    #[serde(default)]
    pub pace: Pace,
    /// The network variants.
    #[serde(default = "plain")]
    pub variants: Vec<Variant>,
    /// The train loss whose first epoch the table shows.
    #[serde(default = "target")]
    pub target_train_loss: f64,
    /// The results of `--tune`, relative to this file: their learning rates replace those below.
    #[serde(default)]
    pub tuned: Option<PathBuf>,
    /// The samples.
    #[serde(default)]
    pub data: DataConfig,
    /// The network.
    #[serde(default)]
    pub network: NetworkConfig,
    /// The optimisers, in the order of the table.
    pub optimizers: Vec<OptimizerConfig>,
    /// The search for learning rates.
    #[serde(default)]
    pub tune: Option<TuneConfig>,
    /// What is different at full size: keys as above, tables key by key, lists as a whole.
    #[serde(default, skip_serializing)]
    pub full: Option<toml::Table>,
}

fn one() -> u64 {
    1
}
fn target() -> f64 {
    0.02
}
fn plain() -> Vec<Variant> {
    vec![Variant::Plain]
}

/// The line of a text at a byte offset, from 1.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

/// What a TOML parser has to say, as `file: line N: problem; remedy`.
pub(super) fn toml_error(file: &str, text: &str, e: &toml::de::Error) -> Error {
    let place = e.span().map_or_else(String::new, |s| format!("line {}", line_at(text, s.start)));
    Error::input(file, place, e.message(), "correct the key or value")
}

impl Experiment {
    /// Reads an experiment file, and the tuned learning rates that it names.
    ///
    /// # Errors
    /// A file that cannot be read, or a key that is unknown, missing or out of range.
    pub fn load(path: &Path, size: Size) -> Result<(Self, Option<Tuned>), Error> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "read", &e))?;
        let mut experiment = Self::parse(&text, &path.display().to_string(), size)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let tuned = match &experiment.tuned {
            Some(file) => Some(Tuned::load(&folder.join(file))?),
            None => None,
        };
        let network = &mut experiment.network;
        for file in [&mut network.file, &mut network.weights, &mut experiment.data.directory] {
            *file = file.take().map(|f| folder.join(f));
        }
        Ok((experiment, tuned))
    }

    /// Reads the text of an experiment; `file` names it in messages.
    ///
    /// # Errors
    /// As [`Experiment::load`]; no `[full]` table for the full size.
    pub fn parse(text: &str, file: &str, size: Size) -> Result<Self, Error> {
        let mut reduced: Self = toml::from_str(text).map_err(|e| toml_error(file, text, &e))?;
        reduced.validate().map_err(|e| e.in_file(file))?;
        let full = match reduced.full.take() {
            Some(changes) => Some(Self::enlarged(text, changes).map_err(|e| e.in_file(file))?),
            None => None,
        };
        match (size, full) {
            (Size::Reduced, _) => Ok(reduced),
            (Size::Full, Some(full)) => Ok(full),
            (Size::Full, None) => {
                let remedy = "leave out --full, or add the table";
                Err(Error::input(file, "full", "the experiment has no [full] table", remedy))
            }
        }
    }

    /// The experiment with the changes of its `[full]` table.
    fn enlarged(text: &str, changes: toml::Table) -> Result<Self, Error> {
        let bad =
            |e: toml::de::Error| Error::input("", "full", e.message(), "correct the key or value");
        let mut table: toml::Table = text.parse().map_err(bad)?;
        table.remove("full");
        merge(&mut table, changes);
        let full: Self = table.try_into().map_err(bad)?;
        full.validate().map_err(|e| e.at("full"))?;
        Ok(full)
    }

    /// The passes of an optimiser over the training set.
    pub fn epochs_of(&self, optimizer: &str) -> usize {
        self.epochs_of.get(optimizer).copied().unwrap_or(self.epochs)
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// The first key that is out of range, with the remedy.
    pub fn validate(&self) -> Result<(), Error> {
        let bad =
            |key: &str, problem: &str, remedy: &str| Err(Error::input("", key, problem, remedy));
        let names = OptimizerConfig::NAMES;
        let word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || !self.name.chars().all(word) || self.name.starts_with('.') {
            return bad("name", "is not a plain name", "use letters, digits, - and _");
        }
        if self.batch_size == 0 {
            return bad("batch_size", "is 0", "use at least 1");
        }
        if self.optimizers.is_empty() {
            return bad("optimizers", "the list is empty", "add an [[optimizers]] section");
        }
        for (i, o) in self.optimizers.iter().enumerate() {
            o.validate().map_err(|e| {
                let report = e.report();
                let place = format!("optimizers.{}.{}", o.name(), report.place);
                Error::input("", place, &report.problem, &report.remedy)
            })?;
            if self.optimizers.iter().skip(i + 1).any(|p| p.name() == o.name()) {
                let key = format!("optimizers.{}", o.name());
                return bad(&key, "is listed twice", "keep one of the two");
            }
        }
        if let Some(name) = self.epochs_of.keys().find(|name| !names.contains(&name.as_str())) {
            let key = format!("epochs_of.{name}");
            return bad(&key, "no such optimiser", &format!("use one of {}", names.join(", ")));
        }
        if self.variants.is_empty() {
            return bad("variants", "the list is empty", "use [\"plain\"]");
        }
        if self.variants.len() > 1 && self.variants.first() == self.variants.last() {
            return bad("variants", "a variant is listed twice", "keep one of the two");
        }
        if self.variants != [Variant::Plain] {
            let remedy = "remove it: a network file has its own normalisation";
            if self.network.file.is_some() {
                return bad("variants", "does not go with network.file", remedy);
            }
            if self.network.inline.is_some() {
                return bad("variants", "does not go with network.inline", remedy);
            }
            if self.network.weights.is_some() {
                return bad("variants", "does not go with network.weights", "use [\"plain\"]");
            }
        }
        self.network.validate()?;
        self.validate_task()?;
        if !(self.target_train_loss > 0.0 && self.target_train_loss.is_finite()) {
            return bad("target_train_loss", "is not a positive number", "use 0.02, say");
        }
        if self.data.classes < 2 {
            return bad("data.classes", "is below 2", "use the number of classes");
        }
        for (name, count) in
            [("train_samples", self.data.train_samples), ("test_samples", self.data.test_samples)]
        {
            if count == Some(0) {
                return bad(&format!("data.{name}"), "is 0", "use at least 1");
            }
        }
        if let Some(tune) = &self.tune {
            if tune.epochs == 0 {
                return bad("tune.epochs", "is 0", "use at least 1");
            }
            for (name, rates) in &tune.learning_rates {
                let key = format!("tune.learning_rates.{name}");
                if !names.contains(&name.as_str()) {
                    let remedy = format!("use one of {}", names.join(", "));
                    return bad(&key, "no such optimiser", &remedy);
                }
                if rates.is_empty() || !rates.iter().all(|r| r.is_finite() && *r > 0.0) {
                    return bad(&key, "is not a list of positive numbers", "correct it");
                }
            }
        }
        Ok(())
    }

    /// Checks what the task asks of data and network.
    fn validate_task(&self) -> Result<(), Error> {
        let bad =
            |key: &str, problem: &str, remedy: &str| Err(Error::input("", key, problem, remedy));
        if self.data.curves.is_some() && self.data.directory.is_some() {
            return bad("data.curves", "does not go with data.directory", "keep one of the two");
        }
        if self.network.weights.is_some() && self.network.init != Init::Dense {
            return bad("network.init", "does not go with network.weights", "keep one of the two");
        }
        match self.task {
            Task::Classify if self.data.curves.is_some() => {
                bad("data.curves", "have no classes", "use task = \"autoencode\"")
            }
            Task::Classify => Ok(()),
            Task::Autoencode if self.data.scaling != Scaling::Unit => {
                bad("data.scaling", "an autoencoder gives back numbers in 0 … 1", "use \"unit\"")
            }
            Task::Autoencode if self.variants != [Variant::Plain] => {
                bad("variants", "does not go with task = \"autoencode\"", "use [\"plain\"]")
            }
            Task::Autoencode => Ok(()),
        }
    }
}

/// Puts `changes` in place of the values of `table`; tables are merged.
fn merge(table: &mut toml::Table, changes: toml::Table) {
    for (key, value) in changes {
        match (table.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}
