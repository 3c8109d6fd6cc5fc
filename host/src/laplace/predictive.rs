//! What the posterior says about outputs: J P⁻¹ Jᵀ of every sample, and predictions with it.

use relfisher_core::curvature::{LowRank, low_rank_power_workspace_len};
use relfisher_core::laplace::{
    posterior_variances, predictive_covariance, predictive_covariance_workspace_len, probit_logits,
};
use relfisher_core::{MatMut, MatRef, kron};

use super::Posterior;
use super::posterior::{Part, Parts, whole_rows};
use crate::Scalar;
use crate::curvature::{Problem, Site, parameter_rows};
use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::network::{Block, Cotangents, Loss, Targets};
use crate::scratch::grown;

/// Gaussians of the outputs f of every sample (logits, or the means of `mse`): the linearised
/// prediction, whose mean is the network's own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prediction<T> {
    /// f(θ*), N × C.
    pub outputs: Vec<T>,
    /// J P⁻¹ Jᵀ, N × C × C.
    pub covariance: Vec<T>,
}

/// How good predictions are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// The mean negative log-likelihood of a sample.
    pub nll: f64,
    /// The share of samples whose most likely class is the true one.
    pub accuracy: Option<f64>,
}

/// Buffers of one batch.
#[derive(Default)]
struct Scratch<T> {
    rows: Vec<T>,
    turned: Vec<T>,
    inputs: Vec<T>,
    design: Vec<T>,
    work: Vec<T>,
}

impl<T: Scalar> Posterior<T> {
    /// The prediction of every sample of `problem` (other data than those of the posterior as a rule)
    /// at prior precision τ. No targets are needed.
    ///
    /// # Errors
    /// τ that is not a finite positive number; another network; those of the passes.
    pub fn predict(
        &self,
        problem: &Problem<'_, T>,
        precision: f64,
    ) -> Result<Prediction<T>, Error> {
        let (network, exec) = (problem.network, problem.executor);
        if network.parameter_count() != self.parameters() {
            let problem = format_args!(
                "{} parameters instead of {}",
                network.parameter_count(),
                self.parameters()
            );
            return Err(Error::input("", "network", problem, "use the posterior of this network"));
        }
        let c = network.outputs();
        let problem = problem.in_batches_of(self.batch_len(problem));
        let variances = self.variances(precision)?;
        let mut out = Prediction::default();
        let mut tape = problem.tape();
        let mut cotangents = Cotangents::new(network, tape.capacity(), c);
        let mut scratch = Scratch::default();
        problem.for_each_batch(&mut tape, &mut |tape, _, n| {
            for s in 0..n {
                out.outputs.extend_from_slice(tape.logits().row(s));
            }
            for column in 0..c {
                let mut unit = cotangents.output_mut(column, n);
                unit.fill(T::ZERO);
                (0..n).for_each(|s| unit.set(s, column, T::ONE));
            }
            network.pull_back(exec, problem.parameters, tape, &mut cotangents, None)?;
            let first = out.covariance.len();
            out.covariance.resize(first + n * c * c, T::ZERO);
            let to = &mut out.covariance[first..];
            match &self.parts {
                Parts::Layers(parts) => {
                    for (b, (part, variances)) in parts.iter().zip(&variances).enumerate() {
                        let site = Site { network, tape, block: b };
                        let place = &network.blocks()[b].name;
                        part.add(exec, site, (&cotangents, &mut *to), variances, &mut scratch)
                            .context(place)?;
                    }
                    Ok(())
                }
                parts => {
                    let d = network.parameter_count();
                    let rows = grown(&mut scratch.rows, n * c * d);
                    let batch = (network, &*tape);
                    whole_rows(exec, batch, &cotangents, rows, &mut scratch.design)?;
                    parts.whiten(exec, (n * c, d), (&variances, precision), &mut scratch)?;
                    add_grams(exec, to, &scratch.rows, (n, c, d)).context("laplace")
                }
            }
        })?;
        Ok(out)
    }

    /// The elements that one sample takes.
    fn batch_len(&self, problem: &Problem<'_, T>) -> usize {
        let c = problem.network.outputs();
        let largest = problem.network.blocks().iter().map(Block::len).max().unwrap_or(0);
        let rows = match &self.parts {
            Parts::Layers(_) => largest,
            _ => problem.network.parameter_count(),
        };
        problem.sample_len(c).saturating_add(rows.saturating_mul(c).saturating_mul(2))
    }

