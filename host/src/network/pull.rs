//! The transposed Jacobian of one node, for any number of columns.

use relfisher_core::conv;
use relfisher_core::metric::neuron::Activation;
use relfisher_core::{MatMut, MatRef};

use super::block::cast_activation;
use super::compile::{Network, Node, Op, Order, Place};
use super::convolution::Patches;
use super::tape::Tape;
use crate::executor::Executor;
use crate::{Error, Scalar};

/// What is done with one image of derivatives: its number, the image, what it comes from.
type ImageBody<'b, T> =
    dyn Fn(usize, &mut [T], &[T]) -> Result<(), relfisher_core::Error> + Sync + 'b;

/// Elements that a task should touch at least.
const TASK: usize = 1 << 14;

/// Calls `body` for every image of `previous` (at place `from`) with the part of `delta` (at `to`)
/// that belongs to it.
fn for_each_image<T: Scalar, E: Executor<T> + ?Sized>(
    exec: &E,
    previous: &mut [T],
    (from, delta, to): (Place, &[T], Place),
    body: &ImageBody<'_, T>,
) -> Result<(), relfisher_core::Error> {
    let (p, q) = (from.len(), to.len());
    let each = TASK.div_ceil(p + q);
    exec.for_each_part(previous, each * p, 0, &|run, images, _| {
        let deltas = delta.get(run * each * q..).unwrap_or(&[]).chunks_exact(q);
        for (k, (image, delta)) in images.chunks_exact_mut(p).zip(deltas).enumerate() {
            body(run * each + k, image, delta)?;
        }
        Ok(())
    })
}

impl<T: Scalar> Network<T> {
    /// `δ ← δ ∘ f′(t)` for every column, t the values of `place` on the tape.
    pub(super) fn pull_activation<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        (tape, place): (&Tape<T>, usize),
        f: Activation<f64>,
        delta: &mut [T],
    ) -> Result<(), Error> {
        let t = tape.rows(place);
        let (rows, cols) = (t.rows(), t.cols());
        for column in delta.chunks_exact_mut((rows * cols).max(1)) {
            exec.activation_backward(MatMut::new(column, rows, cols)?, t, cast_activation(f))?;
        }
        Ok(())
    }

    /// `previous ← Jᵀ δ + β previous` through a node that is no activation: `delta` holds one or more
    /// columns for n samples, without gaps; β is 0 or 1, and 1 for linear layers and convolutions
    /// only. The statistics of a batch normalisation count as constants.
    #[expect(clippy::too_many_arguments, reason = "a node, its two ends and what it depends on")]
    pub(super) fn pull_node<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        node: &Node<T>,
        tape: &Tape<T>,
        (previous, beta): (&mut [T], T),
        (delta, n): (&[T], usize),
        weights: Option<&[T]>,
        scratch: &mut Vec<T>,
    ) -> Result<(), Error> {
        let (from, to) = (self.places[node.input], self.places[node.output]);
        let weights = weights.unwrap_or(&[]);
        match &node.op {
            Op::Linear { block } => {
                let block = &self.blocks[*block];
                let rows = delta.len() / to.cols;
                let w = MatRef::new(weights, block.rows, block.cols)?;
                let w = w.sub(0, 0, block.rows, block.inputs)?;
                let out = MatMut::new(previous, rows, from.cols)?;
                exec.gemm(out, beta, T::ONE, MatRef::new(delta, rows, to.cols)?, w)?;
            }
            Op::Convolution { block, conv } => {
                let patches = Patches::new(&self.blocks[*block], *conv);
                patches.backward(exec, (previous, beta), delta, weights, scratch)?;
            }
            Op::Norm { block, .. } => {
                let Some(norm) = &tape.norms[*block] else { return Ok(()) };
                let rows = previous.chunks_exact_mut(to.cols).zip(delta.chunks_exact(to.cols));
                for (x, d) in rows {
                    for ((x, d), s) in x.iter_mut().zip(d).zip(&norm.scale) {
                        *x = *s * *d;
                    }
                }
            }
            Op::MaxPool { index, .. } => {
                let maxima = &tape.maxima[*index];
                for_each_image(exec, previous, (from, delta, to), &|i, image, delta| {
                    image.fill(T::ZERO);
                    let s = i % n;
                    let places = &maxima[s * to.len()..(s + 1) * to.len()];
                    for (&place, &d) in places.iter().zip(delta) {
                        image[place as usize] += d;
                    }
                    Ok(())
                })?;
            }
            Op::AvgPool { window, count } => {
                for_each_image(exec, previous, (from, delta, to), &|_, image, delta| {
                    image.fill(T::ZERO);
                    conv::avg_pool_backward_add(image, delta, window, *count)
                })?;
            }
            Op::Reshape { channels, positions, order } => {
                // Derivatives have no gaps between their rows.
                let (c, t) = (*channels, *positions);
                for_each_image(
                    exec,
                    previous,
                    (from, delta, to),
                    &|_, image, delta| match order {
                        Order::Kept => {
                            image.copy_from_slice(delta);
                            Ok(())
                        }
                        Order::ChannelsFirst => conv::to_channels_last(image, delta, c, t),
                        Order::ChannelsLast => conv::to_channels_first(image, delta, c, t),
                    },
                )?;
            }
            Op::Activation(_) => {}
        }
        Ok(())
    }
}
