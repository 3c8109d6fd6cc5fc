//! What makes two rows of two records the same case.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::units;
use crate::record::{Approach, Dtype, Measured, Outcome, Record, Row};

/// A case without its outcome.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Key {
    /// metric, kron, factor …
    pub group: String,
    /// What is computed.
    pub quantity: String,
    /// How.
    pub approach: Approach,
    /// Names and values.
    pub size: BTreeMap<String, usize>,
    /// Elements.
    pub dtype: Dtype,
    /// Threads.
    pub threads: usize,
}

impl Key {
    /// The case of a row.
    #[must_use]
    pub fn of(row: &Row) -> Self {
        Self {
            group: row.group.clone(),
            quantity: row.quantity.clone(),
            approach: row.approach,
            size: row.size.clone(),
            dtype: row.dtype,
            threads: row.threads,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, quantity, approach, size, dtype, threads } = self;
        let (approach, dtype) = (units::approach(*approach), units::dtype(*dtype));
        write!(f, "{group}: {quantity}, {approach}, {}, {dtype}, ", named(size))?;
        f.write_str(&units::threads(*threads))
    }
}

/// `inputs 513, neurons 512`.
#[must_use]
pub fn named(size: &BTreeMap<String, usize>) -> String {
    let pairs: Vec<String> = size.iter().map(|(name, value)| format!("{name} {value}")).collect();
    pairs.join(", ")
}

/// The times of a row that has some.
#[must_use]
pub fn measured(row: &Row) -> Option<&Measured> {
    match &row.outcome {
        Outcome::Measured(measured) => Some(measured),
        Outcome::DoesNotFit { .. } | Outcome::TooSlow { .. } => None,
    }
}

/// The rows of a record by their case, which stands once in a record that was read.
#[must_use]
pub fn rows(record: &Record) -> BTreeMap<Key, &Row> {
    record.cases.iter().map(|row| (Key::of(row), row)).collect()
}
