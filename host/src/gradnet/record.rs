//! The record of the experiment: `gradnet.json`, `gradnet.csv`, the table and the picture.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use relfisher_core::sparse::QuasiMean;
use serde::Serialize;

use super::experiment::Settings;
use crate::Scalar;
use crate::curvature::human;
use crate::error::Error;
use crate::format::write_bytes;
use crate::plot::{FractionCurve, FractionPanel, fraction_curves};
use crate::train::Machine;

/// What was measured, on which machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GradnetRecord {
    /// The version of this program.
    pub version: &'static str,
    /// The machine.
    pub machine: Machine,
    /// The data.
    pub data: String,
    /// Samples that networks, metrics and classifiers are fitted on.
    pub train_samples: usize,
    /// Samples that they are judged on.
    pub test_samples: usize,
    /// Everything else that the numbers depend on.
    pub settings: SettingsRecord,
    /// The test accuracy of the linear classifier on the pixels.
    pub pixels: f64,
    /// The networks.
    pub networks: Vec<NetworkRecord>,
    /// Wall-clock seconds of everything.
    pub seconds: f64,
}

/// The settings, as written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SettingsRecord {
    /// `f32` or `f64`.
    pub dtype: &'static str,
    /// `uniform`, `class` or `label`.
    pub target: &'static str,
    /// The exponent of the mean: 1 arithmetic, 0 geometric, −1 harmonic.
    pub power: f64,
    /// λ as a share of the mean of the metric over its support.
    pub damping: f64,
    /// Passes of the classifiers.
    pub epochs: usize,
    /// Rows of a mini-batch of the classifiers.
    pub batch: usize,
    /// Their first rate.
    pub learning_rate: f64,
    /// Rectifiers of the small network.
    pub hidden: usize,
    /// The seed.
    pub seed: u64,
}

impl SettingsRecord {
    pub(super) fn new<T: Scalar>(settings: &Settings, (hidden, batch): (usize, usize)) -> Self {
        Self {
            dtype: T::NAME,
            target: settings.against.name(),
            power: QuasiMean::exponent(settings.mean),
            damping: settings.damping,
            epochs: settings.epochs,
            batch,
            learning_rate: settings.learning_rate,
            hidden,
            seed: settings.seed,
        }
    }
}

/// A network and the moments of its training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NetworkRecord {
    /// `mlp` or `cnn`.
    pub name: &'static str,
    /// Its parameters.
    pub parameters: usize,
    /// The gradients of a sample, side by side in its row.
    pub gradients: usize,
    /// The moments, in order.
    pub stopped: Vec<StoppedRecord>,
}

/// A network that was stopped, and what its gradients are good for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoppedRecord {
    /// Steps of Adam.
    pub steps: usize,
    /// Seconds of those steps.
    pub seconds: f64,
    /// The share of the training samples that the network classifies correctly.
    pub train_accuracy: f64,
    /// The same of the test samples.
    pub original: f64,
    /// The test accuracy of the linear classifier on the inputs of the network's last layer.
    pub last_hidden: f64,
    /// The fractions, ascending.
    pub fractions: Vec<FractionRecord>,
}

/// Embeddings at one fraction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FractionRecord {
    /// The share of each layer's parameters that a gradient keeps at most.
    pub fraction: f64,
    /// The entries that a training sample keeps, on average.
    pub entries: f64,
    /// The bytes of the sparse rows of all samples.
    pub bytes: u64,
    /// The largest resident memory of the process while this fraction was worked on, in bytes; `null`
    /// where the system does not say.
    pub resident_peak: Option<u64>,
    /// The test accuracies.
    pub scores: Scores,
    /// Seconds of the gradients and their selection.
    pub embedding_seconds: f64,
    /// Seconds of the classifiers.
    pub fit_seconds: f64,
}

/// Test accuracies of classifiers of sparse gradients.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// Linear, on the gradients without a metric.
    pub without_metric: f64,
    /// Linear, on the embeddings.
    pub linear: f64,
    /// The small network on the embeddings.
    pub small_network: f64,
}

impl GradnetRecord {
    /// The standard error of an accuracy over the test samples.
    pub fn standard_error(&self, accuracy: f64) -> f64 {
        (accuracy * (1.0 - accuracy) / self.test_samples as f64).sqrt()
    }

