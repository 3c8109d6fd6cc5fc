//! What a case is: inputs on cache lines, one call that is counted, and a check of its answer.

use std::ops::{Deref, DerefMut};

use relfisher::Scalar;
use relfisher::executor::Cpu;
use relfisher_bench::Random;
use relfisher_core::{Backend, Error, Portable};

/// The executor of every case: one thread, which needs no pool, so that nothing spins.
pub(crate) fn cpu() -> Cpu {
    Cpu::new(Some(1)).expect("one thread")
}

/// Something whose instructions are counted.
pub(crate) trait Counted {
    /// Brings inputs and outputs to where they were at first.
    fn prepare(&mut self);
    /// What is counted.
    fn run(&mut self);
    /// Panics unless [`Counted::run`] has left the right answer.
    fn check(&mut self);
}

/// A case before and after its run.
pub(crate) type Case = Box<dyn Counted>;

/// Runs a case once uncounted, so that scratch is there and the processor's abilities are known, and
/// prepares it again.
pub(crate) fn warmed(mut case: Case) -> Case {
    case.prepare();
    case.run();
    case.check();
    case.prepare();
    case
}

/// Checks the answer of the counted run.
pub(crate) fn checked(mut case: Case) {
    case.check();
}

/// A vector that starts on a cache line: where the allocator puts things must not move a count.
#[derive(Debug)]
pub(crate) struct Aligned<T> {
    data: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Scalar> Aligned<T> {
    /// `len` elements of `fill`.
    pub(crate) fn filled(len: usize, fill: T) -> Self {
        let data = vec![fill; len + 64];
        let start = data.as_ptr().align_offset(64).min(64);
        Self { data, start, len }
    }

    /// Uniform numbers in [low, high).
    pub(crate) fn random(random: &mut Random, len: usize, low: f64, high: f64) -> Self {
        let mut new = Self::filled(len, T::ZERO);
        new.iter_mut().for_each(|x| *x = T::from_f64(low + (high - low) * random.unit()));
        new
    }

    /// (1/2d) XᵀX of 2d random samples of d numbers in [−1, 1): positive definite.
    pub(crate) fn covariance(random: &mut Random, d: usize) -> Self {
        let x: Vec<f64> = (0..2 * d * d).map(|_| 2.0 * random.unit() - 1.0).collect();
        let mut new = Self::filled(d * d, T::ZERO);
        for (k, out) in new.iter_mut().enumerate() {
            let (i, j) = (k / d, k % d);
            let sum: f64 = x.chunks_exact(d).map(|row| row[i] * row[j]).sum();
            *out = T::from_f64(sum / (2 * d) as f64);
        }
        new
    }
}

impl<T: Scalar> Clone for Aligned<T> {
    /// The same elements, again on a cache line.
    fn clone(&self) -> Self {
        let mut new = Self::filled(self.len, T::ZERO);
        new.copy_from_slice(self);
        new
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.data[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[self.start..self.start + self.len]
    }
}

/// What the output holds before a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Before {
    /// NaN: the routine must write every element.
    Nothing,
    /// The first of the given arrays: the routine works in place.
    First,
}

/// The arrays of a case.
#[derive(Clone, Debug)]
pub(crate) struct Data<T: Scalar> {
    given: Vec<Aligned<T>>,
    before: Before,
    out: Aligned<T>,
    work: Aligned<T>,
}

impl<T: Scalar> Data<T> {
    /// Inputs, an output of `out` elements and scratch of `work` elements.
    pub(crate) fn new(given: Vec<Aligned<T>>, out: usize, work: usize) -> Self {
        let [out, work] = [out, work].map(|len| Aligned::filled(len, T::NAN));
        Self { given, before: Before::Nothing, out, work }
    }

    /// The same for a routine that overwrites the first of the given arrays.
    pub(crate) fn in_place(given: Vec<Aligned<T>>, work: usize) -> Self {
        let before = Before::First;
        Self { before, ..Self::new(given.clone(), given[0].len(), work) }
    }

    fn prepare(&mut self) {
        match self.before {
            Before::Nothing => self.out.fill(T::NAN),
            Before::First => self.out.copy_from_slice(&self.given[0]),
        }
        self.work.fill(T::NAN);
    }
}

/// What a routine returns.
type Outcome = Result<(), Error>;

/// A routine of the executor, and a check that knows the definition.
struct Direct<T: Scalar, R, C> {
    cpu: Cpu,
    data: Data<T>,
    run: R,
    check: C,
}

impl<T, R, C> Counted for Direct<T, R, C>
where
    T: Scalar,
    R: Fn(&Cpu, &[Aligned<T>], &mut [T], &mut [T]) -> Outcome,
    C: Fn(&[Aligned<T>], &[T]),
{
    fn prepare(&mut self) {
        self.data.prepare();
    }
    fn run(&mut self) {
        let Data { given, out, work, .. } = &mut self.data;
        (self.run)(&self.cpu, given, out, work).expect("the case is in the routine's domain");
    }
    fn check(&mut self) {
        (self.check)(&self.data.given, &self.data.out);
    }
}

/// A case of a routine of the executor: `run(cpu, given, out, work)`, then `check(given, out)`.
pub(crate) fn direct<T: Scalar>(
    data: Data<T>,
    run: impl Fn(&Cpu, &[Aligned<T>], &mut [T], &mut [T]) -> Outcome + 'static,
    check: impl Fn(&[Aligned<T>], &[T]) + 'static,
) -> Case {
    Box::new(Direct { cpu: cpu(), data, run, check })
}

/// A case of a routine that is generic over the backend: `run(backend, given, out, work)` on the
/// executor, whose answer must agree with that of the core's sequential loops to `tolerance` times
/// its largest element.
pub(crate) fn generic<T: Scalar>(
    data: Data<T>,
    tolerance: f64,
    run: impl Fn(&dyn Backend<T>, &[Aligned<T>], &mut [T], &mut [T]) -> Outcome + Copy + 'static,
) -> Case {
    let mut portable = data.clone();
    portable.prepare();
    let Data { given, out, work, .. } = &mut portable;
    run(&Portable, given, out, work).expect("the case is in the routine's domain");
    let want: Vec<f64> = portable.out.iter().map(|x| x.to_f64()).collect();
    direct(
        data,
        move |cpu, given, out, work| run(cpu, given, out, work),
        move |_, got| near(got, &want, tolerance),
    )
}

/// Panics unless every element agrees to `tolerance` times the largest.
#[track_caller]
pub(crate) fn near<T: Scalar>(got: &[T], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "the length of the answer");
    let scale = want.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let got = got.to_f64();
        let close = (got - want).abs() <= tolerance * scale;
        assert!(close, "element {i} is {got:e}, not {want:e}, of largest element {scale:e}");
    }
}

/// `count` units of rounding of the type.
pub(crate) fn ulps<T: Scalar>(count: f64) -> f64 {
    count * T::EPSILON.to_f64()
}
