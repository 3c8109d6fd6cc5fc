//! `relfisher embed`: sparse gradient embeddings of samples, and their kernel.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, ValueEnum};
use relfisher_core::sparse::QuasiMean;

use super::curvature::{memory, progress};
use super::problem::{Dtype, Loaded, ProblemArgs};
use super::say;
use crate::Scalar;
use crate::curvature::{Problem, human};
use crate::embedding::{Embedding, Request, Target, embed, needs, save};
use crate::error::Error;
use crate::resident::resident_peak;

/// Embed samples by their gradients: the largest entries of each layer, in a metric that is a mean of
/// all of them.
///
/// Writes the embeddings as compressed sparse rows: indptr, indices (parameters in the order of the
/// network, each layer [W|b] row by row) and data, and the kernel of all pairs with --kernel.
#[derive(Debug, Args)]
pub(super) struct EmbedArgs {
    #[command(flatten)]
    problem: ProblemArgs,
    /// A target that needs no label, in the place of --targets: all classes alike, or each class in
    /// turn (then C rows for each sample).
    #[arg(long, value_name = "WHICH")]
    target: Option<Unlabelled>,
    /// The share of each layer's parameters that a sample keeps, above 0 and at most 1.
    #[arg(long, value_name = "Q", default_value_t = 0.15)]
    fraction: f64,
    /// The mean of the squared gradients: arithmetic, geometric, harmonic or power:P, which is next to the
    /// largest or the smallest for P far above or below 0.
    #[arg(long, value_name = "MEAN", default_value = "arithmetic")]
    metric: String,
    /// The damping λ that is added to the metric.
    #[arg(long, value_name = "λ", default_value_t = 0.0)]
    damping: f64,
    /// Also write the kernel: the inner products of all pairs of embeddings.
    #[arg(long)]
    kernel: bool,
    /// Also write the arithmetic metric off the diagonal, for the pairs of parameters that a sample
    /// keeps together: metric.indptr, metric.indices and metric.data. For small networks or fractions.
    #[arg(long)]
    joint: bool,
    /// Precision.
    #[arg(long, value_name = "TYPE", default_value = "f64")]
    dtype: Dtype,
    /// The most memory that the command may need, in GiB; nine tenths of what is free by default. Beside it
    /// come the program itself and, while they are read, the files of samples: their bytes and 8 for
    /// each number.
    #[arg(long, value_name = "GIB")]
    memory: Option<f64>,
    /// The file to write (safetensors).
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// No progress and no summary; errors only.
    #[arg(long)]
    quiet: bool,
}

/// Targets that need no label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Unlabelled {
    /// All classes alike.
    Uniform,
    /// Each class in turn.
    Class,
}

pub(super) fn run(args: &EmbedArgs) -> Result<ExitCode, Error> {
    match args.dtype {
        Dtype::F32 => measure::<f32>(args),
        Dtype::F64 => measure::<f64>(args),
    }
}

pub(super) fn mean(text: &str) -> Result<QuasiMean, Error> {
    let refuse = |problem: &str| {
        let remedy =
            "use arithmetic, geometric, harmonic or power:P with a number P, such as power:0.5";
        Err(Error::input("--metric", text, problem, remedy))
    };
    match text.trim() {
        "arithmetic" => Ok(QuasiMean::Arithmetic),
        "geometric" => Ok(QuasiMean::Geometric),
        "harmonic" => Ok(QuasiMean::Harmonic),
        other => match other.strip_prefix("power:").map(str::parse::<f64>) {
            Some(Ok(power)) if power.is_finite() => Ok(QuasiMean::Power(power)),
            Some(_) => refuse("the power is not a finite number"),
            None => refuse("no such mean"),
        },
    }
}

