//! Executors: the only place of the library that knows about threads, SIMD and dense kernels.
//!
//! An [`Executor`] is a [`Backend`] of the core (products, factorisations, batched solves) plus the
//! element-wise work of a network. Everything above it (network, optimizer, train) is written once
//! against the trait. [`Cpu`] is the implementation over `faer`, `rayon` and `pulp`.
//!
//! Contracts, on top of those of [`Backend`]: shapes are checked before anything is written; outputs
//! may hold NaN on entry; the work is cut by shape only, never by the number of threads, so the same
//! input gives the same bits with any number of threads.

mod choice;
mod cpu;
pub mod cuda;

use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::{Backend, Error, MatMut, MatRef};

pub use choice::{Choice, Engine};
pub(crate) use cpu::Taps;
pub use cpu::{Arena, Cpu, Once, Shuffles, dispatch};

use crate::Scalar;

/// The body of [`Executor::for_each_chunk`]: the same range of every output and of every input.
pub type ChunkBody<'a, T> = dyn Fn(&mut [&mut [T]], &[&[T]]) + Sync + 'a;

/// A machine that runs the dense and the element-wise work of the library.
pub trait Executor<T: Scalar>: Backend<T> + Send + Sync {
    /// The number of threads that share large operations.
    fn threads(&self) -> usize;

    /// One line for records: processor, SIMD level, threads.
    fn description(&self) -> String;

    /// Runs `job` on the executor's own threads, so that the calls inside it need no hand-over from
    /// the calling thread. Worth doing once around a training loop; never needed for correctness.
    fn install(&self, job: &mut (dyn FnMut() + Send));

    /// Runs both jobs, maybe at once, and returns when both are done: for work of different kinds or
    /// sizes, such as the factorisations of several matrices. Neither may depend on the other; both
    /// may call the executor.
    fn join(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send));

    /// `out ← f(t)`, element-wise. Shapes: out and t alike, contiguous rows.
    ///
    /// # Errors
    /// Shape or layout.
    fn activate(&self, out: MatMut<'_, T>, t: MatRef<'_, T>, f: Activation<T>)
    -> Result<(), Error>;

    /// `δ ← δ ∘ f′(t)`, element-wise, with relu′(0) = `leak`. Shapes: delta and t alike, contiguous
    /// rows.
    ///
    /// # Errors
    /// Shape or layout.
    fn activation_backward(
        &self,
        delta: MatMut<'_, T>,
        t: MatRef<'_, T>,
        f: Activation<T>,
    ) -> Result<(), Error>;

    /// `ν ← ν_f(t)`, the response metric of every neuron and sample (MATH.md §2). Shapes: nu and t
    /// alike, contiguous rows.
    ///
    /// # Errors
    /// Shape or layout.
    fn response_nu(
        &self,
        nu: MatMut<'_, T>,
        t: MatRef<'_, T>,
        response: Response<T>,
    ) -> Result<(), Error>;

    /// `p_s ← softmax(t_s)` for every row, shifted by the row's maximum. Shapes: both n×c,
    /// contiguous rows.
    ///
    /// # Errors
    /// Shape or layout.
    fn softmax(&self, probabilities: MatMut<'_, T>, logits: MatRef<'_, T>) -> Result<(), Error>;

    /// Runs an element-wise update rule over equally long slices in pieces of fixed length: `body`
    /// gets the same range of every output and of every input. Pieces may run in parallel, in any
    /// order; wrap the arithmetic in [`vectorised!`](crate::vectorised) to get the widest SIMD code. At most
    /// [`MAX_CHUNK_SLICES`] outputs and as many inputs.
    ///
    /// # Errors
    /// Shape: unequal lengths or too many slices.
    fn for_each_chunk(
        &self,
        outputs: &mut [&mut [T]],
        inputs: &[&[T]],
        body: &ChunkBody<'_, T>,
    ) -> Result<(), Error>;

    /// Calls `body(i, part, scratch)` for every part of `parts` (equal lengths `part_len`; a last one
    /// may be shorter), each with scratch of `scratch_len` elements that hold anything. Parts may run
    /// in parallel, in any order, so what a part computes must depend on its number alone. The body
    /// may call the executor.
    ///
    /// # Errors
    /// The error of the first part that failed.
    fn for_each_part(
        &self,
        parts: &mut [T],
        part_len: usize,
        scratch_len: usize,
        body: &PartBody<'_, T>,
    ) -> Result<(), Error>;
}

/// The body of [`Executor::for_each_part`]: the number of the part, the part, scratch.
pub type PartBody<'a, T> = dyn Fn(usize, &mut [T], &mut [T]) -> Result<(), Error> + Sync + 'a;

/// The largest number of outputs, and of inputs, of [`Executor::for_each_chunk`].
pub const MAX_CHUNK_SLICES: usize = 4;
