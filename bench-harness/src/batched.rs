//! Batches of small matrices: the executor against loops over `faer`.
//!
//! A factorisation overwrites its input, so every timed call is preceded by a copy that is not timed.
//! The loops over `faer` are the fastest that its interface allows: in place or into buffers that are
//! made once, on as many threads as the executor has, each with an equal share of the batch.

use std::time::Instant;

use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::{cholesky::llt, evd};
use faer::{Par, Spec};
use relfisher::Scalar;
use relfisher::executor::Cpu;
use relfisher_core::factor::batch::INTERLEAVED_ORDER;
use relfisher_core::{Backend, MatMut, factor};

use crate::Random;
use crate::case::bytes_of;

/// A batch of symmetric positive definite matrices, and what became of them.
pub struct Case<T> {
    /// The order n.
    pub order: usize,
    input: Vec<T>,
    /// Factors or eigenvectors.
    output: Vec<T>,
    values: Vec<T>,
    /// Whether the last call left the columns of its matrices one after the other, as `faer` does.
    by_columns: bool,
}

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// L of A = L Lᵀ.
    Cholesky,
    /// All eigenvalues and eigenvectors.
    Eigen,
}

impl Task {
    /// FLOPs of a matrix: n³/3 for a Cholesky factor, 9n³ for eigenvalues and eigenvectors.
    #[must_use]
    pub fn flops(self, n: usize) -> f64 {
        let cube = (n as f64).powi(3);
        if self == Self::Cholesky { cube / 3.0 } else { 9.0 * cube }
    }

    /// The bytes in which the executor interleaves a group of matrices, on each thread; above
    /// [`INTERLEAVED_ORDER`] it takes them one at a time.
    #[must_use]
    pub fn lanes_bytes<T: Scalar>(self, n: usize) -> u64 {
        let elements = match self {
            _ if n > INTERLEAVED_ORDER => 3 * n * n,
            Self::Cholesky => factor::cholesky_batch_workspace_len(n),
            Self::Eigen => factor::eigh_batch_workspace_len(n),
        };
        bytes_of::<T>(elements)
    }
}

/// What a thread of the loop over `faer` allocates.
#[must_use]
pub fn loop_scratch_bytes<T: Scalar>(task: Task, n: usize) -> u64 {
    scratch::<T>(task, n).unaligned_bytes_required() as u64
}

impl<T: Scalar> Case<T> {
    /// `count` matrices of order n: uniform in [−1, 1), 0.6 n + uniform on the diagonal.
    #[must_use]
    pub fn new(count: usize, order: usize) -> Self {
        let mut random = Random::new(12);
        let mut input = vec![T::ZERO; count * order * order];
        for a in input.chunks_exact_mut(order * order) {
            for i in 0..order {
                for j in 0..=i {
                    let above = if i == j { 0.6 * order as f64 } else { -1.0 };
                    let x = T::from_f64(above + random.unit() * if i == j { 1.0 } else { 2.0 });
                    (a[i * order + j], a[j * order + i]) = (x, x);
                }
            }
        }
        let values = vec![T::ZERO; count * order];
        Self { order, output: input.clone(), values, input, by_columns: false }
    }

    /// The number of matrices.
    #[must_use]
    pub fn count(&self) -> usize {
        self.values.len() / self.order
    }

    fn restore(&mut self) {
        self.output.copy_from_slice(&self.input);
    }

    /// The seconds of the executor.
    ///
    /// # Panics
    /// When it refuses the batch.
    pub fn executor(&mut self, cpu: &Cpu, task: Task) -> f64 {
        self.restore();
        self.by_columns = false;
        let (m, n) = (self.count(), self.order);
        let start = Instant::now();
        let a = MatMut::new(&mut self.output, m, n * n).expect("shape");
        match task {
            Task::Cholesky => cpu.cholesky_batch(a, n, T::ZERO, &mut []).expect("definite"),
            Task::Eigen => {
                let values = MatMut::new(&mut self.values, m, n).expect("shape");
                cpu.eigh_batch(a, values, n, &mut []).expect("converges");
            }
        }
        start.elapsed().as_secs_f64()
    }

