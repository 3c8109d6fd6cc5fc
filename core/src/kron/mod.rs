//! Kronecker algebra: everything about G ⊗ A from its two factors.
//!
//! **The vec convention.** A layer's parameters are a matrix V (m×d), one output neuron a row, and
//! vec is row-major: element (i, j) has index i·d + j. The Kronecker block is **G ⊗ A** with G
//! (m×m) for the output side first and A (d×d) for the input side second, so that
//! (G ⊗ A)\[i·d + j, k·d + l\] = G_ik A_jl and **(G ⊗ A) vec(V) = vec(G V Aᵀ)**. Nothing here ever
//! forms the (m·d)² matrix, except [`materialise`], which is for tests and tiny layers.
//!
//! Rules used: (A ⊗ B)(C ⊗ D) = AC ⊗ BD, (A ⊗ B)⁻¹ = A⁻¹ ⊗ B⁻¹, det(G ⊗ A) = det(G)^d det(A)^m,
//! tr(G ⊗ A) = tr G · tr A (Martens and Grosse 2015, §4; Van Loan 2000).

mod cholesky;
mod damping;
mod eigenbasis;
mod moving_average;
mod packed;
mod product;
mod regression;
mod sum;

pub use cholesky::{KronCholesky, kron_cholesky_solve_workspace_len};
pub use damping::{Damping, FactorDamping, split_damping};
pub(crate) use eigenbasis::in_basis;
pub use eigenbasis::{KronEigen, kron_eigen_apply_workspace_len, kron_eigen_factor_workspace_len};
pub use moving_average::{BiasCorrection, moving_average};
pub use packed::{pack, packed_index, packed_len, unpack};
pub use product::{
    apply, apply_workspace_len, column, diagonal, frobenius_inner, materialise, quadratic_form,
    quadratic_form_workspace_len, row, trace,
};
pub use regression::regression;
pub use sum::{KronSum, Sign, kron_sum_factor_workspace_len, kron_sum_solve_workspace_len};
