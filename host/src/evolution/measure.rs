//! One point of a run: eigenspaces, the gradient in them, and how far they moved.

use relfisher_core::MatRef;
use relfisher_core::stats::{subspace_overlap, subspace_share};

use super::compare::{Comparison, compare};
use super::{MATRICES, PAIRS};
use crate::Scalar;
use crate::curvature::{Matrix, NetworkOperator, Problem};
use crate::error::Error;
use crate::network::Tape;
use crate::random;
use crate::spectrum::{ExtremalOptions, Outcome, Which, extremal, extremal_len};

/// What is measured at each point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The dimension of the top eigenspaces, at least 1.
    pub top: usize,
    /// The eigenvalues that are computed, at least `top`; more show where the group of `top` ends.
    pub eigenvalues: usize,
    /// The random vectors of a comparison, at least 1; 0 compares nothing.
    pub probes: usize,
    /// Tolerance, products and seed of the eigenvalues; the seed is that of the comparisons too.
    pub extremal: ExtremalOptions,
}

/// The top eigenspace of a matrix at one point.
#[derive(Clone, Debug, PartialEq)]
pub struct SpaceRecord {
    /// The matrix.
    pub matrix: Matrix,
    /// Its largest eigenvalues, descending.
    pub eigenvalues: Vec<f64>,
    /// Their residuals.
    pub residuals: Vec<f64>,
    /// Whether all converged.
    pub complete: bool,
    /// The products that they took.
    pub products: usize,
    /// ‖U g‖²/‖g‖² of the gradient g of the mean loss over the same samples.
    pub gradient_share: f64,
    /// The overlap with the space at the point before; NaN at the first.
    pub overlap_previous: f64,
    /// The overlap with the space at the first point.
    pub overlap_first: f64,
}

/// One point of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The steps of the optimiser so far.
    pub step: usize,
    /// The mean loss over the samples.
    pub loss: f64,
    /// The length of its gradient.
    pub gradient_norm: f64,
    /// The spaces, in the order of [`MATRICES`].
    pub spaces: Vec<SpaceRecord>,
    /// The overlaps of the top spaces of A and B, in the order of the comparisons' pairs.
    pub overlaps: Vec<(Matrix, Matrix, f64)>,
    /// The comparisons: layer by layer, then the whole network.
    pub comparisons: Vec<Comparison>,
}

/// Told of the matrix at work and the products so far.
pub type OnProduct<'a> = dyn FnMut(&str, usize) + 'a;

/// A run as it is measured, point after point.
#[derive(Clone, Debug)]
pub struct Evolution<T> {
    options: Options,
    /// The spaces of the point before and of the first one, in the order of [`MATRICES`].
    previous: Option<Vec<Vec<T>>>,
    first: Option<Vec<Vec<T>>>,
}

impl<T: Scalar> Evolution<T> {
    /// A run of which nothing is measured yet.
    ///
    /// # Errors
    /// No dimensions, or fewer eigenvalues than dimensions.
    pub fn new(options: Options) -> Result<Self, Error> {
        if options.top == 0 || options.eigenvalues < options.top {
            let problem =
                format!("{} eigenvalues for {} dimensions", options.eigenvalues, options.top);
            let remedy = "give at least 1 dimension and as many eigenvalues";
            return Err(Error::input("", "evolution", problem, remedy));
        }
        Ok(Self { options, previous: None, first: None })
    }

    /// The elements that [`Evolution::measure`] and what it keeps take at most.
    pub fn required_len(problem: &Problem<'_, T>, options: &Options) -> usize {
        let count = problem.network.parameter_count();
        let operators = MATRICES.iter().map(|&m| NetworkOperator::required_len(problem, m));
        let operators = operators.fold(0, usize::saturating_add);
        // Three matrices now, before and at first; vectors of the comparisons; the gradient.
        let spaces = options.top.saturating_mul(count).saturating_mul(3 * MATRICES.len());
        operators
            .saturating_add(extremal_len(count, options.eigenvalues))
            .saturating_add(spaces)
            .saturating_add(count.saturating_mul(6))
            .saturating_add(Tape::required_len(problem.network, problem.chunk))
    }

