//! Preconditioned conjugate gradients on a product that is only given as a function.

use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::optimizer::vectors::dot;
use crate::{Scalar, vectorised};

/// `out ← A v`, or `out ← M⁻¹ v`.
pub(super) type Product<'a, T> = dyn FnMut(&[T], &mut [T]) -> Result<(), Error> + 'a;

/// When the iteration ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The most iterations.
    pub(super) iterations: usize,
    /// ε of Martens' rule.
    pub(super) tolerance: f64,
}

/// The vectors of an iteration, and the values of the quadratic model along it.
pub(super) struct ConjugateGradients<T> {
    /// The iterate.
    pub(super) x: Vec<T>,
    /// b − A x.
    pub(super) residual: Vec<T>,
    direction: Vec<T>,
    turned: Vec<T>,
    product: Vec<T>,
    values: Vec<f64>,
    partials: Vec<T>,
}

impl<T: Scalar> ConjugateGradients<T> {
    pub(super) fn new(count: usize) -> Self {
        let zeros = || vec![T::ZERO; count];
        Self {
            x: zeros(),
            residual: zeros(),
            direction: zeros(),
            turned: zeros(),
            product: zeros(),
            values: Vec::new(),
            partials: Vec::new(),
        }
    }

    /// Lowers φ(x) = ½xᵀAx − bᵀx from the present `x` (M. Hestenes, E. Stiefel 1952), until φ < 0 and
    /// the last k = max(10, i/10) of i iterations lowered it by less than kε|φ| (Martens 2010, §4.4),
    /// or the residual is rounding. Returns the iterations.
    ///
    /// # Errors
    /// A matrix or a preconditioner that is not positive definite or not finite.
    pub(super) fn run(
        &mut self,
        executor: &dyn Executor<T>,
        b: &[T],
        limits: Limits,
        multiply: &mut Product<'_, T>,
        precondition: &mut Product<'_, T>,
    ) -> Result<usize, Error> {
        self.start(executor, b, multiply)?;
        let square = self.dot(executor, b, b)?;
        let rounding = T::EPSILON * T::EPSILON * square;
        precondition(&self.residual, &mut self.turned)?;
        self.direction.copy_from_slice(&self.turned);
        let mut along = dot(executor, &self.residual, &self.turned, &mut self.partials)?;
        for i in 1..=limits.iterations {
            let left = dot(executor, &self.residual, &self.residual, &mut self.partials)?;
            if left <= rounding {
                return Ok(i - 1);
            }
            multiply(&self.direction, &mut self.product)?;
            let curvature = dot(executor, &self.direction, &self.product, &mut self.partials)?;
            if !(curvature > T::ZERO && along > T::ZERO && curvature.is_finite()) {
                let what = "the curvature along a conjugate direction is not positive and finite";
                return Err(Error::divergence("hessian-free", what));
            }
            self.advance(executor, along / curvature)?;
            let value = self.value(executor, b)?;
            self.values.push(value);
            if self.stalled(limits.tolerance) {
                return Ok(i);
            }
            precondition(&self.residual, &mut self.turned)?;
            let next = dot(executor, &self.residual, &self.turned, &mut self.partials)?;
            combine(executor, &mut self.direction, &self.turned, next / along)?;
            along = next;
        }
        Ok(limits.iterations)
    }

    /// The first residual and value.
    fn start(
        &mut self,
        executor: &dyn Executor<T>,
        b: &[T],
        multiply: &mut Product<'_, T>,
    ) -> Result<(), Error> {
        self.residual.copy_from_slice(b);
        if self.x.iter().any(|x| *x != T::ZERO) {
            multiply(&self.x, &mut self.product)?;
            let pairs = self.residual.iter_mut().zip(&self.product);
            pairs.for_each(|(r, p)| *r -= *p);
        }
        self.values.clear();
        let value = self.value(executor, b)?;
        self.values.push(value);
        Ok(())
    }

    fn dot(&mut self, executor: &dyn Executor<T>, a: &[T], b: &[T]) -> Result<T, Error> {
        dot(executor, a, b, &mut self.partials)
    }

    /// φ(x) = −½ xᵀ(b + r).
    fn value(&mut self, executor: &dyn Executor<T>, b: &[T]) -> Result<f64, Error> {
        let with_b = dot(executor, &self.x, b, &mut self.partials)?;
        let with_r = dot(executor, &self.x, &self.residual, &mut self.partials)?;
        Ok(-0.5 * (with_b + with_r).to_f64())
    }

    fn stalled(&self, tolerance: f64) -> bool {
        let Some((last, before)) = self.values.split_last() else { return false };
        let done = before.len();
        let k = (done / 10).max(10);
        let Some(earlier) = done.checked_sub(k).and_then(|at| before.get(at)) else {
            return false;
        };
        *last < 0.0 && (last - earlier) / last < k as f64 * tolerance
    }

    /// x ← x + α p, r ← r − α A p.
    fn advance(&mut self, executor: &dyn Executor<T>, alpha: T) -> Result<(), Error> {
        let outputs = &mut [&mut self.x[..], &mut self.residual[..]];
        let inputs = [&self.direction[..], &self.product[..]];
        executor
            .for_each_chunk(outputs, &inputs, &|outputs, inputs| {
                if let ([x, r], [p, ap]) = (outputs, inputs) {
                    vectorised!({
                        x.iter_mut().zip(*p).for_each(|(x, p)| *x += alpha * *p);
                        r.iter_mut().zip(*ap).for_each(|(r, ap)| *r -= alpha * *ap);
                    });
                }
            })
            .context("hessian-free")
    }
}

/// p ← y + β p.
fn combine<T: Scalar>(
    executor: &dyn Executor<T>,
    direction: &mut [T],
    turned: &[T],
    beta: T,
) -> Result<(), Error> {
    executor
        .for_each_chunk(&mut [direction], &[turned], &|outputs, inputs| {
            if let ([p], [y]) = (outputs, inputs) {
                vectorised!(p.iter_mut().zip(*y).for_each(|(p, y)| *p = *y + beta * *p));
            }
        })
        .context("hessian-free")
}
