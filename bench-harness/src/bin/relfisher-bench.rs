//! The benchmarks: `relfisher-bench measure` on the processor, `relfisher-bench gpu` on a device; and
//! what becomes of their records: `report`, `compare`, `readme`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use peak_alloc::PeakAlloc;
use relfisher_bench::case::Group;
use relfisher_bench::record::Dtype;
use relfisher_bench::report::program::{self, CompareOptions, ReadmeOptions, ReportOptions};
use relfisher_bench::report::{Ended, Gate};
use relfisher_bench::{gpu, machine, measure, report, sizes};

/// Counts what a call allocates.
#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

/// Arguments of the program.
#[derive(Parser)]
#[command(name = "relfisher-bench", version, about = "Measures relfisher")]
enum Arguments {
    /// The processor: checks every answer, times it beside the machine's own ceilings and the dense
    /// baseline, counts its memory.
    Measure(Measure),
    /// The executor of a GPU: checks every answer, then times it by the device's events.
    Gpu(gpu::Options),
    /// One HTML page of the newest record, of the history and of GPUs.
    Report(ReportOptions),
    /// The gate: fails when shares of the ceiling, memory or ratios got worse than in a baseline.
    Compare(CompareOptions),
    /// The performance section of the README, from the newest record.
    Readme(ReadmeOptions),
}

/// What to measure, and where to write.
#[derive(clap::Args)]
struct Measure {
    /// Groups; all without one.
    #[arg(value_enum)]
    groups: Vec<Group>,
    /// Elements.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "f32,f64")]
    dtype: Vec<Elements>,
    /// Numbers of threads [default: 1, and 2 where the machine runs two at once].
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    threads: Vec<u16>,
    /// Seconds for the rounds of each candidate.
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    seconds: f64,
    /// The longest call that is tried, in seconds at the machine's ceiling.
    #[arg(long, default_value_t = 10.0, allow_negative_numbers = true)]
    longest: f64,
    /// Only studies whose label contains this text.
    #[arg(long)]
    filter: Option<String>,
    /// One round of calls below 0.3 s: answers are checked, times mean nothing.
    #[arg(long)]
    quick: bool,
    /// Other sizes than the committed ones: a file like `bench-harness/sizes.toml`.
    #[arg(long)]
    sizes: Option<PathBuf>,
    /// Where to write the record as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Compares the run with an earlier record, as `compare` does.
    #[arg(long, value_name = "BASELINE")]
    compare: Option<PathBuf>,
    /// Band and outcome of the comparison.
    #[command(flatten)]
    gate: Gate,
}

/// Elements, as the command line names them.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Elements {
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

/// Bad input: exit status 2.
struct Refused(String);

/// The default: what most machines have, and this one.
fn threads(arguments: &Measure) -> Vec<usize> {
    match arguments.threads.as_slice() {
        [] => (1..=machine::threads().min(2)).collect(),
        given => given.iter().map(|t| usize::from(*t)).collect(),
    }
}

fn options(arguments: &Measure) -> measure::Options {
    let elements = |e: &Elements| match e {
        Elements::F32 => Dtype::F32,
        Elements::F64 => Dtype::F64,
    };
    measure::Options {
        groups: arguments.groups.clone(),
        dtypes: arguments.dtype.iter().map(elements).collect(),
        threads: threads(arguments),
        seconds: arguments.seconds,
        longest: arguments.longest,
        quick: arguments.quick,
        filter: arguments.filter.clone(),
    }
}

/// Everything that can be refused is, before minutes of work.
fn measure(arguments: &Measure) -> Result<ExitCode, Refused> {
    let Measure { gate, compare, out, .. } = arguments;
    gate.check().map_err(Refused)?;
    let read: Vec<PathBuf> = compare.iter().chain(&arguments.sizes).cloned().collect();
    let written = [("--out", out.as_ref()), ("--junit", gate.junit.as_ref())];
    program::outputs(&written, &read).map_err(Refused)?;
    if gate.junit.is_some() && compare.is_none() {
        return Err(Refused(
            "--junit: there is nothing to judge: give --compare BASELINE too".into(),
        ));
    }
    if arguments.quick && compare.is_some() {
        let remedy = "leave one of them out";
        return Err(Refused(format!("--quick --compare: its times mean nothing: {remedy}")));
    }
    let sizes = match &arguments.sizes {
        Some(path) => sizes::read(path).map_err(Refused)?,
        None => sizes::load(),
    };
    let baseline = compare.as_deref().map(report::compare::read).transpose().map_err(Refused)?;
    let options = options(arguments);
    measure::check(&options, &sizes).map_err(Refused)?;
    let record = match measure::measure(&options, &sizes) {
        Ok(record) => record,
        Err(problem) => {
            eprintln!("relfisher-bench: {problem}");
            return Ok(ExitCode::FAILURE);
        }
    };
    print!("{}", record.summary());
    measure::warnings(&record).iter().for_each(|line| println!("warning: {line}"));
    if let Some(out) = out {
        record.write(out).map_err(Refused)?;
    }
    match (&baseline, compare) {
        (Some(baseline), Some(path)) => {
            let name = path.display().to_string();
            let ended = program::judge((&record, "this run"), (baseline, &name), gate);
            ended.map(status).map_err(Refused)
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// The exit status of a command that ran.
fn status(ended: Ended) -> ExitCode {
    match ended {
        Ended::Good => ExitCode::SUCCESS,
        Ended::Bad => ExitCode::FAILURE,
    }
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse() {
        Arguments::Measure(arguments) => measure(&arguments),
        Arguments::Gpu(options) => gpu::run(&options).map(status).map_err(Refused),
        Arguments::Report(options) => program::report(&options).map(status).map_err(Refused),
        Arguments::Compare(options) => {
            program::compare_files(&options).map(status).map_err(Refused)
        }
        Arguments::Readme(options) => program::readme(&options).map(status).map_err(Refused),
    };
    outcome.unwrap_or_else(|Refused(problem)| {
        eprintln!("relfisher-bench: {problem}");
        ExitCode::from(2)
    })
}
