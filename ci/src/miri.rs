//! The job `miri`: the interpreter that finds undefined behaviour, over what it can interpret.

use relfisher_ci::Failure;
use relfisher_ci::repository::{root, run};

use crate::nightly;

/// Random cases of each property: the interpreter is hundreds of times slower than the processor.
const CASES: &str = "16";

/// What is interpreted: the slices that the C library makes of pointers, the views of foreign matrices,
/// the examples of every routine of core.
const RUNS: [&str; 3] = [
    "--manifest-path core/capi/Cargo.toml --lib",
    "--manifest-path engines/views/Cargo.toml --all-features",
    // Square roots of `libm` are an instruction written out otherwise, which is not interpreted. One
    // example sums four million products.
    "-p relfisher-core --features libm/force-soft-floats --doc -- --skip dot_pairwise",
];

/// Runs all.
pub(crate) fn check() -> Result<(), Failure> {
    nightly::install()
        .and_then(|()| nightly::add(&["miri", "rust-src"]))
        .map_err(Failure::Unable)?;
    let folder = root().join("target/miri").display().to_string();
    let mut failures = Vec::new();
    for what in RUNS {
        let mut tests = nightly::tool("cargo", &["miri", "test", "--target-dir", &folder]);
        tests.args(what.split_whitespace());
        // The clock; and the standard library's functions as they are: the interpreter changes their last
        // digits at random, to show who relies on them.
        tests.env("MIRIFLAGS", "-Zmiri-disable-isolation -Zmiri-deterministic-floats");
        tests.env("PROPTEST_CASES", CASES);
        failures.extend(run(tests).err());
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure::Failed(failures.join("\n"))) }
}
