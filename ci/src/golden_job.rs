//! The jobs `golden` and `accuracy`: build the program, and compare what it computes with golden cases
//! (through its files), or with the ladder, the golden cases and the baseline (through itself).

use std::path::PathBuf;

use relfisher_accuracy::golden::{self, Program};
use relfisher_ci::Outcome;
use relfisher_ci::repository::{command, program, root, run};

use crate::Options;

/// Runs the program on every case, prints the table of worst errors, and fails when a tensor is
/// missing or off.
pub(crate) fn check(options: &Options) -> Outcome {
    let executable = executable(options)?;
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

/// Runs `relfisher accuracy` on the golden cases of the checkout with the committed baseline, which
/// `--update` measures anew.
pub(crate) fn accuracy(options: &Options) -> Outcome {
    let executable = executable(options)?;
    let name = executable.to_str().ok_or("the path of the program is not UTF-8")?;
    let mut accuracy = command(name, &["accuracy", "--golden", "tests/golden"]);
    accuracy.args(["--baseline", "tests/golden/accuracy-baseline.json"]);
    if options.update {
        accuracy.arg("--update");
    }
    run(accuracy)
}

/// The program that is given, or built now.
fn executable(options: &Options) -> Result<PathBuf, String> {
    match &options.program {
        Some(path) => path.canonicalize().map_err(|e| format!("{}: {e}", path.display())),
        None => program("relfisher"),
    }
}
