//! f(t) = sigm t, and the response y ∈ {0, 1} with p(y = 1) = sigm t.
//!
//! ∂ ln p/∂t = y − sigm t, so ν = Var y = sigm t (1 − sigm t), computed as e/(1 + e)², e = e^{−|t|}.

use super::{Function, Model};
use crate::{Real, math};

#[derive(Clone, Copy)]
pub(super) struct Sigm;

impl<T: Real> Function<T> for Sigm {
    #[inline(always)]
    fn value(self, t: T) -> T {
        t.sigm()
    }
    #[inline(always)]
    fn derivative(self, t: T) -> T {
        math::sigm_variance(t)
    }
    #[inline(always)]
    fn second_derivative(self, t: T) -> T {
        // sigm(−t) − sigm t = −tanh(t/2)
        -(T::HALF * t).tanh() * math::sigm_variance(t)
    }
}

impl<T: Real> Model<T> for Sigm {
    #[inline(always)]
    fn nu(self, t: T) -> T {
        math::sigm_variance(t)
    }
    #[inline(always)]
    fn mean(self, t: T) -> T {
        t.sigm()
    }
    #[inline(always)]
    fn mean_derivative(self, t: T) -> T {
        math::sigm_variance(t)
    }
}
