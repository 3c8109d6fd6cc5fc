//! Functions of G ⊗ A + λI through the eigenbases of the factors.

use crate::error::{check_len, take_work};
use crate::factor::{eigh_workspace_len, pivot_tolerance};
use crate::{Backend, Error, MatMut, MatRef, Real};

/// G = U_G diag(s_G) U_Gᵀ and A = U_A diag(s_A) U_Aᵀ in slices that the caller owns:
/// G ⊗ A = (U_G ⊗ U_A) diag(s_G ⊗ s_A) (U_G ⊗ U_A)ᵀ.
/// ```
/// use relfisher_core::kron::{KronEigen, kron_eigen_apply_workspace_len};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (one, eye) = ([1.0], [1.0, 0.0, 0.0, 1.0]); // G = 2, A = diag(3, 4)
/// let eigen = KronEigen {
///     g_vectors: MatRef::new(&one, 1, 1)?,
///     g_values: &[2.0],
///     a_vectors: MatRef::new(&eye, 2, 2)?,
///     a_values: &[3.0, 4.0],
/// };
/// let (mut v, mut work) = ([2.0, 3.0], [f64::NAN; kron_eigen_apply_workspace_len(1, 2)]);
/// eigen.power(&Portable, MatMut::new(&mut v, 1, 2)?, 0.5, 1.0, &mut work)?; // (G ⊗ A + I)^−½
/// assert!((v[0] - 2.0 / 7.0_f64.sqrt()).abs() < 1e-14 && (v[1] - 1.0).abs() < 1e-14);
/// assert!((eigen.log_determinant(1.0)? - 63.0_f64.ln()).abs() < 1e-14);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct KronEigen<'a, T> {
    /// U_G, m×m, eigenvectors in columns.
    pub g_vectors: MatRef<'a, T>,
    /// s_G, m, ascending.
    pub g_values: &'a [T],
    /// U_A, d×d, eigenvectors in columns.
    pub a_vectors: MatRef<'a, T>,
    /// s_A, d, ascending.
    pub a_values: &'a [T],
}

impl<'a, T: Real> KronEigen<'a, T> {
    /// Decomposes the factors in place: g and a (contiguous rows) become the eigenvectors. `work`:
    /// [`kron_eigen_factor_workspace_len`]`(m, d)`.
    ///
    /// # Errors
    /// As [`Backend::eigh`].
    ///
    /// ```
    /// use relfisher_core::kron::{self, KronEigen};
    /// use relfisher_core::{MatMut, Portable};
    /// let (mut g, mut a, mut v) = ([2.0], [1.0, 0.0, 0.0, 3.0], [3.0, 7.0]);
    /// let (mut sg, mut sa) = ([0.0; 1], [0.0; 2]);
    /// let mut work = [0.0_f64; kron::kron_eigen_factor_workspace_len(1, 2)];
    /// let (gv, av) = (MatMut::new(&mut g, 1, 1)?, MatMut::new(&mut a, 2, 2)?);
    /// let eigen = KronEigen::factor(&Portable, (gv, &mut sg), (av, &mut sa), &mut work)?;
    /// let mut work = [0.0; kron::kron_eigen_apply_workspace_len(1, 2)];
    /// eigen.solve(&Portable, MatMut::new(&mut v, 1, 2)?, 1.0, &mut work)?;
    /// assert!((v[0] - 1.0).abs() < 1e-15 && (v[1] - 1.0).abs() < 1e-15);
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn factor<B: Backend<T> + ?Sized>(
        backend: &B,
        (mut g, g_values): (MatMut<'a, T>, &'a mut [T]),
        (mut a, a_values): (MatMut<'a, T>, &'a mut [T]),
        work: &mut [T],
    ) -> Result<Self, Error> {
        backend.eigh(g.rb_mut(), g_values, work)?;
        backend.eigh(a.rb_mut(), a_values, work)?;
        Ok(Self { g_vectors: g.into_ref(), g_values, a_vectors: a.into_ref(), a_values })
    }

    /// Shapes of the parts and of v.
    fn check(&self, m: usize, d: usize) -> Result<(), Error> {
        check_len("KronEigen: rows of v", self.g_values.len(), m)?;
        check_len("KronEigen: columns of v", self.a_values.len(), d)?;
        check_len("KronEigen: rows of g_vectors", m, self.g_vectors.rows())?;
        check_len("KronEigen: columns of g_vectors", m, self.g_vectors.cols())?;
        check_len("KronEigen: rows of a_vectors", d, self.a_vectors.rows())?;
        check_len("KronEigen: columns of a_vectors", d, self.a_vectors.cols())
    }

