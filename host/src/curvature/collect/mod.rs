//! Computes the quantities of a request, each piece once, and names the results.

mod exact;
mod kronecker;
mod vectors;

use std::time::Instant;

use super::eigenbasis::Eigenbasis;
use super::exact::Matrix;
use super::kronecker::KroneckerFactors;
use super::memory::Memory;
use super::problem::{Evaluation, Problem};
use super::quantity::{Family, Quantity, Source};
use super::rfim::rfim;
use crate::Scalar;
use crate::error::Error;
use crate::format::TensorFile;
use crate::network::Block;
use crate::spectrum::Which;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request<'a, T> {
    /// The quantities.
    pub quantities: &'a [Quantity],
    /// The dampings of every damped step.
    pub dampings: &'a [f64],
    /// `matvec.v.<layer>` (m, d̃, k) and `probe.<layer>` (m·d̃, k), where a quantity needs them.
    pub vectors: Option<&'a TensorFile<T>>,
    /// The most memory that a quantity may need.
    pub memory: Memory,
}

/// What a quantity cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// The quantity.
    pub quantity: Quantity,
    /// The seconds that it took beyond what earlier quantities had computed already.
    pub seconds: f64,
    /// The bytes of its tensors.
    pub bytes: usize,
}

/// The results of a request.
#[derive(Clone, Debug)]
pub struct Collection<T> {
    /// The tensors, by name.
    pub tensors: TensorFile<T>,
    /// One entry for each quantity.
    pub costs: Vec<Cost>,
    /// The factors that were computed last, for a summary.
    pub factors: Option<Vec<Option<KroneckerFactors<T>>>>,
}

type Factors<T> = Vec<Option<KroneckerFactors<T>>>;

/// Results that several quantities share.
struct Collector<'r, 'a, T: Scalar> {
    problem: &'r Problem<'a, T>,
    request: &'r Request<'r, T>,
    out: TensorFile<T>,
    evaluation: Option<Evaluation<T>>,
    factors: Vec<(Family, Factors<T>)>,
    bases: Vec<(Source, Vec<Option<Eigenbasis<T>>>)>,
    blocks: Vec<(Matrix, usize, Vec<T>)>,
}

/// Computes everything that `request` names. `progress` is told each quantity before it begins.
///
/// # Errors
/// The first quantity that could not be computed, with what it lacked.
pub fn collect<T: Scalar>(
    problem: &Problem<'_, T>,
    request: &Request<'_, T>,
    progress: &mut dyn FnMut(Quantity),
) -> Result<Collection<T>, Error> {
    let mut collector = Collector {
        problem,
        request,
        out: TensorFile::new(),
        evaluation: None,
        factors: Vec::new(),
        bases: Vec::new(),
        blocks: Vec::new(),
    };
    let mut costs = Vec::new();
    for &quantity in request.quantities {
        progress(quantity);
        let (start, before) = (Instant::now(), collector.out.bytes());
        collector.add(quantity).map_err(|e| e.at(quantity))?;
        let seconds = start.elapsed().as_secs_f64();
        costs.push(Cost { quantity, seconds, bytes: collector.out.bytes() - before });
    }
    for (name, tensor) in &collector.out.tensors {
        if let Some(i) = tensor.data.iter().position(|x| !x.is_finite()) {
            return Err(Error::divergence_with(
                format_args!("tensor {name}"),
                format_args!("element {i} is {}", tensor.data[i]),
                "use --dtype f64, or a larger damping",
            ));
        }
    }
    let factors = collector.factors.pop().map(|(_, factors)| factors);
    Ok(Collection { tensors: collector.out, costs, factors })
}

/// A damping in names: 1e-3, 2.5e-2, 0e0.
fn damp(lambda: f64) -> String {
    format!("damp{lambda:e}")
}

impl<'r, 'a, T: Scalar> Collector<'r, 'a, T> {
    fn layers(&self) -> &'a [Block] {
        self.problem.network.blocks()
    }

    /// Writes `data` as `<quantity>.<layer>`.
    fn put(&mut self, name: impl std::fmt::Display, block: usize, shape: &[usize], data: Vec<T>) {
        let layer = &self.layers()[block].name;
        self.out.insert(format!("{name}.{layer}"), shape, data);
    }

    fn add(&mut self, quantity: Quantity) -> Result<(), Error> {
        match quantity {
            Quantity::Loss
            | Quantity::Output
            | Quantity::PerSampleLoss
            | Quantity::Gradient
            | Quantity::PerSampleGradientSquareNorm => self.add_evaluation(quantity),
            Quantity::PerSampleGradient => self.add_per_sample(),
            Quantity::Block(_) | Quantity::BlockTraceFrobenius(_) | Quantity::BlockProbe(_) => {
                self.add_blocks(quantity)
            }
            Quantity::Diagonal(matrix) => self.add_diagonals(matrix),
            Quantity::Factors(family) => self.add_factors(family),
            Quantity::FactorStep(family, damping) => self.add_factor_steps(family, damping),
            Quantity::Ekfac(_) | Quantity::EkfacStep(_) | Quantity::EkfacProbe(_) => {
                self.add_ekfac(quantity)
            }
            Quantity::NaturalGradient(matrix) => self.add_natural_gradients(matrix),
            Quantity::Products => self.add_products(),
            Quantity::Top(matrix, k) => self.add_eigenvalues(quantity, matrix, Which::Largest(k)),
            Quantity::Bottom(matrix, k) => {
                self.add_eigenvalues(quantity, matrix, Which::Smallest(k))
            }
            Quantity::Traces => self.add_traces(),
            Quantity::Rfim => {
                let metrics = rfim(self.problem, self.request.memory)?;
                for (b, metric) in metrics.into_iter().enumerate() {
                    self.put("rfim", b, &metric.shape, metric.data);
                }
                Ok(())
            }
        }
    }

    fn evaluate(&mut self) -> Result<&Evaluation<T>, Error> {
        if self.evaluation.is_none() {
            self.evaluation = Some(self.problem.evaluate()?);
        }
        // Filled just above.
        Ok(self.evaluation.get_or_insert_default())
    }

    fn add_evaluation(&mut self, quantity: Quantity) -> Result<(), Error> {
        if quantity == Quantity::Output && self.problem.targets.is_none() {
            let (mut tape, mut outputs) = (self.problem.tape(), Vec::new());
            self.problem.for_each_batch(&mut tape, &mut |tape, _, n| {
                (0..n).for_each(|s| outputs.extend_from_slice(tape.logits().row(s)));
                Ok(())
            })?;
            let shape = [self.problem.samples(), self.problem.network.outputs()];
            self.out.insert("output", &shape, outputs);
            return Ok(());
        }
        let (n, c) = (self.problem.samples(), self.problem.network.outputs());
        let evaluation = self.evaluate()?.clone();
        let blocks = 0..self.layers().len();
        match quantity {
            Quantity::Loss => self.out.insert("loss", &[1], vec![T::from_f64(evaluation.loss)]),
            Quantity::Output => self.out.insert("output", &[n, c], evaluation.outputs),
            Quantity::PerSampleLoss => self.out.insert("per_sample_loss", &[n], evaluation.losses),
            Quantity::PerSampleGradientSquareNorm => {
                for (b, norms) in evaluation.square_norms.into_iter().enumerate() {
                    self.put(quantity, b, &[n], norms);
                }
            }
            _ => {
                for b in blocks {
                    let block = &self.layers()[b];
                    let data = evaluation.gradient[block.range()].to_vec();
                    self.put(quantity, b, &[block.rows, block.cols], data);
                }
            }
        }
        Ok(())
    }
}
