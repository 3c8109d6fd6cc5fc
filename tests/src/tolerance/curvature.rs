//! Convolutions and curvature (`tests/{conv,curvature}.rs`).

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
];
