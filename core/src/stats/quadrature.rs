//! Quadrature of a spectral density by Lanczos, and its picture on a grid.

use super::tridiagonal::{Eigenvectors, check_finite, tridiagonal_eigh};
use crate::error::check_len;
use crate::{Error, Real};

/// The Gauss quadrature of a Lanczos recurrence: `vᵀ f(A) v/‖v‖² ≈ Σᵢ weightsᵢ f(nodesᵢ)`, exact for
/// polynomials f of degree ≤ 2k − 1, and for every f after a breakdown.
///
/// `alpha` (k) and `beta` (k − 1) are those of k steps from v; nodes (k, ascending) are the Ritz
/// values, weights (k, sum 1) the squared first components of the tridiagonal matrix's
/// eigenvectors. The mean over random v of independent components with mean 0 and variance 1
/// estimates tr f(A)/N: stochastic Lanczos quadrature. `work`: k elements.
///
/// # Errors
/// As [`tridiagonal_eigh`].
///
/// # References
/// G. H. Golub, J. H. Welsch, 1969; S. Ubaru, J. Chen, Y. Saad, *Fast Estimation of tr(f(A)) via
/// Stochastic Lanczos Quadrature*, 2017.
#[inline(always)]
pub fn lanczos_quadrature<T: Real>(
    nodes: &mut [T],
    weights: &mut [T],
    alpha: &[T],
    beta: &[T],
    work: &mut [T],
) -> Result<(), Error> {
    check_len("lanczos_quadrature: weights", alpha.len(), weights.len())?;
    tridiagonal_eigh(nodes, Eigenvectors::First(weights), alpha, beta, work)?;
    for w in weights {
        *w *= *w;
    }
    Ok(())
}

/// 1/√(2π).
const PEAK: f64 = 0.398_942_280_401_432_7;

/// The density of a weighted set of points, each widened to a normal distribution of deviation σ:
/// `density_j = Σᵢ weightsᵢ/(σ√(2π)) exp(−(grid_j − nodesᵢ)²/(2σ²))`.
///
/// Integrates to Σᵢ weightsᵢ. Shapes: density and grid alike, nodes and weights alike.
///
/// # Errors
/// [`Error::Shape`]; [`Error::Parameter`] when σ is not a positive number or so small that 1/σ
/// overflows; [`Error::NonFinite`] naming the argument.
///
/// ```
/// let mut density = [f64::NAN; 2];
/// relfisher_core::stats::gaussian_density(&mut density, &[0.0, 50.0], &[0.0], &[1.0], 2.0)?;
/// assert!((density[0] - 0.5 * 0.3989422804014327).abs() < 1e-15 && density[1] < 1e-100);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn gaussian_density<T: Real>(
    density: &mut [T],
    grid: &[T],
    nodes: &[T],
    weights: &[T],
    sigma: T,
) -> Result<(), Error> {
    check_len("gaussian_density: density", grid.len(), density.len())?;
    check_len("gaussian_density: weights", nodes.len(), weights.len())?;
    let inverse = T::ONE / sigma;
    if !(sigma > T::ZERO && sigma.is_finite() && inverse.is_finite()) {
        return Err(Error::Parameter { what: "gaussian_density: sigma must be finite and > 0" });
    }
    check_finite("gaussian_density: grid", grid)?;
    check_finite("gaussian_density: nodes", nodes)?;
    check_finite("gaussian_density: weights", weights)?;
    let height = T::from_f64(PEAK) * inverse;
    for (d, t) in density.iter_mut().zip(grid) {
        let mut sum = T::ZERO;
        for (node, weight) in nodes.iter().zip(weights) {
            let z = (*t - *node) * inverse;
            sum += *weight * (-(T::HALF * z) * z).exp();
        }
        *d = sum * height;
    }
    Ok(())
}
