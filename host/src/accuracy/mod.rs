//! The numbers of this library for the references of [`relfisher_accuracy`]: its ladder and its
//! golden cases.
//!
//! Everything goes through an [`Executor`], so a new one, or one that is wrong, meets the same gate.
//! The references and the comparison know nothing of this library.
//!
//! ```
//! use relfisher::accuracy::{Executors, References, measure};
//! use relfisher::executor::Cpu;
//! use relfisher_accuracy::{Dtype, baseline::Scope, ladder::Ladder};
//! let references = References { ladder: Some(Ladder::new()), cases: Vec::new() };
//! let scope = Scope {
//!     sources: vec!["ladder".into()],
//!     quantities: vec!["nu".into()],
//!     dtypes: vec![Dtype::F64, Dtype::F32],
//!     device: "cpu".into(),
//!     cases: Vec::new(),
//! };
//! let cpu = Cpu::new(Some(1))?;
//! let executors = Executors { single: &cpu, double: &cpu };
//! let table = measure(&references, &scope, &executors, &mut |_| {});
//! assert!(table.failures().is_empty() && table.rows().count() == 16, "{table}");
//! # Ok::<(), relfisher::Error>(())
//! ```

mod algebra;
mod golden;
mod ladder;
mod metric;
mod posterior;
mod prune;
mod sparse;
mod statistics;
mod training;

use relfisher_accuracy::baseline::Scope;
use relfisher_accuracy::golden::{Files, compare_rows, request_rows};
use relfisher_accuracy::ladder::{Ladder, compare, rows};
use relfisher_accuracy::table::{Key, Table};
use relfisher_accuracy::{Answer, Dtype};

pub use golden::golden_answer;
pub use ladder::ladder_answer;

use crate::executor::Executor;

/// What numbers are compared with.
#[derive(Clone, Debug)]
pub struct References {
    /// The ladder.
    pub ladder: Option<Ladder>,
    /// The golden cases.
    pub cases: Vec<Files>,
}

impl References {
    /// The rows that there are, each once, in order.
    pub fn rows(&self) -> Vec<String> {
        let ladder = self.ladder.iter().flat_map(rows).map(str::to_owned);
        let mut all: Vec<String> = self.cases.iter().flat_map(|files| files.case.rows()).collect();
        all.extend(ladder);
        all.sort();
        all.dedup();
        all
    }
}

/// Who computes.
pub struct Executors<'a> {
    /// In single precision.
    pub single: &'a dyn Executor<f32>,
    /// In double precision.
    pub double: &'a dyn Executor<f64>,
}

/// Computes and compares everything in the scope. `progress` is told each piece of work before it
/// begins; there are as many as [`steps`] says.
///
/// A piece that cannot be computed fails in the table.
pub fn measure(
    references: &References,
    scope: &Scope,
    executors: &Executors<'_>,
    progress: &mut dyn FnMut(&str),
) -> Table {
    let mut table = Table::default();
    let wanted = |row: &str| scope.wants(row);
    let key = |source: &str, dtype: Dtype| Key {
        source: source.to_owned(),
        quantity: String::new(),
        dtype,
        device: scope.device.clone(),
    };
    for &dtype in &scope.dtypes {
        if let Some(ladder) = climbed(references, scope) {
            progress(&format!("ladder {}", dtype.name()));
            let answer = match dtype {
                Dtype::F64 => ladder_answer(executors.double, &ladder.inputs, &wanted),
                Dtype::F32 => ladder_answer(executors.single, &ladder.inputs, &wanted),
            };
            let answer = match answer {
                Ok(out) => compare(ladder, &out, dtype, &wanted),
                Err(e) => problem(e.to_string()),
            };
            table.add(&key("ladder", dtype), "", answer);
        }
        for files in asked(references, scope) {
            let case = &files.case;
            progress(&format!("{} {}", case.name, dtype.name()));
            let out = request_rows(case, dtype, &wanted).and_then(|request| {
                let out = match dtype {
                    Dtype::F64 => golden_answer(executors.double, files, &request),
                    Dtype::F32 => golden_answer(executors.single, files, &request),
                };
                out.map_err(|e| e.to_string())
            });
            let answer = match out {
                Ok(out) => compare_rows(case, &out, dtype, &wanted),
                Err(e) => problem(e),
            };
            table.add(&key("golden", dtype), &case.name, answer);
        }
    }
    table
}

/// The pieces of work of [`measure`].
pub fn steps(references: &References, scope: &Scope) -> usize {
    let ladder = usize::from(climbed(references, scope).is_some());
    (ladder + asked(references, scope).count()) * scope.dtypes.len()
}

/// The ladder, when a row of it is wanted.
fn climbed<'a>(references: &'a References, scope: &Scope) -> Option<&'a Ladder> {
    references.ladder.as_ref().filter(|ladder| rows(ladder).any(|row| scope.wants(row)))
}

/// The cases of which a row is wanted.
fn asked<'a>(references: &'a References, scope: &Scope) -> impl Iterator<Item = &'a Files> {
    references.cases.iter().filter(|files| {
        // A case outside the contract has no row: it must not be skipped.
        let rows = files.case.rows();
        rows.is_empty() || rows.iter().any(|row| scope.wants(row))
    })
}

fn problem(text: String) -> Answer {
    Answer { comparisons: Vec::new(), problems: vec![text] }
}
