//! `relfisher laplace`: the posterior of the parameters, its evidence, draws and predictions.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::curvature::{memory, progress};
use super::problem::{Dtype, Loaded, ProblemArgs};
use super::say;
use crate::Scalar;
use crate::curvature::{Memory, Problem};
use crate::error::Error;
use crate::format::{TensorFile, check_writable_folder, write_bytes};
use crate::laplace::{EvidenceCurve, Posterior, Prediction, Quality, Structure, evidence};
use crate::plot::{LineAxis, LinePlot, Scale, Series, lines};
use crate::random;

/// The Laplace approximation of the posterior of a network's parameters: log-marginal likelihood over
/// the prior precision, draws, and the variance of the outputs on other samples.
///
/// Writes laplace.json, laplace.csv, a picture (SVG and PNG) and, with --draws or --predict,
/// laplace.safetensors.
#[derive(Debug, Args)]
pub(super) struct LaplaceArgs {
    #[command(flatten)]
    problem: ProblemArgs,
    /// What the Gauss–Newton matrix is approximated by, comma-separated: diag, kron, ekfac, lowrank:K
    /// (the K largest eigenpairs), full.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "diag,kron")]
    structure: Vec<String>,
    /// The precision τ of the Gaussian prior of every parameter; the one of the largest log-marginal
    /// likelihood by default.
    #[arg(long, value_name = "τ")]
    prior_precision: Option<f64>,
    /// Samples to predict, as --inputs.
    #[arg(long, value_name = "FILE")]
    predict: Option<PathBuf>,
    /// What their outputs should be, as --targets.
    #[arg(long, value_name = "FILE", requires = "predict")]
    predict_targets: Option<PathBuf>,
    /// The first N of them only; all by default.
    #[arg(long, value_name = "N", requires = "predict", value_parser = super::number::at_least_one)]
    predict_samples: Option<usize>,
    /// Draws from each posterior to write.
    #[arg(long, value_name = "K", default_value_t = 0)]
    draws: usize,
    /// Seed of the draws.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Precision of the numbers.
    #[arg(long, value_name = "TYPE", default_value = "f64")]
    dtype: Dtype,
    /// The most memory that a structure may need, in GiB; nine tenths of what is free by default.
    #[arg(long, value_name = "GIB")]
    memory: Option<f64>,
    /// The folder to write.
    #[arg(long, value_name = "DIR", default_value = "runs/laplace")]
    out: PathBuf,
    /// No progress and no summary; errors only.
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(args: &LaplaceArgs) -> Result<ExitCode, Error> {
    match args.dtype {
        Dtype::F32 => measure::<f32>(args),
        Dtype::F64 => measure::<f64>(args),
    }
}

/// What came out for one structure.
struct Outcome {
    structure: Structure,
    curve: EvidenceCurve,
    precision: f64,
    log_marginal: f64,
    effective: f64,
    quality: Option<(Quality, Quality)>,
    deviation: Option<f64>,
    seconds: f64,
}

fn structures(args: &LaplaceArgs) -> Result<Vec<Structure>, Error> {
    let mut found = Vec::new();
    for text in &args.structure {
        let structure = text.parse()?;
        if !found.contains(&structure) {
            found.push(structure);
        }
    }
    Ok(found)
}

fn measure<T: Scalar>(args: &LaplaceArgs) -> Result<ExitCode, Error> {
    let structures = structures(args)?;
    if let Some(tau) = args.prior_precision
        && !(tau > 0.0 && tau.is_finite() && T::from_f64(tau) > T::ZERO)
    {
        let remedy = "use 1, say, or leave it out";
        return Err(Error::input("--prior-precision", tau, "is not a positive number", remedy));
    }
    let memory = memory(args.memory)?.unwrap_or_default();
    check_writable_folder(&args.out)?;
    let loaded = Loaded::<T>::read(&args.problem, None)?;
    let other = match &args.predict {
        None => None,
        Some(inputs) => {
            let args = ProblemArgs {
                inputs: inputs.clone(),
                targets: args.predict_targets.clone(),
                samples: args.predict_samples,
                ..args.problem.clone()
            };
            Some(Loaded::<T>::read(&args, None)?)
        }
    };
    let engine = args.problem.engine()?;
    let executor = engine.executor::<T>();
    let problem = loaded.problem(executor)?;
    problem.need_targets("log-marginal likelihood")?;
    let other = other.as_ref().map(|loaded| loaded.problem(executor)).transpose()?;
    let bar = progress(structures.len(), args.quiet);
    let watch = |done: usize, what: &str| bar.set_message(format!("{done} {what}"));
    let problem = Problem { watch: Some(&watch), ..problem };
    let mut outcome: Result<(Vec<Outcome>, TensorFile<T>), Error> =
        Ok((Vec::new(), TensorFile::new()));
    executor.install(&mut || {
        outcome = all(args, (&problem, other.as_ref()), (&structures, memory), &bar);
    });
    bar.finish_and_clear();
    let (outcomes, tensors) = outcome.map_err(|e| engine.explain(e))?;
    let files = write(args, &loaded, &outcomes, &tensors)?;
    if !args.quiet {
        let mut text = summary(args, &loaded, &outcomes);
        for file in files {
            let _ = writeln!(text, "{}", file.display());
        }
        say(&text);
    }
    Ok(ExitCode::SUCCESS)
}

/// Every structure, one after the other.
fn all<T: Scalar>(
    args: &LaplaceArgs,
    problems: (&Problem<'_, T>, Option<&Problem<'_, T>>),
    (structures, memory): (&[Structure], Memory),
    bar: &ProgressBar,
) -> Result<(Vec<Outcome>, TensorFile<T>), Error> {
    let (mut outcomes, mut tensors) = (Vec::new(), TensorFile::new());
    for structure in structures {
        bar.set_prefix(structure.to_string());
        outcomes.push(one(args, problems, (*structure, memory), &mut tensors)?);
        bar.inc(1);
    }
    Ok((outcomes, tensors))
}

fn one<T: Scalar>(
    args: &LaplaceArgs,
    (problem, other): (&Problem<'_, T>, Option<&Problem<'_, T>>),
    (structure, memory): (Structure, Memory),
    tensors: &mut TensorFile<T>,
) -> Result<Outcome, Error> {
    let started = Instant::now();
    let (network, exec) = (problem.network, problem.executor);
    let evidence = evidence(problem)?;
    let posterior = Posterior::measure(problem, structure, memory)?;
    let curve = posterior.evidence_curve(&evidence)?;
    let precision = args.prior_precision.unwrap_or(curve.best);
    let prediction = other.map(|other| posterior.predict(other, precision)).transpose()?;
    let (mut quality, mut deviation) = (None, None);
    if let (Some(other), Some(prediction)) = (other, &prediction) {
        let c = network.outputs();
        if other.targets.is_some() {
            quality = Some(prediction.quality(other)?);
        }
        let variances = prediction.variances(c);
        let sum: f64 = variances.iter().map(|v| v.to_f64().max(0.0).sqrt()).sum();
        deviation = Some(sum / variances.len().max(1) as f64);
        let Prediction { outputs, covariance } = prediction;
        let n = other.samples();
        tensors.insert("outputs".to_owned(), &[n, c], outputs.clone());
        tensors.insert(format!("{structure}.covariance"), &[n, c, c], covariance.clone());
    }
    let mut draws: Vec<Vec<T>> = Vec::new();
    for k in 0..args.draws {
        let mut rng = random::stream(args.seed, k as u64, "laplace");
        let mean = (&problem.parameters.values[..], precision);
        draws.push(posterior.draw(exec, network, mean, &mut rng)?);
    }
    if !draws.is_empty() {
        for block in network.blocks() {
            let values = draws.iter().flat_map(|draw| &draw[block.range()]).copied().collect();
            let shape = [draws.len(), block.rows, block.cols];
            tensors.insert(format!("{structure}.draw.{}", block.name), &shape, values);
        }
    }
    Ok(Outcome {
        structure,
        precision,
        log_marginal: posterior.log_marginal(&evidence, precision)?,
        effective: posterior.effective_parameters(precision)?,
        curve,
        quality,
        deviation,
        seconds: started.elapsed().as_secs_f64(),
    })
}

fn write<T: Scalar>(
    args: &LaplaceArgs,
    loaded: &Loaded<T>,
    outcomes: &[Outcome],
    tensors: &TensorFile<T>,
) -> Result<Vec<PathBuf>, Error> {
    let dir = &args.out;
    std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, "create", &e))?;
    let mut files = Vec::new();
    if !tensors.tensors.is_empty() {
        files.push(dir.join("laplace.safetensors"));
        tensors.save(&dir.join("laplace.safetensors"))?;
    }
    let quality = |q: &Quality| json!({ "nll": q.nll, "accuracy": q.accuracy });
    let one = |o: &Outcome| {
        json!({
            "structure": o.structure.to_string(),
            "prior_precision": o.precision,
            "log_marginal_likelihood": o.log_marginal,
            "effective_parameters": o.effective,
            "best_prior_precision": o.curve.best,
            "best_log_marginal_likelihood": o.curve.best_value,
            "mean_output_deviation": o.deviation,
            "network": o.quality.as_ref().map(|q| quality(&q.0)),
            "predictive": o.quality.as_ref().map(|q| quality(&q.1)),
            "seconds": o.seconds,
        })
    };
    let record = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "net": args.problem.net, "weights": args.problem.weights, "inputs": args.problem.inputs,
        "targets": args.problem.targets, "predict": args.predict, "seed": args.seed,
        "dtype": T::NAME, "parameters": loaded.network.parameter_count(),
        "structures": outcomes.iter().map(one).collect::<Vec<Value>>(),
    });
    files.push(dir.join("laplace.json"));
    write_bytes(&dir.join("laplace.json"), format!("{record:#}\n").as_bytes())?;
    files.push(dir.join("laplace.csv"));
    write_bytes(&dir.join("laplace.csv"), csv(outcomes).as_bytes())?;
    files.extend(draw(outcomes, dir)?);
    Ok(files)
}

