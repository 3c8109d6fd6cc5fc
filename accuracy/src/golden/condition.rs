//! The condition of a damped solve, from the tensors that a case expects.

use super::quantity::{damping, quantity};
use crate::tensors::{Tensor, Tensors};

/// κ ≥ 1, by which a solve magnifies an error of its matrix: 1 + ‖B‖/λ for (B + λI)⁻¹, and for a
/// product of two inverses the sum of both. Norms are Frobenius norms, bounds of spectral ones.
///
/// `None` when `name` is no damped solve, or the case lacks the matrix.
pub(super) fn condition(name: &str, expected: &Tensors) -> Option<f64> {
    let (quantity, damping) = (quantity(name)?, damping(name).filter(|d| *d > 0.0)?);
    let param = name.split_once('.')?.1;
    let tensor = |head: &str| expected.get(&format!("{head}.{param}"));
    if let Some(kind) = quantity.strip_prefix("natgrad_") {
        let norms = tensor(&format!("{kind}_block_trace_fro"))?;
        return Some(1.0 + norms.data.get(1)? / damping);
    }
    if quantity.starts_with("ekfac_") {
        let moments = tensor(&quantity.replace("_precond", ".lambda"))?;
        return Some(1.0 + norm(moments) / damping);
    }
    let (form, inverse) = quantity.split_once("_type2_precond_")?;
    let (a, g) = (tensor(&format!("{form}.A"))?, tensor(&format!("{form}_type2.G"))?);
    let (size_a, size_g) = (norm(a), norm(g));
    let (add_a, add_g) = match inverse {
        "eig" => return Some(1.0 + size_a * size_g / damping),
        "pi" => split(a, g, damping)?,
        _ => (damping, damping),
    };
    Some(2.0 + size_a / add_a + size_g / add_g)
}

/// π√λ and √λ/π with π² = (tr A/dim A)/(tr G/dim G); λ for both when a trace is 0.
fn split(a: &Tensor, g: &Tensor, damping: f64) -> Option<(f64, f64)> {
    let (mean_a, mean_g) = (mean_diagonal(a)?, mean_diagonal(g)?);
    if mean_a <= 0.0 || mean_g <= 0.0 {
        return Some((damping, damping));
    }
    let pi = (mean_a / mean_g).sqrt();
    Some((pi * damping.sqrt(), damping.sqrt() / pi))
}

/// tr A / dim A.
fn mean_diagonal(a: &Tensor) -> Option<f64> {
    let (n, _) = a.sides()?;
    Some(a.data.iter().step_by(n + 1).sum::<f64>() / n as f64)
}

/// √Σx².
fn norm(a: &Tensor) -> f64 {
    a.data.iter().map(|x| x * x).sum::<f64>().sqrt()
}
