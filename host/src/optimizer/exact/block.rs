//! The exact Gauss–Newton block of every layer.

use std::ops::Range;

use relfisher_core::blas::gram_workspace_len;
use relfisher_core::curvature::{exact_block, exact_block_workspace_len, packed_second_moments};
use relfisher_core::kron::packed_len;
use relfisher_core::optim::{ema_keep, ema_update};
use relfisher_core::{MatMut, MatRef};

use crate::curvature::{Memory, Site, parameter_rows};
use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::network::{Network, Statistics};
use crate::optimizer::columns::Columns;
use crate::optimizer::preconditioner::check_call;
use crate::optimizer::scope::Scope;
use crate::optimizer::subsystem::singular;
use crate::optimizer::{Batch, GgnBlockConfig, Preconditioner, State};
use crate::scratch::grown;
use crate::{Scalar, vectorised};

/// B = (1/n) Σ_s J_sᵀ Λ_s J_s of the parameters of each layer (p × p), averaged over mini-batches, and
/// the Cholesky factor of B + λI: p³/3 operations and 2p² numbers, so for small layers only.
pub struct GgnBlock<T: Scalar> {
    refresh: u64,
    decay: T,
    damping: T,
    blocks: Vec<Dense<T>>,
    parameters: usize,
    updates: u64,
    columns: Option<Columns<T>>,
    scratch: Scratch<T>,
}

/// The block of one layer.
struct Dense<T> {
    index: usize,
    name: String,
    range: Range<usize>,
    average: Vec<T>,
    factor: Vec<T>,
}

/// Buffers that nothing depends on.
#[derive(Default)]
struct Scratch<T> {
    fresh: Vec<T>,
    packed: Vec<T>,
    rows: Vec<T>,
    work: Vec<T>,
    design: Vec<T>,
}

impl<T: Scalar> GgnBlock<T> {
    /// The blocks of `network`, nothing measured yet; of `config` the learning rate, momentum, weight
    /// decay, KL clip and adaptation do not enter.
    ///
    /// # Errors
    /// Blocks that do not fit the memory that the machine can give: the layer and the bytes.
    pub fn new(config: &GgnBlockConfig, network: &Network<T>) -> Result<Self, Error> {
        Self::of_scope(config, network, Memory::default(), &Scope::all(network))
    }

    /// The same within a given bound on the memory.
    ///
    /// # Errors
    /// As [`GgnBlock::new`].
    pub fn within(
        config: &GgnBlockConfig,
        network: &Network<T>,
        memory: Memory,
    ) -> Result<Self, Error> {
        Self::of_scope(config, network, memory, &Scope::all(network))
    }

    /// The blocks of a scope only: steps leave the others' part of the gradient as it is.
    pub(in crate::optimizer) fn of_scope(
        config: &GgnBlockConfig,
        network: &Network<T>,
        memory: Memory,
        scope: &Scope,
    ) -> Result<Self, Error> {
        let owned = || network.blocks().iter().enumerate().filter(|(i, _)| scope.contains(*i));
        let instead = "use ekfac or kfac for this network, or ggn-sample with small mini-batches";
        let mut total = 0_usize;
        for (_, block) in owned() {
            let square = block.len().saturating_mul(block.len());
            let place = format!("ggn-block: layer {}", block.name);
            memory.check(
                &place,
                total.saturating_add(square.saturating_mul(3)),
                size_of::<T>(),
                instead,
            )?;
            total = total.saturating_add(square.saturating_mul(2));
        }
        let dense = owned().map(|(index, block)| Dense {
            index,
            name: block.name.clone(),
            range: block.range(),
            average: vec![T::ZERO; block.len() * block.len()],
            factor: vec![T::ZERO; block.len() * block.len()],
        });
        Ok(Self {
            refresh: config.refresh.max(1),
            decay: T::from_f64(config.decay),
            damping: T::from_f64(config.damping),
            blocks: dense.collect(),
            parameters: network.parameter_count(),
            updates: 0,
            columns: None,
            scratch: Scratch::default(),
        })
    }

    /// B as it is averaged now, p × p, both triangles.
    pub fn block(&self, block: usize) -> Option<&[T]> {
        Some(&self.blocks.iter().find(|dense| dense.index == block)?.average)
    }
}

