//! The only home of tolerances.
//!
//! An entry says how far a routine may be from an oracle and why. Bounds scale with the machine
//! epsilon ε of the dtype and, where rounding errors add up, with the dimension `n` that the test
//! passes (the length of the longest reduction). Look one up with [`tolerance`]; a missing entry
//! is a panic, so that no test can invent its own number. Each room of the library has its own table.

mod curvature;
mod executor;
mod experiments;
mod gpu;
mod kernels;
mod linalg;
mod math;
mod metric;
mod network;
mod optimizer;
mod proof;
mod sparse;
mod spectra;
mod uses;

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

const TABLES: &[&[Entry]] = &[
    math::ENTRIES,
    linalg::ENTRIES,
    kernels::ENTRIES,
    gpu::ENTRIES,
    curvature::ENTRIES,
    sparse::ENTRIES,
    spectra::ENTRIES,
    metric::ENTRIES,
    executor::ENTRIES,
    experiments::ENTRIES,
    network::ENTRIES,
    optimizer::ENTRIES,
    proof::ENTRIES,
    uses::ENTRIES,
];

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
        .unwrap_or_else(|| panic!("tolerance has no entry for {routine:?} against {oracle:?}"))
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
        assert_eq!(tolerance::<f64>("gemm", Oracle::Dense, 10), 40.0 * f64::EPSILON);
        assert_eq!(tolerance::<f32>("gemm", Oracle::Dense, 1), 4.0 * f64::from(f32::EPSILON));
    }
}
