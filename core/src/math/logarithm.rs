//! ln x and ln(1 + x).
//!
//! x = 2ⁿ(1 + f) with 1 + f ∈ [√½, √2); ln(1 + f) = 2 artanh s with s = f/(2 + f), arranged as
//! f − (f²/2 − s(f²/2 + s²p(s²))) so that the leading term is exact (the arrangement of FreeBSD's
//! e_log.c; `Elementary::LN` has p).

use super::polynomial;
use crate::Real;

/// n ln 2 + ln(1 + f + f_low).
#[inline(always)]
fn assemble<T: Real>(n: T, f: T, f_low: T) -> T {
    let s = f / (T::TWO + f);
    let z = s * s;
    let half_square = T::HALF * f * f;
    let low = n * T::LN2_LOW + (f_low - f_low * f);
    let correction = half_square - (s * (half_square + z * polynomial(T::LN, z)) + low);
    n * T::LN2_HIGH - (correction - f)
}

/// ln x: −∞ at ±0, NaN below.
///
/// ```
/// use relfisher_core::math::ln;
/// assert_eq!((ln(1.0_f32), ln(0.0_f64)), (0.0, f64::NEG_INFINITY));
/// assert!(ln(-1.0_f64).is_nan());
/// ```
#[inline(always)]
pub fn ln<T: Real>(x: T) -> T {
    let subnormal = x < T::MIN_POSITIVE;
    let normal = if subnormal { x * T::NORMALISER } else { x };
    let (n, m, _) = T::split(normal);
    let n = if subnormal { n - T::NORMALISER_LOG2 } else { n };
    let finite = assemble(n, m - T::ONE, T::ZERO);
    // +∞ and NaN are their own logarithms.
    let positive = if x < T::INFINITY { finite } else { x };
    let nonnegative = if x == T::ZERO { -T::INFINITY } else { positive };
    if x < T::ZERO { T::NAN } else { nonnegative }
}

/// ln(1 + x), accurate near 0 too: −∞ at −1, NaN below.
///
/// The rounding error of 1 + x is found exactly (Knuth's two-sum) and carried into f, which for n = 0
/// makes f = x.
///
/// ```
/// use relfisher_core::math::ln_1p;
/// assert_eq!((ln_1p(1e-300_f64), ln_1p(-1.0_f32)), (1e-300, f32::NEG_INFINITY));
/// ```
#[inline(always)]
pub fn ln_1p<T: Real>(x: T) -> T {
    let u = T::ONE + x;
    let rounded = u - T::ONE;
    let error = (T::ONE - (u - rounded)) + (x - rounded);
    let (n, m, inverse) = T::split(u);
    let high = m - T::ONE;
    let low = error * inverse;
    let f = high + low;
    let finite = assemble(n, f, (high - f) + low);
    let above = if x < T::INFINITY { finite } else { x };
    let not_tiny = if x == -T::ONE { -T::INFINITY } else { above };
    let in_domain = if x.abs() < T::TINY { x } else { not_tiny };
    if x < -T::ONE { T::NAN } else { in_domain }
}
