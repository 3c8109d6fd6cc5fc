//! f(t) = t for t ≥ 0, α(eᵗ − 1) for t < 0.

use super::Function;
use crate::Real;

#[derive(Clone, Copy)]
pub(super) struct Elu<T> {
    pub(super) alpha: T,
}

impl<T: Real> Function<T> for Elu<T> {
    #[inline(always)]
    fn value(self, t: T) -> T {
        let negative = self.alpha * t.exp_m1();
        if t < T::ZERO { negative } else { t }
    }
    #[inline(always)]
    fn derivative(self, t: T) -> T {
        let negative = self.alpha * t.exp();
        if t >= T::ZERO { T::ONE } else { negative }
    }
    #[inline(always)]
    fn second_derivative(self, t: T) -> T {
        let negative = self.alpha * t.exp();
        if t >= T::ZERO { T::ZERO } else { negative }
    }
}
