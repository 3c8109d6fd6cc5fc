//! Page, gate and README section, from fabricated records.

mod fabricated;
mod gate;
mod page;
mod readme;

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

/// Runs the program.
fn program(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_relfisher-bench");
    Command::new(program).args(arguments).output().expect("the program starts")
}

/// The exit status and everything that was printed.
fn outcome(arguments: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = program(arguments);
    let text = [stdout, stderr].map(|part| String::from_utf8(part).expect("UTF-8")).concat();
    (status.code().expect("a status"), text)
}

/// A path as an argument.
fn argument(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
