//! What depends on the spectrum of the posterior precision alone.

use crate::error::check_len;
use crate::{Error, Real};

/// N must be finite and not negative, τ finite and positive.
fn check(samples: f64, precision: f64) -> Result<(), Error> {
    if !(samples >= 0.0 && samples.is_finite()) {
        return Err(Error::Parameter { what: "the number of samples must be finite and >= 0" });
    }
    if !(precision > 0.0 && precision.is_finite()) {
        return Err(Error::Parameter { what: "the prior precision must be finite and > 0" });
    }
    Ok(())
}

/// N·max(s, 0) + τ in double precision, refused where s or the sum is not finite.
fn at<T: Real>(index: usize, s: T, samples: f64, precision: f64) -> Result<f64, Error> {
    let value = samples * Real::max(s.to_f64(), 0.0) + precision;
    if s.is_finite() && value.is_finite() {
        Ok(value)
    } else {
        Err(Error::NonFinite { what: "laplace: eigenvalues", index })
    }
}

/// `ln det P = Σ_k ln(N s_k + τ)`, summed in double precision; eigenvalues that rounding made negative
/// count as 0.
///
/// # Errors
/// [`Error::Parameter`] unless N ≥ 0 and τ > 0 are finite, [`Error::NonFinite`].
///
/// ```
/// use relfisher_core::laplace::log_determinant;
/// let value = log_determinant(&[0.5, 0.0], 4.0, 2.0)?; // 4·2
/// assert!((value - 8.0_f64.ln()).abs() < 1e-15);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn log_determinant<T: Real>(values: &[T], samples: f64, precision: f64) -> Result<f64, Error> {
    check(samples, precision)?;
    let mut sum = 0.0;
    for (index, s) in values.iter().enumerate() {
        sum += Real::ln(at(index, *s, samples, precision)?);
    }
    Ok(sum)
}

/// `γ = Σ_k N s_k/(N s_k + τ)`: the parameters that the data determine (MacKay 1992).
///
/// # Errors
/// As [`log_determinant`].
///
/// ```
/// use relfisher_core::laplace::effective_parameters;
/// assert_eq!(effective_parameters(&[0.5, 0.0], 4.0, 2.0)?, 0.5);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn effective_parameters<T: Real>(
    values: &[T],
    samples: f64,
    precision: f64,
) -> Result<f64, Error> {
    check(samples, precision)?;
    let mut sum = 0.0;
    for (index, s) in values.iter().enumerate() {
        let whole = at(index, *s, samples, precision)?;
        sum += samples * Real::max(s.to_f64(), 0.0) / whole;
    }
    Ok(sum)
}

/// `out_k ← 1/(N s_k + τ)`: the variances of the posterior in the eigenbasis. Both k elements.
///
/// # Errors
/// As [`log_determinant`], and [`Error::Shape`].
///
/// ```
/// use relfisher_core::laplace::posterior_variances;
/// let mut variances = [f64::NAN; 2];
/// posterior_variances(&mut variances, &[0.5, 0.0], 4.0, 2.0)?;
/// assert_eq!(variances, [0.25, 0.5]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn posterior_variances<T: Real>(
    out: &mut [T],
    values: &[T],
    samples: f64,
    precision: f64,
) -> Result<(), Error> {
    check(samples, precision)?;
    check_len("laplace: variances", values.len(), out.len())?;
    for (index, (o, s)) in out.iter_mut().zip(values).enumerate() {
        *o = T::from_f64(1.0 / at(index, *s, samples, precision)?);
    }
    Ok(())
}

/// `ε_k ← ε_k/√(N s_k + τ)`: standard normal numbers become a draw from the posterior in the
/// eigenbasis, to be turned by U and added to θ*. Both k elements.
///
/// # Errors
/// As [`log_determinant`], and [`Error::Shape`].
///
/// ```
/// use relfisher_core::laplace::scale_draw;
/// let mut draw = [1.0, -1.0];
/// scale_draw(&mut draw, &[0.5, 0.0], 6.0, 1.0)?;
/// assert_eq!(draw, [0.5, -1.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn scale_draw<T: Real>(
    draw: &mut [T],
    values: &[T],
    samples: f64,
    precision: f64,
) -> Result<(), Error> {
    check(samples, precision)?;
    check_len("laplace: draw", values.len(), draw.len())?;
    for (index, (x, s)) in draw.iter_mut().zip(values).enumerate() {
        let whole = at(index, *s, samples, precision)?;
        *x = T::from_f64(x.to_f64() / Real::sqrt(whole));
    }
    Ok(())
}

/// What the log-marginal likelihood is made of besides the prior precision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// ln p(data | θ*) = −N ℓ̄, constants of a Gaussian likelihood included.
    pub log_likelihood: f64,
    /// ‖θ*‖².
    pub squared_norm: f64,
    /// D, all parameters.
    pub parameters: usize,
}

impl Evidence {
    /// `ln p(data | τ) ≈ ln p(data | θ*) − ½τ‖θ*‖² + ½D ln τ − ½ ln det P`, with `log_determinant` =
    /// ln det P at this τ.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless τ > 0 is finite.
    ///
    /// ```
    /// use relfisher_core::laplace::{Evidence, log_determinant};
    /// // one datum 3 of a Gaussian of variance 1 with mean θ, prior precision τ = 1: θ* = 3/2
    /// let log_likelihood = -0.5 * (1.5_f64.powi(2) + (2.0 * core::f64::consts::PI).ln());
    /// let evidence = Evidence { log_likelihood, squared_norm: 2.25, parameters: 1 };
    /// let value = evidence.log_marginal(1.0, log_determinant(&[1.0], 1.0, 1.0)?)?;
    /// // exactly a Gaussian of variance 2 at 3
    /// let exact = -0.5 * (9.0 / 2.0 + (4.0 * core::f64::consts::PI).ln());
    /// assert!((value - exact).abs() < 1e-14);
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn log_marginal(&self, precision: f64, log_determinant: f64) -> Result<f64, Error> {
        check(0.0, precision)?;
        let prior = self.parameters as f64 * Real::ln(precision) - precision * self.squared_norm;
        Ok(self.log_likelihood + 0.5 * (prior - log_determinant))
    }
}
