//! Layers, two layers, the routes of the damped solve (`tests/{layer,normalisation,route}.rs`).

use super::Bound::*;
use super::Dtype::*;
use super::Oracle::*;
use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        "metric product",
        Dense,
        Both,
        EpsilonsLinear(8.0),
        "two products of n terms, each rounded",
    ),
    entry("metric dense", Dense, Both, EpsilonsLinear(4.0), "one sum of n rounded products"),
    entry("metric two layers", Dense, Both, EpsilonsLinear(32.0), "six products in a row"),
    entry(
        "metric shift",
        Identity,
        Both,
        EpsilonsLinear(8.0),
        "the soft-max metric of a shift is zero: what is left is rounding of the product before it",
    ),
    entry(
        "damped solve",
        Dense,
        Both,
        EpsilonsLinear(64.0),
        "backward stable: ε·n times the condition number, which the test keeps below 10²",
    ),
    entry(
        "damped solve",
        Identity,
        Both,
        EpsilonsLinear(4.0),
        "residual ‖(Ḡ + λI)v − g‖∞/‖g‖∞ at real sizes, condition 10³: each route loses ε·√n·κ at most",
    ),
    entry(
        "block power",
        Dense,
        Both,
        Epsilons(512.0),
        "the smaller eigenvalue is off by ε times the larger one, which is up to 10² of its l",
    ),
    entry("block power", Sibling, Both, Epsilons(512.0), "the same condition, on both sides"),
    entry("softmax roots", Identity, Both, Epsilons(8.0), "a few operations on positive numbers"),
    entry("step rule", HigherPrecision, Both, EpsilonsLinear(4.0), "n steps of a few operations"),
    entry(
        "adam",
        HigherPrecision,
        Both,
        EpsilonsLinear(32.0),
        "1 − β₂ᵗ keeps 1/(1 − β₂) units fewer: a part γ/|θ| of 10³·ε in each of the first steps",
    ),
];
