//! The sigmoid family: everything is built on e^{−|t|}, so that no tail cancels.

use super::exponential::exp_factors;
use super::{exp, ln_1p, polynomial};
use crate::Real;

/// tanh t for |t| ≤ ⅝: t + t³p(t²).
#[inline(always)]
fn tanh_near_zero<T: Real>(t: T) -> T {
    let z = t * t;
    t + t * (z * polynomial(T::TANH, z))
}

/// tanh t: t + t³p(t²) for |t| < ⅝ ([`Elementary::TANH`](super::Elementary::TANH)), and
/// 1 − 2/(1 + e^{2|t|}) with the sign of t beyond.
///
/// The second is a composition of monotone functions.
/// ```
/// assert!((relfisher_core::math::tanh(0.5_f64) / 0.5_f64.tanh() - 1.0).abs() < 1e-15);
/// ```
#[inline(always)]
pub fn tanh<T: Real>(t: T) -> T {
    let twice = t.abs() + t.abs();
    // tanh 40 rounds to 1.
    let bound = T::from_f64(80.0);
    let e = exp(if twice > bound { bound } else { twice });
    let far = T::ONE - T::TWO / (T::ONE + e);
    let magnitude = if twice < T::from_f64(1.25) { tanh_near_zero(t.abs()) } else { far };
    magnitude.copysign(t)
}

/// sigm t = 1/(1 + e⁻ᵗ): a composition of monotone functions, so monotone after rounding too.
///
/// With e⁻ᵗ = m·2ⁿ it is computed as 2⁻ⁿ/(2⁻ⁿ + m), which is the same number without the overflow
/// that would lose the subnormal end of the tail.
/// ```
/// use relfisher_core::math::{sigm, sigm_complement};
/// assert_eq!((sigm(0.0), sigm(-800.0_f64)), (0.5, 0.0));
/// assert!((sigm_complement(40.0_f64) / (-40.0_f64).exp() - 1.0).abs() < 1e-15);
/// ```
#[inline(always)]
pub fn sigm<T: Real>(t: T) -> T {
    let x = if t > -T::EXP_FLOOR { T::EXP_FLOOR } else { -t };
    let factors = exp_factors(if x > -T::EXP_FLOOR { -T::EXP_FLOOR } else { x });
    let inverse = factors.inverse_scale();
    let near = inverse + factors.mantissa();
    let tail = factors.plus_inverse_scale(inverse);
    T::ONE / (if x > T::ONE { tail } else { near }) * inverse
}

/// 1 − sigm t = sigm(−t), without cancellation.
#[inline(always)]
pub fn sigm_complement<T: Real>(t: T) -> T {
    sigm(-t)
}

/// 4p e^{−a}/(1 + e^{−a})² = p(1 − tanh²(a/2)) for a ≥ 0 and a power of two p.
///
/// The first form holds the relative error down to underflow; the second is the more accurate one
/// where the tangent is small.
#[inline(always)]
fn bell<T: Real>(a: T, peak: T) -> T {
    // 4e^{−a} outlives e^{−a} by a little.
    let floor = T::TWO + T::ONE - T::EXP_FLOOR;
    let a = if a > floor { floor } else { a };
    let factors = exp_factors(-a);
    let scale = factors.scale();
    let e = factors.mantissa() * scale;
    let product = e * (T::TWO + e);
    let denominator = T::ONE + product;
    // What the denominator lost goes into the numerator before that is rounded; 1/denominator to
    // within a tenth is enough of it.
    let lost = product - (denominator - T::ONE);
    let inverse = T::from_f64(1.47) - T::HALF * denominator;
    // 4p is applied before the scaling, which may round to a subnormal number.
    let mantissa = factors.corrected_mantissa(-lost * inverse);
    let tail = (T::TWO * T::TWO * peak * mantissa) * scale / denominator;
    let tangent = tanh_near_zero(T::HALF * a);
    let top = peak - peak * tangent * tangent;
    if a < T::ONE { top } else { tail }
}

/// sech² t = 1/cosh² t.
///
/// ```
/// use relfisher_core::math::sech2;
/// assert_eq!((sech2(0.0_f32), sech2(1e30_f32)), (1.0, 0.0));
/// ```
#[inline(always)]
pub fn sech2<T: Real>(t: T) -> T {
    bell(t.abs() + t.abs(), T::ONE)
}

/// sigm t · (1 − sigm t) = ¼ sech²(t/2): the variance of a Bernoulli variable with logit t.
///
/// ```
/// use relfisher_core::math::sigm_variance;
/// assert_eq!((sigm_variance(0.0_f32), sigm_variance(-1e30_f64)), (0.25, 0.0));
/// ```
#[inline(always)]
pub fn sigm_variance<T: Real>(t: T) -> T {
    bell(t.abs(), T::HALF * T::HALF)
}

/// ln(1 + eᵗ), monotone as a composition of monotone functions; t itself where e⁻ᵗ is lost to rounding.
///
/// ```
/// use relfisher_core::math::softplus;
/// assert_eq!((softplus(1e30_f32), softplus(-1e30_f32)), (1e30, 0.0));
/// ```
#[inline(always)]
pub fn softplus<T: Real>(t: T) -> T {
    let bound = T::from_f64(40.0);
    let bounded = if t > bound { bound } else { t };
    let value = ln_1p(exp(bounded));
    if t > bound { t } else { value }
}
