//! Kronecker-factored curvature of a data set: K-FAC, KFLR, KFRA and EKFAC, and damped steps.

use relfisher_core::curvature::{
    KronBasis, Sharing, ekfac_apply, ekfac_apply_workspace_len, ekfac_scale, ekfac_scale_shared,
    ekfac_scale_shared_workspace_len, ekfac_scale_workspace_len, ekfac_solve,
    ekfac_solve_workspace_len,
};
use relfisher_core::kron::{
    self, Damping, KronCholesky, KronEigen, kron_cholesky_solve_workspace_len,
    kron_eigen_apply_workspace_len, kron_eigen_factor_workspace_len,
};
use relfisher_core::{MatMut, MatRef, factor};

use super::columns::Columns;
use super::factors::{FactorScratch, Site};
use super::memory::Memory;
use super::natural::singular;
use super::parameter_rows::parameter_rows;
use super::problem::{Problem, output_loss};
use crate::Scalar;
use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::network::{Block, BlockKind, Cotangents, OutputCurvature};
use crate::scratch::grown;

/// G ⊗ A of one block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KroneckerFactors<T> {
    /// A, d̃ × d̃.
    pub a: Vec<T>,
    /// G, m × m.
    pub g: Vec<T>,
}

/// The factors of every block (`None` for a batch normalisation): A of the inputs and G of `columns`.
///
/// # Errors
/// Those of the passes.
pub fn kronecker_factors<T: Scalar>(
    problem: &Problem<'_, T>,
    columns: Columns<'_, T>,
    sharing: Sharing,
) -> Result<Vec<Option<KroneckerFactors<T>>>, Error> {
    let network = problem.network;
    let mut factors: Vec<Option<KroneckerFactors<T>>> =
        network.blocks().iter().map(|block| empty_factors(block)).collect();
    let mut tape = problem.tape();
    let mut cotangents = Cotangents::new(network, tape.capacity(), columns.count(network));
    let mut scratch = FactorScratch::default();
    let exec = problem.executor;
    problem.for_each_batch(&mut tape, &mut |tape, start, n| {
        columns.fill(exec, network, (tape, start), &mut cotangents)?;
        network.pull_back(exec, problem.parameters, tape, &mut cotangents, None)?;
        let keep = if start == 0 { T::ZERO } else { T::ONE };
        let weights = (keep, T::from_usize(n) / T::from_usize(problem.samples()));
        for (b, factors) in factors.iter_mut().enumerate() {
            let Some(KroneckerFactors { a, g }) = factors else { continue };
            let site = Site { network, tape, block: b };
            site.input_factor(exec, (a, weights), sharing, &mut scratch)?;
            let delta = (cotangents.block(b, n), n);
            site.output_factor(exec, (g, weights), delta, sharing, &mut scratch)?;
        }
        Ok(())
    })?;
    Ok(factors)
}

fn empty_factors<T: Scalar>(block: &Block) -> Option<KroneckerFactors<T>> {
    let square = |n: usize| vec![T::ZERO; n * n];
    (block.kind != BlockKind::BatchNorm)
        .then(|| KroneckerFactors { a: square(block.cols), g: square(block.rows) })
}

