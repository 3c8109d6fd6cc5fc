//! Products of whole-network matrices with vectors, without forming the matrix.

use super::Matrix;
use super::problem::{Problem, output_loss};
use crate::Scalar;
use crate::error::Error;
use crate::network::{Cotangents, Tangents, Tape};
use relfisher_core::{MatMut, MatRef};

/// The mean over the data of the per-sample matrix, as products with vectors: J v forward, the
/// matrix at the outputs, Jᵀ back (N. Schraudolph, *Fast curvature matrix-vector products for
/// second-order gradient descent*, 2002), or the R-operator for the Hessian.
///
/// Memory: the values of one batch, four times; nothing depends on the square of anything.
pub struct NetworkOperator<'a, T: Scalar> {
    problem: Problem<'a, T>,
    matrix: Matrix,
    tape: Tape<T>,
    tangents: Tangents<T>,
    cotangents: Cotangents<T>,
    outputs: Vec<T>,
    batch: Vec<T>,
    /// Whether the tape holds the values of the only batch.
    current: bool,
}

/// The columns that go back through the network.
fn columns(matrix: Matrix) -> usize {
    if matrix == Matrix::Hessian { 2 } else { 1 }
}

impl<'a, T: Scalar> NetworkOperator<'a, T> {
    /// The operator of a matrix of `problem`.
    ///
    /// # Errors
    /// Missing targets: the empirical Fisher matrix and the Hessian need them.
    pub fn new(problem: &Problem<'a, T>, matrix: Matrix) -> Result<Self, Error> {
        if matrix != Matrix::Ggn {
            problem.need_targets(matrix.name())?;
        }
        let columns = columns(matrix);
        let problem = problem.in_batches_of(Self::batch_len(problem, columns));
        // Who counts products does not want to hear of samples.
        let problem = Problem { watch: None, ..problem };
        let tape = problem.tape();
        Ok(Self {
            problem,
            matrix,
            tangents: Tangents::new(problem.network, tape.capacity()),
            cotangents: Cotangents::new(problem.network, tape.capacity(), columns),
            outputs: vec![T::ZERO; tape.capacity() * problem.network.outputs()],
            batch: vec![T::ZERO; problem.network.parameter_count()],
            current: false,
            tape,
        })
    }

    /// The elements that one sample takes.
    fn batch_len(problem: &Problem<'_, T>, columns: usize) -> usize {
        let tangents = Tangents::required_len(problem.network, 1);
        problem
            .sample_len(columns)
            .saturating_add(tangents)
            .saturating_add(problem.network.outputs())
    }

    /// The elements that the operator of a matrix of `problem` allocates at most.
    pub fn required_len(problem: &Problem<'a, T>, matrix: Matrix) -> usize {
        let each = Self::batch_len(problem, columns(matrix));
        let scratch = problem.network.scratch_len(problem.executor.threads());
        each.saturating_mul(problem.in_batches_of(each).chunk)
            .saturating_add(problem.network.parameter_count())
            .saturating_add(scratch.saturating_mul(3))
    }

    /// The number of parameters.
    pub fn len(&self) -> usize {
        self.problem.network.parameter_count()
    }

    /// Whether there are no parameters (a network always has some).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `out ← C v`. Both as long as the parameters; `out` may hold NaN on entry.
    ///
    /// # Errors
    /// Vectors of another length, or those of the passes.
    pub fn apply(&mut self, out: &mut [T], v: &[T]) -> Result<(), Error> {
        if out.len() != self.len() || v.len() != self.len() {
            return Err(Error::input(
                "",
                "vector",
                format_args!("{} numbers for {} parameters", v.len(), self.len()),
                "give vectors as long as the parameters",
            ));
        }
        out.fill(T::ZERO);
        let problem = self.problem;
        let mut tape = std::mem::replace(&mut self.tape, Tape::new(problem.network, 0));
        let outcome = if self.current {
            let n = problem.samples();
            self.batch(&mut tape, 0, n, (&mut *out, v))
        } else {
            problem.for_each_batch(&mut tape, &mut |tape, start, n| {
                self.batch(tape, start, n, (&mut *out, v))
            })
        };
        self.current = outcome.is_ok() && tape.capacity() >= problem.samples();
        self.tape = tape;
        outcome
    }

    fn batch(
        &mut self,
        tape: &mut Tape<T>,
        start: usize,
        n: usize,
        (out, v): (&mut [T], &[T]),
    ) -> Result<(), Error> {
        let Problem { executor, network, parameters, .. } = self.problem;
        network.push_forward(executor, parameters, tape, v, &mut self.tangents)?;
        let c = network.outputs();
        let moved = self.tangents.outputs(n);
        let (cotangents, batch) = (&mut self.cotangents, &mut self.batch[..]);
        match self.matrix {
            Matrix::Ggn => {
                let loss = output_loss(network.loss_kind());
                loss.hessian_apply(cotangents.output_mut(0, n), tape.probabilities(), moved)?;
                network.pull_back(executor, parameters, tape, cotangents, Some(batch))?;
            }
            Matrix::EmpiricalFisher => {
                let targets = self.problem.need_targets("ef")?.rows(start, n)?;
                network.loss(executor, tape, &targets)?;
                let mut columns = cotangents.output_mut(0, n);
                for s in 0..n {
                    let delta = tape.output_deltas().row(s);
                    let pairs = delta.iter().zip(moved.row(s));
                    let along = pairs.fold(T::ZERO, |sum, (&d, &x)| sum + d * x);
                    let column = columns.row_mut(s).iter_mut().zip(delta);
                    column.for_each(|(o, &d)| *o = along * d);
                }
                network.pull_back(executor, parameters, tape, cotangents, Some(batch))?;
            }
            Matrix::Hessian => {
                let targets = self.problem.need_targets("hess")?.rows(start, n)?;
                network.loss(executor, tape, &targets)?;
                let curved = &mut self.outputs[..n * c];
                let loss = output_loss(network.loss_kind());
                loss.hessian_apply(MatMut::new(curved, n, c)?, tape.probabilities(), moved)?;
                let curved = MatRef::new(curved, n, c)?;
                for (column, from) in [tape.output_deltas(), curved].into_iter().enumerate() {
                    let mut to = cotangents.output_mut(column, n);
                    (0..n).for_each(|s| to.row_mut(s).copy_from_slice(from.row(s)));
                }
                let values = (&*tape, &self.tangents);
                network.hessian_product(executor, parameters, values, v, cotangents, batch)?;
            }
        }
        let share = T::from_usize(n) / T::from_usize(self.problem.samples());
        out.iter_mut().zip(&*batch).for_each(|(o, b)| *o += share * *b);
        Ok(())
    }
}
