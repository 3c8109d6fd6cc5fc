//! The backward pass.

use relfisher_core::{MatMut, MatRef, Real};

use super::block::{Block, Network};
use super::parameters::Parameters;
use super::tape::{Mode, NormTape, Tape};
use crate::error::Context;
use crate::executor::Executor;
use crate::vectorised;
use crate::{Error, Scalar};

impl<T: Scalar> Network<T> {
    /// Takes the output deltas that [`Network::loss`] or [`Network::sample_model_labels`] left on
    /// the tape back through the network: δ_prev = (δ W) ∘ f′(t), per sample. With `gradient` the
    /// mean gradient (1/n) Δᵀ X̃ of every block is written there (it may hold anything before);
    /// without it only the deltas are computed. To be called once for each set of output deltas.
    ///
    /// # Errors
    /// Parameters, a tape or a gradient of another network.
    pub fn backward<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        parameters: &Parameters<T>,
        tape: &mut Tape<T>,
        mut gradient: Option<&mut [T]>,
    ) -> Result<(), Error> {
        parameters.check(self)?;
        self.check_tape(tape)?;
        if let Some(found) = gradient.as_ref().map(|g| g.len())
            && found != self.parameter_count
        {
            return Err(Error::input(
                "",
                "gradient",
                format_args!("{found} numbers, but there are {} parameters", self.parameter_count),
                "make it as long as the parameter vector",
            ));
        }
        let (n, mode) = (tape.batch, tape.mode);
        let mean = T::ONE / T::from_usize(n);
        for (i, (block, stage)) in self.blocks.iter().zip(&self.stages).enumerate().rev() {
            let (before, after) = tape.deltas.split_at_mut(i);
            let mut delta = after[0].values_mut(n);
            if let Some(f) = stage.activation {
                let t = tape.values[stage.pre].values(n);
                exec.activation_backward(delta.rb_mut(), t, f).context(&block.name)?;
            }
            let previous = before.last_mut().map(|d| d.values_mut(n));
            let target = gradient.as_deref_mut();
            if let Some(norm) = &mut tape.norms[i] {
                let gradient = target.map(|g| &mut g[block.range()]);
                norm_backward(norm, mode, delta.rb(), previous, gradient);
                continue;
            }
            if let Some(gradient) = target {
                let x = tape.values[stage.input].augmented(n);
                let out = block.matrix_mut(gradient)?;
                exec.gemm(out, T::ZERO, mean, delta.rb().t(), x).context(&block.name)?;
            }
            if let Some(previous) = previous {
                let weights = weights_without_bias(block, &parameters.values)?;
                exec.gemm(previous, T::ZERO, T::ONE, delta.rb(), weights).context(&block.name)?;
            }
        }
        Ok(())
    }
}

/// W = W̃[:, :d] without moving anything.
fn weights_without_bias<'a, T: Real>(
    block: &Block,
    values: &'a [T],
) -> Result<MatRef<'a, T>, Error> {
    Ok(block.matrix(values)?.sub(0, 0, block.rows, block.inputs)?)
}

/// The backward pass of a batch normalisation, exact through the batch's mean and variance:
/// δx = γ/σ (δ − mean(δ) − x̂ mean(δ x̂)); with running averages δx = γ/σ δ.
fn norm_backward<T: Scalar>(
    norm: &mut NormTape<T>,
    mode: Mode,
    delta: MatRef<'_, T>,
    previous: Option<MatMut<'_, T>>,
    gradient: Option<&mut [T]>,
) {
    let n = delta.rows();
    let mean = T::ONE / T::from_usize(n);
    let normalised = norm.normalised.values(n);
    let [by_hat, plain] = &mut norm.sums;
    vectorised!({
        by_hat.fill(T::ZERO);
        plain.fill(T::ZERO);
        for s in 0..n {
            let rows = delta.row(s).iter().zip(normalised.row(s));
            for (((&d, &hat), by_hat), plain) in rows.zip(&mut *by_hat).zip(&mut *plain) {
                *by_hat += d * hat;
                *plain += d;
            }
        }
        for (by_hat, plain) in by_hat.iter_mut().zip(&mut *plain) {
            *by_hat *= mean;
            *plain *= mean;
        }
    });
    if let Some(gradient) = gradient {
        for ((pair, &by_hat), &plain) in gradient.chunks_exact_mut(2).zip(&*by_hat).zip(&*plain) {
            pair.copy_from_slice(&[by_hat, plain]);
        }
    }
    let Some(mut previous) = previous else { return };
    let scale = &norm.scale[..];
    vectorised!({
        for s in 0..n {
            let rows = previous.row_mut(s).iter_mut().zip(delta.row(s)).zip(scale);
            match mode {
                Mode::Inference => rows.for_each(|((x, &d), &scale)| *x = scale * d),
                Mode::Train => {
                    let sums = normalised.row(s).iter().zip(&*by_hat).zip(&*plain);
                    for (((x, &d), &scale), ((&hat, &by_hat), &plain)) in rows.zip(sums) {
                        *x = scale * (d - plain - hat * by_hat);
                    }
                }
            }
        }
    });
}
