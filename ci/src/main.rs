//! The project's checks, one job each: `cargo ci JOB`, `cargo ci all`, `cargo ci list`.
//!
//! Everything a hosted pipeline runs is a job here, so that it runs the same on a developer's
//! machine. A job prints what it runs, streams the output of its commands, and ends with one line
//! that says pass or the reason of the failure.

mod api;
mod bench_gate;
mod capi;
mod cuda_drivers;
mod deny;
mod doc_examples;
mod docs;
mod embedded;
mod engines;
mod examples;
mod features;
mod fuzz;
mod golden_job;
mod gpu_bundle;
mod jobs;
mod miri;
mod msrv;
mod nightly;
mod no_panic;
mod package;
mod python;
mod sanitize;
mod web_page;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use jobs::Job;
use relfisher_ci::Failure;

/// Arguments of `cargo ci`.
#[derive(Parser)]
#[command(name = "cargo ci", about = "Runs the project's checks")]
struct Arguments {
    /// The jobs to run, in this order; `all` for every one of them, `list` to see them.
    #[arg(required = true)]
    jobs: Vec<String>,
    #[command(flatten)]
    options: Options,
}

/// What a job can be told.
#[derive(clap::Args)]
struct Options {
    /// For `golden`: a folder of cases, or one case [default: tests/golden of the checkout].
    #[arg(long)]
    dir: Option<PathBuf>,
    /// For `golden` and `accuracy`: a program that was built already [default: builds `relfisher`].
    #[arg(long)]
    program: Option<PathBuf>,
    /// For `accuracy`, `instructions`, `bench-gate` (its bytes), `capi` (its header), `embedded` (its
    /// table) and `api`: writes the committed files anew (never within `all`).
    #[arg(long)]
    update: bool,
    /// For `instructions`: only shows that a kernel that was made slow fails the gate.
    #[arg(long, conflicts_with = "update")]
    self_test: bool,
    /// For `gpu-bundle`: the folder to fill [default: target/gpu-bundle].
    #[arg(long)]
    out: Option<PathBuf>,
    /// For `ptx`: builds again and compares, writing nothing (always so within `all`).
    #[arg(long)]
    check: bool,
    /// For `ptx`: prints what every kernel costs, building nothing.
    #[arg(long, conflicts_with = "check")]
    report: bool,
    /// For `fuzz`: seconds that each target runs [default: 10].
    #[arg(long)]
    seconds: Option<u64>,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    let mut chosen: Vec<&Job> = Vec::new();
    for name in arguments.jobs.clone() {
        match name.as_str() {
            "list" => {
                for job in jobs::JOBS {
                    println!("{:12} {}", job.name, job.purpose);
                }
                return ExitCode::SUCCESS;
            }
            "all" => {
                arguments.options.check = true;
                arguments.options.update = false;
                arguments.options.self_test = false;
                chosen.extend(jobs::JOBS);
            }
            name => match jobs::JOBS.iter().find(|job| job.name == name) {
                Some(job) => chosen.push(job),
                None => {
                    eprintln!("ci: no job named '{name}'; `cargo ci list` names them");
                    return ExitCode::from(2);
                }
            },
        }
    }

    let (mut failures, mut unable) = (Vec::new(), Vec::new());
    for job in chosen {
        println!("\n=== {}: {}", job.name, job.purpose);
        let start = Instant::now();
        let outcome = (job.run)(&arguments.options);
        let seconds = start.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => println!("--- {}: pass ({seconds:.0} s)", job.name),
            Err(Failure::Failed(reason)) => {
                println!("--- {}: FAIL ({seconds:.0} s): {reason}", job.name);
                failures.push(job.name);
            }
            Err(Failure::Unable(reason)) => {
                println!("--- {}: CANNOT RUN ({seconds:.0} s): {reason}", job.name);
                unable.push(job.name);
            }
        }
    }
    for (what, jobs) in [("failed", &failures), ("could not run", &unable)] {
        if !jobs.is_empty() {
            println!("\n{what}: {}", jobs.join(", "));
        }
    }
    match (failures.is_empty(), unable.is_empty()) {
        (true, true) => ExitCode::SUCCESS,
        (true, false) => ExitCode::from(2),
        (false, _) => ExitCode::FAILURE,
    }
}
