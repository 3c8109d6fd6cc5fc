//! Mean relative Fisher metrics of the layers (K. Sun, F. Nielsen, ICML 2017): a layer with the
//! activation, or the loss, that it feeds.

use relfisher_core::curvature::{exact_block, exact_block_workspace_len};
use relfisher_core::kron::{packed_len, unpack};
use relfisher_core::metric::normalisation;
use relfisher_core::{MatMut, MatRef, blas};

use super::factors::Site;
use super::memory::Memory;
use super::problem::{Problem, output_loss};
use crate::Scalar;
use crate::error::{Context, Error};
use crate::network::{Block, BlockKind, ResponseSite};
use crate::optimizer::{Form, Subsystem, subsystems_of};
use crate::scratch::grown;

/// The metric of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerRfim<T> {
    /// (m, d̃, d̃): one block for each neuron; (C·d̃, C·d̃) for the soft-max layer.
    pub shape: Vec<usize>,
    /// The elements, row-major.
    pub data: Vec<T>,
}

/// The mean relative Fisher metric of every layer: blocks Ḡ_i = (1/N) Σ_s Σ_τ ν_sτi x̃_sτ x̃_sτᵀ, summed
/// over the positions that share the layer's weights, and the full (diag η − ηηᵀ) ⊗ x̃x̃ᵀ of a soft-max
/// layer. relu neurons have no smoothing (ω → 0, t = 0 counts as active), hidden Gaussian responses
/// σ = 1, the outputs of the `mse` loss σ² = 1/(2 scale). A batch normalisation has a 2 × 2 block for
/// each channel.
///
/// # Errors
/// Blocks that do not fit the memory; those of the passes.
pub fn rfim<T: Scalar>(
    problem: &Problem<'_, T>,
    memory: Memory,
) -> Result<Vec<LayerRfim<T>>, Error> {
    let (network, exec) = (problem.network, problem.executor);
    let subsystems = subsystems_of(network, 0.0);
    for (block, subsystem) in network.blocks().iter().zip(&subsystems) {
        let instead = "ask for kfac_type2 instead";
        let place = format!("rfim of layer {}", block.name);
        let (len, _) = layout(block, subsystem);
        memory.check(&place, len.saturating_mul(3), size_of::<T>(), instead)?;
    }
    let mut sums: Vec<Vec<T>> = Vec::new();
    for (block, subsystem) in network.blocks().iter().zip(&subsystems) {
        sums.push(vec![T::ZERO; layout(block, subsystem).0]);
    }
    let problem = &problem.in_batches_of(rfim_batch_len(problem));
    let mut tape = problem.tape();
    let (mut weights, mut rows, mut work) = (Vec::new(), Vec::new(), Vec::new());
    let mut part = Vec::new();
    let total = T::from_usize(problem.samples());
    problem.for_each_batch(&mut tape, &mut |tape, _, n| {
        for (subsystem, sum) in subsystems.iter().zip(&mut sums) {
            let block = &network.blocks()[subsystem.index];
            let (m, d) = (block.rows, block.cols);
            let site = Site { network, tape, block: subsystem.index };
            match subsystem.form {
                Form::Softmax => {
                    let packed = grown(&mut weights, n * packed_len(m));
                    let mut packed = MatMut::new(packed, n, packed_len(m))?;
                    let loss = output_loss(network.loss_kind());
                    loss.hessian_packed(packed.rb_mut(), tape.probabilities())?;
                    let x = tape.layer_input(subsystem.index);
                    let out = grown(&mut part, sum.len());
                    let view = MatMut::new(&mut *out, m * d, m * d)?;
                    let work = grown(&mut work, exact_block_workspace_len(n, m, d));
                    exact_block(exec, view, packed.rb(), x, T::ONE / total, work)
                        .context(&block.name)?;
                    sum.iter_mut().zip(&*out).for_each(|(s, x)| *s += *x);
                }
                Form::Neurons(w) => {
                    let nu = subsystem.fill_weights(exec, tape, w, &mut weights)?;
                    let nu = nu.rb();
                    let groups = block.groups();
                    let each = m / groups;
                    for group in 0..groups {
                        let x = inputs(site, group, &mut rows)?;
                        let nu = nu.sub(0, group * each, nu.rows(), each)?;
                        let sum = &mut sum[group * each * packed_len(d)..][..each * packed_len(d)];
                        let out = MatMut::new(sum, each, packed_len(d))?;
                        let len = blas::packed_grams_workspace_len(x.rows(), each, d);
                        let work = grown(&mut work, len);
                        exec.packed_grams(out, T::ONE, T::ONE / total, x, nu, work)
                            .context(&block.name)?;
                    }
                }
                Form::Channels(w) => {
                    let nu = subsystem.fill_weights(exec, tape, w, &mut weights)?;
                    let out = grown(&mut part, 3 * m);
                    let x = tape.normalised(subsystem.index);
                    let count = T::from_usize(x.rows());
                    normalisation::blocks(MatMut::new(&mut *out, m, 3)?, x, nu.rb(), T::ZERO)
                        .context(&block.name)?;
                    // Means over the rows of this batch become sums over positions and means over
                    // all samples.
                    sum.iter_mut().zip(&*out).for_each(|(s, x)| *s += *x * count / total);
                }
            }
        }
        Ok(())
    })?;
    let mut metrics = Vec::with_capacity(sums.len());
    for ((block, subsystem), data) in network.blocks().iter().zip(&subsystems).zip(sums) {
        let (_, shape) = layout(block, subsystem);
        let data = if subsystem.form == Form::Softmax { data } else { unpacked(data, block)? };
        metrics.push(LayerRfim { shape, data });
    }
    Ok(metrics)
}

