//! The loss at the network's output: its Hessian Λ_s in the logits of each sample, and a square root.

use crate::error::check_len;
use crate::kron::{packed_index, packed_len};
use crate::metric::layer::ResponseMetric;
use crate::metric::support::{check_matrix, check_rows};
use crate::{Error, MatMut, MatRef, Real};

/// A loss of m outputs (logits) f, per sample.
///
/// Where a method takes `probabilities` (n × m, contiguous rows) they are softmax f, or sigm f for
/// [`OutputLoss::BinaryCrossEntropy`]; [`OutputLoss::Mse`] ignores them. The methods compute with the
/// probabilities as given: 1 − p is formed for a Bernoulli output, so that a p that was rounded
/// near 1 has lost the digits of its complement, while soft-max takes 1 − p_c as the sum of the other
/// probabilities and loses none.
///
/// ```
/// use relfisher_core::curvature::OutputLoss;
/// use relfisher_core::{MatMut, MatRef};
/// let p = [0.25, 0.75];
/// let p = MatRef::new(&p, 1, 2)?;
/// let mut packed = [f64::NAN; 3];
/// let loss = OutputLoss::SoftmaxCrossEntropy;
/// loss.hessian_packed(MatMut::new(&mut packed, 1, 3)?, p)?;
/// assert_eq!(packed, [0.1875, -0.1875, 0.1875]); // diag p − ppᵀ
/// let mut sum = 0.0;
/// for c in 0..loss.root_columns(2) {
///     let mut column = [f64::NAN; 2];
///     loss.hessian_root(MatMut::new(&mut column, 1, 2)?, p, c)?;
///     sum += column[0] * column[1];
/// }
/// assert!((sum + 0.1875).abs() < 1e-15);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OutputLoss<T> {
    /// −ln softmax(f)_y: Λ = diag(p) − ppᵀ.
    SoftmaxCrossEntropy,
    /// scale·Σ (f_j − y_j)²: Λ = 2·scale·I.
    Mse {
        /// The factor of the squares, finite and ≥ 0; ½ for a Gaussian of σ = 1.
        scale: T,
    },
    /// Independent Bernoulli outputs given as logits: Λ = diag(p(1 − p)).
    BinaryCrossEntropy,
}

impl<T: Real> OutputLoss<T> {
    /// The columns of the root of Λ: m.
    #[inline]
    pub const fn root_columns(&self, outputs: usize) -> usize {
        outputs
    }

    /// Parameters, and finite probabilities ≥ 0 (and ≤ 1 for Bernoulli outputs) for an n × m output.
    pub(super) fn check(
        &self,
        probabilities: MatRef<'_, T>,
        n: usize,
        m: usize,
    ) -> Result<(), Error> {
        let metric = match self {
            Self::Mse { scale } if scale.is_finite() && *scale >= T::ZERO => return Ok(()),
            Self::Mse { .. } => {
                return Err(Error::Parameter { what: "mse: scale must be finite and >= 0" });
            }
            Self::SoftmaxCrossEntropy => ResponseMetric::Softmax(probabilities),
            Self::BinaryCrossEntropy => ResponseMetric::Independent(probabilities),
        };
        let names = ("output loss: rows of probabilities", "output loss: columns of probabilities");
        check_matrix(names, probabilities, n, m)?;
        metric.check_values()?;
        let above = |s: usize| !probabilities.row(s).iter().all(|p| *p <= T::ONE);
        if *self == Self::BinaryCrossEntropy && (0..n).any(above) {
            return Err(Error::Parameter { what: "probabilities must be at most 1" });
        }
        Ok(())
    }

    /// Column `column` of a square root of every sample's Hessian, `Σ_c out_c out_cᵀ = Λ_s`:
    /// `√p_c (e_c − p)`, `√(2·scale) e_c`, `√(p_c(1 − p_c)) e_c`. Shapes: out n × m with contiguous
    /// rows, probabilities n × m, column < m.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Layout`], [`Error::NonFinite`]; [`Error::Parameter`] for a
    /// probability or scale outside its domain, or the column.
    pub fn hessian_root(
        &self,
        mut out: MatMut<'_, T>,
        probabilities: MatRef<'_, T>,
        column: usize,
    ) -> Result<(), Error> {
        let (n, m) = (out.rows(), out.cols());
        check_rows("hessian_root: out", out.rb())?;
        if column >= m {
            return Err(Error::Parameter { what: "hessian_root: column outside the outputs" });
        }
        self.check(probabilities, n, m)?;
        for s in 0..n {
            let row = out.row_mut(s);
            if let Self::SoftmaxCrossEntropy = self {
                let p = probabilities.row(s);
                let root = probabilities.at(s, column).sqrt();
                let mut others = T::ZERO;
                for (i, (o, p)) in row.iter_mut().zip(p).enumerate() {
                    *o = -(root * *p);
                    if i != column {
                        others += *p;
                    }
                }
                if let Some(o) = row.get_mut(column) {
                    *o = root * others;
                }
                continue;
            }
            row.fill(T::ZERO);
            if let Some(o) = row.get_mut(column) {
                *o = self.diagonal(probabilities, s, column).sqrt();
            }
        }
        Ok(())
    }

