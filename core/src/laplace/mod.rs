//! The Laplace approximation: a Gaussian around the trained parameters whose precision is the
//! curvature of the loss.
//!
//! With N samples, their mean loss ℓ̄(θ) (the mean negative log-likelihood), its Gauss–Newton matrix C
//! at θ* and a Gaussian prior of precision τ, the posterior is about N(θ*, P⁻¹) with
//! **P = N·C + τI**. Every structure of C is a basis and its eigenvalues s: the identity (a diagonal),
//! U_G ⊗ U_A (Kronecker factors, also with EKFAC's corrected eigenvalues), eigenvectors of the whole
//! matrix (dense), a few of them (low rank, [`LowRank`](crate::curvature::LowRank)). In that basis P is
//! diagonal, N s + τ, and everything here is a function of these numbers:
//!
//! | what | formula | function |
//! | --- | --- | --- |
//! | log-determinant | Σ ln(N s_k + τ) | [`log_determinant`] |
//! | effective parameters | Σ N s_k/(N s_k + τ) | [`effective_parameters`] |
//! | log-marginal likelihood | −N ℓ̄ − ½τ‖θ*‖² + ½D ln τ − ½ ln det P | [`Evidence`] |
//! | a draw | θ* + U ε/√(N s + τ) | [`scale_draw`] |
//! | variance of the outputs | J P⁻¹ Jᵀ | [`predictive_covariance`] |
//! | predictive mean of a soft-max or sigmoid, roughly | f/√(1 + πv/8) | [`probit_logits`] |
//!
//! # Sources
//! D. MacKay, *A Practical Bayesian Framework for Backpropagation Networks*, 1992; H. Ritter, A. Botev,
//! D. Barber, *A Scalable Laplace Approximation for Neural Networks*, ICLR 2018 (Kronecker factors);
//! A. Immer, M. Korzepa, M. Bauer, *Improving Predictions of Bayesian Neural Nets via Local
//! Linearization*, AISTATS 2021 (J P⁻¹ Jᵀ of the Gauss–Newton matrix); E. Daxberger et al., *Laplace
//! Redux*, NeurIPS 2021.

mod evidence;
mod predictive;

pub use evidence::{
    Evidence, effective_parameters, log_determinant, posterior_variances, scale_draw,
};
pub use predictive::{predictive_covariance, predictive_covariance_workspace_len, probit_logits};
