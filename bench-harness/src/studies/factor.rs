//! Single matrices: Cholesky factor, inverse and eigenvectors, beside `faer` with all its threads.

use std::sync::Arc;

use relfisher::Scalar;
use relfisher::executor::Cpu;
use relfisher_core::{Backend, MatMut};

use super::{covariance, factoring};
use crate::Random;
use crate::case::{Candidate, Group, Runner, Simple, Study, bytes_of, dtype, near};
use crate::dense::{self, Done};
use crate::record::{Approach, Limit};
use crate::sizes::Sizes;

/// λ.
const DAMPING: f64 = 0.1;

pub(super) fn studies<T: Scalar>(sizes: &Sizes, threads: usize) -> Vec<Study> {
    let orders = || sizes.factor.orders.iter().copied();
    let cholesky =
        orders().map(|d| study::<T>("Cholesky factor", d, 1.0 / 3.0, factors::<T>(d, threads)));
    let inverse = orders().map(|d| study::<T>("inverse by Cholesky", d, 1.0, inverses::<T>(d)));
    let eigen =
        orders().map(|d| study::<T>("eigendecomposition", d, 9.0, spectra::<T>(d, threads)));
    cholesky.chain(inverse).chain(eigen).collect()
}

/// Ways of one study: approach, what makes it of a matrix, bytes that it holds, its threads.
type Ways<T> = Vec<(Approach, fn(Arc<Vec<T>>, usize, usize) -> Box<dyn Runner>, u64, usize)>;

/// Below this order the executor calls the core's own routines, in place.
const SMALL: usize = 32;

fn study<T: Scalar>(quantity: &'static str, d: usize, cubes: f64, ways: Ways<T>) -> Study {
    let prepare = move |cpu: &Cpu| {
        let matrix = Arc::new(covariance::<T>(cpu, d, 9));
        let candidate =
            |(approach, make, held, threads): &(Approach, fn(_, _, _) -> _, u64, usize)| {
                let (make, threads, matrix) = (*make, *threads, matrix.clone());
                Candidate {
                    approach: *approach,
                    flops: cubes * (d as f64).powi(3),
                    bytes: bytes_of::<T>(2 * d * d) as f64,
                    limit: if cubes < 1.0 { Limit::Cholesky } else { Limit::Product },
                    predicted: *held,
                    share: None,
                    build: Box::new(move |_: &Cpu| make(matrix.clone(), d, threads)),
                }
            };
        ways.iter().map(candidate).collect()
    };
    Study {
        group: Group::Factor,
        quantity,
        size: vec![("order", d)],
        x: d,
        dtype: dtype::<T>(),
        speedup: None,
        prepare: Box::new(prepare),
    }
}

/// Whether `A + λI` times some vectors solved with is those vectors again.
fn solves<T: Scalar>(a: &[T], d: usize, solve: impl FnOnce(&mut [T])) -> Result<(), String> {
    let mut x: Vec<T> = Random::new(4).numbers(d, -1.0, 1.0);
    let want = x.clone();
    solve(&mut x);
    let row = |row: &[T], i: usize| {
        let sum: f64 = row.iter().zip(&x).map(|(a, x)| a.to_f64() * x.to_f64()).sum();
        T::from_f64(sum + DAMPING * x[i].to_f64())
    };
    let got: Vec<T> = a.chunks_exact(d).enumerate().map(|(i, r)| row(r, i)).collect();
    near("A A⁻¹ v", &got, &want, 1e4)
}

fn factors<T: Scalar>(d: usize, threads: usize) -> Ways<T> {
    let ours = |matrix: Arc<Vec<T>>, d: usize, _: usize| -> Box<dyn Runner> {
        let checked = matrix.clone();
        Box::new(Simple {
            state: vec![T::NAN; d * d],
            run: move |a: &mut Vec<T>, cpu: &Cpu| {
                a.copy_from_slice(&matrix);
                let a = MatMut::new(a, d, d).expect("shape");
                cpu.cholesky(a, T::from_f64(DAMPING)).expect("definite");
            },
            check: move |a: &mut Vec<T>, cpu: &Cpu| {
                solves(&checked, d, |x| {
                    let l = relfisher_core::MatRef::new(a, d, d).expect("shape");
                    let x = MatMut::new(x, d, 1).expect("shape");
                    cpu.cholesky_solve(x, l).expect("finite");
                })
            },
        })
    };
    let theirs = |matrix: Arc<Vec<T>>, d: usize, threads: usize| -> Box<dyn Runner> {
        let (checked, par) = (matrix.clone(), dense::par(threads));
        let mut scratch = dense::scratch::<T>(d, 1, par);
        Box::new(Simple {
            state: vec![T::NAN; d * d],
            run: move |a: &mut Vec<T>, _: &Cpu| {
                a.copy_from_slice(&matrix);
                dense::damp(a, d, T::from_f64(DAMPING));
                dense::cholesky(a, d, &mut scratch, par);
            },
            check: move |a: &mut Vec<T>, _: &Cpu| {
                let mut scratch = dense::scratch::<T>(d, 1, par);
                solves(&checked, d, |x| dense::solve(x, a, d, &mut scratch, par))
            },
        })
    };
    // what the executor holds where it calls `faer`
    let held = bytes_of::<T>(d * d) + if d < SMALL { 0 } else { factoring::<T>(d) };
    let scratch = dense::scratch_bytes::<T>(d, Done::Solved, dense::par(threads));
    vec![
        (Approach::Structured, ours, held, 1),
        (Approach::Dense, theirs, bytes_of::<T>(d * d) + scratch, threads),
    ]
}

