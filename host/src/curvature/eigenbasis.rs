//! The eigenbases of a block's Kronecker factors, and the diagonal of the block in them.

use relfisher_core::curvature::{
    KronBasis, ekfac_apply, ekfac_apply_workspace_len, ekfac_scale, ekfac_scale_shared,
    ekfac_scale_shared_workspace_len, ekfac_scale_workspace_len, ekfac_solve,
    ekfac_solve_workspace_len,
};
use relfisher_core::{Error as CoreError, MatMut, MatRef, factor, kron};

use super::factors::Site;
use super::kronecker::KroneckerFactors;
use super::natural::singular;
use super::parameter_rows::parameter_rows;
use crate::Scalar;
use crate::error::Error;
use crate::executor::Executor;
use crate::network::Block;
use crate::scratch::grown;

/// The eigenbases of the factors and the scale in them: EKFAC (T. George et al., *Fast approximate
/// natural gradient descent in a Kronecker-factored eigenbasis*, NeurIPS 2018).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Eigenbasis<T> {
    /// U_A, d̃ × d̃, eigenvectors in columns, eigenvalues ascending.
    pub a: Vec<T>,
    /// U_G, m × m.
    pub g: Vec<T>,
    /// The eigenvalues of A.
    pub a_values: Vec<T>,
    /// The eigenvalues of G.
    pub g_values: Vec<T>,
    /// S_ij = mean over the samples of Σ_c (U_Gᵀ ∇W̃ U_A)²_ij, m × d̃.
    pub scale: Vec<T>,
}

/// Buffers of [`Eigenbasis::measure`], which grow on demand.
#[derive(Clone, Debug, Default)]
pub struct ScaleScratch<T> {
    design: Vec<T>,
    rows: Vec<T>,
    work: Vec<T>,
}

impl<T: Scalar> Eigenbasis<T> {
    /// Room for a block with m outputs and d̃ inputs: zeros.
    pub fn zeros(m: usize, d: usize) -> Self {
        let zeros = |len: usize| vec![T::ZERO; len];
        Self {
            a: zeros(d * d),
            g: zeros(m * m),
            a_values: zeros(d),
            g_values: zeros(m),
            scale: zeros(m * d),
        }
    }

    /// The eigenbases of `factors`, with a scale of zeros.
    ///
    /// # Errors
    /// Factors that are not finite, or no convergence: the layer's name.
    pub fn new(
        exec: &dyn Executor<T>,
        block: &Block,
        factors: &KroneckerFactors<T>,
    ) -> Result<Self, Error> {
        let (m, d) = (block.rows, block.cols);
        let mut out = Self::zeros(m, d);
        for (name, to, from) in [("A", &mut out.a, &factors.a), ("G", &mut out.g, &factors.g)] {
            if from.len() != to.len() {
                let problem = format_args!("{} elements instead of {}", from.len(), to.len());
                let place = format_args!("{}: factor {name}", block.name);
                return Err(Error::input("", place, problem, "use the factors of this layer"));
            }
            to.copy_from_slice(from);
        }
        let mut work = vec![T::ZERO; factor::eigh_workspace_len(m.max(d))];
        let failed = |e| singular(&block.name, 1.0, e);
        exec.eigh(MatMut::new(&mut out.a, d, d)?, &mut out.a_values, &mut work).map_err(failed)?;
        exec.eigh(MatMut::new(&mut out.g, m, m)?, &mut out.g_values, &mut work).map_err(failed)?;
        Ok(out)
    }

