//! One comparison of a tensor with its reference.

use serde::{Deserialize, Serialize};

/// What an error is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Units in the last place of the element that is expected, of the dtype of the computation.
    Ulp,
    /// max |got − want| over max |want|.
    Relative,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The row of the table: the name without the layer.
    pub row: String,
    /// The tensor.
    pub tensor: String,
    /// What the error is counted in.
    pub unit: Unit,
    /// The largest error of an element; infinite for a missing tensor or another shape.
    pub error: f64,
    /// What is allowed.
    pub tolerance: f64,
    /// Why so much is allowed; for a missing tensor or another shape, what is wrong.
    pub note: String,
}

impl Comparison {
    /// A tensor that cannot be compared: missing, or of another shape.
    pub(crate) fn impossible(row: &str, tensor: &str, unit: Unit, note: String) -> Self {
        let (row, tensor) = (row.to_owned(), tensor.to_owned());
        Self { row, tensor, unit, error: f64::INFINITY, tolerance: 0.0, note }
    }

    /// Whether the error is within the tolerance.
    pub fn passes(&self) -> bool {
        self.error <= self.tolerance
    }

    /// What is wrong, in one line.
    pub fn complaint(&self) -> String {
        let Self { tensor, error, tolerance, note, .. } = self;
        if error.is_infinite() && *tolerance == 0.0 {
            return format!("{tensor} {note}");
        }
        match self.unit {
            Unit::Ulp => format!("{tensor} is off by {error:.1e} ulp, {tolerance} allowed: {note}"),
            Unit::Relative => {
                format!("{tensor} is off by {error:.1e}, {tolerance:.0e} allowed: {note}")
            }
        }
    }
}

/// The outcome for the tensors of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// All comparisons.
    pub comparisons: Vec<Comparison>,
    /// What makes the answer bad whatever the comparisons say.
    pub problems: Vec<String>,
}

/// Whether a row of the table belongs to what a user asks for by `name`: the row itself, or all rows
/// that begin with the name and a dot, or with the name and a damping.
///
/// ```
/// use relfisher_accuracy::comparison::belongs;
/// assert!(belongs("nu.tanh", "nu") && belongs("natgrad_ef_damp1e-3", "natgrad_ef"));
/// assert!(belongs("grad", "grad") && !belongs("grad", "gra") && !belongs("nu.tanh", "nu.tan"));
/// ```
pub fn belongs(row: &str, name: &str) -> bool {
    match row.strip_prefix(name) {
        Some(rest) => rest.is_empty() || rest.starts_with('.') || rest.starts_with("_damp"),
        None => false,
    }
}
