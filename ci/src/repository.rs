//! The checkout: its root, and commands run in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Outcome;

/// The root of the checkout that this program was built from.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// A command that will run in the root.
pub fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// Runs a command with its output passed on, and says what failed.
pub fn run(mut command: Command) -> Outcome {
    let line = describe(&command);
    println!("$ {line}");
    let status = command.status().map_err(|e| format!("`{line}` did not start: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` ended with {status}")) }
}

/// Runs cargo with the tool chain that runs this program.
pub fn cargo(arguments: &[&str]) -> Outcome {
    run(command("cargo", arguments))
}

/// Runs a command and returns what it printed.
pub fn output(mut command: Command) -> Result<String, String> {
    let line = describe(&command);
    let result = command.output().map_err(|e| format!("`{line}` did not start: {e}"))?;
    if !result.status.success() {
        return Err(format!(
            "`{line}` ended with {}\n{}",
            result.status,
            String::from_utf8_lossy(&result.stderr)
        ));
    }
    Ok(String::from_utf8_lossy(&result.stdout).into_owned())
}

/// Builds a program of the workspace and returns its path. The features are those of the whole workspace, with
/// which its tests are built too: with those of one package, most of it would be built a second time.
///
/// # Errors
/// What cargo said; a name that no package gives a program.
pub fn program(name: &str) -> Result<PathBuf, String> {
    let messages = artifacts(&["build", "--release", "--workspace", "--bin", name])?;
    let mut executables =
        messages.iter().filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    executables.next_back().ok_or_else(|| format!("cargo built no program {name}"))
}

/// Runs a cargo command that builds and returns its messages: what was built, and where it is.
///
/// # Errors
/// What cargo said; a message that is no JSON.
pub fn artifacts(arguments: &[&str]) -> Result<Vec<Value>, String> {
    artifacts_of(command("cargo", arguments))
}

/// [`artifacts`] of a command of cargo, with an environment of its own.
///
/// # Errors
/// A build that fails, or messages that are not JSON.
pub fn artifacts_of(mut build: Command) -> Result<Vec<Value>, String> {
    println!("$ {}", describe(&build));
    build.arg("--message-format=json-render-diagnostics");
    output(build)?
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).map_err(|e| format!("cargo's message: {e}")))
        .collect()
}

fn describe(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}
