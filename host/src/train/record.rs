//! The record of an experiment: `record.json` and the same as `record.csv`.

use std::path::Path;

use serde::Serialize;

use super::machine::Machine;
use crate::error::Error;
use crate::executor::cuda::TrafficReport;
use crate::format::write_bytes;

/// What was measured at the end of an epoch; epoch 0 is the network before training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EpochRecord {
    /// Passes over the training set so far.
    pub epoch: usize,
    /// Steps of the optimiser so far; absent where an experiment counts in epochs only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updates: Option<usize>,
    /// Wall-clock seconds spent in training steps so far; evaluation, files and plots excluded.
    pub seconds: f64,
    /// The mean loss over the training set, without the weight decay.
    pub train_loss: f64,
    /// The share of the training set that is classified correctly; absent without classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_accuracy: Option<f64>,
    /// The squared error of the outputs of a sample, summed over the outputs, its mean over the
    /// training set; absent with classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_squared_error: Option<f64>,
    /// The mean loss over the test set.
    pub test_loss: f64,
    /// The share of the test set that is classified correctly; absent without classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_accuracy: Option<f64>,
    /// The mean squared error of a sample of the test set; absent with classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_squared_error: Option<f64>,
}

/// In a row of a checkpoint: the quantity does not exist. None of them is ever negative.
const ABSENT: f64 = -1.0;

impl EpochRecord {
    /// The numbers of a row.
    pub(crate) const COLUMNS: usize = 9;

    /// The numbers in the order of the columns, for checkpoints.
    pub(crate) fn to_row(self) -> [f64; EpochRecord::COLUMNS] {
        [
            self.epoch as f64,
            self.updates.map_or(ABSENT, |n| n as f64),
            self.seconds,
            self.train_loss,
            self.train_accuracy.unwrap_or(ABSENT),
            self.train_squared_error.unwrap_or(ABSENT),
            self.test_loss,
            self.test_accuracy.unwrap_or(ABSENT),
            self.test_squared_error.unwrap_or(ABSENT),
        ]
    }

    /// The inverse of [`EpochRecord::to_row`].
    pub(crate) fn from_row(row: [f64; EpochRecord::COLUMNS]) -> Self {
        let present = |x: f64| (x != ABSENT).then_some(x);
        let [epoch, updates, seconds, train_loss, rest @ ..] = row;
        let [train_accuracy, train_error, test_loss, test_accuracy, test_error] = rest;
        Self {
            epoch: epoch as usize,
            updates: present(updates).map(|n| n as usize),
            seconds,
            train_loss,
            train_accuracy: present(train_accuracy),
            train_squared_error: present(train_error),
            test_loss,
            test_accuracy: present(test_accuracy),
            test_squared_error: present(test_error),
        }
    }
}

/// One run: an optimiser on one network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRecord {
    /// The optimiser's name: one of [`crate::optimizer::OptimizerConfig::NAMES`].
    pub optimizer: String,
    /// Whether the network has batch normalisation.
    pub batch_norm: bool,
    /// Everything that the run's numbers depend on.
    pub settings: serde_json::Value,
    /// The epochs so far.
    pub epochs: Vec<EpochRecord>,
    /// What passed between host and device in the training steps of this process; absent on the
    /// processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficReport>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    updates: Option<usize>,
    seconds: f64,
    train_loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    train_accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    train_squared_error: Option<f64>,
    test_loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    test_accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test_squared_error: Option<f64>,
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
                    updates: e.updates,
                    seconds: e.seconds,
                    train_loss: e.train_loss,
                    train_accuracy: e.train_accuracy,
                    train_squared_error: e.train_squared_error,
                    test_loss: e.test_loss,
                    test_accuracy: e.test_accuracy,
                    test_squared_error: e.test_squared_error,
                })?;
            }
        }
        writer.into_inner().map_err(|e| e.into_error().into())
    }
}