fn inverses<T: Scalar>(d: usize) -> Ways<T> {
    let ours = |matrix: Arc<Vec<T>>, d: usize, _: usize| -> Box<dyn Runner> {
        let checked = matrix.clone();
        Box::new(Simple {
            state: (vec![T::NAN; d * d], vec![T::NAN; d * d]),
            run: move |(a, work): &mut (Vec<T>, Vec<T>), cpu: &Cpu| {
                a.copy_from_slice(&matrix);
                let a = MatMut::new(a, d, d).expect("shape");
                cpu.spd_inverse(a, T::from_f64(DAMPING), work).expect("definite");
            },
            check: move |(a, _): &mut (Vec<T>, Vec<T>), _: &Cpu| {
                solves(&checked, d, |x| {
                    let v: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
                    for (x, row) in x.iter_mut().zip(a.chunks_exact(d)) {
                        *x = T::from_f64(row.iter().zip(&v).map(|(a, v)| a.to_f64() * v).sum());
                    }
                })
            },
        })
    };
    // with a square for the inverse
    let extra = factoring::<T>(d) + bytes_of::<T>(d * d);
    let held = bytes_of::<T>(2 * d * d) + if d < SMALL { 0 } else { extra };
    vec![(Approach::Structured, ours, held, 1)]
}

fn spectra<T: Scalar>(d: usize, threads: usize) -> Ways<T> {
    /// U Λ Uᵀ times a vector is the matrix times it.
    fn rebuilt<T: Scalar>(
        matrix: &[T],
        values: &[T],
        vector: impl Fn(usize, usize) -> T,
    ) -> Result<(), String> {
        let d = values.len();
        let v: Vec<T> = Random::new(5).numbers(d, -1.0, 1.0);
        let dot = |f: &dyn Fn(usize) -> f64| (0..d).map(f).sum::<f64>();
        let turned: Vec<f64> = (0..d)
            .map(|k| values[k].to_f64() * dot(&|i| vector(i, k).to_f64() * v[i].to_f64()))
            .collect();
        let got: Vec<T> =
            (0..d).map(|i| T::from_f64(dot(&|k| vector(i, k).to_f64() * turned[k]))).collect();
        let row = |row: &[T]| row.iter().zip(&v).map(|(a, v)| a.to_f64() * v.to_f64()).sum();
        let want: Vec<T> = matrix.chunks_exact(d).map(|r| T::from_f64(row(r))).collect();
        near("U Λ Uᵀ v", &got, &want, 1e4)
    }
    let ours = |matrix: Arc<Vec<T>>, d: usize, _: usize| -> Box<dyn Runner> {
        let checked = matrix.clone();
        let work = relfisher_core::factor::eigh_workspace_len(d);
        Box::new(Simple {
            state: [vec![T::NAN; d * d], vec![T::NAN; d], vec![T::NAN; work]],
            run: move |[a, values, work]: &mut [Vec<T>; 3], cpu: &Cpu| {
                a.copy_from_slice(&matrix);
                let a = MatMut::new(a, d, d).expect("shape");
                cpu.eigh(a, values, work).expect("converges");
            },
            check: move |[a, values, _]: &mut [Vec<T>; 3], _: &Cpu| {
                rebuilt(&checked, values, |i, k| a[i * d + k])
            },
        })
    };
    let theirs = |matrix: Arc<Vec<T>>, d: usize, threads: usize| -> Box<dyn Runner> {
        let (checked, par) = (matrix.clone(), dense::par(threads));
        let mut scratch = dense::eigen_scratch::<T>(d, par);
        Box::new(Simple {
            state: [vec![T::NAN; d * d], vec![T::NAN; d]],
            run: move |[vectors, values]: &mut [Vec<T>; 2], _: &Cpu| {
                dense::eigen((values, vectors), &matrix, &mut scratch, par);
            },
            check: move |[vectors, values]: &mut [Vec<T>; 2], _: &Cpu| {
                rebuilt(&checked, values, |i, k| vectors[k * d + i])
            },
        })
    };
    let own = bytes_of::<T>(d * d + d + relfisher_core::factor::eigh_workspace_len(d));
    let scratch = |threads| dense::eigen_scratch_bytes::<T>(d, dense::par(threads));
    let extra = bytes_of::<T>(2 * d * d) + scratch(1);
    vec![
        (Approach::Structured, ours, own + if d < SMALL { 0 } else { extra }, 1),
        (Approach::Dense, theirs, bytes_of::<T>(d * d + d) + scratch(threads), threads),
    ]
}
