//! The only home of tolerances.
//!
//! An entry says how far a routine may be from an oracle and why. Bounds scale with the machine
//! epsilon ε of the dtype and, where rounding errors add up, with the dimension `n` that the test
//! passes (the length of the longest reduction). Look one up with [`tolerance`]; a missing entry
//! is a panic, so that no test can invent its own number. Each test file has its own table.

mod curvature;

use relfisher_core::Real;

/// What a result is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oracle {
    /// The definition: outcomes enumerated, or Gauss–Hermite quadrature.
    Definition,
    /// Derivatives by dual numbers.
    Dual,
    /// Derivatives by central differences.
    FiniteDifference,
    /// Naive dense algebra in f64.
    Dense,
    /// The same routine in f64, or an f64 reference rounded.
    HigherPrecision,
    /// `libm`, evaluated in f64 and rounded (in ulp).
    Libm,
    /// A golden case computed by other packages.
    Golden,
    /// Another route to the same number inside relfisher.
    Sibling,
    /// An identity that must hold (a residual, an invariance).
    Identity,
    /// A random estimate.
    MonteCarlo,
}

/// How large an error may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// A count of units in the last place.
    Ulp(f64),
    /// c·ε.
    Epsilons(f64),
    /// c·ε·√n: independent rounding errors.
    EpsilonsSqrt(f64),
    /// c·ε·n: the worst case of a sum.
    EpsilonsLinear(f64),
    /// A number, whatever the dtype.
    Fixed(f64),
}

/// Which dtypes an entry is for; an entry for one dtype goes before one for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// f32 and f64.
    Both,
    /// Only f32.
    F32,
    /// Only f64.
    F64,
}

/// One row of a table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The routine or quantity.
    pub routine: &'static str,
    /// What it is compared with.
    pub oracle: Oracle,
    /// The dtypes.
    pub dtype: Dtype,
    /// The bound.
    pub bound: Bound,
    /// Why this bound and no smaller one.
    pub reason: &'static str,
}

const fn entry(
    routine: &'static str,
    oracle: Oracle,
    dtype: Dtype,
    bound: Bound,
    reason: &'static str,
) -> Entry {
    Entry { routine, oracle, dtype, bound, reason }
}

use Bound::*;
use Dtype::*;
use Oracle::*;

