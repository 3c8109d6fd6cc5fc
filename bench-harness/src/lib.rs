//! What the benchmarks share: sizes, inputs, and interleaved timing.
//!
//! The criterion benches (`benches/`) show throughput over time; the program `ratios` measures
//! every acceptance ratio within one run. On a machine that others use too, medians of separate
//! runs are worthless: so [`interleave`] runs the candidates in turn and keeps the fastest of each.

pub mod batched;
pub mod case;
pub mod ceiling;
pub mod curvature;
pub mod dense;
pub mod gpu;
pub mod growth;
pub mod limits;
pub mod machine;
pub mod measure;
pub mod memory;
pub mod metric;
pub mod network;
pub mod pass;
pub mod plain;
pub mod record;
pub mod report;
pub mod sizes;
pub mod sound;
pub mod studies;

use std::time::Instant;

use relfisher::Scalar;
use relfisher::executor::Cpu;

/// The threads of all measurements.
pub const THREADS: usize = 2;

/// The executor of all measurements.
///
/// # Panics
/// When the system refuses to start the threads.
#[must_use]
pub fn cpu() -> Cpu {
    Cpu::new(Some(THREADS)).expect("two threads")
}

/// A small deterministic generator (SplitMix64): inputs are never zeros.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `len` numbers uniform in [low, high).
    pub fn numbers<T: Scalar>(&mut self, len: usize, low: f64, high: f64) -> Vec<T> {
        (0..len).map(|_| T::from_f64(low + (high - low) * self.unit())).collect()
    }

    /// [`Random::numbers`] in single precision.
    pub fn uniforms(&mut self, len: usize, low: f64, high: f64) -> Vec<f32> {
        self.numbers(len, low, high)
    }
}

/// The first value that an earlier one equals, and its place.
fn repeated<V: PartialEq>(values: &[V]) -> Option<(usize, &V)> {
    values.iter().enumerate().find(|(k, value)| values[..*k].contains(value))
}

/// The seconds of the fastest of `rounds` calls of every candidate, called in turn; each is called
/// once before.
pub fn interleave(rounds: usize, candidates: &mut [&mut dyn FnMut()]) -> Vec<f64> {
    let mut fastest = vec![f64::INFINITY; candidates.len()];
    for round in 0..=rounds {
        for (best, run) in fastest.iter_mut().zip(candidates.iter_mut()) {
            let start = Instant::now();
            run();
            let seconds = start.elapsed().as_secs_f64();
            if round > 0 {
                *best = best.min(seconds);
            }
        }
    }
    fastest
}

/// Panics unless every pair of elements agrees to `tolerance` times the largest element.
///
/// # Panics
/// When they do not: a benchmark of a wrong answer is worthless.
#[track_caller]
pub fn assert_near(label: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{label}");
    let scale = want.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance * scale, "{label}: element {i}: {g}, not {w}");
    }
}

/// [`dense::product`] in single precision with [`THREADS`] threads.
pub fn faer_product(c: &mut [f32], a: &[f32], b: &[f32], order: usize) {
    dense::product(c, a, b, order, dense::par(THREADS));
}
