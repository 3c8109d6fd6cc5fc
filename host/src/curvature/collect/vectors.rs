//! Products with given vectors, and eigenvalues.

use super::super::exact::Matrix;
use super::super::operator::NetworkOperator;
use super::super::quantity::Quantity;
use super::Collector;
use crate::Scalar;
use crate::error::Error;
use crate::spectrum::{ExtremalOptions, LinearOperator, Outcome, Progress, Which, extremal};
use relfisher_core::Real;

impl<'r, 'a, T: Scalar> Collector<'r, 'a, T> {
    /// `probe.<layer>` (m·d̃, k) of the vectors.
    pub(super) fn probe(&self, b: usize) -> Result<(Vec<T>, usize), Error> {
        let block = &self.layers()[b];
        let name = format!("probe.{}", block.name);
        let (shape, data) = self.vector(&name)?;
        match shape[..] {
            [p, k] if p == block.len() && k > 0 => Ok((data, k)),
            _ => Err(Error::input(
                "--vectors",
                format_args!("tensor {name:?}"),
                format_args!("shape {shape:?}, but the layer has {} parameters", block.len()),
                format_args!("give shape ({}, k) with k at least 1", block.len()),
            )),
        }
    }

    /// Checks the vectors of every block.
    pub(super) fn check_probes(&self) -> Result<(), Error> {
        (0..self.layers().len()).try_for_each(|b| self.probe(b).map(|_| ()))
    }

    fn vector(&self, name: &str) -> Result<(Vec<usize>, Vec<T>), Error> {
        let tensor = self.request.vectors.and_then(|file| file.tensors.get(name));
        match tensor {
            Some(tensor) => {
                tensor.check_finite(name).map_err(|e| e.in_file("--vectors"))?;
                Ok((tensor.shape.clone(), tensor.data.clone()))
            }
            None => Err(Error::input(
                "--vectors",
                format_args!("tensor {name:?}"),
                "is missing",
                "give a safetensors file that holds it with --vectors",
            )),
        }
    }

    /// The vectors of [`Quantity::Products`], flat as the parameters.
    pub(super) fn product_vectors(&self) -> Result<Vec<Vec<T>>, Error> {
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
        Ok(vectors)
    }

    pub(super) fn add_products(&mut self) -> Result<(), Error> {
        let (blocks, vectors, mut done) = (self.layers(), self.product_vectors()?, 0);
        for matrix in [Matrix::Hessian, Matrix::Ggn, Matrix::EmpiricalFisher] {
            let mut operator = NetworkOperator::new(self.problem, matrix)?;
            let mut products = vec![Vec::new(); vectors.len()];
            for (product, v) in products.iter_mut().zip(&vectors) {
                product.resize(v.len(), T::ZERO);
                operator.apply(product, v)?;
                done += 1;
                if let Some(watch) = self.problem.watch {
                    watch(done, "products");
                }
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

    pub(super) fn add_eigenvalues(
        &mut self,
        quantity: Quantity,
        matrix: Matrix,
        which: Which,
    ) -> Result<(), Error> {
        let mut operator = NetworkOperator::new(self.problem, matrix)?;
        let options = ExtremalOptions::default();
        let watch = self.problem.watch;
        let mut report = |p: &Progress| {
            if let Some(watch) = watch {
                watch(p.products, "products");
            }
        };
        let exec = self.problem.executor;
        let pairs = extremal(&mut operator, exec, which, &options, &mut report)?;
        // A value is wrong by at most its residual, so a search that was not proved complete may
        // still be good enough for the type; otherwise nothing is written.
        let largest = pairs.values.iter().fold(T::ZERO, |a, v| Real::max(a, Real::abs(*v)));
        let worst = pairs.residuals.iter().fold(T::ZERO, |a, r| Real::max(a, *r));
        // A matrix whose elements are all below ε² is zero but for rounding.
        let scale = Real::max(largest, T::EPSILON * T::EPSILON);
        if pairs.outcome != Outcome::Complete && worst > Real::sqrt(T::EPSILON) * scale {
            return Err(Error::divergence_with(
                quantity,
                format_args!("not converged after {} products (residual {worst})", pairs.products),
                "use --dtype f64, or relfisher spectrum with more --products",
            ));
        }
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
