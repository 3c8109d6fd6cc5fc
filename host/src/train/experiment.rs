//! The experiment file: what is trained on what, by which optimisers, for how long.

use std::path::{Path, PathBuf};

use relfisher_core::metric::neuron::Activation;
use serde::{Deserialize, Serialize};

use super::tuned::Tuned;
use crate::error::Error;
use crate::network::{Architecture, Layer, Loss, Normalisation};
use crate::optimizer::OptimizerConfig;

/// The experiment of S4, slides 25–27, which runs when no file is named.
const S4: &str = include_str!("../../data/experiments/s4.toml");
/// What `--tune` found for it.
const S4_TUNED: &str = include_str!("../../data/experiments/s4-tuned.toml");

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
    /// The classes of a folder's labels: 0 to `classes` − 1.
    pub classes: usize,
    /// How pixels become inputs.
    pub scaling: Scaling,
    /// The first so many training samples; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_samples: Option<usize>,
    /// The first so many test samples; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_samples: Option<usize>,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            directory: None,
            classes: 10,
            scaling: Scaling::Unit,
            train_samples: None,
            test_samples: None,
        }
    }
}

/// The network: hidden widths and an activation, or a network file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// The widths between the pixels and the classes.
    pub hidden: Vec<usize>,
    /// `relu`, `tanh`, `sigmoid` or `elu`.
    pub activation: ActivationName,
    /// A network file instead, relative to the experiment file; it has its own normalisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Initial weights (safetensors) instead of random ones; plain networks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            hidden: vec![80, 80, 80],
            activation: ActivationName::Relu,
            file: None,
            weights: None,
        }
    }
}

/// The activation of the hidden layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActivationName {
    /// max(t, 0).
    Relu,
    /// tanh t.
    Tanh,
    /// 1/(1 + e⁻ᵗ).
    Sigmoid,
    /// t for t ≥ 0, eᵗ − 1 otherwise.
    Elu,
}

impl ActivationName {
    fn activation(self) -> Activation<f64> {
        match self {
            ActivationName::Relu => Activation::Relu { leak: 0.0 },
            ActivationName::Tanh => Activation::Tanh,
            ActivationName::Sigmoid => Activation::Sigm,
            ActivationName::Elu => Activation::Elu { alpha: 1.0 },
        }
    }
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
    /// Samples of a mini-batch.
    pub batch_size: usize,
    /// The precision.
    #[serde(default)]
    pub dtype: Precision,
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
    /// The experiment of S4, with its tuned learning rates.
    ///
    /// # Errors
    /// None in a sound build: the text is part of the program.
    pub fn s4() -> Result<(Self, Option<Tuned>), Error> {
        let experiment = Self::parse(S4, "s4.toml")?;
        let tuned = Tuned::parse(S4_TUNED, "s4-tuned.toml")?;
        Ok((experiment, Some(tuned)))
    }

    /// Reads an experiment file, and the tuned learning rates that it names.
    ///
    /// # Errors
    /// A file that cannot be read, or a key that is unknown, missing or out of range.
    pub fn load(path: &Path) -> Result<(Self, Option<Tuned>), Error> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "read", &e))?;
        let mut experiment = Self::parse(&text, &path.display().to_string())?;
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
    /// As [`Experiment::load`].
    pub fn parse(text: &str, file: &str) -> Result<Self, Error> {
        let experiment: Self = toml::from_str(text).map_err(|e| toml_error(file, text, &e))?;
        experiment.validate().map_err(|e| e.in_file(file))?;
        Ok(experiment)
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// The first key that is out of range, with the remedy.
    pub fn validate(&self) -> Result<(), Error> {
        let bad =
            |key: &str, problem: &str, remedy: &str| Err(Error::input("", key, problem, remedy));
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
        if self.variants.is_empty() {
            return bad("variants", "the list is empty", "use [\"plain\"]");
        }
        if self.variants.len() > 1 && self.variants.first() == self.variants.last() {
            return bad("variants", "a variant is listed twice", "keep one of the two");
        }
        if self.variants != [Variant::Plain] {
            if self.network.file.is_some() {
                let remedy = "remove it: a network file has its own normalisation";
                return bad("variants", "does not go with network.file", remedy);
            }
            if self.network.weights.is_some() {
                return bad("variants", "does not go with network.weights", "use [\"plain\"]");
            }
        }
        if self.network.hidden.contains(&0) {
            return bad("network.hidden", "has a layer of width 0", "use at least 1");
        }
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
                if !OptimizerConfig::NAMES.contains(&name.as_str()) {
                    let remedy = format!("use one of {}", OptimizerConfig::NAMES.join(", "));
                    return bad(&key, "no such optimiser", &remedy);
                }
                if rates.is_empty() || !rates.iter().all(|r| r.is_finite() && *r > 0.0) {
                    return bad(&key, "is not a list of positive numbers", "correct it");
                }
            }
        }
        Ok(())
    }

    /// The network of a variant, for inputs of `pixels` numbers and `classes` classes.
    ///
    /// # Errors
    /// A network file that cannot be read or does not fit the data.
    pub fn architecture(
        &self,
        variant: Variant,
        pixels: usize,
        classes: usize,
    ) -> Result<Architecture, Error> {
        if let Some(file) = &self.network.file {
            let architecture = Architecture::load(file)?;
            let fit = [
                ("input_shape", architecture.inputs(), pixels),
                ("layers", architecture.outputs(), classes),
            ];
            for (place, found, needed) in fit {
                if found != needed {
                    return Err(Error::input(
                        file.display(),
                        place,
                        format_args!("gives {found} numbers, the data need {needed}"),
                        "use a network that fits the data",
                    ));
                }
            }
            if architecture.loss != Loss::SoftmaxCrossEntropy {
                return Err(Error::input(
                    file.display(),
                    "loss.type",
                    "is not for classes",
                    "use softmax_cross_entropy",
                ));
            }
            return Ok(architecture);
        }
        let mut widths = vec![pixels];
        widths.extend(&self.network.hidden);
        widths.push(classes);
        let normalisation = match variant {
            Variant::Plain => Normalisation::Plain,
            Variant::BatchNorm => Normalisation::Batch,
        };
        let activation = self.network.activation.activation();
        Architecture::mlp(&widths, activation, normalisation, Loss::SoftmaxCrossEntropy)
    }
}

/// Whether a network normalises batches.
pub(super) fn has_batch_norm(architecture: &Architecture) -> bool {
    architecture.layers.iter().any(|l| matches!(l, Layer::BatchNorm { .. }))
}
