//! `relfisher prune`: accuracy against sparsity by magnitude and by curvature.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, ValueEnum};

use super::curvature::{memory, progress};
use super::problem::{Dtype, Loaded, ProblemArgs};
use super::say;
use crate::Scalar;
use crate::curvature::Problem;
use crate::error::Error;
use crate::format::{check_writable_folder, save_parameters, write_bytes};
use crate::network::Parameters;
use crate::plot::{LineAxis, LinePlot, Scale, Series, lines};
use crate::prune::{Mask, Method, Options, Scope, prune};

/// Remove weights of a trained network, without training again, and see what is left of it: by
/// magnitude, optimal brain damage, optimal brain surgeon with K-FAC, WoodFisher.
///
/// Writes prune.csv, a picture (SVG and PNG) and the weights of every method and sparsity
/// (METHOD-SPARSITY.safetensors).
#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    #[command(flatten)]
    problem: ProblemArgs,
    /// The methods, comma-separated: magnitude, obd, obs-kfac, woodfisher.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "magnitude,obd,obs-kfac,woodfisher"
    )]
    method: Vec<String>,
    /// The shares of the weights to remove, rising, comma-separated.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "0.2,0.4,0.5,0.6,0.7,0.8,0.9,0.95"
    )]
    sparsity: Vec<f64>,
    /// Whether each sparsity starts from the one before, with curvature measured again, or from the
    /// whole network.
    #[arg(long, value_name = "WHICH", default_value = "gradual")]
    schedule: Schedule,
    /// Among which weights the cheapest are looked for.
    #[arg(long, value_name = "WHICH", default_value = "network")]
    scope: ScopeArg,
    /// The damping λ of the inverses.
    #[arg(long, value_name = "λ", default_value_t = 1e-4)]
    damping: f64,
    /// The parameters of a block of WoodFisher.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = super::number::at_least_one)]
    block: usize,
    /// The samples whose gradients WoodFisher takes, from the first on.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = super::number::at_least_one)]
    gradients: usize,
    /// Other samples to judge the networks by, as --inputs.
    #[arg(long, value_name = "FILE", requires = "test_targets")]
    test_inputs: Option<PathBuf>,
    /// What their outputs should be, as --targets.
    #[arg(long, value_name = "FILE", requires = "test_inputs")]
    test_targets: Option<PathBuf>,
    /// Precision.
    #[arg(long, value_name = "TYPE", default_value = "f64")]
    dtype: Dtype,
    /// The most memory that a method may need, in GiB; nine tenths of what is free by default.
    #[arg(long, value_name = "GIB")]
    memory: Option<f64>,
    /// The folder to write.
    #[arg(long, value_name = "DIR", default_value = "runs/prune")]
    out: PathBuf,
    /// No progress and no summary; errors only.
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Schedule {
    /// From the sparsity before.
    Gradual,
    /// From the whole network.
    OneShot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ScopeArg {
    /// All weights.
    Network,
    /// Each layer on its own.
    Layer,
}

/// How good a network is on a data set.
#[derive(Clone, Copy)]
struct Judged {
    loss: f64,
    accuracy: Option<f64>,
}

/// The network at one sparsity.
struct Point {
    method: Option<Method>,
    sparsity: f64,
    removed: usize,
    predicted: Option<f64>,
    train: Judged,
    test: Option<Judged>,
    seconds: f64,
}

pub(super) fn run(args: &PruneArgs) -> Result<ExitCode, Error> {
    match args.dtype {
        Dtype::F32 => measure::<f32>(args),
        Dtype::F64 => measure::<f64>(args),
    }
}

fn methods(args: &PruneArgs) -> Result<Vec<Method>, Error> {
    let mut found = Vec::new();
    for text in &args.method {
        let method = text.parse()?;
        if !found.contains(&method) {
            found.push(method);
        }
    }
    Ok(found)
}

/// Rising shares in [0, 1).
fn check_sparsities(shares: &[f64]) -> Result<(), Error> {
    let remedy = "give rising shares of at least 0 and below 1, such as 0.5,0.9";
    for (i, share) in shares.iter().enumerate() {
        if !(0.0..1.0).contains(share) {
            return Err(Error::input("--sparsity", share, "is no such share", remedy));
        }
        if i > 0 && *share <= shares[i - 1] {
            return Err(Error::input("--sparsity", share, "does not rise", remedy));
        }
    }
    Ok(())
}

fn judge<T: Scalar>(problem: &Problem<'_, T>) -> Result<Judged, Error> {
    let targets = problem.need_targets("the loss of a pruned network")?;
    let (mut tape, features, exec) = (problem.tape(), problem.features, problem.executor);
    let report =
        problem.network.evaluate(exec, problem.parameters, &mut tape, features, &targets)?;
    let accuracy = report.correct.map(|count| count as f64 / problem.samples() as f64);
    Ok(Judged { loss: report.mean, accuracy })
}

fn measure<T: Scalar>(args: &PruneArgs) -> Result<ExitCode, Error> {
    let methods = methods(args)?;
    check_sparsities(&args.sparsity)?;
    let memory = memory(args.memory)?.unwrap_or_default();
    check_writable_folder(&args.out)?;
    let loaded = Loaded::<T>::read(&args.problem, None)?;
    let test = match (&args.test_inputs, &args.test_targets) {
        (Some(inputs), Some(targets)) => {
            let (inputs, targets) = (inputs.clone(), Some(targets.clone()));
            let args = ProblemArgs { inputs, targets, samples: None, ..args.problem.clone() };
            Some(Loaded::<T>::read(&args, None)?)
        }
        _ => None,
    };
    let engine = args.problem.engine()?;
    let executor = engine.executor::<T>();
    let problem = loaded.problem(executor)?;
    problem.need_targets("prune")?;
    let test = test.as_ref().map(|loaded| loaded.problem(executor)).transpose()?;
    let bar = progress(methods.len() * args.sparsity.len(), args.quiet);
    let watch = |done: usize, what: &str| bar.set_message(format!("{done} {what}"));
    let problem = Problem { watch: Some(&watch), ..problem };
    let mut outcome = Ok((Vec::new(), Vec::new()));
    executor.install(&mut || {
        let options = |method| Options {
            method,
            scope: match args.scope {
                ScopeArg::Network => Scope::Network,
                ScopeArg::Layer => Scope::Layer,
            },
            damping: args.damping,
            block: args.block,
            gradients: args.gradients,
            memory,
        };
        let mut step = |method: Method| {
            bar.set_prefix(method.to_string());
            bar.inc(1);
        };
        outcome = sweep(args, (&problem, test.as_ref()), &methods, &options, &mut step);
    });
    bar.finish_and_clear();
    let (points, networks) = outcome.map_err(|e| engine.explain(e))?;
    let files = write(args, &loaded, &points, &networks)?;
    if !args.quiet {
        let mut text = summary(args, &loaded, &points);
        for file in files {
            let _ = writeln!(text, "{}", file.display());
        }
        say(&text);
    }
    Ok(ExitCode::SUCCESS)
}

type Networks<T> = Vec<(String, Parameters<T>)>;

/// Every method at every sparsity, after the whole network.
fn sweep<T: Scalar>(
    args: &PruneArgs,
    (problem, test): (&Problem<'_, T>, Option<&Problem<'_, T>>),
    methods: &[Method],
    options: &dyn Fn(Method) -> Options,
    step: &mut dyn FnMut(Method),
) -> Result<(Vec<Point>, Networks<T>), Error> {
    let report = |parameters: &Parameters<T>| -> Result<_, Error> {
        let train = judge(&Problem { parameters, ..*problem })?;
        let test = test.map(|test| judge(&Problem { parameters, ..*test })).transpose()?;
        Ok((train, test))
    };
    let (train, on_test) = report(problem.parameters)?;
    let mut points = vec![Point {
        method: None,
        sparsity: 0.0,
        removed: 0,
        predicted: None,
        train,
        test: on_test,
        seconds: 0.0,
    }];
    let mut networks = Vec::new();
    for &method in methods {
        let mut mask = Mask::new(problem.network);
        let mut current = problem.parameters.clone();
        for &sparsity in &args.sparsity {
            let started = Instant::now();
            if args.schedule == Schedule::OneShot {
                mask = Mask::new(problem.network);
                current = problem.parameters.clone();
            }
            let now = Problem { parameters: &current, ..*problem };
            let pruned = prune(&now, &mut mask, sparsity, &options(method))
                .map_err(|e| e.at(format_args!("{method}, sparsity {sparsity}")))?;
            current.values = pruned.values;
            let seconds = started.elapsed().as_secs_f64();
            let (train, test) = report(&current)?;
            let (removed, predicted) = (mask.removed(), pruned.predicted);
            networks.push((format!("{method}-{sparsity}.safetensors"), current.clone()));
            step(method);
            let method = Some(method);
            points.push(Point { method, sparsity, removed, predicted, train, test, seconds });
        }
    }
    Ok((points, networks))
}

fn write<T: Scalar>(
    args: &PruneArgs,
    loaded: &Loaded<T>,
    points: &[Point],
    networks: &[(String, Parameters<T>)],
) -> Result<Vec<PathBuf>, Error> {
    let dir = &args.out;
    std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, "create", &e))?;
    for (name, parameters) in networks {
        save_parameters(&loaded.network, parameters, &dir.join(name))?;
    }
    let file = dir.join("prune.csv");
    write_bytes(&file, csv(points).as_bytes())?;
    let mut files = vec![file];
    files.extend(draw(points, dir)?);
    Ok(files)
}

