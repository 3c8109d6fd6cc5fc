//! The only home of the tolerances of this comparison.
//!
//! An error is max |got − want| over the largest element expected. In f64 a quantity must agree to
//! 1e-9, and a vector behind a damped solve to 1e-8, whatever the case: the packages that wrote the
//! cases differ by 8e-13 at most (`tests/golden/CONVENTIONS.md`). The bounds for f32 are measured:
//! the table gives the reason of each.

use super::quantity::damping;

/// The dtype that the program computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// Double precision.
    F64,
    /// Single precision.
    F32,
}

impl Dtype {
    /// The name for `--dtype`.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F64 => "f64",
            Dtype::F32 => "f32",
        }
    }
}

/// How large an error may be in f32.
#[derive(Clone, Copy, Debug)]
enum Single {
    /// A number.
    Fixed(f64),
    /// A number over the damping: the condition of a damped solve.
    OverDamping(f64),
}

/// Quantities with one tolerance.
struct Entry {
    rows: &'static [&'static str],
    double: f64,
    single: Single,
    reason: &'static str,
}

use Single::{Fixed, OverDamping};

/// One entry for each class; a row is the name of a tensor without its layer and damping.
const TABLE: &[Entry] = &[
    Entry {
        rows: &["loss", "output", "per_sample_loss"],
        double: 1e-9,
        single: Fixed(1e-5),
        reason: "a forward pass of rounded weights and inputs",
    },
    Entry {
        rows: &["grad", "per_sample_grad", "per_sample_grad_sqnorm"],
        double: 1e-9,
        single: Fixed(1e-4),
        reason: "a backward pass; a mean over samples may cancel",
    },
    Entry {
        rows: &[
            "kfac.A",
            "kfac_type2.G",
            "kfac_emp.G",
            "kfac_mc.G",
            "kfac_reduce.A",
            "kfac_reduce_type2.G",
            "kfac_reduce_emp.G",
            "kfac_reduce_mc.G",
            "kflr.A_nobias",
            "kflr.G",
            "kfra.A_nobias",
            "kfra.G",
            "rfim",
        ],
        double: 1e-9,
        single: Fixed(1e-4),
        reason: "second moments of inputs or gradients: twice their error",
    },
    Entry {
        rows: &[
            "ggn_block",
            "ef_block",
            "hess_block",
            "ggn_diag",
            "ef_diag",
            "hess_diag",
            "ggn_block_trace_fro",
            "ef_block_trace_fro",
            "hess_block_trace_fro",
            "ggn_block_probe",
            "ef_block_probe",
            "hess_block_probe",
            "matvec.ggn",
            "matvec.ef",
            "matvec.hess",
            "trace.ggn_hess_ef",
            "ggn_top10",
            "hess_top10",
            "hess_bottom5",
        ],
        double: 1e-9,
        single: Fixed(1e-4),
        reason: "second derivatives through all layers",
    },
    Entry {
        rows: &["ekfac_type2.QA", "ekfac_type2.QG", "ekfac_emp.QA", "ekfac_emp.QG"],
        double: 1e-9,
        single: Fixed(1e-4),
        reason: "residual of an eigendecomposition of a rounded factor",
    },
    Entry {
        rows: &[
            "ekfac_type2.lambda",
            "ekfac_emp.lambda",
            "ekfac_type2.operator",
            "ekfac_emp.operator",
            "ekfac_type2_probe",
            "ekfac_emp_probe",
        ],
        double: 1e-9,
        single: Fixed(1e-3),
        reason: "second moments in a basis that turns where eigenvalues are near one another",
    },
    Entry {
        rows: &[
            "natgrad_ggn",
            "natgrad_ef",
            "kfac_type2_precond_eig",
            "kfac_type2_precond_pi",
            "kfac_type2_precond_factor",
            "kfac_reduce_type2_precond_eig",
            "kfac_reduce_type2_precond_pi",
            "kfac_reduce_type2_precond_factor",
            "ekfac_type2_precond",
            "ekfac_emp_precond",
        ],
        double: 1e-8,
        single: OverDamping(2e-6),
        reason: "the error of the block or factor over the damping",
    },
];

/// What is allowed for a tensor, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Allowed {
    /// The bound.
    pub(super) error: f64,
    /// Its reason.
    pub(super) reason: &'static str,
}

/// What is allowed in a row of the table for the tensor `name`.
///
/// # Errors
/// A row without an entry: nothing is compared with an invented bound.
pub(super) fn tolerance(row: &str, name: &str, dtype: Dtype) -> Result<Allowed, String> {
    let class = row.split("_damp").next().unwrap_or(row);
    let entry = TABLE.iter().find(|entry| entry.rows.contains(&class));
    let entry = entry.ok_or_else(|| format!("{name}: no tolerance for {class}"))?;
    let error = match (dtype, entry.single) {
        (Dtype::F64, _) => entry.double,
        (Dtype::F32, Fixed(bound)) => bound,
        (Dtype::F32, OverDamping(bound)) => match damping(name) {
            Some(damping) if damping > 0.0 => bound / damping,
            _ => return Err(format!("{name}: a damped solve without a damping in its name")),
        },
    };
    Ok(Allowed { error, reason: entry.reason })
}

#[cfg(test)]
mod tests {
    use super::super::quantity::quantity;
    use super::*;

    #[test]
    fn every_row_has_one_entry_and_a_reason() {
        let rows: Vec<&str> = TABLE.iter().flat_map(|entry| entry.rows).copied().collect();
        for (i, row) in rows.iter().enumerate() {
            assert!(!rows[..i].contains(row), "{row} has two entries");
            let known = row.ends_with(".operator") || quantity(row).is_some();
            assert!(known, "{row} is no quantity");
        }
        for entry in TABLE {
            assert!(entry.reason.len() > 20 && entry.double <= 1e-8, "{:?}", entry.rows);
        }
    }
}
