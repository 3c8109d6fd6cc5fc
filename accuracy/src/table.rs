//! The table of worst errors, and what failed.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::comparison::{Answer, Unit};
use crate::dtype::Dtype;

/// What a row of the table is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Key {
    /// Where the references come from: `ladder` or `golden`.
    pub source: String,
    /// The quantity: the name of its tensors without the layer.
    pub quantity: String,
    /// The dtype of the computation.
    pub dtype: Dtype,
    /// The machine that computed.
    pub device: String,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What it is about.
    #[serde(flatten)]
    pub key: Key,
    /// What errors are counted in.
    pub unit: Unit,
    /// The tensors that were compared.
    pub tensors: usize,
    /// The largest error of all tensors; infinite (`null` in JSON) for one that could not be compared.
    pub worst: f64,
    /// The tensor with the largest error, after its case.
    pub place: String,
    /// The largest ratio of an error to what is allowed for its tensor.
    pub of_allowed: f64,
    /// The error of the baseline.
    pub baseline: Option<f64>,
    /// What the baseline allows.
    pub limit: Option<f64>,
}

/// Something that makes the gate fail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// The row, where there is one.
    #[serde(flatten)]
    pub key: Key,
    /// What is wrong, in one line.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Key { source, quantity, dtype, .. } = &self.key;
        let name = dtype.name();
        let space = if quantity.is_empty() { "" } else { " " };
        write!(f, "{source} {quantity}{space}{name}: {}", self.message)
    }
}

/// The outcome of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    rows: BTreeMap<Key, Row>,
    failures: Vec<Failure>,
}

impl Table {
    /// Adds what was compared: `key` with an empty quantity, the case (or an empty name), the answer.
    pub fn add(&mut self, key: &Key, case: &str, answer: Answer) {
        let place = |tensor: &str| match case {
            "" => tensor.to_owned(),
            case => format!("{case}: {tensor}"),
        };
        let mut complained: Vec<String> = Vec::new();
        for comparison in answer.comparisons {
            let key = Key { quantity: comparison.row.clone(), ..key.clone() };
            if !comparison.passes() && !complained.contains(&comparison.row) {
                complained.push(comparison.row.clone());
                let message = place(&comparison.complaint());
                self.failures.push(Failure { key: key.clone(), message });
            }
            let row = self.rows.entry(key.clone()).or_insert(Row {
                key,
                unit: comparison.unit,
                tensors: 0,
                worst: 0.0,
                place: place(&comparison.tensor),
                of_allowed: 0.0,
                baseline: None,
                limit: None,
            });
            row.tensors += 1;
            if comparison.error > row.worst {
                (row.worst, row.place) = (comparison.error, place(&comparison.tensor));
            }
            let ratio = if comparison.passes() && comparison.error == 0.0 {
                0.0
            } else {
                comparison.error / comparison.tolerance
            };
            row.of_allowed = row.of_allowed.max(ratio);
        }
        for problem in answer.problems {
            self.problem(key, place(&problem));
        }
    }

    /// Adds what went wrong outside of a comparison.
    pub fn problem(&mut self, key: &Key, message: String) {
        self.failures.push(Failure { key: key.clone(), message });
    }

    /// The rows: ladder after golden cases, then by name, f64 before f32.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// The row of a key.
    pub fn row(&self, key: &Key) -> Option<&Row> {
        self.rows.get(key)
    }

    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        self.rows.values_mut()
    }

    pub(crate) fn fail(&mut self, failures: impl IntoIterator<Item = Failure>) {
        self.failures.extend(failures);
    }

    /// The count of comparisons made.
    pub fn comparisons(&self) -> usize {
        self.rows().map(|row| row.tensors).sum()
    }

    /// What failed; empty when the gate passes. No comparison at all is a failure.
    pub fn failures(&self) -> Vec<Failure> {
        let mut all = self.failures.clone();
        if self.rows.is_empty() && all.is_empty() {
            let key = Key {
                source: "accuracy".into(),
                quantity: String::new(),
                dtype: Dtype::F64,
                device: String::new(),
            };
            all.push(Failure { key, message: "nothing was compared".into() });
        }
        all
    }

    /// Whether a row failed, by a tolerance or by the baseline.
    pub fn failed(&self, key: &Key) -> bool {
        self.failures.iter().any(|failure| failure.key == *key)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gated = self.rows().any(|row| row.limit.is_some());
        write!(
            f,
            "{:7} {:40} {:5} {:6} {:>7} {:>9} {:8} {:>7}",
            "source", "quantity", "dtype", "device", "tensors", "worst", "unit", "allowed"
        )?;
        writeln!(f, "{}", if gated { "  baseline     limit" } else { "" })?;
        for row in self.rows() {
            let Key { source, quantity, dtype, device } = &row.key;
            let unit = match row.unit {
                Unit::Ulp => "ulp",
                Unit::Relative => "relative",
            };
            write!(
                f,
                "{source:7} {quantity:40} {:5} {device:6} {:>7} {:>9} {unit:8} {:>7}",
                dtype.name(),
                row.tensors,
                number(row.worst, row.unit),
                percent(row.of_allowed),
            )?;
            if gated {
                let show = |x: Option<f64>| x.map_or("-".into(), |x| number(x, row.unit));
                write!(f, " {:>9} {:>9}", show(row.baseline), show(row.limit))?;
            }
            writeln!(f, " {}", if self.failed(&row.key) { "FAIL" } else { "pass" })?;
        }
        writeln!(f, "{} comparisons in {} rows", self.comparisons(), self.rows.len())?;
        for failure in self.failures() {
            writeln!(f, "FAIL {failure}")?;
        }
        Ok(())
    }
}

/// An error as the table shows it.
pub(crate) fn number(x: f64, unit: Unit) -> String {
    match unit {
        Unit::Ulp if x < 1e4 => format!("{x:.2}"),
        _ => format!("{x:.1e}"),
    }
}

/// A ratio as the table shows it.
fn percent(ratio: f64) -> String {
    if ratio < 100.0 { format!("{:.1}%", 100.0 * ratio) } else { format!("{:.0e}%", 100.0 * ratio) }
}