fn name(point: &Point) -> &'static str {
    point.method.map_or("whole", Method::name)
}

fn csv(points: &[Point]) -> String {
    let mut text = String::from(
        "method,sparsity,removed,predicted_increase,train_loss,train_accuracy,test_loss,test_accuracy,seconds\n",
    );
    let number = |x: Option<f64>| x.map_or(String::new(), |x| x.to_string());
    for p in points {
        let (test, test_accuracy) = (p.test.map(|t| t.loss), p.test.and_then(|t| t.accuracy));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{},{},{:.3}",
            name(p),
            p.sparsity,
            p.removed,
            number(p.predicted),
            p.train.loss,
            number(p.train.accuracy),
            number(test),
            number(test_accuracy),
            p.seconds
        );
    }
    text
}

/// Accuracy (of a network without classes the loss) against sparsity, on the test samples where there
/// are some.
fn draw(points: &[Point], dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let judged = |p: &Point| p.test.unwrap_or(p.train);
    let (has_classes, tested) =
        points.first().map_or((false, false), |p| (p.train.accuracy.is_some(), p.test.is_some()));
    let value = |p: &Point| {
        let judged = judged(p);
        if has_classes { judged.accuracy.unwrap_or(f64::NAN) } else { judged.loss }
    };
    let start = points.iter().find(|p| p.method.is_none()).map(|p| (0.0, value(p)));
    let series: Vec<Series> = Method::ALL
        .into_iter()
        .map(|method| {
            let own = points.iter().filter(|p| p.method == Some(method));
            let dots: Vec<(f64, f64)> = own.map(|p| (p.sparsity, value(p))).collect();
            let points = start.into_iter().chain(dots.iter().copied()).collect();
            Series { label: method.to_string(), points, dots }
        })
        .filter(|series| !series.dots.is_empty())
        .collect();
    let label = match (has_classes, tested) {
        (true, true) => "test accuracy",
        (true, false) => "train accuracy",
        (false, true) => "test loss",
        (false, false) => "train loss",
    };
    let scale = if has_classes { Scale::Linear } else { Scale::Logarithmic };
    let plot = LinePlot {
        title: "Pruning by magnitude and by curvature",
        subtitle: "without training again",
        x: LineAxis { label: "share of weights removed", scale: Scale::Linear, range: None },
        y: LineAxis { label, scale, range: has_classes.then_some((0.0, 1.0)) },
        series: &series,
    };
    lines(&plot, dir, "prune")
}

fn summary<T: Scalar>(args: &PruneArgs, loaded: &Loaded<T>, points: &[Point]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{}: {} of {} parameters can be removed, {}\n\n{:<12} {:>8} {:>10} {:>12} {:>10} {:>9} {:>10} {:>9} {:>8}",
        args.problem.net.display(),
        Mask::new(&loaded.network).prunable(),
        loaded.network.parameter_count(),
        T::NAME,
        "method",
        "sparsity",
        "removed",
        "pred. incr.",
        "loss",
        "accuracy",
        "test loss",
        "accuracy",
        "seconds",
    );
    let share = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.4}"));
    for p in points {
        let predicted = p.predicted.map_or("-".to_owned(), |x| format!("{x:.3e}"));
        let _ = writeln!(
            text,
            "{:<12} {:>8} {:>10} {predicted:>12} {:>10.4} {:>9} {:>10} {:>9} {:>8.2}",
            name(p),
            p.sparsity,
            p.removed,
            p.train.loss,
            share(p.train.accuracy),
            share(p.test.map(|t| t.loss)),
            share(p.test.and_then(|t| t.accuracy)),
            p.seconds,
        );
    }
    text.push('\n');
    text
}
