//! Exact blocks of a layer: the recursion of the pre-activation Hessians, dense blocks and diagonals.

use relfisher_core::curvature;
use relfisher_core::kron;

use crate::argument::{Matrix, MatrixMut, SliceMut};
use crate::curvature::{Loss, LossKind};
use crate::shared::Shared;

export! {
    /// Column `column` of the lower triangular root of every sample's loss Hessian, its Cholesky factor:
    /// the sum over the `rf_loss_triangular_columns(kind, m)` columns of `out_s out_s^T` is the Hessian,
    /// one column fewer than `rf_loss_hessian_root` has for soft-max. Shapes: out and probabilities n*m
    /// with contiguous rows.
    fn loss_triangular_root(
        out: MatrixMut, probabilities: Matrix, column: Count, loss: Loss,
    ) {
        Ok(loss.triangular_root(out, probabilities, column)?)
    }

    /// `out_s <- beta out_s + ` the packed lower triangle of `delta_s delta_s^T`: summed over the
    /// columns of the loss Hessian's root the exact Gauss-Newton matrix of every sample in the
    /// pre-activations. Shapes: delta n*m, out n*m(m+1)/2 (read unless `beta` is 0), contiguous rows.
    fn packed_second_moments(out: MatrixMut, delta: Matrix, beta: Scalar) {
        Ok(curvature::packed_second_moments(out, beta, delta)?)
    }

    /// The packed pre-activation Hessian of every sample one layer down:
    /// `out_s <- B_s W^T H_s W B_s + D_s`, B_s the diagonal matrix of `derivative` f'(t_s), D_s that of
    /// `curvature` f''(t_s) dE/df; an empty `curvature` (no row) stands for 0, the Gauss-Newton
    /// recursion. Shapes: h n*m(m+1)/2, derivative and curvature n*d, out n*d(d+1)/2, contiguous rows;
    /// w m*d, the layer above without its bias. Work: `rf_hessian_step_workspace_len(m, d)`.
    fn hessian_step(
        out: MatrixMut, h: Matrix, w: Matrix, derivative: Matrix, curvature: Matrix,
        work: SliceMut,
    ) {
        let curvature = if curvature.rows() == 0 { None } else { Some(curvature) };
        Ok(curvature::hessian_step(&Shared, out, h, w, derivative, curvature, work)?)
    }

    /// `Out <- alpha sum_s H_s (x) x_s x_s^T`, dense: with alpha = 1/n the exact Gauss-Newton or Hessian
    /// block of a layer. Shapes: h n*m(m+1)/2 packed (any sign), x n*d, out md*md, contiguous rows; both
    /// triangles are written. Work: `rf_exact_block_workspace_len(n, m, d)`.
    fn exact_block(out: MatrixMut, h: Matrix, x: Matrix, alpha: Scalar, work: SliceMut) {
        Ok(curvature::exact_block(&Shared, out, h, x, alpha, work)?)
    }

    /// `out_ia <- alpha sum_s h_si x_sa^2`: the diagonal of `rf_exact_block` as an m*d matrix, from the
    /// diagonals of the H_s. Shapes: h n*m, x n*d, out m*d, contiguous rows. Work:
    /// `rf_exact_diagonal_workspace_len(n, d)`.
    fn exact_diagonal(out: MatrixMut, h: Matrix, x: Matrix, alpha: Scalar, work: SliceMut) {
        Ok(curvature::exact_diagonal(&Shared, out, h, x, alpha, work)?)
    }

    /// `Psi <- C S^-1` and `Explained <- C S^-1 C^T` with a factor of `rf_cholesky` of S: the best linear
    /// prediction of one Gaussian vector from another, and the covariance that it explains (the factors of
    /// block-tridiagonal K-FAC; Martens and Grosse 2015, 4.3). Shapes: psi and cross (C) p*q, explained
    /// p*p, l q*q; contiguous rows for psi, explained and l.
    fn kron_regression(psi: MatrixMut, explained: MatrixMut, cross: Matrix, l: Matrix) {
        Ok(kron::regression(&Shared, (psi, explained), cross, l)?)
    }
}

/// The columns of `rf_loss_triangular_root` for an `rf_loss_kind` of m outputs; 0 for a kind without
/// meaning.
#[unsafe(no_mangle)]
pub extern "C" fn rf_loss_triangular_columns(kind: u32, m: usize) -> usize {
    match LossKind::read(kind) {
        Ok(kind) => kind.of(0.0_f64).triangular_columns(m),
        Err(_) => 0,
    }
}

lengths! {
    /// The elements of `work` for `rf_hessian_step`: m outputs above, d below.
    fn hessian_step_workspace_len(m, d) = curvature::hessian_step_workspace_len;
    /// The elements of `work` for `rf_exact_block`: n samples, m outputs, d inputs.
    fn exact_block_workspace_len(n, m, d) = curvature::exact_block_workspace_len;
    /// The elements of `work` for `rf_exact_diagonal`: n samples of d inputs.
    fn exact_diagonal_workspace_len(n, d) = curvature::exact_diagonal_workspace_len;
}