/// The factors of KFRA: G from the averaged recursion H̄ ← Wᵀ H̄ W ∘ E[b bᵀ] (Botev et al. 2017),
/// A as in [`kronecker_factors`]. Of a layer that positions share H̄ is the curvature of all its
/// outputs, and G the sum of its blocks on the diagonal.
///
/// # Errors
/// Layers whose H̄ does not fit the memory; those of the passes.
pub fn kfra<T: Scalar>(
    problem: &Problem<'_, T>,
    memory: Memory,
) -> Result<Vec<Option<KroneckerFactors<T>>>, Error> {
    let (network, exec) = (problem.network, problem.executor);
    let mut factors: Vec<Option<KroneckerFactors<T>>> =
        network.blocks().iter().map(|block| empty_factors(block)).collect();
    // The expectations are over all samples: one batch.
    let values = Cotangents::required_len(network, problem.samples(), 2);
    let needed = network.output_curvature_len(1).saturating_mul(2).saturating_add(values);
    memory.check("kfra", needed, T::BYTES, "ask for kfac_type2 instead, or give fewer samples")?;
    let problem = Problem { chunk: problem.samples(), ..*problem };
    let (mut tape, c) = (problem.tape(), network.outputs());
    let (mut state, mut scratch) = (OutputCurvature::default(), FactorScratch::default());
    problem.for_each_batch(&mut tape, &mut |tape, _, n| {
        let mut packed = vec![T::ZERO; n * kron::packed_len(c)];
        let view = MatMut::new(&mut packed, n, kron::packed_len(c))?;
        output_loss(network.loss_kind()).hessian_packed(view, tape.probabilities())?;
        let mut root = vec![T::ZERO; c * c];
        let share = T::ONE / T::from_usize(n);
        for sample in packed.chunks_exact(kron::packed_len(c)) {
            for i in 0..c {
                for j in 0..c {
                    root[i * c + j] += share * sample[kron::packed_index(i, j)];
                }
            }
        }
        let tape = &*tape;
        for (b, factors) in factors.iter_mut().enumerate() {
            let Some(factors) = factors else { continue };
            let (site, weights) = (Site { network, tape, block: b }, (T::ZERO, T::ONE));
            let a = (&mut factors.a[..], weights);
            site.input_factor(exec, a, Sharing::Expand, &mut scratch)?;
        }
        let context = (problem.parameters, tape);
        network.averaged_curvature(exec, context, &root, &mut state, &mut |b, h| {
            let Some(factors) = &mut factors[b] else { return Ok(()) };
            let (m, t) = (network.blocks()[b].rows, network.blocks()[b].positions);
            for i in 0..m {
                for j in 0..m {
                    let at = |tau: usize| h[(tau * m + i) * t * m + tau * m + j];
                    factors.g[i * m + j] = (0..t).fold(T::ZERO, |sum, tau| sum + at(tau));
                }
            }
            Ok(())
        })
    })?;
    Ok(factors)
}

/// (G ⊗ A + λI)⁻¹ vec(V) for one block, λ entering as `damping` says.
///
/// # Errors
/// Singular factors without damping: the layer's name.
pub fn kronecker_step<T: Scalar>(
    exec: &dyn Executor<T>,
    block: &Block,
    factors: &KroneckerFactors<T>,
    v: &[T],
    (damping, lambda): (Damping, f64),
) -> Result<Vec<T>, Error> {
    let (m, d, damp) = (block.rows, block.cols, T::from_f64(lambda));
    let solve = || -> Result<Vec<T>, relfisher_core::Error> {
        let (mut g, mut a, mut step) = (factors.g.clone(), factors.a.clone(), v.to_vec());
        if damping == Damping::Exact {
            let (mut g_values, mut a_values) = (vec![T::ZERO; m], vec![T::ZERO; d]);
            let len =
                kron_eigen_factor_workspace_len(m, d).max(kron_eigen_apply_workspace_len(m, d));
            let mut work = vec![T::ZERO; len];
            let g = (MatMut::new(&mut g, m, m)?, &mut g_values[..]);
            let a = (MatMut::new(&mut a, d, d)?, &mut a_values[..]);
            let eigen = KronEigen::factor(exec, g, a, &mut work)?;
            eigen.solve(exec, MatMut::new(&mut step, m, d)?, damp, &mut work)?;
        } else {
            let (g_view, a_view) = (MatRef::new(&factors.g, m, m)?, MatRef::new(&factors.a, d, d)?);
            let split = kron::split_damping(g_view, a_view, damp, damping)?;
            let (g, a) = (MatMut::new(&mut g, m, m)?, MatMut::new(&mut a, d, d)?);
            let cholesky = KronCholesky::factor(exec, g, a, split)?;
            let mut work = vec![T::ZERO; kron_cholesky_solve_workspace_len(m, d)];
            cholesky.solve(exec, MatMut::new(&mut step, m, d)?, &mut work)?;
        }
        Ok(step)
    };
    solve().map_err(|e| singular(&block.name, lambda, e))
}

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

