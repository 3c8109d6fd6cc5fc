//! `relfisher evolution`: eigenspaces and the nearness of curvature matrices over a training run.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::curvature::memory;
use super::problem::{Dtype, Loaded, ProblemArgs};
use super::say;
use super::spectrum::progress;
use crate::Scalar;
use crate::error::Error;
use crate::evolution::{Evolution, EvolutionRecord, Options};
use crate::format::{check_writable_folder, load_parameters};
use crate::spectrum::ExtremalOptions;

/// Eigenspaces of the Gauss–Newton matrix, the Hessian and the empirical Fisher matrix over a training
/// run, the gradient in them, and how near the three matrices are to each other.
///
/// --weights is a folder of weights whose names end in the number of steps, such as
/// OUT/snapshots/RUN of `relfisher train --diagnose`. Writes subspaces.csv, eigenvalues.csv,
/// comparison.csv and pictures (SVG and PNG). The cost of a point grows with --samples, --eigenvalues
/// and --probes times the number of layers; see --from to leave points out.
#[derive(Debug, Args)]
pub(super) struct EvolutionArgs {
    #[command(flatten)]
    problem: ProblemArgs,
    /// The dimension of the top eigenspaces; the number of outputs by default.
    #[arg(long, value_name = "K", value_parser = super::number::at_least_one)]
    top: Option<usize>,
    /// How many of the largest eigenvalues; two more than --top by default.
    #[arg(long, value_name = "K", value_parser = super::number::at_least_one)]
    eigenvalues: Option<usize>,
    /// Random vectors of a comparison: its standard error falls with their root; layers of no more
    /// parameters are compared exactly, and 0 compares nothing.
    #[arg(long, value_name = "N", default_value_t = 8)]
    probes: usize,
    /// The residual of an eigenvalue, relative to the largest.
    #[arg(long, value_name = "SHARE", default_value_t = 1e-4)]
    tolerance: f64,
    /// The most products with each matrix for its eigenvalues, at each point.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = super::number::products)]
    products: usize,
    /// Leave out what lies before so many steps.
    #[arg(long, value_name = "STEP", default_value_t = 0)]
    from: usize,
    /// Seed of the random vectors.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Precision.
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    dtype: Dtype,
    /// The most memory that the analysis may need, in GiB; nine tenths of what is free by default.
    #[arg(long, value_name = "GIB")]
    memory: Option<f64>,
    /// The folder to write.
    #[arg(long, value_name = "DIR", default_value = "runs/evolution")]
    out: PathBuf,
    /// No progress and no summary; errors only.
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(args: &EvolutionArgs) -> Result<ExitCode, Error> {
    match args.dtype {
        Dtype::F32 => measure::<f32>(args),
        Dtype::F64 => measure::<f64>(args),
    }
}

/// The weights of the folder, by steps.
fn snapshots(folder: &Path, from: usize) -> Result<Vec<(usize, PathBuf)>, Error> {
    let mut found = Vec::new();
    let entries =
        std::fs::read_dir(folder).map_err(|e| Error::io(folder, "list the folder", &e))?;
    for entry in entries {
        let path = entry.map_err(|e| Error::io(folder, "list the folder", &e))?.path();
        let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let digits = stem.len() - stem.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let step = stem[stem.len() - digits..].parse();
        if path.extension().is_some_and(|e| e == "safetensors")
            && !stem.starts_with('.')
            && let Ok(step) = step
            && step >= from
        {
            found.push((step, path));
        }
    }
    found.sort();
    if found.is_empty() {
        let problem = format!("holds no weights named after {from} or more steps");
        let remedy = "give OUT/snapshots/RUN of `relfisher train --diagnose`";
        return Err(Error::input(folder.display(), "", problem, remedy));
    }
    Ok(found)
}

fn measure<T: Scalar>(args: &EvolutionArgs) -> Result<ExitCode, Error> {
    let limit = memory(args.memory)?;
    let found = snapshots(&args.problem.weights, args.from)?;
    check_writable_folder(&args.out)?;
    let first = found.first().map(|(_, path)| path.clone()).unwrap_or_default();
    let mut loaded =
        Loaded::<T>::read(&ProblemArgs { weights: first, ..args.problem.clone() }, None)?;
    let top = args.top.unwrap_or(loaded.network.outputs());
    let defaults = ExtremalOptions::default();
    let options = Options {
        top,
        eigenvalues: args.eigenvalues.unwrap_or(top.saturating_add(2)).max(top),
        probes: args.probes,
        extremal: ExtremalOptions {
            tolerance: args.tolerance,
            max_products: args.products,
            seed: args.seed,
            ..defaults
        },
    };
    let engine = args.problem.engine()?;
    let executor = engine.executor::<T>();
    let problem = loaded.problem(executor)?;
    problem.need_targets("evolution")?;
    let needed = Evolution::required_len(&problem, &options);
    let instead = "ask for a smaller --top or fewer --eigenvalues, or give a smaller --batch";
    limit.unwrap_or_default().check("evolution", needed, size_of::<T>(), instead)?;
    let mut evolution = Evolution::<T>::new(options)?;
    let title = args.problem.weights.file_name().map(|n| n.to_string_lossy().into_owned());
    let mut record = EvolutionRecord {
        title: title.unwrap_or_default(),
        top,
        layers: loaded.network.blocks().iter().map(|b| b.name.clone()).collect(),
        points: Vec::new(),
    };
    std::fs::create_dir_all(&args.out).map_err(|e| Error::io(&args.out, "create", &e))?;
    let bar = progress(args.quiet);
    let mut text = heading(&record);
    for (i, (step, path)) in found.iter().enumerate() {
        loaded.parameters = load_parameters(&loaded.network, path)?;
        let problem = loaded.problem(executor)?;
        let mut outcome = None;
        executor.install(&mut || {
            let mut report = |what: &str, products: usize| {
                let place = format!("{} of {}, step {step}", i + 1, found.len());
                bar.set_message(format!("{place}: {what}, {products} products"));
            };
            outcome = Some(evolution.measure(&problem, *step, &mut report));
        });
        let Some(point) = outcome.transpose().map_err(|e| engine.explain(e))? else { continue };
        record.points.push(point);
        line(&mut text, &record);
        record.write_tables(&args.out)?;
    }
    bar.finish_and_clear();
    let mut files = record.write_tables(&args.out)?;
    files.extend(record.draw(&args.out)?);
    if !args.quiet {
        text.push('\n');
        for file in files {
            let _ = writeln!(text, "{}", file.display());
        }
        say(&text);
    }
    Ok(ExitCode::SUCCESS)
}

fn heading(record: &EvolutionRecord) -> String {
    format!(
        "top {} eigenvectors; ggn: Fisher/Gauss-Newton, hess: Hessian, ef: empirical Fisher\n\n\
         {:>7} {:>9}  share of the gradient   overlap with before     ef against ggn\n\
         {:>7} {:>9} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>9} {:>7} {:>8}\n",
        record.top,
        "",
        "",
        "step",
        "loss",
        "ggn",
        "hess",
        "ef",
        "ggn",
        "hess",
        "ef",
        "rel. err",
        "cosine",
        "overlap",
    )
}

/// The last point of the record.
fn line(text: &mut String, record: &EvolutionRecord) {
    let Some(point) = record.points.last() else { return };
    let _ = write!(text, "{:>7} {:>9.5}", point.step, point.loss);
    for space in &point.spaces {
        let _ = write!(text, " {:>7.4}", space.gradient_share);
    }
    for space in &point.spaces {
        let _ = write!(text, " {:>7.4}", space.overlap_previous);
    }
    let whole = point.comparisons.iter().find(|c| c.block.is_none());
    let (error, cosine) =
        whole.map_or((f64::NAN, f64::NAN), |c| (c.relative_error.value, c.cosine.value));
    let overlap = point.overlaps.first().map_or(f64::NAN, |o| o.2);
    let unfinished = if point.spaces.iter().all(|s| s.complete) { "" } else { "  not converged" };
    let _ = writeln!(text, " {error:>9.4} {cosine:>7.4} {overlap:>8.4}{unfinished}");
}