    fn basis(&self) -> Result<KronBasis<'_, T>, CoreError> {
        let (m, d) = (self.g_values.len(), self.a_values.len());
        Ok(KronBasis { g: MatRef::new(&self.g, m, m)?, a: MatRef::new(&self.a, d, d)? })
    }

    /// `scale ← keep·scale + share·Σ_s Σ_c (U_Gᵀ ∇W̃ U_A)²` over the derivatives `delta`
    /// (columns·n·T × m) of a batch.
    ///
    /// # Errors
    /// Refusals of the products.
    pub fn measure(
        &mut self,
        exec: &dyn Executor<T>,
        site: Site<'_, T>,
        delta: MatRef<'_, T>,
        (keep, share): (T, T),
        scratch: &mut ScaleScratch<T>,
    ) -> Result<(), Error> {
        let block = site.layer()?;
        let (n, m, d, t) = (site.tape.batch(), block.rows, block.cols, block.positions);
        let ScaleScratch { design, rows, work } = scratch;
        let Self { a, g, scale, .. } = self;
        let basis = KronBasis { g: MatRef::new(g, m, m)?, a: MatRef::new(a, d, d)? };
        let mut out = MatMut::new(scale, m, d)?;
        if block.is_dense() {
            let x = site.tape.layer_input(site.block);
            let work = grown(work, ekfac_scale_workspace_len(n, m, d));
            return Ok(ekfac_scale(exec, out, keep, share, basis, (delta, x), work)?);
        }
        if keep == T::ZERO {
            out.fill(T::ZERO);
        } else {
            out.data_mut().iter_mut().for_each(|x| *x *= keep);
        }
        if block.groups() == 1 {
            for s in 0..n {
                let x = site.design(s, 0, design)?;
                for row in (s..delta.rows() / t).step_by(n) {
                    let work = grown(work, ekfac_scale_shared_workspace_len(t, m, d));
                    let pair = (delta.sub(row * t, 0, t, m)?, x);
                    ekfac_scale_shared(exec, out.rb_mut(), share, basis, pair, work)?;
                }
            }
        } else {
            // Groups have inputs of their own: the gradient itself is turned.
            let count = delta.rows() / t;
            let (rows, turned) = grown(rows, (count + 1) * m * d).split_at_mut(count * m * d);
            parameter_rows(exec, site, delta, MatMut::new(&mut *rows, count, m * d)?, design)?;
            for row in rows.chunks_exact(m * d) {
                let work = grown(work, kron::apply_workspace_len(m, d));
                let (to, row) = (MatMut::new(&mut *turned, m, d)?, MatRef::new(row, m, d)?);
                kron::apply(exec, to, basis.g.t(), basis.a.t(), row, work)?;
                let scale = out.data_mut().iter_mut().zip(&*turned);
                scale.for_each(|(o, &x)| *o += share * x * x);
            }
        }
        Ok(())
    }

    /// `v ← U (Uᵀ v ∘ 1/(S + λ))` in place (m × d̃): the damped step.
    ///
    /// # Errors
    /// A zero scale without damping, or v not finite.
    pub fn solve(
        &self,
        exec: &dyn Executor<T>,
        v: &mut [T],
        damping: T,
        work: &mut Vec<T>,
    ) -> Result<(), CoreError> {
        let (m, d) = (self.g_values.len(), self.a_values.len());
        let work = grown(work, ekfac_solve_workspace_len(m, d));
        let (v, scale) = (MatMut::new(v, m, d)?, MatRef::new(&self.scale, m, d)?);
        ekfac_solve(exec, v, self.basis()?, scale, damping, work)
    }

    /// U (Uᵀ v ∘ 1/(S + λ)): the damped step.
    ///
    /// # Errors
    /// A zero scale without damping: the layer's name.
    pub fn step(
        &self,
        exec: &dyn Executor<T>,
        block: &Block,
        v: &[T],
        damping: f64,
    ) -> Result<Vec<T>, Error> {
        let mut step = v.to_vec();
        self.solve(exec, &mut step, T::from_f64(damping), &mut Vec::new())
            .map_err(|e| singular(&block.name, damping, e))?;
        Ok(step)
    }

    /// U (S ∘ Uᵀ v): the product.
    ///
    /// # Errors
    /// Refusals of the products.
    pub fn apply(&self, exec: &dyn Executor<T>, block: &Block, v: &[T]) -> Result<Vec<T>, Error> {
        let (m, d) = (block.rows, block.cols);
        let mut out = v.to_vec();
        let mut work = vec![T::ZERO; ekfac_apply_workspace_len(m, d)];
        let (view, scale) = (MatMut::new(&mut out, m, d)?, MatRef::new(&self.scale, m, d)?);
        ekfac_apply(exec, view, self.basis()?, scale, T::ZERO, &mut work)?;
        Ok(out)
    }
}
