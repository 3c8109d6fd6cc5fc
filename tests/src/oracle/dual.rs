//! Dual numbers: derivatives of ordinary expressions, exact to rounding.
//!
//! [`Dual<f64>`] carries one derivative, `Dual<Dual<f64>>` a second one. Write the expression once,
//! generic over [`Number`], and pass it as a closure:
//!
//! ```
//! use relfisher_tests::oracle::dual::{Number, gradient, hessian};
//! fn f<N: Number>(x: &[N]) -> N {
//!     x[0] * x[1].tanh()
//! }
//! let g = gradient(|x| f(x), &[2.0, 0.0]);
//! assert_eq!(g, [0.0, 2.0]);
//! assert_eq!(hessian(|x| f(x), &[2.0, 0.0])[1], 1.0);
//! ```

use core::ops::{Add, Div, Mul, Neg, Sub};

/// What an expression under differentiation may do.
pub trait Number:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// A constant.
    fn constant(x: f64) -> Self;
    /// The value without derivatives (for branches).
    fn value(self) -> f64;
    /// eˣ.
    fn exp(self) -> Self;
    /// ln x.
    fn ln(self) -> Self;
    /// tanh x.
    fn tanh(self) -> Self;
    /// √x.
    fn sqrt(self) -> Self;
    /// sin x.
    fn sin(self) -> Self;
    /// cos x.
    fn cos(self) -> Self;

    /// x·c.
    fn scale(self, c: f64) -> Self {
        self * Self::constant(c)
    }
    /// x + c.
    fn shift(self, c: f64) -> Self {
        self + Self::constant(c)
    }
    /// ln(1 + eˣ) without overflow.
    fn softplus(self) -> Self {
        if self.value() > 0.0 {
            self + (-self).exp().shift(1.0).ln()
        } else {
            self.exp().shift(1.0).ln()
        }
    }
    /// ln sigm x.
    fn ln_sigm(self) -> Self {
        -(-self).softplus()
    }
    /// sigm x.
    fn sigm(self) -> Self {
        Self::constant(1.0) / (-self).exp().shift(1.0)
    }
    /// The sum of a slice.
    fn sum(x: &[Self]) -> Self {
        x.iter().fold(Self::constant(0.0), |s, v| s + *v)
    }
    /// Σ a_i b_i over the shorter length.
    fn dot(a: &[Self], b: &[Self]) -> Self {
        a.iter().zip(b).fold(Self::constant(0.0), |s, (p, q)| s + *p * *q)
    }
    /// ln Σ e^{x_i} without overflow.
    fn log_sum_exp(x: &[Self]) -> Self {
        let top = x.iter().fold(f64::NEG_INFINITY, |m, v| m.max(v.value()));
        let s = x.iter().fold(Self::constant(0.0), |s, v| s + v.shift(-top).exp());
        s.ln().shift(top)
    }
}

impl Number for f64 {
    fn constant(x: f64) -> Self {
        x
    }
    fn value(self) -> f64 {
        self
    }
    fn exp(self) -> Self {
        f64::exp(self)
    }
    fn ln(self) -> Self {
        f64::ln(self)
    }
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    fn sin(self) -> Self {
        f64::sin(self)
    }
    fn cos(self) -> Self {
        f64::cos(self)
    }
}

/// v + d·ε with ε² = 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dual<N> {
    /// The value.
    pub v: N,
    /// The derivative.
    pub d: N,
}

impl<N: Number> Dual<N> {
    /// The variable of differentiation: derivative 1.
    pub fn variable(v: N) -> Self {
        Self { v, d: N::constant(1.0) }
    }
    /// A number with derivative 0.
    pub fn fixed(v: N) -> Self {
        Self { v, d: N::constant(0.0) }
    }
}

impl<N: Number> Add for Dual<N> {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self { v: self.v + o.v, d: self.d + o.d }
    }
}
impl<N: Number> Sub for Dual<N> {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Self { v: self.v - o.v, d: self.d - o.d }
    }
}
impl<N: Number> Mul for Dual<N> {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        Self { v: self.v * o.v, d: self.d * o.v + self.v * o.d }
    }
}
impl<N: Number> Div for Dual<N> {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        let q = self.v / o.v;
        Self { v: q, d: (self.d - q * o.d) / o.v }
    }
}
impl<N: Number> Neg for Dual<N> {
    type Output = Self;
    fn neg(self) -> Self {
        Self { v: -self.v, d: -self.d }
    }
}

