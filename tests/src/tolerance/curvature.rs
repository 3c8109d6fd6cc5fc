//! Tolerances of convolutions and curvature, and of the products-only inverse roots.

use super::Bound::*;
use super::Dtype::*;
use super::Oracle::*;
use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry("fold", Dense, Both, EpsilonsLinear(2.0), "every pixel is a sum of at most n + 1 terms"),
    entry(
        "fold",
        Identity,
        Both,
        EpsilonsLinear(2.0),
        "the rounding of a pixel's n sums, relative to the sum of all magnitudes",
    ),
    entry("average pool", Dense, Both, EpsilonsLinear(2.0), "n sums and a rounded divisor"),
    entry(
        "output hessian",
        Dual,
        Both,
        EpsilonsLinear(4.0),
        "rounded probabilities, then sums of at most n products",
    ),
    entry("output hessian", Identity, Both, EpsilonsLinear(4.0), "n rounded squares of roots"),
    entry("output hessian", Dense, Both, EpsilonsLinear(2.0), "a root, n sums and a product"),
    entry("exact block", Dense, Both, EpsilonsLinear(4.0), "n sums of three rounded factors"),
    entry(
        "exact block",
        Sibling,
        Both,
        EpsilonsLinear(4.0),
        "the same n products in another order",
    ),
    entry(
        "exact block",
        Dual,
        Both,
        EpsilonsLinear(8.0),
        "n sums of products of rounded inputs and rounded Hessians",
    ),
    entry(
        "recursion",
        Dual,
        Both,
        EpsilonsLinear(8.0),
        "two products of n = m + d terms for each of at most two layers, of rounded weights",
    ),
    entry("recursion", Identity, Both, EpsilonsLinear(4.0), "n = m + d products and sums each way"),
    entry("kfra", Dense, Both, EpsilonsLinear(4.0), "two products and a mean, n terms in all"),
    entry(
        "ekfac scale",
        Dense,
        Both,
        EpsilonsLinear(8.0),
        "rotations of m and d terms, squared, and a sum over samples, n in all",
    ),
    entry(
        "ekfac scale",
        Identity,
        Both,
        EpsilonsLinear(8.0),
        "the same, and bases that are orthogonal to rounding",
    ),
    entry("ekfac", Dense, Both, EpsilonsLinear(16.0), "four products, n = m + d; condition ≤ 4"),
    entry("khatri rao", Dense, Both, EpsilonsLinear(4.0), "two products of n terms, multiplied"),
    entry("reduce", Dense, Both, EpsilonsLinear(2.0), "n sums, and a product or a division"),
    entry(
        "newton schulz",
        Dense,
        Both,
        EpsilonsLinear(8.0),
        "backward error d·ε times the condition number, n = d·κ",
    ),
    entry(
        "newton schulz",
        Sibling,
        Both,
        EpsilonsLinear(8.0),
        "two inverses with a backward error of d·ε each, n = d·κ",
    ),
];
