//! Neurons: activation functions and the scalar ν of their response metric.
//!
//! A neuron t = wᵀx̃ with response y has the relative Fisher information metric
//! g^y(w | x) = ν_f(t) · x̃x̃ᵀ (Sun & Nielsen 2017, Theorem 1 and Table 1; S4). This module knows
//! the scalars: f, f′, f″ of an [`Activation`], and ν, the mean of y and its slope for a
//! [`Response`]. Each neuron has its file; `gaussian.rs` turns any differentiable f into a metric.
//!
//! | neuron | response | ν_f(t) |
//! | --- | --- | --- |
//! | tanh | y ∈ {−1, 1}, p(y = 1) = (1 + tanh t)/2 | sech² t |
//! | sigm | y ∈ {0, 1}, p(y = 1) = sigm t | sigm t · sigm(−t) |
//! | relu_ω, leak ι | y ~ G(ω ln(e^{ιt/ω} + e^{t/ω}), σ²) | σ⁻² \[ι + (1 − ι) sigm((1 − ι)t/ω)\]² |
//! | elu, α | y ~ G(elu t, σ²) | σ⁻² for t ≥ 0, σ⁻²(αeᵗ)² for t < 0 |
//! | linear | y ~ G(t, σ²) | σ⁻² |
//! | any f | y ~ G(f(t), σ²) | σ⁻² f′(t)² |
//!
//! Every ν is non-negative, finite for every finite t and accurate to a few units in the last
//! place, tails included. The slice routines choose the neuron once, outside the loop, and their
//! loops vectorise; they return the same bits as the scalar ones.
//!
//! ```
//! use relfisher_core::metric::neuron::{Activation, Response};
//! let r = Response::Relu { leak: 0.0, smoothing: 1.0, sigma: 1.0 };
//! let mut nu = [0.0_f64; 3];
//! r.nu_slice(&mut nu, &[-1e30, 0.0, 1e30])?;
//! assert_eq!(nu, [0.0, 0.25, 1.0]);
//! assert_eq!(Activation::Relu { leak: 0.0 }.derivative(0.0), 0.0);
//! # Ok::<(), relfisher_core::Error>(())
//! ```

mod activation;
mod elu;
mod gaussian;
mod linear;
mod relu;
mod response;
mod sigm;
mod tanh;

use crate::error::check_len;
use crate::{Error, Real};

/// An element-wise activation function a = f(t).
/// ```
/// use relfisher_core::metric::neuron::Activation;
/// let elu = Activation::Elu { alpha: 0.5_f64 };
/// elu.check()?;
/// assert_eq!((elu.value(2.0), elu.derivative(2.0), elu.second_derivative(2.0)), (2.0, 1.0, 0.0));
/// let (t, mut out) = ([-1.0, 3.0], [f64::NAN; 2]);
/// elu.derivative_slice(&mut out, &t)?;
/// assert!((out[0] - 0.5 * (-1.0_f64).exp()).abs() < 1e-16 && out[1] == 1.0);
/// elu.second_derivative_slice(&mut out, &t)?;
/// assert!((out[0] - 0.5 * (-1.0_f64).exp()).abs() < 1e-16 && out[1] == 0.0);
/// let mut delta = [2.0, 2.0];
/// Activation::Relu { leak: 0.25 }.backward_slice(&mut delta, &t)?; // δ ← δ f′(t)
/// assert_eq!(delta, [0.5, 2.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation<T> {
    /// f(t) = t.
    Linear,
    /// f(t) = tanh t.
    Tanh,
    /// f(t) = 1/(1 + e⁻ᵗ).
    Sigm,
    /// f(t) = t for t > 0, `leak`·t otherwise.
    Relu {
        /// The slope ι ∈ [0, 1) of the negative side.
        leak: T,
    },
    /// f(t) = t for t ≥ 0, α(eᵗ − 1) otherwise.
    Elu {
        /// The magnitude α of the negative saturation.
        alpha: T,
    },
}

