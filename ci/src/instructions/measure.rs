//! One run of the benchmark under callgrind, and its output.

use std::process::Stdio;

use gungraun_summary::v7::{BenchmarkSummary, EventKind, Metric, ToolMetricResults, parse_slice};

use super::tools::Tools;
use super::{Counts, HANDICAPPED};
use crate::repository::{command, output, root};

/// Which cases to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cases {
    /// Every one.
    All,
    /// Those beside the handicapped one.
    OfHandicapped,
}

/// What the cases run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernels {
    /// The kernels of the library.
    Ours,
    /// A slow one in the handicapped case.
    Handicapped,
}

/// What the names of the cases beside the handicapped one begin with.
pub(super) fn handicapped_group() -> String {
    HANDICAPPED.split_inclusive('/').next().unwrap_or_default().to_owned()
}

/// Builds the benchmark, runs it and reads its counts.
pub(super) fn count(tools: &Tools, cases: Cases, kernels: Kernels) -> Result<Counts, String> {
    let arguments = ["bench", "-p", "relfisher-bench", "--features", "instructions"];
    let mut bench = command("cargo", &arguments);
    // One file of a run is never compared with that of another by the runner: the gate compares.
    let home = root().join("target/instructions");
    bench.args(["--bench", "instructions", "--", "--output-format=json", "--parallel=auto"]);
    bench.arg("--home").arg(home);
    if kernels == Kernels::Handicapped {
        bench.arg("--envs=RELFISHER_BENCH_HANDICAP=1");
    }
    if cases == Cases::OfHandicapped {
        bench.arg(format!("instructions::*::{}::*", handicapped_group().trim_end_matches('/')));
    }
    bench.env("GUNGRAUN_RUNNER", &tools.runner);
    // Flags and incremental builds give other code, and so other counts.
    bench
        .env("CARGO_INCREMENTAL", "0")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    // What is built and what fails is seen at once.
    bench.stderr(Stdio::inherit());
    counts_of(&output(bench)?)
}

/// The counts in the runner's output: one summary in JSON on each line.
///
/// # Errors
/// A line that is no summary, or one without a count; a case that stands twice; no case at all.
pub fn counts_of(summaries: &str) -> Result<Counts, String> {
    let mut counts = Counts::new();
    for line in summaries.lines().filter(|line| !line.trim().is_empty()) {
        let summary = parse_slice(line.as_bytes())
            .map_err(|e| format!("the runner printed no summary: {e}: {line}"))?;
        let id = summary.id.as_deref().unwrap_or_default();
        let name = format!("{}/{id}", summary.function_name);
        let count = instructions(&summary).ok_or_else(|| format!("{name}: no count"))?;
        if counts.insert(name.clone(), count).is_some() {
            return Err(format!("{name}: counted twice"));
        }
    }
    if counts.is_empty() { Err("the runner counted nothing".into()) } else { Ok(counts) }
}

/// `Ir`, the instructions that callgrind saw.
fn instructions(summary: &BenchmarkSummary) -> Option<u64> {
    let of_profile = summary.profiles.0.iter().find_map(|profile| {
        let ToolMetricResults::Callgrind(results) = &profile.data.total.metrics else {
            return None;
        };
        results.0.get(&EventKind::Ir)
    });
    match of_profile?.values.as_ref().left()? {
        Metric::Int(count) => Some(*count),
        Metric::Float(_) => None,
    }
}
