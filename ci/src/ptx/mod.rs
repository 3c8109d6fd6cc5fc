//! The kernels as PTX: built, finished, compared, assembled.
//!
//! `cargo ci ptx` builds every variant with Debian's compiler and writes it below
//! `gpu-kernels/ptx/`; `--check` builds it again, compares, and assembles it for every architecture
//! that it must run on; `--report` prints what each kernel costs.

mod assemble;
mod build;
mod finish;
mod report;
mod stamp;

use std::fs;
use std::path::PathBuf;

use relfisher_kernels::contract::Variant;

use crate::repository::root;

pub use finish::{collectives, entries};
pub use stamp::{REACHED, Stamp, source_hash};

/// What `cargo ci ptx` is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Write the files.
    Write,
    /// Build again and compare with the files.
    Check,
    /// Print a table of the kernels in the files.
    Report,
}

/// The folder of the compiled kernels.
pub fn folder() -> PathBuf {
    root().join("gpu-kernels/ptx")
}

/// The file of a variant.
pub fn file(variant: Variant) -> PathBuf {
    folder().join(format!("{}.ptx", variant.name()))
}

/// The committed list of the collectives of every kernel.
pub fn snapshot() -> PathBuf {
    folder().join("collectives.txt")
}

/// The list of the collectives of compiled kernels, as it is committed.
pub fn snapshot_of(texts: &[(Variant, String)]) -> String {
    let lines = texts.iter().flat_map(|(variant, text)| {
        let of = move |(entry, places)| format!("{} {entry}: {places}\n", variant.name());
        collectives(text).into_iter().map(of)
    });
    lines.collect()
}

/// Runs a task.
///
/// # Errors
/// What failed, in one line or a list of them.
pub fn run(task: Task) -> Result<(), String> {
    match task {
        Task::Write => write(),
        Task::Check => check(),
        Task::Report => report::print(),
    }
}

fn write() -> Result<(), String> {
    let built = build::all()?;
    fs::create_dir_all(folder()).map_err(|e| format!("{}: {e}", folder().display()))?;
    for (variant, text) in &built {
        let path = file(*variant);
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        println!("{}: {} kernels, {} bytes", path.display(), entries(text).len(), text.len());
    }
    let path = snapshot();
    fs::write(&path, snapshot_of(&built)).map_err(|e| format!("{}: {e}", path.display()))?;
    assemble::check(&built)
}

fn check() -> Result<(), String> {
    let built = build::all()?;
    let mut complaints = Vec::new();
    for (variant, text) in &built {
        let path = file(*variant);
        let name = path.display();
        let committed = fs::read_to_string(&path).map_err(|e| format!("{name}: {e}"))?;
        let (old, new) = (Stamp::of_text(&committed)?, Stamp::of_text(text)?);
        if old.sources != new.sources {
            complaints.push(format!("{name} is older than its sources: run `cargo ci ptx`"));
        } else if old.compiler != new.compiler {
            println!("{name}: stamped by {}, checked with {}", old.compiler, new.compiler);
            if entries(&committed) != entries(text) {
                complaints.push(format!("{name}: the entries differ: run `cargo ci ptx`"));
            }
        } else if committed != *text {
            complaints.push(format!("{name} is not what its sources give: run `cargo ci ptx`"));
        } else {
            println!("{name}: the same bytes, by {}", new.compiler);
        }
    }
    let path = snapshot();
    let committed = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    if committed != snapshot_of(&built) {
        complaints.push(format!("{}: the collectives have moved", path.display()));
    }
    complaints.extend(assemble::check(&built).err());
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
}
