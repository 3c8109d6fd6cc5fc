//! The seam between formulas and machines.
//!
//! Every algorithm of the core that costs more than O(n²) is written once, generic over
//! [`Backend`]: the handful of dense products and batched factorisations that a machine can do
//! fast. [`Portable`] is the sequential, allocation-free implementation in safe `no_std` Rust; a
//! host overrides the methods with its own (tuned products, threads) and inherits the rest.
//!
//! Contracts common to all methods: outputs may hold NaN on entry unless a `beta` says otherwise;
//! `beta = 0` never reads the output; reductions have a fixed order for given shapes, so the same
//! input gives the same bits on every run and with any number of threads; every method checks its
//! shapes and returns an error instead of panicking. Factorisations and solves refuse input that is
//! not finite ([`Error::NonFinite`]) and matrices that are singular to working precision
//! ([`factor::pivot_tolerance`]); after such an error the outputs are unspecified.
//!
//! The routines of [`blas`] and [`factor`] are always inlined and use no fused operations, so a host
//! that calls them inside a function compiled for a wider instruction set gets them vectorised for
//! it, with the same bits.

use crate::{Error, MatMut, MatRef, Real, blas, factor};

/// The dense products, factorisations and batched solves that the formulas are made of.
/// ```
/// use relfisher_core::{Backend, MatMut, MatRef, Portable, blas, factor};
/// let x = [1.0, 2.0, 3.0, 4.0, 0.0, 1.0]; // n = 3, d = 2
/// let x = MatRef::new(&x, 3, 2)?;
/// let (mut a, mut lower) = ([f64::NAN; 4], [f64::NAN; 4]);
/// let mut work = [f64::NAN; blas::gram_workspace_len(3, 2)];
/// Portable.gram(MatMut::new(&mut a, 2, 2)?, 0.0, 0.5, x, None, &mut work)?; // ½ XᵀX
/// assert_eq!(a, [5.0, 7.0, 7.0, 10.5]);
/// Portable.gram_lower(MatMut::new(&mut lower, 2, 2)?, 0.0, 0.5, x, &mut work)?;
/// assert_eq!((lower[0], lower[2], lower[3]), (5.0, 7.0, 10.5));
///
/// // (A + I) v = b by Cholesky
/// let (mut l, mut v, mut b) = (a, [3.0, 4.0], [f64::NAN; 2]);
/// Portable.cholesky(MatMut::new(&mut l, 2, 2)?, 1.0)?;
/// Portable.cholesky_solve(MatMut::new(&mut v, 2, 1)?, MatRef::new(&l, 2, 2)?)?;
/// Portable.gemm(MatMut::new(&mut b, 2, 1)?, 0.0, 1.0, MatRef::new(&a, 2, 2)?, MatRef::new(&v, 2, 1)?)?;
/// assert!((b[0] + v[0] - 3.0).abs() < 1e-12 && (b[1] + v[1] - 4.0).abs() < 1e-12);
///
/// // the same as an inverse, and the eigenvalues: their sum is the trace
/// let mut inverse = a;
/// let mut work = [f64::NAN; factor::spd_inverse_workspace_len(2)];
/// Portable.spd_inverse(MatMut::new(&mut inverse, 2, 2)?, 1.0, &mut work)?;
/// assert!((inverse[0] * 3.0 + inverse[1] * 4.0 - v[0]).abs() < 1e-12);
/// let (mut u, mut values) = (a, [f64::NAN; 2]);
/// let mut work = [f64::NAN; factor::eigh_workspace_len(2)];
/// Portable.eigh(MatMut::new(&mut u, 2, 2)?, &mut values, &mut work)?;
/// assert!(values[0] < values[1] && (values[0] + values[1] - 15.5).abs() < 1e-12);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
///
/// Many small matrices at once, packed:
///
/// ```
/// use relfisher_core::{Backend, MatMut, MatRef, Portable, blas, factor};
/// let (x, nu) = ([1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 0.0, 2.0]); // n = 2, d = 2, m = 2 weights
/// let (x, nu) = (MatRef::new(&x, 2, 2)?, MatRef::new(&nu, 2, 2)?);
/// let mut blocks = [f64::NAN; 6];
/// let mut work = [f64::NAN; blas::packed_grams_workspace_len(2, 2, 2)];
/// Portable.packed_grams(MatMut::new(&mut blocks, 2, 3)?, 0.0, 1.0, x, nu, &mut work)?;
/// assert_eq!(blocks, [1.0, 2.0, 4.0, 18.0, 24.0, 32.0]); // xxᵀ of each sample, times its weight
///
/// let (mut factors, mut inverses) = (blocks, blocks);
/// let (mut v, mut w) = ([1.0, 2.0, 3.0, 4.0], [f64::NAN; 4]); // a right side for each block
/// Portable.packed_cholesky(MatMut::new(&mut factors, 2, 3)?, 2, 1.0)?;
/// let mut work = [f64::NAN; factor::packed_inverse_workspace_len(2)];
/// Portable.packed_inverse(MatMut::new(&mut inverses, 2, 3)?, 2, 1.0, &mut work)?;
/// let inverses = MatRef::new(&inverses, 2, 3)?;
/// Portable.packed_symv(MatMut::new(&mut w, 2, 2)?, inverses, MatRef::new(&v, 2, 2)?)?;
/// Portable.packed_cholesky_solve(MatMut::new(&mut v, 2, 2)?, MatRef::new(&factors, 2, 3)?)?;
/// assert!(v.iter().zip(&w).all(|(v, w)| (v - w).abs() < 1e-12));
/// # Ok::<(), relfisher_core::Error>(())
/// ```
///
/// As full matrices, and systems that share one Gram matrix:
///
/// ```
/// use relfisher_core::{Backend, MatMut, MatRef, Portable, factor};
/// let batch = [4.0, 2.0, 2.0, 5.0, 9.0, 3.0, 3.0, 2.0]; // two 2×2 matrices
/// let (mut factors, mut vectors, mut values) = (batch, batch, [f64::NAN; 4]);
/// let mut work = [f64::NAN; factor::cholesky_batch_workspace_len(2)];
/// Portable.cholesky_batch(MatMut::new(&mut factors, 2, 4)?, 2, 0.0, &mut work)?;
/// assert!((factors[0] - 2.0).abs() < 1e-14 && (factors[7] - 1.0).abs() < 1e-14);
/// let mut work = [f64::NAN; factor::eigh_batch_workspace_len(2)];
/// let (a, v) = (MatMut::new(&mut vectors, 2, 4)?, MatMut::new(&mut values, 2, 2)?);
/// Portable.eigh_batch(a, v, 2, &mut work)?;
/// assert!((values[0] * values[1] - 16.0).abs() < 1e-12); // det A₀ = (2·2)²
///
/// // (½ + s²K)z = r for K = 1 and two scales s
/// let (k, s, mut z) = ([1.0], [0.5, 1.0], [3.0, 3.0]);
/// let mut work = [f64::NAN; factor::scaled_gram_solve_workspace_len(1, 2)];
/// let (k, s) = (MatRef::new(&k, 1, 1)?, MatRef::new(&s, 1, 2)?);
/// Portable.scaled_gram_solve(MatMut::new(&mut z, 1, 2)?, k, s, 0.5, &mut work)?;
/// assert!((z[0] - 4.0).abs() < 1e-14 && (z[1] - 2.0).abs() < 1e-14);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub trait Backend<T: Real> {
    /// `C ← α A B + β C`. Shapes: a p×k, b k×q, c p×q; any strides for a and b, contiguous rows
    /// or contiguous columns for c.
    ///
    /// # Errors
    /// Shape or layout.
    fn gemm(
        &self,
        c: MatMut<'_, T>,
        beta: T,
        alpha: T,
        a: MatRef<'_, T>,
        b: MatRef<'_, T>,
    ) -> Result<(), Error> {
        blas::gemm(c, beta, alpha, a, b)
    }

    /// `C ← α Xᵀ diag(w) X + β C`, symmetric, both triangles written (w = 1 when `None`); with
    /// `beta ≠ 0` the lower triangle of c is read.
    /// Shapes: x n×d with contiguous rows, w n, c d×d. `work` as [`blas::gram_workspace_len`].
    ///
    /// # Errors
    /// Shape, layout or workspace.
    fn gram(
        &self,
        c: MatMut<'_, T>,
        beta: T,
        alpha: T,
        x: MatRef<'_, T>,
        weights: Option<&[T]>,
        work: &mut [T],
    ) -> Result<(), Error> {
        blas::gram(c, beta, alpha, x, weights, work)
    }

    /// The lower triangle of `C ← α Xᵀ X + β C`; what the strict upper one holds after it is
    /// unspecified. For a sum over pieces of x that the caller mirrors once, and that he may have given
    /// to threads of his own: a host leaves it to the calling one. Shapes and `work` as
    /// [`Backend::gram`].
    ///
    /// # Errors
    /// Shape, layout or workspace.
    fn gram_lower(
        &self,
        c: MatMut<'_, T>,
        beta: T,
        alpha: T,
        x: MatRef<'_, T>,
        work: &mut [T],
    ) -> Result<(), Error> {
        self.gram(c, beta, alpha, x, None, work)
    }

    /// All weighted Gram matrices at once, packed:
    /// `out[i, k(a, b)] ← α Σ_s ν[s, i] x[s, a] x[s, b] + β out[i, k(a, b)]`,
    /// k(a, b) = a(a+1)/2 + b for a ≥ b. Shapes: x n×d, ν n×m, out m × d(d+1)/2, all with
    /// contiguous rows. `work` as [`blas::packed_grams_workspace_len`].
    /// m·n·d(d+1) FLOPs: only the lower triangles are formed.
    ///
    /// # Errors
    /// Shape, layout or workspace.
    fn packed_grams(
        &self,
        out: MatMut<'_, T>,
        beta: T,
        alpha: T,
        x: MatRef<'_, T>,
        nu: MatRef<'_, T>,
        work: &mut [T],
    ) -> Result<(), Error> {
        blas::packed_grams(out, beta, alpha, x, nu, work)
    }

    /// Cholesky factorisation in place, A + λI = L Lᵀ: reads the lower triangle, writes L there;
    /// the strict upper triangle is set to zero. Shape d×d, contiguous rows.
    ///
    /// # Errors
    /// Shape, layout, [`Error::NotPositiveDefinite`].
    fn cholesky(&self, a: MatMut<'_, T>, damping: T) -> Result<(), Error> {
        factor::cholesky(a, damping)
    }

    /// `B ← (L Lᵀ)⁻¹ B` with the factor of [`Backend::cholesky`]. Shapes: l d×d with contiguous rows,
    /// b d×k with contiguous rows or columns (a transposed view: V ← V (L Lᵀ)⁻¹).
    ///
    /// # Errors
    /// Shape or layout.
    fn cholesky_solve(&self, b: MatMut<'_, T>, l: MatRef<'_, T>) -> Result<(), Error> {
        factor::cholesky_solve(b, l)
    }

    /// `B_i ← (L Lᵀ)⁻¹ B_i` for matrices that lie one below the other: b (count·d)×k with contiguous rows,
    /// B_i its rows i·d to (i + 1)·d. Each is what [`Backend::cholesky_solve`] makes of it, up to rounding.
    ///
    /// # Errors
    /// Shape, of rows that are no multiple of d too, or layout.
    ///
    /// ```
    /// use relfisher_core::{Backend, MatMut, MatRef, Portable};
    /// let mut b = [8.0, 4.0, -4.0];
    /// Portable.cholesky_solve_stacked(MatMut::new(&mut b, 3, 1)?, MatRef::new(&[2.0], 1, 1)?)?;
    /// assert_eq!(b, [2.0, 1.0, -1.0]);
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    fn cholesky_solve_stacked(&self, b: MatMut<'_, T>, l: MatRef<'_, T>) -> Result<(), Error> {
        factor::for_each_stacked(b, l.rows(), |part| self.cholesky_solve(part, l))
    }

    /// `A ← (A + λI)⁻¹`, symmetric positive definite, in place through Cholesky: reads the lower
    /// triangle, writes both. Shape d×d, contiguous rows. `work` as [`factor::spd_inverse_workspace_len`].
    ///
    /// # Errors
    /// Shape, layout, workspace, [`Error::NotPositiveDefinite`].
    fn spd_inverse(&self, a: MatMut<'_, T>, damping: T, work: &mut [T]) -> Result<(), Error> {
        factor::spd_inverse(a, damping, work)
    }

    /// Symmetric eigendecomposition `A = U diag(values) Uᵀ`, eigenvalues ascending, eigenvectors in
    /// the columns of `a` on return; reads the lower triangle. `work` as [`factor::eigh_workspace_len`].
    ///
    /// # Errors
    /// Shape, layout, workspace, [`Error::NonFinite`], [`Error::NoConvergence`].
    fn eigh(&self, a: MatMut<'_, T>, values: &mut [T], work: &mut [T]) -> Result<(), Error> {
        factor::eigh(a, values, work)
    }

    /// `block_i ← block_i + λI = L_i L_iᵀ` for every packed row of `blocks` (m × d(d+1)/2), in place.
    ///
    /// # Errors
    /// Shape, layout, [`Error::NotPositiveDefinite`] naming the block.
    fn packed_cholesky(&self, blocks: MatMut<'_, T>, d: usize, damping: T) -> Result<(), Error> {
        factor::packed_cholesky(blocks, d, damping)
    }

    /// `v_i ← (L_i L_iᵀ)⁻¹ v_i` for every row of v (m×d) with the factors of [`Backend::packed_cholesky`].
    ///
    /// # Errors
    /// Shape or layout.
    fn packed_cholesky_solve(&self, v: MatMut<'_, T>, factors: MatRef<'_, T>) -> Result<(), Error> {
        factor::packed_cholesky_solve(v, factors)
    }

    /// `block_i ← (block_i + λI)⁻¹` for every packed row of `blocks` (m × d(d+1)/2), in place.
    /// `work` as [`factor::packed_inverse_workspace_len`].
    ///
    /// # Errors
    /// Shape, layout, workspace, [`Error::NotPositiveDefinite`] naming the block.
    fn packed_inverse(
        &self,
        blocks: MatMut<'_, T>,
        d: usize,
        damping: T,
        work: &mut [T],
    ) -> Result<(), Error> {
        factor::packed_inverse(blocks, d, damping, work)
    }

    /// `A_i + λI = L_i L_iᵀ` in place for every matrix of a batch: `matrices` m × n², row-major n×n
    /// each. Reads and writes the lower triangles. `work` as [`factor::cholesky_batch_workspace_len`].
    ///
    /// # Errors
    /// Shape, layout, workspace, [`Error::NonFinite`], [`Error::NotPositiveDefinite`] naming the
    /// matrix.
    fn cholesky_batch(
        &self,
        matrices: MatMut<'_, T>,
        n: usize,
        damping: T,
        work: &mut [T],
    ) -> Result<(), Error> {
        factor::cholesky_batch(matrices, n, damping, work)
    }

    /// `A_i = U_i diag(values_i) U_iᵀ` for every matrix of a batch: `matrices` m × n², row-major n×n
    /// each, eigenvectors in their columns on return; `values` m×n, ascending. Reads the lower
    /// triangles. `work` as [`factor::eigh_batch_workspace_len`].
    ///
    /// # Errors
    /// Shape, layout, workspace, [`Error::NonFinite`], [`Error::NoConvergence`].
    fn eigh_batch(
        &self,
        matrices: MatMut<'_, T>,
        values: MatMut<'_, T>,
        n: usize,
        work: &mut [T],
    ) -> Result<(), Error> {
        factor::eigh_batch(matrices, values, n, work)
    }

    /// `out_i ← block_i v_i` for every row i: symmetric packed blocks (m × d(d+1)/2), v and out m×d.
    ///
    /// # Errors
    /// Shape or layout.
    fn packed_symv(
        &self,
        out: MatMut<'_, T>,
        blocks: MatRef<'_, T>,
        v: MatRef<'_, T>,
    ) -> Result<(), Error> {
        blas::packed_symv(out, blocks, v)
    }

    /// The m small systems of the sample-space route that share one Gram matrix:
    /// column i of z ← (λ'I + S_i K S_i)⁻¹ (column i of z), S_i = diag(s[:, i]).
    /// Shapes: k n×n symmetric (both triangles), s n×m, z n×m (right sides in, solutions out), all
    /// with contiguous rows. Needs λ' > 0 or positive definite systems; s_si = 0 is harmless with
    /// λ' > 0. `work` as [`factor::scaled_gram_solve_workspace_len`].
    ///
    /// # Errors
    /// Shape, layout, workspace, [`Error::NotPositiveDefinite`] naming the column.
    fn scaled_gram_solve(
        &self,
        z: MatMut<'_, T>,
        k: MatRef<'_, T>,
        s: MatRef<'_, T>,
        damping: T,
        work: &mut [T],
    ) -> Result<(), Error> {
        factor::scaled_gram_solve(z, k, s, damping, work)
    }
}

/// The sequential backend of the core: safe, allocation-free, no_std.
#[derive(Clone, Copy, Debug, Default)]
pub struct Portable;

impl<T: Real> Backend<T> for Portable {}
