//! `relfisher gradnet`: the experiment of S0.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::curvature::memory;
use super::embed::mean;
use super::problem::Dtype;
use super::say;
use crate::Scalar;
use crate::curvature::Memory;
use crate::dataset::{Dataset, Split};
use crate::error::Error;
use crate::executor::{Choice, Engine};
use crate::format::check_writable_folder;
use crate::gradnet::{self, Against, Settings, Stage, Subject};

/// Classify digits by the sparse gradients of networks that were stopped early: the experiment of S0.
///
/// Trains 784-80-80-80-10 and a small convolutional network for a few steps, embeds every sample by
/// its gradient against a target that needs no label, and fits a linear classifier and a small network
/// to the embeddings of the training samples. Writes gradnet.json, gradnet.csv and a picture (SVG and
/// PNG) and prints the accuracies before and after.
#[derive(Debug, Args)]
pub(super) struct GradnetArgs {
    /// Folder with an IDX data set; the bundled MNIST-10k subset by default.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The networks, comma-separated.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "mlp,cnn")]
    networks: Vec<Network>,
    /// After how many steps of training (mini-batches of 50) the networks are stopped.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "16,64,256,1024")]
    steps: Vec<usize>,
    /// What the losses are taken against.
    #[arg(long, value_name = "WHICH", default_value = "uniform")]
    target: Target,
    /// The shares of each layer's parameters that a sample keeps.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "0.01,0.05,0.15,0.5,1"
    )]
    fractions: Vec<f64>,
    /// The mean of the squared gradients: arithmetic, geometric, harmonic or power:P.
    #[arg(long, value_name = "MEAN", default_value = "arithmetic")]
    metric: String,
    /// The damping, as a share of the mean of the metric.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    damping: f64,
    /// Passes of the classifiers over the embeddings.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = super::number::at_least_one)]
    epochs: usize,
    /// The first learning rate of the linear classifiers, which falls to 0; that of the small network
    /// is an eighth of it.
    #[arg(long, value_name = "RATE", default_value_t = 8.0)]
    rate: f64,
    /// The first N training samples only; they are all that networks, metrics and classifiers see.
    #[arg(long, value_name = "N", default_value_t = 4000)]
    train_samples: usize,
    /// The first N test samples only.
    #[arg(long, value_name = "N")]
    test_samples: Option<usize>,
    /// A small run, for a check: 400 and 200 samples, two moments, three fractions.
    #[arg(long, conflicts_with_all = ["steps", "fractions", "train_samples", "test_samples"])]
    quick: bool,
    /// Seed of weights, mini-batches and classifiers.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Threads; all processors by default. The numbers do not depend on it.
    #[arg(long, value_name = "N", value_parser = super::number::threads)]
    threads: Option<usize>,
    /// Precision.
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    dtype: Dtype,
    /// The most memory that the embeddings may take, in GiB; nine tenths of what is free by default.
    #[arg(long, value_name = "GIB")]
    memory: Option<f64>,
    /// The folder to write.
    #[arg(long, value_name = "DIR", default_value = "runs/gradnet")]
    out: PathBuf,
    /// No progress and no table; errors only.
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Network {
    /// 784-80-80-80-10.
    Mlp,
    /// Two convolutions and two linear layers, 120,630 parameters.
    Cnn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// All classes alike.
    Uniform,
    /// Each class in turn: a row of C gradients side by side, C times the memory.
    Class,
    /// The labels of the training samples, and all classes alike for test samples.
    Label,
}

pub(super) fn run(args: &GradnetArgs) -> Result<ExitCode, Error> {
    match args.dtype {
        Dtype::F32 => measure::<f32>(args),
        Dtype::F64 => measure::<f64>(args),
    }
}

fn settings(args: &GradnetArgs) -> Result<Settings, Error> {
    let mut networks = Vec::new();
    for network in &args.networks {
        let subject = match network {
            Network::Mlp => Subject::Mlp,
            Network::Cnn => Subject::Cnn,
        };
        if !networks.contains(&subject) {
            networks.push(subject);
        }
    }
    let (stops, fractions) = match args.quick {
        true => (vec![10, 60], vec![0.01, 0.15, 1.0]),
        false => (args.steps.clone(), args.fractions.clone()),
    };
    let settings = Settings {
        networks,
        stops,
        against: match args.target {
            Target::Uniform => Against::Uniform,
            Target::Class => Against::EachClass,
            Target::Label => Against::Label,
        },
        fractions,
        mean: mean(&args.metric)?,
        damping: args.damping,
        epochs: args.epochs,
        learning_rate: args.rate,
        seed: args.seed,
        memory: memory(args.memory)?.unwrap_or_else(Memory::default),
    };
    settings.check()?;
    Ok(settings)
}

fn data<T: Scalar>(args: &GradnetArgs) -> Result<Split<T>, Error> {
    let split = match &args.data {
        Some(folder) => Split::open(folder, 10)?,
        None => Split::bundled()?,
    };
    let (train, test) = match args.quick {
        true => (400, Some(200)),
        false => (args.train_samples, args.test_samples),
    };
    let train = first(split.train, Some(train), "--train-samples")?;
    let test = first(split.test, test, "--test-samples")?;
    Ok(Split { source: split.source, train, test })
}

/// The first samples of a set.
fn first<T: Scalar>(
    set: Dataset<T>,
    limit: Option<usize>,
    option: &str,
) -> Result<Dataset<T>, Error> {
    match limit {
        Some(0) => Err(Error::input(option, "0", "leaves no sample", "use at least 1")),
        Some(n) => set.first(n),
        None => Ok(set),
    }
}

fn measure<T: Scalar>(args: &GradnetArgs) -> Result<ExitCode, Error> {
    let settings = settings(args)?;
    check_writable_folder(&args.out)?;
    let data = data::<T>(args)?;
    let engine = Engine::with_precision(Choice::Cpu, None, args.threads)?;
    let executor = engine.executor::<T>();
    let bar = progress(settings.units(), args.quiet);
    let mut outcome = None;
    executor.install(&mut || {
        outcome = Some(gradnet::run(executor, &data, &settings, &mut |stage| show(&bar, stage)));
    });
    bar.finish_and_clear();
    let Some(record) = outcome.transpose()? else { return Ok(ExitCode::SUCCESS) };
    std::fs::create_dir_all(&args.out).map_err(|e| Error::io(&args.out, "create", &e))?;
    let files = record.write(&args.out)?;
    if !args.quiet {
        let mut text = format!(
            "{}: {} training and {} test samples, target {}, seed {}, {} ({} threads), {:.1} s\n\n{}\n",
            record.data,
            record.train_samples,
            record.test_samples,
            record.settings.target,
            args.seed,
            record.machine.cpu,
            record.machine.threads,
            record.seconds,
            gradnet::table(&record)
        );
        for file in files {
            text.push_str(&format!("{}\n", file.display()));
        }
        say(&text);
    }
    Ok(ExitCode::SUCCESS)
}

/// A bar that shows itself on a terminal only.
fn progress(units: usize, quiet: bool) -> ProgressBar {
    let bar = ProgressBar::new(units as u64);
    if quiet {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn show(bar: &ProgressBar, stage: Stage) {
    match stage {
        Stage::Training(subject, step) => {
            bar.set_message(format!("{}: {step} steps of training", subject.name()));
        }
        Stage::Embedding(subject, steps, fraction) => {
            let share = 100.0 * fraction;
            bar.set_message(format!("{} after {steps} steps: {share}% kept", subject.name()));
        }
        Stage::Done => bar.inc(1),
    }
}