/// The response model of a neuron, which fixes ν_f(t) (S4; MATH.md §2).
/// ```
/// use relfisher_core::metric::neuron::{Activation, Response};
/// let relu = Response::of_activation(Activation::Relu { leak: 0.5_f64 }, 0.0, 2.0);
/// relu.check()?;
/// assert_eq!((relu.mean(-2.0), relu.mean_derivative(-2.0), relu.nu(-2.0)), (-1.0, 0.5, 0.0625));
/// let (t, mut out) = ([-2.0, 4.0], [f64::NAN; 2]);
/// relu.nu_slice(&mut out, &t)?; // σ⁻² f′(t)²
/// assert_eq!(out, [0.0625, 0.25]);
/// relu.mean_slice(&mut out, &t)?;
/// assert_eq!(out, [-1.0, 4.0]);
/// relu.mean_derivative_slice(&mut out, &t)?;
/// assert_eq!(out, [0.5, 1.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Response<T> {
    /// y ∈ {−1, 1}, p(y = 1) = (1 + tanh t)/2: ν = sech² t.
    Tanh,
    /// y ∈ {0, 1}, p(y = 1) = sigm t: ν = sigm t (1 − sigm t).
    Sigm,
    /// y ~ G(relu_ω(t), σ²); `smoothing` ω ≥ 0, 0 being the limit.
    Relu {
        /// The slope ι ∈ [0, 1) of the negative side.
        leak: T,
        /// The smoothing width ω ≥ 0.
        smoothing: T,
        /// The standard deviation σ > 0.
        sigma: T,
    },
    /// y ~ G(elu(t), σ²).
    Elu {
        /// The magnitude α of the negative saturation.
        alpha: T,
        /// The standard deviation σ > 0.
        sigma: T,
    },
    /// y ~ G(t, σ²): ν = σ⁻².
    Linear {
        /// The standard deviation σ > 0.
        sigma: T,
    },
    /// y ~ G(f(t), σ²) for any activation f: ν = σ⁻² f′(t)².
    Gaussian {
        /// The activation f.
        activation: Activation<T>,
        /// The standard deviation σ > 0.
        sigma: T,
    },
}

/// A differentiable function with its parameters prepared: what a slice loop calls.
trait Function<T: Real>: Copy {
    /// f(t).
    fn value(self, t: T) -> T;
    /// f′(t).
    fn derivative(self, t: T) -> T;
    /// f″(t).
    fn second_derivative(self, t: T) -> T;
}

/// A response model with its parameters prepared.
trait Model<T: Real>: Copy {
    /// ν(t) = E[(∂ ln p(y | t)/∂t)²].
    fn nu(self, t: T) -> T;
    /// E[y | t].
    fn mean(self, t: T) -> T;
    /// ∂E[y | t]/∂t.
    fn mean_derivative(self, t: T) -> T;
}

/// `out[i] ← f(t[i])`.
#[inline(always)]
fn map<T: Real>(out: &mut [T], t: &[T], f: impl Fn(T) -> T) -> Result<(), Error> {
    check_len("output of an element-wise function", t.len(), out.len())?;
    for (o, x) in out.iter_mut().zip(t) {
        *o = f(*x);
    }
    Ok(())
}

/// [`Error::Parameter`] unless ι ∈ [0, 1).
fn check_leak<T: Real>(leak: T) -> Result<(), Error> {
    if leak >= T::ZERO && leak < T::ONE {
        Ok(())
    } else {
        Err(Error::Parameter { what: "leak of relu must lie in [0, 1)" })
    }
}

/// [`Error::Parameter`] unless α is finite and not negative.
fn check_alpha<T: Real>(alpha: T) -> Result<(), Error> {
    if alpha >= T::ZERO && alpha.is_finite() {
        Ok(())
    } else {
        Err(Error::Parameter { what: "alpha of elu must be finite and >= 0" })
    }
}

/// [`Error::Parameter`] unless σ > 0 is finite and σ⁻² too.
fn check_sigma<T: Real>(sigma: T) -> Result<(), Error> {
    let precision = T::ONE / sigma;
    if sigma > T::ZERO && sigma.is_finite() && (precision * precision).is_finite() {
        Ok(())
    } else {
        Err(Error::Parameter { what: "sigma must be positive and finite, and 1/sigma^2 finite" })
    }
}
