//! Recurrences and spectra (`tests/{stats,spectrum}.rs`).

use super::Bound::*;
use super::Dtype::*;
use super::Oracle::*;
use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry("tridiagonal", Dense, Both, EpsilonsLinear(16.0), "backward stable: n·ε·‖T‖"),
    entry("tridiagonal", Identity, Both, EpsilonsLinear(16.0), "backward stable: n·ε·‖T‖"),
    entry(
        "tridiagonal first",
        Dense,
        Both,
        EpsilonsLinear(512.0),
        "vectors turn by the backward error over the distance of two eigenvalues, at least 1/32 here",
    ),
    entry(
        "lanczos",
        Identity,
        Both,
        EpsilonsLinear(16.0),
        "orthogonality and recurrence to a few ε·‖A‖ for each of n coefficients",
    ),
    entry("lanczos", Dense, Both, EpsilonsLinear(32.0), "eigenvalues move by at most the residual"),
    entry(
        "quadrature",
        Dense,
        Both,
        EpsilonsLinear(16.0),
        "a backward error of n·ε in T, times the degree, for ‖A‖ ≤ 1",
    ),
    entry(
        "gaussian density",
        Definition,
        Both,
        Epsilons(256.0),
        "exp of up to −z²/2 with z rounded: ε·z² where the density counts, and the height",
    ),
    entry(
        "long sum",
        HigherPrecision,
        Both,
        Epsilons(64.0),
        "32 sums in a lane, 7 in the tree of lanes, 12 in the tree of blocks, products",
    ),
    entry(
        "long basis",
        Identity,
        Both,
        Epsilons(16.0),
        "orthogonality whatever the length of the vectors: sums keep their digits",
    ),
    entry("eigenvalue", Definition, F64, Fixed(1e-10), "the default tolerance, of the largest"),
    entry("eigenvalue", Definition, F32, Epsilons(64.0), "the smallest tolerance in f32"),
    entry("residual", Definition, F64, Fixed(1e-10), "the default tolerance, of the largest"),
    entry(
        "residual",
        Definition,
        F32,
        Epsilons(128.0),
        "the tolerance, and the product's rounding",
    ),
    entry("told residual", Definition, Both, Epsilons(64.0), "the rounding of one product"),
    entry(
        "sample norms",
        Dense,
        Both,
        EpsilonsLinear(4.0),
        "sums of at most n products relative to their size, and a few roundings",
    ),
    entry("spaces", Dense, Both, EpsilonsLinear(32.0), "products of unit vectors of length n"),
    entry(
        "drawn matrices",
        MonteCarlo,
        Both,
        Fixed(0.1),
        "five deviations √(2/4000) of the mean of a quadratic form dominated by one eigenvalue",
    ),
    entry(
        "batch noise",
        Dual,
        F64,
        Fixed(1e-12),
        "gradients of a few layers, ε each, relative to the second moment",
    ),
    entry(
        "batch noise",
        Dual,
        F32,
        Fixed(1e-4),
        "the same roundings, and cosines of small gradients",
    ),
    entry(
        "evolution",
        Dual,
        F64,
        Fixed(1e-6),
        "eigenvectors to a residual of 1e-10 over gaps of 1e-3 and more, derivatives of order 1",
    ),
    entry("trace", MonteCarlo, Both, Fixed(5.0), "five deviations of the estimator"),
    entry("mass", Identity, Both, Fixed(1e-12), "tails beyond 8 σ, weights that sum to 1"),
];
