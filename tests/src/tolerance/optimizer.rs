//! Optimisers (`tests/optimizer.rs`).

use super::Bound::*;
use super::Dtype::*;
use super::Oracle::*;
use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry("rngd block step", Dense, F64, Fixed(1e-11), "an inverse of condition ≤ 10², ε each"),
    entry(
        "rngd sample-space step",
        Dense,
        F64,
        Fixed(1e-6),
        "the soft-max layer's conjugate gradients stop at a residual of 1e-6",
    ),
    entry("kfac step", Dense, F64, Fixed(1e-11), "two inverses of condition ≤ 10², ε each"),
    entry("first-order step", Dense, F64, Fixed(1e-13), "a dozen roundings an element"),
    entry("schedule", Identity, F64, EpsilonsLinear(4.0), "n factors, each an ε off"),
];
