//! What memory holds and shuffles move: words of 4 and 8 bytes.

use relfisher_core::Real;

use crate::contract::Parameter;

/// A value of one or two 32-bit words, aligned to its size.
pub trait Word: Copy + 'static {
    /// How many 32-bit words it has: 1 or 2.
    const WORDS: u32;
    /// The size and alignment in bytes.
    const BYTES: u32 = 4 * Self::WORDS;
    /// The words, low one first; the second is 0 for a value of one word.
    fn to_words(self) -> [u32; 2];
    /// The value of these words.
    fn from_words(words: [u32; 2]) -> Self;
}

macro_rules! one_word {
    ($t:ident, $to:expr, $from:expr) => {
        impl Word for $t {
            const WORDS: u32 = 1;
            #[inline(always)]
            fn to_words(self) -> [u32; 2] {
                [$to(self), 0]
            }
            #[inline(always)]
            fn from_words(words: [u32; 2]) -> Self {
                $from(words[0])
            }
        }
    };
}
one_word!(u32, |x| x, |x| x);
one_word!(i32, i32::cast_unsigned, u32::cast_signed);
one_word!(f32, f32::to_bits, f32::from_bits);

impl Word for u64 {
    const WORDS: u32 = 2;
    #[inline(always)]
    fn to_words(self) -> [u32; 2] {
        [self as u32, (self >> 32) as u32]
    }
    #[inline(always)]
    fn from_words(words: [u32; 2]) -> Self {
        u64::from(words[0]) | u64::from(words[1]) << 32
    }
}

impl Word for f64 {
    const WORDS: u32 = 2;
    #[inline(always)]
    fn to_words(self) -> [u32; 2] {
        self.to_bits().to_words()
    }
    #[inline(always)]
    fn from_words(words: [u32; 2]) -> Self {
        f64::from_bits(u64::from_words(words))
    }
}

/// The arithmetic of a kernel: `f32` and `f64`, nothing else.
pub trait Scalar: Real + Word + Parameter {
    /// `self · b + c` with one rounding: one instruction on a GPU. Named apart from `mul_add`, which
    /// is a method of the standard library only.
    fn fused(self, b: Self, c: Self) -> Self;
    /// The correctly rounded square root as an instruction.
    fn root(self) -> Self;
}

macro_rules! scalar {
    ($t:ident, $intrinsic:ident, $root:ident, $portable:path, $portable_root:path) => {
        impl Scalar for $t {
            #[inline(always)]
            fn fused(self, b: Self, c: Self) -> Self {
                #[cfg(target_arch = "nvptx64")]
                return core::intrinsics::$intrinsic(self, b, c);
                // The hardware's instruction through the C library where std is at hand.
                #[cfg(all(not(target_arch = "nvptx64"), feature = "emulator"))]
                return self.mul_add(b, c);
                #[cfg(all(not(target_arch = "nvptx64"), not(feature = "emulator")))]
                return $portable(self, b, c);
            }
            #[inline(always)]
            fn root(self) -> Self {
                #[cfg(target_arch = "nvptx64")]
                return core::intrinsics::$root(self);
                #[cfg(all(not(target_arch = "nvptx64"), feature = "emulator"))]
                return self.sqrt();
                #[cfg(all(not(target_arch = "nvptx64"), not(feature = "emulator")))]
                return $portable_root(self);
            }
        }
    };
}
scalar!(f32, fmaf32, sqrtf32, libm::fmaf, libm::sqrtf);
scalar!(f64, fmaf64, sqrtf64, libm::fma, libm::sqrt);

/// Calls `f(0) … f(N − 1)`, written out: a loop that the compiler does not unroll would put an
/// array indexed by its counter into local memory. N is at most 32.
#[inline(always)]
pub fn unroll<const N: usize>(mut f: impl FnMut(usize)) {
    const { assert!(N <= 32) };
    macro_rules! steps {
        ($($i:literal)*) => { $(if $i < N { f($i); })* };
    }
    steps!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
}

/// a / b and a mod b; 0 and a for b = 0. A plain division would check b, and bring the call of a
/// panic into the kernel.
#[inline(always)]
pub(crate) fn divide(a: u32, b: u32) -> (u32, u32) {
    let quotient = a.checked_div(b).unwrap_or_default();
    (quotient, a.wrapping_sub(quotient.wrapping_mul(b)))
}
