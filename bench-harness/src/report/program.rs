//! The commands `report`, `compare` and `readme`.

use std::path::{Path, PathBuf};

use clap::Args;
use relfisher::format::write_bytes;

use super::compare::{BAND, Comparison, comparable, compare, read};
use super::folder::Results;
use super::junit::junit;
use super::page::page;
use super::readme::{self, Section};
use super::summary::Summary;
use crate::record::Record;

/// How a command ended that ran: exit status 0 or 1. Bad input is an error, status 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything is as it should be.
    Good,
    /// The gate closed, or the README is not up to date.
    Bad,
}

/// Arguments of `relfisher-bench report`.
#[derive(Args, Clone, Debug)]
pub struct ReportOptions {
    /// The folder of results: records (also in its folder cpu), and bench.json files of GPUs.
    #[arg(long, default_value = "bench-harness/results")]
    pub results: PathBuf,
    /// The page to write.
    #[arg(long, default_value = "report.html")]
    pub out: PathBuf,
    /// Also writes what the page says as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// Writes the page of the newest record.
///
/// # Errors
/// Results that cannot be read, none at all, a file that cannot be written.
pub fn report(options: &ReportOptions) -> Result<Ended, String> {
    let results = Results::read(&options.results)?;
    warn(&results);
    let summary = Summary::of(&results).ok_or_else(|| {
        let remedy = "measure one with `relfisher-bench measure --out FILE`";
        format!("{}: no record: {remedy}", options.results.display())
    })?;
    write(&options.out, &page(&summary)?)?;
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&summary).map_err(|e| e.to_string())?;
        write(path, &(text + "\n"))?;
    }
    println!("{}: the report of {}", options.out.display(), summary.file);
    Ok(Ended::Good)
}

/// What a gate is told beside its two records.
#[derive(Args, Clone, Debug)]
pub struct Gate {
    /// The part by which a share may fall, and by which a ratio may miss its target.
    #[arg(long, default_value_t = BAND)]
    pub band: f64,
    /// Also writes the outcome as JUnit XML.
    #[arg(long)]
    pub junit: Option<PathBuf>,
}

/// Arguments of `relfisher-bench compare`.
#[derive(Args, Clone, Debug)]
pub struct CompareOptions {
    /// The record to judge.
    pub record: PathBuf,
    /// The record to compare it with.
    #[arg(long)]
    pub baseline: PathBuf,
    /// Band and outcome.
    #[command(flatten)]
    pub gate: Gate,
}

/// Compares two files.
///
/// # Errors
/// A file that is no record, of another layout, or of a quick run; a band that is none.
pub fn compare_files(options: &CompareOptions) -> Result<Ended, String> {
    let record = read(&options.record)?;
    judge(&record, &options.record.display().to_string(), &options.baseline, &options.gate)
}

/// Compares a record at hand, called `name`, with a file; prints the table.
///
/// # Errors
/// As [`compare_files`].
pub fn judge(record: &Record, name: &str, baseline: &Path, gate: &Gate) -> Result<Ended, String> {
    if !(0.0..1.0).contains(&gate.band) {
        return Err(format!("--band {}: give a part between 0 and 1, such as {BAND}", gate.band));
    }
    comparable(record, name)?;
    let comparison: Comparison = compare(record, &read(baseline)?, gate.band);
    println!("{name} against {}\n{comparison}", baseline.display());
    if let Some(path) = &gate.junit {
        write(path, &junit(&comparison).map_err(|e| e.to_string())?)?;
    }
    Ok(if comparison.passed() { Ended::Good } else { Ended::Bad })
}

/// Arguments of `relfisher-bench readme`.
#[derive(Args, Clone, Debug)]
pub struct ReadmeOptions {
    /// The record [default: the newest full run of the results].
    #[arg(long)]
    pub record: Option<PathBuf>,
    /// The folder of results.
    #[arg(long, default_value = "bench-harness/results")]
    pub results: PathBuf,
    /// The file whose section is written.
    #[arg(long, default_value = "README.md")]
    pub file: PathBuf,
    /// Writes nothing; exit status 1 when the section is not what the record gives.
    #[arg(long)]
    pub check: bool,
}

/// Writes or checks the section.
///
/// # Errors
/// Files that cannot be read or written, a quick record, a README without the two marks.
pub fn readme(options: &ReadmeOptions) -> Result<Ended, String> {
    let results = match &options.record {
        Some(path) => Results::of(path, read(path)?),
        None => full_runs(Results::read(&options.results)?),
    };
    warn(&results);
    let name = options.file.display().to_string();
    let old = std::fs::read_to_string(&options.file).map_err(|e| format!("{name}: {e}"))?;
    let section = Section::find(&old).map_err(|e| format!("{name}: {e}"))?;
    let new = section.with(&readme::generate(&results));
    if !options.check {
        write(&options.file, &new)?;
        println!("{name}: written from {}", source(&results));
        return Ok(Ended::Good);
    }
    match readme::difference(&old, &new) {
        None => {
            println!("{name}: as {} gives it", source(&results));
            Ok(Ended::Good)
        }
        Some(place) => {
            let remedy = "run `relfisher-bench readme` to write it anew";
            println!("{name}:{place}\n{name}: not what {} gives: {remedy}", source(&results));
            Ok(Ended::Bad)
        }
    }
}

fn source(results: &Results) -> String {
    results
        .newest()
        .map_or_else(|| "a folder without records".to_owned(), super::folder::Named::name)
}

/// Without quick runs: their numbers mean nothing.
fn full_runs(mut results: Results) -> Results {
    results.records.retain(|record| !record.content.run.quick);
    results
}

fn warn(results: &Results) {
    for why in &results.left_out {
        eprintln!("left out: {why}");
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    write_bytes(path, text.as_bytes()).map_err(|e| e.to_string())
}
