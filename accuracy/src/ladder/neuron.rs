//! Neurons from their description: a log-likelihood of the answer y given the pre-activation t.

use super::dual::Dual;
use super::input;
use crate::double_double::Double;
use crate::tensors::Tensors;

/// An element-wise function of the pre-activation t.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// t.
    Linear,
    /// tanh t.
    Tanh,
    /// 1/(1 + e⁻ᵗ).
    Sigm,
    /// t for t ≥ 0, ιt below.
    Relu {
        /// ι.
        leak: f64,
    },
    /// ω ln(e^{ιt/ω} + e^{t/ω}).
    SmoothRelu {
        /// ι.
        leak: f64,
        /// ω.
        smoothing: f64,
    },
    /// t for t ≥ 0, α(eᵗ − 1) below.
    Elu {
        /// α.
        alpha: f64,
    },
}

/// How a neuron answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answering {
    /// y ∈ {−1, 1}, p(y = 1) = (1 + tanh t)/2.
    Sign,
    /// y ∈ {0, 1}, p(y = 1) = 1/(1 + e⁻ᵗ).
    Bernoulli,
    /// y ~ G(f(t), σ²).
    Gaussian {
        /// f.
        function: Function,
        /// σ.
        sigma: f64,
    },
}

/// A neuron of the ladder.
#[derive(Clone, Copy, Debug)]
pub struct Neuron {
    /// The name in rows.
    pub name: &'static str,
    /// How it answers.
    pub answering: Answering,
}

const fn gaussian(name: &'static str, function: Function, sigma: f64) -> Neuron {
    Neuron { name, answering: Answering::Gaussian { function, sigma } }
}

/// The neurons of `nu.…` and `rfim.…`; their parameters are exact in f32.
pub const NEURONS: [Neuron; 8] = [
    Neuron { name: "tanh", answering: Answering::Sign },
    Neuron { name: "sigm", answering: Answering::Bernoulli },
    gaussian("relu", Function::Relu { leak: 0.0 }, 0.5),
    gaussian("leaky_relu", Function::Relu { leak: 0.25 }, 1.0),
    gaussian("smooth_relu", Function::SmoothRelu { leak: 0.125, smoothing: 0.5 }, 1.0),
    gaussian("elu", Function::Elu { alpha: 0.75 }, 2.0),
    gaussian("linear", Function::Linear, 0.5),
    gaussian("gaussian_tanh", Function::Tanh, 0.5),
];

/// An activation function of the ladder.
#[derive(Clone, Copy, Debug)]
pub struct Activation {
    /// The name in rows.
    pub name: &'static str,
    /// f.
    pub function: Function,
}

/// The functions of `activation.…` and `slope.…`.
pub const ACTIVATIONS: [Activation; 4] = [
    Activation { name: "tanh", function: Function::Tanh },
    Activation { name: "sigm", function: Function::Sigm },
    Activation { name: "leaky_relu", function: Function::Relu { leak: 0.25 } },
    Activation { name: "elu", function: Function::Elu { alpha: 0.75 } },
];

impl Function {
    /// f(t) and f′(t).
    fn at(self, t: f64) -> Dual {
        self.of(Dual::variable(t))
    }

    /// f of a number with a derivative.
    pub(super) fn of(self, x: Dual) -> Dual {
        let t = x.value.hi;
        let one = Dual::constant(Double::from(1.0));
        let below = |leak: f64| if t >= 0.0 { x } else { x.times_number(leak) };
        match self {
            Function::Linear => x,
            // 1 − 2/(1 + e²ᵗ) for t > 0, and odd: nothing cancels but near 0.
            Function::Tanh => {
                let e = x.times_number(-2.0 * t.signum()).exp_m1();
                let e = e.times_number(-t.signum());
                e.over(x.times_number(-2.0 * t.signum()).exp().plus(one))
            }
            Function::Sigm => one.over(x.times_number(-1.0).exp().plus(one)),
            Function::Relu { leak } => below(leak),
            Function::SmoothRelu { leak, smoothing } => {
                // The larger exponent before the logarithm: t/ω for t > 0, ιt/ω below.
                let (large, small) = if t > 0.0 { (1.0, leak) } else { (leak, 1.0) };
                let rest = x.times_number((small - large) / smoothing).exp().ln_1p();
                x.times_number(large).plus(rest.times_number(smoothing))
            }
            Function::Elu { alpha } => {
                if t >= 0.0 {
                    x
                } else {
                    x.exp_m1().times_number(alpha)
                }
            }
        }
    }
}

