//! Computes the quantities of a request, each piece once, and names the results.

mod exact;
mod kronecker;
mod requirement;
mod vectors;

pub use requirement::required_bytes;

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
/// What it will need is checked first: targets, labels, vectors, and the memory. Where the memory is
/// short the batches get smaller, which changes results by rounding only.
///
/// # Errors
/// A quantity that lacks something or does not fit the memory, before anything is computed; the first
/// one that could not be computed.
pub fn collect<T: Scalar>(
    problem: &Problem<'_, T>,
    request: &Request<'_, T>,
    progress: &mut dyn FnMut(Quantity),
) -> Result<Collection<T>, Error> {
    let problem = &requirement::fitted(problem, request)?;
    let mut collector = Collector {
        problem,
        request,
        out: TensorFile::new(),
        evaluation: None,
        factors: Vec::new(),
        bases: Vec::new(),
        blocks: Vec::new(),
    };
    for &quantity in request.quantities {
        collector.check(quantity).map_err(|e| e.at(quantity))?;
    }
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
            return Err(overflow(format_args!("tensor {name}"), i, tensor.data[i]));
        }
    }
    let factors = collector.factors.pop().map(|(_, factors)| factors);
    Ok(Collection { tensors: collector.out, costs, factors })
}

/// A result that left the finite numbers.
fn overflow<T: Scalar>(place: impl std::fmt::Display, element: usize, value: T) -> Error {
    let remedy =
        if size_of::<T>() < 8 { "use --dtype f64" } else { "scale the inputs or the weights down" };
    Error::divergence_with(place, format_args!("element {element} is {value}"), remedy)
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

    /// Whether the request has the targets, labels and vectors that a quantity needs.
    fn check(&self, quantity: Quantity) -> Result<(), Error> {
        let targets = |name: &str| self.problem.need_targets(name).map(|_| ());
        let matrix = |matrix: Matrix| match matrix {
            Matrix::Ggn => Ok(()),
            _ => targets(matrix.name()),
        };
        let block = |which: Matrix| match which {
            Matrix::Hessian if self.problem.network.is_piecewise_linear() => Ok(()),
            _ => matrix(which),
        };
        let labels = |family: Family| match family {
            Family::Kfac(source, _) => self.columns(source).map(|_| ()),
            Family::Kflr | Family::Kfra => Ok(()),
        };
        match quantity {
            Quantity::Output | Quantity::Rfim => Ok(()),
            Quantity::Loss
            | Quantity::PerSampleLoss
            | Quantity::Gradient
            | Quantity::PerSampleGradient
            | Quantity::PerSampleGradientSquareNorm
            | Quantity::NaturalGradient(_)
            | Quantity::Traces => targets("grad"),
            Quantity::Block(which)
            | Quantity::BlockTraceFrobenius(which)
            | Quantity::Diagonal(which) => block(which),
            Quantity::BlockProbe(which) => block(which).and_then(|()| self.check_probes()),
            Quantity::Top(which, _) | Quantity::Bottom(which, _) => matrix(which),
            Quantity::Factors(family) => labels(family),
            Quantity::FactorStep(family, _) => targets("grad").and_then(|()| labels(family)),
            Quantity::Ekfac(source) => self.columns(source).map(|_| ()),
            Quantity::EkfacStep(source) => {
                targets("grad").and_then(|()| self.columns(source).map(|_| ()))
            }
            Quantity::EkfacProbe(source) => self.columns(source).and_then(|_| self.check_probes()),
            Quantity::Products => targets("grad").and_then(|()| self.product_vectors().map(|_| ())),
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
            let problem = self.problem.in_batches_of(self.problem.sample_len(0));
            let (mut tape, mut outputs) = (problem.tape(), Vec::new());
            problem.for_each_batch(&mut tape, &mut |tape, _, n| {
                (0..n).for_each(|s| outputs.extend_from_slice(tape.logits().row(s)));
                Ok(())
            })?;
            let shape = [self.problem.samples(), self.problem.network.outputs()];
            self.out.insert("output", &shape, outputs);
            return Ok(());
        }
        let (n, c) = (self.problem.samples(), self.problem.network.outputs());
        let layers = self.layers();
        let evaluation = self.evaluate()?;
        match quantity {
            Quantity::Loss => {
                let loss = T::from_f64(evaluation.loss);
                self.out.insert("loss", &[1], vec![loss]);
            }
            Quantity::Output => {
                let outputs = evaluation.outputs.clone();
                self.out.insert("output", &[n, c], outputs);
            }
            Quantity::PerSampleLoss => {
                let losses = evaluation.losses.clone();
                self.out.insert("per_sample_loss", &[n], losses);
            }
            Quantity::PerSampleGradientSquareNorm => {
                for (b, norms) in evaluation.square_norms.clone().into_iter().enumerate() {
                    self.put(quantity, b, &[n], norms);
                }
            }
            _ => {
                let gradient = evaluation.gradient.clone();
                for (b, block) in layers.iter().enumerate() {
                    let data = gradient[block.range()].to_vec();
                    self.put(quantity, b, &[block.rows, block.cols], data);
                }
            }
        }
        Ok(())
    }
}
