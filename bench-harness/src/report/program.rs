//! The commands `report`, `compare` and `readme`.

use std::path::{Path, PathBuf};

use clap::Args;
use relfisher::format::{check_apart, check_writable, write_bytes};

use super::compare::{BAND, Comparison, comparable, compare, read};
use super::folder::{self, Results};
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
/// Results that cannot be read, none at all; a file that cannot be written, or is one of the results.
pub fn report(options: &ReportOptions) -> Result<Ended, String> {
    let written = [("--out", Some(&options.out)), ("--json", options.json.as_ref())];
    outputs(&written, &folder::files(&options.results)?)?;
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
    /// The part by which a share may fall, and by which a ratio may miss its target, or get worse where
    /// it missed it before.
    #[arg(long, default_value_t = BAND)]
    pub band: f64,
    /// Also writes the outcome as JUnit XML.
    #[arg(long)]
    pub junit: Option<PathBuf>,
}

impl Gate {
    /// Whether it can judge.
    ///
    /// # Errors
    /// A band that is none.
    pub fn check(&self) -> Result<(), String> {
        if (0.0..1.0).contains(&self.band) {
            return Ok(());
        }
        Err(format!("--band {}: give a part between 0 and 1, such as {BAND}", self.band))
    }
}

/// Refuses outputs that cannot be written, or would take the place of an input or of each other: to be
/// asked before any work.
///
/// # Errors
/// The first of them.
pub fn outputs(written: &[(&str, Option<&PathBuf>)], read: &[PathBuf]) -> Result<(), String> {
    let written =
        written.iter().filter_map(|(option, path)| Some((*option, path.as_ref()?.as_path())));
    let written: Vec<(&str, &Path)> = written.collect();
    for (_, path) in &written {
        check_writable(path).map_err(|e| e.to_string())?;
    }
    let read: Vec<&Path> = read.iter().map(PathBuf::as_path).collect();
    check_apart(&written, &read).map_err(|e| e.to_string())
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
/// A file that is no record, of another layout, of a quick run, or of disturbed ceilings; a band that is
/// none; an output that is an input.
pub fn compare_files(options: &CompareOptions) -> Result<Ended, String> {
    let CompareOptions { record, baseline, gate } = options;
    gate.check()?;
    outputs(&[("--junit", gate.junit.as_ref())], &[record.clone(), baseline.clone()])?;
    let names = [record, baseline].map(|path| path.display().to_string());
    judge((&read(record)?, &names[0]), (&read(baseline)?, &names[1]), gate)
}

/// Compares two records with their names; prints the table.
///
/// # Errors
/// As [`compare_files`].
pub fn judge(
    (record, name): (&Record, &str),
    (baseline, before): (&Record, &str),
    gate: &Gate,
) -> Result<Ended, String> {
    gate.check()?;
    comparable(record, name)?;
    comparable(baseline, before)?;
    let comparison: Comparison = compare(record, baseline, gate.band);
    println!("{name} against {before}\n{comparison}");
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
/// Files that cannot be read or written, a quick record, a README without the two marks, a folder
/// without a full record.
pub fn readme(options: &ReadmeOptions) -> Result<Ended, String> {
    let inputs = match &options.record {
        Some(path) => vec![path.clone()],
        None => folder::files(&options.results)?,
    };
    let written = Some(&options.file).filter(|_| !options.check);
    outputs(&[("--file", written)], &inputs)?;
    let results = match &options.record {
        Some(path) => Results::of(path, read(path)?),
        None => full_runs(Results::read(&options.results)?),
    };
    warn(&results);
    let name = options.file.display().to_string();
    let old = std::fs::read_to_string(&options.file).map_err(|e| format!("{name}: {e}"))?;
    let section = Section::find(&old).map_err(|e| format!("{name}: {e}"))?;
    let Some(newest) = results.newest() else {
        let remedy = "measure one with `relfisher-bench measure --out FILE`, or give --record FILE";
        return Err(format!("{}: no record of a full run: {remedy}", options.results.display()));
    };
    let source = newest.name();
    let new = section.with(&readme::generate(&results));
    if !options.check {
        write(&options.file, &new)?;
        println!("{name}: written from {}", source);
        return Ok(Ended::Good);
    }
    match readme::difference(&old, &new) {
        None => {
            println!("{name}: as {} gives it", source);
            Ok(Ended::Good)
        }
        Some(place) => {
            let remedy = "run `relfisher-bench readme` to write it anew";
            println!("{name}:{place}\n{name}: not what {} gives: {remedy}", source);
            Ok(Ended::Bad)
        }
    }
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
