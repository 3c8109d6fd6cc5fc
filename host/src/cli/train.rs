//! `relfisher train`: the experiment of S4, another bundled one or one of a file, or the search for
//! its learning rates.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::problem::{Device, DevicePrecision};
use super::{complain, say};
use crate::error::Error;
use crate::optimizer::OptimizerConfig;
use crate::train::{
    self, Experiment, Outcomes, Precision, SessionOptions, Size, Start, Tuned, Variant, Verbosity,
};

/// Train: without arguments the S4 experiment on the bundled MNIST-10k subset.
///
/// Writes record.json, record.csv, learning curves (SVG and PNG), weights and checkpoints into the
/// output folder and prints a table of results.
#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    /// Folder with an IDX data set (train-images-idx3-ubyte and so on, plain or .gz); the bundled
    /// MNIST-10k subset by default.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A bundled experiment (s4, mnist-autoencoder, curves-autoencoder, digits-cnn) or a file (TOML);
    /// the S4 experiment by default.
    #[arg(long, value_name = "NAME|FILE")]
    experiment: Option<PathBuf>,
    /// The full size of the experiment: what its [full] table says.
    #[arg(long)]
    full: bool,
    /// Seed of initial weights, mini-batches and sampled labels; the experiment's by default.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Passes over the training set, of all optimisers; the experiment's by default.
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// The optimisers of the experiment to run, comma-separated (sgd,adam,kfac); all by default.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    optimizers: Option<Vec<String>>,
    /// Networks without batch normalisation, with it, or both; the experiment's by default.
    #[arg(long, value_name = "WHICH")]
    batch_norm: Option<BatchNorm>,
    /// Output folder; runs/NAME by default, NAME being the experiment's.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Threads; all processors by default. The numbers do not depend on it.
    #[arg(long, value_name = "N", value_parser = super::number::threads)]
    threads: Option<usize>,
    /// The machine that computes; on a device everything stays there between two steps.
    #[arg(long, value_name = "WHICH", default_value = "cpu")]
    device: Device,
    /// How a device forms products of f32; 3xTF32 where it has tensor cores, f32 elsewhere by default.
    #[arg(long, value_name = "HOW")]
    precision: Option<DevicePrecision>,
    /// Precision; the experiment's by default.
    #[arg(long, value_name = "TYPE")]
    dtype: Option<Dtype>,
    /// Continue an experiment that was interrupted, to the same bits.
    #[arg(long)]
    resume: bool,
    /// Search the learning rates of the experiment's grid instead, and write OUT/tuned.toml.
    #[arg(long, conflicts_with_all = ["resume", "seed", "epochs"])]
    tune: bool,
    /// Write a checkpoint also after every N mini-batches inside an epoch.
    #[arg(long, value_name = "N", default_value_t = 0)]
    checkpoint_steps: usize,
    /// Measure the gradients of every mini-batch: norms, variance, signal-to-noise, noise scale,
    /// alignment. Shown in the progress, written to OUT/diagnostics-RUN.csv and drawn; the weights on
    /// the way are kept in OUT/snapshots/RUN for `relfisher evolution`. The training gives the same
    /// bits; docs/diagnostics.md says what it costs.
    #[arg(long, conflicts_with = "tune")]
    diagnose: bool,
    /// With --diagnose: measure every N-th mini-batch only.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "diagnose",
        value_parser = super::number::at_least_one)]
    diagnose_every: usize,
    /// No progress and no table; errors only.
    #[arg(long, conflicts_with = "verbose")]
    quiet: bool,
    /// A plain line for each epoch instead of progress bars.
    #[arg(long)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BatchNorm {
    /// Without.
    Plain,
    /// With.
    Bn,
    /// Both networks.
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Dtype {
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

pub(super) fn run(args: &TrainArgs) -> Result<ExitCode, Error> {
    let size = if args.full { Size::Full } else { Size::Reduced };
    let (mut experiment, tuned) = match &args.experiment {
        Some(name) => Experiment::find(name, size)?,
        None => Experiment::s4(size)?,
    };
    apply(args, &mut experiment)?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&experiment.name));
    let verbosity = match (args.quiet, args.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Lines,
        _ => Verbosity::Bars,
    };
    if args.tune {
        let found = train::tune(&experiment, &out, args.threads, verbosity)?;
        if verbosity != Verbosity::Quiet {
            say(&trials(&found));
            say(&format!("\nwritten: {}\n", out.join("tuned.toml").display()));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let options = SessionOptions {
        out,
        threads: args.threads,
        device: args.device.into(),
        precision: args.precision.map(Into::into),
        start: if args.resume { Start::Resume } else { Start::Fresh },
        checkpoint_steps: args.checkpoint_steps,
        diagnose_steps: if args.diagnose { args.diagnose_every } else { 0 },
        verbosity,
    };
    let outcomes = train::train(&experiment, tuned.as_ref(), &options)?;
    if verbosity != Verbosity::Quiet {
        say(&summary(&experiment, &outcomes, &options));
    }
    Ok(report_divergence(&outcomes, &options))
}

/// The options of the command line replace what the experiment says.
fn apply(args: &TrainArgs, experiment: &mut Experiment) -> Result<(), Error> {
    if let Some(directory) = &args.data {
        experiment.data.directory = Some(directory.clone());
        experiment.data.curves = None;
    }
    experiment.seed = args.seed.unwrap_or(experiment.seed);
    if let Some(epochs) = args.epochs {
        experiment.epochs = epochs;
        experiment.epochs_of.clear();
    }
    if let Some(dtype) = args.dtype {
        experiment.dtype = match dtype {
            Dtype::F32 => Precision::F32,
            Dtype::F64 => Precision::F64,
        };
    }
    if let Some(which) = args.batch_norm {
        experiment.variants = match which {
            BatchNorm::Plain => vec![Variant::Plain],
            BatchNorm::Bn => vec![Variant::BatchNorm],
            BatchNorm::Both => vec![Variant::Plain, Variant::BatchNorm],
        };
    }
    if let Some(names) = &args.optimizers {
        let mut chosen: Vec<OptimizerConfig> = Vec::new();
        for name in names {
            let Some(found) = experiment.optimizers.iter().find(|o| o.name() == name) else {
                let known: Vec<&str> = experiment.optimizers.iter().map(|o| o.name()).collect();
                return Err(Error::input(
                    "--optimizers",
                    name,
                    format_args!("not an optimiser of the experiment {}", experiment.name),
                    format_args!("use some of {}", known.join(",")),
                ));
            };
            if !chosen.contains(found) {
                chosen.push(found.clone());
            }
        }
        experiment.optimizers = chosen;
    }
    Ok(())
}

fn summary(experiment: &Experiment, outcomes: &Outcomes, options: &SessionOptions) -> String {
    let record = &outcomes.record;
    let mut text = format!(
        "{} on {}, seed {}, {} ({} threads)\n\n{}\nwritten to {}: record.json, record.csv",
        record.experiment,
        experiment.data.name(),
        record.seed,
        record.machine.cpu,
        record.machine.threads,
        train::table(record, experiment.target_train_loss),
        options.out.display(),
    );
    for plot in &outcomes.plots {
        if let Some(name) = plot.file_name() {
            text.push_str(&format!(", {}", name.to_string_lossy()));
        }
    }
    text.push('\n');
    text
}

fn report_divergence(outcomes: &Outcomes, options: &SessionOptions) -> ExitCode {
    let diverged: Vec<String> = outcomes
        .record
        .runs
        .iter()
        .filter_map(|run| Some(format!("{} at {}", run.name(), run.diverged.as_ref()?)))
        .collect();
    if diverged.is_empty() {
        return ExitCode::SUCCESS;
    }
    complain(&format!(
        "{}: diverged: {}; use a smaller learning rate or a larger damping (the record is kept)",
        options.out.join("record.json").display(),
        diverged.join(", "),
    ));
    ExitCode::from(1)
}

fn trials(found: &Tuned) -> String {
    let mut text = format!("train loss after {} epochs, seed {}\n\n", found.epochs, found.seed);
    for result in &found.results {
        let variant = match result.variant {
            Variant::Plain => "plain",
            Variant::BatchNorm => "batch norm",
        };
        text.push_str(&format!("{:<12} {variant:<10} ", result.optimizer));
        for trial in &result.trials {
            let mark = if trial.learning_rate == result.learning_rate { '*' } else { ' ' };
            text.push_str(&format!("  {:>7}: {:.5}{mark}", trial.learning_rate, trial.train_loss));
        }
        text.push('\n');
    }
    text
}
