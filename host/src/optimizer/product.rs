//! Products with the Gauss–Newton matrix of the mini-batch on a tape.

use relfisher_core::{MatMut, MatRef};

use super::Batch;
use super::vectors::dot;
use crate::Scalar;
use crate::curvature::output_loss;
use crate::error::Error;
use crate::network::{Cotangents, Network, Statistics, Tangents};
use crate::scratch::grown;

/// C = (1/n) Σ_s J_sᵀ Λ_s J_s of one mini-batch, never formed (N. Schraudolph 2002). The statistics
/// of batch normalisations count as constants.
pub(super) struct GgnProduct<T: Scalar> {
    capacity: usize,
    tangents: Tangents<T>,
    cotangents: Option<Cotangents<T>>,
    curved: Vec<T>,
    moved: Vec<T>,
    partials: Vec<T>,
}

impl<T: Scalar> GgnProduct<T> {
    /// Products for batches of up to `capacity` samples.
    pub(super) fn new(network: &Network<T>, capacity: usize) -> Self {
        Self {
            capacity,
            tangents: Tangents::new(network, capacity),
            cotangents: None,
            curved: Vec::new(),
            moved: Vec::new(),
            partials: Vec::new(),
        }
    }

    /// Makes room for the tape of `batch`.
    fn fit(&mut self, batch: &Batch<'_, T>) {
        if batch.tape.capacity() > self.capacity {
            *self = Self::new(batch.network, batch.tape.capacity());
        }
    }

    /// vᵀ C v: one pass forward.
    pub(super) fn quadratic(&mut self, batch: &Batch<'_, T>, v: &[T]) -> Result<T, Error> {
        self.fit(batch);
        let Batch { executor, network, parameters, tape, .. } = *batch;
        network.push_forward(executor, parameters, tape, v, &mut self.tangents)?;
        let (n, c) = (tape.batch(), network.outputs());
        let moved = self.tangents.outputs(n);
        let curved = grown(&mut self.curved, n * c);
        let view = MatMut::new(&mut *curved, n, c)?;
        output_loss(network.loss_kind()).hessian_apply(view, tape.probabilities(), moved)?;
        let flat = grown(&mut self.moved, n * c);
        for (s, row) in flat.chunks_exact_mut(c).enumerate() {
            row.copy_from_slice(moved.row(s));
        }
        Ok(dot(executor, flat, curved, &mut self.partials)? / T::from_usize(n))
    }

    /// `out ← C v`: a pass forward and one back.
    pub(super) fn apply(
        &mut self,
        batch: &Batch<'_, T>,
        v: &[T],
        out: &mut [T],
    ) -> Result<(), Error> {
        self.fit(batch);
        let Batch { executor, network, parameters, tape, .. } = *batch;
        network.push_forward(executor, parameters, tape, v, &mut self.tangents)?;
        let moved: MatRef<'_, T> = self.tangents.outputs(tape.batch());
        let capacity = self.capacity;
        let cotangents = self.cotangents.get_or_insert_with(|| {
            Cotangents::new(network, capacity, 1).with_statistics(Statistics::Constant)
        });
        let columns = cotangents.output_mut(0, tape.batch());
        output_loss(network.loss_kind()).hessian_apply(columns, tape.probabilities(), moved)?;
        network.pull_back(executor, parameters, tape, cotangents, Some(out))
    }
}
