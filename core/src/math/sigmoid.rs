//! The sigmoid family: everything is built on e^{−|t|}, so that no tail cancels.

use super::exponential::exp_nonpositive_factors;
use super::{exp, exp_m1, ln_1p};
use crate::Real;

/// tanh t = −E/(2 + E) with E = e^{−2|t|} − 1, and the sign of t.
///
/// Monotone because E is: a larger |t| has a larger −E over a smaller 2 + E.
#[inline(always)]
pub fn tanh<T: Real>(t: T) -> T {
    let magnitude = t.abs();
    let e = exp_m1(-(magnitude + magnitude));
    (-e / (T::TWO + e)).copysign(t)
}

/// sigm t = 1/(1 + e⁻ᵗ), computed with e = e^{−|t|} as 1/(1 + e) or e/(1 + e).
#[inline(always)]
pub fn sigm<T: Real>(t: T) -> T {
    let (mantissa, scale) = exp_nonpositive_factors(-t.abs());
    let e = mantissa * scale;
    let numerator = if t >= T::ZERO { T::ONE } else { e };
    numerator / (T::ONE + e)
}

/// 1 − sigm t = sigm(−t), without cancellation.
#[inline(always)]
pub fn sigm_complement<T: Real>(t: T) -> T {
    sigm(-t)
}

/// sech² t = 1/cosh² t = 4e/(1 + e)², e = e^{−2|t|}.
///
/// ```
/// use relfisher_core::math::sech2;
/// assert_eq!((sech2(0.0_f32), sech2(1e30_f32)), (1.0, 0.0));
/// ```
#[inline(always)]
pub fn sech2<T: Real>(t: T) -> T {
    let (mantissa, scale) = exp_nonpositive_factors(-(t.abs() + t.abs()));
    let e = mantissa * scale;
    // 4e is formed before the scaling, which may round to a subnormal number.
    ((T::TWO * T::TWO * mantissa) * scale) / (T::ONE + e * (T::TWO + e))
}

/// sigm t · (1 − sigm t) = e/(1 + e)², e = e^{−|t|}: the variance of a Bernoulli variable with logit t.
///
/// ```
/// use relfisher_core::math::sigm_variance;
/// assert_eq!((sigm_variance(0.0_f32), sigm_variance(-1e30_f64)), (0.25, 0.0));
/// ```
#[inline(always)]
pub fn sigm_variance<T: Real>(t: T) -> T {
    let (mantissa, scale) = exp_nonpositive_factors(-t.abs());
    let e = mantissa * scale;
    e / (T::ONE + e * (T::TWO + e))
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
