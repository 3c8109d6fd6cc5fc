//! The operations of the CPU as shares of the machine's own ceiling: either scalar type, any number of
//! threads.
//!
//! The ceiling is the rate of `faer`'s general product of two large squares of the same type with the
//! same threads, measured between the candidates of the same run ([`turns`]).

mod convolution;
mod perceptron;
mod products;

use std::time::{Duration, Instant};

use relfisher::Scalar;
use relfisher::executor::{Cpu, Executor};
use serde::Deserialize;

pub use convolution::PatchFactor;
pub use perceptron::{Perceptron, Phase, Products, Rival};
pub use products::{Gram, KroneckerSolve, Packed};

use crate::{Random, dense};

/// The long product.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductSize {
    /// The order of its squares.
    pub order: usize,
}

/// Sizes of one operation and the share that it should reach.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shares<S> {
    /// The share to reach.
    pub share: f64,
    /// The sizes, in the order that the operation names them.
    pub sizes: Vec<S>,
}

/// Steps of a perceptron and what they may cost.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepSize {
    /// Layer widths, input first.
    pub widths: Vec<usize>,
    /// Samples of a batch.
    pub batch: usize,
    /// The most that a step may take in its own unit.
    pub most: f64,
}

/// The sizes and targets of `ceiling.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// The ceiling.
    pub product: ProductSize,
    /// Packed metrics.
    pub packed: Shares<[usize; 3]>,
    /// Gram matrices.
    pub gram: Shares<[usize; 2]>,
    /// Kronecker solves.
    pub solve: Shares<[usize; 3]>,
    /// KFC factors.
    pub convolution: Shares<[usize; 5]>,
    /// K-FAC steps.
    pub kfac: StepSize,
    /// Small steps.
    pub step: StepSize,
}

impl Sizes {
    /// The committed ones.
    ///
    /// # Panics
    /// When `ceiling.toml` does not parse.
    #[must_use]
    pub fn load() -> Self {
        toml::from_str(include_str!("../../ceiling.toml")).expect("ceiling.toml")
    }
}

/// An operation with inputs and results of its own.
pub trait Case<T: Scalar>: Send {
    /// Its name and sizes.
    fn label(&self) -> String;

    /// The floating point operations of a call.
    fn flops(&self) -> f64;

    /// The input put back, of a call that overwrites it: not a part of its time.
    fn restore(&mut self) {}

    /// One call.
    fn run(&mut self, cpu: &Cpu);

    /// The seconds of a call, with its input put back.
    fn seconds(&mut self, cpu: &Cpu) -> f64 {
        self.restore();
        seconds(|| self.run(cpu))
    }

    /// The same quantity as a user of `faer` would compute it, where that is what the target is a share
    /// of.
    fn rival(&mut self, _threads: usize) -> bool {
        false
    }

    /// Panics unless the last call gave the right answer.
    fn check(&mut self, cpu: &Cpu);
}

/// `factor` units of rounding of T.
#[must_use]
pub fn rounding<T: Scalar>(factor: f64) -> f64 {
    factor * T::EPSILON.to_f64()
}

/// Panics unless every pair agrees to `tolerance` times the largest expected element.
///
/// # Panics
/// When they do not.
#[track_caller]
pub fn assert_close(label: &str, pairs: &[(f64, f64)], tolerance: f64) {
    let scale = pairs.iter().fold(0.0_f64, |most, (_, want)| most.max(want.abs()));
    for (i, (got, want)) in pairs.iter().enumerate() {
        let error = (got - want).abs();
        assert!(error <= tolerance * scale, "{label}: element {i}: {got}, not {want}");
    }
}

/// The product that the shares refer to.
pub struct LongProduct<T> {
    order: usize,
    threads: usize,
    a: Vec<T>,
    b: Vec<T>,
    c: Vec<T>,
}

impl<T: Scalar> LongProduct<T> {
    /// Random squares.
    #[must_use]
    pub fn new(order: usize, threads: usize) -> Self {
        let mut random = Random::new(6);
        let [a, b] = [(); 2].map(|()| random.numbers(order * order, -1.0, 1.0));
        Self { order, threads, a, b, c: vec![T::ZERO; order * order] }
    }

    /// `c ← a b`.
    pub fn run(&mut self) {
        let par = dense::par(self.threads);
        dense::product(&mut self.c, &self.a, &self.b, self.order, par);
    }

    /// FLOPs of a call.
    #[must_use]
    pub fn flops(&self) -> f64 {
        2.0 * (self.order as f64).powi(3)
    }
}

/// The time that a candidate gets in one turn, and the fewest and the most calls in it.
const TURN: Duration = Duration::from_millis(30);
const CALLS: usize = 200;

/// The seconds that `run` takes.
pub fn seconds(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

/// The seconds of the fastest call of every candidate, in `rounds` rounds in which the candidates take
/// turns: a short call is repeated within its turn, and each is called once before.
pub fn turns(rounds: usize, candidates: &mut [&mut (dyn FnMut() + Send)]) -> Vec<f64> {
    let mut timed: Vec<_> = candidates.iter_mut().map(|run| || seconds(&mut *run)).collect();
    let mut timed: Vec<&mut (dyn FnMut() -> f64 + Send)> =
        timed.iter_mut().map(|run| run as _).collect();
    turns_of_timed(rounds, &mut timed)
}

/// [`turns`] of candidates that time themselves.
pub fn turns_of_timed(
    rounds: usize,
    candidates: &mut [&mut (dyn FnMut() -> f64 + Send)],
) -> Vec<f64> {
    candidates.iter_mut().for_each(|run| _ = run());
    let mut fastest = vec![f64::INFINITY; candidates.len()];
    for _ in 0..rounds {
        for (best, run) in fastest.iter_mut().zip(candidates.iter_mut()) {
            let turn = Instant::now();
            for _ in 0..CALLS {
                *best = best.min(run());
                if turn.elapsed() >= TURN {
                    break;
                }
            }
        }
    }
    fastest
}

/// Runs `job` on the threads of the executor, as a training loop does.
pub fn on_threads<T: Scalar, R: Send>(cpu: &Cpu, job: impl FnOnce() -> R + Send) -> R {
    let (mut job, mut result) = (Some(job), None);
    Executor::<T>::install(cpu, &mut || result = job.take().map(|job| job()));
    result.expect("the job has run")
}
