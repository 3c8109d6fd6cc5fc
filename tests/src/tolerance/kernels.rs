//! The kernels for GPUs, on the emulator (`gpu-kernels/tests/kernels/main.rs`). Products and
//! factorisations use the entries of the core's routines: the arithmetic is the same.

use super::Bound::*;
use super::Dtype::*;
use super::Oracle::*;
use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        "kernel elementwise",
        HigherPrecision,
        Both,
        Epsilons(4.0),
        "functions of 2 ulp and up to four roundings, relative to the largest value",
    ),
    entry(
        "kernel adam",
        HigherPrecision,
        Both,
        Epsilons(64.0),
        "1 − β₂ᵗ for t = 7 in f32 keeps 17 bits of what β₂ = 0.999 lost to rounding",
    ),
    entry(
        "kernel softmax",
        Dense,
        Both,
        EpsilonsSqrt(32.0),
        "differences of logits up to 16 carry 16 ε into the exponent",
    ),
    entry(
        "kernel loss",
        Dense,
        Both,
        EpsilonsSqrt(16.0),
        "functions of 2 ulp of differences that round once, summed over the outputs",
    ),
    entry(
        "kernel combination",
        HigherPrecision,
        Both,
        Epsilons(4.0),
        "two products, each of at most three factors, and a sum",
    ),
    entry(
        "kernel training step",
        Dense,
        Both,
        EpsilonsSqrt(64.0),
        "forward and backward through three layers: sums over inputs, outputs and samples in turn",
    ),
    entry(
        "kernel tf32",
        Dense,
        Both,
        Fixed(1.0e-3),
        "two factors rounded by 2⁻¹¹ each; the pairs of a metric are multiplied before",
    ),
    entry(
        "kernel bf16",
        Dense,
        Both,
        Fixed(8.0e-3),
        "two factors rounded by 2⁻⁸ each; the pairs of a metric are multiplied before",
    ),
    entry("kernel sum", Dense, Both, EpsilonsSqrt(4.0), "chains of 16 sums, then a tree"),
];
