//! The response metric R_s of the outputs of a layer, for each sample.

use super::super::support::{check_rows, check_weights, dot};
use crate::error::check_len;
use crate::{Error, MatMut, MatRef, Real};

/// How the metric of the response looks at the m pre-activations of each sample.
/// ```
/// use relfisher_core::{MatMut, MatRef, metric::layer::ResponseMetric};
/// let eta = [0.25, 0.75];
/// let metric = ResponseMetric::Softmax(MatRef::new(&eta, 1, 2)?);
/// metric.check_shape(1)?;
/// metric.check_values()?;
/// assert_eq!((metric.outputs(), metric.entry(0, 0, 1)), (2, -0.1875));
/// let mut p = [1.0, 0.0];
/// assert_eq!(metric.energy(MatRef::new(&p, 1, 2)?), 0.1875); // Σ pᵀRp
/// metric.apply(&mut MatMut::new(&mut p, 1, 2)?); // p ← Rp
/// assert_eq!(p, [0.1875, -0.1875]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum ResponseMetric<'a, T> {
    /// `R_s = weight · I_m`: linear neurons, weight = σ⁻².
    Constant {
        /// σ⁻² ≥ 0.
        weight: T,
        /// m.
        outputs: usize,
    },
    /// `R_s = diag(ν_s)`: independent neurons; ν n × m.
    Independent(MatRef<'a, T>),
    /// `R_s = diag(η_s) − η_s η_sᵀ`: soft-max; η n × m, every row a probability distribution.
    Softmax(MatRef<'a, T>),
}

impl<T: Real> ResponseMetric<'_, T> {
    /// m.
    #[inline]
    pub fn outputs(&self) -> usize {
        match self {
            Self::Constant { outputs, .. } => *outputs,
            Self::Independent(w) | Self::Softmax(w) => w.cols(),
        }
    }

    /// Rows must be contiguous and as many as there are samples.
    ///
    /// # Errors
    /// Shape, layout.
    pub fn check_shape(&self, n: usize) -> Result<(), Error> {
        match self {
            Self::Constant { .. } => Ok(()),
            Self::Independent(w) => {
                check_len("rows of nu", n, w.rows())?;
                check_rows("nu", *w)
            }
            Self::Softmax(w) => {
                check_len("rows of eta", n, w.rows())?;
                check_rows("eta", *w)
            }
        }
    }

    /// Weights must be finite and ≥ 0.
    ///
    /// # Errors
    /// [`Error::NonFinite`], [`Error::Parameter`].
    pub fn check_values(&self) -> Result<(), Error> {
        match self {
            Self::Constant { weight, .. } if weight.is_finite() && *weight >= T::ZERO => Ok(()),
            Self::Constant { .. } => {
                Err(Error::Parameter { what: "sigma^-2 must be finite and >= 0" })
            }
            Self::Independent(w) => check_weights("nu", "nu must be >= 0", *w),
            Self::Softmax(w) => check_weights("eta", "eta must be >= 0", *w),
        }
    }

    /// R_s(i, j). The diagonal of soft-max is `η_i Σ_{k ≠ i} η_k`, which keeps its digits as η_i → 1.
    #[inline(always)]
    pub fn entry(&self, s: usize, i: usize, j: usize) -> T {
        match self {
            Self::Constant { weight, .. } => {
                if i == j {
                    *weight
                } else {
                    T::ZERO
                }
            }
            Self::Independent(w) => {
                if i == j {
                    w.at(s, i)
                } else {
                    T::ZERO
                }
            }
            Self::Softmax(w) if i == j => {
                let mut others = T::ZERO;
                for (k, p) in w.row(s).iter().enumerate() {
                    if k != i {
                        others += *p;
                    }
                }
                w.at(s, i) * others
            }
            Self::Softmax(w) => -(w.at(s, i) * w.at(s, j)),
        }
    }

    /// `p_s ← R_s p_s` for every row of p, n × m.
    #[inline(always)]
    pub fn apply(&self, p: &mut MatMut<'_, T>) {
        for s in 0..p.rows() {
            let row = p.row_mut(s);
            match self {
                Self::Constant { weight, .. } => {
                    for p in row {
                        *p = *weight * *p;
                    }
                }
                Self::Independent(w) => {
                    for (p, w) in row.iter_mut().zip(w.row(s)) {
                        *p = *w * *p;
                    }
                }
                Self::Softmax(w) => {
                    // R (1 … 1)ᵀ = 0: measured from the element of the largest η, the mean is a sum of
                    // small terms and keeps its digits as that η → 1.
                    let eta = w.row(s);
                    let (mut largest, mut origin) = (T::ZERO, T::ZERO);
                    for (p, w) in row.iter().zip(eta) {
                        if *w > largest {
                            (largest, origin) = (*w, *p);
                        }
                    }
                    for p in row.iter_mut() {
                        *p -= origin;
                    }
                    let mean = dot(eta, row);
                    for (p, w) in row.iter_mut().zip(eta) {
                        *p = *w * (*p - mean);
                    }
                }
            }
        }
    }

    /// `Σ_s p_sᵀ R_s p_s`, as a sum of squares (soft-max: the variance of p_s under η_s).
    pub fn energy(&self, p: MatRef<'_, T>) -> T {
        let mut total = T::ZERO;
        for s in 0..p.rows() {
            let row = p.row(s);
            let mut sum = T::ZERO;
            match self {
                Self::Constant { weight, .. } => sum = *weight * dot(row, row),
                Self::Independent(w) => {
                    for (p, w) in row.iter().zip(w.row(s)) {
                        sum += *w * (*p * *p);
                    }
                }
                Self::Softmax(w) => {
                    let eta = w.row(s);
                    let mean = dot(eta, row);
                    for (p, w) in row.iter().zip(eta) {
                        let centred = *p - mean;
                        sum += *w * (centred * centred);
                    }
                }
            }
            total += sum;
        }
        total
    }
}
