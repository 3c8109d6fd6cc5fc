//! What the page, the JSON and the README say, computed once from the committed results.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::counterpart::{self, Counterpart};
use super::folder::{Named, Results};
use super::gpu::GpuRun;
use super::key::{self, Key};
use crate::record::{
    Approach, Ceiling, Dtype, Growth, LAYOUT, Limit, NotMeasured, Outcome, Ratio, Record, Row, Run,
};

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The layout of the record.
    pub layout: u32,
    /// The file of the record.
    pub file: String,
    /// Where, when and of what.
    pub run: Run,
    /// What the machine can do.
    pub ceilings: Vec<Ceiling>,
    /// Ratios, judged.
    pub ratios: Vec<Judged>,
    /// Targets without a value: what they judge was not tried.
    pub not_measured: Vec<NotMeasured>,
    /// Quantities that were computed by structure and by a dense matrix.
    pub pairs: Vec<Pair>,
    /// The share of the ceiling of each kernel at its largest size.
    pub shares: Vec<Share>,
    /// Memory measured and predicted.
    pub memory: Vec<Memory>,
    /// Fitted exponents.
    pub growth: Vec<Growth>,
    /// Shares of all committed runs.
    pub history: History,
    /// Runs of GPUs.
    pub gpu: Vec<GpuRun>,
    /// What the CPU reaches at the quantities that a GPU was measured at.
    pub counterparts: Vec<Counterpart>,
    /// Files that were left out, and why.
    pub left_out: Vec<String>,
}

/// A ratio and whether it keeps its target.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// The ratio.
    #[serde(flatten)]
    pub ratio: Ratio,
    /// `None` without a target.
    pub met: Option<bool>,
}

/// A quantity that both approaches were asked for, with the most threads that both had.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    /// metric, kron, factor …
    pub group: String,
    /// What is computed.
    pub quantity: String,
    /// The name of the size that `x` is.
    pub axis: String,
    /// Threads.
    pub threads: usize,
    /// All approaches, by dtype and size.
    pub rows: Vec<Row>,
}

/// One size of a pair.
#[derive(Clone, Copy, Debug)]
pub struct Versus<'a> {
    /// The structured row.
    pub structured: &'a Row,
    /// The dense row.
    pub dense: &'a Row,
}

/// The share of the ceiling of a kernel at its largest size.
#[derive(Clone, Debug, Serialize)]
pub struct Share {
    /// metric, kron, factor …
    pub group: String,
    /// What is computed.
    pub quantity: String,
    /// The size, in words.
    pub size: String,
    /// What limits it.
    pub limit: Limit,
    /// One for each dtype and number of threads.
    pub values: Vec<(Dtype, usize, f64)>,
}

/// Memory measured and predicted.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    /// The case.
    pub case: Key,
    /// Counted bytes.
    pub measured: u64,
    /// The formula's.
    pub predicted: u64,
}

/// Shares over the committed runs.
#[derive(Clone, Debug, Serialize)]
pub struct History {
    /// The runs, oldest first; quick ones are left out.
    pub runs: Vec<Moment>,
    /// The structured cases of the newest run, with one share for each run that has them.
    pub cases: Vec<(Key, Vec<Option<f64>>)>,
}

/// One committed run.
#[derive(Clone, Debug, Serialize)]
pub struct Moment {
    /// Its file.
    pub file: String,
    /// Seconds since 1970.
    pub unix_seconds: u64,
    /// Its commit.
    pub commit: String,
    /// Its processor.
    pub cpu: String,
}

impl Summary {
    /// Of the newest record; `None` where there is none.
    #[must_use]
    pub fn of(results: &Results) -> Option<Self> {
        let Named { content: record, .. } = results.newest()?;
        let file = results.newest()?.name();
        let judged = |ratio: &Ratio| Judged {
            ratio: ratio.clone(),
            met: ratio.target.map(|target| target.met(ratio.value)),
        };
        Some(Self {
            layout: LAYOUT,
            file,
            run: record.run.clone(),
            ceilings: record.ceilings.clone(),
            ratios: record.ratios.iter().map(judged).collect(),
            not_measured: record.not_measured.clone(),
            pairs: pairs(record),
            shares: shares(record),
            memory: memory(record),
            growth: record.growth.clone(),
            history: history(results, record),
            gpu: results.gpu.iter().map(|run| run.content.clone()).collect(),
            counterparts: counterpart::of(results, record),
            left_out: results.left_out.clone(),
        })
    }

    /// How many ratios keep their target, of how many that have one.
    #[must_use]
    pub fn targets(&self) -> (usize, usize) {
        let judged = || self.ratios.iter().filter_map(|ratio| ratio.met);
        (judged().filter(|met| *met).count(), judged().count())
    }

    /// `83 of 104 targets are met, 1 not measured`; a target without a value is one of all.
    #[must_use]
    pub fn targets_in_words(&self) -> String {
        let ((met, judged), without) = (self.targets(), self.not_measured.len());
        let words = format!("{met} of {} targets are met", judged + without);
        if without == 0 { words } else { format!("{words}, {without} not measured") }
    }
}

/// Groups and quantities in the order in which the record has them.
fn quantities(record: &Record) -> Vec<(&str, &str)> {
    let mut seen = BTreeSet::new();
    let names = record.cases.iter().map(|row| (row.group.as_str(), row.quantity.as_str()));
    names.filter(|name| seen.insert(*name)).collect()
}

