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
///
/// In the tail sigm z has the relative condition number |z|, so one rounding of z would cost |z|/2
/// units in the last place: z carries a second word, z = t·(c + c_low) with (1 − ι)/ω = c + c_low,
/// the products exact through halves of the significands (Dekker 1971).
#[derive(Clone, Copy)]
pub(super) struct SmoothRelu<T> {
    leak: T,
    span: T,
    smoothing: T,
    /// A power of two that lifts t and ω, so that c is finite for a subnormal ω.
    lift: T,
    c: T,
    c_high_half: T,
    c_low: T,
}

impl<T: Real> SmoothRelu<T> {
    #[inline(always)]
    pub(super) fn new(leak: T, smoothing: T) -> Self {
        let span = T::ONE - leak;
        let span_low = (T::ONE - span) - leak;
        let lift = if smoothing < T::ONE { T::NORMALISER } else { T::ONE };
        let lifted = smoothing * lift;
        let c = span / lifted;
        let remainder = remainder_of_product(span, c, T::upper_half(c), lifted) + span_low;
        let c_low = remainder / lifted;
        Self { leak, span, smoothing, lift, c, c_high_half: T::upper_half(c), c_low }
    }

    /// (1 − ι)t/ω, rounded, and what the rounding lost (0 where the sigmoid is saturated).
    #[inline(always)]
    fn argument(self, t: T) -> (T, T) {
        let t = t * self.lift;
        let z = t * self.c;
        let lost = t * self.c_low - remainder_of_product(z, self.c, self.c_high_half, t);
        let saturated = T::from_f64(2048.0);
        (z, if z.abs() < saturated { lost } else { T::ZERO })
    }
}

/// z − ab for z near ab, with the upper half of a.
#[inline(always)]
fn remainder_of_product<T: Real>(z: T, a: T, a_high: T, b: T) -> T {
    let (a_low, b_high) = (a - a_high, T::upper_half(b));
    let b_low = b - b_high;
    (((z - a_high * b_high) - a_high * b_low) - a_low * b_high) - a_low * b_low
}

impl<T: Real> Function<T> for SmoothRelu<T> {
    #[inline(always)]
    fn value(self, t: T) -> T {
        let (z, lost) = self.argument(t);
        let magnitude_lost = if z < T::ZERO { -lost } else { lost };
        let e = (-z.abs()).exp();
        let e = e - e * magnitude_lost;
        Relu { leak: self.leak }.value(t) + self.smoothing * e.ln_1p()
    }
    #[inline(always)]
    fn derivative(self, t: T) -> T {
        let (z, lost) = self.argument(t);
        let s = z.sigm();
        self.leak + self.span * (s + s * ((T::ONE - s) * lost))
    }
    #[inline(always)]
    fn second_derivative(self, t: T) -> T {
        let (z, lost) = self.argument(t);
        let variance = math::sigm_variance(z);
        let corrected = variance - variance * ((T::HALF * z).tanh() * lost);
        (self.span * corrected * self.c) * self.lift
    }
}
