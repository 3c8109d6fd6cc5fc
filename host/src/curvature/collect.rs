//! Computes the quantities of a request, each piece once, and names the results.

use std::time::Instant;

use relfisher_core::MatMut;
use relfisher_core::curvature::Sharing;

use super::columns::Columns;
use super::exact::{Matrix, blocks, diagonals};
use super::factors::Site;
use super::kronecker::{
    Eigenbasis, KroneckerFactors, ekfac, kfra, kronecker_factors, kronecker_step,
};
use super::memory::Memory;
use super::natural::natural_gradients;
use super::operator::NetworkOperator;
use super::parameter_rows::parameter_rows;
use super::problem::{Evaluation, Problem};
use super::quantity::{Family, Quantity, Source};
use super::rfim::rfim;
use crate::Scalar;
use crate::error::Error;
use crate::format::TensorFile;
use crate::network::Block;
use crate::spectrum::{ExtremalOptions, LinearOperator, Which, extremal};

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
            return Err(Error::divergence(
                format_args!("tensor {name}"),
                format_args!("element {i} is {}", tensor.data[i]),
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
            Quantity::Diagonal(matrix) => {
                let all = diagonals(self.problem, matrix, self.request.memory)?;
                for (b, data) in all.into_iter().enumerate() {
                    let shape = [self.layers()[b].rows, self.layers()[b].cols];
                    self.put(quantity, b, &shape, data);
                }
                Ok(())
            }
            Quantity::Factors(family) => self.add_factors(family),
            Quantity::FactorStep(family, damping) => {
                let gradient = self.evaluate()?.gradient.clone();
                let factors = self.factors(family)?.clone();
                for &lambda in self.request.dampings {
                    for (b, block) in self.layers().iter().enumerate() {
                        let Some(factors) = &factors[b] else { continue };
                        let (g, how) = (&gradient[block.range()], (damping, lambda));
                        let step = kronecker_step(self.problem.executor, block, factors, g, how)?;
                        let name = format!("{quantity}_{}", damp(lambda));
                        self.put(name, b, &[block.rows, block.cols], step);
                    }
                }
                Ok(())
            }
            Quantity::Ekfac(_) | Quantity::EkfacStep(_) | Quantity::EkfacProbe(_) => {
                self.add_ekfac(quantity)
            }
            Quantity::NaturalGradient(matrix) => {
                let gradient = self.evaluate()?.gradient.clone();
                let dampings = self.request.dampings;
                let memory = self.request.memory;
                let steps = natural_gradients(self.problem, matrix, &gradient, dampings, memory)?;
                for (&lambda, steps) in dampings.iter().zip(steps) {
                    for (b, step) in steps.into_iter().enumerate() {
                        let shape = [self.layers()[b].rows, self.layers()[b].cols];
                        self.put(format!("{quantity}_{}", damp(lambda)), b, &shape, step);
                    }
                }
                Ok(())
            }
            Quantity::Products => self.add_products(),
            Quantity::Top(matrix, k) => self.add_eigenvalues(quantity, matrix, Which::Largest(k)),
            Quantity::Bottom(matrix, k) => {
                self.add_eigenvalues(quantity, matrix, Which::Smallest(k))
            }
            Quantity::Traces => {
                let mut traces = Vec::new();
                for matrix in [Matrix::Ggn, Matrix::Hessian, Matrix::EmpiricalFisher] {
                    let diagonals = diagonals(self.problem, matrix, self.request.memory)?;
                    let sum: f64 = diagonals.iter().flatten().map(|x| x.to_f64()).sum();
                    traces.push(T::from_f64(sum));
                }
                self.out.insert("trace.ggn_hess_ef", &[3], traces);
                Ok(())
            }
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

    fn add_per_sample(&mut self) -> Result<(), Error> {
        let problem = self.problem;
        let targets = problem.need_targets("per_sample_grad")?;
        let (network, exec, samples) = (problem.network, problem.executor, problem.samples());
        let elements = samples.saturating_mul(network.parameter_count());
        let instead = "ask for per_sample_grad_sqnorm instead, or give fewer samples";
        self.request.memory.check("per_sample_grad", elements, T::BYTES, instead)?;
        let blocks = self.layers();
        let mut rows: Vec<Vec<T>> =
            blocks.iter().map(|b| vec![T::ZERO; samples * b.len()]).collect();
        let (mut tape, mut scratch) = (problem.tape(), Vec::new());
        problem.for_each_batch(&mut tape, &mut |tape, start, n| {
            network.loss(exec, tape, &targets.rows(start, n)?)?;
            network.backward(exec, problem.parameters, tape, None)?;
            for (b, rows) in rows.iter_mut().enumerate() {
                let p = blocks[b].len();
                let out = MatMut::new(&mut rows[start * p..(start + n) * p], n, p)?;
                let site = Site { network, tape, block: b };
                parameter_rows(exec, site, tape.delta(b), out, &mut scratch)?;
            }
            Ok(())
        })?;
        for (b, data) in rows.into_iter().enumerate() {
            let shape = [samples, blocks[b].rows, blocks[b].cols];
            self.put(Quantity::PerSampleGradient, b, &shape, data);
        }
        Ok(())
    }

    fn block(&mut self, matrix: Matrix, b: usize) -> Result<Vec<T>, Error> {
        if let Some((.., data)) = self.blocks.iter().find(|(m, i, _)| (*m, *i) == (matrix, b)) {
            return Ok(data.clone());
        }
        let all = blocks(self.problem, matrix, &[b], self.request.memory)?;
        let data = all.into_iter().next().unwrap_or_default();
        // Small blocks are kept for the other quantities of the same request.
        if data.len() <= 1 << 20 {
            self.blocks.push((matrix, b, data.clone()));
        }
        Ok(data)
    }

    fn add_blocks(&mut self, quantity: Quantity) -> Result<(), Error> {
        for b in 0..self.layers().len() {
            let p = self.layers()[b].len();
            match quantity {
                Quantity::BlockTraceFrobenius(matrix) => {
                    let data = self.block(matrix, b)?;
                    // Sums of up to p² terms: in double precision whatever the type.
                    let trace: f64 = (0..p).map(|i| data[i * p + i].to_f64()).sum();
                    let square: f64 = data.iter().map(|x| x.to_f64() * x.to_f64()).sum();
                    let pair = vec![T::from_f64(trace), T::from_f64(square.sqrt())];
                    self.put(quantity, b, &[2], pair);
                }
                Quantity::BlockProbe(matrix) => {
                    let (probe, k) = self.probe(b)?;
                    let data = self.block(matrix, b)?;
                    let mut out = vec![T::ZERO; p * k];
                    let (m, v) = (
                        relfisher_core::MatRef::new(&data, p, p)?,
                        relfisher_core::MatRef::new(&probe, p, k)?,
                    );
                    let exec = self.problem.executor;
                    exec.gemm(MatMut::new(&mut out, p, k)?, T::ZERO, T::ONE, m, v)?;
                    self.put(quantity, b, &[p, k], out);
                }
                Quantity::Block(matrix) => {
                    let data = self.block(matrix, b)?;
                    self.put(quantity, b, &[p, p], data);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// `probe.<layer>` (m·d̃, k) of the vectors.
    fn probe(&self, b: usize) -> Result<(Vec<T>, usize), Error> {
        let block = &self.layers()[b];
        let name = format!("probe.{}", block.name);
        let (shape, data) = self.vector(&name)?;
        match shape[..] {
            [p, k] if p == block.len() => Ok((data, k)),
            _ => Err(Error::input(
                "--vectors",
                format_args!("tensor {name:?}"),
                format_args!("shape {shape:?}, but the layer has {} parameters", block.len()),
                "give shape (m·d̃, k)",
            )),
        }
    }

    fn vector(&self, name: &str) -> Result<(Vec<usize>, Vec<T>), Error> {
        let tensor = self.request.vectors.and_then(|file| file.tensors.get(name));
        match tensor {
            Some(tensor) => Ok((tensor.shape.clone(), tensor.data.clone())),
            None => Err(Error::input(
                "--vectors",
                format_args!("tensor {name:?}"),
                "is missing",
                "give a safetensors file that holds it with --vectors",
            )),
        }
    }

    fn columns(&self, source: Source) -> Result<Columns<'a, T>, Error> {
        Ok(match source {
            Source::Type2 => Columns::Type2,
            Source::Empirical => Columns::Labels(self.problem.need_targets("emp")?),
            Source::MonteCarlo => Columns::Labels(self.problem.labels.ok_or_else(|| {
                Error::input(
                    "",
                    "mc",
                    "needs labels drawn from the model",
                    "give them with --labels y_mc.npy",
                )
            })?),
        })
    }

    fn factors(&mut self, family: Family) -> Result<&Factors<T>, Error> {
        let found = self.factors.iter().position(|(f, _)| *f == family);
        let i = match found {
            Some(i) => i,
            None => {
                let factors = match family {
                    Family::Kfac(source, sharing) => {
                        kronecker_factors(self.problem, self.columns(source)?, sharing)?
                    }
                    Family::Kflr => {
                        kronecker_factors(self.problem, Columns::Type2, Sharing::Expand)?
                    }
                    Family::Kfra => kfra(self.problem, self.request.memory)?,
                };
                self.factors.push((family, factors));
                self.factors.len() - 1
            }
        };
        Ok(&self.factors[i].1)
    }

    fn add_factors(&mut self, family: Family) -> Result<(), Error> {
        let factors = self.factors(family)?.clone();
        for (b, factors) in factors.into_iter().enumerate() {
            let Some(KroneckerFactors { a, g }) = factors else { continue };
            let block = &self.layers()[b];
            let (m, d, bare) = (block.rows, block.cols, block.inputs);
            self.put(format!("{family}.G"), b, &[m, m], g);
            match family {
                Family::Kfac(_, sharing) => {
                    let name = if sharing == Sharing::Expand { "kfac.A" } else { "kfac_reduce.A" };
                    self.put(name, b, &[d, d], a);
                }
                Family::Kflr | Family::Kfra => {
                    let rows = a.chunks_exact(d).take(bare);
                    let data = rows.flat_map(|row| &row[..bare]).copied().collect();
                    self.put(format!("{family}.A_nobias"), b, &[bare, bare], data);
                }
            }
        }
        Ok(())
    }

    fn bases(&mut self, source: Source) -> Result<Vec<Option<Eigenbasis<T>>>, Error> {
        if let Some((_, bases)) = self.bases.iter().find(|(s, _)| *s == source) {
            return Ok(bases.clone());
        }
        let factors = self.factors(Family::Kfac(source, Sharing::Expand))?.clone();
        let bases = ekfac(self.problem, self.columns(source)?, &factors)?;
        self.bases.push((source, bases.clone()));
        Ok(bases)
    }

    fn add_ekfac(&mut self, quantity: Quantity) -> Result<(), Error> {
        let exec = self.problem.executor;
        let (Quantity::Ekfac(source) | Quantity::EkfacStep(source) | Quantity::EkfacProbe(source)) =
            quantity
        else {
            return Ok(());
        };
        let bases = self.bases(source)?;
        let gradient = match quantity {
            Quantity::EkfacStep(_) => self.evaluate()?.gradient.clone(),
            _ => Vec::new(),
        };
        for (b, basis) in bases.into_iter().enumerate() {
            let Some(basis) = basis else { continue };
            let block = &self.layers()[b];
            let (m, d) = (block.rows, block.cols);
            match quantity {
                Quantity::EkfacStep(_) => {
                    for &lambda in self.request.dampings {
                        let g = &gradient[block.range()];
                        let step = basis.step(exec, block, g, lambda)?;
                        self.put(format!("{quantity}_{}", damp(lambda)), b, &[m, d], step);
                    }
                }
                Quantity::EkfacProbe(_) => {
                    let (probe, k) = self.probe(b)?;
                    let mut out = vec![T::ZERO; m * d * k];
                    for c in 0..k {
                        let column: Vec<T> = probe.iter().skip(c).step_by(k).copied().collect();
                        let product = basis.apply(exec, block, &column)?;
                        out.iter_mut().skip(c).step_by(k).zip(product).for_each(|(o, x)| *o = x);
                    }
                    self.put(quantity, b, &[m * d, k], out);
                }
                _ => {
                    let name = quantity.to_string();
                    self.put(format!("{name}.QA"), b, &[d, d], basis.a);
                    self.put(format!("{name}.QG"), b, &[m, m], basis.g);
                    self.put(format!("{name}.lambda"), b, &[m, d], basis.scale);
                }
            }
        }
        Ok(())
    }

    fn add_products(&mut self) -> Result<(), Error> {
        let blocks = self.layers();
        let mut vectors: Vec<Vec<T>> = Vec::new();
        for (b, block) in blocks.iter().enumerate() {
            let name = format!("matvec.v.{}", block.name);
            let (shape, data) = self.vector(&name)?;
            let k = match shape[..] {
                [m, d, k] if (m, d) == (block.rows, block.cols) => k,
                _ => 0,
            };
            if k == 0 || b > 0 && k != vectors.len() {
                return Err(Error::input(
                    "--vectors",
                    format_args!("tensor {name:?}"),
                    format_args!("shape {shape:?}"),
                    format_args!(
                        "give shape ({}, {}, k), with the same k for every layer",
                        block.rows, block.cols
                    ),
                ));
            }
            vectors.resize(k, vec![T::ZERO; self.problem.network.parameter_count()]);
            for (c, vector) in vectors.iter_mut().enumerate() {
                let column = data.iter().skip(c).step_by(k);
                vector[block.range()].iter_mut().zip(column).for_each(|(o, &x)| *o = x);
            }
        }
        for matrix in [Matrix::Hessian, Matrix::Ggn, Matrix::EmpiricalFisher] {
            let mut operator = NetworkOperator::new(self.problem, matrix)?;
            let mut products = vec![Vec::new(); vectors.len()];
            for (product, v) in products.iter_mut().zip(&vectors) {
                product.resize(v.len(), T::ZERO);
                operator.apply(product, v)?;
            }
            for (b, block) in blocks.iter().enumerate() {
                let parts: Vec<&[T]> = products.iter().map(|p| &p[block.range()]).collect();
                let data = (0..block.len()).flat_map(|i| parts.iter().map(move |p| p[i])).collect();
                let shape = [block.rows, block.cols, vectors.len()];
                self.put(format!("matvec.{}", matrix.name()), b, &shape, data);
            }
        }
        Ok(())
    }

    fn add_eigenvalues(
        &mut self,
        quantity: Quantity,
        matrix: Matrix,
        which: Which,
    ) -> Result<(), Error> {
        let mut operator = NetworkOperator::new(self.problem, matrix)?;
        let options = ExtremalOptions::default();
        let exec = self.problem.executor;
        let pairs = extremal(&mut operator, exec, which, &options, &mut |_| {})?;
        let values = pairs.values;
        self.out.insert(quantity.to_string(), &[values.len()], values);
        Ok(())
    }
}

impl<T: Scalar> LinearOperator<T> for NetworkOperator<'_, T> {
    fn len(&self) -> usize {
        NetworkOperator::len(self)
    }

    fn apply(&mut self, out: &mut [T], v: &[T]) -> Result<(), Error> {
        NetworkOperator::apply(self, out, v)
    }
}
