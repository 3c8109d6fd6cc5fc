//! Factorisations of symmetric matrices and solves with them.

use relfisher_core::factor::{self, InverseRoot, NewtonSchulz};
use relfisher_core::{Backend, kron};

use crate::argument::{Matrix, MatrixMut, Slice, SliceMut};
use crate::shared::Shared;

choice! {
    /// Which triangular matrix a solve takes.
    enum Triangular: "which must be an rf_triangular" {
        /// L, the lower triangle as stored.
        Lower = 0,
        /// The transpose of L.
        LowerTransposed = 1,
    }
}

impl Triangular {
    const fn of(self) -> factor::Triangular {
        match self {
            Self::Lower => factor::Triangular::Lower,
            Self::LowerTransposed => factor::Triangular::LowerTransposed,
        }
    }
}

choice! {
    /// Which inverse root an iteration computes.
    enum Root: "root must be an rf_root" {
        /// The inverse.
        First = 0,
        /// The inverse square root.
        Second = 1,
        /// The inverse fourth root.
        Fourth = 2,
    }
}

export! {
    /// `A <- L` with `A + damping I = L L^T`, zeros above the diagonal. Shape: a d*d with contiguous
    /// rows, whose lower triangle is read.
    fn cholesky(a: MatrixMut, damping: Scalar) {
        Ok(Shared.cholesky(a, damping)?)
    }

    /// `B <- (L L^T)^-1 B` with a factor of `rf_cholesky`. Shapes: l d*d with contiguous rows, b d*k
    /// with contiguous rows or columns.
    fn cholesky_solve(b: MatrixMut, l: Matrix) {
        Ok(Shared.cholesky_solve(b, l)?)
    }

    /// `out <- ln det(L L^T)` with a factor of `rf_cholesky`.
    fn log_determinant(out: Out, l: Matrix) {
        *out = factor::log_determinant(l)?;
        Ok(())
    }

    /// `B <- L^-1 B` or `L^-T B` (an `rf_triangular`). Shapes: l d*d lower triangular, b d*k, both
    /// with contiguous rows.
    fn triangular_solve_left(b: MatrixMut, l: Matrix, which: Code) {
        Ok(factor::triangular_solve_left(b, l, Triangular::read(which)?.of())?)
    }

    /// `B <- B L^-1` or `B L^-T` (an `rf_triangular`). Shapes: l d*d lower triangular, b k*d, both
    /// with contiguous rows.
    fn triangular_solve_right(b: MatrixMut, l: Matrix, which: Code) {
        Ok(factor::triangular_solve_right(b, l, Triangular::read(which)?.of())?)
    }

    /// `A <- (A + damping I)^-1`, both triangles written. Shape: a d*d with contiguous rows, whose
    /// lower triangle is read. Work: `rf_spd_inverse_workspace_len(d)`.
    fn spd_inverse(a: MatrixMut, damping: Scalar, work: SliceMut) {
        Ok(Shared.spd_inverse(a, damping, work)?)
    }

    /// `A = U diag(values) U^T`: a becomes U (eigenvectors in columns), the values ascend. Shapes: a
    /// d*d with contiguous rows, whose lower triangle is read, values d. Work:
    /// `rf_eigh_workspace_len(d)`.
    fn eigh(a: MatrixMut, values: SliceMut, work: SliceMut) {
        Ok(Shared.eigh(a, values, work)?)
    }

    /// `Out <- (A + damping I)^(-1/p)` (an `rf_root`) by products only, residual at most the root of
    /// the machine precision after at most 100 steps. Shapes: a d*d symmetric, out d*d with contiguous
    /// rows. Work: `rf_newton_schulz_workspace_len(d)`.
    fn newton_schulz(out: MatrixMut, a: Matrix, damping: Scalar, root: Code, work: SliceMut) {
        let root = match Root::read(root)? {
            Root::First => InverseRoot::First,
            Root::Second => InverseRoot::Second,
            Root::Fourth => InverseRoot::Fourth,
        };
        let options = NewtonSchulz::default();
        factor::newton_schulz(&Shared, out, a, damping, root, options, work)?;
        Ok(())
    }

    /// The packed factor of every row, a packed lower triangle of order d (`rf_pack`):
    /// `blocks[i] <- L_i` with `A_i + damping I = L_i L_i^T`. Shape: blocks m*d(d+1)/2 with contiguous
    /// rows.
    fn packed_cholesky(blocks: MatrixMut, d: Count, damping: Scalar) {
        Ok(Shared.packed_cholesky(blocks, d, damping)?)
    }

    /// `v_i <- (L_i L_i^T)^-1 v_i` for every row with the factors of `rf_packed_cholesky`. Shapes: v
    /// m*d, factors m*d(d+1)/2, both with contiguous rows.
    fn packed_cholesky_solve(v: MatrixMut, factors: Matrix) {
        Ok(Shared.packed_cholesky_solve(v, factors)?)
    }

    /// `blocks[i] <- (A_i + damping I)^-1` for every row, a packed lower triangle of order d. Shape:
    /// blocks m*d(d+1)/2 with contiguous rows. Work: `rf_packed_inverse_workspace_len(d)`.
    fn packed_inverse(blocks: MatrixMut, d: Count, damping: Scalar, work: SliceMut) {
        Ok(Shared.packed_inverse(blocks, d, damping, work)?)
    }

    /// `out <- sum_i ln det(L_i L_i^T)` with the factors of `rf_packed_cholesky` of order d.
    fn packed_log_determinant(out: Out, factors: Matrix, d: Count) {
        *out = factor::packed_log_determinant(factors, d)?;
        Ok(())
    }

    /// `out_i <- A_i v_i` for every row of packed lower triangles. Shapes: out and v m*d, blocks
    /// m*d(d+1)/2, contiguous rows.
    fn packed_symv(out: MatrixMut, blocks: Matrix, v: Matrix) {
        Ok(Shared.packed_symv(out, blocks, v)?)
    }

    /// `A_i <- L_i` with `A_i + damping I = L_i L_i^T` for every row, a row-major d*d matrix whose lower
    /// triangle is read and written: many small ones at once. Shape: matrices m*d^2 with contiguous rows.
    /// Work: `rf_cholesky_batch_workspace_len(d)`.
    fn cholesky_batch(matrices: MatrixMut, d: Count, damping: Scalar, work: SliceMut) {
        Ok(Shared.cholesky_batch(matrices, d, damping, work)?)
    }

    /// `A_i = U_i diag(values_i) U_i^T` for every row, a row-major d*d matrix that becomes U_i (eigenvectors in
    /// columns); the values ascend. Shapes: matrices m*d^2, whose lower triangles are read, values m*d,
    /// contiguous rows. Work: `rf_eigh_batch_workspace_len(d)`.
    fn eigh_batch(matrices: MatrixMut, values: MatrixMut, d: Count, work: SliceMut) {
        Ok(Shared.eigh_batch(matrices, values, d, work)?)
    }

    /// `packed <- ` the lower triangle of a (d*d, any strides), row by row: d(d+1)/2 elements.
    fn pack(packed: SliceMut, a: Matrix) {
        Ok(kron::pack(packed, a)?)
    }

    /// `A <- ` the symmetric matrix of a packed triangle, both triangles written. Shapes: a d*d, packed
    /// d(d+1)/2 elements.
    fn unpack(a: MatrixMut, packed: Slice) {
        Ok(kron::unpack(a, packed)?)
    }
}

lengths! {
    /// The elements of `work` for `rf_spd_inverse` of order d.
    fn spd_inverse_workspace_len(d) = factor::spd_inverse_workspace_len;
    /// The elements of `work` for `rf_eigh` of order d.
    fn eigh_workspace_len(d) = factor::eigh_workspace_len;
    /// The elements of `work` for `rf_newton_schulz` of order d.
    fn newton_schulz_workspace_len(d) = factor::newton_schulz_workspace_len;
    /// The elements of `work` for `rf_packed_inverse` of blocks of order d.
    fn packed_inverse_workspace_len(d) = factor::packed_inverse_workspace_len;
    /// The elements of `work` for `rf_cholesky_batch` of order d.
    fn cholesky_batch_workspace_len(d) = factor::cholesky_batch_workspace_len;
    /// The elements of `work` for `rf_eigh_batch` of order d.
    fn eigh_batch_workspace_len(d) = factor::eigh_batch_workspace_len;
    /// The elements of a packed triangle of order d: d(d+1)/2. Like every length of the
    /// library it is more than any memory holds where the formula overflows.
    fn packed_len(d) = kron::packed_len;
    /// The place of element (a, b) = (b, a) in a packed triangle.
    fn packed_index(a, b) = kron::packed_index;
}
