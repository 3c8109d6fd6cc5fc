//! Kronecker algebra: G (m*m) for a layer's outputs, A (d*d) for its inputs, vec row-major.

use relfisher_core::kron::Damping as Split;
use relfisher_core::kron::{self, BiasCorrection, FactorDamping, KronCholesky, KronEigen, KronSum};

use crate::argument::{Matrix, MatrixMut, Slice, SliceMut};
use crate::shared::Shared;

choice! {
    /// How a damping of `G (x) A` is divided between the factors.
    enum Damping: "damping must be an rf_damping" {
        /// (G + lambda I) (x) (A + lambda I).
        Factored = 0,
        /// (G + sqrt(lambda)/pi I) (x) (A + pi sqrt(lambda) I), pi from the mean eigenvalues (Martens
        /// and Grosse 2015, 6.3).
        Pi = 1,
    }
}

choice! {
    /// How the first steps of a moving average are treated.
    enum Correction: "correction must be an rf_correction" {
        /// Weight 1 - rho for every new value.
        None = 0,
        /// The weights of the values so far sum to one.
        Normalised = 1,
        /// A plain mean until it is as long as the window.
        Warm = 2,
    }
}

choice! {
    /// The sign between two Kronecker products.
    enum Sign: "sign must be an rf_sign" {
        /// G (x) A + H (x) B.
        Plus = 0,
        /// G (x) A - H (x) B.
        Minus = 1,
    }
}

impl Sign {
    const fn of(self) -> kron::Sign {
        match self {
            Self::Plus => kron::Sign::Plus,
            Self::Minus => kron::Sign::Minus,
        }
    }
}

