//! Proof from the definition (`tests/{golden,metric_ladder,invariance,properties}.rs`) and the
//! oracles' own tests.

use super::Bound::*;
use super::Dtype::*;
use super::Oracle::*;
use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry("oracle", Identity, Both, Fixed(1e-12), "f64 oracles on well conditioned inputs"),
    entry("oracle", FiniteDifference, Both, Fixed(1e-9), "Richardson-extrapolated differences"),
    entry(
        "ladder: per sample",
        Definition,
        Both,
        EpsilonsLinear(16.0),
        "t is a sum of n products; ν amplifies its error by at most |t|·2, the oracle's own \
         rounding in f64 is the rest",
    ),
    entry(
        "ladder: structured",
        Dense,
        Both,
        EpsilonsLinear(16.0),
        "sums over n terms in another order",
    ),
    entry(
        "ladder: solve",
        Definition,
        Both,
        EpsilonsLinear(256.0),
        "condition of the damped metric, at most about 100, times that of a solve",
    ),
    entry("nu", Definition, F32, Epsilons(8.0), "a few ulp from core; the oracle in f64 is exact"),
    entry(
        "nu",
        Definition,
        F64,
        EpsilonsLinear(16.0),
        "a few ulp from core; the oracle's nodes and weights are good to a few ε each, and its ln p \
         is rounded to n·ε, n = |ln p|",
    ),
    entry("mean", Definition, Both, Epsilons(8.0), "two or three elementary functions"),
    entry(
        "ladder: two layers",
        Definition,
        Both,
        EpsilonsLinear(64.0),
        "two nested sums and the Jacobian between them",
    ),
    entry("rfim", Golden, F64, Fixed(1e-12), "acceptance: 1e-12 relative max-norm"),
    entry(
        "rfim",
        Golden,
        F32,
        EpsilonsLinear(8.0),
        "t is a sum of n rounded products of rounded inputs, amplified by ν′/ν ≤ 2",
    ),
    entry("grad", Golden, F64, Fixed(1e-9), "the golden cases' own tolerance"),
    entry(
        "grad",
        Golden,
        F32,
        EpsilonsLinear(4.0),
        "rounded weights and inputs, n ≥ 64 terms through up to four layers",
    ),
    entry("block", Golden, F64, Fixed(1e-9), "the golden cases' own tolerance"),
    entry(
        "block",
        Golden,
        F32,
        EpsilonsLinear(8.0),
        "a forward pass of rounded weights before the sums over samples",
    ),
    entry("precondition", Golden, F64, Fixed(1e-8), "the golden cases' own tolerance for solves"),
    entry(
        "precondition",
        Golden,
        F32,
        Fixed(2e-3),
        "1e4·ε: condition of the block over its damping, the norm of the block over 1e-3",
    ),
    entry(
        "invariance",
        Identity,
        Both,
        EpsilonsLinear(256.0),
        "a form along a rounded direction Jδ of a rounded point φ(Θ), cancellation up to 10²",
    ),
    entry(
        "invariant step",
        Identity,
        Both,
        EpsilonsLinear(4096.0),
        "undamped solves: the same with the condition of the metric, up to 10³",
    ),
    entry(
        "kfac invariance",
        Identity,
        F64,
        EpsilonsLinear(64.0),
        "undamped solves: ε times the condition n of G ⊗ A for each of up to three layers, and sums of \
         up to 60 samples",
    ),
    entry(
        "singular direction",
        Identity,
        Both,
        EpsilonsLinear(4.0),
        "differences of equal numbers of size 1",
    ),
];
