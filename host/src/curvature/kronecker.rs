//! Kronecker-factored curvature of a data set: K-FAC, KFLR, KFRA and EKFAC, and damped steps.

use relfisher_core::curvature::Sharing;
use relfisher_core::kron::{
    self, Damping, KronCholesky, KronEigen, kron_cholesky_solve_workspace_len,
    kron_eigen_apply_workspace_len, kron_eigen_factor_workspace_len,
};
use relfisher_core::{MatMut, MatRef};

use super::columns::Columns;
use super::eigenbasis::{Eigenbasis, ScaleScratch};
use super::factors::{FactorScratch, Site};
use super::memory::Memory;
use super::natural::singular;
use super::problem::{Problem, mean_loss_hessian};
use crate::Scalar;
use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::network::{Block, BlockKind, Cotangents, OutputCurvature};

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
    problem.for_each_batch(&mut tape, &mut |tape, _, _| {
        let mut root = vec![T::ZERO; c * c];
        mean_loss_hessian(network, tape, &mut root, &mut Vec::new())?;
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
    let mut scratch = ScaleScratch::default();
    let share = T::ONE / T::from_usize(problem.samples());
    problem.for_each_batch(&mut tape, &mut |tape, start, n| {
        columns.fill(exec, network, (tape, start), &mut cotangents)?;
        network.pull_back(exec, problem.parameters, tape, &mut cotangents, None)?;
        for (b, basis) in bases.iter_mut().enumerate() {
            let Some(basis) = basis else { continue };
            let site = Site { network, tape, block: b };
            basis
                .measure(exec, site, cotangents.block(b, n), (T::ONE, share), &mut scratch)
                .context(&network.blocks()[b].name)?;
        }
        Ok(())
    })?;
    Ok(bases)
}
