//! Factorisations and solves of symmetric positive definite matrices, and symmetric eigenvectors.
//!
//! Everything works in place on what the caller owns. A triangle is addressed by where its rows
//! start (`rows::Rows`), so one body serves matrices with contiguous rows and packed triangles.
//! Damping is added inside: the matrix that is factored is A + λI.
//!
//! A pivot must exceed [`pivot_tolerance`] times its own diagonal element A_jj + λ. Below that the
//! subtraction has cancelled every digit: the matrix is singular to working precision, and the
//! factorisation reports [`Error::NotPositiveDefinite`](crate::Error) instead of going on with
//! noise. The test is relative to the diagonal element itself, so it does not depend on the
//! scaling of rows and columns.

pub mod batch;
mod cholesky;
pub(crate) mod eigh;
mod inverse;
mod newton_schulz;
mod packed;
mod panel;
pub(crate) mod rows;
mod solve;

pub use batch::{
    cholesky_batch, cholesky_batch_workspace_len, eigh_batch, eigh_batch_workspace_len,
    packed_cholesky_batch, scaled_gram_solve, scaled_gram_solve_columns,
    scaled_gram_solve_workspace_len,
};
pub use cholesky::{cholesky, log_determinant};
pub use eigh::{eigh, eigh_workspace_len};
pub use inverse::{spd_inverse, spd_inverse_workspace_len};
pub use newton_schulz::{
    Convergence, InverseRoot, NewtonSchulz, newton_schulz, newton_schulz_workspace_len,
};
pub use packed::{
    packed_cholesky, packed_cholesky_solve, packed_inverse, packed_inverse_workspace_len,
    packed_log_determinant,
};
pub use solve::{
    Triangular, cholesky_solve, for_each_stacked, triangular_solve_left, triangular_solve_right,
};

use crate::Real;

/// The smallest ratio of a pivot to its diagonal element that a factorisation of order d accepts:
/// 8 √d ε, a few times the rounding error that the subtraction collects.
/// ```
/// assert_eq!(relfisher_core::factor::pivot_tolerance::<f64>(4), 16.0 * f64::EPSILON);
/// ```
#[inline(always)]
pub fn pivot_tolerance<T: Real>(d: usize) -> T {
    T::from_f64(8.0) * T::from_usize(d).sqrt() * T::EPSILON
}
