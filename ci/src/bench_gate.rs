//! The gate on times, tried on itself: one machine, some runs in a row.
//!
//! Shares of ceilings of different machines differ by more than a regression, so this job needs no
//! committed record: one of three runs must pass against the one before them, and a run whose packed metric uses the
//! core's portable loops in the place of the executor's kernel must fail, by that case.

use std::path::Path;

use relfisher_ci::Outcome;
use relfisher_ci::repository::{command, program, root, run};

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
/// The most runs of the same kernels until one passes.
const RUNS: usize = 3;

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
    let program = path(&program("relfisher-bench")?);
    let first = folder.join("first.json");
    run(command(&program, &arguments(&path(&sizes), &["--out", &path(&first)])))?;
    let against = ["--compare", &path(&first), "--band", BAND];
    // A slow kernel is slow in every run, what else the machine does is not.
    let again = || run(command(&program, &arguments(&path(&sizes), &against)));
    (1..RUNS).fold(again(), |outcome, _| outcome.or_else(|_| again()))?;
    let (report, problem) = match report(&program, &arguments(&path(&slowed), &against)) {
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
    let mut all = vec!["measure", "--threads", "1", "--dtype", "f32"];
    all.extend(["--seconds", "0.2", "--sizes", sizes]);
    all.extend(more);
    all
}

/// How it ended, and what it printed.
fn report(program: &str, arguments: &[&str]) -> (Option<i32>, String) {
    match command(program, arguments).output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            (output.status.code(), String::from_utf8_lossy(&text).into_owned())
        }
        Err(e) => (None, e.to_string()),
    }
}
