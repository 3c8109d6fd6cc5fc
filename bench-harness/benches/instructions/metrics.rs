//! Metrics: packed blocks by every construction, the exact routes to a step, soft-max layers.

use relfisher::Scalar;
use relfisher_bench::Random;
use relfisher_core::metric::cost::{Construction, Route};
use relfisher_core::metric::layer::{NonlinearMetric, SoftmaxMetric, SolveOptions};
use relfisher_core::{Backend, MatMut, MatRef, Portable, blas, factor};

use crate::case::{Aligned, Case, Data, direct, generic, near, ulps};

/// Set in the environment, [`Kernel::Handicapped`] is the core's sequential loop: a kernel made slow
/// on purpose, so that the gate on counts can be seen to fail.
const HANDICAP: &str = "RELFISHER_BENCH_HANDICAP";

/// Which packed metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// The one that the cost model chooses.
    Chosen,
    /// The chosen one, or a slow one where the environment says so.
    Handicapped,
    /// This one.
    By(Construction),
}

/// n, m, d̃ of the packed metrics: small, but all of a panel's and a tile's ends occur.
const PACKED: [usize; 3] = [144, 20, 49];

/// x̃ (n × d̃, trailing 1) and ν (n × m).
fn layer<T: Scalar>([n, m, d]: [usize; 3]) -> Vec<Aligned<T>> {
    let mut random = Random::new(1);
    let mut x = Aligned::random(&mut random, n * d, -1.0, 1.0);
    x.iter_mut().skip(d - 1).step_by(d).for_each(|x| *x = T::ONE);
    vec![x, Aligned::random(&mut random, n * m, 0.0, 1.0)]
}

/// All weighted Gram matrices, packed.
pub(crate) fn packed<T: Scalar>(kernel: Kernel) -> Case {
    let [n, m, d] = PACKED;
    let width = d * (d + 1) / 2;
    let portable = kernel == Kernel::Handicapped && std::env::var_os(HANDICAP).is_some();
    let data =
        Data::<T>::new(layer::<T>(PACKED), m * width, blas::packed_grams_workspace_len(n, m, d));
    direct(
        data,
        move |cpu, given, out, work| {
            let (x, nu) = (MatRef::new(&given[0], n, d)?, MatRef::new(&given[1], n, m)?);
            let (out, mean) = (MatMut::new(out, m, width)?, T::ONE / T::from_usize(n));
            match kernel {
                Kernel::By(how) => cpu.packed_grams_by(out, (T::ZERO, mean), x, nu, Some(how)),
                _ if portable => Portable.packed_grams(out, T::ZERO, mean, x, nu, work),
                _ => cpu.packed_grams(out, T::ZERO, mean, x, nu, work),
            }
        },
        move |given, out| {
            let mut want = Vec::with_capacity(out.len());
            for i in 0..m {
                for (a, b) in (0..d).flat_map(|a| (0..=a).map(move |b| (a, b))) {
                    let term = |s: usize| {
                        let nu = given[1][s * m + i].to_f64();
                        nu * given[0][s * d + a].to_f64() * given[0][s * d + b].to_f64()
                    };
                    want.push((0..n).map(term).sum::<f64>() / n as f64);
                }
            }
            near(out, &want, ulps::<T>(32.0));
        },
    )
}

/// The damping of the steps: their blocks have condition numbers of a few hundred at most.
const DAMPING: f64 = 0.1;

/// (Ḡ + λI)⁻¹ G of a non-linear layer by one of the exact routes, metric included.
pub(crate) fn step<T: Scalar>(route: Route) -> Case {
    let shape @ [n, m, d] = [40, 20, 65];
    let mut given = layer::<T>(shape);
    given.push(Aligned::random(&mut Random::new(2), m * d, -1.0, 1.0));
    let work = NonlinearMetric::<T>::solve_workspace_len(n, m, d, route);
    generic(
        Data::<T>::new(given, m * d, work),
        ulps::<T>(4096.0),
        move |backend, given, out, work| {
            let (x, nu) = (MatRef::new(&given[0], n, d)?, MatRef::new(&given[1], n, m)?);
            let (g, out) = (MatRef::new(&given[2], m, d)?, MatMut::new(out, m, d)?);
            let options = SolveOptions { route: Some(route), ..SolveOptions::default() };
            let damping = T::from_f64(DAMPING);
            NonlinearMetric::new(x, nu)?.solve(backend, out, g, damping, options, work)
        },
    )
}

/// (Ḡ + λI)⁻¹ G of a soft-max layer.
pub(crate) fn softmax_step<T: Scalar>(route: Route) -> Case {
    let [n, c, d] = [24, 5, 17];
    let mut given = layer::<T>([n, c, d]);
    for row in given[1].chunks_exact_mut(c) {
        let sum = row.iter().fold(T::ZERO, |a, b| a + *b);
        row.iter_mut().for_each(|p| *p /= sum);
    }
    given.push(Aligned::random(&mut Random::new(2), c * d, -1.0, 1.0));
    let work = SoftmaxMetric::<T>::solve_workspace_len(n, c, d, route);
    generic(
        Data::<T>::new(given, c * d, work),
        ulps::<T>(4096.0),
        move |backend, given, out, work| {
            let (x, eta) = (MatRef::new(&given[0], n, d)?, MatRef::new(&given[1], n, c)?);
            let (g, out) = (MatRef::new(&given[2], c, d)?, MatMut::new(out, c, d)?);
            let options = SolveOptions { route: Some(route), ..SolveOptions::default() };
            let damping = T::from_f64(DAMPING);
            SoftmaxMetric::new(x, eta)?.solve(backend, out, g, damping, options, work)
        },
    )
}

/// The systems of the sample space alone.
pub(crate) fn sample_systems<T: Scalar>(n: usize, m: usize) -> Case {
    let mut random = Random::new(3);
    let z = Aligned::random(&mut random, n * m, -1.0, 1.0);
    let k = Aligned::covariance(&mut random, n);
    let s = Aligned::random(&mut random, n * m, 0.0, 1.0);
    let work = factor::scaled_gram_solve_workspace_len(n, m);
    let data = Data::<T>::in_place(vec![z, k, s], work);
    generic(data, ulps::<T>(4096.0), move |backend, given, out, work| {
        let (k, s) = (MatRef::new(&given[1], n, n)?, MatRef::new(&given[2], n, m)?);
        backend.scaled_gram_solve(MatMut::new(out, n, m)?, k, s, T::from_f64(DAMPING), work)
    })
}
