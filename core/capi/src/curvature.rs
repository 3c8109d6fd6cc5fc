//! Curvature at the output, and the parts of EKFAC, KFRA, shared weights and normalisations.

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

impl LossKind {
    /// The loss, with the factor of its squares.
    pub(crate) const fn of<T: Copy>(self, scale: T) -> OutputLoss<T> {
        match self {
            Self::SoftmaxCrossEntropy => OutputLoss::SoftmaxCrossEntropy,
            Self::Mse => OutputLoss::Mse { scale },
            Self::BinaryCrossEntropy => OutputLoss::BinaryCrossEntropy,
        }
    }
}

options! {
    Loss => OutputLoss<T>, |loss| LossKind::read(loss.kind)?.of(loss.scale);
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

    /// `Out <- Out + alpha ((Delta U_G)^T (P U_A))^2` (element by element): EKFAC's scale for one column of
    /// one sample whose weights are shared by T positions. Shapes: delta T*m, patches T*d, out m*d with
    /// contiguous rows, which is read. Work: `rf_ekfac_scale_shared_workspace_len(T, m, d)`.
    fn ekfac_scale_shared(
        out: MatrixMut, g_vectors: Matrix, a_vectors: Matrix, delta: Matrix, patches: Matrix,
        alpha: Scalar, work: SliceMut,
    ) {
        let basis = KronBasis { g: g_vectors, a: a_vectors };
        Ok(curvature::ekfac_scale_shared(&Shared, out, alpha, basis, (delta, patches), work)?)
    }

    /// `V <- U_G ((U_G^T V U_A) o (S + lambda)) U_A^T`, the damped block of `rf_ekfac_solve` itself; scale
    /// of any sign. Shapes and work as there.
    fn ekfac_apply(
        v: MatrixMut, g_vectors: Matrix, a_vectors: Matrix, scale: Matrix, lambda: Scalar,
        work: SliceMut,
    ) {
        let basis = KronBasis { g: g_vectors, a: a_vectors };
        Ok(curvature::ekfac_apply(&Shared, v, basis, scale, lambda, work)?)
    }

    /// `out_s <- sum_t a_(s,t)` over the T positions of sample s: gradients of shared weights for the rule
    /// "reduce". Shapes: out n*m, a (nT)*m, row s T + t, both with contiguous rows.
    fn reduce_sum(out: MatrixMut, a: Matrix) {
        Ok(curvature::reduce_sum(out, a)?)
    }

    /// `out_s <- (1/T) sum_t a_(s,t)`: inputs of shared weights for the rule "reduce"; a trailing 1 stays
    /// 1. Shapes as in `rf_reduce_sum`.
    fn reduce_mean(out: MatrixMut, a: Matrix) {
        Ok(curvature::reduce_mean(out, a)?)
    }

    /// The gradients of a normalisation's parameters, `out_s <- [sum_t delta x, sum_t delta]` for every
    /// channel, over the T positions of sample s. Shapes: x and delta (nT)*c, row s T + t, out n*2c,
    /// contiguous rows.
    fn normalisation_gradients(out: MatrixMut, x: Matrix, delta: Matrix) {
        Ok(curvature::normalisation_gradients(out, x, delta)?)
    }

    /// `out_c <- beta out_c + alpha sum_s (gg, gb, bb)`: the 2*2 blocks of every channel's (gamma, beta)
    /// from the rows of `rf_normalisation_gradients`. Shapes: gradients n*2c, out c*3 (read unless `beta`
    /// is 0), contiguous rows.
    fn normalisation_gradient_blocks(
        out: MatrixMut, gradients: Matrix, alpha: Scalar, beta: Scalar,
    ) {
        Ok(curvature::normalisation_blocks(out, beta, alpha, gradients)?)
    }

    /// `Out <- beta Out + alpha sum_s u_s u_s^T`, u_s the row of `rf_normalisation_gradients` for one
    /// position: the block of all (gamma, beta) with the covariances between channels. Shapes: x and
    /// delta n*c, out 2c*2c (its lower triangle read unless `beta` is 0), contiguous rows. Work:
    /// `rf_normalisation_full_workspace_len(n, c)`.
    fn normalisation_full(
        out: MatrixMut, x: Matrix, delta: Matrix, alpha: Scalar, beta: Scalar, work: SliceMut,
    ) {
        Ok(curvature::normalisation_full(&Shared, out, beta, alpha, x, delta, work)?)
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
    /// The elements of `work` for `rf_ekfac_scale_shared`: T positions, m outputs, d inputs.
    fn ekfac_scale_shared_workspace_len(positions, m, d) =
        curvature::ekfac_scale_shared_workspace_len;
    /// The elements of `work` for `rf_normalisation_full`: n samples, c channels.
    fn normalisation_full_workspace_len(n, c) = curvature::normalisation_full_workspace_len;
    /// The elements of `work` for `rf_ekfac_solve` and `rf_ekfac_apply`: m outputs, d inputs.
    fn ekfac_solve_workspace_len(m, d) = curvature::ekfac_solve_workspace_len;
    /// The elements of `work` for `rf_kfra_step`: n samples, m outputs above, d below.
    fn kfra_step_workspace_len(n, m, d) = curvature::kfra_step_workspace_len;
}
