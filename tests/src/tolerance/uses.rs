//! Posterior, pruning, averages over workers, Boltzmann machines (`tests/laplace.rs`, `tests/prune.rs`,
//! `tests/determinantal.rs`, `tests/boltzmann.rs`).

use super::Bound::*;
use super::Dtype::*;
use super::Oracle::*;
use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        "low rank",
        Dense,
        Both,
        EpsilonsLinear(64.0),
        "two products of length D over a power of condition up to 10³",
    ),
    entry("laplace spectrum", Dense, Both, Fixed(1e-8), "eigenvalues rounded to f32, sums in f64"),
    entry("predictive covariance", Dense, Both, EpsilonsLinear(16.0), "sums of m·d products"),
    entry(
        "posterior",
        Dual,
        F64,
        Fixed(1e-7),
        "low rank: eigenvectors converged to 10⁻⁸ of the largest eigenvalue; others near 10⁻¹²",
    ),
    entry("posterior", Dual, F32, Fixed(2e-3), "precisions of condition up to 10³ in f32"),
    entry("posterior", Identity, Both, Fixed(1e-7), "as against dual numbers"),
    entry(
        "pruning",
        Dense,
        Both,
        EpsilonsLinear(512.0),
        "inverses of condition up to 50, updated once for each removed weight",
    ),
    entry(
        "compensation",
        Dense,
        F64,
        Fixed(1e-9),
        "conjugate gradients to a residual of 10⁻¹² with conditions up to 10³",
    ),
    entry("compensation", Dense, F32, Fixed(2e-3), "a residual of 32 ε and a condition of 10³"),
    entry(
        "pruned network",
        Dual,
        Both,
        Fixed(1e-3),
        "conjugate gradients to a residual of 10⁻⁴ by default, conditions up to 10",
    ),
    entry(
        "Boltzmann gradient",
        Definition,
        Both,
        Epsilons(64.0),
        "sums over 2⁵ states of exponentials and, on the other side, one of a sum of six terms",
    ),
    entry(
        "Boltzmann gradient",
        Dual,
        Both,
        Epsilons(64.0),
        "a mean over 2⁵ states, subtracted; entries of size 1",
    ),
    entry("determinantal average", Dense, F64, Fixed(1e-11), "sums over 2⁸ weighted solves"),
    entry("determinantal average", Dense, F32, Fixed(1e-4), "the same sums in f32"),
];
