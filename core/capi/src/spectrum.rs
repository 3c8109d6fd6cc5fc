//! Tridiagonal eigenproblems, and the quadrature and density of a spectrum.

use relfisher_core::stats::{self, Eigenvectors};

use crate::argument::{Slice, SliceMut};

export! {
    /// The eigenvalues, ascending, of the symmetric tridiagonal matrix with the diagonal alpha (k) and the
    /// off-diagonal beta (k - 1), as a Lanczos recurrence gives them. `vectors` is empty for nothing more, of
    /// k elements for the first component of each eigenvector, or of k*k, where row i belongs to value i.
    /// Work: k elements.
    fn tridiagonal_eigh(
        values: SliceMut, vectors: SliceMut, alpha: Slice, beta: Slice, work: SliceMut,
    ) {
        let vectors = match vectors.len() {
            0 => Eigenvectors::None,
            len if len == alpha.len() => Eigenvectors::First(vectors),
            _ => Eigenvectors::All(vectors),
        };
        Ok(stats::tridiagonal_eigh(values, vectors, alpha, beta, work)?)
    }

    /// `v^T f(A) v/|v|^2 = sum_i weights_i f(nodes_i)` for polynomials f of degree 2k - 1 at most, alpha (k)
    /// and beta (k - 1) those of k Lanczos steps from v: the mean over random v estimates the spectral
    /// density of A. Shapes: nodes (ascending) and weights (of sum 1) k. Work: k elements.
    fn lanczos_quadrature(
        nodes: SliceMut, weights: SliceMut, alpha: Slice, beta: Slice, work: SliceMut,
    ) {
        Ok(stats::lanczos_quadrature(nodes, weights, alpha, beta, work)?)
    }

    /// `density_j <- ` the sum over i of weights_i times the normal density of mean nodes_i and standard
    /// deviation sigma at grid_j. Shapes: density and grid alike, nodes and weights alike.
    fn gaussian_density(
        density: SliceMut, grid: Slice, nodes: Slice, weights: Slice, sigma: Scalar,
    ) {
        Ok(stats::gaussian_density(density, grid, nodes, weights, sigma)?)
    }
}