/// √3: the outer nodes of the quadrature with three nodes.
fn root_three() -> Double {
    let near = Double::from(3.0_f64.sqrt());
    near + (Double::from(3.0) - near * near).scale(0.5) / near
}

impl Answering {
    /// The outcomes y at t with their probabilities and scores ∂ ln p(y | t)/∂t.
    ///
    /// A Gaussian has the three nodes 0, ±√3 of Gauss–Hermite quadrature, weights ⅔, ⅙, ⅙: exact for
    /// the score's square, a polynomial of degree 2 in y.
    pub(super) fn outcomes(self, t: f64) -> Vec<(Double, Double)> {
        // ln p = −ln(1 + e^{−kt}).
        let binary = |k: f64| {
            let log_p = Dual::variable(t).times_number(-k).exp().ln_1p().times_number(-1.0);
            (log_p.value.exp(), log_p.slope)
        };
        match self {
            // (1 ± tanh t)/2 = 1/(1 + e^{∓2t})
            Answering::Sign => [2.0, -2.0].map(binary).to_vec(),
            Answering::Bernoulli => [1.0, -1.0].map(binary).to_vec(),
            Answering::Gaussian { function, sigma } => {
                let mean = function.at(t);
                let third = Double::from(1.0) / Double::from(3.0);
                let node = |z: Double, weight: Double| {
                    // ln p = −(y − f(t))²/2σ² with y fixed.
                    let y = Dual::constant(mean.value + z * Double::from(sigma));
                    let away = y.minus(mean).times_number(1.0 / sigma);
                    let log_p = away.times(away).times_number(-0.5);
                    (weight, log_p.slope)
                };
                let z = root_three();
                let outer = third.scale(0.5);
                vec![node(Double::from(0.0), third.scale(2.0)), node(z, outer), node(-z, outer)]
            }
        }
    }

    /// ν(t) = Σ_y p(y) (∂ ln p(y)/∂t)².
    fn nu(self, t: f64) -> f64 {
        let terms = self.outcomes(t).into_iter().map(|(p, score)| p * score * score);
        terms.fold(Double::from(0.0), |sum, term| sum + term).hi
    }
}

/// `nu.…`, `activation.…`, `slope.…`.
pub(super) fn expect(inputs: &Tensors, expected: &mut Tensors) {
    let t = input(inputs, "in.t");
    let mut put = |name: String, f: &dyn Fn(f64) -> f64| {
        expected.insert(name, &[t.len()], t.iter().map(|&t| f(t)).collect());
    };
    for neuron in NEURONS {
        put(format!("nu.{}", neuron.name), &|t| neuron.answering.nu(t));
    }
    for Activation { name, function } in ACTIVATIONS {
        put(format!("activation.{name}"), &|t| function.at(t).value.hi);
        put(format!("slope.{name}"), &|t| function.at(t).slope.hi);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_and_scores_to_zero() {
        for neuron in NEURONS {
            for t in [-7.0, -0.25, 0.5, 3.0] {
                let outcomes = neuron.answering.outcomes(t);
                let zero = Double::from(0.0);
                let total = outcomes.iter().fold(zero, |sum, (p, _)| sum + *p);
                let mean = outcomes.iter().fold(zero, |sum, (p, score)| sum + *p * *score);
                assert!((total - Double::from(1.0)).abs().hi < 1e-28, "{neuron:?} {t}");
                assert!(mean.abs().hi < 1e-28, "{neuron:?} {t}");
            }
        }
    }

    #[test]
    fn values_that_are_known_by_hand() {
        let nu = |name: &str, t: f64| {
            let neuron = NEURONS.iter().find(|n| n.name == name).expect("a neuron");
            neuron.answering.nu(t)
        };
        // sech² t at t = ½ ln 3, tanh t = ½; sigm(1 − sigm) at ln 3, sigm = ¾.
        assert!((nu("tanh", 0.5 * 3.0_f64.ln()) - 0.75).abs() < 1e-15);
        assert!((nu("sigm", 3.0_f64.ln()) - 0.1875).abs() < 1e-15);
        assert!((nu("relu", 2.0) - 4.0).abs() < 1e-15 && nu("relu", -2.0) == 0.0);
        assert!((nu("leaky_relu", -2.0) - 0.0625).abs() < 1e-17);
        assert!((nu("smooth_relu", 0.0) - 0.5625 * 0.5625).abs() < 1e-15);
        assert!((nu("elu", -2.0_f64.ln()) - 0.25 * 0.375 * 0.375).abs() < 1e-16);
        assert!((nu("gaussian_tanh", 0.5 * 3.0_f64.ln()) - 4.0 * 0.75 * 0.75).abs() < 1e-15);
    }
}
