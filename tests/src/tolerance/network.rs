//! Networks and file formats (`tests/{gradient,format}.rs`).

use super::Bound::*;
use super::Dtype::*;
use super::Oracle::*;
use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry("gradient", Dual, F64, Fixed(1e-11), "a few hundred operations in depth, each ε"),
    entry(
        "gradient",
        FiniteDifference,
        F64,
        Fixed(1e-7),
        "central differences with h ≈ ε^⅓: error h² plus ε/h",
    ),
    entry(
        "gradient",
        HigherPrecision,
        F32,
        Fixed(2e-4),
        "the rounding of every layer, amplified by the division by σ of small batches",
    ),
    entry("model labels", MonteCarlo, F64, Fixed(0.05), "5 σ of a mean of 40,000 draws, σ ≤ 2"),
];