    /// `v ← (G ⊗ A + λI)⁻¹ v`: [`KronEigen::power`] with p = 1.
    ///
    /// # Errors
    /// As [`KronEigen::power`].
    pub fn solve<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        v: MatMut<'_, T>,
        lambda: T,
        work: &mut [T],
    ) -> Result<(), Error> {
        self.power(backend, v, T::ONE, lambda, work)
    }

    /// `vec V ← (G ⊗ A + λI)⁻ᵖ vec V`, 0 ≤ p ≤ 1 (fractional natural gradient; p = 1 is the damped
    /// inverse, p = 0 the identity).
    ///
    /// The factors are taken as positive semidefinite: eigenvalues that rounding made negative count
    /// as 0. Shape: v m×d with contiguous rows. `work`:
    /// [`kron_eigen_apply_workspace_len`]`(m, d)`, may hold NaN.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`], [`Error::NonFinite`] for v or an
    /// eigenvalue, [`Error::Parameter`] for p or λ outside their domain; with λ = 0 and p > 0
    /// [`Error::NotPositiveDefinite`] (block 0 is G, block 1 is A, and the eigenvalue) when a factor
    /// is singular to working precision.
    pub fn power<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        v: MatMut<'_, T>,
        p: T,
        lambda: T,
        work: &mut [T],
    ) -> Result<(), Error> {
        let (m, d) = (v.rows(), v.cols());
        self.check(m, d)?;
        if !(lambda >= T::ZERO && lambda.is_finite()) {
            return Err(Error::Parameter { what: "damping must be finite and >= 0" });
        }
        if !(p >= T::ZERO && p <= T::ONE) {
            return Err(Error::Parameter { what: "power must be between 0 and 1" });
        }
        let work = take_work(work, kron_eigen_apply_workspace_len(m, d))?;
        v.rb().check_finite("KronEigen: v")?;
        check_spectrum(self.g_values, 0, lambda, p)?;
        check_spectrum(self.a_values, 1, lambda, p)?;
        let (one, zero) = (T::ONE, T::ZERO);
        in_basis(backend, v, (self.g_vectors, self.a_vectors), work, |i, row| {
            let sg = self.g_values.get(i).copied().unwrap_or(zero).max(zero);
            for (x, sa) in row.iter_mut().zip(self.a_values) {
                let value = sg * sa.max(zero) + lambda;
                *x = if p == one {
                    *x / value
                } else if p == zero {
                    *x
                } else {
                    *x / value.powf(p)
                };
            }
        })
    }

    /// `ln det(G ⊗ A + λI) = Σ_ij ln(s_Gi s_Aj + λ)`, negative eigenvalues counted as 0.
    ///
    /// # Errors
    /// As [`KronEigen::power`] for λ and the spectra.
    pub fn log_determinant(&self, lambda: T) -> Result<T, Error> {
        if !(lambda >= T::ZERO && lambda.is_finite()) {
            return Err(Error::Parameter { what: "damping must be finite and >= 0" });
        }
        check_spectrum(self.g_values, 0, lambda, T::ONE)?;
        check_spectrum(self.a_values, 1, lambda, T::ONE)?;
        let mut sum = T::ZERO;
        for sg in self.g_values {
            for sa in self.a_values {
                sum += (sg.max(T::ZERO) * sa.max(T::ZERO) + lambda).ln();
            }
        }
        Ok(sum)
    }
}

/// Finite eigenvalues, and without damping no eigenvalue that is only rounding.
fn check_spectrum<T: Real>(values: &[T], block: usize, lambda: T, p: T) -> Result<(), Error> {
    let mut largest = T::ZERO;
    for (index, value) in values.iter().enumerate() {
        if !value.is_finite() {
            return Err(Error::NonFinite { what: "KronEigen: eigenvalues", index });
        }
        largest = largest.max(*value);
    }
    if lambda == T::ZERO && p > T::ZERO {
        let floor = pivot_tolerance::<T>(values.len()) * largest;
        if let Some(pivot) = values.iter().position(|value| *value <= floor) {
            return Err(Error::NotPositiveDefinite { block, pivot });
        }
    }
    Ok(())
}

/// The workspace of [`KronEigen::factor`] in elements.
#[inline]
pub const fn kron_eigen_factor_workspace_len(m: usize, d: usize) -> usize {
    eigh_workspace_len(if m > d { m } else { d })
}

/// `V ← K_G change(K_Gᵀ V K_A) K_Aᵀ` with square K_G and K_A: into a basis, a change of each row
/// there, and back. v needs contiguous rows; `work` m·d, may hold NaN.
pub(crate) fn in_basis<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    mut v: MatMut<'_, T>,
    (g, a): (MatRef<'_, T>, MatRef<'_, T>),
    work: &mut [T],
    mut change: impl FnMut(usize, &mut [T]),
) -> Result<(), Error> {
    let (m, d) = (v.rows(), v.cols());
    let (zero, one) = (T::ZERO, T::ONE);
    backend.gemm(MatMut::new(&mut *work, m, d)?, zero, one, g.t(), v.rb())?;
    backend.gemm(v.rb_mut(), zero, one, MatRef::new(&*work, m, d)?, a)?;
    for i in 0..m {
        change(i, v.row_mut(i));
    }
    backend.gemm(MatMut::new(&mut *work, m, d)?, zero, one, g, v.rb())?;
    backend.gemm(v, zero, one, MatRef::new(&*work, m, d)?, a.t())
}

/// The workspace of [`KronEigen::solve`] and [`KronEigen::power`] in elements: m·d.
#[inline]
pub const fn kron_eigen_apply_workspace_len(m: usize, d: usize) -> usize {
    m.saturating_mul(d)
}