impl<T: Scalar> Eigenbasis<T> {
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
        let mut out = Self {
            a: factors.a.clone(),
            g: factors.g.clone(),
            a_values: vec![T::ZERO; d],
            g_values: vec![T::ZERO; m],
            scale: vec![T::ZERO; m * d],
        };
        let mut work = vec![T::ZERO; factor::eigh_workspace_len(m.max(d))];
        exec.eigh(MatMut::new(&mut out.a, d, d)?, &mut out.a_values, &mut work)
            .context(&block.name)?;
        exec.eigh(MatMut::new(&mut out.g, m, m)?, &mut out.g_values, &mut work)
            .context(&block.name)?;
        Ok(out)
    }

    fn basis(&self) -> Result<KronBasis<'_, T>, Error> {
        let (m, d) = (self.g_values.len(), self.a_values.len());
        Ok(KronBasis { g: MatRef::new(&self.g, m, m)?, a: MatRef::new(&self.a, d, d)? })
    }

    /// Adds the derivatives of a batch to the scale, each with weight `share`.
    ///
    /// # Errors
    /// Refusals of the products.
    pub fn add(
        &mut self,
        exec: &dyn Executor<T>,
        site: Site<'_, T>,
        delta: MatRef<'_, T>,
        share: T,
        scratch: &mut (Vec<T>, Vec<T>),
    ) -> Result<(), Error> {
        let block = &site.network.blocks()[site.block];
        let (n, m, d, t) = (site.tape.batch(), block.rows, block.cols, block.positions);
        let (design, work) = scratch;
        let mut scale = std::mem::take(&mut self.scale);
        let basis = self.basis()?;
        if block.is_dense() {
            let x = site.tape.layer_input(site.block);
            for c in 0..delta.rows() / n {
                let delta = delta.sub(c * n, 0, n, m)?;
                let work = grown(work, ekfac_scale_workspace_len(n, m, d));
                let out = MatMut::new(&mut scale, m, d)?;
                ekfac_scale(exec, out, T::ONE, share, basis, (delta, x), work)?;
            }
        } else if block.groups() == 1 {
            for s in 0..n {
                let x = site.design(s, 0, design)?;
                for row in (s..delta.rows() / t).step_by(n) {
                    let work = grown(work, ekfac_scale_shared_workspace_len(t, m, d));
                    let out = MatMut::new(&mut scale, m, d)?;
                    let pair = (delta.sub(row * t, 0, t, m)?, x);
                    ekfac_scale_shared(exec, out, share, basis, pair, work)?;
                }
            }
        } else {
            // Groups have inputs of their own: the gradient itself is turned.
            let count = delta.rows() / t;
            let mut rows = vec![T::ZERO; count * m * d];
            let view = MatMut::new(&mut rows, count, m * d)?;
            parameter_rows(exec, site, delta, view, design)?;
            let mut turned = vec![T::ZERO; m * d];
            for row in rows.chunks_exact(m * d) {
                let work = grown(work, kron::apply_workspace_len(m, d));
                let (out, row) = (MatMut::new(&mut turned, m, d)?, MatRef::new(row, m, d)?);
                kron::apply(exec, out, basis.g.t(), basis.a.t(), row, work)?;
                scale.iter_mut().zip(&turned).for_each(|(o, &x)| *o += share * x * x);
            }
        }
        self.scale = scale;
        Ok(())
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
        let (m, d) = (block.rows, block.cols);
        let mut step = v.to_vec();
        let mut work = vec![T::ZERO; ekfac_solve_workspace_len(m, d)];
        let (out, scale) = (MatMut::new(&mut step, m, d)?, MatRef::new(&self.scale, m, d)?);
        ekfac_solve(exec, out, self.basis()?, scale, T::from_f64(damping), &mut work)
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

/// EKFAC of every block: the eigenbases of `factors`, and the scale of `columns` in a second pass.
///
/// # Errors
/// Those of the passes and of the decompositions.
pub fn ekfac<T: Scalar>(
    problem: &Problem<'_, T>,
    columns: Columns<'_, T>,
    factors: &[Option<KroneckerFactors<T>>],
) -> Result<Vec<Option<Eigenbasis<T>>>, Error> {
    let (network, exec) = (problem.network, problem.executor);
    let mut bases = Vec::with_capacity(factors.len());
    for (block, factors) in network.blocks().iter().zip(factors) {
        bases.push(match factors {
            Some(factors) => Some(Eigenbasis::new(exec, block, factors)?),
            None => None,
        });
    }
    let mut tape = problem.tape();
    let mut cotangents = Cotangents::new(network, tape.capacity(), columns.count(network));
    let mut scratch = (Vec::new(), Vec::new());
    let share = T::ONE / T::from_usize(problem.samples());
    problem.for_each_batch(&mut tape, &mut |tape, start, n| {
        columns.fill(exec, network, (tape, start), &mut cotangents)?;
        network.pull_back(exec, problem.parameters, tape, &mut cotangents, None)?;
        for (b, basis) in bases.iter_mut().enumerate() {
            let Some(basis) = basis else { continue };
            let site = Site { network, tape, block: b };
            basis
                .add(exec, site, cotangents.block(b, n), share, &mut scratch)
                .context(&network.blocks()[b].name)?;
        }
        Ok(())
    })?;
    Ok(bases)
}
