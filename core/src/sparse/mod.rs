//! Sparse gradient metrics and embeddings: the gradient of every sample, kept where it is large.
//!
//! u_s = ∇_θ ℓ(x_s) is cut to the largest entries of each layer ([`select_largest`]). The metric g is
//! a quasi-arithmetic mean of the squares u_sj² over the samples, entry by entry ([`QuasiMean`]: the
//! arithmetic one is the diagonal of the empirical Fisher matrix), and the embedding of a sample is
//! ψ_sj = u_sj/√(g_j + λ) on its support ([`normalise`]). Inner products of embeddings are the Hessian
//! kernel K(x, y) = u(x)ᵀ(G + λI)⁻¹u(y). Everything costs O(n q D) for n samples that keep the share q
//! of D parameters.
//!
//! The arithmetic mean is also there off the diagonal: (1/n) Σ u_s u_sᵀ on the joint support, as a
//! sparse matrix ([`outer_mean`]), for as many entries as its caller has room for.
//!
//! Means are accumulated sample by sample, in double precision and relative to the largest term, so
//! that no power overflows on the way.

mod mean;
mod outer;
mod select;

pub use mean::{MeanState, QuasiMean, normalise, root_metric};
pub use outer::{SparseMut, SparseRef, outer_mean, outer_pattern, transpose};
pub use select::{kept_count, select_largest};
