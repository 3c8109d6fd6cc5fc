//! The gate on times, tried on itself: one machine, three runs in a row.
//!
//! Shares of ceilings of different machines differ by more than a regression, so this job needs no
//! committed record: a run must pass against the one before it, and a run whose packed metric uses the
//! core's portable loops in the place of the executor's kernel must fail, by that case.

use std::path::Path;

use relfisher_ci::Outcome;
use relfisher_ci::repository::{command, root, run};

/// The sizes.
const SIZES: &str = "bench-harness/gate.toml";
/// What makes the kernel of the packed metric a slow one.
const FAST: &str = "kernel = \"executor\"";
const SLOW: &str = "kernel = \"portable\"";
/// The case that must be found.
const CASE: &str = "packed metric";
/// Shares of short calls on a shared machine differ by a third from run to run; the slow kernel takes
/// several times as long.
const BAND: &str = "0.6";

/// Measures three times and compares.
pub(crate) fn check() -> Outcome {
    let folder = root().join("target/bench-gate");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let sizes = root().join(SIZES);
    let text = std::fs::read_to_string(&sizes).map_err(|e| format!("{SIZES}: {e}"))?;
    if !text.contains(FAST) {
        return Err(format!("{SIZES}: no line `{FAST}` to make slow"));
    }
    let slowed = folder.join("slowed.toml");
    std::fs::write(&slowed, text.replace(FAST, SLOW))
        .map_err(|e| format!("{}: {e}", slowed.display()))?;
    let first = folder.join("first.json");
    measure(&sizes, &["--out", &path(&first)])?;
    let against = ["--compare", &path(&first), "--band", BAND];
    measure(&sizes, &against)?;
    let (report, problem) = match report(&slowed, &against) {
        (Some(1), text) => (text, None),
        (code, text) => (text, Some(format!("it ended with {code:?}, not 1"))),
    };
    let found = report.lines().any(|line| line.contains(CASE) && line.contains("FAIL"));
    match problem {
        None if found => {
            println!("the gate fails on the slow kernel of `{CASE}`, as it must");
            Ok(())
        }
        None => Err(format!("the gate fails, but not by `{CASE}`:\n{report}")),
        Some(problem) => Err(format!("the gate passes a slow `{CASE}`: {problem}:\n{report}")),
    }
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The command that measures, with the compare's options.
fn arguments<'a>(sizes: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["run", "--quiet", "--release", "-p", "relfisher-bench", "--bin"];
    all.extend(["relfisher-bench", "--", "measure", "--threads", "1", "--dtype", "f32"]);
    all.extend(["--seconds", "0.2", "--sizes", sizes]);
    all.extend(more);
    all
}

fn measure(sizes: &Path, more: &[&str]) -> Outcome {
    run(command("cargo", &arguments(&path(sizes), more)))
}

/// How it ended, and what it printed.
fn report(sizes: &Path, more: &[&str]) -> (Option<i32>, String) {
    match command("cargo", &arguments(&path(sizes), more)).output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            (output.status.code(), String::from_utf8_lossy(&text).into_owned())
        }
        Err(e) => (None, e.to_string()),
    }
}
