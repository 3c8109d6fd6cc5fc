//! The executor (`tests/executor.rs`).

use super::Bound::*;
use super::Dtype::*;
use super::Oracle::*;
use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry("gemm", Sibling, Both, EpsilonsLinear(4.0), "two orders of one sum"),
    entry("gram", Sibling, Both, EpsilonsLinear(4.0), "as gemm, and one product with the weight"),
    entry(
        "packed_grams",
        Sibling,
        Both,
        EpsilonsLinear(4.0),
        "as gram: the same sums and products",
    ),
    entry("symv", Sibling, Both, EpsilonsLinear(4.0), "two orders of one sum"),
    entry(
        "factor",
        Sibling,
        Both,
        EpsilonsLinear(40.0),
        "two backward stable algorithms; condition numbers below 10",
    ),
    entry("softmax", HigherPrecision, Both, EpsilonsLinear(4.0), "2 ulp of exp, sum, division"),
];
