//! Blocks of full rank through the space of the samples, and what of them is of low rank.

use relfisher_core::curvature::{self, LowRank as Core};
use relfisher_core::{MatRef, Real};

use crate::argument::{Argument, Checked, Element, Matrix, MatrixMut, Region, Slice, SliceMut};
use crate::shared::Shared;
use crate::status::Failure;

/// `C = sum_i s_i v_i v_i^T` with orthonormal v_i: the top of a spectrum.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LowRank<T> {
    /// v_1, ..., v_k as rows, k*D with contiguous rows.
    pub vectors: Matrix<T>,
    /// s_1, ..., s_k; negative ones (rounding) count as 0.
    pub values: Slice<T>,
}

impl<T: Real + Element> Argument for LowRank<T> {
    type Lent<'a> = Core<'a, T>;
    type Regions = [Checked; 2];

    fn regions(&self, what: &'static str) -> Self::Regions {
        [
            Region::new(self.vectors.data, self.vectors.len, false, what),
            Region::new(self.values.data, self.values.len, false, what),
        ]
    }

    unsafe fn lend<'a>(self, what: &'static str) -> Result<Self::Lent<'a>, Failure> {
        // SAFETY: as the caller says.
        let (vectors, values): (MatRef<'a, T>, _) = unsafe {
            (self.vectors.lend("vectors of the low-rank matrix")?, self.values.lend(what)?)
        };
        Ok(Core { vectors, values })
    }
}

export! {
    /// `Out <- beta Out + J J^T`, J (Cn)*(md) the matrix whose row c n + s is the gradient
    /// `vec(delta_cs x_s^T)` of column c of sample s; it is never formed. With the columns of the loss
    /// Hessian's root `(1/n) J^T J` is the Gauss-Newton block of the layer, and
    /// `(J^T J/n + lambda I)^-1 = (I - J^T (n lambda I + J J^T)^-1 J)/lambda`. Over the layers of a network
    /// the products add up (beta 1). Shapes: delta (Cn)*m, x n*d, out (Cn)*(Cn), all with contiguous
    /// rows; out's lower triangle is read unless `beta` is 0, both are written. Work:
    /// `rf_khatri_rao_gram_workspace_len(n, C)`.
    fn khatri_rao_gram(out: MatrixMut, delta: Matrix, x: Matrix, beta: Scalar, work: SliceMut) {
        Ok(curvature::khatri_rao_gram(&Shared, out, beta, delta, x, work)?)
    }

    /// `out <- beta out + J vec(V)`, that is `delta_cs^T V x_s` at c n + s, J as in
    /// `rf_khatri_rao_gram`. Shapes: delta (Cn)*m and x n*d with contiguous rows, v m*d, out Cn (read
    /// unless `beta` is 0). Work: `rf_khatri_rao_workspace_len(n, m)`.
    fn khatri_rao_apply(
        out: SliceMut, delta: Matrix, x: Matrix, v: Matrix, beta: Scalar, work: SliceMut,
    ) {
        Ok(curvature::khatri_rao_apply(&Shared, out, beta, delta, x, v, work)?)
    }

    /// `vec(Out) <- beta vec(Out) + J^T u`, that is `sum_cs u_(c n + s) delta_cs x_s^T`, J as in
    /// `rf_khatri_rao_gram`. Shapes: delta (Cn)*m and x n*d with contiguous rows, u Cn, out m*d with
    /// contiguous rows or columns (read unless `beta` is 0). Work: `rf_khatri_rao_workspace_len(n, m)`.
    fn khatri_rao_transpose(
        out: MatrixMut, delta: Matrix, x: Matrix, u: Slice, beta: Scalar, work: SliceMut,
    ) {
        Ok(curvature::khatri_rao_transpose(&Shared, out, beta, delta, x, u, work)?)
    }

    /// `x <- (C + lambda I)^-power x` for every row of x, 0 <= power <= 1, lambda > 0. Shape: x r*D with
    /// contiguous rows. Work: `rf_low_rank_power_workspace_len(r, k)`.
    fn low_rank_power(
        x: MatrixMut, low_rank: LowRank, power: Scalar, lambda: Scalar, work: SliceMut,
    ) {
        Ok(low_rank.power(&Shared, x, power, lambda, work)?)
    }

    /// `out <- ln det(C + lambda I)`, lambda > 0.
    fn low_rank_log_determinant(out: Out, low_rank: LowRank, lambda: Scalar) {
        *out = low_rank.log_determinant(lambda)?;
        Ok(())
    }
}

lengths! {
    /// The elements of `work` for `rf_khatri_rao_gram`: n samples, `columns` for each.
    fn khatri_rao_gram_workspace_len(n, columns) = curvature::khatri_rao_gram_workspace_len;
    /// The elements of `work` for `rf_khatri_rao_apply` and `rf_khatri_rao_transpose`: n samples, m
    /// outputs.
    fn khatri_rao_workspace_len(n, m) = khatri_rao_workspace_len_of;
    /// The elements of `work` for `rf_low_rank_power`: r rows, k vectors.
    fn low_rank_power_workspace_len(r, k) = curvature::low_rank_power_workspace_len;
}

const fn khatri_rao_workspace_len_of(n: usize, m: usize) -> usize {
    let apply = curvature::khatri_rao_apply_workspace_len(n, m);
    let transpose = curvature::khatri_rao_transpose_workspace_len(n, m);
    if apply > transpose { apply } else { transpose }
}
