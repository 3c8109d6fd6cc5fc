//! `relfisher curvature`: curvature of any network, into a safetensors file.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::problem::{Dtype, Loaded, ProblemArgs};
use super::say;
use crate::Scalar;
use crate::curvature::{Collection, Memory, Problem, Request, collect, human, layer_summary};
use crate::error::Error;
use crate::executor::Engine;
use crate::format::TensorFile;
use crate::network::{BlockKind, Loss};

/// Compute curvature of a network on data: exact blocks and diagonals, K-FAC, KFLR, KFRA, EKFAC,
/// damped steps, matrix-vector products, eigenvalues, relative Fisher metrics.
#[derive(Debug, Args)]
pub(super) struct CurvatureArgs {
    #[command(flatten)]
    problem: ProblemArgs,
    /// Labels drawn from the model's predictive distribution (.npy), for the `mc` quantities.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// What to compute, comma-separated: names as in the file that is written, without the layer. A
    /// name that does not exist lists all of them.
    #[arg(long, value_name = "LIST", value_delimiter = ',', required = true)]
    quantity: Vec<String>,
    /// The dampings λ of the damped steps, comma-separated.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1e-3")]
    damping: Vec<String>,
    /// Vectors (safetensors): `matvec.v.<layer>` (m, d̃, k) for matvec, `probe.<layer>` (m·d̃, k).
    #[arg(long, value_name = "FILE")]
    vectors: Option<PathBuf>,
    /// Precision.
    #[arg(long, value_name = "TYPE", default_value = "f64")]
    dtype: Dtype,
    /// The most memory that one quantity may need, in GiB; nine tenths of what is free by default.
    #[arg(long, value_name = "GIB")]
    memory: Option<f64>,
    /// The file to write (safetensors).
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// No progress and no summary; errors only.
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(args: &CurvatureArgs) -> Result<ExitCode, Error> {
    match args.dtype {
        Dtype::F32 => measure::<f32>(args),
        Dtype::F64 => measure::<f64>(args),
    }
}

fn dampings<T: Scalar>(texts: &[String]) -> Result<Vec<f64>, Error> {
    let parse = |text: &String| {
        let bad =
            |problem: &str, remedy: &str| Err(Error::input("--damping", text, problem, remedy));
        match text.trim().parse::<f64>() {
            Ok(x) if x.is_finite() && x >= 0.0 => {
                let cast = T::from_f64(x);
                if cast.is_finite() && (cast > T::ZERO) == (x > 0.0) {
                    return Ok(x);
                }
                bad("is outside the range of f32", "use --dtype f64, or another damping")
            }
            _ => bad("is not a finite number of at least 0", "use 1e-3, say"),
        }
    };
    texts.iter().map(parse).collect()
}

/// The vectors, all their elements finite.
fn vectors<T: Scalar>(path: &Path) -> Result<TensorFile<T>, Error> {
    let wanted = |name: &str| name.starts_with("matvec.v.") || name.starts_with("probe.");
    let file = TensorFile::<T>::load_some(path, wanted)?;
    for (name, tensor) in &file.tensors {
        tensor.check_finite(name).map_err(|e| e.in_file(path.display()))?;
    }
    Ok(file)
}

/// The bound of `--memory`; `None` for what is free.
pub(super) fn memory(gib: Option<f64>) -> Result<Option<Memory>, Error> {
    match gib {
        None => Ok(None),
        Some(x) if x.is_finite() && x > 0.0 => {
            Ok(Some(Memory { limit: (x * f64::from(1 << 30)) as u64 }))
        }
        Some(x) => Err(Error::input("--memory", x, "is not a positive number", "use 4, say")),
    }
}

fn measure<T: Scalar>(args: &CurvatureArgs) -> Result<ExitCode, Error> {
    let started = Instant::now();
    let mut quantities = Vec::new();
    for name in &args.quantity {
        let quantity = name.trim().parse()?;
        if !quantities.contains(&quantity) {
            quantities.push(quantity);
        }
    }
    let dampings = dampings::<T>(&args.damping)?;
    let limit = memory(args.memory)?;
    args.problem.check_out(&args.out)?;
    let vectors = args.vectors.as_deref().map(vectors).transpose()?;
    let loaded = Loaded::<T>::read(&args.problem, args.labels.as_deref())?;
    let engine = args.problem.engine()?;
    let executor = engine.executor::<T>();
    let problem = loaded.problem(executor)?;
    let request = Request {
        quantities: &quantities,
        dampings: &dampings,
        vectors: vectors.as_ref(),
        // Asked for again now that the files are read.
        memory: limit.unwrap_or_default(),
    };
    let bar = progress(quantities.len(), args.quiet);
    let watch = |done: usize, what: &str| bar.set_message(format!("{done} {what}"));
    let problem = Problem { watch: Some(&watch), ..problem };
    let mut begun = 0;
    let mut outcome = Ok(None);
    executor.install(&mut || {
        outcome = collect(&problem, &request, &mut |quantity| {
            bar.set_position(begun);
            bar.set_prefix(quantity.to_string());
            bar.set_message("");
            begun += 1;
        })
        .map(Some);
    });
    bar.finish_and_clear();
    let Some(collection) = outcome.map_err(|e| engine.explain(e))? else {
        return Ok(ExitCode::SUCCESS);
    };
    collection.tensors.save(&args.out)?;
    if !args.quiet {
        let seconds = started.elapsed().as_secs_f64();
        say(&summary(&engine, &loaded, &problem, &collection, (args, seconds))?);
    }
    Ok(ExitCode::SUCCESS)
}

/// A bar that shows itself on a terminal only.
pub(super) fn progress(steps: usize, quiet: bool) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64);
    if quiet {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {prefix} {msg}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}

