//! The executor of a GPU (`host/tests/gpu/main.rs`). Errors of products are relative to the norms of
//! the operands: of a row of the one times a column of the other, the largest of each.

use super::Bound::*;
use super::Dtype::*;
use super::Oracle::*;
use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        "gpu product",
        Dense,
        Both,
        EpsilonsLinear(1.0),
        "n sums that tensor cores cut instead of rounding; n counts 8 more for the parts that \
         3×TF32 leaves out, a weight, α and β",
    ),
    entry(
        "gpu tf32",
        Dense,
        F32,
        Fixed(1.0e-3),
        "two factors rounded by 2⁻¹¹ each, and sums that are far nearer",
    ),
    entry(
        "gpu bf16",
        Dense,
        F32,
        Fixed(8.0e-3),
        "two factors rounded by 2⁻⁸ each, and sums that are far nearer",
    ),
    entry(
        "gpu divided",
        Dense,
        Both,
        EpsilonsLinear(2.0),
        "as a product, n + 8, divided by at least λ = 1/2",
    ),
    entry(
        "gpu dot",
        Dense,
        Both,
        EpsilonsSqrt(4.0),
        "chains of 16 sums, then a tree; relative to the norms of both vectors",
    ),
    entry(
        "gpu sample solve",
        Dense,
        Both,
        EpsilonsLinear(64.0),
        "backward error n·ε times a condition number below 10: the spectrum of S K S over λ' = n/4",
    ),
    entry(
        "gpu residual",
        Identity,
        Both,
        EpsilonsLinear(8.0),
        "backward error n·ε of a factorisation, relative to the norm of the matrix",
    ),
];