    /// Λ_s(i, i) of the losses whose Λ is diagonal.
    #[inline(always)]
    fn diagonal(&self, probabilities: MatRef<'_, T>, s: usize, i: usize) -> T {
        match self {
            Self::Mse { scale } => T::TWO * *scale,
            _ => probabilities.at(s, i) * (T::ONE - probabilities.at(s, i)),
        }
    }

    /// `out_s ← Λ_s v_s` for every row. Shapes: out, v, probabilities n × m with contiguous rows.
    ///
    /// # Errors
    /// As [`OutputLoss::hessian_root`].
    /// ```
    /// use relfisher_core::curvature::OutputLoss;
    /// use relfisher_core::{MatMut, MatRef};
    /// let (p, v, mut out) = ([0.25, 0.75], [1.0, 0.0], [f64::NAN; 2]);
    /// let (p, v) = (MatRef::new(&p, 1, 2)?, MatRef::new(&v, 1, 2)?);
    /// OutputLoss::SoftmaxCrossEntropy.hessian_apply(MatMut::new(&mut out, 1, 2)?, p, v)?;
    /// assert_eq!(out, [0.1875, -0.1875]); // (diag p − ppᵀ) v
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn hessian_apply(
        &self,
        mut out: MatMut<'_, T>,
        probabilities: MatRef<'_, T>,
        v: MatRef<'_, T>,
    ) -> Result<(), Error> {
        let (n, m) = (out.rows(), out.cols());
        check_rows("hessian_apply: out", out.rb())?;
        check_matrix(("hessian_apply: rows of v", "hessian_apply: columns of v"), v, n, m)?;
        self.check(probabilities, n, m)?;
        for s in 0..n {
            for (i, (o, v)) in out.row_mut(s).iter_mut().zip(v.row(s)).enumerate() {
                *o = match self {
                    Self::SoftmaxCrossEntropy => *v,
                    _ => self.diagonal(probabilities, s, i) * *v,
                };
            }
        }
        if let Self::SoftmaxCrossEntropy = self {
            ResponseMetric::Softmax(probabilities).apply(&mut out);
        }
        Ok(())
    }

    /// `out_s ← ` the packed triangle of Λ_s. Shapes: out n × m(m+1)/2 with contiguous rows,
    /// probabilities n × m; for [`OutputLoss::Mse`] m is taken from `out`.
    ///
    /// # Errors
    /// As [`OutputLoss::hessian_root`].
    pub fn hessian_packed(
        &self,
        mut out: MatMut<'_, T>,
        probabilities: MatRef<'_, T>,
    ) -> Result<(), Error> {
        let n = out.rows();
        let m = match self {
            Self::Mse { .. } => order(out.cols()),
            _ => probabilities.cols(),
        };
        check_rows("hessian_packed: out", out.rb())?;
        check_len("hessian_packed: columns of out", packed_len(m), out.cols())?;
        self.check(probabilities, n, m)?;
        for s in 0..n {
            let row = out.row_mut(s);
            row.fill(T::ZERO);
            for i in 0..m {
                let Some(place) = row.get_mut(packed_index(i, 0)..) else { continue };
                if let Self::SoftmaxCrossEntropy = self {
                    let softmax = ResponseMetric::Softmax(probabilities);
                    for (j, o) in place.iter_mut().take(i.wrapping_add(1)).enumerate() {
                        *o = softmax.entry(s, i, j);
                    }
                } else if let Some(o) = place.get_mut(i) {
                    *o = self.diagonal(probabilities, s, i);
                }
            }
        }
        Ok(())
    }
}

/// The largest m with m(m+1)/2 ≤ len, by Newton's method on integers.
pub(super) fn order(len: usize) -> usize {
    let mut m = len;
    while packed_len(m) > len {
        // m² + m > 2 len: the next iterate of √ from above, at least one below m
        let next = m.saturating_add(len.saturating_mul(2).checked_div(m).unwrap_or(0)) / 2;
        m = next.min(m.saturating_sub(1));
    }
    m
}
