//! The names of the tensors: what each one is, and which `--quantity` writes it.

use std::collections::BTreeSet;

use super::{Case, Dtype, Request};

/// What a tensor of `expected.safetensors` is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An input of the program: the vectors of `--vectors`.
    Input,
    /// Kept for other packages, no part of the program's contract.
    Foreign,
    /// Numbers to be compared one by one.
    Values,
    /// Eigenvectors in the columns: unique up to sign, and rotation where eigenvalues meet.
    Eigenbasis,
    /// Second moments in such a basis.
    Moments,
}

/// The names before the layer that the program knows as quantities.
const QUANTITIES: [&str; 44] = [
    "grad",
    "per_sample_grad",
    "per_sample_grad_sqnorm",
    "per_sample_loss",
    "loss",
    "output",
    "ggn_block",
    "hess_block",
    "ef_block",
    "ggn_diag",
    "hess_diag",
    "ef_diag",
    "ggn_block_trace_fro",
    "hess_block_trace_fro",
    "ef_block_trace_fro",
    "ggn_block_probe",
    "hess_block_probe",
    "ef_block_probe",
    "kfac_type2",
    "kfac_emp",
    "kfac_mc",
    "kfac_reduce_type2",
    "kfac_reduce_emp",
    "kfac_reduce_mc",
    "kflr",
    "kfra",
    "ekfac_type2",
    "ekfac_emp",
    "ekfac_type2_probe",
    "ekfac_emp_probe",
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
    "matvec",
    "ggn_top10",
    "hess_top10",
    "hess_bottom5",
];

/// Quantities whose tensors have a dot for another reason than a layer's name.
const WHOLE: [(&str, &str); 1] = [("trace.ggn_hess_ef", "trace")];

/// The name before the layer, and its damping if it has one.
fn head(name: &str) -> (&str, Option<&str>) {
    let head = name.split('.').next().unwrap_or(name);
    match head.split_once("_damp") {
        Some((quantity, damping)) => (quantity, Some(damping)),
        None => (head, None),
    }
}

/// The quantity that writes the tensor `name`; `None` for a name outside the contract.
pub(super) fn quantity(name: &str) -> Option<&str> {
    if let Some((_, quantity)) = WHOLE.iter().find(|(tensor, _)| *tensor == name) {
        return Some(quantity);
    }
    match head(name).0 {
        // A factor that several quantities write.
        "kfac" => Some("kfac_type2"),
        "kfac_reduce" => Some("kfac_reduce_type2"),
        "rfim" => Some("rfim"),
        head => QUANTITIES.iter().find(|q| **q == head).copied(),
    }
}

/// The damping in a tensor's name, `None` when it has none or an unreadable one.
pub(super) fn damping(name: &str) -> Option<f64> {
    head(name).1.and_then(|text| text.parse().ok())
}

/// What the tensor `name` is for.
///
/// # Errors
/// A name that the contract does not know: it must not go unnoticed.
pub fn kind(name: &str) -> Result<Kind, String> {
    if name.starts_with("matvec.v.") || name.starts_with("probe.") {
        return Ok(Kind::Input);
    }
    if name.starts_with("backpack_") {
        return Ok(Kind::Foreign);
    }
    let second = name.split('.').nth(1);
    match (quantity(name), second) {
        (None, _) => Err(format!("{name}: no quantity of this name")),
        (Some("ekfac_type2" | "ekfac_emp"), Some("QA" | "QG")) => Ok(Kind::Eigenbasis),
        (Some("ekfac_type2" | "ekfac_emp"), Some("lambda")) => Ok(Kind::Moments),
        (Some(_), _) => Ok(Kind::Values),
    }
}

/// The call that makes the program write all that the case expects.
///
/// # Errors
/// A tensor outside the contract; dampings that cannot be read.
pub fn request(case: &Case, dtype: Dtype) -> Result<Request, String> {
    request_rows(case, dtype, &|_| true)
}

/// [`request`] for the rows of the table that `wanted` names.
///
/// # Errors
/// As [`request`]; nothing of the case is wanted.
pub fn request_rows(
    case: &Case,
    dtype: Dtype,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Request, String> {
    let (mut quantities, mut dampings) = (BTreeSet::new(), BTreeSet::new());
    for name in case.expected.names() {
        if matches!(kind(name)?, Kind::Input | Kind::Foreign) || !case.serves(name, wanted) {
            continue;
        }
        quantities.extend(quantity(name).map(str::to_owned));
        if let (_, Some(text)) = head(name) {
            damping(name).ok_or(format!("{name}: the damping {text:?} is no number"))?;
            dampings.insert(text.to_owned());
        }
    }
    if quantities.is_empty() {
        return Err("expected.safetensors asks for nothing".into());
    }
    Ok(Request {
        quantities: quantities.into_iter().collect(),
        dampings: dampings.into_iter().collect(),
        dtype,
    })
}
