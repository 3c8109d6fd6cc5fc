//! The sigmoid family: everything is built on e^{−|t|}, so that no tail cancels.

use crate::Real;

/// sech² t = 1/cosh² t = 4e/(1 + e)², e = e^{−2|t|}.
#[inline(always)]
pub fn sech2<T: Real>(t: T) -> T {
    let e = (-(t.abs() + t.abs())).exp();
    (T::TWO * T::TWO) * e / (T::ONE + e * (T::TWO + e))
}

/// sigm t · (1 − sigm t) = e/(1 + e)², e = e^{−|t|}: the variance of a Bernoulli variable with logit t.
#[inline(always)]
pub fn sigm_variance<T: Real>(t: T) -> T {
    let e = (-t.abs()).exp();
    e / (T::ONE + e * (T::TWO + e))
}

/// 1 − sigm t = sigm(−t), without cancellation.
#[inline(always)]
pub fn sigm_complement<T: Real>(t: T) -> T {
    (-t).sigm()
}

/// ln(1 + eᵗ).
#[inline(always)]
pub fn softplus<T: Real>(t: T) -> T {
    let bound = T::from_f64(40.0);
    if t > bound { t } else { t.exp().ln_1p() }
}