fn rows_of<'a>(record: &'a Record, (group, quantity): (&str, &str)) -> Vec<&'a Row> {
    record.cases.iter().filter(|row| row.group == group && row.quantity == quantity).collect()
}

fn pairs(record: &Record) -> Vec<Pair> {
    let pair = |name: (&str, &str)| {
        let rows = rows_of(record, name);
        let threads = |approach: Approach| -> BTreeSet<usize> {
            rows.iter().filter(|row| row.approach == approach).map(|row| row.threads).collect()
        };
        let (structured, dense) = (threads(Approach::Structured), threads(Approach::Dense));
        let threads = structured.intersection(&dense).max().copied()?;
        let mut rows: Vec<Row> = rows
            .into_iter()
            .filter(|row| row.threads == threads || row.approach == Approach::Gpu)
            .cloned()
            .collect();
        rows.sort_by_key(|row| (row.approach, row.dtype, row.x));
        Some(Pair {
            group: name.0.to_owned(),
            quantity: name.1.to_owned(),
            axis: axis(&rows),
            threads,
            rows,
        })
    };
    quantities(record).into_iter().filter_map(pair).collect()
}

/// The name of the size that every row has at its `x`.
fn axis(rows: &[Row]) -> String {
    let mut names = rows.first().into_iter().flat_map(|row| row.size.keys());
    let of_all = |name: &&String| rows.iter().all(|row| row.size.get(*name) == Some(&row.x));
    names.find(of_all).map_or_else(|| "size".to_owned(), String::clone)
}

impl Pair {
    /// The sizes of a dtype that have both approaches, ascending.
    #[must_use]
    pub fn versus(&self, dtype: Dtype) -> Vec<Versus<'_>> {
        let of = |approach: Approach| {
            self.rows.iter().filter(move |row| row.approach == approach && row.dtype == dtype)
        };
        of(Approach::Structured)
            .filter_map(|structured| {
                let dense = of(Approach::Dense).find(|dense| dense.size == structured.size)?;
                Some(Versus { structured, dense })
            })
            .collect()
    }
}

impl Versus<'_> {
    /// How many times as fast the structured approach is.
    #[must_use]
    pub fn speedup(&self) -> Option<f64> {
        let (own, other) = (key::measured(self.structured)?, key::measured(self.dense)?);
        Some(other.seconds / own.seconds)
    }
}

/// The share of the ceiling of a row that has a time and declares work.
#[must_use]
pub fn share(row: &Row) -> Option<f64> {
    let m = key::measured(row)?;
    (m.limit.work(row.flops, row.bytes) > 0.0).then_some(m.share)
}

/// Structured kernels, each at the largest x that was measured for each dtype and number of threads.
fn shares(record: &Record) -> Vec<Share> {
    let kernel = |name: (&str, &str)| {
        let rows: Vec<&Row> = rows_of(record, name)
            .into_iter()
            .filter(|row| row.approach == Approach::Structured && share(row).is_some())
            .collect();
        let largest =
            *rows.iter().max_by(|a, b| a.x.cmp(&b.x).then(a.flops.total_cmp(&b.flops)))?;
        let limit = key::measured(largest)?.limit;
        let same = rows.iter().filter(|row| row.size == largest.size);
        let values: BTreeMap<(Dtype, usize), f64> =
            same.filter_map(|row| Some(((row.dtype, row.threads), share(row)?))).collect();
        Some(Share {
            group: name.0.to_owned(),
            quantity: name.1.to_owned(),
            size: key::named(&largest.size),
            limit,
            values: values.into_iter().map(|((dtype, threads), v)| (dtype, threads, v)).collect(),
        })
    };
    quantities(record).into_iter().filter_map(kernel).collect()
}

fn memory(record: &Record) -> Vec<Memory> {
    let memory = |row: &Row| match &row.outcome {
        Outcome::Measured(m) => Some(Memory {
            case: Key::of(row),
            measured: m.peak_bytes,
            predicted: m.predicted_bytes,
        }),
        Outcome::DoesNotFit { .. } | Outcome::TooSlow { .. } => None,
    };
    record.cases.iter().filter_map(memory).collect()
}

/// Whether two rows declare the same work, but for an iteration more or less.
fn same_work(one: &Row, other: &Row) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= 0.1 * a.max(b);
    near(one.flops, other.flops) && near(one.bytes, other.bytes)
}

fn history(results: &Results, newest: &Record) -> History {
    let runs = || results.records.iter().filter(|record| !record.content.run.quick);
    let rows: Vec<_> = runs().map(|record| key::rows(&record.content)).collect();
    let cases = key::rows(newest).into_iter();
    let cases = cases.filter(|(case, _)| case.approach == Approach::Structured);
    let shares = |case: &Key, now: &Row| -> Vec<Option<f64>> {
        let earlier = |rows: &BTreeMap<Key, &Row>| {
            let row = rows.get(case)?;
            // a share of other work is no earlier value of this one
            if same_work(row, now) { share(row) } else { None }
        };
        rows.iter().map(earlier).collect()
    };
    let moment = |record: &Named<Record>| Moment {
        file: record.name(),
        unix_seconds: record.content.run.unix_seconds,
        commit: record.content.run.commit.clone(),
        cpu: record.content.run.cpu.clone(),
    };
    History {
        runs: runs().map(moment).collect(),
        cases: cases
            .map(|(case, row)| {
                let shares = shares(&case, row);
                (case, shares)
            })
            .filter(|(_, shares)| shares.iter().any(Option::is_some))
            .collect(),
    }
}
