//! Progress: bars on a terminal, nothing or plain lines elsewhere.

use std::io::IsTerminal;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::record::EpochRecord;
use crate::diagnostics::StepRecord;

/// How much is told on the standard error output while a command works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Nothing.
    Quiet,
    /// Progress bars when the standard error output is a terminal, else nothing.
    Bars,
    /// A plain line for each epoch.
    Lines,
}

/// Two bars: the run under way (steps, rate, time left) and all runs (epochs, time left).
pub(crate) struct Progress {
    verbosity: Verbosity,
    run: ProgressBar,
    all: ProgressBar,
    label: String,
    /// What the last epoch came to.
    score: String,
}

impl Progress {
    /// For a whole of `epochs` epochs over all runs.
    pub(crate) fn new(verbosity: Verbosity, epochs: usize) -> Self {
        let visible = verbosity == Verbosity::Bars && std::io::stderr().is_terminal();
        let bars = MultiProgress::new();
        if !visible {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        let run = bars.add(ProgressBar::new(0));
        let all = bars.add(ProgressBar::new(epochs as u64));
        let style = |template: &str| {
            ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ")
        };
        run.set_style(style(
            "{prefix:17} [{bar:28}] {pos:>6}/{len} steps {per_sec:>14} ETA {eta:>4}  {msg}",
        ));
        all.set_style(style(
            "{prefix:17} [{bar:28}] {pos:>6}/{len} epochs  {elapsed} ETA {eta:>4}",
        ));
        all.set_prefix("all runs");
        Self { verbosity, run, all, label: String::new(), score: String::new() }
    }

    /// A run begins (or is taken up) at `done` of `steps` steps.
    pub(crate) fn begin(&mut self, label: &str, done: usize, steps: usize) {
        self.label = label.to_string();
        self.run.set_length(steps as u64);
        self.run.set_prefix(label.to_string());
        self.run.set_message("");
        self.score.clear();
        self.run.reset();
        self.run.set_position(done as u64);
        self.run.reset_eta();
    }

    /// One training step is done; `rows` are the statistics of the mini-batches so far.
    pub(crate) fn step(&self, rows: &[StepRecord]) {
        self.run.inc(1);
        if let Some(row) = rows.last() {
            self.run.set_message(format!("{}  {}", self.score, noise(std::slice::from_ref(row))));
        }
    }

    /// An epoch of the run is measured.
    pub(crate) fn epoch(&mut self, e: &EpochRecord, rows: &[StepRecord]) {
        let score = match (e.test_accuracy, e.test_squared_error) {
            (Some(accuracy), _) => format!("test acc {accuracy:.4}"),
            (None, Some(error)) => format!("test sq. error {error:.4}"),
            (None, None) => format!("test {:.4}", e.test_loss),
        };
        self.score = format!("epoch {} train {:.4} {score}", e.epoch, e.train_loss);
        self.run.set_message(self.score.clone());
        if e.epoch > 0 {
            self.all.inc(1);
        }
        if self.verbosity == Verbosity::Lines {
            let score = |accuracy: Option<f64>, error: Option<f64>| match (accuracy, error) {
                (Some(accuracy), _) => format!(", accuracy {accuracy:.4}"),
                (None, Some(error)) => format!(", squared error {error:.4}"),
                (None, None) => String::new(),
            };
            eprintln!(
                "{}: epoch {}: {:.2} s, train loss {:.6}{}, test loss {:.4}{}",
                self.label,
                e.epoch,
                e.seconds,
                e.train_loss,
                score(e.train_accuracy, e.train_squared_error),
                e.test_loss,
                score(e.test_accuracy, e.test_squared_error),
            );
            let start = rows.partition_point(|row| row.epoch < e.epoch);
            if let Some(rows @ [_, ..]) = rows.get(start..) {
                eprintln!("{}: epoch {}: {}", self.label, e.epoch, noise(rows));
            }
        }
    }

    /// Epochs that need no work: finished before, or not reached.
    pub(crate) fn skip(&self, epochs: usize) {
        self.all.inc(epochs as u64);
    }

    /// A line for the user that stays: a diverged run.
    pub(crate) fn note(&self, line: &str) {
        if self.verbosity != Verbosity::Quiet {
            self.all.suspend(|| eprintln!("{line}"));
        }
    }

    /// Takes the bars away.
    pub(crate) fn end(&self) {
        self.run.finish_and_clear();
        self.all.finish_and_clear();
    }
}

/// Mini-batches in a few words: means over the rows, the noise scale from the means of its estimates.
fn noise(rows: &[StepRecord]) -> String {
    let mean = |of: fn(&StepRecord) -> f64| {
        let known: Vec<f64> = rows.iter().map(of).filter(|x| x.is_finite()).collect();
        known.iter().sum::<f64>() / known.len() as f64
    };
    let scale = mean(|row| row.variance) / mean(|row| row.signal);
    let scale = if scale > 0.0 { format!("{scale:.3e}") } else { "all noise".to_string() };
    format!(
        "gradient {:.2e}, of a sample {:.2e}, snr {:.2}, noise scale {scale}, alignment {:.2}, with \
         the step before {:.2}",
        mean(|row| row.gradient_norm),
        mean(|row| row.sample_norm),
        mean(|row| row.snr),
        mean(|row| row.alignment),
        mean(|row| row.consecutive),
    )
}