fn csv(outcomes: &[Outcome]) -> String {
    let mut text = String::from("structure,prior_precision,log_marginal_likelihood\n");
    for o in outcomes {
        for (precision, value) in o.curve.precisions.iter().zip(&o.curve.values) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{},{precision:e},{value}", o.structure);
        }
    }
    text
}

fn draw(outcomes: &[Outcome], dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let series: Vec<Series> = outcomes
        .iter()
        .map(|o| Series {
            label: o.structure.to_string(),
            points: o
                .curve
                .precisions
                .iter()
                .copied()
                .zip(o.curve.values.iter().copied())
                .collect(),
            dots: vec![(o.curve.best, o.curve.best_value)],
        })
        .collect();
    // The fall at both ends hides where the curves differ: the upper part is shown.
    let top = outcomes.iter().map(|o| o.curve.best_value).fold(f64::NEG_INFINITY, f64::max);
    let bottom = outcomes.iter().map(|o| o.curve.best_value).fold(f64::INFINITY, f64::min);
    let span = (top - bottom).max(0.05 * top.abs()).max(1e-3);
    let plot = LinePlot {
        title: "Log-marginal likelihood by the Laplace approximation",
        subtitle: "a dot marks the best prior precision of each structure",
        x: LineAxis { label: "prior precision", scale: Scale::Logarithmic, range: None },
        y: LineAxis {
            label: "log-marginal likelihood",
            scale: Scale::Linear,
            range: Some((bottom - 2.0 * span, top + 0.3 * span)),
        },
        series: &series,
    };
    lines(&plot, dir, "laplace")
}

