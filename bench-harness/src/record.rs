//! What one run measured, as it is written to JSON and read back.
//!
//! One file is one run: `relfisher-bench measure` writes it, `report` draws it, `compare` judges it,
//! `readme` turns it into the performance section. Times are seconds, memory is bytes, work is
//! floating-point operations (a multiply-add counts two); every time is the least of its rounds,
//! taken in turn with the ceilings that it is compared with.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

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
}

/// The rate that limits a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// A square product of `faer`, FLOP/s.
    Product,
    /// Copying a slice larger than the caches, bytes read and written a second.
    Copy,
    /// `faer`'s Cholesky factorisation of a large matrix, FLOP/s.
    Cholesky,
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
    /// Its rate as a share of that ceiling in the same rounds.
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

impl Record {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, is no record, or has another layout.
    pub fn read(path: &Path) -> Result<Self, String> {
        let problem = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let text = std::fs::read_to_string(path).map_err(|e| problem(&e))?;
        let record: Self = serde_json::from_str(&text).map_err(|e| {
            problem(&format!("{e}; it must be a file that `relfisher-bench measure` wrote"))
        })?;
        if record.layout != LAYOUT {
            let found = record.layout;
            return Err(problem(&format!("layout {found}, not {LAYOUT}: measure again")));
        }
        Ok(record)
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let mut text = serde_json::to_string_pretty(self).map_err(|e| e.to_string())?;
        text.push('\n');
        relfisher::format::write_bytes(path, text.as_bytes()).map_err(|e| e.to_string())
    }
}
