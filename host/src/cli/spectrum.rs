//! `relfisher spectrum`: eigenvalues and spectral density of a whole-network matrix.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::curvature::memory;
use super::problem::{Dtype, Loaded, ProblemArgs};
use super::say;
use crate::Scalar;
use crate::curvature::{Matrix, NetworkOperator};
use crate::error::Error;
use crate::format::check_writable_folder;
use crate::spectrum::{
    Analysis, DensityOptions, EndRecord, ExtremalOptions, Progress, SpectrumRecord, Stage, Subject,
    analyse,
};

/// Eigenvalues of the Gauss–Newton matrix, the Hessian or the empirical Fisher matrix of a whole
/// network, and the density of all of them.
///
/// Writes spectrum.json and, with --density, spectrum.csv and a picture (SVG and PNG).
#[derive(Debug, Args)]
pub(super) struct SpectrumArgs {
    #[command(flatten)]
    problem: ProblemArgs,
    /// The matrix.
    #[arg(long, value_name = "MATRIX", default_value = "ggn")]
    operator: Operator,
    /// How many of the largest eigenvalues.
    #[arg(long, value_name = "K", default_value_t = 10)]
    top: usize,
    /// How many of the smallest eigenvalues.
    #[arg(long, value_name = "K", default_value_t = 0)]
    bottom: usize,
    /// Also estimate the density by stochastic Lanczos quadrature, and draw it.
    #[arg(long)]
    density: bool,
    /// Random vectors of the density.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = super::number::at_least_one)]
    probes: usize,
    /// Lanczos steps from each random vector.
    #[arg(long, value_name = "N", default_value_t = 80, value_parser = super::number::at_least_one)]
    steps: usize,
    /// The most products with the matrix for each end of the spectrum.
    #[arg(long, value_name = "N", value_parser = super::number::at_least_one)]
    products: Option<usize>,
    /// Seed of the random vectors.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Precision.
    #[arg(long, value_name = "TYPE", default_value = "f64")]
    dtype: Dtype,
    /// The most memory that the analysis may need, in GiB; nine tenths of what is free by default.
    #[arg(long, value_name = "GIB")]
    memory: Option<f64>,
    /// The folder to write.
    #[arg(long, value_name = "DIR", default_value = "runs/spectrum")]
    out: PathBuf,
    /// No progress and no summary; errors only.
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Operator {
    /// The generalised Gauss–Newton matrix.
    Ggn,
    /// The Hessian.
    Hess,
    /// The empirical Fisher matrix.
    Ef,
}

impl Operator {
    fn matrix(self) -> Matrix {
        match self {
            Operator::Ggn => Matrix::Ggn,
            Operator::Hess => Matrix::Hessian,
            Operator::Ef => Matrix::EmpiricalFisher,
        }
    }
}

pub(super) fn run(args: &SpectrumArgs) -> Result<ExitCode, Error> {
    match args.dtype {
        Dtype::F32 => measure::<f32>(args),
        Dtype::F64 => measure::<f64>(args),
    }
}

fn measure<T: Scalar>(args: &SpectrumArgs) -> Result<ExitCode, Error> {
    if args.top == 0 && args.bottom == 0 && !args.density {
        let remedy = "give --top, --bottom or --density";
        return Err(Error::input("", "spectrum", "nothing to compute", remedy));
    }
    let limit = memory(args.memory)?;
    check_writable_folder(&args.out)?;
    let loaded = Loaded::<T>::read(&args.problem, None)?;
    let engine = args.problem.engine()?;
    let executor = engine.executor::<T>();
    let problem = loaded.problem(executor)?;
    let matrix = args.operator.matrix();
    let defaults = ExtremalOptions::default();
    let density = DensityOptions { probes: args.probes, steps: args.steps, seed: args.seed };
    let analysis = Analysis {
        largest: args.top,
        smallest: args.bottom,
        extremal: ExtremalOptions {
            max_products: args.products.unwrap_or(defaults.max_products),
            seed: args.seed,
            ..defaults
        },
        density: args.density.then_some(density),
    };
    let needed = NetworkOperator::required_len(&problem, matrix)
        .saturating_add(analysis.required_len(loaded.network.parameter_count()));
    let instead = "ask for fewer eigenvalues or --steps, or give a smaller --batch";
    limit.unwrap_or_default().check("spectrum", needed, size_of::<T>(), instead)?;
    let mut operator = NetworkOperator::new(&problem, matrix)?;
    let bar = progress(args.quiet);
    let mut outcome = None;
    executor.install(&mut || {
        let mut report = |stage: Stage, p: &Progress| show(&bar, stage, p);
        outcome = Some(analyse(&mut operator, executor, &analysis, &mut report));
    });
    bar.finish_and_clear();
    let Some(spectrum) = outcome.transpose().map_err(|e| engine.explain(e))? else {
        return Ok(ExitCode::SUCCESS);
    };
    let subject = Subject {
        operator: matrix.name().to_owned(),
        samples: problem.samples(),
        source: json!({
            "net": args.problem.net, "weights": args.problem.weights,
            "inputs": args.problem.inputs, "targets": args.problem.targets, "seed": args.seed,
        }),
        threads: executor.threads(),
    };
    let record = SpectrumRecord::new(subject, &spectrum, analysis.density)?;
    std::fs::create_dir_all(&args.out).map_err(|e| Error::io(&args.out, "create", &e))?;
    let files = record.write(&args.out)?;
    if !args.quiet {
        let mut text = summary(&record);
        for file in files {
            let _ = writeln!(text, "{}", file.display());
        }
        say(&text);
    }
    Ok(ExitCode::SUCCESS)
}

/// A spinner that shows itself on a terminal only.
pub(super) fn progress(quiet: bool) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if quiet {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn show(bar: &ProgressBar, stage: Stage, p: &Progress) {
    let (what, unit) = match stage {
        Stage::Largest => ("largest eigenvalues", "converged"),
        Stage::Smallest => ("smallest eigenvalues", "converged"),
        Stage::Density => ("density", "probes done"),
    };
    bar.set_message(format!("{what}: {} products, {} of {} {unit}", p.products, p.done, p.wanted));
}

fn summary(record: &SpectrumRecord) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} of {} parameters over {} samples, {}\n",
        record.operator, record.dimension, record.samples, record.dtype
    );
    let ends: [(&str, &Option<EndRecord>); 2] =
        [("largest", &record.largest), ("smallest", &record.smallest)];
    for (which, end) in ends {
        let Some(end) = end else { continue };
        let _ = writeln!(text, "{which:<10} {:>24} {:>12}", "eigenvalue", "residual");
        for (i, (value, residual)) in end.eigenvalues.iter().zip(&end.residuals).enumerate() {
            let _ = writeln!(text, "{:<10} {value:>24.14e} {residual:>12.2e}", i + 1);
        }
        let state = if end.complete {
            "all converged"
        } else {
            "NOT all converged: the residuals say how good each is; give more --products"
        };
        let _ = writeln!(text, "{} products, {:.2} s, {state}\n", end.products, end.seconds);
    }
    if let Some(density) = &record.density {
        let _ = writeln!(
            text,
            "density: trace {:.4e} ± {:.1e}, {} products, {:.2} s\n",
            density.trace.mean, density.trace.standard_error, density.products, density.seconds
        );
    }
    text
}
