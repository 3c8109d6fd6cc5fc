//! Sparse gradient metrics (`tests/sparse.rs`, `tests/embedding.rs`).

use super::Bound::*;
use super::Dtype::*;
use super::Oracle::*;
use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        "root metric",
        Dense,
        Both,
        Fixed(1e-12),
        "sums in f64: a logarithm of up to 1400 with half an ulp, over 2p",
    ),
    entry(
        "embedding",
        Dual,
        F64,
        Fixed(1e-11),
        "gradients of condition ≤ 10³ over a root of the same rounding",
    ),
    entry("embedding", Dual, F32, Fixed(1e-3), "the same condition, 10³·ε and some"),
    entry("embedding", Sibling, F64, Fixed(1e-12), "products in another order"),
    entry("outer mean", Dense, F64, Fixed(1e-14), "means of up to nine products"),
    entry("outer mean", Dense, F32, Fixed(1e-5), "the same, 100·ε"),
    entry("sparse classifier", Dense, F64, Fixed(1e-12), "a dozen steps of sums over a dozen rows"),
    entry("sparse classifier", Dense, F32, Fixed(1e-4), "the same, 10³·ε"),
    entry("embedding kernel", Dual, F64, Fixed(1e-11), "products of embeddings"),
    entry("embedding kernel", Dual, F32, Fixed(1e-3), "products of embeddings"),
];
