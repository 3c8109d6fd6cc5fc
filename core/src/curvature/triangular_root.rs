//! A square root of the loss Hessian with as few columns as its rank.

use super::OutputLoss;
use crate::metric::support::check_rows;
use crate::{Error, MatMut, MatRef, Real};

impl<T: Real> OutputLoss<T> {
    /// The columns of [`OutputLoss::triangular_root`]: m − 1 for soft-max (and 1 for a single
    /// output), whose Λ maps (1, …, 1) to 0; m otherwise.
    #[inline]
    pub const fn triangular_columns(&self, outputs: usize) -> usize {
        match self {
            Self::SoftmaxCrossEntropy if outputs > 1 => outputs.saturating_sub(1),
            _ => outputs,
        }
    }

    /// Column `column` of the lower triangular root of every sample's Hessian, its Cholesky factor:
    /// `Σ_c out_c out_cᵀ = Λ_s` over [`OutputLoss::triangular_columns`], one fewer than
    /// [`OutputLoss::hessian_root`] needs for soft-max. With q_c = Σ_{k>c} p_k
    /// `L_cc = √(p_c q_c/(p_c + q_c))` and `L_jc = −(p_j/q_c) L_cc` for j > c (K. Tanabe, M. Sagae,
    /// *An exact Cholesky decomposition of the covariance matrix of the multinomial distribution*,
    /// J. R. Stat. Soc. B 54, 1992, for Σp = 1); the roots of the other losses are diagonal.
    ///
    /// No difference is formed, so every element is good to a few ulp however small. Shapes: out
    /// n × m with contiguous rows, probabilities n × m, column < m.
    ///
    /// # Errors
    /// As [`OutputLoss::hessian_root`].
    ///
    /// ```
    /// use relfisher_core::curvature::OutputLoss;
    /// use relfisher_core::{MatMut, MatRef};
    /// let p = MatRef::new(&[0.5, 0.25, 0.25], 1, 3)?;
    /// let mut column = [f64::NAN; 3];
    /// let loss = OutputLoss::SoftmaxCrossEntropy;
    /// loss.triangular_root(MatMut::new(&mut column, 1, 3)?, p, 0)?;
    /// assert_eq!(column, [0.5, -0.25, -0.25]);
    /// assert_eq!(loss.triangular_columns(3), 2);
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn triangular_root(
        &self,
        mut out: MatMut<'_, T>,
        probabilities: MatRef<'_, T>,
        column: usize,
    ) -> Result<(), Error> {
        if *self != Self::SoftmaxCrossEntropy {
            return self.hessian_root(out, probabilities, column);
        }
        let (n, m) = (out.rows(), out.cols());
        check_rows("triangular_root: out", out.rb())?;
        if column >= m {
            return Err(Error::Parameter { what: "triangular_root: column outside the outputs" });
        }
        self.check(probabilities, n, m)?;
        for s in 0..n {
            let (row, p) = (out.row_mut(s), probabilities.row(s));
            let (before, from) = row.split_at_mut_checked(column).unwrap_or((&mut [], &mut []));
            let [own, below @ ..] = from else { continue };
            let Some([p, others @ ..]) = p.get(column..) else { continue };
            let q = others.iter().fold(T::ZERO, |sum, p| sum + *p);
            before.fill(T::ZERO);
            if q > T::ZERO {
                *own = (*p * (q / (*p + q))).sqrt();
                for (o, p) in below.iter_mut().zip(others) {
                    *o = -(*p / q * *own);
                }
            } else {
                *own = T::ZERO;
                below.fill(T::ZERO);
            }
        }
        Ok(())
    }
}
