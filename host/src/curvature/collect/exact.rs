//! Per-sample gradients, exact blocks, diagonals, and exact damped steps.

use relfisher_core::{MatMut, MatRef};

use super::super::exact::{Matrix, blocks, diagonals};
use super::super::factors::Site;
use super::super::natural::natural_gradients;
use super::super::parameter_rows::parameter_rows;
use super::super::quantity::Quantity;
use super::{Collector, damp, overflow};
use crate::Scalar;
use crate::error::Error;

/// The elements of the largest block that is kept.
pub(super) const KEPT: usize = 1 << 20;

impl<'r, 'a, T: Scalar> Collector<'r, 'a, T> {
    pub(super) fn add_per_sample(&mut self) -> Result<(), Error> {
        let problem = self.problem;
        let targets = problem.need_targets("per_sample_grad")?;
        let problem = &problem.in_batches_of(problem.sample_len(0));
        let (network, exec, samples) = (problem.network, problem.executor, problem.samples());
        let elements = samples.saturating_mul(network.parameter_count());
        let instead = "ask for per_sample_grad_sqnorm instead, or give fewer samples";
        self.request.memory.check("per_sample_grad", elements, size_of::<T>(), instead)?;
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
        if data.len() <= KEPT {
            self.blocks.push((matrix, b, data.clone()));
        }
        Ok(data)
    }

    pub(super) fn add_blocks(&mut self, quantity: Quantity) -> Result<(), Error> {
        for b in 0..self.layers().len() {
            let p = self.layers()[b].len();
            match quantity {
                Quantity::BlockTraceFrobenius(matrix) => {
                    let data = self.block(matrix, b)?;
                    // Sums of up to p² terms: in double precision whatever the type.
                    let trace: f64 = (0..p).map(|i| data[i * p + i].to_f64()).sum();
                    // In units of the largest element, whose square may be too large.
                    let most = data.iter().fold(0.0_f64, |most, x| most.max(x.to_f64().abs()));
                    let unit = most.max(f64::MIN_POSITIVE);
                    let square: f64 = data.iter().map(|x| (x.to_f64() / unit).powi(2)).sum();
                    let pair = vec![T::from_f64(trace), T::from_f64(unit * square.sqrt())];
                    self.put(quantity, b, &[2], pair);
                }
                Quantity::BlockProbe(matrix) => {
                    let (probe, k) = self.probe(b)?;
                    let data = self.block(matrix, b)?;
                    let mut out = vec![T::ZERO; p * k];
                    let (m, v) = (MatRef::new(&data, p, p)?, MatRef::new(&probe, p, k)?);
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

    pub(super) fn add_diagonals(&mut self, matrix: Matrix) -> Result<(), Error> {
        let all = diagonals(self.problem, matrix, self.request.memory)?;
        for (b, data) in all.into_iter().enumerate() {
            let shape = [self.layers()[b].rows, self.layers()[b].cols];
            self.put(Quantity::Diagonal(matrix), b, &shape, data);
        }
        Ok(())
    }

    pub(super) fn add_traces(&mut self) -> Result<(), Error> {
        let mut traces = Vec::new();
        for matrix in [Matrix::Ggn, Matrix::Hessian, Matrix::EmpiricalFisher] {
            let diagonals = diagonals(self.problem, matrix, self.request.memory)?;
            for (block, data) in self.layers().iter().zip(&diagonals) {
                if let Some(i) = data.iter().position(|x| !x.is_finite()) {
                    let place = format_args!("{}_diag of layer {}", matrix.name(), block.name);
                    return Err(overflow(place, i, data[i]));
                }
            }
            let sum: f64 = diagonals.iter().flatten().map(|x| x.to_f64()).sum();
            traces.push(T::from_f64(sum));
        }
        self.out.insert("trace.ggn_hess_ef", &[3], traces);
        Ok(())
    }

    pub(super) fn add_natural_gradients(&mut self, matrix: Matrix) -> Result<(), Error> {
        let gradient = self.evaluate()?.gradient.clone();
        let (dampings, memory) = (self.request.dampings, self.request.memory);
        let steps = natural_gradients(self.problem, matrix, &gradient, dampings, memory)?;
        let quantity = Quantity::NaturalGradient(matrix);
        for (&lambda, steps) in dampings.iter().zip(steps) {
            for (b, step) in steps.into_iter().enumerate() {
                let shape = [self.layers()[b].rows, self.layers()[b].cols];
                self.put(format!("{quantity}_{}", damp(lambda)), b, &shape, step);
            }
        }
        Ok(())
    }
}
