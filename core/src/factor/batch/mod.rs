//! Batches of small symmetric matrices in SIMD lanes.
//!
//! One vector holds the same element of several matrices, so that every scalar operation of a
//! factorisation becomes one vector operation over all of them: no horizontal sums, no short tails,
//! whatever the order. Divisions and square roots, the slow steps of a single small matrix, cost a
//! lane a fraction of what they cost alone.

mod batched;
mod cholesky;
mod eigen;
mod interleave;
mod lanes;
mod scaled_gram;
mod sweeps;
mod triangle;
mod tridiagonal;

pub use cholesky::{
    cholesky_batch, cholesky_batch_by, cholesky_batch_workspace_len, packed_cholesky_batch,
    packed_cholesky_batch_by,
};
pub use eigen::{eigh_batch, eigh_batch_by, eigh_batch_workspace_len};
pub use interleave::{Elements, Transpose};
pub use scaled_gram::{
    scaled_gram_solve, scaled_gram_solve_columns, scaled_gram_solve_workspace_len,
};

/// Matrices in a group of 4-byte scalars; the widest group of all types.
pub const LANES: usize = 16;

/// The largest order whose matrices are interleaved. Above it the elements of a group no longer fit
/// a level 2 cache, and one matrix alone fills the vectors.
pub const INTERLEAVED_ORDER: usize = 128;

/// The matrices that one group of scalars of type T holds: as many as fill 64 bytes.
///
/// ```
/// use relfisher_core::factor::batch::group_len;
/// assert_eq!((group_len::<f32>(), group_len::<f64>()), (16, 8));
/// ```
#[inline]
pub const fn group_len<T>() -> usize {
    if size_of::<T>() > 4 { LANES / 2 } else { LANES }
}
