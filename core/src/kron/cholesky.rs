//! The inverse of a damped Kronecker product through the Cholesky factors of its factors.

use super::damping::FactorDamping;
use crate::error::check_len;
use crate::factor::log_determinant;
use crate::{Backend, Error, MatMut, MatRef, Real};

/// (G + λ_G I) ⊗ (A + λ_A I) as Cholesky factors that the caller owns.
#[derive(Clone, Copy, Debug)]
pub struct KronCholesky<'a, T> {
    /// L_G, m×m.
    pub g: MatRef<'a, T>,
    /// L_A, d×d.
    pub a: MatRef<'a, T>,
}

impl<'a, T: Real> KronCholesky<'a, T> {
    /// Factors G + λ_G I and A + λ_A I in place (contiguous rows) and borrows the factors; the
    /// damping comes from [`split_damping`](super::split_damping).
    ///
    /// # Errors
    /// As [`Backend::cholesky`]; block 0 is G, block 1 is A.
    ///
    /// ```
    /// use relfisher_core::kron::{self, Damping, KronCholesky};
    /// use relfisher_core::{MatMut, MatRef, Portable};
    /// let (mut g, mut a, mut v) = ([1.0], [3.0, 0.0, 0.0, 7.0], [4.0, 8.0]);
    /// let (gv, av) = (MatRef::new(&g, 1, 1)?, MatRef::new(&a, 2, 2)?);
    /// let damping = kron::split_damping(gv, av, 1.0, Damping::Factored)?;
    /// let (gv, av) = (MatMut::new(&mut g, 1, 1)?, MatMut::new(&mut a, 2, 2)?);
    /// let factors = KronCholesky::factor(&Portable, gv, av, damping)?;
    /// let mut work = [0.0; kron::kron_cholesky_solve_workspace_len(1, 2)];
    /// factors.solve(&Portable, MatMut::new(&mut v, 1, 2)?, &mut work)?;
    /// assert!((v[0] - 0.5_f64).abs() < 1e-15 && (v[1] - 0.5).abs() < 1e-15);
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn factor<B: Backend<T> + ?Sized>(
        backend: &B,
        mut g: MatMut<'a, T>,
        mut a: MatMut<'a, T>,
        damping: FactorDamping<T>,
    ) -> Result<Self, Error> {
        backend.cholesky(g.rb_mut(), damping.g)?;
        backend.cholesky(a.rb_mut(), damping.a).map_err(|error| match error {
            Error::NotPositiveDefinite { pivot, .. } => {
                Error::NotPositiveDefinite { block: 1, pivot }
            }
            other => other,
        })?;
        Ok(Self { g: g.into_ref(), a: a.into_ref() })
    }

    /// `V ← (G + λ_G I)⁻¹ V (A + λ_A I)⁻¹`, the inverse applied to vec V in place. Shape: v m×d with
    /// contiguous rows. `work`: [`kron_cholesky_solve_workspace_len`]`(m, d)`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`], [`Error::NonFinite`].
    pub fn solve<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        mut v: MatMut<'_, T>,
        _work: &mut [T],
    ) -> Result<(), Error> {
        check_len("kron solve: rows of v", self.g.rows(), v.rows())?;
        check_len("kron solve: columns of v", self.a.rows(), v.cols())?;
        if !v.rows_contiguous() {
            return Err(Error::Layout { what: "kron solve: v needs contiguous rows" });
        }
        backend.cholesky_solve(v.rb_mut(), self.g)?;
        backend.cholesky_solve(v.t(), self.a)
    }

    /// `V_i ← (G + λ_G I)⁻¹ V_i (A + λ_A I)⁻¹` for matrices that lie one below the other: v (count·m)×d with
    /// contiguous rows. The right factor meets all of them in one solve, and what a backend prepares of the
    /// left one is prepared once. `work` as for [`KronCholesky::solve`].
    ///
    /// # Errors
    /// As [`KronCholesky::solve`]; [`Error::Shape`] too when m does not divide the rows.
    ///
    /// ```
    /// use relfisher_core::kron::KronCholesky;
    /// use relfisher_core::{MatMut, MatRef, Portable};
    /// let factors = KronCholesky { g: MatRef::new(&[2.0], 1, 1)?, a: MatRef::new(&[0.5], 1, 1)? };
    /// let mut v = [1.0, 3.0];
    /// factors.solve_stacked(&Portable, MatMut::new(&mut v, 2, 1)?, &mut [])?;
    /// assert_eq!(v, [1.0, 3.0]);
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn solve_stacked<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        mut v: MatMut<'_, T>,
        _work: &mut [T],
    ) -> Result<(), Error> {
        check_len("kron solve: columns of v", self.a.rows(), v.cols())?;
        backend.cholesky_solve_stacked(v.rb_mut(), self.g)?;
        backend.cholesky_solve(v.t(), self.a)
    }

    /// `ln det = m·ln det(A + λ_A I) + d·ln det(G + λ_G I)`.
    ///
    /// # Errors
    /// As [`log_determinant`].
    /// ```
    /// use relfisher_core::{MatRef, kron::KronCholesky};
    /// let factors = KronCholesky { g: MatRef::new(&[2.0], 1, 1)?, a: MatRef::new(&[3.0], 1, 1)? };
    /// assert!((factors.log_determinant()? - 36.0_f64.ln()).abs() < 1e-14); // (2·2)·(3·3)
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn log_determinant(&self) -> Result<T, Error> {
        let (m, d) = (T::from_usize(self.g.rows()), T::from_usize(self.a.rows()));
        Ok(m * log_determinant(self.a)? + d * log_determinant(self.g)?)
    }
}

/// The workspace of [`KronCholesky::solve`] in elements: none.
#[inline]
pub const fn kron_cholesky_solve_workspace_len(_m: usize, _d: usize) -> usize {
    0
}
