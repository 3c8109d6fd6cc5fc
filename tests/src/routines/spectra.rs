//! Recurrences and spectra.

use super::{NonFinite, Routine};
use relfisher_core::{Real, stats};

pub(super) fn all<T: Real>() -> Vec<Routine<T>> {
    use NonFinite::Refused;
    let routine = |name, call| Routine { name, non_finite: Refused, call };
    vec![
        routine("tridiagonal_eigh", |p| {
            let d = p.shape[2];
            let (v, f, b) = (p.dim(d), p.dim(d), p.dim(d.saturating_sub(1)));
            let (alpha, beta) = (p.values(d), p.values(b));
            let (mut values, mut first, mut work) = (p.output(v), p.output(f), p.work(d));
            let wanted = stats::Eigenvectors::First(&mut first);
            stats::tridiagonal_eigh(&mut values, wanted, &alpha, &beta, &mut work)?;
            Ok([values, first].concat())
        }),
        routine("lanczos_quadrature", |p| {
            let d = p.shape[2];
            let (v, f, b) = (p.dim(d), p.dim(d), p.dim(d.saturating_sub(1)));
            let (alpha, beta) = (p.values(d), p.values(b));
            let (mut nodes, mut weights, mut work) = (p.output(v), p.output(f), p.work(d));
            stats::lanczos_quadrature(&mut nodes, &mut weights, &alpha, &beta, &mut work)?;
            Ok([nodes, weights].concat())
        }),
        routine("gaussian_density", |p| {
            let [n, _, d, _] = p.shape;
            let (r, w) = (p.dim(n), p.dim(d));
            let (grid, nodes, weights) = (p.values(n), p.values(d), p.weights(w));
            let (mut density, sigma) = (p.output(r), T::from_f64(p.scale));
            stats::gaussian_density(&mut density, &grid, &nodes, &weights, sigma)?;
            Ok(density)
        }),
    ]
}
