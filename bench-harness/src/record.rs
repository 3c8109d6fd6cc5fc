//! What one run measured, as it is written to JSON and read back.
//!
//! One file is one run: `relfisher-bench measure` writes it, `report` draws it, `compare` judges it,
//! `readme` turns it into the performance section. Times are seconds, memory is bytes, work is
//! floating-point operations (a multiply-add counts two); every time is the least of its rounds,
//! taken in turn with the ceilings that it is compared with.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::sound;

/// The version of this layout; a reader refuses another.
pub const LAYOUT: u32 = 1;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`LAYOUT`].
    pub layout: u32,
    /// Where, when and of what.
    pub run: Run,
    /// What the machine can do, for every dtype and number of threads: the least time over all rounds.
    pub ceilings: Vec<Ceiling>,
    /// What was measured.
    pub cases: Vec<Row>,
    /// Fitted exponents.
    pub growth: Vec<Growth>,
    /// Ratios with a target.
    pub ratios: Vec<Ratio>,
    /// Targets that were asked for and have no ratio; none in older records.
    #[serde(default)]
    pub not_measured: Vec<NotMeasured>,
}

/// Where, when and of what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The version of the package.
    pub version: String,
    /// The commit, with `+` when files differ from it, or `unknown`.
    pub commit: String,
    /// SHA-256 over the sources of core, gpu-kernels, host and bench-harness.
    pub source_hash: String,
    /// Seconds since 1970.
    pub unix_seconds: u64,
    /// The compiler.
    pub rustc: String,
    /// The processor as the system names it.
    pub cpu: String,
    /// Vector extensions.
    pub simd: Vec<String>,
    /// The threads that the machine has.
    pub cores: usize,
    /// The machine's memory.
    pub memory: u64,
    /// Operating system and architecture.
    pub system: String,
    /// Small sizes and few rounds: the times mean nothing.
    pub quick: bool,
    /// The options that it was measured with, as the command line has them; empty in older records.
    #[serde(default)]
    pub options: String,
}

/// The rate that limits a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// A square product of `faer`, FLOP/s.
    Product,
    /// Streaming through slices larger than the caches, bytes read and written a second: the fastest of
    /// a copy, of scaling in place, and of adding a multiple in place.
    Copy,
    /// `faer`'s Cholesky factorisation of a large matrix, FLOP/s.
    Cholesky,
}

impl Limit {
    /// What of the declared work the limit counts.
    #[must_use]
    pub const fn work(self, flops: f64, bytes: f64) -> f64 {
        match self {
            Self::Copy => bytes,
            Self::Product | Self::Cholesky => flops,
        }
    }
}

/// Elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

/// What the machine can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// Of what.
    pub limit: Limit,
    /// Elements.
    pub dtype: Dtype,
    /// Threads.
    pub threads: usize,
    /// The order of the matrices, or the elements of the slice.
    pub order: usize,
    /// The least seconds.
    pub seconds: f64,
    /// FLOP/s, or bytes a second.
    pub rate: f64,
    /// For [`Limit::Copy`] the loop that was the fastest: `copy`, `scale` or `add`; empty otherwise and
    /// in older records, which only copied.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

/// How a case computes its quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approach {
    /// relfisher's.
    Structured,
    /// The dense matrix of the same quantity, by `faer`.
    Dense,
    /// The same structure by other means, such as a loop over `faer` or bare products.
    Loop,
    /// On a GPU, timed by its events.
    Gpu,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// metric, kron, factor, curvature, optim, step or launch.
    pub group: String,
    /// What is computed: rows of one quantity, size, dtype and threads can be compared.
    pub quantity: String,
    /// How.
    pub approach: Approach,
    /// Names and values of the size, in the words of sizes.toml.
    pub size: BTreeMap<String, usize>,
    /// The size that plots draw over: a layer's width, an order, a length.
    pub x: usize,
    /// Elements.
    pub dtype: Dtype,
    /// Threads.
    pub threads: usize,
    /// Declared floating-point operations.
    pub flops: f64,
    /// Declared bytes that must move at least once: inputs read, outputs written.
    pub bytes: f64,
    /// The outcome.
    pub outcome: Outcome,
}

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Outcome {
    /// Its answer was right, and it was timed.
    Measured(Measured),
    /// The matrix alone needs so many bytes, more than the machine leaves: nothing is extrapolated.
    DoesNotFit {
        /// The bytes that it would need.
        bytes: u64,
    },
    /// One call would take longer than the limit of the run, so it was not tried.
    TooSlow {
        /// The seconds that its FLOPs take at the ceiling.
        seconds: f64,
        /// The bytes that it would hold; none in older records.
        #[serde(default)]
        bytes: Option<u64>,
    },
}

/// Times and memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The least seconds of a call.
    pub seconds: f64,
    /// The median.
    pub median: f64,
    /// Rounds.
    pub rounds: usize,
    /// What limits it.
    pub limit: Limit,
    /// Its rate as a share of that ceiling: in the same rounds, or nine tenths of the best of the run
    /// where that is more.
    pub share: f64,
    /// The most bytes that one call allocated beside its inputs, counted.
    pub peak_bytes: u64,
    /// What the formula predicts for them.
    pub predicted_bytes: u64,
}

/// Time or memory against size: log y = exponent · log x + c, by least squares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// Of which quantity.
    pub quantity: String,
    /// How.
    pub approach: Approach,
    /// Elements.
    pub dtype: Dtype,
    /// Threads.
    pub threads: usize,
    /// `seconds` or `bytes`.
    pub measure: String,
    /// The sizes from and to.
    pub from: usize,
    /// See `from`.
    pub to: usize,
    /// Fitted.
    pub exponent: f64,
    /// The same fit of the declared FLOPs, or of the predicted bytes: what theory says for these sizes.
    pub theory: f64,
}

