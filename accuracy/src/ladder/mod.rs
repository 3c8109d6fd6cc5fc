//! The reference ladder: what the formulas of the core must give, computed from definitions.
//!
//! Sums over outcomes and quadrature with scores by dual numbers in some 100 bits, dense matrices and
//! plain loops in f64; no closed form that is to be checked. All inputs are exact in f32, so that both
//! dtypes solve the same problem.
//!
//! | row | what | inputs |
//! | --- | --- | --- |
//! | `nu.<neuron>` | ν(t) = E[(∂ ln p(y \| t)/∂t)²] | `in.t` |
//! | `activation.<f>`, `slope.<f>` | f(t), f′(t) | `in.t` |
//! | `softmax` | softmax(W̃x̃) for each sample | `in.x`, `in.w` |
//! | `rfim.<neuron>` | (m, d̃, d̃): mean over the samples of E[∂ ln p ∂ ln pᵀ] for each row of W̃ | `in.x`, `in.w` |
//! | `rfim.softmax` | (m·d̃, m·d̃): the same for classes | `in.x`, `in.w` |
//! | `rfim.two_layer` | (m·d̃, m·d̃): the same of W̃ seen from the classes softmax(C tanh(W̃x̃)) | `in.x`, `in.w`, `in.c` |
//! | `rfim_solve.block`, `rfim_solve.sample` | (Ḡ + λI)⁻¹v, Ḡ that of tanh neurons, λ = ⅛ | `in.x`, `in.w`, `in.v` |
//! | `output.hessian` | (n, m, m): E[(e_y − p)(e_y − p)ᵀ] | `in.x`, `in.w` |
//! | `kfac.A`, `kfac.G` | (1/n) Σ x̃x̃ᵀ, (1/n) Σ δδᵀ | `in.x`, `in.delta` |
//! | `ef_block` | (m·d̃, m·d̃): (1/n) Σ vec(δx̃ᵀ) vec(δx̃ᵀ)ᵀ | `in.x`, `in.delta` |
//! | `ekfac.lambda` | (1/n) Σ (Q_Gᵀ δx̃ᵀ Q_A)∘² | `in.x`, `in.delta`, `in.q_g`, `in.q_a` |
//! | `kron.apply` | (G ⊗ A)v | `in.g`, `in.a`, `in.v` |
//! | `kron.solve_exact`, `kron.solve_pi`, `kron.solve_factored` | (G ⊗ A + λI)⁻¹v; with the damping split; ((G + λI) ⊗ (A + λI))⁻¹v | `in.g`, `in.a`, `in.v` |
//! | `kron.inverse_root` | (G ⊗ A + λI)^−½ v | `in.g`, `in.a`, `in.v` |
//! | `kron.log_determinant` | ln det(G ⊗ A + λI) | `in.g`, `in.a` |
//! | `kron.sum_solve` | (G ⊗ A + H ⊗ B)⁻¹v | `in.g`, `in.a`, `in.h`, `in.b`, `in.v` |
//! | `factor.cholesky`, `factor.eigenvalues`, `factor.eigenvectors` | of S | `in.s` |
//! | `factor.solve`, `factor.inverse`, `factor.inverse_fourth_root` | (S + λI)⁻¹r, (S + λI)⁻¹, (S + λI)^−¼ | `in.s`, `in.r` |

mod algebra;
mod compare;
mod dual;
mod inputs;
mod metric;
mod neuron;
mod tolerance;

pub use compare::{compare, rows, unit};
pub use inputs::{DAMPING, INPUTS, OUTPUTS, SAMPLES};
pub use neuron::{ACTIVATIONS, Activation, Answering, Function, NEURONS, Neuron};

use crate::tensors::Tensors;

/// The problems and what must come out.
#[derive(Clone, Debug)]
pub struct Ladder {
    /// `in.…`, exact in f32.
    pub inputs: Tensors,
    /// The references, rounded to f64.
    pub expected: Tensors,
}

impl Ladder {
    /// Computes all references.
    pub fn new() -> Self {
        let inputs = inputs::tensors();
        let mut expected = Tensors::default();
        neuron::expect(&inputs, &mut expected);
        metric::expect(&inputs, &mut expected);
        algebra::expect(&inputs, &mut expected);
        Self { inputs, expected }
    }
}

impl Default for Ladder {
    fn default() -> Self {
        Self::new()
    }
}

/// The elements of an input.
fn input<'a>(inputs: &'a Tensors, name: &str) -> &'a [f64] {
    inputs.get(name).map_or(&[], |tensor| &tensor.data)
}
