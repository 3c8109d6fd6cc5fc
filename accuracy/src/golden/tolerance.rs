//! The only home of the tolerances of this comparison.
//!
//! An error is max |got − want| over the largest element expected. In f64 a quantity must agree to
//! 1e-9, and a vector behind a damped solve to 1e-8, whatever the case: the packages that wrote the
//! cases differ by 8e-13 at most (`tests/golden/CONVENTIONS.md`). The bounds for f32 are multiples of
//! its ε = 2⁻²³, at least four times the largest error of an independent computation in f32 of all
//! cases (`generate.py curvature --dtype f32`, `tests/golden/README.md`); the table names that error
//! and its cause.

use super::condition::condition;
use crate::Dtype;
use crate::tensors::Tensors;

/// How large an error may be in f32.
#[derive(Clone, Copy, Debug)]
enum Single {
    /// c·ε.
    Epsilons(f64),
    /// c·ε·(8 + κ): κ, the condition of a damped solve, times the error of the matrix, and the error
    /// of the gradient that is solved for.
    Condition(f64),
}

/// Quantities with one tolerance.
struct Entry {
    rows: &'static [&'static str],
    double: f64,
    single: Single,
    reason: &'static str,
}

use Single::{Condition, Epsilons};

/// One entry for each class; a row is the name of a tensor without its layer and damping.
const TABLE: &[Entry] = &[
    Entry {
        rows: &["loss", "output", "per_sample_loss"],
        double: 1e-9,
        single: Epsilons(16.0),
        reason: "a forward pass of rounded weights and inputs; measured 2.1 ε",
    },
    Entry {
        rows: &["grad", "per_sample_grad", "per_sample_grad_sqnorm"],
        double: 1e-9,
        single: Epsilons(32.0),
        reason: "a backward pass, and a mean over samples that cancels in part; measured 6.1 ε",
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
        single: Epsilons(64.0),
        reason: "second moments of inputs or gradients: twice their error; measured 16 ε",
    },
    Entry {
        rows: &[
            "ggn_block",
            "ef_block",
            "hess_block",
            "ggn_diag",
            "ef_diag",
            "hess_diag",
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
        single: Epsilons(128.0),
        reason: "second derivatives through all layers, with cancellation; measured 29 ε",
    },
    Entry {
        rows: &["ggn_block_trace_fro", "ef_block_trace_fro", "hess_block_trace_fro"],
        double: 1e-9,
        single: Epsilons(512.0),
        reason: "one sum over p² squares, p up to 2,112; measured 134 ε",
    },
    Entry {
        rows: &["ekfac_type2.QA", "ekfac_type2.QG", "ekfac_emp.QA", "ekfac_emp.QG"],
        double: 1e-9,
        single: Epsilons(64.0),
        reason: "residual of an eigendecomposition, n up to 65, and the factor's error; measured 7.9 ε",
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
        single: Epsilons(256.0),
        reason: "a basis that turns where eigenvalues are near one another; measured 42 ε",
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
        single: Condition(8.0),
        reason: "the error of the matrix over the damping; measured 2.0 ε (8 + κ)",
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

/// What is allowed in a row of the table for the tensor `name` of a case.
///
/// # Errors
/// A row without an entry, or a solve without its matrix: nothing is compared with an invented bound.
pub(super) fn tolerance(
    row: &str,
    name: &str,
    expected: &Tensors,
    dtype: Dtype,
) -> Result<Allowed, String> {
    let class = row.split("_damp").next().unwrap_or(row);
    let entry = TABLE.iter().find(|entry| entry.rows.contains(&class));
    let entry = entry.ok_or_else(|| format!("{name}: no tolerance for {class}"))?;
    let epsilon = f64::from(f32::EPSILON);
    let error = match (dtype, entry.single) {
        (Dtype::F64, _) => entry.double,
        (Dtype::F32, Epsilons(c)) => c * epsilon,
        (Dtype::F32, Condition(c)) => {
            let condition = condition(name, expected);
            let condition =
                condition.ok_or_else(|| format!("{name}: the case lacks its matrix"))?;
            c * epsilon * (8.0 + condition)
        }
    };
    Ok(Allowed { error, reason: entry.reason })
}

#[cfg(test)]
mod tests {
    use super::super::quantity::quantity;
    use super::*;
    use crate::tensors::Tensor;

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

    #[test]
    fn solves_are_bounded_by_their_condition() {
        let tensor =
            |shape: [usize; 2], data: &[f64]| Tensor { shape: shape.to_vec(), data: data.to_vec() };
        let mut expected = Tensors::default();
        let mut add = |name: &str, t: Tensor| expected.0.insert(name.into(), t);
        add("ef_block_trace_fro.a.b", Tensor { shape: vec![2], data: vec![7.0, 3.0] });
        add("ekfac_emp.lambda.a.b", tensor([1, 2], &[0.0, 4.0]));
        add("kfac.A.a.b", tensor([2, 2], &[3.0, 0.0, 0.0, 4.0]));
        add("kfac_type2.G.a.b", tensor([1, 1], &[0.5]));
        let epsilon = 2.0_f64.powi(-23);
        for (class, condition) in [
            ("natgrad_ef", 1.0 + 3.0 / 0.1),
            ("ekfac_emp_precond", 1.0 + 4.0 / 0.1),
            ("kfac_type2_precond_eig", 1.0 + 5.0 * 0.5 / 0.1),
            ("kfac_type2_precond_factor", 2.0 + 5.5 / 0.1),
            // π² = 3.5/0.5
            ("kfac_type2_precond_pi", 2.0 + 5.0 / 0.7_f64.sqrt() + 0.5 * 70_f64.sqrt()),
        ] {
            let row = format!("{class}_damp1e-1");
            let allowed = |dtype| tolerance(&row, &format!("{row}.a.b"), &expected, dtype);
            let single = allowed(Dtype::F32).expect("a bound").error;
            let want = 8.0 * epsilon * (8.0 + condition);
            assert!((single / want - 1.0).abs() < 1e-12, "{row}: {single:e}, {want:e}");
            assert_eq!(allowed(Dtype::F64).map(|a| a.error), Ok(1e-8));
            let other = format!("{row}.other");
            assert!(tolerance(&row, &other, &expected, Dtype::F32).is_err(), "no matrix, no bound");
        }
        assert!(tolerance("novelty", "novelty.a.b", &expected, Dtype::F64).is_err());
    }
}
