//! Kronecker-factored approximate curvature (J. Martens, R. Grosse, ICML 2015).
//!
//! Every linear block is approximated by G ⊗ A with A = E[x̃x̃ᵀ] and G = E[ggᵀ], g the gradient with
//! respect to the block's output for a label drawn from the model: a second backward pass without a
//! gradient, every `factor_every` mini-batches. Both are exponential moving averages. Every
//! `refresh` mini-batches the damped factors (π-split) are inverted; a step applies
//! G⁻¹ V A⁻¹, clips it by the predicted KL divergence and adds heavy-ball momentum. A batch
//! normalisation has the full covariance of its (γ_c, β_c) gradient, a 2 × 2 block for each channel.

use std::ops::Range;

use relfisher_core::curvature::Sharing;
use relfisher_core::metric::normalisation;
use relfisher_core::{MatMut, MatRef, factor, kron, optim};

use super::first_order::{Momentum, decay_weights};
use super::subsystem::{check_finite, singular};
use super::{KfacConfig, Optimizer, State, Step};
use crate::Scalar;
use crate::curvature::{FactorScratch, Site};
use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::network::{BlockKind, Network};
use crate::scratch::grown;

/// The factors of a block.
enum Factors<T> {
    /// G ⊗ A of a linear block.
    Kronecker {
        /// A, d̃ × d̃: moving average and damped inverse.
        input: [Vec<T>; 2],
        /// G, m × m: moving average and damped inverse.
        output: [Vec<T>; 2],
    },
    /// 2 × 2 blocks of a batch normalisation: moving average, and its values at the last refresh.
    Channels([Vec<T>; 2]),
}

/// A block with its curvature.
struct Curvature<T> {
    index: usize,
    name: String,
    rows: usize,
    cols: usize,
    range: Range<usize>,
    factors: Factors<T>,
}

/// K-FAC with labels drawn from the model.
pub struct Kfac<T: Scalar> {
    config: KfacConfig,
    damping: T,
    blocks: Vec<Curvature<T>>,
    momentum: Momentum<T>,
    direction: Vec<T>,
    work: Vec<T>,
    scratch: FactorScratch<T>,
    steps: u64,
}

impl<T: Scalar> Curvature<T> {
    /// The tensors of a state, by the end of their names.
    fn tensors(&self) -> Vec<(&'static str, &Vec<T>)> {
        match &self.factors {
            Factors::Kronecker { input: [a, ai], output: [g, gi] } => {
                vec![("a", a), ("a_inverse", ai), ("g", g), ("g_inverse", gi)]
            }
            Factors::Channels([average, used]) => vec![("blocks", average), ("blocks_used", used)],
        }
    }

    fn tensors_mut(&mut self) -> Vec<(&'static str, &mut Vec<T>)> {
        match &mut self.factors {
            Factors::Kronecker { input: [a, ai], output: [g, gi] } => {
                vec![("a", a), ("a_inverse", ai), ("g", g), ("g_inverse", gi)]
            }
            Factors::Channels([average, used]) => vec![("blocks", average), ("blocks_used", used)],
        }
    }

    /// Damps and inverts the moving averages.
    fn invert(
        &mut self,
        executor: &dyn Executor<T>,
        damping: T,
        work: &mut Vec<T>,
    ) -> Result<(), relfisher_core::Error> {
        let (m, d) = (self.rows, self.cols);
        match &mut self.factors {
            Factors::Kronecker { input: [a, a_inverse], output: [g, g_inverse] } => {
                let (g_view, a_view) = (MatRef::new(g, m, m)?, MatRef::new(a, d, d)?);
                let split = kron::split_damping(g_view, a_view, damping, kron::Damping::Pi)?;
                a_inverse.copy_from_slice(a);
                g_inverse.copy_from_slice(g);
                for (inverse, size, damping) in [(a_inverse, d, split.a), (g_inverse, m, split.g)] {
                    let work = grown(work, factor::spd_inverse_workspace_len(size));
                    executor.spd_inverse(MatMut::new(inverse, size, size)?, damping, work)?;
                }
                Ok(())
            }
            Factors::Channels([average, used]) => {
                used.copy_from_slice(average);
                Ok(())
            }
        }
    }
}

impl<T: Scalar> Kfac<T> {
    /// An optimiser for `network`.
    pub fn new(config: &KfacConfig, network: &Network<T>) -> Self {
        let count = network.parameter_count();
        let square = |n: usize| [vec![T::ZERO; n * n], vec![T::ZERO; n * n]];
        let blocks = network
            .blocks()
            .iter()
            .enumerate()
            .map(|(index, block)| Curvature {
                index,
                name: block.name.clone(),
                rows: block.rows,
                cols: block.cols,
                range: block.range(),
                factors: match block.kind {
                    BlockKind::Linear | BlockKind::Convolution(_) => {
                        Factors::Kronecker { input: square(block.cols), output: square(block.rows) }
                    }
                    BlockKind::BatchNorm => Factors::Channels([
                        vec![T::ZERO; 3 * block.rows],
                        vec![T::ZERO; 3 * block.rows],
                    ]),
                },
            })
            .collect();
        Self {
            config: config.clone(),
            damping: T::from_f64(config.damping),
            blocks,
            momentum: Momentum::new("kfac.velocity", count, config.momentum),
            direction: vec![T::ZERO; count],
            work: Vec::new(),
            scratch: FactorScratch::default(),
            steps: 0,
        }
    }

