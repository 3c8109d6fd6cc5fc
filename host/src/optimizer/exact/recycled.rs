//! The top of the Gauss–Newton spectrum, kept from an earlier mini-batch.

use relfisher_core::curvature::{LowRank, low_rank_power_workspace_len};
use relfisher_core::{MatMut, MatRef};

use super::GgnSample;
use crate::Scalar;
use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::network::Network;
use crate::optimizer::preconditioner::check_call;
use crate::optimizer::{Batch, GgnRecycledConfig, GgnSampleConfig, Preconditioner, State};
use crate::scratch::grown;

/// (V diag(s) Vᵀ + λI)⁻¹ g, V and s the k largest eigenpairs of the whole network's Gauss–Newton matrix
/// on the mini-batch of the last refresh: found in sample space, JJᵀq = θq, v = Jᵀq/√θ, s = θ/n, and then
/// recycled for `refresh` mini-batches, in which a step costs 4kD operations and no curvature is
/// measured. With k the rank of the matrix and refresh 1 it is the exact step of [`GgnSample`]. That a
/// few directions carry the curvature, and change slowly: G. Gur-Ari, D. Roberts, E. Dyer, *Gradient
/// Descent Happens in a Tiny Subspace*, 2018.
pub struct GgnRecycled<T: Scalar> {
    inner: GgnSample<T>,
    refresh: u64,
    damping: T,
    rank: usize,
    parameters: usize,
    updates: u64,
    /// V as rows, k × D, and s; zero where the mini-batch had a smaller rank.
    vectors: Vec<T>,
    values: Vec<T>,
    work: Vec<T>,
}

impl<T: Scalar> GgnRecycled<T> {
    /// Nothing measured yet; of `config` the damping, the rank and the refresh enter.
    pub fn new(config: &GgnRecycledConfig, network: &Network<T>) -> Self {
        let parameters = network.parameter_count();
        let rank = config.rank.clamp(1, parameters.max(1));
        let inner = GgnSampleConfig { damping: config.damping, ..GgnSampleConfig::default() };
        Self {
            inner: GgnSample::new(&inner, network),
            refresh: config.refresh.max(1),
            damping: T::from_f64(config.damping),
            rank,
            parameters,
            updates: 0,
            vectors: vec![T::ZERO; rank * parameters],
            values: vec![T::ZERO; rank],
            work: Vec::new(),
        }
    }

    /// The eigenvalues in use, descending, and their eigenvectors as rows.
    pub fn space(&self) -> (&[T], &[T]) {
        (&self.values, &self.vectors)
    }
}

impl<T: Scalar> Preconditioner<T> for GgnRecycled<T> {
    fn name(&self) -> &'static str {
        "ggn-recycled"
    }

    fn damping(&self) -> T {
        self.damping
    }

    fn set_damping(&mut self, damping: T) {
        self.damping = damping;
    }

    fn update(&mut self, batch: Batch<'_, T>) -> Result<(), Error> {
        let due = self.updates.is_multiple_of(self.refresh);
        self.updates += 1;
        if due { self.inner.top(&batch, &mut self.vectors, &mut self.values) } else { Ok(()) }
    }

    fn precondition(
        &mut self,
        executor: &dyn Executor<T>,
        gradient: &[T],
        step: &mut [T],
    ) -> Result<(), Error> {
        check_call(self.name(), self.updates, self.parameters, (gradient, &*step))?;
        step.copy_from_slice(gradient);
        let (k, d) = (self.rank, self.parameters);
        let c = LowRank { vectors: MatRef::new(&self.vectors, k, d)?, values: &self.values };
        let work = grown(&mut self.work, low_rank_power_workspace_len(1, k));
        let x = MatMut::new(step, 1, d)?;
        c.power(executor, x, T::ONE, self.damping, work).context(self.name())
    }

    fn save(&self, state: &mut State<T>) {
        state.put_counter("ggn-recycled.updates", self.updates);
        state.put("ggn-recycled.damping", &[self.damping]);
        state.put("ggn-recycled.vectors", &self.vectors);
        state.put("ggn-recycled.values", &self.values);
    }

    fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        self.updates = state.counter("ggn-recycled.updates")?;
        self.damping = state.tensor("ggn-recycled.damping", 1)?[0];
        state.read("ggn-recycled.vectors", &mut self.vectors)?;
        state.read("ggn-recycled.values", &mut self.values)
    }
}
