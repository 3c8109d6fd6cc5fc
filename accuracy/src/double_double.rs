//! Numbers of about 100 bits as unevaluated sums of two f64, and the elementary functions on them
//! by plain Taylor series: the reference for functions that are accurate to an ulp of f64.

use core::ops::{Add, Div, Mul, Neg, Sub};

/// hi + lo with |lo| ≤ ½ ulp(hi).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Double {
    /// The sum, rounded.
    pub hi: f64,
    /// What the rounding lost.
    pub lo: f64,
}

fn quick_sum(a: f64, b: f64) -> Double {
    let hi = a + b;
    Double { hi, lo: b - (hi - a) }
}

fn sum(a: f64, b: f64) -> Double {
    let hi = a + b;
    let t = hi - a;
    Double { hi, lo: (a - (hi - t)) + (b - t) }
}

impl From<f64> for Double {
    fn from(x: f64) -> Self {
        Double { hi: x, lo: 0.0 }
    }
}

impl Add for Double {
    type Output = Self;
    fn add(self, b: Self) -> Self {
        let (s, t) = (sum(self.hi, b.hi), sum(self.lo, b.lo));
        let c = quick_sum(s.hi, s.lo + t.hi);
        quick_sum(c.hi, c.lo + t.lo)
    }
}

impl Neg for Double {
    type Output = Self;
    fn neg(self) -> Self {
        Double { hi: -self.hi, lo: -self.lo }
    }
}

impl Sub for Double {
    type Output = Self;
    fn sub(self, b: Self) -> Self {
        self + -b
    }
}

impl Mul for Double {
    type Output = Self;
    fn mul(self, b: Self) -> Self {
        let p = self.hi * b.hi;
        let e = self.hi.mul_add(b.hi, -p);
        quick_sum(p, e + (self.hi * b.lo + self.lo * b.hi))
    }
}

impl Div for Double {
    type Output = Self;
    fn div(self, b: Self) -> Self {
        let q1 = self.hi / b.hi;
        let r = self - Double::from(q1) * b;
        let q2 = r.hi / b.hi;
        let r = r - Double::from(q2) * b;
        quick_sum(q1, q2) + Double::from(r.hi / b.hi)
    }
}

const LN_2: Double = Double { hi: core::f64::consts::LN_2, lo: 2.3190468138462996e-17 };
const ONE: Double = Double { hi: 1.0, lo: 0.0 };

impl Double {
    /// The product with a power of two.
    pub fn scale(self, factor: f64) -> Self {
        Double { hi: self.hi * factor, lo: self.lo * factor }
    }

    /// |self|.
    pub fn abs(self) -> Self {
        if self.hi < 0.0 { -self } else { self }
    }

    /// (eʳ − 1, n) with self = n ln 2 + r.
    fn reduced_exp_m1(self) -> (Self, i32) {
        if self.hi.abs() < 1e-40 {
            return (self, 0);
        }
        let n = (self.hi / LN_2.hi).round();
        let r = (self - Double::from(n) * LN_2).scale(1.0 / 256.0);
        // Horner form of r + r²/2! + … + r¹¹/11!
        let mut p = ONE;
        for k in (2..=11).rev() {
            p = ONE + r * p / Double::from(f64::from(k));
        }
        let mut e = r * p;
        for _ in 0..8 {
            e = e * (e + Double::from(2.0));
        }
        (e, n as i32)
    }

    /// eˣ for results far from overflow and underflow.
    pub fn exp(self) -> Self {
        let (e, n) = self.reduced_exp_m1();
        (e + ONE).scale(2.0_f64.powi(n))
    }

    /// eˣ − 1.
    pub fn exp_m1(self) -> Self {
        let (e, n) = self.reduced_exp_m1();
        let s = 2.0_f64.powi(n);
        e.scale(s) + (Double::from(s) - ONE)
    }

    /// ln self: one Newton step on that of f64.
    pub fn ln(self) -> Self {
        let y = Double::from(self.hi.ln());
        // ln x = y + ln(x e⁻ʸ)
        let w = self * (-y).exp() - ONE;
        y + (w - (w * w).scale(0.5))
    }

    /// ln(1 + self).
    pub fn ln_1p(self) -> Self {
        let x = self;
        if x.hi.abs() < 1e-4 {
            let mut p = Double::from(0.0);
            for k in (1..=10).rev() {
                p = ONE / Double::from(f64::from(k)) - x * p;
            }
            return x * p;
        }
        (ONE + x).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_to_thirty_digits() {
        // e and ln 10 to 32 digits, split by decimal arithmetic.
        let e = Double::from(1.0).exp();
        assert_eq!(e.hi, core::f64::consts::E);
        assert!((e.lo - 1.4456468917292502e-16).abs() < 1e-30);
        let l = Double::from(10.0).ln();
        assert_eq!(l.hi, core::f64::consts::LN_10);
        assert!((l.lo + 2.1707562233822494e-16).abs() < 1e-29);
    }
}
