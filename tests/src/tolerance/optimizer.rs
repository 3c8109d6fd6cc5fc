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
    entry(
        "family step",
        Definition,
        F64,
        Fixed(1e-10),
        "a solve of condition ≤ 10⁴ (trace over λ = 0.3), ε each, and derivatives by dual numbers",
    ),
    entry("family step", Definition, F32, Fixed(2e-3), "the same condition, 10⁴·ε"),
    entry("family step", Sibling, F64, Fixed(1e-10), "as against the definition"),
    entry("family basis", Definition, F64, Fixed(1e-12), "an eigendecomposition of order ≤ 40"),
    entry("family basis", Definition, F32, Fixed(1e-5), "an eigendecomposition of order ≤ 40"),
    entry("family scale", Definition, F64, Fixed(1e-12), "squares of products of length ≤ 40"),
    entry("family scale", Definition, F32, Fixed(1e-5), "squares of products of length ≤ 40"),
    entry("kfra factor", Sibling, F64, Fixed(1e-13), "the same sums, once in the order of a batch"),
    entry(
        "drawn factor",
        MonteCarlo,
        F64,
        Fixed(0.1),
        "4 standard deviations √(κ/4000) of a mean of 4,000 squares, κ ≤ 2",
    ),
    entry(
        "ggn-sample step",
        Definition,
        F64,
        Fixed(1e-9),
        "a solve of condition ≤ 10⁵ (trace over λ = 0.1), refined once",
    ),
    entry("ggn-sample step", Definition, F32, Fixed(1e-2), "the same condition, 10⁵·ε"),
    entry("ggn-block step", Definition, F64, Fixed(1e-10), "a solve of condition ≤ 10⁵, ε each"),
    entry("ggn-block step", Definition, F32, Fixed(1e-2), "the same condition, 10⁵·ε"),
    entry(
        "hessian-free step",
        Definition,
        F64,
        Fixed(4e-9),
        "conjugate gradients to a residual of ε or where they stall: ε times a condition of up to 10⁵ times 200 roundings",
    ),
    entry("hessian-free step", Definition, F32, Fixed(1e-2), "the same condition, 10⁵·ε"),
    entry("cg iterate", Definition, F64, Fixed(1e-9), "roundings of up to 60 iterations"),
    entry("first-order step", Dense, F64, Fixed(1e-13), "a dozen roundings an element"),
    entry("schedule", Identity, F64, EpsilonsLinear(4.0), "n factors, each an ε off"),
];
