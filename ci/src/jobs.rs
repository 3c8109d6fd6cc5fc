//! The list of jobs.

use relfisher_ci::repository::{cargo, command, program, run};
use relfisher_ci::{Failure, Outcome, debian, instructions, ptx, sources};

use crate::{
    Options, api, bench_gate, capi, cuda_drivers, deny, docs, embedded, engines, examples,
    features, fuzz, golden_job, gpu_bundle, miri, msrv, no_panic, package, python, sanitize,
};

/// One check.
pub(crate) struct Job {
    /// What `cargo ci` calls it.
    pub(crate) name: &'static str,
    /// What it proves.
    pub(crate) purpose: &'static str,
    /// Runs it.
    pub(crate) run: fn(&Options) -> Result<(), Failure>,
}

/// Every job, in the order of `cargo ci all`: cheap ones first.
pub(crate) const JOBS: &[Job] = &[
    Job { name: "fmt", purpose: "the sources are formatted", run: |_| Ok(fmt()?) },
    Job {
        name: "sources",
        purpose: "size limits and forbidden constructs",
        run: |_| Ok(sources::check()?),
    },
    Job { name: "lint", purpose: "clippy, warnings denied, all targets", run: |_| Ok(lint()?) },
    Job { name: "test", purpose: "all tests and doc examples, optimised", run: |_| Ok(test()?) },
    Job {
        name: "test-checked",
        purpose: "core with overflow checks on",
        run: |_| Ok(test_checked()?),
    },
    Job {
        name: "docs",
        purpose: "documentation builds, warnings denied, and its formulas are set by KaTeX",
        run: |_| Ok(docs::check()?),
    },
    Job {
        name: "msrv",
        purpose: "no dependency or call needs a newer Rust",
        run: |_| Ok(msrv::check()?),
    },
    Job {
        name: "features",
        purpose: "every feature compiles alone and with all others",
        run: |_| Ok(features::check()?),
    },
    Job {
        name: "api",
        purpose: "the public items against the committed lists; no function loses its example (--update)",
        run: |options| Ok(api::check(options.update)?),
    },
    Job {
        name: "package",
        purpose: "the published crates are complete, small, and build from their archives",
        run: |_| Ok(package::check()?),
    },
    Job {
        name: "deny",
        purpose: "licences, duplicates, origins and, with a network, advisories of all dependencies",
        run: |_| Ok(deny::check()?),
    },
    Job {
        name: "python",
        purpose: "the Python package installs with pip; its tests on golden cases and numpy",
        run: |_| Ok(python::check()?),
    },
    Job {
        name: "no-panic",
        purpose: "no panic is reachable in core",
        run: |_| Ok(no_panic::prove()?),
    },
    Job {
        name: "no-std",
        purpose: "core builds for a target without std",
        run: |_| Ok(debian::no_std()?),
    },
    Job {
        name: "capi",
        purpose: "the C library: header, no panic, C and C++ programs on golden values (--update)",
        run: |options| Ok(capi::check(options.update)?),
    },
    Job {
        name: "embedded",
        purpose: "the C library on a microcontroller, in wasm and as PTX: the bits of native, code size, stack (--update)",
        run: |options| Ok(embedded::check(options.update)?),
    },
    Job {
        name: "engines",
        purpose: "natural gradient in candle and burn, views of ndarray, nalgebra and faer",
        run: |_| Ok(engines::check()?),
    },
    Job {
        name: "ptx",
        purpose: "the kernels as PTX (--check, --report)",
        run: |options| Ok(kernels(options)?),
    },
    Job {
        name: "cuda-drivers",
        purpose: "every binding of the CUDA driver, against a driver without a GPU",
        run: |_| Ok(cuda_drivers::check()?),
    },
    Job {
        name: "accuracy",
        purpose: "the program's errors against the committed baseline (--update)",
        run: |options| Ok(golden_job::accuracy(options)?),
    },
    Job {
        name: "golden",
        purpose: "the program's curvature against the golden cases (--dir)",
        run: |options| Ok(golden_job::check(options)?),
    },
    Job {
        name: "examples",
        purpose: "every example ends within a minute, those of host leave a picture, the tutorial is listed",
        run: |_| Ok(examples::check()?),
    },
    Job {
        name: "bench-smoke",
        purpose: "every benchmark's answer is checked once",
        run: |_| Ok(bench_smoke()?),
    },
    Job {
        name: "instructions",
        purpose: "instruction counts of the kernels against the committed ones (--update, --self-test)",
        run: counts,
    },
    Job {
        name: "bench-gate",
        purpose: "counted bytes against the committed ones; the gate on times passes a second run and fails a slow kernel (--update)",
        run: |options| Ok(bench_gate::check(options.update)?),
    },
    Job {
        name: "readme",
        purpose: "the README's performance section against the newest record",
        run: |_| Ok(readme()?),
    },
    Job {
        name: "gpu-bundle",
        purpose: "the folder for GPU machines, run on the emulator (--out)",
        run: |options| Ok(gpu_bundle::check(options)?),
    },
    Job {
        name: "fuzz",
        purpose: "every fuzz target for a while, on nightly Rust (--seconds)",
        run: |options| fuzz::check(options.seconds),
    },
    Job {
        name: "sanitize",
        purpose: "tests of threads and unsafe code under AddressSanitizer and ThreadSanitizer, on nightly Rust",
        run: |_| sanitize::check(),
    },
    Job {
        name: "miri",
        purpose: "core's examples and the unsafe code of views and the C library under Miri, on nightly Rust",
        run: |_| miri::check(),
    },
];

fn fmt() -> Outcome {
    cargo(&["fmt", "--all", "--check"])
}

fn lint() -> Outcome {
    let counts = ["--features", "relfisher-bench/instructions"];
    let all = ["clippy", "--release", "--workspace", "--all-targets"];
    cargo(&[all.as_slice(), &counts, &["--", "-D", "warnings"]].concat())?;
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

fn counts(options: &Options) -> Result<(), Failure> {
    instructions::run(match (options.update, options.self_test) {
        (true, _) => instructions::Task::Update,
        (_, true) => instructions::Task::SelfTest,
        _ => instructions::Task::Check,
    })
}

/// Debug assertions and overflow checks are on in the dev profile, and only there.
fn test_checked() -> Outcome {
    cargo(&["test", "-p", "relfisher-core"])
}

/// Criterion's test mode runs every benchmark body once: their answer checks run, nothing is timed.
fn bench_smoke() -> Outcome {
    let bench = ["bench", "--workspace", "--bench"];
    cargo(&[&bench, ["processor", "--", "--test"].as_slice()].concat())?;
    let mut device = command("cargo", &[&bench, ["device", "--", "--test"].as_slice()].concat());
    device.env("RELFISHER_GPU", "emulated");
    run(device)
}

/// The section is what the program makes of the newest committed record.
fn readme() -> Outcome {
    let program = program("relfisher-bench")?.to_string_lossy().into_owned();
    run(command(&program, &["readme", "--check"]))
}
