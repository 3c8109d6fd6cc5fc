//! Curvature at the output, and the parts of EKFAC and KFRA.

use relfisher_core::curvature::{self, KronBasis, OutputLoss};

use crate::argument::{Matrix, MatrixMut, SliceMut};
use crate::shared::Shared;

choice! {
    /// The loss at the network's output.
    enum LossKind: "loss must be an rf_loss_kind" {
        /// Soft-max cross-entropy; probabilities are the soft-max.
        SoftmaxCrossEntropy = 0,
        /// scale times the sum of squares; probabilities are ignored.
        Mse = 1,
        /// Independent Bernoulli outputs as logits; probabilities are their sigmoids.
        BinaryCrossEntropy = 2,
    }
}

/// A loss.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Loss<T> {
    /// An `rf_loss_kind`.
    pub kind: u32,
    /// The factor of the squares; ignored unless the loss is mse.
    pub scale: T,
}

options! {
    Loss => OutputLoss<T>, |loss| match LossKind::read(loss.kind)? {
        LossKind::SoftmaxCrossEntropy => OutputLoss::SoftmaxCrossEntropy,
        LossKind::Mse => OutputLoss::Mse { scale: loss.scale },
        LossKind::BinaryCrossEntropy => OutputLoss::BinaryCrossEntropy,
    };
}

export! {
    /// Column `column` (of m) of a square root of every sample's loss Hessian in the outputs; the sum
    /// over columns of `out_s out_s^T` is the Hessian. Shapes: out and probabilities n*m with
    /// contiguous rows.
    fn loss_hessian_root(out: MatrixMut, probabilities: Matrix, column: Count, loss: Loss) {
        Ok(loss.hessian_root(out, probabilities, column)?)
    }

    /// `out_s <- H_s v_s`, the loss Hessian of every sample applied. Shapes: out, probabilities and v
    /// n*m with contiguous rows.
    fn loss_hessian_apply(out: MatrixMut, probabilities: Matrix, v: Matrix, loss: Loss) {
        Ok(loss.hessian_apply(out, probabilities, v)?)
    }

    /// `out_s <- ` the packed lower triangle of every sample's loss Hessian. Shapes: out n*m(m+1)/2
    /// with contiguous rows, probabilities n*m.
    fn loss_hessian_packed(out: MatrixMut, probabilities: Matrix, loss: Loss) {
        Ok(loss.hessian_packed(out, probabilities)?)
    }

    /// EKFAC's scale in the eigenbases of `rf_kron_eigen_factor`:
    /// `out <- beta out + alpha sum_sc ((U_G^T delta_cs)^2) ((U_A^T x_s)^2)^T`. Shapes: delta (C n)*m, row
    /// c n + s for column c of sample s, x n*d, out m*d with contiguous rows (read unless `beta` is 0).
    /// Work: `rf_ekfac_scale_workspace_len(n, m, d)`.
    fn ekfac_scale(
        out: MatrixMut, g_vectors: Matrix, a_vectors: Matrix, delta: Matrix, x: Matrix,
        alpha: Scalar, beta: Scalar, work: SliceMut,
    ) {
        let basis = KronBasis { g: g_vectors, a: a_vectors };
        Ok(curvature::ekfac_scale(&Shared, out, beta, alpha, basis, (delta, x), work)?)
    }

    /// `V <- U_G ((U_G^T V U_A) / (S + lambda)) U_A^T`, EKFAC's damped inverse. Shapes: v and scale m*d
    /// with contiguous rows. Work: `rf_ekfac_solve_workspace_len(m, d)`.
    fn ekfac_solve(
        v: MatrixMut, g_vectors: Matrix, a_vectors: Matrix, scale: Matrix, lambda: Scalar,
        work: SliceMut,
    ) {
        let basis = KronBasis { g: g_vectors, a: a_vectors };
        Ok(curvature::ekfac_solve(&Shared, v, basis, scale, lambda, work)?)
    }

    /// KFRA's output factor one layer down: `out <- (W^T G W) o (1/n) sum_s b_s b_s^T`, b the
    /// derivatives of the activation between. Shapes: g m*m, w m*d (no bias), derivative n*d, out d*d,
    /// the last two with contiguous rows. Work: `rf_kfra_step_workspace_len(n, m, d)`.
    fn kfra_step(out: MatrixMut, g: Matrix, w: Matrix, derivative: Matrix, work: SliceMut) {
        Ok(curvature::kfra_step(&Shared, out, g, w, derivative, work)?)
    }
}

lengths! {
    /// The elements of `work` for `rf_ekfac_scale`: n samples, m outputs, d inputs.
    fn ekfac_scale_workspace_len(n, m, d) = curvature::ekfac_scale_workspace_len;
    /// The elements of `work` for `rf_ekfac_solve`: m outputs, d inputs.
    fn ekfac_solve_workspace_len(m, d) = curvature::ekfac_solve_workspace_len;
    /// The elements of `work` for `rf_kfra_step`: n samples, m outputs above, d below.
    fn kfra_step_workspace_len(n, m, d) = curvature::kfra_step_workspace_len;
}