/// Elementary functions and ν (`tests/{math,neuron}.rs`).
const MATH: &[Entry] = &[
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

/// Products, factorisations and Kronecker algebra (`tests/{blas,factor,kron}.rs`).
const LINALG: &[Entry] = &[
    entry("gemm", Dense, Both, EpsilonsLinear(4.0), "n products and sums, each rounded"),
    entry("gram", Dense, Both, EpsilonsLinear(4.0), "as gemm, and one product with the weight"),
    entry("packed_grams", Dense, Both, EpsilonsLinear(4.0), "as gram: the same sums and products"),
    entry("packed_symv", Dense, Both, EpsilonsLinear(4.0), "dot products of length n"),
    entry("cholesky", Identity, Both, EpsilonsLinear(8.0), "backward error of Cholesky, relative"),
    entry("triangular", Identity, Both, EpsilonsLinear(32.0), "residual n·ε·|L||x|, |x| ≤ 9 |b|"),
    entry(
        "cholesky_solve",
        Dense,
        Both,
        EpsilonsLinear(64.0),
        "backward error n·ε times a condition number of at most 10",
    ),
    entry(
        "inverse",
        Dense,
        Both,
        EpsilonsLinear(64.0),
        "backward error n·ε times a condition number of at most 5",
    ),
    entry("log_determinant", Dense, Both, EpsilonsLinear(8.0), "n logarithms of factors, summed"),
    entry(
        "scaled_gram_solve",
        Dense,
        Both,
        EpsilonsLinear(256.0),
        "backward error n·ε times condition numbers of up to 2n = 100, the norm of k over λ",
    ),
    entry("eigh", Identity, Both, EpsilonsLinear(32.0), "backward stable: a multiple of n·ε·|A|"),
    entry("eigh", Dense, Both, EpsilonsLinear(32.0), "eigenvalues move by at most the residual"),
    entry("kron", Dense, Both, EpsilonsLinear(16.0), "two products, each a sum of n terms"),
    entry(
        "kron inverse",
        Dense,
        Both,
        EpsilonsLinear(512.0),
        "two factors with condition numbers of at most 10 each",
    ),
];

/// Recurrences and spectra (`tests/{stats,spectrum}.rs`).
const SPECTRA: &[Entry] = &[
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
    entry("trace", MonteCarlo, Both, Fixed(5.0), "five deviations of the estimator"),
    entry("mass", Identity, Both, Fixed(1e-12), "tails beyond 8 σ, weights that sum to 1"),
];

/// Layers, two layers, the routes of the damped solve (`tests/{layer,route}.rs`).
const METRIC: &[Entry] = &[
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

/// The executor (`tests/executor.rs`).
const EXECUTOR: &[Entry] = &[
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

/// Networks and file formats (`tests/{gradient,format}.rs`).
const NETWORK: &[Entry] = &[
    entry("gradient", Dual, F64, Fixed(1e-11), "a few hundred operations in depth, each ε"),
    entry(
        "gradient",
        FiniteDifference,
        F64,
        Fixed(1e-7),
        "central differences with h ≈ ε^⅓: error h² plus ε/h",
    ),
    entry(
        "gradient",
        HigherPrecision,
        F32,
        Fixed(2e-4),
        "the rounding of every layer, amplified by the division by σ of small batches",
    ),
    entry("model labels", MonteCarlo, F64, Fixed(0.05), "5 σ of a mean of 40,000 draws, σ ≤ 2"),
];

/// Optimisers (`tests/optimizer.rs`).
const OPTIMIZER: &[Entry] = &[
    entry("rngd block step", Dense, F64, Fixed(1e-11), "an inverse of condition ≤ 10², ε each"),
    entry(
        "rngd sample-space step",
        Dense,
        F64,
        Fixed(1e-6),
        "the soft-max layer's conjugate gradients stop at a residual of 1e-6",
    ),
    entry("kfac step", Dense, F64, Fixed(1e-11), "two inverses of condition ≤ 10², ε each"),
    entry("first-order step", Dense, F64, Fixed(1e-13), "a dozen roundings an element"),
    entry("schedule", Identity, F64, EpsilonsLinear(4.0), "n factors, each an ε off"),
];

/// The program (`tests/{cli,resume}.rs`).
const PROGRAM: &[Entry] = &[];

/// Proof from the definition (`tests/{golden,metric_ladder,invariance,properties}.rs`) and the
/// oracles' own tests.
const PROOF: &[Entry] = &[
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
        "singular direction",
        Identity,
        Both,
        EpsilonsLinear(4.0),
        "differences of equal numbers of size 1",
    ),
];

const TABLES: &[&[Entry]] =
    &[MATH, LINALG, curvature::TABLE, METRIC, EXECUTOR, NETWORK, OPTIMIZER, PROGRAM, PROOF];

/// The entry for a routine, an oracle and a dtype.
///
/// # Panics
/// When there is none.
pub fn lookup<T: Real>(routine: &str, oracle: Oracle) -> &'static Entry {
    let single = T::EPSILON.to_f64() > 1e-10;
    TABLES
        .iter()
        .flat_map(|t| t.iter())
        .find(|e| {
            e.routine == routine
                && e.oracle == oracle
                && match e.dtype {
                    Both => true,
                    F32 => single,
                    F64 => !single,
                }
        })
        .unwrap_or_else(|| panic!("tolerance.rs has no entry for {routine:?} against {oracle:?}"))
}

/// The bound for a routine of dimension `n` in dtype `T`, as a number: ulps for [`Bound::Ulp`], a
/// relative error for the others.
///
/// # Panics
/// When the table has no entry.
pub fn tolerance<T: Real>(routine: &str, oracle: Oracle, n: usize) -> f64 {
    let (epsilon, n) = (T::EPSILON.to_f64(), n.max(1) as f64);
    match lookup::<T>(routine, oracle).bound {
        Ulp(c) => c,
        Epsilons(c) => c * epsilon,
        EpsilonsSqrt(c) => c * epsilon * n.sqrt(),
        EpsilonsLinear(c) => c * epsilon * n,
        Fixed(c) => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_unique_and_reasoned() {
        let all: Vec<&Entry> = TABLES.iter().flat_map(|t| t.iter()).collect();
        for (i, a) in all.iter().enumerate() {
            assert!(a.reason.len() > 10, "{}: no reason", a.routine);
            for b in all.iter().skip(i + 1) {
                assert!(
                    (a.routine, a.oracle, a.dtype) != (b.routine, b.oracle, b.dtype),
                    "{} has two entries",
                    a.routine
                );
            }
        }
    }

    #[test]
    fn bounds_scale() {
        assert_eq!(tolerance::<f64>("gemm", Dense, 10), 40.0 * f64::EPSILON);
        assert_eq!(tolerance::<f32>("gemm", Dense, 1), 4.0 * f64::from(f32::EPSILON));
    }
}
