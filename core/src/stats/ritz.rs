//! Ritz pairs of a [`Lanczos`] recurrence, and its thick restart.

use super::lanczos::{Lanczos, NextVector, Step};
use super::tridiagonal::check_finite;
use crate::blas::vector::copy;
use crate::error::{check_len, take_work};
use crate::{Backend, Error, MatMut, MatRef, Real};

/// The columns of the basis that a restart replaces at once.
const COLUMNS: usize = 1 << 12;

impl<T: Real> Lanczos<'_, T> {
    /// The Ritz values θ (k, ascending), the residual bounds ‖A x_i − θ_i x_i‖ = β_{k−1}|s_{k−1,i}|
    /// (k), and S (k × k, contiguous rows) whose columns hold the Ritz vectors x_i = Σ_j s_ji v_j in
    /// the basis.
    ///
    /// Some eigenvalue of A lies within its bound of every Ritz value. `work`:
    /// [`eigh_workspace_len`](crate::factor::eigh_workspace_len)`(k)`.
    ///
    /// # Errors
    /// Shape, layout, workspace, [`Error::NoConvergence`].
    ///
    /// # References
    /// B. N. Parlett, *The Symmetric Eigenvalue Problem*, §13.2.
    #[inline(always)]
    pub fn ritz<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        values: &mut [T],
        bounds: &mut [T],
        mut s: MatMut<'_, T>,
        work: &mut [T],
    ) -> Result<(), Error> {
        let k = self.len;
        check_len("ritz: bounds", k, bounds.len())?;
        check_len("ritz: rows of s", k, s.rows())?;
        check_len("ritz: columns of s", k, s.cols())?;
        self.projected(&mut s);
        backend.eigh(s.rb_mut(), values, work)?;
        let residual = self.beta().last().copied().unwrap_or(T::ZERO);
        for (i, bound) in bounds.iter_mut().enumerate() {
            *bound = residual * s.at(k.wrapping_sub(1), i).abs();
        }
        Ok(())
    }

    /// Row `to` ← row `from` > `to` of the basis.
    #[inline(always)]
    fn move_row(&mut self, from: usize, to: usize) -> Result<(), Error> {
        let (n, stride) = (self.basis.cols(), self.basis.row_stride());
        let outside = Error::Layout { what: "lanczos: basis" };
        let (from, to) = (from.checked_mul(stride), to.checked_mul(stride));
        let (from, to) = (from.ok_or(outside)?, to.ok_or(outside)?);
        let halves = self.basis.data_mut().split_at_mut_checked(from);
        let (head, tail) = halves.ok_or(outside)?;
        let target = head.get_mut(to..).and_then(|r| r.get_mut(..n)).ok_or(outside)?;
        copy(target, tail);
        Ok(())
    }

    /// T = V A Vᵀ (k × k).
    #[inline(always)]
    fn projected(&self, t: &mut MatMut<'_, T>) {
        t.fill(T::ZERO);
        for (i, a) in self.alpha().iter().enumerate() {
            t.set(i, i, *a);
        }
        for (i, b) in self.beta().iter().enumerate() {
            let j = if i < self.kept { self.kept } else { i.wrapping_add(1) };
            t.set(i, j, *b);
            t.set(j, i, *b);
        }
    }

    /// The vectors Σ_j c_ji v_j, one a row. Shapes: out p × n with contiguous rows, coefficients k × p
    /// (columns of S).
    ///
    /// # Errors
    /// Shape or layout.
    #[inline(always)]
    pub fn combine<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        out: MatMut<'_, T>,
        coefficients: MatRef<'_, T>,
    ) -> Result<(), Error> {
        backend.gemm(out, T::ZERO, T::ONE, coefficients.t(), self.basis()?)
    }

    /// Replaces the basis by p of its Ritz vectors and the residual's direction, and goes on from
    /// there: the space loses the other Ritz vectors and nothing else.
    ///
    /// `values` (p) are the kept Ritz values and `coefficients` (k × p) their columns of S. Every
    /// Ritz vector has the same residual direction, so T becomes diag(values) coupled with the next
    /// vector. `work`: [`lanczos_restart_workspace_len`]`(p, n)`.
    ///
    /// [`Step::Continue`], or [`Step::Breakdown`] when the space was invariant.
    ///
    /// # Errors
    /// Shape, layout, workspace, [`Error::NonFinite`]; [`Error::Parameter`] when p = capacity leaves no room
    /// for a step.
    ///
    /// ```
    /// use relfisher_core::stats::{Lanczos, Step, lanczos_restart_workspace_len, lanczos_workspace_len};
    /// use relfisher_core::{MatMut, MatRef, Portable, factor};
    /// // the largest eigenvalue of diag(1, …, 20), with room for five vectors
    /// const N: usize = 20;
    /// const K: usize = 4;
    /// let (mut basis, mut alpha, mut beta) = ([f64::NAN; (K + 1) * N], [f64::NAN; K], [f64::NAN; K]);
    /// let mut work = [f64::NAN; lanczos_workspace_len(K, 0)];
    /// let (basis, locked) = (MatMut::new(&mut basis, K + 1, N)?, MatRef::new(&[], 0, N)?);
    /// let mut lanczos = Lanczos::new(basis, &mut alpha, &mut beta, locked, 0.0, &mut work)?;
    /// let (mut values, mut bounds, mut s) = ([f64::NAN; K], [f64::NAN; K], [f64::NAN; K * K]);
    /// let mut scratch = [f64::NAN; factor::eigh_workspace_len(K)];
    /// let mut step = lanczos.start(&Portable, &[1.0; N])?;
    /// let mut rounds = 0;
    /// loop {
    ///     while step == Step::Continue {
    ///         let mut product = [0.0; N];
    ///         for (i, v) in lanczos.next_vector().iter().enumerate() {
    ///             product[i] = (i + 1) as f64 * v;
    ///         }
    ///         step = lanczos.advance(&Portable, &product)?;
    ///     }
    ///     let columns = MatMut::new(&mut s, K, K)?;
    ///     lanczos.ritz(&Portable, &mut values, &mut bounds, columns, &mut scratch)?;
    ///     rounds += 1;
    ///     if bounds[K - 1] < 1e-9 {
    ///         break;
    ///     }
    ///     // keep the upper two
    ///     let columns = MatRef::new(&s, K, K)?.sub(0, K - 2, K, 2)?;
    ///     let mut work = [f64::NAN; lanczos_restart_workspace_len(2, N)];
    ///     step = lanczos.restart(&Portable, &values[K - 2..], columns, &mut work)?;
    /// }
    /// assert!((values[K - 1] - 20.0).abs() < 1e-12 && 1 < rounds && rounds < 50);
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    #[inline(always)]
    pub fn restart<B: Backend<T> + ?Sized>(
        &mut self,
        backend: &B,
        values: &[T],
        coefficients: MatRef<'_, T>,
        work: &mut [T],
    ) -> Result<Step, Error> {
        let (k, p, n) = (self.len, values.len(), self.basis.cols());
        check_len("restart: rows of coefficients", k, coefficients.rows())?;
        check_len("restart: columns of coefficients", p, coefficients.cols())?;
        check_finite("restart: values", values)?;
        coefficients.check_finite("restart: coefficients")?;
        if p >= self.alpha.len() || p > k {
            return Err(Error::Parameter {
                what: "restart: keep fewer vectors than there are steps",
            });
        }
        let scratch = take_work(work, lanczos_restart_workspace_len(p, n))?;
        let mut at = 0;
        while at < n && p > 0 {
            let width = COLUMNS.min(n.saturating_sub(at));
            let block = self.basis.rb().sub(0, at, k, width)?;
            let mut out = MatMut::new(&mut *scratch, p, width)?;
            backend.gemm(out.rb_mut(), T::ZERO, T::ONE, coefficients.t(), block)?;
            for i in 0..p {
                let row = self.basis.row_mut(i).get_mut(at..).unwrap_or(&mut []);
                copy(row, out.row(i));
            }
            at = at.saturating_add(width);
        }
        let residual = self.beta().last().copied().unwrap_or(T::ZERO);
        for i in 0..p {
            let coupling = residual * coefficients.at(k.wrapping_sub(1), i);
            if let (Some(a), Some(b), Some(v)) =
                (self.alpha.get_mut(i), self.beta.get_mut(i), values.get(i))
            {
                (*a, *b) = (*v, coupling);
            }
        }
        if self.next == NextVector::Ready && p < k {
            self.move_row(k, p)?;
        }
        (self.len, self.kept) = (p, p);
        Ok(match self.next {
            NextVector::Ready => Step::Continue,
            NextVector::Vacant => Step::Breakdown,
        })
    }
}

/// The workspace of [`Lanczos::restart`]: p vectors of a block of columns.
#[inline]
pub const fn lanczos_restart_workspace_len(kept: usize, n: usize) -> usize {
    kept.saturating_mul(if n < COLUMNS { n } else { COLUMNS })
}