fn summary<T: Scalar>(args: &LaplaceArgs, loaded: &Loaded<T>, outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{}: {} parameters, {}\n\n{:<12} {:>12} {:>18} {:>12} {:>9}",
        args.problem.net.display(),
        loaded.network.parameter_count(),
        T::NAME,
        "structure",
        "prior prec.",
        "log-marginal l.",
        "effective p.",
        "seconds",
    );
    for o in outcomes {
        let _ = writeln!(
            text,
            "{:<12} {:>12.4e} {:>18.4} {:>12.1} {:>9.2}",
            o.structure.to_string(),
            o.precision,
            o.log_marginal,
            o.effective,
            o.seconds
        );
    }
    let accuracy = |q: &Quality| q.accuracy.map_or("-".to_owned(), |a| format!("{a:.4}"));
    if outcomes.iter().any(|o| o.quality.is_some()) {
        let _ = writeln!(
            text,
            "\n{:<12} {:>12} {:>10} {:>12} {:>10} {:>16}",
            "predictions", "nll", "accuracy", "nll, wide", "accuracy", "mean deviation"
        );
    }
    for o in outcomes {
        let (Some((plain, wide)), Some(deviation)) = (&o.quality, o.deviation) else { continue };
        let _ = writeln!(
            text,
            "{:<12} {:>12.5} {:>10} {:>12.5} {:>10} {deviation:>16.4}",
            o.structure.to_string(),
            plain.nll,
            accuracy(plain),
            wide.nll,
            accuracy(wide),
        );
    }
    text.push('\n');
    text
}
