//! The public face of [`Response`]: a choice of response model, made outside the loop.

use super::elu::Elu;
use super::gaussian::Gaussian;
use super::linear::Linear;
use super::relu::{ActiveRelu, SmoothRelu};
use super::sigm::Sigm;
use super::tanh::Tanh;
use super::{Activation, Model, Response, check_alpha, check_leak, check_sigma, map};
use crate::{Error, Real};

/// Evaluates `$body` with `$r` bound to the Gaussian response of a function.
macro_rules! with_gaussian {
    ($function:expr, $sigma:expr, $r:ident => $body:expr) => {{
        let $r = Gaussian::new($function, $sigma);
        $body
    }};
}

/// Evaluates `$body` with `$r` bound to the prepared model of a response.
macro_rules! with_model {
    ($response:expr, $r:ident => $body:expr) => {
        match $response {
            Response::Tanh => {
                let $r = Tanh;
                $body
            }
            Response::Sigm => {
                let $r = Sigm;
                $body
            }
            Response::Relu { leak, smoothing, sigma } => {
                if smoothing > T::ZERO {
                    with_gaussian!(SmoothRelu::new(leak, smoothing), sigma, $r => $body)
                } else {
                    with_gaussian!(ActiveRelu { leak }, sigma, $r => $body)
                }
            }
            Response::Elu { alpha, sigma }
            | Response::Gaussian { activation: Activation::Elu { alpha }, sigma } => {
                with_gaussian!(Elu { alpha }, sigma, $r => $body)
            }
            Response::Linear { sigma }
            | Response::Gaussian { activation: Activation::Linear, sigma } => {
                with_gaussian!(Linear, sigma, $r => $body)
            }
            Response::Gaussian { activation: Activation::Relu { leak }, sigma } => {
                with_gaussian!(ActiveRelu { leak }, sigma, $r => $body)
            }
            Response::Gaussian { activation: Activation::Tanh, sigma } => {
                with_gaussian!(Tanh, sigma, $r => $body)
            }
            Response::Gaussian { activation: Activation::Sigm, sigma } => {
                with_gaussian!(Sigm, sigma, $r => $body)
            }
        }
    };
}

impl<T: Real> Response<T> {
    /// The response model that S4 gives the neurons of an activation; `smoothing` is the ω of a
    /// relu, `sigma` the σ of the Gaussian models. The Bernoulli models of tanh and sigm use neither.
    #[inline]
    pub fn of_activation(activation: Activation<T>, smoothing: T, sigma: T) -> Self {
        match activation {
            Activation::Linear => Response::Linear { sigma },
            Activation::Tanh => Response::Tanh,
            Activation::Sigm => Response::Sigm,
            Activation::Relu { leak } => Response::Relu { leak, smoothing, sigma },
            Activation::Elu { alpha } => Response::Elu { alpha, sigma },
        }
    }

    /// Whether the parameters lie in their domains, so that ν is finite for every finite t.
    ///
    /// # Errors
    /// [`Error::Parameter`]: leak outside [0, 1); smoothing or alpha negative or not finite; sigma
    /// not positive, or σ⁻² or (α/σ)² not finite.
    #[inline]
    pub fn check(&self) -> Result<(), Error> {
        match *self {
            Response::Tanh | Response::Sigm => Ok(()),
            Response::Relu { leak, smoothing, sigma } => {
                check_leak(leak)?;
                if !(smoothing >= T::ZERO && smoothing.is_finite()) {
                    let what = "smoothing of relu must be finite and >= 0";
                    return Err(Error::Parameter { what });
                }
                check_sigma(sigma)
            }
            Response::Elu { alpha, sigma }
            | Response::Gaussian { activation: Activation::Elu { alpha }, sigma } => {
                check_alpha(alpha)?;
                check_sigma(sigma)?;
                let ratio = alpha * (T::ONE / sigma);
                if (ratio * ratio).is_finite() {
                    Ok(())
                } else {
                    Err(Error::Parameter { what: "(alpha/sigma)^2 of elu must be finite" })
                }
            }
            Response::Linear { sigma } => check_sigma(sigma),
            Response::Gaussian { activation, sigma } => {
                activation.check()?;
                check_sigma(sigma)
            }
        }
    }

    /// ν(t) = E[(∂ ln p(y | t)/∂t)²] ≥ 0, finite for every finite t when [`Response::check`] passes.
    /// Parameters are not checked. The limit ω → 0 of a relu counts t = 0 as active: ν(0) = σ⁻².
    ///
    /// ```
    /// use relfisher_core::metric::neuron::Response;
    /// let r = Response::Tanh;
    /// assert_eq!(r.nu(0.0_f64), 1.0);
    /// assert!((r.nu(200.0_f64) / (4.0 * (-400.0_f64).exp()) - 1.0).abs() < 1e-15);
    /// ```
    #[inline(always)]
    pub fn nu(&self, t: T) -> T {
        with_model!(*self, r => r.nu(t))
    }

    /// E[y | t]: f(t), with relu smoothed to ω ln(e^{ιt/ω} + e^{t/ω}).
    #[inline(always)]
    pub fn mean(&self, t: T) -> T {
        with_model!(*self, r => r.mean(t))
    }

    /// ∂E[y | t]/∂t, the D = diag(f′(t)) through which a layer above sees this neuron.
    #[inline(always)]
    pub fn mean_derivative(&self, t: T) -> T {
        with_model!(*self, r => r.mean_derivative(t))
    }

    /// `nu[i] ← ν(t[i])`. `nu` may hold NaN on entry.
    ///
    /// # Errors
    /// [`Error::Shape`] when the lengths differ; [`Error::Parameter`] as [`Response::check`].
    #[inline(always)]
    pub fn nu_slice(&self, nu: &mut [T], t: &[T]) -> Result<(), Error> {
        self.check()?;
        with_model!(*self, r => map(nu, t, #[inline(always)] |x| r.nu(x)))
    }

    /// `out[i] ← E[y | t[i]]`. `out` may hold NaN on entry.
    ///
    /// # Errors
    /// As [`Response::nu_slice`].
    #[inline(always)]
    pub fn mean_slice(&self, out: &mut [T], t: &[T]) -> Result<(), Error> {
        self.check()?;
        with_model!(*self, r => map(out, t, #[inline(always)] |x| r.mean(x)))
    }

    /// `out[i] ← ∂E[y | t]/∂t at t[i]`. `out` may hold NaN on entry.
    ///
    /// # Errors
    /// As [`Response::nu_slice`].
    #[inline(always)]
    pub fn mean_derivative_slice(&self, out: &mut [T], t: &[T]) -> Result<(), Error> {
        self.check()?;
        with_model!(*self, r => map(out, t, #[inline(always)] |x| r.mean_derivative(x)))
    }
}