fn measure<T: Scalar>(args: &EmbedArgs) -> Result<ExitCode, Error> {
    let started = Instant::now();
    let (mean, memory) = (mean(&args.metric)?, memory(args.memory)?.unwrap_or_default());
    args.problem.check_out(&args.out)?;
    if args.problem.targets.is_some() && args.target.is_some() {
        let remedy = "give one of them";
        return Err(Error::input("--target", "", "stands beside --targets", remedy));
    }
    let loaded = Loaded::<T>::read(&args.problem, None)?;
    let engine = args.problem.engine()?;
    let executor = engine.executor::<T>();
    let problem = loaded.problem(executor)?;
    let target = match args.target {
        Some(Unlabelled::Uniform) => Target::Uniform,
        Some(Unlabelled::Class) => Target::EachClass,
        None => match problem.targets {
            Some(targets) => Target::Given(targets),
            None => {
                let remedy = "give --targets y.npy, or --target uniform or class";
                return Err(Error::input("", "embed", "no targets", remedy));
            }
        },
    };
    let request = Request {
        target,
        fraction: args.fraction,
        mean,
        damping: args.damping,
        kernel: args.kernel,
        joint: args.joint,
        memory,
    };
    let bar = progress(problem.samples(), args.quiet);
    let watch = |done: usize, _: &str| bar.set_position(done as u64);
    let problem = Problem { watch: Some(&watch), ..problem };
    let mut outcome = Ok(Embedding::default());
    executor.install(&mut || {
        outcome = embed(&problem, &request);
    });
    bar.finish_and_clear();
    let embedding = outcome.map_err(|e| engine.explain(e))?;
    save(&embedding, &args.out)?;
    if !args.quiet {
        let bound = needs(&problem, &request)?.total().max(loaded.reading);
        let text = summary(args, &loaded, &embedding, (bound, started.elapsed().as_secs_f64()));
        say(&text);
    }
    Ok(ExitCode::SUCCESS)
}

fn summary<T: Scalar>(
    args: &EmbedArgs,
    loaded: &Loaded<T>,
    embedding: &Embedding<T>,
    (bound, seconds): (u64, f64),
) -> String {
    let (network, rows) = (&loaded.network, &embedding.rows);
    let count = network.parameter_count();
    let (n, kept) = (rows.rows().max(1) as f64, rows.values.len() as f64);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{}: {count} parameters in {} layers; {} rows, {}, metric {}",
        args.problem.net.display(),
        network.blocks().len(),
        rows.rows(),
        T::NAME,
        args.metric,
    );
    let _ = writeln!(
        text,
        "\n{:<14} {:>11} {:>12} {:>9}",
        "layer", "parameters", "kept a row", "share"
    );
    for block in network.blocks() {
        let range = block.range();
        let inside = rows.indices.iter().filter(|i| range.contains(&(**i as usize))).count();
        let each = inside as f64 / n;
        let share = 100.0 * each / block.len().max(1) as f64;
        let _ = writeln!(text, "{:<14} {:>11} {each:>12.1} {share:>8.2}%", block.name, block.len());
    }
    let bytes = kept * (4 + size_of::<T>()) as f64;
    let square = 8.0 * (count as f64).powi(2);
    let _ = writeln!(
        text,
        "\n{} kept entries, {}; a dense metric would take {}; bound {}, resident at most {}",
        rows.values.len(),
        human(bytes as u64),
        human(square as u64),
        human(bound),
        resident_peak().map_or("unknown".to_owned(), human),
    );
    if rows.values.is_empty() {
        text.push_str("every gradient is zero: all rows are empty, and a kernel is zero\n");
    }
    if let Some(joint) = &embedding.joint {
        let (entries, bytes) = (joint.values.len(), human(joint.bytes()));
        let share = 100.0 * entries as f64 / (count as f64).powi(2);
        let _ =
            writeln!(text, "metric on the joint support: {entries} entries ({share:.3}%), {bytes}");
    }
    let _ = writeln!(text, "written to {} ({seconds:.2} s in all)", args.out.display());
    text
}