    /// Measures the run after `step` steps, at the parameters of `problem`.
    ///
    /// # Errors
    /// No targets; those of the passes and of [`extremal`].
    pub fn measure(
        &mut self,
        problem: &Problem<'_, T>,
        step: usize,
        progress: &mut OnProduct<'_>,
    ) -> Result<Measurement, Error> {
        let (options, executor, network) = (self.options, problem.executor, problem.network);
        let evaluation = problem.evaluate()?;
        let (count, gradient) = (network.parameter_count(), evaluation.gradient);
        let mut operators = [
            NetworkOperator::new(problem, MATRICES[0])?,
            NetworkOperator::new(problem, MATRICES[1])?,
            NetworkOperator::new(problem, MATRICES[2])?,
        ];
        let (mut spaces, mut vectors) = (Vec::new(), Vec::new());
        for (i, operator) in operators.iter_mut().enumerate() {
            let matrix = MATRICES[i];
            let which = Which::Largest(options.eigenvalues);
            let mut report = |p: &crate::spectrum::Progress| progress(matrix.name(), p.products);
            let mut pairs = extremal(operator, executor, which, &options.extremal, &mut report)?;
            pairs.vectors.truncate(options.top * count);
            pairs.vectors.shrink_to_fit();
            let overlap = |other: &Option<Vec<Vec<T>>>| match other.as_ref().and_then(|o| o.get(i))
            {
                Some(other) => overlap(&pairs.vectors, other, count),
                None => Ok(f64::NAN),
            };
            spaces.push(SpaceRecord {
                matrix,
                eigenvalues: pairs.values.iter().map(|v| v.to_f64()).collect(),
                residuals: pairs.residuals.iter().map(|r| r.to_f64()).collect(),
                complete: pairs.outcome == Outcome::Complete,
                products: pairs.products,
                gradient_share: subspace_share(rows(&pairs.vectors, count)?, &gradient)?.to_f64(),
                overlap_previous: overlap(&self.previous)?,
                overlap_first: if self.first.is_some() { overlap(&self.first)? } else { 1.0 },
            });
            vectors.push(pairs.vectors);
        }
        let mut overlaps = Vec::new();
        for (a, b) in PAIRS {
            let overlap = overlap(&vectors[a], &vectors[b], count)?;
            overlaps.push((MATRICES[a], MATRICES[b], overlap));
        }
        let mut comparisons = Vec::new();
        if options.probes > 0 {
            let blocks = network.blocks().iter().enumerate();
            let mut parts: Vec<_> = blocks.map(|(b, block)| (Some(b), block.range())).collect();
            parts.push((None, 0..count));
            for (i, part) in parts.into_iter().enumerate() {
                progress("comparison", i * MATRICES.len() * options.probes);
                // The same vectors at every point: less noise between them.
                let mut rng = random::stream(options.extremal.seed, i as u64, "comparison");
                comparisons.extend(compare(&mut operators, part, options.probes, &mut rng)?);
            }
        }
        if self.first.is_none() {
            self.first = Some(vectors.clone());
        }
        self.previous = Some(vectors);
        let square: f64 = gradient.iter().map(|g| g.to_f64() * g.to_f64()).sum();
        let (loss, gradient_norm) = (evaluation.loss, square.sqrt());
        Ok(Measurement { step, loss, gradient_norm, spaces, overlaps, comparisons })
    }
}

fn rows<T: Scalar>(vectors: &[T], count: usize) -> Result<MatRef<'_, T>, Error> {
    Ok(MatRef::new(vectors, vectors.len() / count.max(1), count)?)
}

fn overlap<T: Scalar>(a: &[T], b: &[T], count: usize) -> Result<f64, Error> {
    Ok(subspace_overlap(rows(a, count)?, rows(b, count)?)?.to_f64())
}
