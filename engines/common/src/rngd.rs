//! The relative Fisher metric of one layer: kept as inverse blocks, or that of the mini-batch.

use relfisher_core::metric::layer::{
    NonlinearMetric, SoftmaxMetric, SolveOptions, dense_workspace_len,
};
use relfisher_core::metric::route::block;
use relfisher_core::{Backend, Error as CoreError, MatMut, MatRef, Real, blas, factor};

use crate::error::At;
use crate::labels::softmax;
use crate::layer::copy_row;
use crate::optimizer::grown;
use crate::{Capture, Error, LayerSpec, Site};

/// X̃ (n × d̃) and what R_s is made of: ν (n × m) of neurons, η of a soft-max.
#[derive(Clone, Debug)]
pub(crate) struct Samples<T> {
    n: usize,
    x: Vec<T>,
    weights: Vec<T>,
}

impl<T: Real> Samples<T> {
    pub(crate) const fn new() -> Self {
        Self { n: 0, x: Vec::new(), weights: Vec::new() }
    }

    /// Takes what the metric of a mini-batch needs.
    pub(crate) fn measure(
        &mut self,
        spec: &LayerSpec<T>,
        capture: &Capture<'_, T>,
        work: &mut Vec<T>,
    ) -> Result<(), Error> {
        let (n, m, d) = (capture.input.rows(), spec.outputs, spec.augmented());
        let outputs = capture.outputs(spec)?;
        self.x.resize(n * d, T::ZERO);
        self.weights.resize(n * m, T::ZERO);
        spec.augment(&mut self.x, capture.input);
        match spec.site {
            Site::Softmax => softmax(&mut self.weights, outputs),
            Site::Neurons(response) => {
                let t = grown(work, n * m);
                for (s, row) in t.chunks_exact_mut(m).enumerate() {
                    copy_row(row, outputs, s);
                }
                response.nu_slice(&mut self.weights, t).at(&spec.name)?;
            }
        }
        self.n = n;
        Ok(())
    }

    fn views(&self, spec: &LayerSpec<T>) -> Result<(MatRef<'_, T>, MatRef<'_, T>), CoreError> {
        let x = MatRef::new(&self.x, self.n, spec.augmented())?;
        Ok((x, MatRef::new(&self.weights, self.n, spec.outputs)?))
    }

    /// `out ← (Ḡ + λI)⁻¹ g`, m × d̃, by the cheapest exact route.
    pub(crate) fn solve<B: Backend<T>>(
        &self,
        backend: &B,
        spec: &LayerSpec<T>,
        (out, g): (&mut [T], &[T]),
        damping: T,
        work: &mut Vec<T>,
    ) -> Result<(), CoreError> {
        let (n, m, d) = (self.n, spec.outputs, spec.augmented());
        let (x, weights) = self.views(spec)?;
        let (out, g) = (MatMut::new(out, m, d)?, MatRef::new(g, m, d)?);
        match spec.site {
            Site::Neurons(_) => {
                let route = NonlinearMetric::<T>::route(n, m, d, None, true);
                let options = SolveOptions { route: Some(route), ..SolveOptions::default() };
                let len = NonlinearMetric::<T>::solve_workspace_len(n, m, d, route);
                let metric = NonlinearMetric::new(x, weights)?;
                metric.solve(backend, out, g, damping, options, grown(work, len))
            }
            Site::Softmax => {
                let route = SoftmaxMetric::<T>::route(n, m, d, None, true);
                let options = SolveOptions { route: Some(route), ..SolveOptions::default() };
                let len = SoftmaxMetric::<T>::solve_workspace_len(n, m, d, route);
                let metric = SoftmaxMetric::new(x, weights)?;
                metric.solve(backend, out, g, damping, options, grown(work, len))
            }
        }
    }

    /// `out ← (Ḡ + λI)⁻¹` itself: m packed blocks, or the full matrix of a soft-max.
    pub(crate) fn invert<B: Backend<T>>(
        &self,
        backend: &B,
        spec: &LayerSpec<T>,
        out: &mut Vec<T>,
        damping: T,
        work: &mut Vec<T>,
    ) -> Result<(), CoreError> {
        let (n, m, d) = (self.n, spec.outputs, spec.augmented());
        let (x, weights) = self.views(spec)?;
        match spec.site {
            Site::Neurons(_) => {
                let p = d * (d + 1) / 2;
                let len = blas::packed_grams_workspace_len(n, m, d)
                    .max(factor::packed_inverse_workspace_len(d));
                let work = grown(work, len);
                out.resize(m * p, T::ZERO);
                let metric = NonlinearMetric::new(x, weights)?;
                block::build(backend, MatMut::new(out, m, p)?, &metric, T::ZERO, work)?;
                block::invert(backend, MatMut::new(out, m, p)?, d, damping, work)
            }
            Site::Softmax => {
                let full = m * d;
                let len = dense_workspace_len(n, d).max(factor::spd_inverse_workspace_len(full));
                let work = grown(work, len);
                out.resize(full * full, T::ZERO);
                let metric = SoftmaxMetric::new(x, weights)?;
                let matrix = MatMut::new(out, full, full)?;
                block::softmax_build(backend, matrix, &metric, T::ZERO, work)?;
                backend.spd_inverse(MatMut::new(out, full, full)?, damping, work)
            }
        }
    }
}

/// `out ← inverse · g` with what [`Samples::invert`] left.
pub(crate) fn apply_inverse<T: Real, B: Backend<T>>(
    backend: &B,
    spec: &LayerSpec<T>,
    inverse: &[T],
    (out, g): (&mut [T], &[T]),
) -> Result<(), CoreError> {
    let (m, d) = (spec.outputs, spec.augmented());
    match spec.site {
        Site::Neurons(_) => {
            let inverse = MatRef::new(inverse, m, d * (d + 1) / 2)?;
            block::apply_inverse(backend, MatMut::new(out, m, d)?, inverse, MatRef::new(g, m, d)?)
        }
        Site::Softmax => {
            let full = m * d;
            let (out, g) = (MatMut::new(out, 1, full)?, MatRef::new(g, 1, full)?);
            backend.gemm(out, T::ZERO, T::ONE, g, MatRef::new(inverse, full, full)?)
        }
    }
}
