//! Derivatives by dual numbers over [`Double`].

use crate::double_double::Double;

/// v + v′ε with ε² = 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dual {
    pub(super) value: Double,
    pub(super) slope: Double,
}

impl Dual {
    /// The variable at t.
    pub(super) fn variable(t: f64) -> Self {
        Self { value: Double::from(t), slope: Double::from(1.0) }
    }

    pub(super) fn constant(x: Double) -> Self {
        Self { value: x, slope: Double::from(0.0) }
    }

    pub(super) fn plus(self, b: Self) -> Self {
        Self { value: self.value + b.value, slope: self.slope + b.slope }
    }

    pub(super) fn minus(self, b: Self) -> Self {
        self.plus(b.times_number(-1.0))
    }

    pub(super) fn times(self, b: Self) -> Self {
        Self { value: self.value * b.value, slope: self.slope * b.value + self.value * b.slope }
    }

    pub(super) fn times_number(self, c: f64) -> Self {
        self.times(Self::constant(Double::from(c)))
    }

    pub(super) fn over(self, b: Self) -> Self {
        let value = self.value / b.value;
        Self { value, slope: (self.slope - value * b.slope) / b.value }
    }

    pub(super) fn exp(self) -> Self {
        let value = self.value.exp();
        Self { value, slope: value * self.slope }
    }

    pub(super) fn ln_1p(self) -> Self {
        let above = Double::from(1.0) + self.value;
        Self { value: self.value.ln_1p(), slope: self.slope / above }
    }

    pub(super) fn exp_m1(self) -> Self {
        Self { value: self.value.exp_m1(), slope: self.value.exp() * self.slope }
    }
}