    /// 1/(N s + τ) of every part; of a low rank nothing.
    fn variances(&self, precision: f64) -> Result<Vec<Vec<T>>, Error> {
        let one = |values: &[T]| -> Result<Vec<T>, Error> {
            let mut out = vec![T::ZERO; values.len()];
            posterior_variances(&mut out, values, self.samples as f64, precision)
                .context("laplace")?;
            Ok(out)
        };
        match &self.parts {
            Parts::Layers(parts) => parts.iter().map(|part| one(part.values())).collect(),
            Parts::Full { values, .. } => Ok(vec![one(values)?]),
            Parts::LowRank { .. } => Ok(Vec::new()),
        }
    }
}

/// `out_s ← out_s + R_s R_sᵀ` for the C rows r = c·n + s of every sample.
fn add_grams<T: Scalar>(
    exec: &dyn Executor<T>,
    out: &mut [T],
    rows: &[T],
    (n, c, p): (usize, usize, usize),
) -> Result<(), relfisher_core::Error> {
    for (s, out) in out.chunks_exact_mut(c * c).enumerate() {
        let rows = rows.get(s * p..).unwrap_or(&[]);
        let rows = MatRef::with_strides(rows, c, p, n * p, 1)?;
        exec.gemm(MatMut::new(out, c, c)?, T::ONE, T::ONE, rows, rows.t())?;
    }
    Ok(())
}

/// `x_k ← √v_k x_k` for every row.
fn weigh<T: Scalar>(rows: &mut [T], variances: &[T]) {
    let roots: Vec<T> = variances.iter().map(|v| relfisher_core::Real::sqrt(*v)).collect();
    for row in rows.chunks_exact_mut(roots.len().max(1)) {
        row.iter_mut().zip(&roots).for_each(|(x, r)| *x *= *r);
    }
}

impl<T: Scalar> Parts<T> {
    /// `rows ← rows P^(−½)` (r × D) up to a rotation, for a basis of the whole network.
    fn whiten(
        &self,
        exec: &dyn Executor<T>,
        (r, d): (usize, usize),
        (variances, precision): (&[Vec<T>], f64),
        scratch: &mut Scratch<T>,
    ) -> Result<(), Error> {
        let rows = grown(&mut scratch.rows, r * d);
        match self {
            Parts::Layers(_) => Ok(()),
            Parts::LowRank { vectors, values } => {
                let k = values.len();
                let c = LowRank { vectors: MatRef::new(vectors, k, d)?, values };
                let work = grown(&mut scratch.work, low_rank_power_workspace_len(r, k));
                let (rows, damping) = (MatMut::new(rows, r, d)?, T::from_f64(precision));
                c.power(exec, rows, T::HALF, damping, work).context("laplace")
            }
            Parts::Full { vectors, .. } => {
                turn_rows(exec, (&mut scratch.turned, rows), vectors, (r, d))?;
                variances.iter().for_each(|v| weigh(rows, v));
                Ok(())
            }
        }
    }
}

/// `rows ← rows U` (r × p).
fn turn_rows<T: Scalar>(
    exec: &dyn Executor<T>,
    (copy, rows): (&mut Vec<T>, &mut [T]),
    vectors: &[T],
    (r, p): (usize, usize),
) -> Result<(), relfisher_core::Error> {
    let copy = grown(copy, r * p);
    copy.copy_from_slice(rows);
    let (to, from) = (MatMut::new(rows, r, p)?, MatRef::new(copy, r, p)?);
    exec.gemm(to, T::ZERO, T::ONE, from, MatRef::new(vectors, p, p)?)
}

