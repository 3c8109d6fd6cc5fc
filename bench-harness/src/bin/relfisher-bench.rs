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
use relfisher_bench::{gpu, measure, report, sizes};

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
    /// Numbers of threads.
    #[arg(long, value_delimiter = ',', default_value = "1,2", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Vec<u16>,
    /// Seconds for the rounds of each candidate.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// The longest call that is tried, in seconds at the machine's ceiling.
    #[arg(long, default_value_t = 10.0)]
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

fn measure(arguments: &Measure) -> Result<ExitCode, Refused> {
    let sizes = match &arguments.sizes {
        Some(path) => sizes::read(path).map_err(Refused)?,
        None => sizes::load(),
    };
    if let Some(out) = &arguments.out {
        relfisher::format::check_writable(out).map_err(|e| Refused(e.to_string()))?;
    }
    if let Some(baseline) = &arguments.compare {
        // Before minutes of work.
        report::compare::read(baseline).map_err(Refused)?;
    }
    let elements = |e: &Elements| match e {
        Elements::F32 => Dtype::F32,
        Elements::F64 => Dtype::F64,
    };
    let options = measure::Options {
        groups: arguments.groups.clone(),
        dtypes: arguments.dtype.iter().map(elements).collect(),
        threads: arguments.threads.iter().map(|t| usize::from(*t)).collect(),
        seconds: arguments.seconds,
        longest: arguments.longest,
        quick: arguments.quick,
        filter: arguments.filter.clone(),
    };
    let record = match measure::measure(&options, &sizes) {
        Ok(record) => record,
        Err(problem) => {
            eprintln!("relfisher-bench: {problem}");
            return Ok(ExitCode::FAILURE);
        }
    };
    print!("{}", record.summary());
    if let Some(out) = &arguments.out {
        record.write(out).map_err(Refused)?;
    }
    match &arguments.compare {
        Some(baseline) => {
            let ended = program::judge(&record, "this run", baseline, &arguments.gate);
            ended.map(status).map_err(Refused)
        }
        None => Ok(ExitCode::SUCCESS),
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
        Arguments::Gpu(options) => match gpu::run(&options) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(problem) => {
                eprintln!("relfisher-bench: {problem}");
                Ok(ExitCode::FAILURE)
            }
        },
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