fn summary<T: Scalar>(
    engine: &Engine,
    loaded: &Loaded<T>,
    problem: &Problem<'_, T>,
    collection: &Collection<T>,
    (args, seconds): (&CurvatureArgs, f64),
) -> Result<String, Error> {
    let (network, exec) = (&loaded.network, engine.executor::<T>());
    let mut text = String::new();
    let loss = match network.loss_kind() {
        Loss::SoftmaxCrossEntropy => "soft-max cross-entropy",
        Loss::Mse { .. } => "mean squared error",
        Loss::BinaryCrossEntropy => "binary cross-entropy",
    };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{}: {} parameters in {} layers, loss {loss}; {} samples, {}, {}\n",
        args.problem.net.display(),
        network.parameter_count(),
        network.blocks().len(),
        problem.samples(),
        T::NAME,
        exec.description(),
    );
    let _ = writeln!(
        text,
        "{:<14} {:<10} {:>12} {:>9} {:>10} {:>11} {:>9} {:>10}",
        "layer",
        "kind",
        "outputs×in+1",
        "positions",
        "parameters",
        "condition",
        "eff. rank",
        "largest λ"
    );
    for (b, block) in network.blocks().iter().enumerate() {
        let kind = match block.kind {
            BlockKind::Linear => "linear",
            BlockKind::Convolution(_) => "conv2d",
            BlockKind::BatchNorm => "batchnorm",
        };
        let factors = collection.factors.as_ref().and_then(|all| all[b].as_ref());
        let spectrum = match factors {
            Some(factors) => {
                let s = layer_summary(exec, block, factors)?;
                let condition = if s.condition.is_finite() {
                    format!("{:.2e}", s.condition)
                } else {
                    "singular".into()
                };
                format!("{condition:>11} {:>9.1} {:>10.2e}", s.effective_rank, s.largest)
            }
            None => format!("{:>11} {:>9} {:>10}", "-", "-", "-"),
        };
        let _ = writeln!(
            text,
            "{:<14} {kind:<10} {:>12} {:>9} {:>10} {spectrum}",
            block.name,
            format!("{}×{}", block.rows, block.cols),
            block.positions,
            block.len(),
        );
    }
    if collection.factors.is_some() {
        text.push_str("condition, effective rank exp(entropy) and largest λ are those of G ⊗ A\n");
    }
    let _ = writeln!(text, "\n{:<32} {:>9} {:>11}", "quantity", "seconds", "size");
    for cost in &collection.costs {
        let size = human(cost.bytes as u64);
        let _ =
            writeln!(text, "{:<32} {:>9.3} {size:>11}", cost.quantity.to_string(), cost.seconds);
    }
    let _ = writeln!(
        text,
        "\n{} tensors in {} ({seconds:.2} s in all)",
        collection.tensors.tensors.len(),
        args.out.display(),
    );
    if let Some(gpu) = engine.gpu() {
        let t = gpu.traffic();
        let _ = writeln!(
            text,
            "device: {} kernels, {} copies to it ({}), {} back ({})",
            t.launches,
            t.uploads,
            human(t.uploaded_bytes),
            t.downloads,
            human(t.downloaded_bytes),
        );
    }
    Ok(text)
}
