//! The nightly tool chain, for what stable Rust has no flags for.

use std::process::{Command, Stdio};

use relfisher_ci::Outcome;
use relfisher_ci::repository::{command, run};

/// The target of instrumented builds: with it, build scripts and macros are left alone.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Installs the tool chain where it is missing.
pub(crate) fn install() -> Outcome {
    let mut present = command("rustup", &["run", "nightly", "rustc", "--version"]);
    let present = present.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if present.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    let install = command("rustup", &["toolchain", "install", "nightly", "--profile", "minimal"]);
    run(install).map_err(|e| format!("{e}; this job needs nightly Rust"))
}

/// Adds components to the tool chain.
pub(crate) fn add(components: &[&str]) -> Outcome {
    let add = ["component", "add", "--toolchain", "nightly"];
    run(command("rustup", &[add.as_slice(), components].concat()))
}

/// A command of the tool chain, `cargo` or `rustc`, whatever tool chain runs this program.
pub(crate) fn tool(program: &str, arguments: &[&str]) -> Command {
    let mut tool = command("rustup", &[["run", "nightly", program].as_slice(), arguments].concat());
    tool.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    tool
}
