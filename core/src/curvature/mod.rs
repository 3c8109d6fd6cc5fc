//! Curvature of any network: what each layer's block is made of, from the loss to the step.
//!
//! For a layer with inputs x̃_s and pre-activations h_s the gradient of sample s is δ_s x̃_sᵀ, and the
//! blocks of every method are sums of products of such columns:
//!
//! | method | block of the layer | from |
//! | --- | --- | --- |
//! | exact GGN, exact Hessian | `(1/n) Σ_s 𝓗_s ⊗ x̃_s x̃_sᵀ` | [`hessian_step`], [`exact_block`], [`exact_diagonal`] |
//! | K-FAC, KFLR | `G ⊗ A`, G = (1/n) Σ δδᵀ, A = (1/n) Σ x̃x̃ᵀ | [`OutputLoss::hessian_root`], [`OutputLoss::triangular_root`], [`Backend::gram`](crate::Backend::gram) |
//! | KFRA | `G ⊗ A`, G by the averaged recursion | [`kfra_step`] |
//! | EKFAC | `(U_G ⊗ U_A) diag(S) (U_G ⊗ U_A)ᵀ` | [`ekfac_scale`], [`ekfac_solve`] |
//! | exact, low rank | `(1/n) JᵀJ`, through JJᵀ in sample space; its top eigenvectors | [`khatri_rao_gram`], [`LowRank`] |
//! | shared weights | expand: every position a sample; reduce: sums and means first | [`reduce_sum`], [`reduce_mean`] |
//! | normalisation | `(1/n) Σ uuᵀ`, u the gradient of all (γ_c, β_c) | [`normalisation_full`] |
//!
//! [`Strategy`] names the choices behind these names.
//!
//! # Conventions
//! A **column** is an n × m matrix δ whose row s is one vector to send back through the network for
//! sample s. [`OutputLoss::hessian_root`] gives m of them whose outer products sum to the exact
//! Hessian Λ_s of the loss at the outputs; a gradient for a label drawn from the model, or for the
//! true one, is a single column. Back-propagation (the host's) turns the columns at the output into
//! columns at every layer. Curvature is a mean over samples: callers pass `alpha` = 1/n (times
//! 1/draws). Packed matrices are lower triangles row by row, one sample a row. The vec convention is
//! that of [`kron`](crate::kron): G ⊗ A, index i·d̃ + j.
//!
//! # Sources
//! S1 (MATH.md §3); A. Botev, H. Ritter, D. Barber, *Practical Gauss–Newton Optimisation for Deep
//! Learning*, ICML 2017 (KFLR, KFRA, exact blocks); J. Martens, R. Grosse, ICML 2015 (K-FAC);
//! T. George et al., *Fast Approximate Natural Gradient Descent in a Kronecker-factored Eigenbasis*,
//! NeurIPS 2018 (EKFAC); R. Grosse, J. Martens, ICML 2016, and R. Eschenhagen et al., NeurIPS 2023
//! (expand, reduce).

mod ekfac;
mod exact;
mod kfra;
mod khatri_rao;
mod low_rank;
mod normalisation;
mod output;
mod recursion;
mod second_moment;
mod share;
mod strategy;
mod triangular_root;

pub use ekfac::{
    KronBasis, ekfac_apply, ekfac_apply_workspace_len, ekfac_scale, ekfac_scale_shared,
    ekfac_scale_shared_workspace_len, ekfac_scale_workspace_len, ekfac_solve,
    ekfac_solve_workspace_len,
};
pub use exact::{
    exact_block, exact_block_workspace_len, exact_diagonal, exact_diagonal_workspace_len,
};
pub use kfra::{kfra_step, kfra_step_workspace_len};
pub use khatri_rao::{
    khatri_rao_apply, khatri_rao_apply_workspace_len, khatri_rao_gram,
    khatri_rao_gram_workspace_len, khatri_rao_transpose, khatri_rao_transpose_workspace_len,
};
pub use low_rank::{LowRank, low_rank_power_workspace_len};
pub use normalisation::{
    normalisation_blocks, normalisation_full, normalisation_full_workspace_len,
    normalisation_gradients,
};
pub use output::OutputLoss;
pub use recursion::{hessian_step, hessian_step_workspace_len};
pub use second_moment::packed_second_moments;
pub(crate) use share::positions;
pub use share::{reduce_mean, reduce_sum};
pub use strategy::{Labels, Propagation, Scaling, Sharing, Strategy};
