//! Dense products.

use relfisher_core::{Backend, blas};

use crate::argument::{Matrix, MatrixMut, Slice, SliceMut};
use crate::shared::Shared;

export! {
    /// `C <- alpha A B + beta C`. Shapes: a p*k, b k*q, c p*q; any strides for a and b (transpose with
    /// `rf_transposed_f32`), contiguous rows or columns for c, which is read unless `beta` is 0.
    fn gemm(c: MatrixMut, a: Matrix, b: Matrix, alpha: Scalar, beta: Scalar) {
        Ok(Shared.gemm(c, beta, alpha, a, b)?)
    }

    /// `C <- alpha X^T diag(w) X + beta C`, symmetric, both triangles written: with alpha = 1/n the
    /// Kronecker factor of inputs or output gradients. Shapes: x n*d with contiguous rows, w n (an
    /// empty slice stands for ones), c d*d with contiguous rows, whose lower triangle is read unless
    /// `beta` is 0. Work: `rf_gram_workspace_len(n, d)`.
    fn gram(c: MatrixMut, x: Matrix, w: Slice, alpha: Scalar, beta: Scalar, work: SliceMut) {
        let weights = if w.is_empty() { None } else { Some(w) };
        Ok(Shared.gram(c, beta, alpha, x, weights, work)?)
    }
}

lengths! {
    /// The elements of `work` for `rf_gram`: n samples of d inputs.
    fn gram_workspace_len(n, d) = blas::gram_workspace_len;
}
