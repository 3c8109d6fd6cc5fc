//! What a person wants to know of a layer's curvature at a glance.

use relfisher_core::MatMut;
use relfisher_core::factor::{eigh_workspace_len, pivot_tolerance};

use super::kronecker::KroneckerFactors;
use crate::Scalar;
use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::network::Block;

/// The spectrum of G ⊗ A in three numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerSummary {
    /// λ_max/λ_min; infinite when the matrix is singular to working precision.
    pub condition: f64,
    /// exp(−Σ p ln p), p = λ/Σλ: the number of directions that the curvature is spread over
    /// (O. Roy, M. Vetterli, *The effective rank*, 2007); 0 for a zero matrix.
    pub effective_rank: f64,
    /// λ_max.
    pub largest: f64,
}

/// The summary of one layer's factors.
///
/// # Errors
/// Factors that are not finite.
pub fn layer_summary<T: Scalar>(
    exec: &dyn Executor<T>,
    block: &Block,
    factors: &KroneckerFactors<T>,
) -> Result<LayerSummary, Error> {
    let mut summary = LayerSummary { condition: 1.0, effective_rank: 1.0, largest: 1.0 };
    for (matrix, order) in [(&factors.g, block.rows), (&factors.a, block.cols)] {
        let (mut vectors, mut values) = (matrix.clone(), vec![T::ZERO; order]);
        let mut work = vec![T::ZERO; eigh_workspace_len(order)];
        exec.eigh(MatMut::new(&mut vectors, order, order)?, &mut values, &mut work)
            .context(&block.name)?;
        let values: Vec<f64> = values.iter().map(|v| v.to_f64().max(0.0)).collect();
        let (least, most) =
            values.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), &v| (a.min(v), b.max(v)));
        let total: f64 = values.iter().sum();
        let floor = pivot_tolerance::<T>(order).to_f64() * most;
        summary.condition *= if least > floor { most / least } else { f64::INFINITY };
        summary.largest *= most;
        let shares = values.iter().map(|v| v / total).filter(|p| *p > 0.0);
        let entropy: f64 = shares.map(|p| -p * p.ln()).sum();
        summary.effective_rank *= if total > 0.0 { entropy.exp() } else { 0.0 };
    }
    Ok(summary)
}
