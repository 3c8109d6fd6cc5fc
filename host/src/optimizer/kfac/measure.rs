//! The moving averages of a mini-batch's factors.

use relfisher_core::curvature::{
    Labels, Propagation, normalisation_blocks, normalisation_gradients,
};
use relfisher_core::metric::normalisation;
use relfisher_core::{MatMut, MatRef};

use super::block::{Channels, Form};
use super::{Kfac, Scratch};
use crate::Scalar;
use crate::curvature::{Site, mean_loss_hessian};
use crate::error::{Context, Error};
use crate::network::Statistics;
use crate::optimizer::Batch;
use crate::optimizer::columns::Columns;
use crate::scratch::grown;

impl<T: Scalar> Kfac<T> {
    /// Sends the columns of the mini-batch back to every layer, where any are needed.
    pub(super) fn pull_columns(&mut self, batch: &mut Batch<'_, T>) -> Result<(), Error> {
        let count = self.column_count(batch.network);
        if count == 0 {
            return Ok(());
        }
        let columns = Columns::fit(&mut self.columns, batch, count, Statistics::Batch);
        match self.strategy.labels {
            Labels::Type2 => columns.pull_root(batch),
            Labels::MonteCarlo { .. } | Labels::Empirical => columns.pull_draws(batch),
        }
    }

    /// The weight of a column: the mean over the draws.
    fn column_weight(&self) -> T {
        match self.strategy.labels {
            Labels::MonteCarlo { draws } => T::ONE / T::from_usize(draws.max(1)),
            Labels::Type2 | Labels::Empirical => T::ONE,
        }
    }

    /// Moves the averages towards the factors of the mini-batch.
    pub(super) fn measure(&mut self, batch: &Batch<'_, T>, keep: T) -> Result<(), Error> {
        let Batch { executor, network, tape, .. } = *batch;
        let (fresh, sharing) = (T::ONE - keep, self.strategy.sharing);
        for block in &mut self.blocks {
            if let Form::Kronecker(kronecker) = &mut block.form {
                let site = Site { network, tape, block: block.index };
                let out = (&mut kronecker.average.a[..], (keep, fresh));
                site.input_factor(executor, out, sharing, &mut self.scratch.factors)?;
            }
        }
        if self.strategy.propagation == Propagation::Averaged {
            return self.measure_averaged(batch, keep);
        }
        let (weight, n) = (fresh * self.column_weight(), tape.batch());
        let mut factors = std::mem::take(&mut self.scratch.factors);
        for block in &mut self.blocks {
            let delta = derivatives(&self.columns, batch, block.index);
            match &mut block.form {
                Form::Kronecker(kronecker) => {
                    let site = Site { network, tape, block: block.index };
                    let out = (&mut kronecker.average.g[..], (keep, weight));
                    site.output_factor(executor, out, (delta, n), sharing, &mut factors)?;
                }
                Form::Channels(channels) => {
                    let x = tape.normalised(block.index);
                    channels.measure(x, (delta, n), (keep, weight), &mut self.scratch.root)?;
                }
            }
        }
        self.scratch.factors = factors;
        for link in self.chain.iter_mut().flat_map(|chain| &mut chain.links) {
            let delta = link.blocks.map(|b| derivatives(&self.columns, batch, b));
            link.measure(executor, tape, delta, (keep, fresh, weight))
                .context(self.blocks[link.blocks[0]].name())?;
        }
        Ok(())
    }

