//! Neurons: activation functions and the scalar ν of their response metric.

/// An element-wise activation function a = f(t).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation<T> {
    /// f(t) = t.
    Linear,
    /// f(t) = tanh t.
    Tanh,
    /// f(t) = 1/(1 + e⁻ᵗ).
    Sigm,
    /// f(t) = t for t > 0, `leak`·t otherwise.
    Relu {
        /// The slope ι ∈ [0, 1) of the negative side.
        leak: T,
    },
    /// f(t) = t for t ≥ 0, α(eᵗ − 1) otherwise.
    Elu {
        /// The magnitude α of the negative saturation.
        alpha: T,
    },
}

/// The response model of a neuron, which fixes ν_f(t) (S4; MATH.md §2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Response<T> {
    /// y ∈ {−1, 1}, p(y = 1) = (1 + tanh t)/2: ν = sech² t.
    Tanh,
    /// y ∈ {0, 1}, p(y = 1) = sigm t: ν = sigm t (1 − sigm t).
    Sigm,
    /// y ~ G(relu_ω(t), σ²); `smoothing` ω ≥ 0, 0 being the limit.
    Relu {
        /// The slope ι ∈ [0, 1) of the negative side.
        leak: T,
        /// The smoothing width ω ≥ 0.
        smoothing: T,
        /// The standard deviation σ > 0.
        sigma: T,
    },
    /// y ~ G(elu(t), σ²).
    Elu {
        /// The magnitude α of the negative saturation.
        alpha: T,
        /// The standard deviation σ > 0.
        sigma: T,
    },
    /// y ~ G(t, σ²): ν = σ⁻².
    Linear {
        /// The standard deviation σ > 0.
        sigma: T,
    },
    /// y ~ G(f(t), σ²) for any activation f: ν = σ⁻² f′(t)².
    Gaussian {
        /// The activation f.
        activation: Activation<T>,
        /// The standard deviation σ > 0.
        sigma: T,
    },
}
