//! Functions of a matrix of low rank plus a multiple of the identity.

use crate::error::{check_len, take_work};
use crate::metric::support::{check_finite, check_rows};
use crate::{Backend, Error, MatMut, MatRef, Real};

/// C = Σ_i s_i v_i v_iᵀ with orthonormal v_i, the top of a spectrum: eigenpairs of a Gauss–Newton
/// matrix, or of its Gram matrix in sample space carried back to the parameters (v = Jᵀq/√θ). What
/// C + λI does outside of the span of the v_i is λ alone.
#[derive(Clone, Copy, Debug)]
pub struct LowRank<'a, T> {
    /// v_1, …, v_k as rows: k×D, contiguous rows.
    pub vectors: MatRef<'a, T>,
    /// s_1, …, s_k; negative ones (rounding) count as 0.
    pub values: &'a [T],
}

impl<T: Real> LowRank<'_, T> {
    fn check(&self, lambda: T) -> Result<(), Error> {
        check_len("LowRank: values", self.vectors.rows(), self.values.len())?;
        check_rows("LowRank: vectors", self.vectors)?;
        if let Some(index) = self.values.iter().position(|s| !s.is_finite()) {
            return Err(Error::NonFinite { what: "LowRank: values", index });
        }
        if !(lambda > T::ZERO && lambda.is_finite()) {
            return Err(Error::Parameter { what: "damping must be finite and > 0" });
        }
        Ok(())
    }

    /// `x ← (C + λI)⁻ᵖ x` for every row x of `x`, 0 ≤ p ≤ 1:
    /// λ⁻ᵖx + Σ_i ((s_i + λ)⁻ᵖ − λ⁻ᵖ)(v_iᵀx) v_i. With p = 1 the damped step, with p = ½ the root whose
    /// outer product is the covariance of a posterior. 4rkD FLOPs.
    ///
    /// Shape: x r×D, contiguous rows. `work`: [`low_rank_power_workspace_len`]`(r, k)`, may hold NaN.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`], [`Error::NonFinite`] for x or a
    /// value, [`Error::Parameter`] unless λ > 0 and 0 ≤ p ≤ 1.
    ///
    /// ```
    /// use relfisher_core::curvature::{LowRank, low_rank_power_workspace_len};
    /// use relfisher_core::{MatMut, MatRef, Portable};
    /// let c = LowRank { vectors: MatRef::new(&[0.6, 0.8], 1, 2)?, values: &[3.0] };
    /// let (mut x, mut work) = ([0.6_f64, 0.8], [f64::NAN; low_rank_power_workspace_len(1, 1)]);
    /// c.power(&Portable, MatMut::new(&mut x, 1, 2)?, 1.0, 1.0, &mut work)?;
    /// assert!((x[0] - 0.15).abs() < 1e-15 && (x[1] - 0.2).abs() < 1e-15); // ¼ along v
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn power<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        mut x: MatMut<'_, T>,
        p: T,
        lambda: T,
        work: &mut [T],
    ) -> Result<(), Error> {
        self.check(lambda)?;
        if !(p >= T::ZERO && p <= T::ONE) {
            return Err(Error::Parameter { what: "power must be between 0 and 1" });
        }
        let (r, k) = (x.rows(), self.values.len());
        check_len("LowRank: columns of x", self.vectors.cols(), x.cols())?;
        check_rows("LowRank: x", x.rb())?;
        let work = take_work(work, low_rank_power_workspace_len(r, k))?;
        check_finite("LowRank: x", x.rb())?;
        let outside = power(lambda, p);
        let mut along = MatMut::new(work, r, k)?;
        backend.gemm(along.rb_mut(), T::ZERO, T::ONE, x.rb(), self.vectors.t())?;
        for i in 0..r {
            for (c, s) in along.row_mut(i).iter_mut().zip(self.values) {
                *c *= power(s.max(T::ZERO) + lambda, p) - outside;
            }
        }
        backend.gemm(x.rb_mut(), outside, T::ONE, along.rb(), self.vectors)
    }

    /// `ln det(C + λI) = (D − k) ln λ + Σ ln(s_i + λ)`.
    ///
    /// # Errors
    /// As [`LowRank::power`] for λ, the values and their number; [`Error::Shape`] for more vectors
    /// than dimensions.
    ///
    /// ```
    /// use relfisher_core::{MatRef, curvature::LowRank};
    /// let c = LowRank { vectors: MatRef::new(&[0.6, 0.8], 1, 2)?, values: &[3.0] };
    /// assert!((c.log_determinant(1.0)? - 4.0_f64.ln()).abs() < 1e-15);
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn log_determinant(&self, lambda: T) -> Result<T, Error> {
        self.check(lambda)?;
        let (k, d) = (self.values.len(), self.vectors.cols());
        if k > d {
            check_len("LowRank: vectors", d, k)?;
        }
        let mut sum = T::from_usize(d.saturating_sub(k)) * lambda.ln();
        for s in self.values {
            sum += (s.max(T::ZERO) + lambda).ln();
        }
        Ok(sum)
    }
}

/// x⁻ᵖ for x > 0.
fn power<T: Real>(x: T, p: T) -> T {
    if p == T::ONE {
        T::ONE / x
    } else if p == T::HALF {
        T::ONE / x.sqrt()
    } else {
        T::ONE / x.powf(p)
    }
}

/// The workspace of [`LowRank::power`] in elements: r·k.
#[inline]
pub const fn low_rank_power_workspace_len(r: usize, k: usize) -> usize {
    r.saturating_mul(k)
}