export! {
    /// `Out <- G V A^T`, that is `vec(Out) = (G (x) A) vec(V)`. Shapes: g p*m, a q*d, v m*d, out p*q
    /// with contiguous rows or columns. Work: `rf_kron_apply_workspace_len(p, d)`.
    fn kron_apply(out: MatrixMut, g: Matrix, a: Matrix, v: Matrix, work: SliceMut) {
        Ok(kron::apply(&Shared, out, g, a, v, work)?)
    }

    /// `out <- vec(V)^T (G (x) A) vec(V)`. Shapes: g m*m, a d*d, v m*d with contiguous rows. Work:
    /// `rf_kron_quadratic_form_workspace_len(m, d)`.
    fn kron_quadratic_form(out: Out, g: Matrix, a: Matrix, v: Matrix, work: SliceMut) {
        *out = kron::quadratic_form(&Shared, g, a, v, work)?;
        Ok(())
    }

    /// `Out <- G (x) A`, dense, for tests and tiny layers. Shapes: g p*m, a q*d, out pq*md.
    fn kron_materialise(out: MatrixMut, g: Matrix, a: Matrix) {
        Ok(kron::materialise(out, g, a)?)
    }

    /// `out <- tr(G (x) A)`.
    fn kron_trace(out: Out, g: Matrix, a: Matrix) {
        *out = kron::trace(g, a)?;
        Ok(())
    }

    /// `out <- <G (x) A, H (x) B>`, the Frobenius inner product. Shapes: g as h, a as b.
    fn kron_frobenius_inner(out: Out, g: Matrix, a: Matrix, h: Matrix, b: Matrix) {
        *out = kron::frobenius_inner((g, a), (h, b))?;
        Ok(())
    }

    /// `Out <- ` the diagonal of `G (x) A` as an m*d matrix.
    fn kron_diagonal(out: MatrixMut, g: Matrix, a: Matrix) {
        Ok(kron::diagonal(out, g, a)?)
    }

    /// `Out <- ` row `index` of `G (x) A` as a matrix of as many rows as g has columns, and columns as
    /// a has columns.
    fn kron_row(out: MatrixMut, g: Matrix, a: Matrix, index: Count) {
        Ok(kron::row(out, g, a, index)?)
    }

    /// `Out <- ` column `index` of `G (x) A` as a matrix of as many rows as g, and columns as a has
    /// rows.
    fn kron_column(out: MatrixMut, g: Matrix, a: Matrix, index: Count) {
        Ok(kron::column(out, g, a, index)?)
    }

    /// What a damping `lambda` of `G (x) A` adds to the diagonals of G and of A (an `rf_damping`).
    fn kron_split_damping(
        g_damping: Out, a_damping: Out, g: Matrix, a: Matrix, lambda: Scalar, damping: Code,
    ) {
        let damping = match Damping::read(damping)? {
            Damping::Factored => Split::Factored,
            Damping::Pi => Split::Pi,
        };
        let split = kron::split_damping(g, a, lambda, damping)?;
        (*g_damping, *a_damping) = (split.g, split.a);
        Ok(())
    }

    /// The Cholesky factors of `G + g_damping I` and `A + a_damping I`, in place. Shapes: g m*m, a d*d
    /// with contiguous rows, lower triangles read. In an error block 0 is G, block 1 is A.
    fn kron_cholesky_factor(
        g: MatrixMut, a: MatrixMut, g_damping: Scalar, a_damping: Scalar,
    ) {
        let damping = FactorDamping { g: g_damping, a: a_damping };
        KronCholesky::factor(&Shared, g, a, damping)?;
        Ok(())
    }

    /// `V <- (G + g_damping I)^-1 V (A + a_damping I)^-1` with the factors of
    /// `rf_kron_cholesky_factor`. Shape: v m*d with contiguous rows. Needs no work.
    fn kron_cholesky_solve(v: MatrixMut, g: Matrix, a: Matrix) {
        Ok(KronCholesky { g, a }.solve(&Shared, v, &mut [])?)
    }

    /// `out <- ln det` of the damped product with the factors of `rf_kron_cholesky_factor`.
    fn kron_cholesky_log_determinant(out: Out, g: Matrix, a: Matrix) {
        *out = KronCholesky { g, a }.log_determinant()?;
        Ok(())
    }

    /// Decomposes both factors in place: g and a become their eigenvectors (columns), the values
    /// ascend. Shapes: g m*m, a d*d with contiguous rows, lower triangles read; g_values m, a_values d.
    /// Work: `rf_kron_eigen_factor_workspace_len(m, d)`.
    fn kron_eigen_factor(
        g: MatrixMut, g_values: SliceMut, a: MatrixMut, a_values: SliceMut, work: SliceMut,
    ) {
        KronEigen::factor(&Shared, (g, g_values), (a, a_values), work)?;
        Ok(())
    }

    /// `vec V <- (G (x) A + lambda I)^-power vec V`, 0 <= power <= 1, with the parts of
    /// `rf_kron_eigen_factor`; power 1 is the damped inverse. Shape: v m*d with contiguous rows. Work:
    /// `rf_kron_eigen_apply_workspace_len(m, d)`.
    fn kron_eigen_power(
        v: MatrixMut, g_vectors: Matrix, g_values: Slice, a_vectors: Matrix, a_values: Slice,
        power: Scalar, lambda: Scalar, work: SliceMut,
    ) {
        let eigen = KronEigen { g_vectors, g_values, a_vectors, a_values };
        Ok(eigen.power(&Shared, v, power, lambda, work)?)
    }

    /// `out <- ln det(G (x) A + lambda I)` from the eigenvalues of `rf_kron_eigen_factor`,
    /// of which negative ones (rounding) count as 0.
    fn kron_eigen_log_determinant(
        out: Out, g_vectors: Matrix, g_values: Slice, a_vectors: Matrix, a_values: Slice,
        lambda: Scalar,
    ) {
        let eigen = KronEigen { g_vectors, g_values, a_vectors, a_values };
        *out = eigen.log_determinant(lambda)?;
        Ok(())
    }

    /// Diagonalises `(G + g_damping I) (x) (A + a_damping I) +- H (x) B` (an `rf_sign`; K-FAC,
    /// appendix B): h and b become the generalised eigenvectors, g and a are free again. Shapes: g, h
    /// m*m, a, b d*d with contiguous rows; g_values m, a_values d. Work:
    /// `rf_kron_sum_factor_workspace_len(m, d)`.
    fn kron_sum_factor(
        g: MatrixMut, h: MatrixMut, g_values: SliceMut, a: MatrixMut, b: MatrixMut,
        a_values: SliceMut, g_damping: Scalar, a_damping: Scalar, sign: Code, work: SliceMut,
    ) {
        let damping = FactorDamping { g: g_damping, a: a_damping };
        let (left, right) = ((g, h, g_values), (a, b, a_values));
        KronSum::factor(&Shared, left, right, damping, Sign::read(sign)?.of(), work)?;
        Ok(())
    }

    /// `vec V <- ` the inverse of the sum applied, with the parts of `rf_kron_sum_factor`. Shape: v m*d
    /// with contiguous rows. Work: `rf_kron_sum_solve_workspace_len(m, d)`.
    fn kron_sum_solve(
        v: MatrixMut, g_vectors: Matrix, g_values: Slice, a_vectors: Matrix, a_values: Slice,
        sign: Code, work: SliceMut,
    ) {
        let sign = Sign::read(sign)?.of();
        let sum = KronSum { g_vectors, g_values, a_vectors, a_values, sign };
        Ok(sum.solve(&Shared, v, work)?)
    }

    /// `average <- (1 - w) average + w value` at step t = 1, 2, ... with decay rho in [0, 1), w by an
    /// `rf_correction`. `average` is read unless w is 1.
    fn moving_average(
        average: SliceMut, value: Slice, decay: Scalar, correction: Code, step: Step,
    ) {
        let correction = match Correction::read(correction)? {
            Correction::None => BiasCorrection::None,
            Correction::Normalised => BiasCorrection::Normalised,
            Correction::Warm => BiasCorrection::Warm,
        };
        Ok(kron::moving_average(average, value, decay, correction, step)?)
    }
}

lengths! {
    /// The elements of `work` for `rf_kron_apply`: p rows of g, d columns of a.
    fn kron_apply_workspace_len(p, d) = kron::apply_workspace_len;
    /// The elements of `work` for `rf_kron_quadratic_form`.
    fn kron_quadratic_form_workspace_len(m, d) = kron::quadratic_form_workspace_len;
    /// The elements of `work` for `rf_kron_eigen_factor`.
    fn kron_eigen_factor_workspace_len(m, d) = kron::kron_eigen_factor_workspace_len;
    /// The elements of `work` for `rf_kron_eigen_power`.
    fn kron_eigen_apply_workspace_len(m, d) = kron::kron_eigen_apply_workspace_len;
    /// The elements of `work` for `rf_kron_sum_factor`.
    fn kron_sum_factor_workspace_len(m, d) = kron::kron_sum_factor_workspace_len;
    /// The elements of `work` for `rf_kron_sum_solve`.
    fn kron_sum_solve_workspace_len(m, d) = kron::kron_sum_solve_workspace_len;
}
