//! Fisher metrics from their definition, g = E_p[∂ln p ∂ln pᵀ], by a sum over all outcomes.

use super::dense::Matrix;
use super::dual::{First, constants, gradient};

/// Σ_y p(y) ∂ln p(y) ∂ln p(y)ᵀ over all `outcomes`. `log_p(y, θ)` is the log-likelihood.
///
/// # Panics
/// When the probabilities do not sum to 1: the outcomes are not exhaustive, or `log_p` is wrong.
pub fn fisher<Y>(
    outcomes: impl IntoIterator<Item = Y>,
    log_p: impl Fn(&Y, &[First]) -> First,
    theta: &[f64],
) -> Matrix {
    let d = theta.len();
    let (mut g, mut total) = (Matrix::zeros(d, d), 0.0);
    for y in outcomes {
        let p = log_p(&y, &constants(theta)).v.exp();
        let score = gradient(|t| log_p(&y, t), theta);
        total += p;
        if p > 0.0 {
            g = g.plus(p, &Matrix::outer(&score, &score));
        }
    }
    assert!((total - 1.0).abs() < 1e-12, "probabilities sum to {total}");
    g
}

/// All vectors of length `m` over `values`: the outcomes of m independent variables.
pub fn product(values: &[f64], m: usize) -> Vec<Vec<f64>> {
    (0..m).fold(vec![Vec::new()], |all, _| {
        all.iter()
            .flat_map(|y| {
                values.iter().map(|v| {
                    let mut y = y.clone();
                    y.push(*v);
                    y
                })
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::assert_close;
    use crate::oracle::dual::Number;
    use crate::tolerance::Oracle;

    #[test]
    fn coin() {
        // p(1) = θ: the Fisher information is 1/(θ(1 − θ)).
        let g = fisher(
            [0, 1],
            |y, t| if *y == 1 { t[0].ln() } else { (-t[0]).shift(1.0).ln() },
            &[0.3],
        );
        assert_close("coin", &g.data, &[1.0 / 0.21], "oracle", Oracle::Identity, 1);
        assert_eq!(product(&[0.0, 1.0], 3).len(), 8);
    }
}
