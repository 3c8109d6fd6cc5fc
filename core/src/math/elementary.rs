//! What the elementary functions need to know about a format: constants, coefficients, bits.
//!
//! The coefficients are minimax in the weighted sense of Remez: the exchange algorithm in 200-bit
//! arithmetic, started at Chebyshev points, each coefficient rounded to the format afterwards.
//! - `EXP`: q of eʳ − 1 = r + r²(½ + r q(r)) for |r| ≤ ½ ln 2 · (1 + 2⁻¹²), error relative to
//!   eʳ − 1: 0.0065 · 2⁻²⁴ with five coefficients, 0.0024 · 2⁻⁵³ with ten.
//! - `LN`: p of ln((1 + s)/(1 − s)) = 2s + s³p(s²) for |s| ≤ (√2 − 1)/(√2 + 1), error relative to
//!   the logarithm: 0.014 · 2⁻²⁴ with three coefficients, 0.011 · 2⁻⁵³ with seven.
//! - `TANH`: p of tanh t = t + t³p(t²) for |t| ≤ ⅝ · (1 + 2⁻¹³), error relative to tanh t:
//!   0.074 · 2⁻²⁴ with five coefficients, 0.1 · 2⁻⁵³ with eleven.

/// Constants and bit operations of a binary floating-point format, the ground of [`crate::math`].
/// Implemented for `f32` and `f64`.
/// ```
/// use relfisher_core::math::Elementary;
/// assert_eq!(f64::power_of_two(<f64 as Elementary>::SHIFTER + 10.0), 1024.0);
/// assert_eq!(f64::split(12.0), (4.0, 0.75, 0.0625)); // 12 = 2⁴ · ¾
/// let x = 1.0 + f64::EPSILON;
/// assert_eq!(f64::upper_half(x), 1.0);
/// ```
pub trait Elementary: Sized + 'static {
    /// 1.5 · 2ᵐ for m mantissa bits: x + SHIFTER has the integer nearest to x in its lowest bits.
    const SHIFTER: Self;
    /// 1/ln 2.
    const LOG2_E: Self;
    /// The upper bits of ln 2: n · LN2_HIGH is exact for every exponent n.
    const LN2_HIGH: Self;
    /// ln 2 − LN2_HIGH.
    const LN2_LOW: Self;
    /// A bound above which eˣ is infinite, and not far above.
    const EXP_CEILING: Self;
    /// A bound below which eˣ rounds to 0, and not far below.
    const EXP_FLOOR: Self;
    /// A number so small that f(x) = x for every f with f(x) = x + O(x²) when |x| is below it.
    const TINY: Self;
    /// The power of two that makes every subnormal number normal.
    const NORMALISER: Self;
    /// log₂ NORMALISER.
    const NORMALISER_LOG2: Self;
    /// q of the exponential, lowest degree first (see the source for its derivation).
    const EXP: &'static [Self];
    /// p of the logarithm, lowest degree first (see the source for its derivation).
    const LN: &'static [Self];
    /// p of the hyperbolic tangent, lowest degree first (see the source for its derivation).
    const TANH: &'static [Self];

    /// 2ⁿ from the sum n + SHIFTER, for a normal 2ⁿ.
    fn power_of_two(shifted: Self) -> Self;
    /// (n, m, 2⁻ⁿ) with x = 2ⁿm and m ∈ [√½, √2), for a positive normal x.
    fn split(x: Self) -> (Self, Self, Self);
    /// x with the lower half of its significand cleared, so that products of two such are exact.
    fn upper_half(x: Self) -> Self;
}

