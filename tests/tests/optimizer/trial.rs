//! One mini-batch of a problem, after its passes, and what preconditioners and optimisers make of it.

use relfisher::network::{Mode, Parameters, Tape};
use relfisher::optimizer::{Batch, MetricBatch, Optimizer, OptimizerConfig, Preconditioner, Step};
use relfisher::random::{self, Rng};
use relfisher::{Error, Scalar};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::problem::{Loaded, Problem};

use crate::lab::config;

/// A batch on its tape: running averages in batch normalisations, so that samples do not mix.
pub(crate) struct Trial<T: Scalar> {
    pub(crate) loaded: Loaded<T>,
    pub(crate) parameters: Parameters<T>,
    pub(crate) tape: Tape<T>,
    pub(crate) gradient: Vec<T>,
    pub(crate) loss: f64,
    pub(crate) rng: Rng,
}

impl<T: Scalar> Trial<T> {
    pub(crate) fn new(problem: &Problem) -> Self {
        let loaded = problem.load::<T>(1);
        let mut trial = Self {
            parameters: loaded.parameters.clone(),
            tape: loaded.forward(Mode::Inference),
            gradient: vec![T::NAN; loaded.network.parameter_count()],
            loss: f64::NAN,
            rng: random::stream(5, 0, "labels"),
            loaded,
        };
        trial.evaluate().unwrap();
        trial
    }

    /// The passes at the present parameters.
    pub(crate) fn evaluate(&mut self) -> Result<(), Error> {
        let Self { loaded, parameters, tape, gradient, .. } = self;
        let (network, exec) = (&loaded.network, &loaded.exec);
        network.forward(exec, parameters, Mode::Inference, tape)?;
        self.loss = network.loss(exec, tape, &loaded.targets())?.mean;
        network.backward(exec, parameters, tape, Some(gradient))
    }

    pub(crate) fn batch(&mut self) -> Batch<'_, T> {
        Batch {
            executor: &self.loaded.exec,
            network: &self.loaded.network,
            parameters: &self.parameters,
            tape: &self.tape,
            rng: &mut self.rng,
        }
    }

    /// A preconditioner that has seen the batch once.
    pub(crate) fn measured(&mut self, text: &str) -> Box<dyn Preconditioner<T>> {
        let mut curvature = config(text).preconditioner(&self.loaded.network).unwrap();
        curvature.update(self.batch()).unwrap();
        curvature
    }

    /// (C + λI)⁻¹ times the gradient of the batch.
    pub(crate) fn preconditioned(&mut self, text: &str) -> Vec<T> {
        let mut curvature = self.measured(text);
        self.apply(&mut *curvature)
    }

    pub(crate) fn apply(&self, curvature: &mut dyn Preconditioner<T>) -> Vec<T> {
        let mut step = vec![T::NAN; self.gradient.len()];
        curvature.precondition(&self.loaded.exec, &self.gradient, &mut step).unwrap();
        step
    }

    /// An optimiser for the network.
    pub(crate) fn optimizer(&self, text: &str) -> (OptimizerConfig, Box<dyn Optimizer<T>>) {
        let config = config(text);
        let optimizer = config.build(&self.loaded.network).unwrap();
        (config, optimizer)
    }

    /// One step of an optimiser on the batch.
    pub(crate) fn step(
        &mut self,
        optimizer: &mut dyn Optimizer<T>,
        rate: f64,
    ) -> Result<(), Error> {
        self.evaluate()?;
        optimizer.step(&mut Step {
            executor: &self.loaded.exec,
            network: &self.loaded.network,
            tape: &mut self.tape,
            targets: self.loaded.targets(),
            loss: self.loss,
            parameters: &mut self.parameters,
            gradient: &mut self.gradient,
            learning_rate: T::from_f64(rate),
            index: 0,
            rng: &mut self.rng,
            metric_batch: &mut Nothing,
        })
    }
}

/// No fresh samples.
struct Nothing;

impl<T: Scalar> MetricBatch<T> for Nothing {
    fn available(&self) -> usize {
        0
    }
    fn load(&mut self, _: &mut Tape<T>, _: usize, _: &mut Rng) -> Result<(), Error> {
        unreachable!("no metric asks for samples here")
    }
}

/// (matrix + λI)⁻¹ v.
pub(crate) fn damped_solve(matrix: &Matrix, lambda: f64, v: &[f64]) -> Vec<f64> {
    matrix.damped(lambda).solve_vector(v)
}

/// The square of `range` on the diagonal.
pub(crate) fn block_of(matrix: &Matrix, range: std::ops::Range<usize>) -> Matrix {
    matrix.block(range.start, range.start, range.len(), range.len())
}
