//! The precision of a computation.

use serde::{Deserialize, Serialize};

/// The dtype that numbers were computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Double precision.
    F64,
    /// Single precision.
    F32,
}

impl Dtype {
    /// The name for `--dtype`.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F64 => "f64",
            Dtype::F32 => "f32",
        }
    }

    /// ε, the distance from 1 to the next number.
    pub fn epsilon(self) -> f64 {
        match self {
            Dtype::F64 => f64::EPSILON,
            Dtype::F32 => f64::from(f32::EPSILON),
        }
    }

    /// The distance between the numbers of this type around `x`, in f64; of subnormal ones for a
    /// tiny `x`.
    pub fn ulp(self, x: f64) -> f64 {
        let (least, digits) = match self {
            Dtype::F64 => (-1022, 52),
            Dtype::F32 => (-126, 23),
        };
        let bits = ((x.abs().to_bits() >> 52) & 0x7ff) as i32;
        let exponent = (bits - 1023).max(least);
        // 2^exponent and 2^−digits are normal numbers, their product may be subnormal.
        2.0_f64.powi(exponent) * 2.0_f64.powi(-digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_in_the_last_place() {
        assert_eq!(Dtype::F64.ulp(1.0), f64::EPSILON);
        assert_eq!(Dtype::F64.ulp(-1.999), f64::EPSILON);
        assert_eq!(Dtype::F32.ulp(4.0), 4.0 * f64::from(f32::EPSILON));
        assert_eq!(Dtype::F32.ulp(0.0), f64::from(f32::from_bits(1)));
        assert_eq!(Dtype::F32.ulp(1e-40), f64::from(f32::from_bits(1)));
        assert_eq!(Dtype::F64.ulp(0.0), f64::from_bits(1));
        for x in [0.3_f32, 7.5e-20, 123456.0] {
            let next = f64::from(f32::from_bits(x.to_bits() + 1));
            assert_eq!(Dtype::F32.ulp(f64::from(x)), next - f64::from(x));
        }
    }
}
