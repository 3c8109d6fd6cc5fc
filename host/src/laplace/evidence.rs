//! The log-marginal likelihood over the prior precision.

use relfisher_core::laplace::Evidence;

use super::Posterior;
use crate::Scalar;
use crate::curvature::Problem;
use crate::error::{Context, Error};
use crate::network::Loss;

/// The prior precisions between which the best one is looked for.
pub const PRECISIONS: (f64, f64) = (1e-4, 1e6);

/// Precisions of a curve: six to a factor of ten.
const POINTS: usize = 61;

/// The log-marginal likelihood of a data set over the prior precision.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceCurve {
    /// Prior precisions, ascending.
    pub precisions: Vec<f64>,
    /// ln p(data | τ) at each.
    pub values: Vec<f64>,
    /// The best precision between the first and the last.
    pub best: f64,
    /// Its value.
    pub best_value: f64,
}

/// What the log-marginal likelihood of the samples of `problem` is made of: the mean loss is a mean
/// negative log-likelihood, of `mse` up to the constant (C/2) ln(π/scale) a sample.
///
/// # Errors
/// No targets, or targets that do not fit.
pub fn evidence<T: Scalar>(problem: &Problem<'_, T>) -> Result<Evidence, Error> {
    let targets = problem.need_targets("log-marginal likelihood")?;
    let (network, samples) = (problem.network, problem.samples());
    let mut tape = problem.tape();
    let features = problem.features;
    let report =
        network.evaluate(problem.executor, problem.parameters, &mut tape, features, &targets)?;
    if !report.mean.is_finite() {
        let remedy = "check the weights and the inputs, or use --dtype f64";
        return Err(Error::divergence_with("loss", "is not finite", remedy));
    }
    let constant = match network.loss_kind() {
        Loss::Mse { scale } => 0.5 * network.outputs() as f64 * (std::f64::consts::PI / scale).ln(),
        Loss::SoftmaxCrossEntropy | Loss::BinaryCrossEntropy => 0.0,
    };
    let square = |x: &T| x.to_f64() * x.to_f64();
    Ok(Evidence {
        log_likelihood: -(report.mean + constant) * samples as f64,
        squared_norm: problem.parameters.values.iter().map(square).sum(),
        parameters: network.parameter_count(),
    })
}

impl<T: Scalar> Posterior<T> {
    /// `ln p(data | τ)` with this posterior.
    ///
    /// # Errors
    /// τ that is not a finite positive number.
    pub fn log_marginal(&self, evidence: &Evidence, precision: f64) -> Result<f64, Error> {
        let determinant = self.log_determinant(precision)?;
        evidence.log_marginal(precision, determinant).context("laplace")
    }

    /// The curve over [`PRECISIONS`] and its maximum, by golden sections between the neighbours of the
    /// best point. θ* stays as it is: only the Gaussian around it changes.
    ///
    /// # Errors
    /// Eigenvalues that are not finite.
    pub fn evidence_curve(&self, evidence: &Evidence) -> Result<EvidenceCurve, Error> {
        let (low, high) = (PRECISIONS.0.ln(), PRECISIONS.1.ln());
        let at = |i: usize| low + (high - low) * i as f64 / (POINTS - 1) as f64;
        let value = |x: f64| self.log_marginal(evidence, x.exp());
        let values: Vec<f64> = (0..POINTS).map(|i| value(at(i))).collect::<Result<_, _>>()?;
        let top = (0..POINTS).max_by(|i, j| values[*i].total_cmp(&values[*j])).unwrap_or(0);
        let (mut left, mut right) = (at(top.saturating_sub(1)), at((top + 1).min(POINTS - 1)));
        let (mut best, mut best_value) = (at(top), values[top]);
        let golden = 0.5 * (5_f64.sqrt() - 1.0);
        while right - left > 1e-3 {
            let (a, b) = (right - golden * (right - left), left + golden * (right - left));
            let (of_a, of_b) = (value(a)?, value(b)?);
            let better = if of_a > of_b { (a, of_a) } else { (b, of_b) };
            if better.1 > best_value {
                (best, best_value) = better;
            }
            if of_a > of_b {
                right = b;
            } else {
                left = a;
            }
        }
        let precisions = (0..POINTS).map(|i| at(i).exp()).collect();
        Ok(EvidenceCurve { precisions, values, best: best.exp(), best_value })
    }
}
