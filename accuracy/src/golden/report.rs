//! The table of worst errors.

use std::collections::BTreeMap;
use std::fmt;

use crate::Dtype;
use crate::comparison::Answer;

/// One line of the table: a quantity of a case in one dtype.
#[derive(Clone, Debug)]
struct Row {
    comparisons: usize,
    error: f64,
    tolerance: f64,
    /// The first tensor that failed, and why.
    failure: Option<String>,
}

/// The outcome of all cases; shown as a table.
#[derive(Clone, Debug, Default)]
pub struct Report {
    rows: Vec<(String, Dtype, BTreeMap<String, Row>)>,
    problems: Vec<String>,
}

impl Report {
    /// Adds an answer of the program.
    pub fn add(&mut self, case: &str, dtype: Dtype, answer: Answer) {
        let mut rows: BTreeMap<String, Row> = BTreeMap::new();
        for comparison in answer.comparisons {
            let row = rows.entry(comparison.row.clone()).or_insert(Row {
                comparisons: 0,
                error: 0.0,
                tolerance: comparison.tolerance,
                failure: None,
            });
            row.comparisons += 1;
            // The bound may differ between layers: the row shows the one that is nearest to its
            // bound or farthest above it. A NaN must not be lost.
            let ratio = comparison.error / comparison.tolerance;
            if ratio.is_nan() || ratio > row.error / row.tolerance {
                (row.error, row.tolerance) = (comparison.error, comparison.tolerance);
            }
            if !comparison.passes() && row.failure.is_none() {
                row.failure = Some(comparison.complaint());
            }
        }
        self.rows.push((case.to_owned(), dtype, rows));
        for problem in answer.problems {
            self.problem(case, Some(dtype), problem);
        }
    }

    /// Adds what went wrong in a case.
    pub fn problem(&mut self, case: &str, dtype: Option<Dtype>, problem: impl fmt::Display) {
        let dtype = dtype.map_or(String::new(), |d| format!(" {}", d.name()));
        self.problems.push(format!("{case}{dtype}: {problem}"));
    }

    /// The count of comparisons made.
    pub fn comparisons(&self) -> usize {
        self.all_rows().map(|(_, _, _, row)| row.comparisons).sum()
    }

    /// The largest error of a row in all cases, over its tolerance.
    pub fn worst(&self, dtype: Dtype) -> f64 {
        let ratios = self.all_rows().filter(|r| r.1 == dtype).map(|r| r.3.error / r.3.tolerance);
        ratios.fold(0.0, f64::max)
    }

    /// What failed, one line each; empty when everything passed. No comparison at all is a failure.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = self.problems.clone();
        failures.extend(self.all_rows().filter_map(|(case, dtype, quantity, row)| {
            let failure = row.failure.as_ref()?;
            Some(format!("{case} {} {quantity}: {failure}", dtype.name()))
        }));
        if self.comparisons() == 0 {
            failures.push("nothing was compared".into());
        }
        failures
    }

    fn all_rows(&self) -> impl Iterator<Item = (&str, Dtype, &str, &Row)> {
        self.rows.iter().flat_map(|(case, dtype, rows)| {
            rows.iter().map(move |(name, row)| (case.as_str(), *dtype, name.as_str(), row))
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["case", "quantity", "dtype", "count", "worst", "allowed"];
        let [case, quantity, dtype, count, worst, allowed] = header;
        writeln!(f, "{case:24} {quantity:42} {dtype:5} {count:>5} {worst:>8} {allowed:>8}")?;
        for (case, dtype, quantity, row) in self.all_rows() {
            let (name, count, error) = (dtype.name(), row.comparisons, row.error);
            let verdict = if row.failure.is_none() { "pass" } else { "FAIL" };
            writeln!(
                f,
                "{case:24} {quantity:42} {name:5} {count:>5} {error:>8.1e} {:>8.0e} {verdict}",
                row.tolerance
            )?;
        }
        let (f64s, f32s) = (self.worst(Dtype::F64), self.worst(Dtype::F32));
        writeln!(
            f,
            "{} comparisons; the worst is {f64s:.2} of what is allowed in f64, {f32s:.2} in f32",
            self.comparisons()
        )?;
        for failure in self.failures() {
            writeln!(f, "FAIL {failure}")?;
        }
        Ok(())
    }
}
