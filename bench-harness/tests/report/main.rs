//! Page, gate and README section, from fabricated records.

mod fabricated;
mod gate;
mod page;
mod readme;
mod refused;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use relfisher_bench::record::Record;

/// An empty folder of one test.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).expect("removes the old folder");
    }
    std::fs::create_dir_all(&folder).expect("makes the folder");
    folder
}

/// Writes a record.
fn save(record: &Record, folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    record.write(&path).expect("writes the record");
    path
}

/// The exit status and everything that was printed.
fn outcome(arguments: &[&str]) -> (i32, String) {
    outcome_of(env!("CARGO_BIN_EXE_relfisher-bench"), arguments)
}

/// [`outcome`] of another program.
fn outcome_of(program: &str, arguments: &[&str]) -> (i32, String) {
    let run = Command::new(program).args(arguments).output();
    let Output { status, stdout, stderr } = run.expect("the program starts");
    let text = [stdout, stderr].map(|part| String::from_utf8(part).expect("UTF-8")).concat();
    (status.code().expect("a status"), text)
}

/// A path as an argument.
fn argument(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