impl<T: Scalar> Scratch<T> {
    /// The block of the mini-batch, into `self.fresh`.
    fn measure(
        &mut self,
        batch: &Batch<'_, T>,
        index: usize,
        delta: MatRef<'_, T>,
    ) -> Result<(), Error> {
        let Batch { executor, network, tape, .. } = *batch;
        let block = &network.blocks()[index];
        let (n, m, d, p) = (tape.batch(), block.rows, block.cols, block.len());
        let share = T::ONE / T::from_usize(n);
        let out = MatMut::new(grown(&mut self.fresh, p * p), p, p)?;
        if block.is_dense() {
            let packed = grown(&mut self.packed, n * packed_len(m));
            let mut packed = MatMut::new(packed, n, packed_len(m))?;
            for c in 0..delta.rows() / n {
                let keep = if c == 0 { T::ZERO } else { T::ONE };
                packed_second_moments(packed.rb_mut(), keep, delta.sub(c * n, 0, n, m)?)?;
            }
            let work = grown(&mut self.work, exact_block_workspace_len(n, m, d));
            let x = tape.layer_input(index);
            return Ok(exact_block(executor, out, packed.rb(), x, share, work)?);
        }
        let count = delta.rows() / block.positions;
        let site = Site { network, tape, block: index };
        let rows = grown(&mut self.rows, count * p);
        parameter_rows(
            executor,
            site,
            delta,
            MatMut::new(&mut *rows, count, p)?,
            &mut self.design,
        )?;
        let work = grown(&mut self.work, gram_workspace_len(count, p));
        Ok(executor.gram(out, T::ZERO, share, MatRef::new(rows, count, p)?, None, work)?)
    }
}

impl<T: Scalar> Preconditioner<T> for GgnBlock<T> {
    fn name(&self) -> &'static str {
        "ggn-block"
    }

    fn damping(&self) -> T {
        self.damping
    }

    fn set_damping(&mut self, damping: T) {
        self.damping = damping;
    }

    fn update(&mut self, batch: Batch<'_, T>) -> Result<(), Error> {
        let due = self.updates.is_multiple_of(self.refresh);
        let keep = ema_keep(self.decay, self.updates / self.refresh);
        self.updates += 1;
        if !due {
            return Ok(());
        }
        let count = Columns::root_count(batch.network);
        let columns = Columns::fit(&mut self.columns, &batch, count, Statistics::Constant);
        columns.pull_root(&batch)?;
        for Dense { index, name, average, factor, range } in &mut self.blocks {
            let delta = columns.block(*index, batch.tape.batch());
            self.scratch.measure(&batch, *index, delta).context(&*name)?;
            let (fresh, p) = (&self.scratch.fresh[..average.len()], range.len());
            vectorised!(ema_update(average, fresh, keep)).context(&*name)?;
            factor.copy_from_slice(average);
            let view = MatMut::new(factor, p, p)?;
            batch
                .executor
                .cholesky(view, self.damping)
                .map_err(|e| singular(name, self.damping.to_f64(), e))?;
        }
        Ok(())
    }

    fn precondition(
        &mut self,
        executor: &dyn Executor<T>,
        gradient: &[T],
        step: &mut [T],
    ) -> Result<(), Error> {
        check_call(self.name(), self.updates, self.parameters, (gradient, &*step))?;
        step.copy_from_slice(gradient);
        for Dense { name, range, factor, .. } in &self.blocks {
            let p = range.len();
            let part = MatMut::new(&mut step[range.clone()], p, 1)?;
            executor.cholesky_solve(part, MatRef::new(factor, p, p)?).context(name)?;
        }
        Ok(())
    }

    fn save(&self, state: &mut State<T>) {
        state.put_counter("ggn-block.updates", self.updates);
        state.put("ggn-block.damping", &[self.damping]);
        for Dense { name, average, factor, .. } in &self.blocks {
            state.put(format!("ggn-block.block.{name}"), average);
            state.put(format!("ggn-block.factor.{name}"), factor);
        }
    }

    fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        self.updates = state.counter("ggn-block.updates")?;
        self.damping = state.tensor("ggn-block.damping", 1)?[0];
        for Dense { name, average, factor, .. } in &mut self.blocks {
            state.read(&format!("ggn-block.block.{name}"), average)?;
            state.read(&format!("ggn-block.factor.{name}"), factor)?;
        }
        Ok(())
    }
}
