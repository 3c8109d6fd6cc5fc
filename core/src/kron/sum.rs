//! The inverse of G ⊗ A ± H ⊗ B through two generalised eigenproblems.
//!
//! K_G diagonalises the pair (G, H) at once, K_GᵀGK_G = I and K_GᵀHK_G = diag(s_G), and K_A the pair
//! (A, B). Then `(G ⊗ A ± H ⊗ B)⁻¹ = (K_G ⊗ K_A)(I ± diag(s_G ⊗ s_A))⁻¹(K_G ⊗ K_A)ᵀ`: the step of
//! block-tridiagonal K-FAC (Martens and Grosse 2015, §4.3 and appendix B, with Cholesky factors in
//! the place of inverse square roots).

use super::damping::FactorDamping;
use super::eigenbasis::in_basis;
use crate::error::{check_len, take_work};
use crate::factor::{Triangular, eigh_workspace_len, pivot_tolerance, triangular_solve_left};
use crate::{Backend, Error, MatMut, MatRef, Real};

/// The sign between the two products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// G ⊗ A + H ⊗ B.
    Plus,
    /// G ⊗ A − H ⊗ B.
    Minus,
}

/// (G + λ_G I) ⊗ (A + λ_A I) ± H ⊗ B, diagonalised, in slices that the caller owns. Factored once,
/// solved many times.
#[derive(Clone, Copy, Debug)]
pub struct KronSum<'a, T> {
    /// K_G, m×m, generalised eigenvectors in columns.
    pub g_vectors: MatRef<'a, T>,
    /// s_G, m, ascending.
    pub g_values: &'a [T],
    /// K_A, d×d, generalised eigenvectors in columns.
    pub a_vectors: MatRef<'a, T>,
    /// s_A, d, ascending.
    pub a_values: &'a [T],
    /// The sign between the products.
    pub sign: Sign,
}

