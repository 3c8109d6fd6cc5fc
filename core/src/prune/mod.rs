//! Pruning by curvature: which weights the loss misses least, and how the others make up for them.
//!
//! To second order, and at a minimum, removing the weights Q costs ½ δᵀHδ with δ_Q = −w_Q and the other
//! δ free. Every method is a choice of H and of what is free:
//!
//! | method | H | cost of weight q | the other weights |
//! | --- | --- | --- | --- |
//! | OBD (LeCun, Denker & Solla 1990) | its diagonal | ½ H_qq w_q² ([`diagonal_saliency`]) | stay |
//! | OBS (Hassibi & Stork 1993) | any | ½ w_q²/\[H⁻¹\]_qq ([`inverse_saliency`]) | δ = −w_q H⁻¹e_q/\[H⁻¹\]_qq ([`remove`]) |
//! | OBS with K-FAC | (G + λ_G I) ⊗ (A + λ_A I) | ½ w_ij²/(\[G⁻¹\]_ii \[A⁻¹\]_jj) | one weight: [`kron_remove`]; any set at once: [`kron_compensate`] |
//! | WoodFisher (Singh & Alistarh 2020) | λI + (1/N) Σ g gᵀ, in blocks | as OBS | as OBS; H⁻¹ by [`woodbury_update`] |
//!
//! The best δ for a set Q solves H_FF δ_F = H_FQ w_Q over the free weights F. [`remove`] one after the
//! other with the inverse of what is left gives the same δ: H⁻¹ − H⁻¹e_q e_qᵀH⁻¹/\[H⁻¹\]_qq is the inverse
//! of H without row and column q.

mod compensate;
mod inverse;
mod saliency;

pub use compensate::{CompensateOptions, kron_compensate, kron_compensate_workspace_len};
pub use inverse::{kron_remove, remove, woodbury_update, woodbury_update_workspace_len};
pub use saliency::{diagonal_saliency, inverse_saliency};
