//! The rectifier with leak ι, as back-propagation sees it, as its response metric sees it, and
//! smoothed to relu_ω(t) = ω ln(e^{ιt/ω} + e^{t/ω}).

use super::Function;
use crate::{Real, math};

/// t for t > 0, ιt otherwise; relu′(0) = ι.
#[derive(Clone, Copy)]
pub(super) struct Relu<T> {
    pub(super) leak: T,
}

impl<T: Real> Relu<T> {
    /// ιt, and +0 for ι = 0 even where t = −∞.
    #[inline(always)]
    fn negative(self, t: T) -> T {
        if self.leak == T::ZERO { T::ZERO } else { self.leak * t }
    }
}

impl<T: Real> Function<T> for Relu<T> {
    #[inline(always)]
    fn value(self, t: T) -> T {
        let negative = self.negative(t);
        if t <= T::ZERO { negative } else { t }
    }
    #[inline(always)]
    fn derivative(self, t: T) -> T {
        let positive = if t > T::ZERO { T::ONE } else { t };
        if t <= T::ZERO { self.leak } else { positive }
    }
    #[inline(always)]
    fn second_derivative(self, _: T) -> T {
        T::ZERO
    }
}

/// The limit ω → 0 of the smoothed relu in the response metric: t = 0 counts as active.
#[derive(Clone, Copy)]
pub(super) struct ActiveRelu<T> {
    pub(super) leak: T,
}

impl<T: Real> Function<T> for ActiveRelu<T> {
    #[inline(always)]
    fn value(self, t: T) -> T {
        Relu { leak: self.leak }.value(t)
    }
    #[inline(always)]
    fn derivative(self, t: T) -> T {
        let negative = if t < T::ZERO { self.leak } else { t };
        if t >= T::ZERO { T::ONE } else { negative }
    }
    #[inline(always)]
    fn second_derivative(self, _: T) -> T {
        T::ZERO
    }
}

/// relu_ω(t) = max(t, ιt) + ω ln(1 + e^{−|z|}), z = (1 − ι)t/ω; its slope is ι + (1 − ι) sigm z.
#[derive(Clone, Copy)]
pub(super) struct SmoothRelu<T> {
    leak: T,
    span: T,
    smoothing: T,
}

impl<T: Real> SmoothRelu<T> {
    #[inline(always)]
    pub(super) fn new(leak: T, smoothing: T) -> Self {
        Self { leak, span: T::ONE - leak, smoothing }
    }

    /// (1 − ι)t/ω.
    #[inline(always)]
    fn argument(self, t: T) -> T {
        self.span * t / self.smoothing
    }
}

impl<T: Real> Function<T> for SmoothRelu<T> {
    #[inline(always)]
    fn value(self, t: T) -> T {
        let z = self.argument(t);
        Relu { leak: self.leak }.value(t) + self.smoothing * (-z.abs()).exp().ln_1p()
    }
    #[inline(always)]
    fn derivative(self, t: T) -> T {
        self.leak + self.span * self.argument(t).sigm()
    }
    #[inline(always)]
    fn second_derivative(self, t: T) -> T {
        self.span * self.span / self.smoothing * math::sigm_variance(self.argument(t))
    }
}
