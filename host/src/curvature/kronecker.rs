//! Kronecker-factored curvature of a data set: K-FAC, KFLR, KFRA and EKFAC, and damped steps.

use relfisher_core::curvature::{
    Sharing, ekfac_scale_shared_workspace_len, ekfac_scale_workspace_len,
};
use relfisher_core::kron::{
    self, Damping, KronCholesky, KronEigen, kron_cholesky_solve_workspace_len,
    kron_eigen_apply_workspace_len, kron_eigen_factor_workspace_len, packed_len,
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
use crate::network::{Block, BlockKind, Cotangents, OutputCurvature, Tape};

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
    let problem =
        &problem.in_batches_of(factors_batch_len(problem, columns.count(network), sharing));
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

/// The elements that one sample takes in a pass for factors.
fn factors_batch_len<T: Scalar>(
    problem: &Problem<'_, T>,
    columns: usize,
    sharing: Sharing,
) -> usize {
    let means = problem.network.blocks().iter().map(|block| match sharing {
        Sharing::Expand => 0,
        Sharing::Reduce => block.cols.saturating_add(columns.saturating_mul(block.rows)),
    });
    problem.sample_len(columns).saturating_add(means.max().unwrap_or(0))
}

/// The elements that [`kronecker_factors`] needs at most besides its result.
pub(super) fn factors_len<T: Scalar>(
    problem: &Problem<'_, T>,
    columns: usize,
    sharing: Sharing,
) -> usize {
    let each = factors_batch_len(problem, columns, sharing);
    let patches = problem.network.blocks().iter().map(|b| b.positions.saturating_mul(b.cols));
    each.saturating_mul(problem.in_batches_of(each).chunk)
        .saturating_add(patches.max().unwrap_or(0))
        .saturating_add(problem.network.scratch_len(problem.executor.threads()).saturating_mul(3))
}

/// The elements that [`kfra`] needs at most besides its result: the values of all samples at once.
pub(super) fn kfra_len<T: Scalar>(problem: &Problem<'_, T>) -> usize {
    let (network, samples) = (problem.network, problem.samples());
    // H̄ of a place, its square with the slopes, what it was before, and two halves; the slopes of
    // all samples and their loss Hessians.
    let squares = network.output_curvature_len(1).saturating_mul(3);
    let slopes = Cotangents::required_len(network, samples, 1);
    let outputs = packed_len(network.outputs()).saturating_mul(samples);
    Tape::required_len(network, samples)
        .saturating_add(squares)
        .saturating_add(slopes)
        .saturating_add(outputs)
        .saturating_add(network.scratch_len(problem.executor.threads()).saturating_mul(3))
}

/// The elements that [`ekfac`] needs at most besides its result.
pub(super) fn ekfac_len<T: Scalar>(problem: &Problem<'_, T>, columns: usize) -> usize {
    let each = ekfac_batch_len(problem, columns);
    let blocks = problem.network.blocks().iter();
    let own = blocks.map(|block| {
        let (t, m, d) = (block.positions, block.rows, block.cols);
        let shared = ekfac_scale_shared_workspace_len(t, m, d).saturating_add(t.saturating_mul(d));
        shared.saturating_add(m.saturating_mul(d)).saturating_add(eigen_len(block))
    });
    each.saturating_mul(problem.in_batches_of(each).chunk)
        .saturating_add(own.max().unwrap_or(0))
        .saturating_add(problem.network.scratch_len(problem.executor.threads()).saturating_mul(3))
}

/// The elements that one sample takes in the second pass of [`ekfac`].
fn ekfac_batch_len<T: Scalar>(problem: &Problem<'_, T>, columns: usize) -> usize {
    let own = problem.network.blocks().iter().map(|block| {
        let (m, d) = (block.rows, block.cols);
        match block.groups() {
            _ if block.is_dense() => ekfac_scale_workspace_len(1, m, d),
            1 => 0,
            _ => block.len().saturating_mul(columns),
        }
    });
    problem.sample_len(columns).saturating_add(own.max().unwrap_or(0))
}

/// The elements that the eigendecompositions of a block's factors take: copies, the executor's own
/// squares, and its scratch.
pub(super) fn eigen_len(block: &Block) -> usize {
    let square = |n: usize| n.saturating_mul(n);
    square(block.rows.max(block.cols))
        .saturating_mul(8)
        .saturating_add(square(block.rows))
        .saturating_add(square(block.cols))
        .saturating_add(block.len().saturating_mul(2))
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
    let instead = "ask for kfac_type2 instead, or give fewer samples";
    memory.check("kfra", kfra_len(problem), size_of::<T>(), instead)?;
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
    if factors.len() != network.blocks().len() {
        let problem = format_args!("{} for {} layers", factors.len(), network.blocks().len());
        return Err(Error::input("", "factors", problem, "give those of kronecker_factors"));
    }
    let mut bases = Vec::with_capacity(factors.len());
    for (block, factors) in network.blocks().iter().zip(factors) {
        bases.push(match factors {
            Some(factors) => Some(Eigenbasis::new(exec, block, factors)?),
            None => None,
        });
    }
    let problem = &problem.in_batches_of(ekfac_batch_len(problem, columns.count(network)));
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
