//! eˣ and eˣ − 1.
//!
//! x = n ln 2 + r with |r| ≤ ½ ln 2 (Cody and Waite 1980, ln 2 in two pieces), eʳ by a polynomial
//! (`Elementary::EXP`), and the scaling by 2ⁿ as a product of two normal powers of two, which
//! overflows to infinity and underflows gradually by itself.

use super::polynomial;
use crate::Real;

/// x = n ln 2 + (r + r_low), and eʳ⁺ʳ_low − 1 = r + tail.
struct Reduced<T> {
    /// n + SHIFTER.
    shifted: T,
    n: T,
    r: T,
    tail: T,
}

#[inline(always)]
fn reduce<T: Real>(x: T) -> Reduced<T> {
    let shifted = x * T::LOG2_E + T::SHIFTER;
    let n = shifted - T::SHIFTER;
    let high = x - n * T::LN2_HIGH;
    let low = n * T::LN2_LOW;
    let r = high - low;
    let r_low = (high - r) - low;
    let tail = r * r * (T::HALF + r * polynomial(T::EXP, r)) + r_low;
    Reduced { shifted, n, r, tail }
}

/// eˣ = (near + low) · 2ᵏ · 2ⁿ, the first two factors together a normal number.
pub(super) struct Factors<T> {
    near: T,
    low: T,
    /// 2ᵏ.
    power: T,
    /// k.
    half: T,
    /// n.
    exponent: T,
}

impl<T: Real> Factors<T> {
    /// (near + low)(1 + δ) · 2ᵏ for a δ of a few ε: one rounding for all.
    #[inline(always)]
    pub(super) fn corrected_mantissa(&self, delta: T) -> T {
        (self.near + (self.low + self.near * delta)) * self.power
    }

    /// (near + low) · 2ᵏ.
    #[inline(always)]
    pub(super) fn mantissa(&self) -> T {
        (self.near + self.low) * self.power
    }

    /// (near + low) · 2ᵏ + 2⁻ⁿ = 2⁻ⁿ(eˣ + 1), one rounding for both sums; for x ≥ 1.
    #[inline(always)]
    pub(super) fn plus_inverse_scale(&self, inverse_scale: T) -> T {
        let one = inverse_scale * (T::power_of_two(T::SHIFTER - self.half));
        (self.near + (self.low + one)) * self.power
    }

    /// 2ⁿ.
    #[inline(always)]
    pub(super) fn scale(&self) -> T {
        T::power_of_two(self.exponent + T::SHIFTER)
    }

    /// 2⁻ⁿ.
    #[inline(always)]
    pub(super) fn inverse_scale(&self) -> T {
        T::power_of_two(T::SHIFTER - self.exponent)
    }
}

/// eˣ in factors, for |x| ≤ 4 − `EXP_FLOOR` or NaN.
#[inline(always)]
pub(super) fn exp_factors<T: Real>(x: T) -> Factors<T> {
    let Reduced { n, r, tail, .. } = reduce(x);
    let near = T::ONE + r;
    let low = (r - (near - T::ONE)) + tail;
    let shifted = n * T::HALF + T::SHIFTER;
    let half = shifted - T::SHIFTER;
    Factors { near, low, power: T::power_of_two(shifted), half, exponent: n - half }
}

/// eˣ. Overflows to ∞, underflows gradually to 0.
///
/// ```
/// use relfisher_core::math::exp;
/// assert_eq!((exp(0.0_f32), exp(-1e30_f32), exp(1e30_f64)), (1.0, 0.0, f64::INFINITY));
/// ```
#[inline(always)]
pub fn exp<T: Real>(x: T) -> T {
    let x = if x > T::EXP_CEILING { T::EXP_CEILING } else { x };
    let factors = exp_factors(if x < T::EXP_FLOOR { T::EXP_FLOOR } else { x });
    factors.mantissa() * factors.scale()
}

/// eˣ − 1, accurate near 0 too.
///
/// With s = 2ⁿ⁻¹, (eˣ − 1)/2 = (s − ½) + s(r + tail): the first difference is exact, the sum with
/// s·r keeps its rounding error, and halving keeps s finite at the largest n.
///
/// ```
/// use relfisher_core::math::exp_m1;
/// assert_eq!((exp_m1(1e-300_f64), exp_m1(f32::MIN)), (1e-300, -1.0));
/// ```
#[inline(always)]
pub fn exp_m1<T: Real>(x: T) -> T {
    let floor = T::from_f64(-50.0);
    let bounded = if x > T::EXP_CEILING { T::EXP_CEILING } else { x };
    let bounded = if bounded < floor { floor } else { bounded };
    let Reduced { shifted, r, tail, .. } = reduce(bounded);
    let s = T::power_of_two(shifted - T::ONE);
    let whole = s - T::HALF;
    let near = whole + s * r;
    let low = s * r - (near - whole);
    let half = near + (low + s * tail);
    if x.abs() < T::TINY { x } else { half + half }
}
