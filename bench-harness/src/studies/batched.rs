//! Batches of small matrices, interleaved over vector lanes, beside a loop over `faer` on as many threads.

use relfisher::Scalar;
use relfisher::executor::Cpu;

use crate::batched::{Case, Task, loop_scratch_bytes};
use crate::case::{Build, Candidate, Group, Runner, Study, bytes_of, dtype};
use crate::record::{Approach, Limit, Target};
use crate::sizes::Sizes;

pub(super) fn studies<T: Scalar>(sizes: &Sizes, threads: usize) -> Vec<Study> {
    let size = &sizes.batched;
    let factors = size
        .orders
        .iter()
        .map(|&n| study::<T>(Task::Cholesky, (size.matrices, n), size.cholesky, threads));
    let spectra = size
        .orders
        .iter()
        .map(|&n| study::<T>(Task::Eigen, (size.decompositions, n), size.eigen, threads));
    factors.chain(spectra).collect()
}

fn study<T: Scalar>(task: Task, (count, n): (usize, usize), speedup: f64, threads: usize) -> Study {
    let (quantity, limit) = match task {
        Task::Cholesky => ("batch of Cholesky factors", Limit::Cholesky),
        Task::Eigen => ("batch of eigendecompositions", Limit::Product),
    };
    let prepare = move |_: &Cpu| {
        // the input, what becomes of it, and its eigenvalues
        let held = bytes_of::<T>(2 * count * n * n + count * n);
        let elements = (count * n * n) as f64 * size_of::<T>() as f64;
        let candidate = |approach, scratch: u64, build| Candidate {
            approach,
            flops: task.flops(n) * count as f64,
            // a triangle read and written, or a square each
            bytes: if task == Task::Cholesky { elements } else { 2.0 * elements },
            limit,
            predicted: held + scratch,
            share: None,
            build,
        };
        let ours: Build = Box::new(move |_| runner::<T>((count, n), task, Way::Executor));
        let theirs: Build = Box::new(move |_| runner::<T>((count, n), task, Way::Loop(threads)));
        vec![
            candidate(Approach::Structured, threads as u64 * task.lanes_bytes::<T>(n), ours),
            candidate(Approach::Loop, threads as u64 * loop_scratch_bytes::<T>(task, n), theirs),
        ]
    };
    Study {
        group: Group::Factor,
        quantity,
        size: vec![("order", n), ("matrices", count)],
        x: n,
        dtype: dtype::<T>(),
        speedup: Some(Target::AtLeast(speedup)),
        prepare: Box::new(prepare),
    }
}

/// Who computes.
#[derive(Clone, Copy)]
enum Way {
    Executor,
    /// A loop on so many threads.
    Loop(usize),
}

struct Batch<T> {
    case: Case<T>,
    task: Task,
    way: Way,
}

fn runner<T: Scalar>((count, n): (usize, usize), task: Task, way: Way) -> Box<dyn Runner> {
    Box::new(Batch { case: Case::<T>::new(count, n), task, way })
}

impl<T: Scalar> Batch<T> {
    /// The input put back, untimed, and one call.
    fn call(&mut self, cpu: &Cpu) -> f64 {
        match self.way {
            Way::Executor => self.case.executor(cpu, self.task),
            Way::Loop(threads) => self.case.loop_over_faer(threads, self.task),
        }
    }
}

impl<T: Scalar> Runner for Batch<T> {
    fn run(&mut self, cpu: &Cpu) {
        self.call(cpu);
    }

    fn check(&mut self, _: &Cpu) -> Result<(), String> {
        self.case.check(self.task)
    }

    fn seconds(&mut self, cpu: &Cpu, repeats: usize) -> f64 {
        (0..repeats).map(|_| self.call(cpu)).sum::<f64>() / repeats as f64
    }
}
