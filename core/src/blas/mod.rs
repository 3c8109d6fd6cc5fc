//! Dense products: GEMM, weighted Gram matrices and their packed batches.
//!
//! One register tile (`kernel`) serves every product: 4 rows of the left factor against a packed
//! panel of 16 columns, accumulated over blocks of `KC` terms. What differs is how a
//! panel is formed (columns of a matrix, weighted columns, products of pairs of columns) and where
//! the tile is written (rows of a matrix, rows of a packed triangle). The order of every sum is
//! fixed by the shapes alone.

mod gemm;
mod gram;
pub(crate) mod kernel;
mod packed;
pub mod vector;

pub use gemm::gemm;
pub(crate) use gram::mirror;
pub use gram::{gram, gram_workspace_len};
pub use packed::{
    PackedForm, packed_grams, packed_grams_by, packed_grams_workspace_len, packed_symv,
};
