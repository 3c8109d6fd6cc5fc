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
//! | `kron.inverse_root`, `kron.fractional_power` | (G ⊗ A + λI)^−½ v, (G ⊗ A + λI)^−¼ v | `in.g`, `in.a`, `in.v` |
//! | `kron.log_determinant` | ln det(G ⊗ A + λI) | `in.g`, `in.a` |
//! | `kron.sum_solve` | (G ⊗ A + H ⊗ B)⁻¹v | `in.g`, `in.a`, `in.h`, `in.b`, `in.v` |
//! | `factor.cholesky`, `factor.eigenvalues`, `factor.eigenvectors` | of S | `in.s` |
//! | `factor.solve`, `factor.inverse`, `factor.inverse_fourth_root` | (S + λI)⁻¹r, (S + λI)⁻¹, (S + λI)^−¼ | `in.s`, `in.r` |
//! | `sparse.selection` | u (n, m·d̃): of vec(δx̃ᵀ) the ⌈q·m·d̃⌉ largest entries by magnitude, q = 3/8, of equal ones the first, else 0 | `in.delta`, `in.x` |
//! | `sparse.metric.<mean>` | √g (m·d̃): g_j the mean of u_j² over all samples (`arithmetic`; `power`, p = ½), over those that keep j (`geometric`, `harmonic`); 0 where none does | `in.delta`, `in.x` |
//! | `sparse.embedding.<mean>` | ψ = u/√(g + λ) (n, m·d̃) | `in.delta`, `in.x` |
//! | `sparse.kernel`, `sparse.joint` | (n, n): uᵀ(diag g + λI)⁻¹u with the arithmetic g; (m·d̃, m·d̃): (1/n) Σ uuᵀ | `in.delta`, `in.x` |
//! | `stats.square_norms`, `stats.products` | ‖u‖² and ⟨u, ū⟩ (n) of u = vec(δx̃ᵀ), ū their mean | `in.drift` (δ), `in.x` |
//! | `stats.mean_norm`, `stats.second_moment`, `stats.alignment` | means of ‖u‖, ‖u‖², cos(u, ū) | the same |
//! | `stats.variance`, `stats.signal` | Σ‖u − ū‖²/(n − 1); the mean of ⟨u_s, u_t⟩ over s ≠ t | the same |
//! | `stats.noise_scale`, `stats.signal_to_noise` | variance/signal, n·signal/variance | the same |
//! | `stats.cosine` | of the first two rows of V | `in.v` |
//! | `stats.subspace_share`, `stats.subspace_overlap` | vᵀPv/vᵀv, tr(PR)/2: v the first row of V, P and R the projectors on the first two rows of Q_A and Q_B | `in.v`, `in.q_a`, `in.q_b` |
//! | `stats.frobenius_error`, `stats.frobenius_cosine` | ‖A − B‖/‖B‖, ⟨A, B⟩/(‖A‖‖B‖) | `in.a`, `in.b` |
//! | `stats.quadrature`, `stats.density` | rᵀ ln(S) r/rᵀr, r the first column of R; the eigenvalues of S weighted by r, widened to a deviation of ½, on a grid | `in.s`, `in.r`, `in.grid` |
//! | `laplace.log_determinant`, `laplace.effective_parameters` | ln det P, tr(P⁻¹(P − λI)), P = n(G ⊗ A) + λI | `in.g`, `in.a` |
//! | `laplace.covariance` | P⁻¹: that of the draws | `in.g`, `in.a` |
//! | `laplace.predictive` | (n, m, m): JP⁻¹Jᵀ of the layer W̃x̃ | `in.g`, `in.a`, `in.x` |
//! | `laplace.log_marginal` | ln N(y; 0, I + X̃X̃ᵀ/λ), y the first column of δ | `in.x`, `in.delta` |
//! | `low_rank.step`, `low_rank.root`, `low_rank.log_determinant` | (C + λI)⁻¹v and (C + λI)^−½ v of each row of V, ln det(C + λI); C = A₁₁q₁q₁ᵀ + A₂₂q₂q₂ᵀ, q the rows of Q_A | `in.q_a`, `in.a`, `in.v` |
//! | `step.sample_space` | (F + λI)⁻¹v, F = (1/n) Σ vec(δx̃ᵀ) vec(δx̃ᵀ)ᵀ, by way of the n × n Gram matrix | `in.x`, `in.delta`, `in.v` |
//! | `step.length` | vᵀv/vᵀ(F + λI)v: the minimum of the quadratic model along v | the same |
//! | `step.determinantal` | ((1/n) Σ x̃x̃ᵀ + λI)⁻¹v, v the first row of V: the average over all 2ⁿ subsets of samples with twice their weight | `in.x`, `in.v` |
//! | `step.mixed` | (2, m, d̃): W̃ − ½g and C − (F + λI)⁻¹g after a step of C tanh(W̃x̃) with the loss ½\|f − y\|²: each layer with its own rule, F the Gauss–Newton block of C, y the rows of δ | `in.x`, `in.w`, `in.c`, `in.delta` |
//! | `step.recycled` | (F + λI)⁻¹v, F the part of the Gauss–Newton matrix of the layer W̃x̃ with its 2m largest eigenvalues, whatever later batches hold | `in.x`, `in.v` |
//! | `step.channels` | (m, 2): (B + λI)^−¼ u, the blocks B of m channels the leading 2 × 2 corners of G, H, A and B, u the first two elements of the rows of V | `in.g`, `in.h`, `in.a`, `in.b`, `in.v` |
//! | `step.reduction_ratio` | (3): (L(θ + δ) − L(θ))/(gᵀδ + ½δᵀFδ) of the network and loss of `step.mixed`, θ = (W̃, C): δ = −½g, (V, V), −2g | `in.x`, `in.w`, `in.c`, `in.delta`, `in.v` |
//! | `step.damping` | (3): λ after each of them: λω⁵ above a ratio of ¾, λ/ω⁵ below ¼, ω = 19/20 | the same |
//! | `prune.obd` | (m, d̃): ½δᵀ(G ⊗ A)δ when one weight of V goes and the others stay | `in.g`, `in.a`, `in.v` |
//! | `prune.obs` | (m, d̃): the same at its minimum over the other weights, with (G + λI) ⊗ (A + λI) | `in.g`, `in.a`, `in.v` |
//! | `prune.obs_weights`, `prune.obs_joint` | V without its second weight, at that minimum; V without six weights, with G ⊗ A + λI | `in.g`, `in.a`, `in.v` |
//! | `prune.woodfisher`, `prune.woodfisher_weights` | (F + λI)⁻¹; V without six weights, with F + λI | `in.x`, `in.delta`, `in.v` |

mod algebra;
mod compare;
mod dual;
mod inputs;
mod metric;
mod neuron;
mod posterior;
mod prune;
mod sparse;
mod statistics;
mod tolerance;
mod training;

pub use compare::{compare, rows, unit};
pub use inputs::{DAMPING, DEVIATION, FRACTION, INPUTS, OUTPUTS, POWER, RANK, REMOVED, SAMPLES};
pub use neuron::{ACTIVATIONS, Activation, Answering, Function, NEURONS, Neuron};
pub use sparse::{MEANS, Mean};
pub use training::{CHANGES, CHANNELS, DECAY, INTERVAL, RATE};

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
        sparse::expect(&inputs, &mut expected);
        statistics::expect(&inputs, &mut expected);
        posterior::expect(&inputs, &mut expected);
        training::expect(&inputs, &mut expected);
        prune::expect(&inputs, &mut expected);
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
