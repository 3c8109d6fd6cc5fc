//! Convolutions and curvature (`tests/{conv,curvature_properties}`).

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
    entry("block", Dual, F64, Fixed(1e-11), "second derivatives through a few hundred operations"),
    entry(
        "block",
        Definition,
        F64,
        Fixed(1e-11),
        "gradients of a few hundred operations in depth, weighted by probabilities",
    ),
    entry("block", Sibling, F64, Fixed(1e-12), "the same sums in another order"),
    entry("factor", Definition, F64, Fixed(1e-11), "derivatives a few hundred operations deep"),
    entry("factor", Sibling, F64, Fixed(1e-12), "the same sums in another order"),
    entry("basis", Identity, F64, Fixed(1e-13), "eigendecompositions of order ≤ 37: d·ε·‖A‖"),
    entry(
        "ekfac",
        Dense,
        F64,
        Fixed(1e-12),
        "two rotations of order ≤ 76, relative to the largest element of the scale",
    ),
    entry(
        "damped step",
        Dense,
        F64,
        Fixed(1e-10),
        "ε times the norm of the block over its damping, 10² to 10⁴, and the rounding of the block",
    ),
    entry(
        "semidefinite",
        Identity,
        F64,
        EpsilonsLinear(16.0),
        "eigenvalues of a Gram matrix of order n: n·ε of the largest below 0",
    ),
    entry(
        "rfim",
        Definition,
        F64,
        Fixed(1e-11),
        "scores by dual numbers, outcomes enumerated or by quadrature good to 1e-12",
    ),
];