impl<N: Number> Number for Dual<N> {
    fn constant(x: f64) -> Self {
        Self::fixed(N::constant(x))
    }
    fn value(self) -> f64 {
        self.v.value()
    }
    fn exp(self) -> Self {
        let e = self.v.exp();
        Self { v: e, d: e * self.d }
    }
    fn ln(self) -> Self {
        Self { v: self.v.ln(), d: self.d / self.v }
    }
    fn tanh(self) -> Self {
        // d/dx tanh = 4/(eˣ + e⁻ˣ)², accurate in the tails.
        let c = self.v.exp() + (-self.v).exp();
        Self { v: self.v.tanh(), d: self.d * N::constant(4.0) / (c * c) }
    }
    fn sqrt(self) -> Self {
        let r = self.v.sqrt();
        Self { v: r, d: self.d / r.scale(2.0) }
    }
    fn sin(self) -> Self {
        Self { v: self.v.sin(), d: self.d * self.v.cos() }
    }
    fn cos(self) -> Self {
        Self { v: self.v.cos(), d: -(self.d * self.v.sin()) }
    }
}

/// One derivative.
pub type First = Dual<f64>;
/// Two derivatives.
pub type Second = Dual<Dual<f64>>;

/// `constants(x)`: the same numbers with derivative 0.
pub fn constants<N: Number>(x: &[f64]) -> Vec<N> {
    x.iter().map(|v| N::constant(*v)).collect()
}

/// (∂f/∂x_i) at x.
pub fn gradient(f: impl Fn(&[First]) -> First, x: &[f64]) -> Vec<f64> {
    let mut at: Vec<First> = constants(x);
    (0..x.len())
        .map(|i| {
            at[i].d = 1.0;
            let g = f(&at).d;
            at[i].d = 0.0;
            g
        })
        .collect()
}

/// (∂f_o/∂x_i) at x, row-major, outputs × inputs.
pub fn jacobian(f: impl Fn(&[First]) -> Vec<First>, x: &[f64]) -> Vec<f64> {
    let mut at: Vec<First> = constants(x);
    let columns: Vec<Vec<f64>> = (0..x.len())
        .map(|i| {
            at[i].d = 1.0;
            let column = f(&at).iter().map(|y| y.d).collect();
            at[i].d = 0.0;
            column
        })
        .collect();
    let outputs = columns.first().map_or(0, Vec::len);
    (0..outputs).flat_map(|o| columns.iter().map(move |c| c[o])).collect()
}

/// (∂²f/∂x_i∂x_j) at x, row-major, both triangles.
pub fn hessian(f: impl Fn(&[Second]) -> Second, x: &[f64]) -> Vec<f64> {
    let mut at: Vec<Second> = constants(x);
    let d = x.len();
    let mut h = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..=i {
            at[i].d.v += 1.0;
            at[j].v.d += 1.0;
            let second = f(&at).d.d;
            at[i].d.v = 0.0;
            at[j].v.d = 0.0;
            h[i * d + j] = second;
            h[j * d + i] = second;
        }
    }
    h
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::assert_close;
    use crate::oracle::finite_difference;
    use crate::tolerance::Oracle;

    fn f<N: Number>(x: &[N]) -> N {
        (x[0] * x[1]).tanh() + x[2].exp() / (x[0] * x[0]).shift(1.0).sqrt() + x[1].softplus().ln()
            - x[2].sigm() * x[0].sin() * x[1].cos()
            + N::log_sum_exp(x)
            - x[0].ln_sigm()
    }

    #[test]
    fn against_differences() {
        let x = [0.7, -1.3, 0.4];
        let want = finite_difference::gradient(f, &x);
        assert_close("gradient", &gradient(f, &x), &want, "oracle", Oracle::FiniteDifference, 3);
        let h = hessian(f, &x);
        let want: Vec<f64> = finite_difference::jacobian(|x| gradient(f, x), &x);
        assert_close("hessian", &h, &want, "oracle", Oracle::FiniteDifference, 3);
        let j = jacobian(|x| vec![f(x), x[0] * x[1]], &x);
        assert_eq!(j[3..], [-1.3, 0.7, 0.0]);
    }
}
