//! The benchmarks that are no criterion benches: `relfisher-bench gpu`, and what becomes of records:
//! `report`, `compare`, `readme`.

use std::process::ExitCode;

use clap::Parser;
use relfisher_bench::gpu;
use relfisher_bench::report::Ended;
use relfisher_bench::report::program::{
    CompareOptions, ReadmeOptions, ReportOptions, compare_files, readme, report,
};

/// Arguments of the program.
#[derive(Parser)]
#[command(name = "relfisher-bench", version, about = "Measures relfisher")]
enum Arguments {
    /// The executor of a GPU: checks every answer, then times it by the device's events.
    Gpu(gpu::Options),
    /// One HTML page of the newest record, of the history and of GPUs.
    Report(ReportOptions),
    /// The gate: fails when shares of the ceiling, memory or ratios got worse than in a baseline.
    Compare(CompareOptions),
    /// The performance section of the README, from the newest record.
    Readme(ReadmeOptions),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse() {
        Arguments::Gpu(options) => match gpu::run(&options) {
            Ok(()) => Ok(Ended::Good),
            Err(problem) => {
                eprintln!("relfisher-bench: {problem}");
                Ok(Ended::Bad)
            }
        },
        Arguments::Report(options) => report(&options),
        Arguments::Compare(options) => compare_files(&options),
        Arguments::Readme(options) => readme(&options),
    };
    match outcome {
        Ok(Ended::Good) => ExitCode::SUCCESS,
        Ok(Ended::Bad) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("relfisher-bench: {problem}");
            ExitCode::from(2)
        }
    }
}
