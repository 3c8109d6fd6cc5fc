//! The job `cuda-drivers`: the CUDA driver through every crate that binds it, against a driver
//! without a GPU.

use std::process::Command;

use relfisher_ci::Outcome;
use relfisher_ci::repository::{command, run};
use relfisher_ci::stub::{self, Stub};

/// The tests of the driver with every binding, to be built or run.
pub(crate) fn driver_tests(stub: &Stub, more: &[&str]) -> Command {
    let tests = ["test", "--release", "-p", "relfisher", "--test", "driver"];
    let features = ["--no-default-features", "--features", "default,cust,rustacuda"];
    let mut tests = command("cargo", &[&tests, features.as_slice(), more].concat());
    // Where the build scripts of the crates that link the driver look for it.
    tests.env("CUDA_LIBRARY_PATH", stub.home());
    tests
}

/// Checks the host with each set of features, then links all of them and runs their tests.
pub(crate) fn check() -> Outcome {
    let stub = stub::build()?;
    let home = stub.home();
    let cargo = |arguments: &[&str]| {
        let mut command = command("cargo", arguments);
        // Where the build scripts of the crates that link the driver look for it.
        command.env("CUDA_LIBRARY_PATH", home);
        command
    };
    let manifest = ["--release", "--manifest-path", "ci/stub-cuda/Cargo.toml", "--locked"];
    let mut lint = cargo(&[&["clippy"], manifest.as_slice(), &["--", "-D", "warnings"]].concat());
    lint.env("CARGO_TARGET_DIR", home);
    run(lint)?;
    run(cargo(&["fmt", "--manifest-path", "ci/stub-cuda/Cargo.toml", "--check"]))?;
    let host = ["--release", "-p", "relfisher", "--no-default-features", "--features"];
    // The default features are a matter of the job `lint`.
    for features in ["", "cust", "rustacuda"] {
        let arguments =
            [&["clippy", "--lib"], host.as_slice(), &[features, "--", "-D", "warnings"]];
        run(cargo(&arguments.concat()))?;
    }
    let all = ["default,cust,rustacuda"];
    let arguments =
        [&["clippy", "--test", "driver"], host.as_slice(), &all, &["--", "-D", "warnings"]];
    run(cargo(&arguments.concat()))?;
    let mut tests = driver_tests(&stub, &[]);
    // A program that links the driver starts only where there is one.
    tests.env("LD_LIBRARY_PATH", &stub.whole);
    run(tests)
}
