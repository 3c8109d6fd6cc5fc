//! Networks and file formats (`tests/{gradient,products,format}`).

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
    entry("product", Dual, F64, Fixed(1e-11), "as the gradient: a few hundred operations in depth"),
    entry(
        "product",
        Dense,
        F64,
        Fixed(1e-11),
        "as the gradient, and a sum of up to 150 products with a vector",
    ),
    entry("product", Sibling, F64, Fixed(1e-12), "the same sums in another order"),
    entry(
        "product",
        FiniteDifference,
        F64,
        Fixed(1e-7),
        "Richardson-extrapolated differences: h⁴ of fifth derivatives of up to 10³, and ε/h",
    ),
    entry(
        "adjoint",
        Identity,
        F64,
        EpsilonsLinear(4.0),
        "two inner products of n terms, relative to the lengths of the vectors",
    ),
    entry("model labels", MonteCarlo, F64, Fixed(0.05), "5 σ of a mean of 40,000 draws, σ ≤ 2"),
];
