//! The Gaussian response of any differentiable function: y ~ G(f(t), σ²), ν = (f′(t)/σ)².

use super::{Function, Model};
use crate::Real;

/// A function with σ⁻¹.
#[derive(Clone, Copy)]
pub(super) struct Gaussian<T, F> {
    function: F,
    inverse_sigma: T,
}

impl<T: Real, F: Function<T>> Gaussian<T, F> {
    #[inline(always)]
    pub(super) fn new(function: F, sigma: T) -> Self {
        Self { function, inverse_sigma: T::ONE / sigma }
    }
}

impl<T: Real, F: Function<T>> Model<T> for Gaussian<T, F> {
    #[inline(always)]
    fn nu(self, t: T) -> T {
        let score_scale = self.inverse_sigma * self.function.derivative(t);
        score_scale * score_scale
    }
    #[inline(always)]
    fn mean(self, t: T) -> T {
        self.function.value(t)
    }
    #[inline(always)]
    fn mean_derivative(self, t: T) -> T {
        self.function.derivative(t)
    }
}
