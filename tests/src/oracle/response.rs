//! Log-likelihoods of the response models, written from their description and generic over
//! [`Number`], and the metrics that follow from the definition alone.

use super::dense::Matrix;
use super::dual::{First, Number, constants};
use super::{enumeration, quadrature};

/// An element-wise function of a pre-activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// t.
    Linear,
    /// tanh t.
    Tanh,
    /// 1/(1 + e⁻ᵗ).
    Sigm,
    /// max(t, ι t).
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

impl Function {
    /// f(t).
    pub fn at<N: Number>(self, t: N) -> N {
        match self {
            Function::Linear => t,
            Function::Tanh => t.tanh(),
            Function::Sigm => t.sigm(),
            Function::Relu { leak } => {
                if t.value() >= 0.0 {
                    t
                } else {
                    t.scale(leak)
                }
            }
            Function::SmoothRelu { leak, smoothing } => {
                N::log_sum_exp(&[t.scale(leak / smoothing), t.scale(1.0 / smoothing)])
                    .scale(smoothing)
            }
            Function::Elu { alpha } => {
                if t.value() >= 0.0 {
                    t
                } else {
                    t.exp().shift(-1.0).scale(alpha)
                }
            }
        }
    }
}

/// How a vector of outputs u (pre-activations or logits) answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Model {
    /// y_j ∈ {−1, 1}, p(y_j = 1) = (1 + tanh u_j)/2, independent.
    Sign,
    /// y_j ∈ {0, 1}, p(y_j = 1) = sigm u_j, independent.
    Bernoulli,
    /// One class, p(y = k) = softmax(u)_k.
    Categorical,
    /// y ~ G(u, σ²I); apply the neuron's function before.
    Gaussian {
        /// σ.
        sigma: f64,
    },
}

/// ln of the density of G(mean, σ²) at y.
pub fn mean_log_likelihood<N: Number>(y: f64, mean: N, sigma: f64) -> N {
    let r = (-mean).shift(y).scale(1.0 / sigma);
    (r * r).scale(-0.5).shift(-(sigma * core::f64::consts::TAU.sqrt()).ln())
}

impl Model {
    /// ln p(y | u); a class is `y = [k]`.
    pub fn log_likelihood<N: Number>(self, y: &[f64], u: &[N]) -> N {
        match self {
            // (1 + y tanh u)/2 = sigm(2 y u).
            Model::Sign => N::sum(
                &u.iter().zip(y).map(|(u, y)| u.scale(2.0 * y).ln_sigm()).collect::<Vec<N>>(),
            ),
            Model::Bernoulli => N::sum(
                &u.iter().zip(y).map(|(u, y)| u.scale(2.0 * y - 1.0).ln_sigm()).collect::<Vec<N>>(),
            ),
            Model::Categorical => u[y[0] as usize] - N::log_sum_exp(u),
            Model::Gaussian { sigma } => N::sum(
                &u.iter()
                    .zip(y)
                    .map(|(u, y)| mean_log_likelihood(*y, *u, sigma))
                    .collect::<Vec<N>>(),
            ),
        }
    }

    /// E_{p(y|θ)}[∂ln p ∂ln pᵀ] with u = `output(θ)`: outcomes enumerated, or quadrature for a
    /// Gaussian; scores by dual numbers.
    pub fn fisher(self, output: impl Fn(&[First]) -> Vec<First>, theta: &[f64]) -> Matrix {
        let u: Vec<f64> = output(&constants(theta)).iter().map(|u| u.v).collect();
        let log_p = |y: &[f64], t: &[First]| self.log_likelihood(y, &output(t));
        match self {
            Model::Sign => enumeration::fisher(
                enumeration::product(&[-1.0, 1.0], u.len()),
                |y, t| log_p(y, t),
                theta,
            ),
            Model::Bernoulli => enumeration::fisher(
                enumeration::product(&[0.0, 1.0], u.len()),
                |y, t| log_p(y, t),
                theta,
            ),
            Model::Categorical => {
                enumeration::fisher((0..u.len()).map(|k| k as f64), |y, t| log_p(&[*y], t), theta)
            }
            Model::Gaussian { sigma } => quadrature::fisher(&u, sigma, log_p, theta),
        }
    }
}

/// W̃ x̃ with W̃ (m, d̃) row-major in `weights`.
pub fn linear<N: Number>(weights: &[N], x: &[N]) -> Vec<N> {
    weights.chunks_exact(x.len()).map(|w| N::dot(w, x)).collect()
}

/// [x ; 1].
pub fn augment<N: Number>(x: &[N]) -> Vec<N> {
    let mut x = x.to_vec();
    x.push(N::constant(1.0));
    x
}