    /// Writes `gradnet.json`, `gradnet.csv`, `gradnet.svg` and `gradnet.png` into `dir`, each whole or
    /// not at all. The paths.
    ///
    /// # Errors
    /// The folder cannot be written, or the plotting library fails.
    pub fn write(&self, dir: &Path) -> Result<Vec<PathBuf>, Error> {
        let json = dir.join("gradnet.json");
        let mut text = serde_json::to_string_pretty(self).map_err(|e| encoding(&json, &e))?;
        text.push('\n');
        write_bytes(&json, text.as_bytes())?;
        let csv = dir.join("gradnet.csv");
        write_bytes(&csv, &self.to_csv().map_err(|e| encoding(&csv, &e))?)?;
        let mut paths = vec![json, csv];
        paths.extend(fraction_curves(&self.panels(), dir, "gradnet")?);
        Ok(paths)
    }

    fn to_csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record([
            "network",
            "steps",
            "original",
            "last_hidden",
            "fraction",
            "entries",
            "bytes",
            "resident_peak",
            "without_metric",
            "linear",
            "small_network",
        ])?;
        for network in &self.networks {
            for stopped in &network.stopped {
                for f in &stopped.fractions {
                    writer.serialize((
                        network.name,
                        stopped.steps,
                        stopped.original,
                        stopped.last_hidden,
                        f.fraction,
                        f.entries,
                        f.bytes,
                        f.resident_peak,
                        f.scores.without_metric,
                        f.scores.linear,
                        f.scores.small_network,
                    ))?;
                }
            }
        }
        writer.into_inner().map_err(|e| e.into_error().into())
    }

    fn panels(&self) -> Vec<FractionPanel> {
        let samples = (self.train_samples + self.test_samples) as f64;
        let of = |network: &NetworkRecord| FractionPanel {
            title: format!(
                "{}, {} parameters",
                match network.name {
                    "mlp" => "Multi-layer perceptron",
                    _ => "Convolutional network",
                },
                network.parameters
            ),
            dense_bytes: samples * (network.parameters * network.gradients) as f64 * 4.0,
            curves: network.stopped.iter().map(curve).collect(),
        };
        self.networks.iter().map(of).collect()
    }
}

fn curve(stopped: &StoppedRecord) -> FractionCurve {
    let points = |of: &dyn Fn(&FractionRecord) -> f64| {
        stopped.fractions.iter().map(|f| (f.fraction, of(f))).collect()
    };
    FractionCurve {
        label: format!("{} steps, {:.3}", stopped.steps, stopped.original),
        original: stopped.original,
        linear: points(&|f| f.scores.linear),
        small_network: points(&|f| f.scores.small_network),
        bytes: points(&|f| f.bytes as f64),
    }
}

/// A text table of `record`: for every network and moment the accuracies before and after, by fraction.
pub fn table(record: &GradnetRecord) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for network in &record.networks {
        let _ = writeln!(
            text,
            "{}, {} parameters\n{:>6} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8} {:>9} {:>8} {:>10} {:>10}",
            network.name,
            network.parameters,
            "steps",
            "original",
            "hidden",
            "fraction",
            "no metric",
            "linear",
            "gain",
            "small net",
            "gain",
            "entries",
            "rows"
        );
        for stopped in &network.stopped {
            for f in &stopped.fractions {
                let gain = |x: f64| format!("{:+.1}%", 100.0 * (x / stopped.original - 1.0));
                let _ = writeln!(
                    text,
                    "{:>6} {:>9.4} {:>9.4} {:>8}% {:>9.4} {:>9.4} {:>8} {:>9.4} {:>8} {:>10.1} {:>10}",
                    stopped.steps,
                    stopped.original,
                    stopped.last_hidden,
                    (100.0 * f.fraction * 1e6).round() / 1e6,
                    f.scores.without_metric,
                    f.scores.linear,
                    gain(f.scores.linear),
                    f.scores.small_network,
                    gain(f.scores.small_network),
                    f.entries,
                    human(f.bytes),
                );
            }
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "linear classifier on the pixels: {:.4}; standard error of an accuracy of 0.95 over {} test \
         samples: {:.4}",
        record.pixels,
        record.test_samples,
        record.standard_error(0.95)
    );
    text
}

fn encoding(file: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::input(file.display(), "", format_args!("cannot be encoded: {e}"), "report this")
}
