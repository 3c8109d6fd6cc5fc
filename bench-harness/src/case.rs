//! What is measured: studies of one quantity and size, and the candidates that compute it.
//!
//! A study is cheap to make: it holds sizes. Its inputs come with [`Study::prepare`], its outputs and
//! scratch with [`Candidate::build`], so that memory can be counted beside the inputs and a matrix
//! that does not fit is never asked for.

use std::fmt;
use std::marker::PhantomData;
use std::time::Instant;

use relfisher::Scalar;
use relfisher::executor::Cpu;

use crate::ceiling;
use crate::record::{Approach, Dtype, Limit, Target};

/// The groups, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Group {
    /// Relative Fisher metrics.
    Metric,
    /// Kronecker algebra.
    Kron,
    /// Factorisations.
    Factor,
    /// Factors and blocks of a network's curvature.
    Curvature,
    /// Update rules over parameters.
    Optim,
    /// Whole training steps.
    Step,
    /// What a call costs beside its work.
    Launch,
}

impl Group {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::Metric,
        Self::Kron,
        Self::Factor,
        Self::Curvature,
        Self::Optim,
        Self::Step,
        Self::Launch,
    ];

    /// Its name in records and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metric => "metric",
            Self::Kron => "kron",
            Self::Factor => "factor",
            Self::Curvature => "curvature",
            Self::Optim => "optim",
            Self::Step => "step",
            Self::Launch => "launch",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A candidate with its outputs and scratch.
pub trait Runner: Send {
    /// One call, as a user makes it.
    ///
    /// # Panics
    /// When the library refuses it: a benchmark of a refused call is worthless.
    fn run(&mut self, cpu: &Cpu);

    /// Whether the answer of the last call is right, by other means than the call.
    ///
    /// # Errors
    /// What is wrong.
    fn check(&mut self, cpu: &Cpu) -> Result<(), String>;

    /// The seconds of a call, the mean of `repeats`. A call that overwrites its input times itself, so
    /// that putting the input back does not count.
    fn seconds(&mut self, cpu: &Cpu, repeats: usize) -> f64 {
        let start = Instant::now();
        (0..repeats).for_each(|_| self.run(cpu));
        start.elapsed().as_secs_f64() / repeats as f64
    }
}

/// A runner of two closures over one state.
pub struct Simple<S, R, C> {
    /// Outputs, scratch, and shared inputs.
    pub state: S,
    /// One call.
    pub run: R,
    /// The check.
    pub check: C,
}

impl<S, R, C> Runner for Simple<S, R, C>
where
    S: Send,
    R: FnMut(&mut S, &Cpu) + Send,
    C: FnMut(&mut S, &Cpu) -> Result<(), String> + Send,
{
    fn run(&mut self, cpu: &Cpu) {
        (self.run)(&mut self.state, cpu);
    }

    fn check(&mut self, cpu: &Cpu) -> Result<(), String> {
        (self.check)(&mut self.state, cpu)
    }
}

/// A case of the program `ceiling` as a runner.
pub struct Shared<T, C> {
    case: C,
    scalar: PhantomData<fn() -> T>,
}

impl<T: Scalar, C: ceiling::Case<T>> Shared<T, C> {
    /// The case with its inputs.
    pub fn new(case: C) -> Self {
        Self { case, scalar: PhantomData }
    }
}

impl<T: Scalar, C: ceiling::Case<T>> Runner for Shared<T, C> {
    fn run(&mut self, cpu: &Cpu) {
        self.case.restore();
        self.case.run(cpu);
    }

    fn check(&mut self, cpu: &Cpu) -> Result<(), String> {
        // such a case panics with its label when an answer is wrong
        self.case.check(cpu);
        Ok(())
    }

    fn seconds(&mut self, cpu: &Cpu, repeats: usize) -> f64 {
        (0..repeats).map(|_| self.case.seconds(cpu)).sum::<f64>() / repeats as f64
    }
}

/// What makes a runner.
pub type Build = Box<dyn Fn(&Cpu) -> Box<dyn Runner> + Send + Sync>;

/// One way to compute the quantity of a study.
pub struct Candidate {
    /// Which.
    pub approach: Approach,
    /// Floating-point operations of a call; a multiply-add counts two.
    pub flops: f64,
    /// Bytes that must move at least once: inputs read, outputs written.
    pub bytes: f64,
    /// What limits it.
    pub limit: Limit,
    /// Outputs and scratch by the formula, in bytes.
    pub predicted: u64,
    /// The share of the ceiling that it should reach.
    pub share: Option<f64>,
    /// Makes outputs and scratch.
    pub build: Build,
}

/// What makes the inputs of a study, and its candidates.
pub type Prepare = Box<dyn Fn(&Cpu) -> Vec<Candidate> + Send + Sync>;

/// One quantity at one size.
pub struct Study {
    /// Where it belongs.
    pub group: Group,
    /// What is computed.
    pub quantity: &'static str,
    /// The size by its names.
    pub size: Vec<(&'static str, usize)>,
    /// What plots draw it over.
    pub x: usize,
    /// Elements.
    pub dtype: Dtype,
    /// How many times as fast the first candidate should be as the one of [`Approach::Loop`] (below
    /// one: at most so much slower).
    pub speedup: Option<Target>,
    /// Makes the inputs.
    pub prepare: Prepare,
}

impl Study {
    /// `"packed metric m=80 d=785 n=512"`.
    #[must_use]
    pub fn label(&self) -> String {
        let mut label = self.quantity.to_owned();
        for (name, value) in &self.size {
            label.push_str(&format!(" {name}={value}"));
        }
        label
    }
}

/// The elements of `T` as records name them.
#[must_use]
pub fn dtype<T: Scalar>() -> Dtype {
    if size_of::<T>() == 4 { Dtype::F32 } else { Dtype::F64 }
}

/// Bytes of so many elements.
#[must_use]
pub fn bytes_of<T>(elements: usize) -> u64 {
    elements as u64 * size_of::<T>() as u64
}

/// An error unless every pair of elements agrees to `tolerance` (in units of ε) times the largest
/// element wanted.
///
/// # Errors
/// The first that does not.
pub fn near<T: Scalar>(label: &str, got: &[T], want: &[T], tolerance: f64) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{label}: {} elements, not {}", got.len(), want.len()));
    }
    let scale = want.iter().fold(0.0_f64, |a, b| a.max(b.to_f64().abs()));
    let bound = tolerance * T::EPSILON.to_f64() * scale;
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let error = (g.to_f64() - w.to_f64()).abs();
        // a NaN is no agreement
        if error.is_nan() || error > bound {
            let (g, w) = (g.to_f64(), w.to_f64());
            return Err(format!("{label}: element {i} is {g:e}, not {w:e}, bound {bound:e}"));
        }
    }
    Ok(())
}
