//! f(t) = t.

use super::Function;
use crate::Real;

#[derive(Clone, Copy)]
pub(super) struct Linear;

impl<T: Real> Function<T> for Linear {
    #[inline(always)]
    fn value(self, t: T) -> T {
        t
    }
    #[inline(always)]
    fn derivative(self, _: T) -> T {
        T::ONE
    }
    #[inline(always)]
    fn second_derivative(self, _: T) -> T {
        T::ZERO
    }
}
