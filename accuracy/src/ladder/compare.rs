//! The numbers of an engine against the ladder.

use super::{Ladder, tolerance};
use crate::comparison::{Answer, Comparison, Unit};
use crate::dtype::Dtype;
use crate::golden::eigenbasis_error;
use crate::tensors::{Tensor, Tensors};

/// The rows of the ladder.
pub fn rows(ladder: &Ladder) -> impl Iterator<Item = &str> {
    ladder.expected.names()
}

/// What the errors of a row are counted in.
pub fn unit(row: &str) -> Unit {
    tolerance::entry(row).map_or(Unit::Relative, |entry| entry.unit)
}

/// Compares the rows that `wanted` names with what an engine computed from the inputs.
pub fn compare(
    ladder: &Ladder,
    out: &Tensors,
    dtype: Dtype,
    wanted: &dyn Fn(&str) -> bool,
) -> Answer {
    let mut answer = Answer { comparisons: Vec::new(), problems: out.not_finite() };
    for (name, want) in ladder.expected.0.iter().filter(|(name, _)| wanted(name)) {
        let Some(entry) = tolerance::entry(name) else {
            answer.problems.push(format!("{name}: no tolerance"));
            continue;
        };
        let impossible = |note: String| Comparison::impossible(name, name, entry.unit, note);
        answer.comparisons.push(match out.get(name) {
            None => impossible("was not computed".into()),
            Some(got) if got.shape != want.shape => {
                impossible(format!("has shape {:?}, not {:?}", got.shape, want.shape))
            }
            Some(got) => Comparison {
                row: name.clone(),
                tensor: name.clone(),
                unit: entry.unit,
                error: error(ladder, name, (got, want), (entry.unit, dtype)),
                tolerance: entry.bound(dtype),
                note: entry.reason.to_owned(),
            },
        });
    }
    if answer.comparisons.is_empty() {
        answer.problems.push("nothing was compared".into());
    }
    answer
}

fn error(
    ladder: &Ladder,
    name: &str,
    (got, want): (&Tensor, &Tensor),
    (unit, dtype): (Unit, Dtype),
) -> f64 {
    match (unit, ladder.inputs.get("in.s")) {
        // Unique up to sign only: orthonormal, and eigenvectors of S.
        (_, Some(matrix)) if name == "factor.eigenvectors" => eigenbasis_error(got, matrix),
        (Unit::Relative, _) => got.error(want, want.largest()),
        (Unit::Ulp, _) => {
            let apart = |(got, want): (&f64, &f64)| (got - want).abs() / dtype.ulp(*want);
            // A NaN must not be lost.
            let finite = |x: f64| if x.is_finite() { x } else { f64::INFINITY };
            got.data.iter().zip(&want.data).map(apart).map(finite).fold(0.0, f64::max)
        }
    }
}