/// The elements that one sample takes in a pass: its values, ν, patches, and what the products make
/// of them on each thread.
fn rfim_batch_len<T: Scalar>(problem: &Problem<'_, T>) -> usize {
    let threads = problem.executor.threads();
    let own = problem.network.blocks().iter().map(|block| {
        let (t, m, d) = (block.positions, block.rows, block.cols);
        let weights = t.saturating_mul(m).max(match block.response {
            ResponseSite::Softmax => packed_len(m),
            _ => 0,
        });
        weights.saturating_add(t.saturating_mul(d).saturating_mul(threads + 1))
    });
    problem.sample_len(0).saturating_add(own.max().unwrap_or(0))
}

/// The elements that [`rfim`] needs at most besides its result.
pub(super) fn rfim_len<T: Scalar>(problem: &Problem<'_, T>) -> usize {
    let (each, threads) = (rfim_batch_len(problem), problem.executor.threads());
    let batch = problem.in_batches_of(each).chunk;
    let subsystems = subsystems_of(problem.network, 0.0);
    let own = problem.network.blocks().iter().zip(&subsystems).map(|(block, subsystem)| {
        let (m, d) = (block.rows, block.cols);
        let work = exact_block_workspace_len(batch, m, d);
        let squares = d.saturating_mul(d).saturating_mul(threads + 1);
        layout(block, subsystem).0.saturating_mul(2).saturating_add(work).saturating_add(squares)
    });
    let sums = own.fold(0, usize::saturating_add);
    each.saturating_mul(batch)
        .saturating_add(sums)
        .saturating_add(problem.network.scratch_len(threads))
}

/// The elements that are summed, and the shape of the result.
fn layout<T: Scalar>(block: &Block, subsystem: &Subsystem<T>) -> (usize, Vec<usize>) {
    let (m, d) = (block.rows, block.cols);
    match subsystem.form {
        Form::Softmax => (block.len().saturating_mul(block.len()), vec![m * d, m * d]),
        _ => (m.saturating_mul(packed_len(d)), vec![m, d, d]),
    }
}

/// The inputs of all samples and positions as rows of d̃ numbers.
fn inputs<'o, T: Scalar>(
    site: Site<'o, T>,
    group: usize,
    rows: &'o mut Vec<T>,
) -> Result<MatRef<'o, T>, Error> {
    let block = &site.network.blocks()[site.block];
    if block.kind == BlockKind::Linear {
        return Ok(site.tape.layer_input(site.block));
    }
    let (n, t, d) = (site.tape.batch(), block.positions, block.cols);
    let mut sample = Vec::new();
    let out = grown(rows, n * t * d);
    for (s, part) in out.chunks_exact_mut(t * d).enumerate() {
        let x = site.design(s, group, &mut sample)?;
        part.copy_from_slice(&x.data()[..t * d]);
    }
    Ok(MatRef::new(out, n * t, d)?)
}

fn unpacked<T: Scalar>(packed: Vec<T>, block: &Block) -> Result<Vec<T>, Error> {
    let (m, d) = (block.rows, block.cols);
    let mut data = vec![T::ZERO; m * d * d];
    let rows = packed.chunks_exact(packed_len(d));
    for (row, out) in rows.zip(data.chunks_exact_mut(d * d)) {
        unpack(MatMut::new(out, d, d)?, row)?;
    }
    Ok(data)
}