macro_rules! impl_bits {
    ($t:ident, $mantissa:literal, $low_half:literal, $square_root_of_half:literal) => {
        #[inline(always)]
        fn power_of_two(shifted: Self) -> Self {
            // The shift drops the leading bits of SHIFTER and moves n into the exponent field.
            let one = (1.0 as $t).to_bits();
            $t::from_bits((shifted.to_bits() << $mantissa).wrapping_add(one))
        }
        #[inline(always)]
        fn split(x: Self) -> (Self, Self, Self) {
            let one = (1.0 as $t).to_bits();
            let bias = one >> $mantissa;
            // From here to the end of the block: exponents are counted from √½ instead of from 1.
            let bits = x.to_bits().wrapping_add(one - $square_root_of_half);
            let exponent = bits >> $mantissa;
            let m = (bits & ((1 << $mantissa) - 1)).wrapping_add($square_root_of_half);
            // An integer below 2ᵐ placed in the significand of 2ᵐ converts without an instruction.
            let base = $t::from_bits((bias + $mantissa) << $mantissa);
            let n = $t::from_bits(base.to_bits() | exponent) - (base + bias as $t);
            let inverse = $t::from_bits((2 * bias + 1).wrapping_sub(exponent) << $mantissa) * 0.5;
            (n, $t::from_bits(m), inverse)
        }
        #[inline(always)]
        fn upper_half(x: Self) -> Self {
            $t::from_bits(x.to_bits() & !((1 << $low_half) - 1))
        }
    };
}

impl Elementary for f32 {
    const SHIFTER: Self = 12_582_912.0;
    const LOG2_E: Self = core::f32::consts::LOG2_E;
    const LN2_HIGH: Self = 0.693_145_75;
    const LN2_LOW: Self = 1.428_606_8e-6;
    const EXP_CEILING: Self = 89.0;
    const EXP_FLOOR: Self = -104.0;
    const TINY: Self = 1.0 / 67_108_864.0;
    const NORMALISER: Self = 33_554_432.0;
    const NORMALISER_LOG2: Self = 25.0;
    const EXP: &'static [Self] =
        &[1.666_666_6e-1, 4.166_648e-2, 8.333_419e-3, 1.393_326_6e-3, 1.982_412_5e-4];
    const LN: &'static [Self] = &[6.666_677_6e-1, 3.997_756_2e-1, 2.987_126_7e-1];
    const TANH: &'static [Self] =
        &[-3.333_328e-1, 1.333_144e-1, -5.373_957e-2, 2.063_858_9e-2, -5.704_406_6e-3];
    impl_bits!(f32, 23, 12, 0x3f35_04f3);
}

impl Elementary for f64 {
    const SHIFTER: Self = 6_755_399_441_055_744.0;
    const LOG2_E: Self = core::f64::consts::LOG2_E;
    const LN2_HIGH: Self = 0.693_147_180_369_123_8;
    const LN2_LOW: Self = 1.908_214_929_270_587_7e-10;
    const EXP_CEILING: Self = 710.0;
    const EXP_FLOOR: Self = -746.0;
    const TINY: Self = 1.0 / 36_028_797_018_963_968.0;
    const NORMALISER: Self = 18_014_398_509_481_984.0;
    const NORMALISER_LOG2: Self = 54.0;
    const EXP: &'static [Self] = &[
        0.166_666_666_666_666_77,
        0.041_666_666_666_666_574,
        0.008_333_333_333_322_146,
        0.001_388_888_888_894_273_5,
        0.000_198_412_698_849_825_17,
        2.480_158_719_811_323e-5,
        2.755_724_524_913_236_4e-6,
        2.755_738_710_000_841e-7,
        2.510_870_368_014_028_3e-8,
        2.087_890_765_785_587e-9,
    ];
    const LN: &'static [Self] = &[
        0.666_666_666_666_673_4,
        0.399_999_999_994_155_03,
        0.285_714_287_422_275_5,
        0.222_221_985_872_096_57,
        0.181_835_637_193_635_44,
        0.153_140_630_425_235_07,
        0.147_958_540_700_921_43,
    ];
    const TANH: &'static [Self] = &[
        -0.333_333_333_333_328_54,
        0.133_333_333_332_619_32,
        -0.053_968_253_931_194_2,
        0.021_869_487_574_417_965,
        -0.008_863_220_980_753_13,
        0.003_591_988_997_940_846,
        -0.001_454_957_977_327_42,
        0.000_586_313_595_316_964,
        -0.000_228_558_260_037_914_4,
        7.713_759_733_616_442e-5,
        -1.606_925_549_957_589_8e-5,
    ];
    impl_bits!(f64, 52, 27, 0x3fe6_a09e_667f_3bcd);
}
