//! The exact Gauss–Newton matrix of the whole network, in sample space.

use std::ops::Range;

use relfisher_core::curvature::{
    khatri_rao_apply, khatri_rao_apply_workspace_len, khatri_rao_gram,
    khatri_rao_gram_workspace_len, khatri_rao_transpose, khatri_rao_transpose_workspace_len,
};
use relfisher_core::factor::eigh_workspace_len;
use relfisher_core::{Error as CoreError, MatMut, MatRef};

use crate::Scalar;
use crate::curvature::{Memory, Site, parameter_rows};
use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::network::{Cotangents, Network, Statistics};
use crate::optimizer::columns::Columns;
use crate::optimizer::preconditioner::check_call;
use crate::optimizer::subsystem::singular;
use crate::optimizer::{Batch, GgnSampleConfig, Preconditioner, State};
use crate::scratch::grown;

/// (C + λI)⁻¹ g = (g − Jᵀ(nλI + JJᵀ)⁻¹Jg)/λ with C = JᵀJ/n the matrix of the last mini-batch: the rows
/// of J are the root of every sample's loss Hessian, sent back to the parameters, C − 1 of them for
/// soft-max. The Gram matrix JJᵀ (r × r, r = n(C − 1)) is a sum over the layers, (ΔΔᵀ) ∘ (X̃X̃ᵀ) of a linear
/// layer on vectors, whose rows are never formed; r³/3 operations and r² numbers (Y. Ren, D.
/// Goldfarb, *Efficient subsampled Gauss–Newton and natural gradient methods*, 2019). Convolutions,
/// shared layers and batch normalisations form their rows.
///
/// Nothing outlives a mini-batch.
pub struct GgnSample<T: Scalar> {
    damping: T,
    /// λ of the factor.
    factored: T,
    /// n of the last mini-batch.
    samples: usize,
    layers: Vec<Rows<T>>,
    parameters: usize,
    updates: u64,
    columns: Option<Columns<T>>,
    order: usize,
    factor: Vec<T>,
    buffers: Buffers<T>,
}

/// The rows of J that belong to one layer.
struct Rows<T> {
    index: usize,
    name: String,
    range: Range<usize>,
    shape: (usize, usize),
    form: RowForm,
    /// X̃ (n × d̃), or the rows themselves (r × p).
    values: Vec<T>,
}

/// How the rows are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowForm {
    /// As Δ and X̃.
    Product,
    /// Formed.
    Formed,
}

/// Buffers that nothing depends on.
#[derive(Default)]
struct Buffers<T> {
    small: Vec<T>,
    back: Vec<T>,
    rest: Vec<T>,
    correction: Vec<T>,
    work: Vec<T>,
    design: Vec<T>,
}