impl<T: Scalar> Part<T> {
    /// Adds J P⁻¹ Jᵀ of one block to every sample's matrix.
    fn add(
        &self,
        exec: &dyn Executor<T>,
        site: Site<'_, T>,
        (cotangents, out): (&Cotangents<T>, &mut [T]),
        variances: &[T],
        scratch: &mut Scratch<T>,
    ) -> Result<(), Error> {
        let block = &site.network.blocks()[site.block];
        let (n, m, d, p) = (site.tape.batch(), block.rows, block.cols, block.len());
        let (delta, c) = (cotangents.block(site.block, n), site.network.outputs());
        let Scratch { rows, turned, inputs, design, work } = scratch;
        if block.is_dense() && !matches!(self, Part::Dense { .. }) {
            let x = site.tape.layer_input(site.block);
            let parts = match self {
                Part::Kronecker(basis) => {
                    let (g, a) = (MatRef::new(&basis.g, m, m)?, MatRef::new(&basis.a, d, d)?);
                    let u = grown(turned, n * c * m);
                    exec.gemm(MatMut::new(&mut *u, n * c, m)?, T::ZERO, T::ONE, delta, g)?;
                    let v = grown(inputs, n * d);
                    exec.gemm(MatMut::new(&mut *v, n, d)?, T::ZERO, T::ONE, x, a)?;
                    (MatRef::new(u, n * c, m)?, MatRef::new(v, n, d)?)
                }
                _ => (delta, x),
            };
            let work = grown(work, predictive_covariance_workspace_len(n, m, d));
            let (to, variances) = (MatMut::new(out, n, c * c)?, MatRef::new(variances, m, d)?);
            return Ok(predictive_covariance(exec, to, T::ONE, parts, variances, work)?);
        }
        let rows = grown(rows, n * c * p);
        parameter_rows(exec, site, delta, MatMut::new(&mut *rows, n * c, p)?, design)?;
        match self {
            Part::Diagonal(_) => {}
            Part::Dense { vectors, .. } => turn_rows(exec, (turned, rows), vectors, (n * c, p))?,
            Part::Kronecker(basis) => {
                let (g, a) = (MatRef::new(&basis.g, m, m)?, MatRef::new(&basis.a, d, d)?);
                let (work, copy) = (grown(work, kron::apply_workspace_len(m, d)), grown(turned, p));
                for row in rows.chunks_exact_mut(p) {
                    copy.copy_from_slice(row);
                    let (to, from) = (MatMut::new(row, m, d)?, MatRef::new(copy, m, d)?);
                    kron::apply(exec, to, g.t(), a.t(), from, work)?;
                }
            }
        }
        weigh(rows, variances);
        Ok(add_grams(exec, out, rows, (n, c, p))?)
    }
}

impl<T: Scalar> Prediction<T> {
    /// The variance of every output, N × C.
    pub fn variances(&self, outputs: usize) -> Vec<T> {
        let squares = self.covariance.chunks_exact((outputs * outputs).max(1));
        squares.flat_map(|one| one.iter().step_by(outputs + 1).copied()).collect()
    }

    /// How well the network alone predicts `targets`, and how well with the uncertainty of its
    /// parameters: soft-max and sigmoid of f/√(1 + πv/8), a Gaussian of variance σ² + v for `mse`.
    ///
    /// # Errors
    /// Targets that do not fit.
    pub fn quality(&self, problem: &Problem<'_, T>) -> Result<(Quality, Quality), Error> {
        let targets = problem.need_targets("quality of predictions")?;
        let (network, c) = (problem.network, problem.network.outputs());
        let variances = self.variances(c);
        if let Loss::Mse { scale } = network.loss_kind() {
            network.check_targets(&targets, problem.samples())?;
            let Targets::Values(values) = targets else { return Err(no_values()) };
            let noise = 0.5 / scale;
            let nll = |extra: &dyn Fn(usize) -> f64| {
                let terms = self.outputs.iter().enumerate().map(|(k, f)| {
                    let error = f.to_f64() - values.at(k / c, k % c).to_f64();
                    let variance = noise + extra(k);
                    0.5 * (error * error / variance + (std::f64::consts::TAU * variance).ln())
                });
                terms.sum::<f64>() / problem.samples() as f64
            };
            let plain = Quality { nll: nll(&|_| 0.0), accuracy: None };
            let wide = Quality { nll: nll(&|k| variances[k].to_f64()), accuracy: None };
            return Ok((plain, wide));
        }
        let judge = |outputs: &[T]| -> Result<Quality, Error> {
            let mut tape = problem.tape();
            let outputs = MatRef::new(outputs, problem.samples(), c)?;
            let report = network.judge(problem.executor, &mut tape, outputs, &targets)?;
            let accuracy = report.correct.map(|n| n as f64 / problem.samples() as f64);
            Ok(Quality { nll: report.mean, accuracy })
        };
        let mut wide = self.outputs.clone();
        probit_logits(&mut wide, &variances).context("laplace")?;
        Ok((judge(&self.outputs)?, judge(&wide)?))
    }
}

fn no_values() -> Error {
    Error::input("", "targets", "are classes", "give a row of numbers for each sample")
}
