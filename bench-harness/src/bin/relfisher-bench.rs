//! The benchmarks that are no criterion benches: `relfisher-bench gpu`.

use std::process::ExitCode;

use clap::Parser;
use relfisher_bench::gpu;

/// Arguments of the program.
#[derive(Parser)]
#[command(name = "relfisher-bench", version, about = "Measures relfisher")]
enum Arguments {
    /// The executor of a GPU: checks every answer, then times it by the device's events.
    Gpu(gpu::Options),
}

fn main() -> ExitCode {
    let Arguments::Gpu(options) = Arguments::parse();
    match gpu::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("relfisher-bench: {problem}");
            ExitCode::FAILURE
        }
    }
}
