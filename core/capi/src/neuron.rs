//! Activations, and the response models whose metric is a number for each pre-activation.

use relfisher_core::Real;
use relfisher_core::metric::neuron;

use crate::argument::{Slice, SliceMut};
use crate::status::Failure;

choice! {
    /// The function of a neuron.
    enum ActivationKind: "activation must be an rf_activation_kind" {
        /// f(t) = t.
        Linear = 0,
        /// f(t) = tanh t.
        Tanh = 1,
        /// f(t) = 1/(1 + exp(-t)).
        Sigm = 2,
        /// f(t) = t for t > 0, leak t otherwise.
        Relu = 3,
        /// f(t) = t for t >= 0, alpha (exp(t) - 1) otherwise.
        Elu = 4,
    }
}

/// An activation.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Activation<T> {
    /// An `rf_activation_kind`.
    pub kind: u32,
    /// The leak of a relu in [0, 1), or the alpha of an elu, finite and at least 0; the others ignore it.
    pub parameter: T,
}

impl<T: Real> Activation<T> {
    fn read(self) -> Result<neuron::Activation<T>, Failure> {
        Ok(match ActivationKind::read(self.kind)? {
            ActivationKind::Linear => neuron::Activation::Linear,
            ActivationKind::Tanh => neuron::Activation::Tanh,
            ActivationKind::Sigm => neuron::Activation::Sigm,
            ActivationKind::Relu => neuron::Activation::Relu { leak: self.parameter },
            ActivationKind::Elu => neuron::Activation::Elu { alpha: self.parameter },
        })
    }
}

choice! {
    /// The distribution of a neuron's response y given its pre-activation t.
    enum ResponseKind: "response must be an rf_response_kind" {
        /// That of the activation: Bernoulli for tanh and sigm, a smoothed relu, Gaussian otherwise.
        Natural = 0,
        /// Gaussian around f(t), whatever the activation f.
        Gaussian = 1,
    }
}

/// The response model of a neuron, which fixes its metric nu(t).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Response<T> {
    /// An `rf_response_kind`.
    pub kind: u32,
    /// The activation.
    pub activation: Activation<T>,
    /// The smoothing width of a natural relu, >= 0; the others ignore it.
    pub smoothing: T,
    /// The standard deviation of the Gaussian models, > 0 with a finite 1/sigma^2; the Bernoulli models ignore it.
    pub sigma: T,
}

options! {
    Activation => neuron::Activation<T>, |activation| activation.read()?;
    Response => neuron::Response<T>, |response| {
        let activation = response.activation.read()?;
        let (smoothing, sigma) = (response.smoothing, response.sigma);
        match ResponseKind::read(response.kind)? {
            ResponseKind::Natural => {
                neuron::Response::of_activation(activation, smoothing, sigma)
            }
            ResponseKind::Gaussian => neuron::Response::Gaussian { activation, sigma },
        }
    };
}

export! {
    /// `out[i] <- f(t[i])`.
    fn activation_value(out: SliceMut, t: Slice, activation: Activation) {
        Ok(activation.value_slice(out, t)?)
    }

    /// `out[i] <- f'(t[i])`, the derivative of back-propagation (relu'(0) is the leak).
    fn activation_derivative(out: SliceMut, t: Slice, activation: Activation) {
        Ok(activation.derivative_slice(out, t)?)
    }

    /// `out[i] <- f''(t[i])`.
    fn activation_second_derivative(out: SliceMut, t: Slice, activation: Activation) {
        Ok(activation.second_derivative_slice(out, t)?)
    }

    /// `delta[i] <- delta[i] f'(t[i])`: back-propagation through an activation. `delta` is read.
    fn activation_backward(delta: SliceMut, t: Slice, activation: Activation) {
        Ok(activation.backward_slice(delta, t)?)
    }

    /// `nu[i] <- E[(d ln p(y | t)/dt)^2]` at `t[i]`: the metric of a neuron with respect to t.
    fn response_nu(nu: SliceMut, t: Slice, response: Response) {
        Ok(response.nu_slice(nu, t)?)
    }

    /// `out[i] <- E[y | t[i]]`.
    fn response_mean(out: SliceMut, t: Slice, response: Response) {
        Ok(response.mean_slice(out, t)?)
    }

    /// `out[i] <- dE[y | t]/dt` at `t[i]`.
    fn response_mean_derivative(out: SliceMut, t: Slice, response: Response) {
        Ok(response.mean_derivative_slice(out, t)?)
    }
}