impl<T: Scalar> Rows<T> {
    /// Takes the rows of the mini-batch and adds their Gram matrix to β gram.
    fn measure(
        &mut self,
        batch: &Batch<'_, T>,
        delta: MatRef<'_, T>,
        (gram, beta): (MatMut<'_, T>, T),
        (work, design): (&mut Vec<T>, &mut Vec<T>),
    ) -> Result<(), Error> {
        let Batch { executor, network, tape, .. } = *batch;
        let ((m, d), n, order) = (self.shape, tape.batch(), gram.rows());
        if self.form == RowForm::Formed {
            let site = Site { network, tape, block: self.index };
            let rows = grown(&mut self.values, order * m * d);
            parameter_rows(executor, site, delta, MatMut::new(&mut *rows, order, m * d)?, design)?;
            let rows = MatRef::new(rows, order, m * d)?;
            return Ok(executor.gemm(gram, beta, T::ONE, rows, rows.t())?);
        }
        let x = tape.layer_input(self.index);
        let values = grown(&mut self.values, n * d);
        for (s, row) in values.chunks_exact_mut(d).enumerate() {
            row.copy_from_slice(x.row(s));
        }
        let work = grown(work, khatri_rao_gram_workspace_len(n, order / n));
        Ok(khatri_rao_gram(executor, gram, beta, delta, x, work)?)
    }

    /// `out ← β out + J v` of this layer.
    fn apply(
        &self,
        executor: &dyn Executor<T>,
        (delta, n): (MatRef<'_, T>, usize),
        (out, beta): (&mut [T], T),
        v: &[T],
        work: &mut Vec<T>,
    ) -> Result<(), CoreError> {
        let ((m, d), order) = (self.shape, out.len());
        match self.form {
            RowForm::Formed => {
                let rows = MatRef::new(&self.values, order, m * d)?;
                let (out, v) = (MatMut::new(out, order, 1)?, MatRef::new(v, m * d, 1)?);
                executor.gemm(out, beta, T::ONE, rows, v)
            }
            RowForm::Product => {
                let (x, v) = (MatRef::new(&self.values, n, d)?, MatRef::new(v, m, d)?);
                let work = grown(work, khatri_rao_apply_workspace_len(n, m));
                khatri_rao_apply(executor, out, beta, delta, x, v, work)
            }
        }
    }

    /// `out ← Jᵀ z` of this layer.
    fn transpose(
        &self,
        executor: &dyn Executor<T>,
        (delta, n): (MatRef<'_, T>, usize),
        out: &mut [T],
        z: &[T],
        work: &mut Vec<T>,
    ) -> Result<(), CoreError> {
        let ((m, d), order) = (self.shape, z.len());
        match self.form {
            RowForm::Formed => {
                let rows = MatRef::new(&self.values, order, m * d)?;
                let (out, z) = (MatMut::new(out, m * d, 1)?, MatRef::new(z, order, 1)?);
                executor.gemm(out, T::ZERO, T::ONE, rows.t(), z)
            }
            RowForm::Product => {
                let (x, out) = (MatRef::new(&self.values, n, d)?, MatMut::new(out, m, d)?);
                let work = grown(work, khatri_rao_transpose_workspace_len(n, m));
                khatri_rao_transpose(executor, out, T::ZERO, delta, x, z, work)
            }
        }
    }
}

impl<T: Scalar> GgnSample<T> {
    /// The matrix of `network`, nothing measured yet; of `config` only the damping enters.
    pub fn new(config: &GgnSampleConfig, network: &Network<T>) -> Self {
        let layers = network.blocks().iter().enumerate().map(|(index, block)| Rows {
            index,
            name: block.name.clone(),
            range: block.range(),
            shape: (block.rows, block.cols),
            form: if block.is_dense() { RowForm::Product } else { RowForm::Formed },
            values: Vec::new(),
        });
        Self {
            damping: T::from_f64(config.damping),
            factored: T::ONE,
            samples: 0,
            layers: layers.collect(),
            parameters: network.parameter_count(),
            updates: 0,
            columns: None,
            order: 0,
            factor: Vec::new(),
            buffers: Buffers::default(),
        }
    }

    /// Refuses a mini-batch whose Gram matrix or rows do not fit the memory.
    fn check_memory(&self, batch: &Batch<'_, T>, order: usize) -> Result<(), Error> {
        let formed = self.layers.iter().filter(|layer| layer.form == RowForm::Formed);
        let rows: usize = formed.map(|layer| layer.range.len().saturating_mul(order)).sum();
        let passes = Cotangents::required_len(
            batch.network,
            batch.tape.capacity(),
            Columns::root_count(batch.network),
        );
        let needed = order.saturating_mul(order).saturating_add(rows).saturating_add(passes);
        let instead = "use smaller mini-batches, or hessian-free, ekfac or kfac";
        Memory::default().check("ggn-sample", needed, size_of::<T>(), instead)
    }

    /// Measures the rows of the mini-batch and JJᵀ, r × r, where the factor will be; r.
    fn gram(&mut self, batch: &Batch<'_, T>) -> Result<usize, Error> {
        let (count, n) = (Columns::root_count(batch.network), batch.tape.batch());
        let order = count * n;
        if order * order > self.factor.len() {
            self.check_memory(batch, order)?;
        }
        let columns = Columns::fit(&mut self.columns, batch, count, Statistics::Constant);
        columns.pull_root(batch)?;
        let gram = grown(&mut self.factor, order * order);
        let Buffers { work, design, .. } = &mut self.buffers;
        for (k, layer) in self.layers.iter_mut().enumerate() {
            let beta = if k == 0 { T::ZERO } else { T::ONE };
            let sum = (MatMut::new(&mut *gram, order, order)?, beta);
            let delta = columns.block(layer.index, n);
            layer.measure(batch, delta, sum, (work, design)).context(&layer.name)?;
        }
        (self.samples, self.order) = (n, order);
        Ok(order)
    }

    /// The largest eigenvalues of C = JᵀJ/n on the mini-batch, descending, as many as `values` holds, and
    /// their eigenvectors as rows of `vectors` (k × D); zeros beyond the rank. Through the
    /// eigendecomposition of JJᵀ, about 9r³ operations; what was factored before is lost.
    pub(super) fn top(
        &mut self,
        batch: &Batch<'_, T>,
        vectors: &mut [T],
        values: &mut [T],
    ) -> Result<(), Error> {
        let (order, d, executor) = (self.gram(batch)?, self.parameters, batch.executor);
        let mut spectrum = vec![T::ZERO; order];
        let mut work = vec![T::ZERO; eigh_workspace_len(order)];
        let gram = MatMut::new(&mut self.factor, order, order)?;
        executor.eigh(gram, &mut spectrum, &mut work).context("the whole network")?;
        let Some(columns) = &self.columns else { return Ok(()) };
        let largest = spectrum.last().copied().unwrap_or(T::ZERO);
        let floor = T::from_usize(order) * T::EPSILON * largest;
        let mut column = vec![T::ZERO; order];
        vectors.fill(T::ZERO);
        values.fill(T::ZERO);
        let places = values.iter_mut().zip(vectors.chunks_exact_mut(d.max(1)));
        for ((value, vector), (k, theta)) in places.zip(spectrum.iter().enumerate().rev()) {
            if *theta <= floor {
                break;
            }
            let scale = T::ONE / relfisher_core::Real::sqrt(*theta);
            for (q, row) in column.iter_mut().zip(self.factor.chunks_exact(order)) {
                *q = scale * row[k];
            }
            for layer in &self.layers {
                let delta = (columns.block(layer.index, self.samples), self.samples);
                let part = &mut vector[layer.range.clone()];
                layer.transpose(executor, delta, part, &column, &mut self.buffers.work)?;
            }
            *value = *theta / T::from_usize(self.samples);
        }
        Ok(())
    }

    /// `back ← Jᵀ middle(J v)`, `middle` in place.
    fn through(
        &mut self,
        executor: &dyn Executor<T>,
        v: &[T],
        middle: impl FnOnce(&mut [T], MatRef<'_, T>) -> Result<(), CoreError>,
    ) -> Result<(), CoreError> {
        let Some(columns) = &self.columns else { return Ok(()) };
        let Buffers { small, back, work, .. } = &mut self.buffers;
        let (z, back, n) = (grown(small, self.order), grown(back, v.len()), self.samples);
        for (k, layer) in self.layers.iter().enumerate() {
            let beta = if k == 0 { T::ZERO } else { T::ONE };
            let delta = (columns.block(layer.index, n), n);
            layer.apply(executor, delta, (&mut *z, beta), &v[layer.range.clone()], work)?;
        }
        middle(z, MatRef::new(&self.factor, self.order, self.order)?)?;
        for layer in &self.layers {
            let delta = (columns.block(layer.index, n), n);
            layer.transpose(executor, delta, &mut back[layer.range.clone()], z, work)?;
        }
        Ok(())
    }

    /// `out ← (g − Jᵀ(nλI + JJᵀ)⁻¹Jg)/λ`.
    fn once(
        &mut self,
        executor: &dyn Executor<T>,
        g: &[T],
        out: &mut [T],
    ) -> Result<(), CoreError> {
        self.through(executor, g, |z, factor| {
            let order = z.len();
            executor.cholesky_solve(MatMut::new(z, order, 1)?, factor)
        })?;
        let lambda = self.factored;
        let elements = out.iter_mut().zip(g).zip(&self.buffers.back);
        elements.for_each(|((o, g), b)| *o = (*g - *b) / lambda);
        Ok(())
    }

    /// `rest ← g − (JᵀJ/n + λI) step`.
    fn residual(
        &mut self,
        executor: &dyn Executor<T>,
        g: &[T],
        step: &[T],
    ) -> Result<(), CoreError> {
        self.through(executor, step, |_, _| Ok(()))?;
        let (lambda, share) = (self.factored, T::ONE / T::from_usize(self.samples));
        let Buffers { back, rest, .. } = &mut self.buffers;
        let elements = grown(rest, g.len()).iter_mut().zip(g).zip(&*back).zip(step);
        elements.for_each(|(((r, g), b), s)| *r = *g - share * *b - lambda * *s);
        Ok(())
    }
}

impl<T: Scalar> Preconditioner<T> for GgnSample<T> {
    fn name(&self) -> &'static str {
        "ggn-sample"
    }

    fn damping(&self) -> T {
        self.damping
    }

    fn set_damping(&mut self, damping: T) {
        self.damping = damping;
    }

    fn update(&mut self, batch: Batch<'_, T>) -> Result<(), Error> {
        let (order, n) = (self.gram(&batch)?, T::from_usize(batch.tape.batch()));
        let gram = MatMut::new(&mut self.factor, order, order)?;
        batch
            .executor
            .cholesky(gram, n * self.damping)
            .map_err(|e| singular("the whole network", self.damping.to_f64(), e))?;
        self.factored = self.damping;
        self.updates += 1;
        Ok(())
    }

    fn precondition(
        &mut self,
        executor: &dyn Executor<T>,
        gradient: &[T],
        step: &mut [T],
    ) -> Result<(), Error> {
        check_call(self.name(), self.updates, self.parameters, (gradient, &*step))?;
        // One step of iterative refinement: the subtraction loses what the largest eigenvalue of the
        // matrix has over λ.
        self.once(executor, gradient, step).context(self.name())?;
        self.residual(executor, gradient, step).context(self.name())?;
        let rest = std::mem::take(&mut self.buffers.rest);
        let mut correction = std::mem::take(&mut self.buffers.correction);
        let more = grown(&mut correction, gradient.len());
        let outcome = self.once(executor, &rest[..gradient.len()], more);
        step.iter_mut().zip(&*more).for_each(|(s, c)| *s += *c);
        (self.buffers.rest, self.buffers.correction) = (rest, correction);
        outcome.context(self.name())
    }

    fn save(&self, state: &mut State<T>) {
        state.put("ggn-sample.damping", &[self.damping]);
    }

    fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        self.damping = state.tensor("ggn-sample.damping", 1)?[0];
        Ok(())
    }
}
