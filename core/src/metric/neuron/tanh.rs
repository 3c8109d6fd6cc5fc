//! f(t) = tanh t, and the response y ∈ {−1, 1} with p(y = 1) = (1 + tanh t)/2.
//!
//! ∂ ln p/∂t = y − tanh t, so ν = Var y = 1 − tanh² t, computed as sech² t.

use super::{Function, Model};
use crate::{Real, math};

#[derive(Clone, Copy)]
pub(super) struct Tanh;

impl<T: Real> Function<T> for Tanh {
    #[inline(always)]
    fn value(self, t: T) -> T {
        t.tanh()
    }
    #[inline(always)]
    fn derivative(self, t: T) -> T {
        math::sech2(t)
    }
    #[inline(always)]
    fn second_derivative(self, t: T) -> T {
        -T::TWO * t.tanh() * math::sech2(t)
    }
}

impl<T: Real> Model<T> for Tanh {
    #[inline(always)]
    fn nu(self, t: T) -> T {
        math::sech2(t)
    }
    #[inline(always)]
    fn mean(self, t: T) -> T {
        t.tanh()
    }
    #[inline(always)]
    fn mean_derivative(self, t: T) -> T {
        math::sech2(t)
    }
}