/// A ratio and its target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// What.
    pub name: String,
    /// Elements.
    pub dtype: Dtype,
    /// Threads.
    pub threads: usize,
    /// The value.
    pub value: f64,
    /// What it should reach or stay below; without one it is only noted.
    pub target: Option<Target>,
    /// What it consists of, for a reader.
    pub detail: String,
}

/// A target without a value: what it judges was not tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotMeasured {
    /// The name that its ratio would have.
    pub name: String,
    /// Elements.
    pub dtype: Dtype,
    /// Threads.
    pub threads: usize,
    /// Why, in words: `too slow: 12.0 s at the ceiling`.
    pub why: String,
}

/// A bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// At least.
    AtLeast(f64),
    /// At most.
    AtMost(f64),
}

impl Target {
    /// Whether `value` keeps it.
    #[must_use]
    pub fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl Row {
    /// A line of the table that a run prints.
    #[must_use]
    pub fn line(&self) -> String {
        let name = format!("{:?}", self.approach).to_lowercase();
        match &self.outcome {
            Outcome::Measured(m) => {
                let rate = match m.limit {
                    Limit::Copy => format!("{:8.2} GB/s", self.bytes / m.seconds / 1e9),
                    _ => format!("{:8.2} GFLOP/s", self.flops / m.seconds / 1e9),
                };
                let limit = format!("{:?}", m.limit).to_lowercase();
                format!(
                    "{name:<10} {:>12.4} ms {rate} {:>6.3} of {limit:<8} {:>10.2} MiB ({:.2} predicted)",
                    m.seconds * 1e3,
                    m.share,
                    mebibytes(m.peak_bytes),
                    mebibytes(m.predicted_bytes),
                )
            }
            Outcome::DoesNotFit { bytes } => {
                format!("{name:<10} does not fit: {:.1} GiB", mebibytes(*bytes) / 1024.0)
            }
            Outcome::TooSlow { seconds, .. } => {
                format!("{name:<10} not tried: {seconds:.1} s at the ceiling")
            }
        }
    }
}

fn verdict(ratio: &Ratio) -> &'static str {
    if ratio.target.is_some_and(|t| t.met(ratio.value)) { "met" } else { "MISSED" }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

impl Record {
    /// That it is a record which can be read again, and judged.
    ///
    /// # Errors
    /// A number that is none; a case or a ratio that stands twice.
    pub fn check(&self) -> Result<(), String> {
        sound::finite(self)?;
        sound::distinct(self)
    }

    /// A run without rows.
    #[must_use]
    pub fn empty(run: Run) -> Self {
        let (ceilings, cases, growth, ratios, not_measured) = Default::default();
        Self { layout: LAYOUT, run, ceilings, cases, growth, ratios, not_measured }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, is no record, has another layout, or names a case twice.
    pub fn read(path: &Path) -> Result<Self, String> {
        let problem = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let text = std::fs::read_to_string(path).map_err(|e| problem(&e))?;
        let record: Self = serde_json::from_str(&text).map_err(|e| {
            let remedy = "give a file that `relfisher-bench measure` wrote, or measure again";
            problem(&format!("{e}: {remedy}"))
        })?;
        if record.layout != LAYOUT {
            let found = record.layout;
            return Err(problem(&format!("layout {found}, not {LAYOUT}: measure again")));
        }
        let unfit = |e: String| problem(&format!("{e}: measure again"));
        sound::distinct(&record).map_err(unfit)?;
        Ok(record)
    }

    /// Ceilings, ratios with their targets, and exponents, as a run prints them at its end.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = String::from("\nceilings\n");
        let dtype = |d: Dtype| format!("{d:?}").to_lowercase();
        for c in &self.ceilings {
            let limit = format!("{:?}", c.limit).to_lowercase();
            let unit = if c.limit == Limit::Copy { "GB/s" } else { "GFLOP/s" };
            let (rate, of) = (c.rate / 1e9, dtype(c.dtype));
            text += &format!("{limit:<10} {of} {} threads {rate:>9.1} {unit}\n", c.threads);
        }
        text += "\nratios\n";
        for r in &self.ratios {
            let (target, verdict) = match r.target {
                None => (String::new(), ""),
                Some(Target::AtLeast(bound)) => (format!(">= {bound:.2}"), verdict(r)),
                Some(Target::AtMost(bound)) => (format!("<= {bound:.2}"), verdict(r)),
            };
            text += &format!(
                "{:<86} {} {} {:>8.2} {target:>8} {verdict:<6} {}\n",
                r.name,
                dtype(r.dtype),
                r.threads,
                r.value,
                r.detail
            );
        }
        for NotMeasured { name, dtype: of, threads, why } in &self.not_measured {
            text += &format!("{name:<86} {} {threads} not measured: {why}\n", dtype(*of));
        }
        text += "\ngrowth: exponent over the width, and of the declared work\n";
        for g in &self.growth {
            text += &format!(
                "{:<64} {:<10} {} {} {:<7} {:>5.2} {:>5.2} ({} to {})\n",
                g.quantity,
                format!("{:?}", g.approach).to_lowercase(),
                dtype(g.dtype),
                g.threads,
                g.measure,
                g.exponent,
                g.theory,
                g.from,
                g.to
            );
        }
        text
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// As [`Record::check`]; a file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        self.check().map_err(|e| format!("{}: not written: {e}", path.display()))?;
        let mut text = serde_json::to_string_pretty(self).map_err(|e| e.to_string())?;
        text.push('\n');
        relfisher::format::write_bytes(path, text.as_bytes()).map_err(|e| e.to_string())
    }
}
