//! Gauss–Hermite quadrature: expectations over Gaussian responses.

use super::dense::Matrix;
use super::dual::{First, gradient};

/// Nodes and weights with E_{z~G(0,1)}[f(z)] = Σ w_k f(z_k), exact for polynomials of degree
/// 2·count − 1: eigenvalues of the Jacobi matrix of the Hermite polynomials (Golub and Welsch 1969).
pub fn gauss_hermite(count: usize) -> (Vec<f64>, Vec<f64>) {
    let jacobi = Matrix::from_fn(count, count, |i, j| {
        if i.abs_diff(j) == 1 { (i.max(j) as f64).sqrt() } else { 0.0 }
    });
    let (nodes, u) = jacobi.eigh();
    let weights = (0..count).map(|k| u.at(0, k) * u.at(0, k)).collect();
    (nodes, weights)
}

/// Nodes and weights of m independent standard normal variables.
pub fn gauss_hermite_product(count: usize, m: usize) -> Vec<(Vec<f64>, f64)> {
    let (z, w) = gauss_hermite(count);
    (0..m).fold(vec![(Vec::new(), 1.0)], |all, _| {
        all.iter()
            .flat_map(|(y, p)| {
                z.iter().zip(&w).map(move |(z, w)| {
                    let mut y = y.clone();
                    y.push(*z);
                    (y, p * w)
                })
            })
            .collect()
    })
}

/// E_{y ~ G(μ, σ²I)}[∂ln p(y) ∂ln p(y)ᵀ] with μ = `mean` (its length is the number of outputs);
/// `log_p(y, θ)` is the log-likelihood, differentiated by dual numbers.
pub fn fisher(
    mean: &[f64],
    sigma: f64,
    log_p: impl Fn(&[f64], &[First]) -> First,
    theta: &[f64],
) -> Matrix {
    let d = theta.len();
    let mut g = Matrix::zeros(d, d);
    // The squared score of a Gaussian is a polynomial of degree 2 in y: 3 nodes are exact.
    for (z, w) in gauss_hermite_product(3, mean.len()) {
        let y: Vec<f64> = mean.iter().zip(&z).map(|(m, z)| m + sigma * z).collect();
        let score = gradient(|t| log_p(&y, t), theta);
        g = g.plus(w, &Matrix::outer(&score, &score));
    }
    g
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::assert_close;
    use crate::oracle::response::{Model, mean_log_likelihood};
    use crate::tolerance::Oracle;

    #[test]
    fn moments() {
        for count in 1..=9 {
            let (z, w) = gauss_hermite(count);
            let mut want = 1.0;
            for k in 0..count {
                let even: f64 = z.iter().zip(&w).map(|(z, w)| w * z.powi(2 * k as i32)).sum();
                assert_close("even moment", &[even], &[want], "oracle", Oracle::Identity, count);
                want *= (2 * k + 1) as f64;
                let odd: f64 = z.iter().zip(&w).map(|(z, w)| w * z.powi(2 * k as i32 + 1)).sum();
                assert!(odd.abs() < 1e-10 * want, "odd moment {odd}");
            }
        }
    }

    #[test]
    fn gaussian_mean() {
        // y ~ G(θ, σ²): information 1/σ².
        let g = fisher(&[0.7], 2.0, |y, t| mean_log_likelihood(y[0], t[0], 2.0), &[0.7]);
        assert_close("mean", &g.data, &[0.25], "oracle", Oracle::Identity, 1);
        assert!(matches!(Model::Gaussian { sigma: 2.0 }, Model::Gaussian { .. }));
    }
}
