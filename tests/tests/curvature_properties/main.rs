//! What curvature must be, whatever computes it: exact blocks against dense matrices of dual numbers,
//! Kronecker factors and metrics against their definitions, regimes in which approximations are
//! exact, and degenerate networks.

mod blocks;
mod degenerate;
mod exactness;
mod factors;
mod metrics;

use relfisher::curvature::{Columns, KroneckerFactors, Memory, kronecker_factors};
use relfisher_core::curvature::Sharing;
use relfisher_tests::oracle::dense::Matrix as Dense;
use relfisher_tests::problem::{LOSSES, Loaded, Problem, ZOO};

/// As much memory as anything here could want.
const MEMORY: Memory = Memory { limit: 1 << 32 };

/// Every network of the zoo, the losses in turn.
fn zoo() -> impl Iterator<Item = Problem> {
    (0..ZOO.len()).map(|i| Problem::of_zoo(i, LOSSES[i % 4]))
}

/// K-FAC's factors of every block in batches of `chunk`.
fn type2(
    loaded: &Loaded<f64>,
    sharing: Sharing,
    chunk: usize,
) -> Vec<Option<KroneckerFactors<f64>>> {
    kronecker_factors(&loaded.problem(chunk), Columns::Type2, sharing).expect("factors")
}

fn square(data: &[f64], order: usize) -> Dense {
    Dense::new(order, order, data.to_vec())
}

/// G ⊗ A.
fn kron(factors: &KroneckerFactors<f64>, (m, d): (usize, usize)) -> Dense {
    square(&factors.g, m).kron(&square(&factors.a, d))
}
