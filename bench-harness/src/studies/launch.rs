//! What a call costs beside its work: a product too small to matter, a hand-over to the threads.

use relfisher::Scalar;
use relfisher::executor::{Cpu, Executor};
use relfisher_core::{Backend, MatMut, MatRef};

use crate::Random;
use crate::case::{Candidate, Group, Runner, Simple, Study, bytes_of, dtype, near};
use crate::record::{Approach, Limit, Target};
use crate::sizes::Sizes;

pub(super) fn studies<T: Scalar>(sizes: &Sizes) -> Vec<Study> {
    let products = sizes.launch.orders.iter().map(|n| product::<T>(*n));
    products.chain([join::<T>()]).collect()
}

/// One small product through the executor.
fn product<T: Scalar>(n: usize) -> Study {
    let prepare = move |_: &Cpu| {
        let build = move |_: &Cpu| -> Box<dyn Runner> {
            let mut random = Random::new(11);
            let mut square = || random.numbers::<T>(n * n, -1.0, 1.0);
            Box::new(Simple {
                state: [square(), square(), square()],
                run: move |[c, a, b]: &mut [Vec<T>; 3], cpu: &Cpu| {
                    let view = |x| MatRef::new(x, n, n).expect("shape");
                    let c = MatMut::new(c, n, n).expect("shape");
                    cpu.gemm(c, T::ZERO, T::ONE, view(a), view(b)).expect("shapes");
                },
                check: move |[c, a, b]: &mut [Vec<T>; 3], _: &Cpu| {
                    right_product(n, [&*c, &*a, &*b])
                },
            })
        };
        vec![Candidate {
            approach: Approach::Structured,
            flops: 2.0 * (n as f64).powi(3),
            bytes: bytes_of::<T>(3 * n * n) as f64,
            limit: Limit::Product,
            predicted: bytes_of::<T>(3 * n * n),
            share: None,
            build: Box::new(build),
        }]
    };
    Study {
        group: Group::Launch,
        quantity: "one product through the executor",
        size: vec![("order", n)],
        x: n,
        dtype: dtype::<T>(),
        speedup: None,
        prepare: Box::new(prepare),
    }
}

/// The order of the plain product that a hand-over is compared with.
const JOB: usize = 16;
/// How many hand-overs should fit into it: smaller jobs are not worth a thread.
const HANDOVERS: f64 = 20.0;

/// Two jobs that do nothing, handed to the threads and awaited, against a small job itself: the product of
/// two matrices of order 16 by three plain loops.
fn join<T: Scalar>() -> Study {
    let prepare = |_: &Cpu| {
        let joined = |_: &Cpu| -> Box<dyn Runner> {
            Box::new(Simple {
                state: [0_u64; 2],
                run: |[left, right]: &mut [u64; 2], cpu: &Cpu| {
                    let (mut one, mut other) = (|| *left += 1, || *right += 1);
                    Executor::<T>::join(cpu, &mut one, &mut other);
                },
                check: |[left, right]: &mut [u64; 2], _: &Cpu| {
                    if left == right && *left > 0 {
                        return Ok(());
                    }
                    Err(format!("the jobs ran {left} and {right} times"))
                },
            })
        };
        let plain = |_: &Cpu| -> Box<dyn Runner> {
            let mut random = Random::new(11);
            let mut square = || random.numbers::<T>(JOB * JOB, -1.0, 1.0);
            Box::new(Simple {
                state: [square(), square(), square()],
                run: |[c, a, b]: &mut [Vec<T>; 3], _: &Cpu| {
                    for (c, a) in c.chunks_exact_mut(JOB).zip(a.chunks_exact(JOB)) {
                        c.fill(T::ZERO);
                        for (a, b) in a.iter().zip(b.chunks_exact(JOB)) {
                            c.iter_mut().zip(b).for_each(|(c, b)| *c += *a * *b);
                        }
                    }
                },
                check: |[c, a, b]: &mut [Vec<T>; 3], _: &Cpu| right_product(JOB, [&*c, &*a, &*b]),
            })
        };
        let candidate = |approach, (flops, bytes): (f64, u64), limit, build| Candidate {
            approach,
            flops,
            bytes: bytes as f64,
            limit,
            predicted: bytes,
            share: None,
            build,
        };
        let work = (2.0 * (JOB as f64).powi(3), bytes_of::<T>(3 * JOB * JOB));
        vec![
            candidate(Approach::Structured, (0.0, 0), Limit::Copy, Box::new(joined)),
            candidate(Approach::Loop, work, Limit::Product, Box::new(plain)),
        ]
    };
    Study {
        group: Group::Launch,
        quantity: "two empty jobs joined, against a plain product of order 16",
        size: Vec::new(),
        x: 1,
        dtype: dtype::<T>(),
        speedup: Some(Target::AtLeast(HANDOVERS)),
        prepare: Box::new(prepare),
    }
}

/// Whether c is a b, summed in f64.
fn right_product<T: Scalar>(n: usize, [c, a, b]: [&[T]; 3]) -> Result<(), String> {
    let sum =
        |i: usize, j: usize| (0..n).map(|k| a[i * n + k].to_f64() * b[k * n + j].to_f64()).sum();
    let all = (0..n * n).map(|k| T::from_f64(sum(k / n, k % n)));
    near("A B", c, &all.collect::<Vec<T>>(), 64.0)
}
