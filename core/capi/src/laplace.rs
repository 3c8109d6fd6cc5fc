//! The Laplace approximation: the posterior of precision `N C + tau I`, in the basis where it is diagonal.

use relfisher_core::laplace::{self, Evidence};

use crate::argument::{Matrix, MatrixMut, Slice, SliceMut};
use crate::shared::Shared;

export! {
    /// `out <- sum_k ln(samples s_k + precision)`, ln det of the posterior precision from the eigenvalues s
    /// of the curvature; negative ones (rounding) count as 0.
    fn laplace_log_determinant(
        out: DoubleOut, values: Slice, samples: Double, precision: Double,
    ) {
        *out = laplace::log_determinant(values, samples, precision)?;
        Ok(())
    }

    /// `out <- sum_k samples s_k/(samples s_k + precision)`: the parameters that the data determine.
    fn laplace_effective_parameters(
        out: DoubleOut, values: Slice, samples: Double, precision: Double,
    ) {
        *out = laplace::effective_parameters(values, samples, precision)?;
        Ok(())
    }

    /// `out_k <- 1/(samples s_k + precision)`: the variances of the posterior in the eigenbasis.
    fn laplace_variances(out: SliceMut, values: Slice, samples: Double, precision: Double) {
        Ok(laplace::posterior_variances(out, values, samples, precision)?)
    }

    /// `draw_k <- draw_k/sqrt(samples s_k + precision)`: standard normal numbers become a draw from the
    /// posterior in the eigenbasis, to be turned back and added to the parameters.
    fn laplace_scale_draw(draw: SliceMut, values: Slice, samples: Double, precision: Double) {
        Ok(laplace::scale_draw(draw, values, samples, precision)?)
    }

    /// `out_s <- beta out_s + J_s P^-1 J_s^T` (C*C) of one layer, the covariance of the C outputs of sample s
    /// that it causes: u are the derivatives of the outputs and v the inputs, both turned into the
    /// eigenbasis, `variances` P^-1 there. Shapes: u (Cn)*m, row c n + s, v n*d, variances m*d, out n*C^2
    /// (read unless `beta` is 0), contiguous rows. Work:
    /// `rf_laplace_predictive_workspace_len(n, m, d)`.
    fn laplace_predictive_covariance(
        out: MatrixMut, u: Matrix, v: Matrix, variances: Matrix, beta: Scalar, work: SliceMut,
    ) {
        Ok(laplace::predictive_covariance(&Shared, out, beta, (u, v), variances, work)?)
    }

    /// `logits_c <- logits_c/sqrt(1 + pi v_c/8)`: logits whose soft-max or sigmoid approximates the mean
    /// prediction.
    fn laplace_probit_logits(logits: SliceMut, variances: Slice) {
        Ok(laplace::probit_logits(logits, variances)?)
    }
}

export_double! {
    /// `out <- log_likelihood - tau |theta|^2/2 + D ln(tau)/2 - log_determinant/2`: ln p(data) for a prior of
    /// precision tau on D parameters, log_determinant that of the posterior precision at this tau.
    fn laplace_log_marginal(
        out: DoubleOut, log_likelihood: Double, squared_norm: Double, parameters: Count,
        precision: Double, log_determinant: Double,
    ) {
        let evidence = Evidence { log_likelihood, squared_norm, parameters };
        *out = evidence.log_marginal(precision, log_determinant)?;
        Ok(())
    }
}

lengths! {
    /// The elements of `work` for `rf_laplace_predictive_covariance`: n samples, m outputs, d inputs.
    fn laplace_predictive_workspace_len(n, m, d) = laplace::predictive_covariance_workspace_len;
}
