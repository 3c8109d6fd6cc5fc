//! Elementary functions of the core: polynomials of its own, one body for `f32` and `f64`.
//!
//! Each function is straight-line code: additions, multiplications, at most one division, selects
//! and shifts of the bit pattern. There are no tables, no data-dependent branches and no fused
//! operations, so a loop over a slice vectorises at every SIMD level and returns the same bits
//! there as one element at a time. Zeros, subnormal numbers, infinities and NaN take the same path
//! and give the limits of the function; a NaN argument gives NaN.
//!
//! | function | built on | largest error met in the tests, ulp (f32, f64) |
//! | --- | --- | --- |
//! | [`exp`] | 2ⁿ·(1 + r + r²q(r)), [`Elementary::EXP`] | 0.73, 0.65 |
//! | [`exp_m1`] | the same, the 1 subtracted exactly | 1.05, 1.0 |
//! | [`ln`], [`ln_1p`] | n ln 2 + 2 artanh s, [`Elementary::LN`] | 0.83, 0.66 |
//! | [`tanh`] | t + t³p(t²), [`Elementary::TANH`], or 1 − 2/(1 + e^{2t}) | 1.3, 1.1 |
//! | [`sigm`] | 1/(1 + e⁻ᵗ) | 2.0, 1.9 |
//! | [`sigm_variance`], [`sech2`] | 4e/(1 + e)², e = e^{−2t}, or 1 − tanh² near 0 | 1.6, 1.3 |
//! | [`softplus`] | `ln_1p(exp t)` | 1.5, 1.1 |
//!
//! The methods of [`crate::Real`] are these functions.

mod elementary;
mod exponential;
mod logarithm;
mod sigmoid;

pub use elementary::Elementary;
pub use exponential::{exp, exp_m1};
pub use logarithm::{ln, ln_1p};
pub use sigmoid::{sech2, sigm, sigm_complement, sigm_variance, softplus, tanh};

use crate::Real;

/// c₀ + c₁x + c₂x² + …, by Horner's rule.
#[inline(always)]
fn polynomial<T: Real>(coefficients: &[T], x: T) -> T {
    match coefficients.split_last() {
        Some((last, rest)) => rest.iter().rev().fold(*last, |sum, c| sum * x + *c),
        None => T::ZERO,
    }
}
