//! The list of jobs.

use relfisher_ci::repository::{cargo, command, run};
use relfisher_ci::{Outcome, debian, ptx, sources};

use crate::{Options, cuda_drivers, golden_job, gpu_bundle, msrv, no_panic};

/// One check.
pub(crate) struct Job {
    /// What `cargo ci` calls it.
    pub(crate) name: &'static str,
    /// What it proves.
    pub(crate) purpose: &'static str,
    /// Runs it.
    pub(crate) run: fn(&Options) -> Outcome,
}

/// Every job, in the order of `cargo ci all`: cheap ones first.
pub(crate) const JOBS: &[Job] = &[
    Job { name: "fmt", purpose: "the sources are formatted", run: |_| fmt() },
    Job {
        name: "sources",
        purpose: "size limits and forbidden constructs",
        run: |_| sources::check(),
    },
    Job { name: "lint", purpose: "clippy, warnings denied, all targets", run: |_| lint() },
    Job { name: "test", purpose: "all tests and doc examples, optimised", run: |_| test() },
    Job { name: "test-checked", purpose: "core with overflow checks on", run: |_| test_checked() },
    Job { name: "docs", purpose: "documentation builds, warnings denied", run: |_| docs() },
    Job {
        name: "msrv",
        purpose: "no dependency or call needs a newer Rust",
        run: |_| msrv::check(),
    },
    Job { name: "no-panic", purpose: "no panic is reachable in core", run: |_| no_panic::prove() },
    Job {
        name: "no-std",
        purpose: "core builds for a target without std",
        run: |_| debian::no_std(),
    },
    Job { name: "ptx", purpose: "the kernels as PTX (--check, --report)", run: kernels },
    Job {
        name: "cuda-drivers",
        purpose: "every binding of the CUDA driver, against a driver without a GPU",
        run: |_| cuda_drivers::check(),
    },
    Job {
        name: "accuracy",
        purpose: "the program's errors against the committed baseline (--update)",
        run: golden_job::accuracy,
    },
    Job {
        name: "golden",
        purpose: "the program's curvature against the golden cases (--dir)",
        run: golden_job::check,
    },
    Job {
        name: "bench-smoke",
        purpose: "every benchmark's answer is checked once",
        run: |_| bench_smoke(),
    },
    Job {
        name: "readme",
        purpose: "the README's performance section against the newest record",
        run: |_| readme(),
    },
    Job {
        name: "gpu-bundle",
        purpose: "the folder for GPU machines, run on the emulator (--out)",
        run: gpu_bundle::check,
    },
];

fn fmt() -> Outcome {
    cargo(&["fmt", "--all", "--check"])
}

fn lint() -> Outcome {
    cargo(&["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    // The kernels as a GPU build has them, without std, and over Rust-CUDA's library.
    let kernels = ["clippy", "--release", "-p", "relfisher-kernels", "--lib"];
    cargo(&[kernels.as_slice(), &["--", "-D", "warnings"]].concat())?;
    cargo(&[kernels.as_slice(), &["--features", "rust-cuda", "--", "-D", "warnings"]].concat())
}

fn test() -> Outcome {
    cargo(&["test", "--release", "--workspace"])
}

fn kernels(options: &Options) -> Outcome {
    ptx::run(match (options.check, options.report) {
        (true, _) => ptx::Task::Check,
        (_, true) => ptx::Task::Report,
        _ => ptx::Task::Write,
    })
}

/// Debug assertions and overflow checks are on in the dev profile, and only there.
fn test_checked() -> Outcome {
    cargo(&["test", "-p", "relfisher-core"])
}

fn docs() -> Outcome {
    let mut doc = command("cargo", &["doc", "--release", "--workspace", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    run(doc)
}

/// Criterion's test mode runs every benchmark body once: their answer checks run, nothing is timed.
fn bench_smoke() -> Outcome {
    cargo(&["bench", "-p", "relfisher-bench", "--bench", "processor", "--", "--test"])?;
    let mut device =
        command("cargo", &["bench", "-p", "relfisher-bench", "--bench", "device", "--", "--test"]);
    device.env("RELFISHER_GPU", "emulated");
    run(device)
}

/// The section is what the program makes of the newest committed record.
fn readme() -> Outcome {
    let program = ["run", "--release", "-p", "relfisher-bench", "--bin", "relfisher-bench", "--"];
    cargo(&[program.as_slice(), &["readme", "--check"]].concat())
}
