//! Output derivatives of a mini-batch, sent back to every layer.

use relfisher_core::MatRef;

use super::Batch;
use crate::Scalar;
use crate::curvature::output_loss;
use crate::error::{Context, Error};
use crate::network::{Cotangents, Network, Statistics};

/// Columns δ of every sample at every layer.
pub(super) struct Columns<T: Scalar> {
    capacity: usize,
    cotangents: Cotangents<T>,
}

impl<T: Scalar> Columns<T> {
    /// The columns kept in `slot`, made anew when they are too small for the tape of `batch`.
    pub(super) fn fit<'s>(
        slot: &'s mut Option<Self>,
        batch: &Batch<'_, T>,
        count: usize,
        statistics: Statistics,
    ) -> &'s mut Self {
        let capacity = batch.tape.capacity();
        let kept = slot.take().filter(|columns| columns.capacity >= capacity);
        slot.insert(kept.unwrap_or_else(|| Self {
            capacity,
            cotangents: Cotangents::new(batch.network, capacity, count).with_statistics(statistics),
        }))
    }

    /// How many columns the exact root of the loss Hessian has.
    pub(super) fn root_count(network: &Network<T>) -> usize {
        output_loss::<T>(network.loss_kind()).triangular_columns(network.outputs())
    }

    /// Sends the exact root of every sample's loss Hessian back.
    pub(super) fn pull_root(&mut self, batch: &Batch<'_, T>) -> Result<(), Error> {
        let loss = output_loss(batch.network.loss_kind());
        for c in 0..self.cotangents.columns() {
            let out = self.cotangents.output_mut(c, batch.tape.batch());
            loss.triangular_root(out, batch.tape.probabilities(), c).context("loss")?;
        }
        self.pull(batch)
    }

    /// Sends the derivatives for labels drawn from the model back, one draw a column.
    pub(super) fn pull_draws(&mut self, batch: &mut Batch<'_, T>) -> Result<(), Error> {
        for c in 0..self.cotangents.columns() {
            let out = self.cotangents.output_mut(c, batch.tape.batch());
            batch.network.draw_output_deltas(batch.tape, out, batch.rng)?;
        }
        self.pull(batch)
    }

    fn pull(&mut self, batch: &Batch<'_, T>) -> Result<(), Error> {
        let Batch { executor, network, parameters, tape, .. } = *batch;
        network.pull_back(executor, parameters, tape, &mut self.cotangents, None)
    }

    /// δ of the output of a block (columns·n·T × m) for the n samples that were sent back.
    pub(super) fn block(&self, block: usize, n: usize) -> MatRef<'_, T> {
        self.cotangents.block(block, n)
    }
}
