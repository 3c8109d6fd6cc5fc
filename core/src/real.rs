//! The scalar trait: `f32` and `f64`, nothing else.

use core::fmt::{Debug, Display};
use core::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::math::{self, Elementary};

/// A real scalar: every routine of the core has one body, generic over this trait.
///
/// Arithmetic is plain (no contraction into fused operations), so the same expression has the same
/// bits on every processor. Elementary functions are the crate's own polynomials ([`crate::math`]).
/// ```
/// use relfisher_core::Real;
/// fn softplus<T: Real>(x: T) -> T {
///     x.max(T::ZERO) + (-x.abs()).exp().ln_1p()
/// }
/// assert_eq!(softplus(0.0_f32), 2.0_f32.ln());
/// assert!((softplus(1.0_f64) - 1.0_f64.exp().ln_1p()).abs() < 1e-15);
/// let x = <f32 as Real>::from_f64(2.25);
/// assert_eq!((Real::sqrt(x), Real::to_f64(x), <f32 as Real>::from_usize(3)), (1.5, 2.25, 3.0));
/// assert!(Real::is_finite(x) && Real::copysign(x, -1.0) == -2.25);
/// assert!(Real::magnitude_key(-3.0_f64) > Real::magnitude_key(2.0_f64));
/// assert_eq!((Real::min(1.0, 2.0), Real::tanh(0.0), Real::sigm(0.0)), (1.0, 0.0, 0.5));
/// assert_eq!((Real::exp_m1(0.0), Real::ln(1.0)), (0.0, 0.0));
/// assert!((Real::powf(2.0, 0.5) - 2.0_f64.sqrt()).abs() < 1e-15);
/// ```
pub trait Real:
    Copy
    + Default
    + PartialEq
    + PartialOrd
    + Debug
    + Display
    + Send
    + Sync
    + 'static
    + Elementary
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// 2.
    const TWO: Self;
    /// ½.
    const HALF: Self;
    /// The distance from 1 to the next larger number.
    const EPSILON: Self;
    /// The smallest positive normal number.
    const MIN_POSITIVE: Self;
    /// The largest finite number.
    const MAX: Self;
    /// Positive infinity.
    const INFINITY: Self;
    /// The bits of [`Real::magnitude_key`].
    const KEY_BITS: u32;
    /// Not a number.
    const NAN: Self;

    /// The nearest number of this type.
    fn from_f64(x: f64) -> Self;
    /// The same number in double precision.
    fn to_f64(self) -> f64;
    /// The nearest number of this type to a count.
    fn from_usize(n: usize) -> Self;
    /// |self|.
    fn abs(self) -> Self;
    /// The correctly rounded square root; NaN below 0.
    fn sqrt(self) -> Self;
    /// Neither NaN nor infinite.
    fn is_finite(self) -> bool;
    /// The magnitude of self with the sign of `sign`.
    fn copysign(self, sign: Self) -> Self;
    /// The bits of |self|: integers in the order of the magnitudes, NaN above infinity.
    fn magnitude_key(self) -> u64;
    /// eˣ, ≤ 2 ulp.
    #[inline(always)]
    fn exp(self) -> Self {
        math::exp(self)
    }
    /// eˣ − 1, ≤ 2 ulp.
    #[inline(always)]
    fn exp_m1(self) -> Self {
        math::exp_m1(self)
    }
    /// ln x, ≤ 2 ulp.
    #[inline(always)]
    fn ln(self) -> Self {
        math::ln(self)
    }
    /// ln(1 + x), ≤ 2 ulp.
    #[inline(always)]
    fn ln_1p(self) -> Self {
        math::ln_1p(self)
    }
    /// tanh x, ≤ 2 ulp.
    #[inline(always)]
    fn tanh(self) -> Self {
        math::tanh(self)
    }
    /// sigm x = 1/(1 + e⁻ˣ), ≤ 2 ulp.
    #[inline(always)]
    fn sigm(self) -> Self {
        math::sigm(self)
    }
    /// selfᵖ for self ≥ 0.
    fn powf(self, p: Self) -> Self;

    /// The larger of two numbers; `other` when self is NaN.
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
    /// The smaller of two numbers; `other` when self is NaN.
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if self < other { self } else { other }
    }
}

macro_rules! impl_real {
    ($t:ident, $bits:literal, $sqrt:path, $pow:path) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const TWO: Self = 2.0;
            const HALF: Self = 0.5;
            const EPSILON: Self = $t::EPSILON;
            const MIN_POSITIVE: Self = $t::MIN_POSITIVE;
            const MAX: Self = $t::MAX;
            const INFINITY: Self = $t::INFINITY;
            const KEY_BITS: u32 = $bits;
            const NAN: Self = $t::NAN;
            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn from_usize(n: usize) -> Self {
                n as $t
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $t::abs(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $sqrt(self)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                $t::is_finite(self)
            }
            #[inline(always)]
            fn copysign(self, sign: Self) -> Self {
                $t::copysign(self, sign)
            }
            #[inline(always)]
            fn magnitude_key(self) -> u64 {
                u64::from($t::abs(self).to_bits())
            }
            #[inline(always)]
            fn powf(self, p: Self) -> Self {
                $pow(self, p)
            }
        }
    };
}

// The correctly rounded root is one instruction of a GPU, which `libm` does not know, and of most
// processors, where `libm` writes it in assembly that the compiler cannot make vectors of.
#[cfg(not(any(target_arch = "nvptx64", feature = "std")))]
use libm::{sqrt as sqrt64, sqrtf as sqrt32};
#[cfg(all(feature = "std", not(target_arch = "nvptx64")))]
use root::{sqrt32, sqrt64};
#[cfg(target_arch = "nvptx64")]
use {core::f32::math::sqrt as sqrt32, core::f64::math::sqrt as sqrt64};

/// The roots of the standard library.
#[cfg(all(feature = "std", not(target_arch = "nvptx64")))]
mod root {
    #[inline(always)]
    pub(super) fn sqrt32(x: f32) -> f32 {
        f32::sqrt(x)
    }

    #[inline(always)]
    pub(super) fn sqrt64(x: f64) -> f64 {
        f64::sqrt(x)
    }
}

impl_real!(f32, 32, sqrt32, libm::powf);
impl_real!(f64, 64, sqrt64, libm::pow);
