//! The CPU executor: `faer` for dense kernels, `rayon` for threads, `pulp` for SIMD at run time.

mod arena;
mod elementwise;
mod pool;

use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::{Backend, Error, MatMut, MatRef};

pub use arena::Arena;
use pool::Pool;

use super::{ChunkBody, Executor};
use crate::Scalar;

/// Calls `f` compiled for the widest instruction set that this processor has (AVX-512, AVX2 or the
/// baseline): whatever is inlined into `f` is vectorised accordingly. The arithmetic is the same on
/// every level, bit for bit.
#[inline(always)]
pub fn vectorised<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

/// The processor this process runs on.
pub struct Cpu {
    pool: Pool,
    f32: Arena<f32>,
    f64: Arena<f64>,
}

impl Cpu {
    /// An executor with its own pool of `threads` threads; `None` takes as many as the process may
    /// run at once.
    ///
    /// # Errors
    /// Parameter: no threads, or the system refuses to start them.
    pub fn new(threads: Option<usize>) -> Result<Self, Error> {
        let available = || std::thread::available_parallelism().map_or(1, usize::from);
        let pool = Pool::new(threads.unwrap_or_else(available))?;
        Ok(Self { pool, f32: Arena::new(), f64: Arena::new() })
    }

    /// The number of threads.
    #[must_use]
    pub fn thread_count(&self) -> usize {
        self.pool.threads()
    }

    /// The instruction set that the kernels run on: `"AVX-512"`, `"AVX2"` or `"baseline"`.
    #[must_use]
    pub fn simd() -> &'static str {
        match format!("{:?}", pulp::Arch::new()).get(..2) {
            Some("V4") => "AVX-512",
            Some("V3") => "AVX2",
            _ => "baseline",
        }
    }

    /// The processor's name as the system reports it.
    #[must_use]
    pub fn model() -> String {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        info.lines()
            .find_map(|l| l.strip_prefix("model name").and_then(|r| r.split_once(':')))
            .map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
    }

    pub(crate) fn arena_f32(&self) -> &Arena<f32> {
        &self.f32
    }

    pub(crate) fn arena_f64(&self) -> &Arena<f64> {
        &self.f64
    }
}

impl<T: Scalar> Backend<T> for Cpu {}

impl<T: Scalar> Executor<T> for Cpu {
    fn threads(&self) -> usize {
        self.pool.threads()
    }

    fn description(&self) -> String {
        format!("{}, {}, {} threads", Self::model(), Self::simd(), self.pool.threads())
    }

    fn install(&self, job: &mut (dyn FnMut() + Send)) {
        self.pool.install(job);
    }

    fn activate(
        &self,
        out: MatMut<'_, T>,
        t: MatRef<'_, T>,
        f: Activation<T>,
    ) -> Result<(), Error> {
        elementwise::activate(&self.pool, out, t, f)
    }

    fn activation_backward(
        &self,
        delta: MatMut<'_, T>,
        t: MatRef<'_, T>,
        f: Activation<T>,
    ) -> Result<(), Error> {
        elementwise::activation_backward(&self.pool, delta, t, f)
    }

    fn response_nu(
        &self,
        nu: MatMut<'_, T>,
        t: MatRef<'_, T>,
        response: Response<T>,
    ) -> Result<(), Error> {
        elementwise::response_nu(&self.pool, nu, t, response)
    }

    fn softmax(&self, probabilities: MatMut<'_, T>, logits: MatRef<'_, T>) -> Result<(), Error> {
        elementwise::softmax(&self.pool, probabilities, logits)
    }

    fn for_each_chunk(
        &self,
        outputs: &mut [&mut [T]],
        inputs: &[&[T]],
        body: &ChunkBody<'_, T>,
    ) -> Result<(), Error> {
        elementwise::for_each_chunk(&self.pool, outputs, inputs, body)
    }
}
