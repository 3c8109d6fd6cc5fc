//! The inverse of the damped empirical Fisher matrix in blocks along the parameters of each layer.

use std::ops::Range;

use relfisher_core::prune::{
    inverse_saliency, remove, woodbury_update, woodbury_update_workspace_len,
};
use relfisher_core::{MatMut, Real};

use super::{Mask, Options};
use crate::curvature::{Columns, Problem, Site, parameter_rows};
use crate::error::{Context, Error};
use crate::network::Cotangents;
use crate::{Scalar, vectorised};

/// (λI + (1/N) Σ g gᵀ)⁻¹ in blocks (S. P. Singh, D. Alistarh, *WoodFisher*, NeurIPS 2020).
pub(super) struct WoodFisher<T> {
    /// The parameters of each block.
    ranges: Vec<Range<usize>>,
    /// A square of the largest block's order for each; the inverse comes first in it.
    inverses: Vec<T>,
    side: usize,
}

fn ranges<T: Scalar>(problem: &Problem<'_, T>, side: usize) -> Vec<Range<usize>> {
    let blocks = problem.network.blocks().iter();
    let cut = |range: Range<usize>| {
        range.clone().step_by(side).map(move |at| at..range.end.min(at.saturating_add(side)))
    };
    blocks.flat_map(|block| cut(block.range())).collect()
}

/// The order of the blocks: no layer needs a larger one than its own parameters.
fn side<T: Scalar>(problem: &Problem<'_, T>, options: &Options) -> usize {
    let largest = problem.network.blocks().iter().map(|block| block.len()).max();
    options.block.min(largest.unwrap_or(0)).max(1)
}

impl<T: Scalar> WoodFisher<T> {
    /// The elements that the inverses and a batch of gradients take.
    pub(super) fn required_len(problem: &Problem<'_, T>, options: &Options) -> usize {
        let side = side(problem, options);
        let each = problem.sample_len(1).saturating_add(problem.network.parameter_count());
        let batch = problem.in_batches_of(each).chunk;
        let squares = ranges(problem, side).len().saturating_mul(side.saturating_mul(side));
        squares.saturating_add(each.saturating_mul(batch))
    }

    /// From λ⁻¹I by one update for each sample's gradient.
    pub(super) fn measure(problem: &Problem<'_, T>, options: &Options) -> Result<Self, Error> {
        let targets = problem.need_targets("woodfisher")?;
        if options.block == 0 || options.gradients == 0 {
            let place = if options.block == 0 { "--block" } else { "--gradients" };
            return Err(Error::input(place, 0, "is not a positive number", "use 500, say"));
        }
        let count = options.gradients.min(problem.samples());
        let features = problem.features.sub(0, 0, count, problem.features.cols())?;
        let targets = targets.rows(0, count)?;
        let (network, exec) = (problem.network, problem.executor);
        let (d, side) = (network.parameter_count(), side(problem, options));
        let ranges = ranges(problem, side);
        let mut inverses = vec![T::ZERO; ranges.len() * side * side];
        let start = T::ONE / T::from_f64(options.damping);
        for (range, square) in ranges.iter().zip(inverses.chunks_exact_mut(side * side)) {
            let order = range.len();
            square[..order * order].iter_mut().step_by(order + 1).for_each(|x| *x = start);
        }
        let part = Problem { features, targets: Some(targets), ..*problem };
        let part = part.in_batches_of(problem.sample_len(1).saturating_add(d));
        let mut tape = part.tape();
        let mut cotangents = Cotangents::new(network, tape.capacity(), 1);
        let mut rows = vec![T::ZERO; tape.capacity() * d];
        let mut scratch = Vec::new();
        let (columns, samples) = (Columns::Labels(targets), T::from_usize(count));
        part.for_each_batch(&mut tape, &mut |tape, first, n| {
            columns.fill(exec, network, (tape, first), &mut cotangents)?;
            network.pull_back(exec, part.parameters, tape, &mut cotangents, None)?;
            for (b, block) in network.blocks().iter().enumerate() {
                let part = &mut rows[block.offset..];
                let view = MatMut::with_strides(part, n, block.len(), d, 1)?;
                let site = Site { network, tape, block: b };
                parameter_rows(exec, site, cotangents.block(b, n), view, &mut scratch)?;
            }
            let (ranges, rows) = (&ranges, &rows[..n * d]);
            let work = woodbury_update_workspace_len(side);
            exec.for_each_part(&mut inverses, side * side, work, &|i, square, work| {
                let (range, order) = (&ranges[i], ranges[i].len());
                for row in rows.chunks_exact(d) {
                    let view = MatMut::new(&mut *square, order, order)?;
                    let gradient = &row[range.clone()];
                    vectorised!(woodbury_update(view, gradient, samples, &mut *work))?;
                }
                Ok(())
            })
            .context("woodfisher: gradients of a batch")
        })?;
        Ok(Self { ranges, inverses, side })
    }

    /// The inverse of each block with its parameters.
    fn blocks(&mut self) -> impl Iterator<Item = (Range<usize>, &mut [T])> {
        let squares = self.inverses.chunks_exact_mut(self.side * self.side);
        self.ranges
            .iter()
            .zip(squares)
            .map(|(range, square)| (range.clone(), &mut square[..range.len() * range.len()]))
    }

    /// Removes the parameters that `gone` marks, one after the other, with what the others of their block
    /// do for it. The sum of the costs.
    pub(super) fn remove(
        &mut self,
        values: &mut [T],
        gone: impl Iterator<Item = bool>,
    ) -> Result<f64, Error> {
        let gone: Vec<bool> = gone.collect();
        let mut cost = 0.0;
        for (range, square) in self.blocks() {
            let order = range.len();
            for q in 0..order {
                if gone[range.start + q] {
                    let view = MatMut::new(&mut *square, order, order)?;
                    let one = vectorised!(remove(&mut values[range.clone()], view, q));
                    cost += one.context(format_args!("weight {}", range.start + q))?.to_f64();
                }
            }
            // Rounding moves what went before.
            let zeros = values[range.clone()].iter_mut().zip(&gone[range]);
            zeros.filter(|(_, gone)| **gone).for_each(|(w, _)| *w = T::ZERO);
        }
        Ok(cost)
    }

    /// ½ w²/[H⁻¹]_qq of every parameter that is still there, infinity for the others.
    pub(super) fn costs(&mut self, values: &[T], mask: &Mask) -> Result<Vec<T>, Error> {
        let mut costs = vec![T::INFINITY; values.len()];
        for (range, square) in self.blocks() {
            let diagonal: Vec<T> = square.iter().copied().step_by(range.len() + 1).collect();
            let kept = || range.clone().filter(|q| mask.kept()[*q]);
            let inverse: Vec<T> = kept().map(|q| diagonal[q - range.start]).collect();
            let w: Vec<T> = kept().map(|q| values[q]).collect();
            let mut out = vec![<T as Real>::ZERO; w.len()];
            inverse_saliency(&mut out, &w, &inverse)
                .context(format_args!("parameters from {} on", range.start))?;
            kept().zip(out).for_each(|(q, cost)| costs[q] = cost);
        }
        Ok(costs)
    }
}
