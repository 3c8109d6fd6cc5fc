//! The job `deny`: cargo-deny on the licences, duplicates and origins of all dependencies.
//!
//! Advisories need a database that is fetched from elsewhere at every run: whoever has a network runs
//! `cargo deny check advisories`.

use relfisher_ci::Outcome;
use relfisher_ci::repository::{command, output, root, run};

/// The version, and where it is installed.
const VERSION: &str = "0.20.2";

/// The lock files that a build can start from.
const MANIFESTS: [&str; 3] = ["Cargo.toml", "core/capi/Cargo.toml", "python/Cargo.toml"];

/// Installs the tool where it is missing and runs it on every lock file.
pub(crate) fn check() -> Outcome {
    let tools = root().join("target/tools");
    let program = tools.join("bin/cargo-deny").display().to_string();
    let present = output(command(&program, &["--version"]));
    if !present.is_ok_and(|version| version.trim().ends_with(VERSION)) {
        let folder = tools.display().to_string();
        // Not optimised: it is built for a few seconds of work.
        let package = ["install", "--locked", "--quiet", "--debug", "cargo-deny", "--version"];
        let mut install =
            command("cargo", &[&package, [VERSION, "--root", &folder].as_slice()].concat());
        install.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_TARGET_DIR", tools.join("build"));
        run(install)?;
    }
    for manifest in MANIFESTS {
        let arguments = ["--manifest-path", manifest, "--locked", "check", "--config", "deny.toml"];
        run(command(&program, &[arguments.as_slice(), &["licenses", "bans", "sources"]].concat()))?;
    }
    Ok(())
}