impl<'a, T: Real> KronSum<'a, T> {
    /// Diagonalises the pairs (G + λ_G I, H) and (A + λ_A I, B) in place: h and b become K_G and K_A,
    /// g and a hold Cholesky factors afterwards and are free again.
    ///
    /// Shapes: g, h m×m and a, b d×d with contiguous rows; g and a positive definite with the damping
    /// (lower triangle read), h and b symmetric of any sign (both triangles read). Two Cholesky
    /// factorisations, two eigendecompositions and 3(m³ + d³) FLOPs of triangular solves. `work`:
    /// [`kron_sum_factor_workspace_len`]`(m, d)`, may hold NaN.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`], [`Error::Parameter`] for a damping,
    /// [`Error::NonFinite`], [`Error::NoConvergence`]; [`Error::NotPositiveDefinite`] with block 0
    /// for G, 1 for A, and 2 for the sum itself (pivot i·d + j: 1 ± s_Gi s_Aj is not positive, or
    /// only by rounding).
    ///
    /// ```
    /// use relfisher_core::kron::{self, FactorDamping, KronSum, Sign};
    /// use relfisher_core::{MatMut, Portable};
    /// let (mut g, mut h, mut a, mut b) = ([2.0], [1.0], [4.0, 0.0, 0.0, 3.0], [1.0, 0.0, 0.0, 2.0]);
    /// let (mut sg, mut sa, mut v) = ([f64::NAN], [f64::NAN; 2], [9.0, 16.0]);
    /// let none = FactorDamping { g: 0.0, a: 0.0 };
    /// let mut work = [f64::NAN; kron::kron_sum_factor_workspace_len(1, 2)];
    /// let left = (MatMut::new(&mut g, 1, 1)?, MatMut::new(&mut h, 1, 1)?, &mut sg[..]);
    /// let right = (MatMut::new(&mut a, 2, 2)?, MatMut::new(&mut b, 2, 2)?, &mut sa[..]);
    /// let sum = KronSum::factor(&Portable, left, right, none, Sign::Plus, &mut work)?;
    /// let mut work = [f64::NAN; kron::kron_sum_solve_workspace_len(1, 2)];
    /// sum.solve(&Portable, MatMut::new(&mut v, 1, 2)?, &mut work)?;
    /// assert!((v[0] - 1.0).abs() < 1e-14 && (v[1] - 2.0).abs() < 1e-14); // 2·4 + 1·1, 2·3 + 1·2
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn factor<B: Backend<T> + ?Sized>(
        backend: &B,
        (g, h, g_values): (MatMut<'_, T>, MatMut<'a, T>, &'a mut [T]),
        (a, b, a_values): (MatMut<'_, T>, MatMut<'a, T>, &'a mut [T]),
        damping: FactorDamping<T>,
        sign: Sign,
        work: &mut [T],
    ) -> Result<Self, Error> {
        check_pair(
            ["KronSum: rows of g", "KronSum: rows of h", "KronSum: g_values"],
            &g,
            &h,
            g_values,
        )?;
        check_pair(
            ["KronSum: rows of a", "KronSum: rows of b", "KronSum: a_values"],
            &a,
            &b,
            a_values,
        )?;
        let work = take_work(work, kron_sum_factor_workspace_len(g.rows(), a.rows()))?;
        let g_vectors = diagonalise(backend, g, h, g_values, damping.g, work)?;
        let a_vectors =
            diagonalise(backend, a, b, a_values, damping.a, work).map_err(|e| match e {
                Error::NotPositiveDefinite { pivot, .. } => {
                    Error::NotPositiveDefinite { block: 1, pivot }
                }
                other => other,
            })?;
        let sum = Self { g_vectors, g_values, a_vectors, a_values, sign };
        sum.check_spectrum()?;
        Ok(sum)
    }

    /// 1 ± s_Gi s_Aj.
    #[inline(always)]
    fn value(&self, s: T, t: T) -> T {
        match self.sign {
            Sign::Plus => T::ONE + s * t,
            Sign::Minus => T::ONE - s * t,
        }
    }

    /// Every eigenvalue of the sum relative to G ⊗ A is positive by more than rounding.
    fn check_spectrum(&self) -> Result<(), Error> {
        let floor = pivot_tolerance::<T>(self.g_values.len().max(self.a_values.len()));
        for (i, s) in self.g_values.iter().enumerate() {
            for (j, t) in self.a_values.iter().enumerate() {
                // what 1 ± st cancels to is as uncertain as its larger part
                let value = self.value(*s, *t);
                if !(value > floor * (*s * *t).abs().max(T::ONE) && value.is_finite()) {
                    let pivot = i.wrapping_mul(self.a_values.len()).wrapping_add(j);
                    return Err(Error::NotPositiveDefinite { block: 2, pivot });
                }
            }
        }
        Ok(())
    }

    /// `vec V ← (G ⊗ A ± H ⊗ B)⁻¹ vec V`. Shape: v m×d with contiguous rows. Four products. `work`:
    /// [`kron_sum_solve_workspace_len`]`(m, d)`, may hold NaN.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`], [`Error::NonFinite`] for v;
    /// [`Error::NotPositiveDefinite`] as [`KronSum::factor`].
    pub fn solve<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        v: MatMut<'_, T>,
        work: &mut [T],
    ) -> Result<(), Error> {
        let (m, d) = (v.rows(), v.cols());
        check_len("KronSum: rows of v", self.g_values.len(), m)?;
        check_len("KronSum: columns of v", self.a_values.len(), d)?;
        for (what, order, k) in
            [("KronSum: g_vectors", m, self.g_vectors), ("KronSum: a_vectors", d, self.a_vectors)]
        {
            check_len(what, order, k.rows())?;
            check_len(what, order, k.cols())?;
        }
        if !v.rows_contiguous() {
            return Err(Error::Layout { what: "KronSum: v needs contiguous rows" });
        }
        let work = take_work(work, kron_sum_solve_workspace_len(m, d))?;
        v.rb().check_finite("KronSum: v")?;
        self.check_spectrum()?;
        in_basis(backend, v, (self.g_vectors, self.a_vectors), work, |i, row| {
            let s = self.g_values.get(i).copied().unwrap_or(T::ZERO);
            for (x, t) in row.iter_mut().zip(self.a_values) {
                *x /= self.value(s, *t);
            }
        })
    }
}

/// Square, of one order, with as many values; contiguous rows.
fn check_pair<T: Real>(
    [first, second, third]: [&'static str; 3],
    g: &MatMut<'_, T>,
    h: &MatMut<'_, T>,
    values: &[T],
) -> Result<(), Error> {
    check_len(first, g.cols(), g.rows())?;
    check_len(second, g.rows(), h.rows())?;
    check_len(second, g.rows(), h.cols())?;
    check_len(third, g.rows(), values.len())?;
    if g.rows_contiguous() && h.rows_contiguous() {
        Ok(())
    } else {
        Err(Error::Layout { what: "KronSum: factors need contiguous rows" })
    }
}

/// h ← K with Kᵀ(G + λI)K = I and KᵀHK = diag(values): G + λI = LLᵀ, L⁻¹HL⁻ᵀ = E diag(values) Eᵀ,
/// K = L⁻ᵀE. g becomes L.
fn diagonalise<'a, T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    mut g: MatMut<'_, T>,
    mut h: MatMut<'a, T>,
    values: &mut [T],
    damping: T,
    work: &mut [T],
) -> Result<MatRef<'a, T>, Error> {
    backend.cholesky(g.rb_mut(), damping)?;
    let l = g.rb();
    triangular_solve_left(h.rb_mut(), l, Triangular::Lower)?;
    transpose_in_place(&mut h);
    triangular_solve_left(h.rb_mut(), l, Triangular::Lower)?;
    backend.eigh(h.rb_mut(), values, work)?;
    triangular_solve_left(h.rb_mut(), l, Triangular::LowerTransposed)?;
    Ok(h.into_ref())
}

/// a ← aᵀ for a square matrix.
fn transpose_in_place<T: Real>(a: &mut MatMut<'_, T>) {
    for i in 0..a.rows() {
        for j in 0..i {
            let (x, y) = (a.at(i, j), a.at(j, i));
            a.set(i, j, y);
            a.set(j, i, x);
        }
    }
}

/// The workspace of [`KronSum::factor`] in elements.
#[inline]
pub const fn kron_sum_factor_workspace_len(m: usize, d: usize) -> usize {
    eigh_workspace_len(if m > d { m } else { d })
}

/// The workspace of [`KronSum::solve`] in elements: m·d.
#[inline]
pub const fn kron_sum_solve_workspace_len(m: usize, d: usize) -> usize {
    m.saturating_mul(d)
}
