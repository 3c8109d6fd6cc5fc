//! The job `sanitize`: tests of the code with threads and `unsafe` under AddressSanitizer and
//! ThreadSanitizer.
//!
//! Both are built on the nightly tool chain, for ThreadSanitizer with the standard library: what its locks and
//! counted pointers order is not seen otherwise. Each sanitizer must first find a planted fault.

use std::fs;
use std::process::Command;

use relfisher_ci::repository::{root, run};
use relfisher_ci::{Failure, Outcome};

use crate::nightly::{self, TARGET};

/// A sanitizer and how it is used.
struct Sanitizer {
    name: &'static str,
    /// Flags of the compiler.
    flags: &'static str,
    /// What cargo builds beside the crates.
    library: &'static [&'static str],
    /// The tests with one thread that it has something to say of.
    alone: Option<&'static [&'static str]>,
    /// What its report of the planted fault says.
    finds: &'static str,
    /// The variable of its options, and these.
    options: (&'static str, &'static str),
}

const SANITIZERS: [Sanitizer; 2] = [
    Sanitizer {
        name: "address",
        flags: "-Zsanitizer=address -Cdebuginfo=1",
        library: &[],
        // The slices that the C library makes of pointers.
        alone: Some(&["--manifest-path", "core/capi/Cargo.toml", "--lib"]),
        finds: "heap-buffer-overflow",
        options: ("ASAN_OPTIONS", "detect_stack_use_after_return=1:detect_leaks=1"),
    },
    Sanitizer {
        name: "thread",
        // The planted fault is linked to the ready-made library. The work queues order memory by fences,
        // which this sanitizer does not know; with the last flag but one they use operations that it does.
        flags: "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer \
                --cfg crossbeam_sanitize_thread -Cdebuginfo=1",
        library: &["-Zbuild-std"],
        alone: None,
        finds: "data race",
        options: ("TSAN_OPTIONS", "halt_on_error=1"),
    },
];

/// The tests: the executor and what it is made of, batches over threads, vector loads of any place,
/// tapes of other networks, readers.
const TESTS: [&str; 8] = [
    "executor",
    "batched",
    "constructions",
    "products",
    "checkpoint",
    "format",
    "few_channels",
    "mismatch",
];

/// Runs the tests under both.
pub(crate) fn check() -> Result<(), Failure> {
    nightly::install().and_then(|()| nightly::add(&["rust-src"])).map_err(Failure::Unable)?;
    let failures: Vec<String> = SANITIZERS
        .iter()
        .filter_map(|sanitizer| Some(format!("{}: {}", sanitizer.name, one(sanitizer).err()?)))
        .collect();
    if failures.is_empty() { Ok(()) } else { Err(Failure::Failed(failures.join("\n"))) }
}

fn one(sanitizer: &Sanitizer) -> Outcome {
    planted(sanitizer)?;
    if let Some(which) = sanitizer.alone {
        tests(sanitizer, which)?;
    }
    let mut arguments = vec!["--release", "-p", "relfisher-tests"];
    TESTS.iter().for_each(|test| arguments.extend(["--test", test]));
    tests(sanitizer, &arguments)
}

/// `cargo test` with these arguments, instrumented.
fn tests(sanitizer: &Sanitizer, which: &[&str]) -> Outcome {
    let folder = root().join("target/sanitize").join(sanitizer.name).display().to_string();
    let how = ["test", "--target", TARGET, "--target-dir", &folder];
    let mut tests = nightly::tool("cargo", &[how.as_slice(), sanitizer.library, which].concat());
    tests.env("RUSTFLAGS", sanitizer.flags);
    // Instrumented code takes long to compile; little of it is worth optimising.
    tests.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    tests.env(sanitizer.options.0, sanitizer.options.1);
    run(tests)
}

/// The planted fault is found.
fn planted(sanitizer: &Sanitizer) -> Outcome {
    let name = sanitizer.name;
    let folder = root().join("target/sanitize");
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let program = folder.join(format!("planted-{name}"));
    let (source, out) = (format!("ci/sanitize/{name}.rs"), program.display().to_string());
    let mut build = nightly::tool("rustc", &["--edition=2024", "-O", &source, "-o", &out]);
    build.args(sanitizer.flags.split_whitespace());
    run(build)?;
    let mut program = Command::new(program);
    program.env(sanitizer.options.0, sanitizer.options.1);
    let output = program.output().map_err(|e| format!("{out} did not start: {e}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    if output.status.success() || !report.contains(sanitizer.finds) {
        return Err(format!("the planted fault was not found: this proves nothing\n{report}"));
    }
    println!("planted {}: found, as it must be", sanitizer.finds);
    Ok(())
}
