//! The record of an experiment: `record.json` and the same as `record.csv`.

use std::path::Path;

use serde::Serialize;

use super::machine::Machine;
use crate::error::Error;
use crate::format::write_bytes;

/// What was measured at the end of an epoch; epoch 0 is the network before training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EpochRecord {
    /// Passes over the training set so far.
    pub epoch: usize,
    /// Wall-clock seconds spent in training steps so far; evaluation, files and plots excluded.
    pub seconds: f64,
    /// The mean loss over the training set, without the weight decay.
    pub train_loss: f64,
    /// The share of the training set that is classified correctly.
    pub train_accuracy: f64,
    /// The mean loss over the test set.
    pub test_loss: f64,
    /// The share of the test set that is classified correctly.
    pub test_accuracy: f64,
}

impl EpochRecord {
    /// The numbers in the order of the columns, for checkpoints.
    pub(crate) fn to_row(self) -> [f64; 6] {
        [
            self.epoch as f64,
            self.seconds,
            self.train_loss,
            self.train_accuracy,
            self.test_loss,
            self.test_accuracy,
        ]
    }

    /// The inverse of [`EpochRecord::to_row`].
    pub(crate) fn from_row(row: [f64; 6]) -> Self {
        let [epoch, seconds, train_loss, train_accuracy, test_loss, test_accuracy] = row;
        Self {
            epoch: epoch as usize,
            seconds,
            train_loss,
            train_accuracy,
            test_loss,
            test_accuracy,
        }
    }
}

/// One run: an optimiser on one network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRecord {
    /// The optimiser's name: `sgd`, `adam`, `rngd`, `rngd-sample`, `kfac`.
    pub optimizer: String,
    /// Whether the network has batch normalisation.
    pub batch_norm: bool,
    /// Everything that the run's numbers depend on.
    pub settings: serde_json::Value,
    /// The epochs so far.
    pub epochs: Vec<EpochRecord>,
    /// Where and how the run left the finite numbers; absent when it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diverged: Option<String>,
}

impl RunRecord {
    /// The name used for files and tables: `rngd-plain`, `rngd-bn`.
    pub fn name(&self) -> String {
        run_name(&self.optimizer, self.batch_norm)
    }

    /// The first epoch whose train loss is at most `target`.
    pub fn reached(&self, target: f64) -> Option<&EpochRecord> {
        self.epochs.iter().find(|e| e.train_loss <= target)
    }
}

/// The name of a run in files and tables.
pub(crate) fn run_name(optimizer: &str, batch_norm: bool) -> String {
    format!("{optimizer}-{}", if batch_norm { "bn" } else { "plain" })
}

/// The record of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// The name of the experiment.
    pub experiment: String,
    /// The seed of initial weights, mini-batches and sampled labels.
    pub seed: u64,
    /// The version of this program.
    pub version: String,
    /// The machine that ran it.
    pub machine: Machine,
    /// The runs, in the order of the table.
    pub runs: Vec<RunRecord>,
}

fn encoding(path: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::input(path.display(), "", format_args!("cannot be encoded: {e}"), "report this")
}

#[derive(Serialize)]
struct CsvRow<'a> {
    experiment: &'a str,
    seed: u64,
    optimizer: &'a str,
    batch_norm: bool,
    epoch: usize,
    seconds: f64,
    train_loss: f64,
    train_accuracy: f64,
    test_loss: f64,
    test_accuracy: f64,
}

impl Record {
    /// Writes `record.json` and `record.csv` into `dir`, each whole or not at all. A number that is
    /// not finite is `null` in the JSON and `NaN` or `inf` in the CSV.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        let json = dir.join("record.json");
        let mut text = serde_json::to_string_pretty(self).map_err(|e| encoding(&json, &e))?;
        text.push('\n');
        write_bytes(&json, text.as_bytes())?;
        let csv = dir.join("record.csv");
        write_bytes(&csv, &self.to_csv().map_err(|e| encoding(&csv, &e))?)
    }

    fn to_csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for run in &self.runs {
            for e in &run.epochs {
                writer.serialize(CsvRow {
                    experiment: &self.experiment,
                    seed: self.seed,
                    optimizer: &run.optimizer,
                    batch_norm: run.batch_norm,
                    epoch: e.epoch,
                    seconds: e.seconds,
                    train_loss: e.train_loss,
                    train_accuracy: e.train_accuracy,
                    test_loss: e.test_loss,
                    test_accuracy: e.test_accuracy,
                })?;
            }
        }
        writer.into_inner().map_err(|e| e.into_error().into())
    }
}