    /// The seconds of a loop over `faer` on each of `threads` threads.
    ///
    /// # Panics
    /// When `faer` refuses the batch.
    pub fn loop_over_faer(&mut self, threads: usize, task: Task) -> f64 {
        self.restore();
        self.by_columns = true;
        let (m, n) = (self.count(), self.order);
        let share = m.div_ceil(threads);
        let start = Instant::now();
        let from = self.input.chunks(share * n * n);
        let to = self.output.chunks_mut(share * n * n).zip(self.values.chunks_mut(share * n));
        if threads == 1 {
            from.zip(to).for_each(|(from, to)| one_thread(task, n, from, to));
        } else {
            // threads that stay: a new one would make packing buffers of its own in every call
            rayon::scope(|scope| {
                for (from, to) in from.zip(to) {
                    scope.spawn(move |_| one_thread(task, n, from, to));
                }
            });
        }
        start.elapsed().as_secs_f64()
    }

    /// Whether the last call's answer is right: residuals in f64, of some matrices of every group of lanes.
    ///
    /// # Errors
    /// The first element that is not.
    pub fn check(&self, task: Task) -> Result<(), String> {
        let n = self.order;
        let tolerance = 8.0 * n as f64 * T::EPSILON.to_f64();
        let each = self.output.chunks_exact(n * n).zip(self.values.chunks_exact(n));
        // a few of every group of lanes: the product in f64 is slower than what it checks
        let stride = if n > 32 { 37 } else { 5 };
        for ((x, values), a) in each.zip(self.input.chunks_exact(n * n)).step_by(stride) {
            let at = |k: usize| if self.by_columns { k % n * n + k / n } else { k };
            let x: Vec<f64> = (0..n * n).map(|k| x[at(k)].to_f64()).collect();
            for i in 0..n {
                for j in 0..=i {
                    let (p, q) = (&x[i * n..(i + 1) * n], &x[j * n..(j + 1) * n]);
                    let terms = p.iter().zip(q);
                    let got: f64 = match task {
                        Task::Cholesky => terms.take(j + 1).map(|(p, q)| p * q).sum(),
                        Task::Eigen => {
                            terms.zip(values).map(|((p, q), v)| p * q * v.to_f64()).sum()
                        }
                    };
                    let want = a[i * n + j].to_f64();
                    let near = (got - want).abs() <= tolerance * n as f64;
                    if !near {
                        return Err(format!("{task:?} of order {n}: {got}, not {want}"));
                    }
                }
            }
        }
        Ok(())
    }
}

fn scratch<T: Scalar>(task: Task, n: usize) -> StackReq {
    match task {
        Task::Cholesky => llt::factor::cholesky_in_place_scratch::<T>(n, Par::Seq, Spec::default()),
        Task::Eigen => {
            let both = evd::ComputeEigenvectors::Yes;
            evd::self_adjoint_evd_scratch::<T>(n, both, Par::Seq, Spec::default())
        }
    }
}

/// In place for Cholesky factors, whose input is in the output already.
fn one_thread<T: Scalar>(task: Task, n: usize, from: &[T], (to, values): (&mut [T], &mut [T])) {
    let mut buffer = MemBuffer::new(scratch::<T>(task, n));
    let each = to.chunks_exact_mut(n * n).zip(values.chunks_exact_mut(n));
    for (a, (to, values)) in from.chunks_exact(n * n).zip(each) {
        let stack = MemStack::new(&mut buffer);
        let to = faer::MatMut::from_column_major_slice_mut(to, n, n);
        if task == Task::Cholesky {
            let plain = llt::factor::LltRegularization::default();
            llt::factor::cholesky_in_place(to, plain, Par::Seq, stack, Spec::default())
                .expect("definite");
        } else {
            let values = faer::ColMut::from_slice_mut(values).as_diagonal_mut();
            let a = faer::MatRef::from_column_major_slice(a, n, n);
            evd::self_adjoint_evd(a, values, Some(to), Par::Seq, stack, Spec::default())
                .expect("converges");
        }
    }
}
