//! The CPU executor: `faer` for dense kernels, `rayon` for threads, `pulp` for SIMD at run time.

mod arena;
mod batch;
mod elementwise;
mod factor;
mod pairs;
mod pool;
mod product;
#[cfg(target_arch = "x86_64")]
mod rows;
mod small;
mod taps;
mod transpose;
mod triangular;
mod views;

use relfisher_core::metric::cost::Construction;
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::{Backend, Error, MatMut, MatRef};

pub use arena::Arena;
use factor::Stacks;
use pool::Pool;
pub(crate) use taps::Taps;
pub use transpose::Shuffles;

use super::{ChunkBody, Executor, PartBody};
use crate::Scalar;

/// Evaluates an expression in code compiled for the widest instruction set that this processor has
/// (AVX-512, AVX2 or the baseline). Whatever is inlined into the expression is vectorised
/// accordingly; a function that is not, keeps the baseline. The arithmetic is the same on every
/// level, bit for bit.
///
/// ```
/// let (x, mut y) = ([1.0f32; 64], [0.0f32; 64]);
/// relfisher::vectorised!(for (y, x) in y.iter_mut().zip(&x) {
///     *y = 2.0 * *x;
/// });
/// assert_eq!(y, [2.0; 64]);
/// ```
#[macro_export]
macro_rules! vectorised {
    ($body:expr) => {{
        let once = $crate::executor::Once;
        $crate::executor::dispatch(
            #[inline(always)]
            || {
                let _moved = once;
                $body
            },
        )
    }};
}

/// Moved into a closure, makes it one that can be called once only: the compiler calls such a
/// closure directly, but any other through a shim that it need not inline, and that would then be
/// compiled for the baseline.
#[derive(Debug)]
pub struct Once;

/// What [`vectorised!`](crate::vectorised) expands to.
#[inline(always)]
pub fn dispatch<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

/// The processor this process runs on.
pub struct Cpu {
    pool: Pool,
    f32: Arena<f32>,
    f64: Arena<f64>,
    stacks: Stacks,
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
        Ok(Self { pool, f32: Arena::new(), f64: Arena::new(), stacks: Stacks::new() })
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

impl Cpu {
    /// [`Backend::packed_grams`] with a forced construction (`None`: the one that the cost model
    /// chooses), so that a benchmark can show both.
    ///
    /// # Errors
    /// Shape or layout.
    pub fn packed_grams_by<T: Scalar>(
        &self,
        out: MatMut<'_, T>,
        (beta, alpha): (T, T),
        x: MatRef<'_, T>,
        nu: MatRef<'_, T>,
        how: Option<Construction>,
    ) -> Result<(), Error> {
        batch::packed_grams(self, out, (beta, alpha), x, nu, how)
    }
}

impl<T: Scalar> Backend<T> for Cpu {
    fn gemm(
        &self,
        c: MatMut<'_, T>,
        beta: T,
        alpha: T,
        a: MatRef<'_, T>,
        b: MatRef<'_, T>,
    ) -> Result<(), Error> {
        product::gemm(&self.pool, c, beta, alpha, a, b)
    }

    fn gram(
        &self,
        c: MatMut<'_, T>,
        beta: T,
        alpha: T,
        x: MatRef<'_, T>,
        weights: Option<&[T]>,
        _work: &mut [T],
    ) -> Result<(), Error> {
        product::gram(self, c, beta, alpha, x, weights)
    }

    fn gram_lower(
        &self,
        c: MatMut<'_, T>,
        beta: T,
        alpha: T,
        x: MatRef<'_, T>,
        _work: &mut [T],
    ) -> Result<(), Error> {
        product::gram_lower(c, beta, alpha, x)
    }

    fn packed_grams(
        &self,
        out: MatMut<'_, T>,
        beta: T,
        alpha: T,
        x: MatRef<'_, T>,
        nu: MatRef<'_, T>,
        _work: &mut [T],
    ) -> Result<(), Error> {
        batch::packed_grams(self, out, (beta, alpha), x, nu, None)
    }

    fn cholesky(&self, a: MatMut<'_, T>, damping: T) -> Result<(), Error> {
        factor::cholesky(self, a, damping)
    }

    fn cholesky_solve(&self, b: MatMut<'_, T>, l: MatRef<'_, T>) -> Result<(), Error> {
        factor::cholesky_solve(self, b, l)
    }

    fn cholesky_solve_stacked(&self, b: MatMut<'_, T>, l: MatRef<'_, T>) -> Result<(), Error> {
        factor::cholesky_solve_stacked(self, b, l)
    }

    fn spd_inverse(&self, a: MatMut<'_, T>, damping: T, work: &mut [T]) -> Result<(), Error> {
        factor::spd_inverse(self, a, damping, work)
    }

    fn eigh(&self, a: MatMut<'_, T>, values: &mut [T], work: &mut [T]) -> Result<(), Error> {
        factor::eigh(self, a, values, work)
    }

    fn packed_cholesky(&self, blocks: MatMut<'_, T>, d: usize, damping: T) -> Result<(), Error> {
        batch::packed_cholesky(self, blocks, d, damping)
    }

    fn packed_cholesky_solve(&self, v: MatMut<'_, T>, factors: MatRef<'_, T>) -> Result<(), Error> {
        batch::packed_cholesky_solve(self, v, factors)
    }

    fn packed_inverse(
        &self,
        blocks: MatMut<'_, T>,
        d: usize,
        damping: T,
        _work: &mut [T],
    ) -> Result<(), Error> {
        batch::packed_inverse(self, blocks, d, damping)
    }

    fn cholesky_batch(
        &self,
        matrices: MatMut<'_, T>,
        n: usize,
        damping: T,
        _work: &mut [T],
    ) -> Result<(), Error> {
        small::cholesky_batch(self, matrices, n, damping)
    }

    fn eigh_batch(
        &self,
        matrices: MatMut<'_, T>,
        values: MatMut<'_, T>,
        n: usize,
        _work: &mut [T],
    ) -> Result<(), Error> {
        small::eigh_batch(self, matrices, values, n)
    }

    fn packed_symv(
        &self,
        out: MatMut<'_, T>,
        blocks: MatRef<'_, T>,
        v: MatRef<'_, T>,
    ) -> Result<(), Error> {
        batch::packed_symv(self, out, blocks, v)
    }

    fn scaled_gram_solve(
        &self,
        z: MatMut<'_, T>,
        k: MatRef<'_, T>,
        s: MatRef<'_, T>,
        damping: T,
        work: &mut [T],
    ) -> Result<(), Error> {
        batch::scaled_gram_solve(self, z, k, s, damping, work)
    }
}

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

    fn join(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        self.pool.join(first, second);
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

    fn for_each_part(
        &self,
        parts: &mut [T],
        part_len: usize,
        scratch_len: usize,
        body: &PartBody<'_, T>,
    ) -> Result<(), Error> {
        let len = part_len.max(1);
        let parts = pool::Parts { data: parts, len };
        self.pool.for_each(parts, 1, &|i, part: pool::Parts<'_, T>| {
            T::arena(self).with(scratch_len, T::ZERO, |scratch| body(i, part.data, scratch))
        })
    }
}
