//! The gates on memory and on times, the second tried on itself: one machine, some runs in a row.
//!
//! Counted bytes are the same on every machine, and stand in a committed file. Shares of ceilings of
//! different machines differ by more than a regression, so they need no committed record: the second of two
//! runs must pass, in one of three tries, and a run whose packed metric uses the core's portable
//! loops in the place of the executor's kernel must fail, by the share of that case.

mod memory;

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
/// The most pairs of runs of the same kernels until one passes.
const RUNS: usize = 3;

/// Measures and compares; or writes the committed bytes.
pub(crate) fn check(update: bool) -> Outcome {
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
    let measure = || run(command(&program, &arguments(&path(&sizes), &["--out", &path(&first)])));
    measure()?;
    if update {
        return write_memory(&first);
    }
    check_memory(&first)?;
    let against = ["--compare", &path(&first), "--band", BAND];
    let compare = || run(command(&program, &arguments(&path(&sizes), &against)));
    // What else the machine does disturbs a run, the first as well as the second: a slow kernel is slow
    // in every one.
    let again = || measure().and_then(|()| compare());
    (1..RUNS).fold(compare(), |outcome, _| outcome.or_else(|_| again()))?;
    let slow = || report(&program, &arguments(&path(&slowed), &against));
    // 2 is a record whose ceiling was disturbed: it judges nothing.
    let judged = (1..RUNS).fold(slow(), |(code, text), _| match code {
        Some(2) => slow(),
        _ => (code, text),
    });
    let (report, problem) = match judged {
        (Some(1), text) => (text, None),
        (code, text) => (text, Some(format!("it ended with {code:?}, not 1"))),
    };
    match problem {
        None if sees(&report) => {
            println!("the gate fails on the slow kernel of `{CASE}`, as it must");
            Ok(())
        }
        None => Err(format!("the gate fails, but not by the share of `{CASE}`:\n{report}")),
        Some(problem) => Err(format!("the gate passes a slow `{CASE}`: {problem}:\n{report}")),
    }
}

/// Whether a report fails the share of the slow case: its memory may grow too, which is another matter.
fn sees(report: &str) -> bool {
    let failed = |line: &str| line.starts_with("share") && line.contains(": FAIL");
    report.lines().any(|line| failed(line) && line.contains(CASE))
}

/// The counted bytes of a record against the committed ones.
fn check_memory(record: &Path) -> Outcome {
    let now = memory::of_record(record)?;
    let file = root().join(memory::FILE);
    let text = std::fs::read_to_string(&file).map_err(|e| {
        format!("{}: {e}: write it with `cargo ci bench-gate --update`", memory::FILE)
    })?;
    let failures = memory::failures(&memory::parse(&text)?, &now);
    if failures.is_empty() {
        println!("{} structured cases allocate what {} allows", now.len(), memory::FILE);
        return Ok(());
    }
    Err(format!("\n{}", failures.join("\n")))
}

/// Writes the counted bytes of a record, unless one leaves its formula.
fn write_memory(record: &Path) -> Outcome {
    let now = memory::of_record(record)?;
    let failures = memory::beyond_formula(&now);
    if !failures.is_empty() {
        return Err(format!("{} is unchanged:\n{}", memory::FILE, failures.join("\n")));
    }
    let file = root().join(memory::FILE);
    std::fs::write(&file, memory::text(&now)).map_err(|e| format!("{}: {e}", file.display()))?;
    println!("{} has {} cases", memory::FILE, now.len());
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::sees;

    #[test]
    fn only_a_share_shows_that_a_kernel_is_slow() {
        let line =
            |aspect: &str| format!("{aspect}  1  2  3 %  metric: packed metric: FAIL, worse\n");
        assert!(sees(&line("share ")));
        assert!(!sees(&line("memory")) && !sees(&line("ratio ")));
        assert!(!sees("share   1  2  3 %  metric: packed metric\n"));
        assert!(!sees("share   1  2  3 %  optim: Adam: FAIL, worse\n"));
    }
}
