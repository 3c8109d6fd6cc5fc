//! Every study, by group, in the sizes of `sizes.toml`.

mod batched;
mod curvature;
mod factor;
mod kron;
mod launch;
mod metric;
mod optim;
mod step;

use relfisher::Scalar;
use relfisher::executor::Cpu;
use relfisher_core::{Backend, MatMut, MatRef};

use crate::Random;
use crate::case::{Group, Study, bytes_of};
use crate::dense::{self, Done};
use crate::sizes::Sizes;

/// The studies of some groups for one dtype and number of threads.
#[must_use]
pub fn of<T: Scalar>(groups: &[Group], sizes: &Sizes, threads: usize) -> Vec<Study> {
    let group = |group: &Group| match group {
        Group::Metric => metric::studies::<T>(sizes, threads),
        Group::Kron => kron::studies::<T>(sizes, threads),
        Group::Factor => {
            let mut all = factor::studies::<T>(sizes, threads);
            all.extend(batched::studies::<T>(sizes, threads));
            all
        }
        Group::Curvature => curvature::studies::<T>(sizes, threads),
        Group::Optim => optim::studies::<T>(sizes),
        Group::Step => step::studies::<T>(sizes, threads),
        Group::Launch => launch::studies::<T>(sizes),
    };
    groups.iter().flat_map(group).collect()
}

/// XᵀX/(2d) of 2d random samples, d × d: well conditioned.
fn covariance<T: Scalar>(cpu: &Cpu, d: usize, seed: u64) -> Vec<T> {
    let x: Vec<T> = Random::new(seed).numbers(2 * d * d, -1.0, 1.0);
    let mut a = vec![T::NAN; d * d];
    let x = MatRef::new(&x, 2 * d, d).expect("shape");
    let out = MatMut::new(&mut a, d, d).expect("shape");
    let mean = T::from_f64(0.5 / d as f64);
    cpu.gram(out, T::ZERO, mean, x, None, &mut []).expect("shapes");
    a
}

/// The bytes that the executor holds where it factors a matrix of order d by `faer`: a column-major square,
/// the diagonal, and a stack that would do for the inverse too.
fn factoring<T: Scalar>(d: usize) -> u64 {
    bytes_of::<T>(d * d + d) + dense::scratch_bytes::<T>(d, Done::Inverted, dense::par(1))
}

/// Fills an answer with NaN: what is checked afterwards was written by the call.
fn forget<T: Scalar>(values: &mut [T]) {
    values.fill(T::NAN);
}
