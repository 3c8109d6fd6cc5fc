//! Elementary functions and ν (`tests/{math,neuron}.rs`).

use super::Bound::*;
use super::Dtype::*;
use super::Oracle::*;
use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry("exp", Libm, Both, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry("exp_m1", Libm, Both, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry("ln", Libm, Both, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry("ln_1p", Libm, Both, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry("tanh", Libm, Both, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry("sigm", Libm, Both, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry("softplus", Libm, Both, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry("sech2", Libm, Both, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry("sigm_variance", Libm, Both, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry("exp", HigherPrecision, F64, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry("exp_m1", HigherPrecision, F64, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry("ln", HigherPrecision, F64, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry("ln_1p", HigherPrecision, F64, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry("tanh", HigherPrecision, F64, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry("sigm", HigherPrecision, F64, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry("softplus", HigherPrecision, F64, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry("sech2", HigherPrecision, F64, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry("sigm_variance", HigherPrecision, F64, Ulp(2.0), "the contract of `Real`: at most 2 ulp"),
    entry(
        "nu tail",
        HigherPrecision,
        Both,
        Ulp(8.0),
        "a slope good to 3 ulp, its product with a rounded 1/sigma 1 more, then squared",
    ),
    entry(
        "mean tail",
        HigherPrecision,
        Both,
        Ulp(4.0),
        "an exponential, a logarithm and a product, 1 to 2 ulp each",
    ),
    entry(
        "slope",
        FiniteDifference,
        F64,
        Fixed(1e-8),
        "error of a central difference: h²/6 and ε/h, h = 1e-5",
    ),
];
