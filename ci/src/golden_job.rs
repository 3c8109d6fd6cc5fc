//! The job `golden`: builds the program and checks it against the golden cases of a folder.

use std::path::PathBuf;

use relfisher_accuracy::golden::{self, Program};
use relfisher_ci::Outcome;
use relfisher_ci::repository::{command, output, root};

use crate::Options;

/// Runs the program on every case, prints the table of worst errors, and fails when a tensor is
/// missing or off.
pub(crate) fn check(options: &Options) -> Outcome {
    let executable = match &options.program {
        Some(path) => path.canonicalize().map_err(|e| format!("{}: {e}", path.display()))?,
        None => build()?,
    };
    let folder = options.dir.clone().unwrap_or_else(|| root().join("tests/golden"));
    let scratch = std::env::temp_dir().join(format!("relfisher-golden-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
    let program = Program { executable, scratch };
    let report = golden::check(&folder, |case, request| program.answer(case, request));
    // What is left there is of no use to anyone, and failing to remove it harms nobody.
    let _ = std::fs::remove_dir_all(&program.scratch);
    let report = report?;
    print!("{report}");
    match report.failures().len() {
        0 => Ok(()),
        count => Err(format!("{count} failures, listed above")),
    }
}

/// Builds the program and returns its path.
fn build() -> Result<PathBuf, String> {
    let arguments = ["build", "--release", "-p", "relfisher", "--bin", "relfisher"];
    let mut build = command("cargo", &arguments);
    build.arg("--message-format=json-render-diagnostics");
    let messages = output(build)?;
    let mut executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executables.next_back().ok_or_else(|| "cargo named no executable".into())
}
