//! The job `deny`: cargo-deny on the licences, duplicates, origins and advisories of all dependencies.
//!
//! Advisories need a database that is fetched from elsewhere at every run; where it cannot be had the job
//! says so, and the rest of it counts.

use relfisher_ci::Outcome;
use relfisher_ci::repository::{command, output, root, run};
use relfisher_ci::sources::files;

/// The version, and where it is installed.
const VERSION: &str = "0.20.2";

/// Installs the tool where it is missing and runs it on every lock file that a build can start from.
pub(crate) fn check() -> Outcome {
    let program = installed()?;
    let locks = files(&root(), |path| path.ends_with("Cargo.lock"))?;
    let manifests: Vec<String> =
        locks.iter().map(|lock| lock.with_extension("toml").display().to_string()).collect();
    let config = root().join("deny.toml").display().to_string();
    let judge = |checks: &[&str]| -> Outcome {
        for manifest in &manifests {
            let graph = ["--manifest-path", manifest.as_str(), "--locked", "--config", &config];
            // An exception is for one of the graphs, not for each of them.
            let quiet = ["check", "--allow", "license-exception-not-encountered"];
            run(command(&program, &[graph.as_slice(), &quiet, checks].concat()))?;
        }
        Ok(())
    };
    judge(&["licenses", "bans", "sources"])?;
    if let Err(reason) = output(command(&program, &["--config", &config, "fetch", "db"])) {
        let reason = reason.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        println!("advisories NOT checked, their database cannot be fetched: {reason}");
        return Ok(());
    }
    judge(&["advisories"])
}

/// The program of [`VERSION`], below `target/tools`.
fn installed() -> Result<String, String> {
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
    Ok(program)
}