    /// Draws labels from the model and moves the averages towards the factors of the mini-batch.
    fn measure(&mut self, step: &mut Step<'_, T>) -> Result<(), Error> {
        let (executor, network) = (step.executor, step.network);
        network.sample_model_labels(executor, step.tape, step.rng)?;
        network.backward(executor, step.parameters, step.tape, None)?;
        let updates = self.steps / self.config.factor_every;
        let keep = optim::ema_keep(T::from_f64(self.config.decay), updates);
        let tape = &*step.tape;
        for block in &mut self.blocks {
            let m = block.rows;
            let delta = tape.delta(block.index);
            match &mut block.factors {
                Factors::Kronecker { input: [a, _], output: [g, _] } => {
                    let weights = (keep, T::ONE - keep);
                    let site = Site { network, tape, block: block.index };
                    site.input_factor(executor, (a, weights), Sharing::Expand, &mut self.scratch)?;
                    let delta = (delta, tape.batch());
                    let scratch = &mut self.scratch;
                    site.output_factor(executor, (g, weights), delta, Sharing::Expand, scratch)?;
                }
                Factors::Channels([average, _]) => {
                    let rows = delta.rows();
                    let mut squares = MatMut::new(grown(&mut self.work, rows * m), rows, m)?;
                    for s in 0..rows {
                        for (q, x) in squares.row_mut(s).iter_mut().zip(delta.row(s)) {
                            *q = *x * *x;
                        }
                    }
                    let x = tape.normalised(block.index);
                    normalisation::blocks(MatMut::new(average, m, 3)?, x, squares.rb(), keep)
                        .context(&block.name)?;
                }
            }
        }
        Ok(())
    }

    /// `direction ← (G ⊗ A)⁻¹ gradient`, damped.
    fn precondition(&mut self, executor: &dyn Executor<T>, gradient: &[T]) -> Result<(), Error> {
        for block in &self.blocks {
            let (m, d) = (block.rows, block.cols);
            let (g, out) =
                (&gradient[block.range.clone()], &mut self.direction[block.range.clone()]);
            match &block.factors {
                Factors::Kronecker { input: [_, a_inverse], output: [_, g_inverse] } => {
                    let work = grown(&mut self.work, kron::apply_workspace_len(m, d));
                    kron::apply(
                        executor,
                        MatMut::new(out, m, d)?,
                        MatRef::new(g_inverse, m, m)?,
                        MatRef::new(a_inverse, d, d)?,
                        MatRef::new(g, m, d)?,
                        work,
                    )
                    .context(&block.name)?;
                }
                Factors::Channels([_, used]) => {
                    out.copy_from_slice(g);
                    let blocks = MatRef::new(used, m, 3)?;
                    normalisation::solve(MatMut::new(out, m, 2)?, blocks, self.damping)
                        .map_err(|e| singular(&block.name, self.config.damping, e))?;
                }
            }
        }
        Ok(())
    }
}

impl<T: Scalar> Optimizer<T> for Kfac<T> {
    fn name(&self) -> &'static str {
        "kfac"
    }

    fn step(&mut self, step: &mut Step<'_, T>) -> Result<(), Error> {
        check_finite(step.network, "gradient", step.gradient)?;
        if self.steps.is_multiple_of(self.config.factor_every) {
            self.measure(step)?;
        }
        if self.steps.is_multiple_of(self.config.refresh) {
            for block in &mut self.blocks {
                block
                    .invert(step.executor, self.damping, &mut self.work)
                    .map_err(|e| singular(&block.name, self.config.damping, e))?;
            }
        }
        decay_weights(step, self.config.weight_decay)?;
        self.precondition(step.executor, step.gradient)?;
        if self.config.kl_clip > 0.0 {
            // The direction is F⁻¹ times the gradient, so its curvature is their inner product.
            let curvature =
                optim::inner_product(&self.direction, step.gradient).context("kl_clip")?;
            let bound = T::from_f64(self.config.kl_clip);
            let scale = optim::kl_clip(step.learning_rate, curvature, bound);
            self.direction.iter_mut().for_each(|x| *x = scale * *x);
        }
        self.momentum.apply(step, &self.direction)?;
        self.steps += 1;
        Ok(())
    }

    fn save(&self, state: &mut State<T>) {
        state.put_counter("kfac.steps", self.steps);
        self.momentum.save(state);
        for block in &self.blocks {
            for (end, tensor) in block.tensors() {
                state.put(format!("kfac.{end}.{}", block.name), tensor);
            }
        }
    }

    fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        self.steps = state.counter("kfac.steps")?;
        self.momentum.load(state)?;
        for block in &mut self.blocks {
            let name = block.name.clone();
            for (end, tensor) in block.tensors_mut() {
                state.read(&format!("kfac.{end}.{name}"), tensor)?;
            }
        }
        Ok(())
    }
}
