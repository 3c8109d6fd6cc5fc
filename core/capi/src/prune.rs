//! Pruning by curvature: saliencies of weights, and what removing them asks of the others.

use relfisher_core::prune::{self, CompensateOptions};

use crate::argument::{Matrix, MatrixMut, Slice, SliceMut};
use crate::shared::Shared;

export! {
    /// `out_q <- h_q w_q^2/2`: the cost of removing weight q while all others stay (optimal brain damage).
    /// Negative diagonals count as 0. Shapes: out, w and diagonal alike.
    fn diagonal_saliency(out: SliceMut, w: Slice, diagonal: Slice) {
        Ok(prune::diagonal_saliency(out, w, diagonal)?)
    }

    /// `out_q <- w_q^2/(2 [H^-1]_qq)`: the cost of removing weight q while all others adapt (optimal brain
    /// surgeon). Shapes: out, w and inverse_diagonal alike.
    fn inverse_saliency(out: SliceMut, w: Slice, inverse_diagonal: Slice) {
        Ok(prune::inverse_saliency(out, w, inverse_diagonal)?)
    }

    /// Removes weight q exactly, `w <- w - (w_q/[H^-1]_qq) H^-1 e_q`, and makes of the inverse the one without
    /// row and column q, with zeros there; calls for all q of a set, in any order, give the best weights
    /// without that set. `cost <- w_q^2/(2 [H^-1]_qq)`. Shapes: w b, inverse b*b symmetric with contiguous
    /// rows, both read.
    fn prune_remove(w: SliceMut, inverse: MatrixMut, cost: Out, q: Count) {
        *cost = prune::remove(w, inverse, q)?;
        Ok(())
    }

    /// Removes weight (i, j) of a layer with H = G (x) A, and no second one. `cost` as in
    /// `rf_prune_remove`. Shapes: w m*d (read), g_inverse m*m, a_inverse d*d, contiguous rows.
    fn prune_kron_remove(
        w: MatrixMut, cost: Out, g_inverse: Matrix, a_inverse: Matrix, i: Count, j: Count,
    ) {
        *cost = prune::kron_remove(w, (g_inverse, a_inverse), (i, j))?;
        Ok(())
    }

    /// The best weights of a layer without any set of them, H = G (x) A + lambda I: removed weights become 0,
    /// the others move, by conjugate gradients; `products` is how many products with H that took. Converged
    /// when the residual is at most tolerance times the first one; 0 stands for 1e-4, 0 for `most`
    /// products for 200. Shapes: w m*d (read), kept m*d (0 for a removed weight, 1 for another; not checked), g m*m and
    /// a d*d symmetric, contiguous rows. Work: `rf_prune_kron_compensate_workspace_len(m, d)`.
    fn prune_kron_compensate(
        w: MatrixMut, products: CountOut, kept: Matrix, g: Matrix, a: Matrix, lambda: Scalar,
        tolerance: Scalar, most: Most, work: SliceMut,
    ) {
        let default = CompensateOptions::default();
        let options = CompensateOptions {
            tolerance: if tolerance == T::ZERO { default.tolerance } else { tolerance },
            max_iterations: if most == 0 { default.max_iterations } else { most as usize },
        };
        *products = prune::kron_compensate(&Shared, w, kept, (g, a), lambda, options, work)?;
        Ok(())
    }

    /// `H^-1 <- (H + g g^T/samples)^-1`: from I/lambda through the gradients of a data set to the inverse of
    /// its damped empirical Fisher matrix (WoodFisher). Shapes: inverse b*b symmetric with contiguous rows
    /// (read), g b. Work: `rf_woodbury_update_workspace_len(b)`.
    fn woodbury_update(inverse: MatrixMut, g: Slice, samples: Scalar, work: SliceMut) {
        Ok(prune::woodbury_update(inverse, g, samples, work)?)
    }
}

lengths! {
    /// The elements of `work` for `rf_prune_kron_compensate`.
    fn prune_kron_compensate_workspace_len(m, d) = prune::kron_compensate_workspace_len;
    /// The elements of `work` for `rf_woodbury_update` of order b.
    fn woodbury_update_workspace_len(b) = prune::woodbury_update_workspace_len;
}
