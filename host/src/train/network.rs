//! The network of an experiment.

use std::path::PathBuf;

use relfisher_core::metric::neuron::Activation;
use serde::{Deserialize, Serialize};

use super::experiment::Variant;
use super::task::Task;
use crate::error::Error;
use crate::network::{Architecture, Init, Layer, Loss, Normalisation};

/// The network: hidden widths and an activation, or a network file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// The widths between the pixels and the classes; of an autoencoder those from the pixels to the
    /// code, the last one, which is linear. Its decoder mirrors them.
    pub hidden: Vec<usize>,
    /// `relu`, `tanh`, `sigmoid` or `elu`.
    pub activation: ActivationName,
    /// A network file instead, relative to the experiment file; it has its own normalisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// A network file as a table instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline: Option<toml::Table>,
    /// How the weights start.
    #[serde(skip_serializing_if = "is_dense")]
    pub init: Init,
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
            inline: None,
            init: Init::Dense,
            weights: None,
        }
    }
}

fn is_dense(init: &Init) -> bool {
    *init == Init::Dense
}

impl NetworkConfig {
    /// Checks ranges.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let bad =
            |key: &str, problem: &str, remedy: &str| Err(Error::input("", key, problem, remedy));
        if self.hidden.contains(&0) {
            return bad("network.hidden", "has a layer of width 0", "use at least 1");
        }
        if self.file.is_some() && self.inline.is_some() {
            return bad("network.inline", "does not go with network.file", "keep one of the two");
        }
        if self.init == (Init::Sparse { connections: 0 }) {
            return bad("network.init.connections", "is 0", "use 15, say");
        }
        if let Some(table) = &self.inline {
            inline(table)?;
        }
        Ok(())
    }

    /// The network of a variant for inputs of `pixels` numbers and `classes` classes.
    ///
    /// # Errors
    /// A network file that cannot be read or does not fit data and task.
    pub fn architecture(
        &self,
        variant: Variant,
        task: Task,
        (pixels, classes): (usize, usize),
    ) -> Result<Architecture, Error> {
        if let Some(file) = &self.file {
            let architecture = Architecture::load(file)?;
            return fitting(architecture, task, (pixels, classes))
                .map_err(|e| e.in_file(file.display()));
        }
        if let Some(table) = &self.inline {
            return fitting(inline(table)?, task, (pixels, classes))
                .map_err(|e| e.at("network.inline"));
        }
        let activation = self.activation.activation();
        if task == Task::Autoencode {
            return Architecture::autoencoder(pixels, &self.hidden, activation)
                .map_err(|e| e.at("network.hidden"));
        }
        let mut widths = vec![pixels];
        widths.extend(&self.hidden);
        widths.push(classes);
        let normalisation = match variant {
            Variant::Plain => Normalisation::Plain,
            Variant::BatchNorm => Normalisation::Batch,
        };
        Architecture::mlp(&widths, activation, normalisation, Loss::SoftmaxCrossEntropy)
    }
}

/// The network file that a table says.
fn inline(table: &toml::Table) -> Result<Architecture, Error> {
    let text = serde_json::to_string(table)
        .map_err(|e| Error::input("", "network.inline", e, "write it as a network file"))?;
    Architecture::parse(&text).map_err(|e| e.at("network.inline"))
}

/// The same network, when its ends fit data and task.
fn fitting(
    architecture: Architecture,
    task: Task,
    (pixels, classes): (usize, usize),
) -> Result<Architecture, Error> {
    let (outputs, kind, remedy) = match task {
        Task::Classify => (classes, "is not for classes", "use softmax_cross_entropy"),
        Task::Autoencode => (pixels, "is for classes", "use binary_cross_entropy or mse"),
    };
    let fit = [
        ("input_shape", architecture.inputs(), pixels),
        ("layers", architecture.outputs(), outputs),
    ];
    for (place, found, needed) in fit {
        if found != needed {
            let problem = format!("gives {found} numbers, the data need {needed}");
            return Err(Error::input("", place, problem, "use a network that fits the data"));
        }
    }
    let classifies = architecture.loss == Loss::SoftmaxCrossEntropy;
    if classifies != (task == Task::Classify) {
        return Err(Error::input("", "loss.type", kind, remedy));
    }
    Ok(architecture)
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

/// Whether a network normalises batches.
pub(super) fn has_batch_norm(architecture: &Architecture) -> bool {
    architecture.layers.iter().any(|l| matches!(l, Layer::BatchNorm { .. }))
}
