//! The gate on instruction counts of the CPU kernels: `cargo ci instructions`.
//!
//! Callgrind counts the instructions of every case of `bench-harness/benches/instructions`, on a
//! processor that valgrind emulates: the same counts on every machine, for the same compiler. A count
//! that has grown by more than [`GROWTH`] over the committed one fails; see
//! `docs/instruction-counts.md`.

mod gate;
mod measure;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};

pub use gate::{Baseline, Comparison, Counts, GROWTH, Row, Verdict, handicap_is_seen};
pub use measure::counts_of;
pub use tools::Versions;

use crate::Failure;
use crate::repository::root;
use measure::{Cases, Kernels, count};
use tools::Tools;

/// The committed counts, from the root of the checkout.
pub const FILE: &str = "bench-harness/instructions.json";

/// The case whose kernel the benchmark can be told to make slow.
pub const HANDICAPPED: &str = "metric/chosen_f32";

/// What to do with the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Compare them with the committed ones; then [`Task::SelfTest`].
    Check,
    /// Write them.
    Update,
    /// Show that a kernel that was made slow fails the comparison, and that the others pass it.
    SelfTest,
}

/// Counts, and does the task.
///
/// # Errors
/// [`Failure::Failed`] for counts that have grown, are new or are missing; [`Failure::Unable`] without
/// a processor, a tool or a baseline to count with, or when a case's answer is wrong.
pub fn run(task: Task) -> Result<(), Failure> {
    let file = root().join(FILE);
    let baseline = match task {
        Task::Update => None,
        Task::Check | Task::SelfTest => Some(read(&file).map_err(Failure::Unable)?),
    };
    let tools = Tools::install().map_err(Failure::Unable)?;
    for note in baseline.iter().flat_map(|known| known.other_versions(&tools.versions)) {
        println!("{note}");
    }
    match (task, baseline) {
        (Task::SelfTest, Some(known)) => self_test(&tools, &known.counts),
        (Task::Check, Some(known)) => {
            let counts = count(&tools, Cases::All, Kernels::Ours).map_err(Failure::Unable)?;
            let comparison = Comparison::new(&known.counts, &counts);
            print!("{comparison}");
            let failures = comparison.failures();
            if !failures.is_empty() {
                let mut lines = failures;
                lines.extend(known.other_versions(&tools.versions));
                return Err(Failure::Failed(format!("\n{}", lines.join("\n"))));
            }
            self_test(&tools, &counts)
        }
        _ => update(&tools, &file),
    }
}

/// Counts all cases and writes the file, whole or not at all.
fn update(tools: &Tools, file: &Path) -> Result<(), Failure> {
    let counts = count(tools, Cases::All, Kernels::Ours).map_err(Failure::Unable)?;
    // What changes is shown where there was something before.
    if let Ok(known) = read(file) {
        print!("{}", Comparison::new(&known.counts, &counts));
    }
    let text = Baseline::new(&tools.versions, counts).text();
    let temporary = PathBuf::from(format!("{}.{}", file.display(), std::process::id()));
    let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, file));
    if let Err(error) = written {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        return Err(Failure::Unable(format!("{}: {error}", file.display())));
    }
    println!("wrote {FILE}: look at its difference and commit it");
    Ok(())
}

/// Runs the group of the handicapped case with its slow kernel against `reference`.
fn self_test(tools: &Tools, reference: &Counts) -> Result<(), Failure> {
    println!(
        "self-test: {HANDICAPPED} by a slow kernel; the gate must fail there and nowhere else"
    );
    let counts =
        count(tools, Cases::OfHandicapped, Kernels::Handicapped).map_err(Failure::Unable)?;
    let group = measure::handicapped_group();
    let reference = reference.iter().filter(|(name, _)| name.starts_with(&group));
    let reference: Counts = reference.map(|(name, count)| (name.clone(), *count)).collect();
    let comparison = Comparison::new(&reference, &counts);
    print!("{comparison}");
    handicap_is_seen(&comparison, HANDICAPPED).map_err(Failure::Failed)?;
    println!("self-test: the gate fails on {HANDICAPPED} alone, as it must");
    Ok(())
}

/// The committed counts.
fn read(file: &Path) -> Result<Baseline, String> {
    let remedy = "`cargo ci instructions --update` writes it";
    let text = fs::read_to_string(file).map_err(|e| format!("{FILE}: {e}; {remedy}"))?;
    Baseline::parse(&text).map_err(|problem| format!("{FILE}: {problem}; {remedy}"))
}