    /// G by the averaged recursion.
    fn measure_averaged(&mut self, batch: &Batch<'_, T>, keep: T) -> Result<(), Error> {
        let Batch { executor, network, parameters, tape, .. } = *batch;
        let Scratch { recursion, root, work, .. } = &mut self.scratch;
        let c = network.outputs();
        let mean = grown(root, c * c);
        mean_loss_hessian(network, tape, mean, work)?;
        let (blocks, fresh) = (&mut self.blocks, T::ONE - keep);
        network.averaged_curvature(executor, (parameters, tape), mean, recursion, &mut |b, h| {
            let (m, t) = (network.blocks()[b].rows, network.blocks()[b].positions);
            let Some(block) = blocks.iter_mut().find(|block| block.index == b) else {
                return Ok(());
            };
            match &mut block.form {
                Form::Kronecker(kronecker) => {
                    let average = &mut kronecker.average.g;
                    for tau in 0..t {
                        // The blocks on the diagonal, one after the other.
                        let keep = if tau == 0 { keep } else { T::ONE };
                        for (i, row) in average.chunks_exact_mut(m).enumerate() {
                            let at = (tau * m + i) * t * m + tau * m;
                            mix(row, keep, fresh, &h[at..at + m]);
                        }
                    }
                    Ok(())
                }
                Form::Channels(Channels { average, .. }) => {
                    let x = tape.normalised(b);
                    let weights = grown(work, x.rows() * m);
                    for (row, out) in weights.chunks_exact_mut(m).enumerate() {
                        for (i, w) in out.iter_mut().enumerate() {
                            let place = row % t * m + i;
                            *w = T::from_usize(t) * h[place * t * m + place];
                        }
                    }
                    let weights = MatRef::new(weights, x.rows(), m)?;
                    Ok(normalisation::blocks(MatMut::new(average, m, 3)?, x, weights, keep)?)
                }
            }
        })
    }

    /// Moves the scale in the eigenbases towards that of the mini-batch.
    pub(super) fn measure_scale(&mut self, batch: &Batch<'_, T>, keep: T) -> Result<(), Error> {
        let Batch { executor, network, tape, .. } = *batch;
        let share = (T::ONE - keep) * self.column_weight() / T::from_usize(tape.batch());
        let mut scratch = std::mem::take(&mut self.scratch.scale);
        for block in &mut self.blocks {
            let delta = derivatives(&self.columns, batch, block.index);
            let Form::Kronecker(kronecker) = &mut block.form else { continue };
            let Some(basis) = kronecker.basis_mut() else { continue };
            let site = Site { network, tape, block: block.index };
            basis
                .measure(executor, site, delta, (keep, share), &mut scratch)
                .context(&network.blocks()[block.index].name)?;
        }
        self.scratch.scale = scratch;
        Ok(())
    }
}

/// The derivatives of a block's output: those sent back, or those of the training's own pass.
fn derivatives<'a, T: Scalar>(
    columns: &'a Option<Columns<T>>,
    batch: &Batch<'a, T>,
    block: usize,
) -> MatRef<'a, T> {
    match columns {
        Some(columns) => columns.block(block, batch.tape.batch()),
        None => batch.tape.delta(block),
    }
}

/// out ← keep out + fresh x; `keep` = 0 does not read `out`.
fn mix<T: Scalar>(out: &mut [T], keep: T, fresh: T, x: &[T]) {
    if keep == T::ZERO {
        out.iter_mut().zip(x).for_each(|(o, x)| *o = fresh * *x);
    } else {
        out.iter_mut().zip(x).for_each(|(o, x)| *o = keep * *o + fresh * *x);
    }
}

impl<T: Scalar> Channels<T> {
    /// Moves the blocks towards those of the gradients of (γ_c, β_c), of every sample and column.
    fn measure(
        &mut self,
        x: MatRef<'_, T>,
        (delta, n): (MatRef<'_, T>, usize),
        (keep, weight): (T, T),
        buffer: &mut Vec<T>,
    ) -> Result<(), Error> {
        let (rows, c) = (x.rows(), x.cols());
        let share = weight / T::from_usize(n);
        for column in 0..delta.rows() / rows.max(1) {
            let keep = if column == 0 { keep } else { T::ONE };
            let mut gradients = MatMut::new(grown(buffer, n * 2 * c), n, 2 * c)?;
            let delta = delta.sub(column * rows, 0, rows, c)?;
            normalisation_gradients(gradients.rb_mut(), x, delta)?;
            normalisation_blocks(
                MatMut::new(&mut self.average, c, 3)?,
                keep,
                share,
                gradients.rb(),
            )?;
        }
        Ok(())
    }
}
