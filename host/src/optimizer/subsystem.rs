//! The subsystems that relative natural gradient descent cuts a network into: one for each block,
//! with the response model that fixes its metric (S4).

use std::ops::Range;

use relfisher_core::MatMut;
use relfisher_core::metric::layer::{ResponseMetric, fold_scale};
use relfisher_core::metric::neuron::{Activation, Response};

use crate::Scalar;
use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::network::{Block, BlockKind, Network, ResponseSite, Tape, cast_activation};
use crate::scratch::grown;

/// Where the weights ν of independent neurons come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Weights<T> {
    /// ν(t) of a response model.
    Response(Response<T>),
    /// η_i(1 − η_i): each logit on its own, where a batch normalisation separates the layer from
    /// the soft-max.
    SoftmaxDiagonal,
}

/// The form of a block's metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form<T> {
    /// m blocks of d̃ × d̃, one for each neuron.
    Neurons(Weights<T>),
    /// One block of C·d̃: the soft-max layer.
    Softmax,
    /// A 2 × 2 block for each channel of a batch normalisation.
    Channels(Weights<T>),
}

/// A block of the network as a learner with its own metric.
#[derive(Clone, Debug)]
pub(crate) struct Subsystem<T> {
    /// The block's index in the network and on a tape.
    pub(crate) index: usize,
    /// The block's name, for errors and states.
    pub(crate) name: String,
    /// Outputs m.
    pub(crate) rows: usize,
    /// Parameters of an output d̃.
    pub(crate) cols: usize,
    /// Its elements in the flat parameter vector.
    pub(crate) range: Range<usize>,
    /// Its metric.
    pub(crate) form: Form<T>,
}

/// The subsystems of all blocks, in order.
///
/// # Errors
/// A convolution or a layer that positions share, by name: their metric has no closed form here.
pub(super) fn subsystems<T: Scalar>(
    network: &Network<T>,
    smoothing: f64,
) -> Result<Vec<Subsystem<T>>, Error> {
    if let Some(block) = network.blocks().iter().find(|block| block.positions > 1) {
        return Err(Error::input(
            "optimiser",
            &block.name,
            "relative natural gradient takes layers on vectors, not convolutions or shared layers",
            "use kfac or ekfac for this network",
        ));
    }
    Ok(subsystems_of(network, smoothing))
}

/// One subsystem for each block.
pub(crate) fn subsystems_of<T: Scalar>(network: &Network<T>, smoothing: f64) -> Vec<Subsystem<T>> {
    let blocks = network.blocks();
    let behind_norm =
        |i: usize| blocks.get(i + 1).is_some_and(|next| next.kind == BlockKind::BatchNorm);
    blocks
        .iter()
        .enumerate()
        .map(|(index, block)| Subsystem {
            index,
            name: block.name.clone(),
            rows: block.rows,
            cols: block.cols,
            range: block.range(),
            form: match (block.kind, block.response) {
                (BlockKind::BatchNorm, _) => Form::Channels(weights(block, smoothing)),
                (_, ResponseSite::Softmax) if !behind_norm(index) => Form::Softmax,
                _ => Form::Neurons(weights(block, smoothing)),
            },
        })
        .collect()
}

fn weights<T: Scalar>(block: &Block, smoothing: f64) -> Weights<T> {
    let sigma = T::ONE;
    Weights::Response(match block.response {
        ResponseSite::Softmax => return Weights::SoftmaxDiagonal,
        ResponseSite::Bernoulli => Response::Sigm,
        ResponseSite::Gaussian { scale } => {
            Response::Linear { sigma: T::from_f64(1.0 / (2.0 * scale).sqrt()) }
        }
        ResponseSite::Activation(f) => match cast_activation(f) {
            Activation::Linear => Response::Linear { sigma },
            Activation::Tanh => Response::Tanh,
            Activation::Sigm => Response::Sigm,
            Activation::Relu { leak } => {
                Response::Relu { leak, smoothing: T::from_f64(smoothing), sigma }
            }
            Activation::Elu { alpha } => Response::Elu { alpha, sigma },
        },
    })
}

impl<T: Scalar> Subsystem<T> {
    /// ν (n·T × m) of the batch on `tape`, the scale of a batch normalisation in between folded in.
    pub(crate) fn fill_weights<'b>(
        &self,
        executor: &dyn Executor<T>,
        tape: &Tape<T>,
        weights: Weights<T>,
        buffer: &'b mut Vec<T>,
    ) -> Result<MatMut<'b, T>, Error> {
        let rows = tape.response_input(self.index).rows();
        let mut nu = MatMut::new(grown(buffer, rows * self.rows), rows, self.rows)?;
        match weights {
            Weights::Response(response) => executor
                .response_nu(nu.rb_mut(), tape.response_input(self.index), response)
                .context(&self.name)?,
            Weights::SoftmaxDiagonal => {
                let metric = ResponseMetric::Softmax(tape.probabilities());
                for s in 0..nu.rows() {
                    for (i, v) in nu.row_mut(s).iter_mut().enumerate() {
                        *v = metric.entry(s, i, i);
                    }
                }
            }
        }
        if let Some(scale) = tape.response_scale(self.index) {
            fold_scale(nu.rb_mut(), scale).context(&self.name)?;
        }
        Ok(nu)
    }
}

/// A refusal of a factorisation, as an error that names the layer and the remedy.
pub(crate) fn singular(layer: &str, damping: f64, error: relfisher_core::Error) -> Error {
    match error {
        relfisher_core::Error::NotPositiveDefinite { block, .. } => Error::input(
            "",
            layer,
            format_args!(
                "the metric of block {block} is singular or not finite with damping {damping}"
            ),
            "set a damping above 0, or a larger one",
        ),
        other => Error::core(layer, other),
    }
}

/// A divergence error naming the block when an element of a flat vector is not finite.
pub(super) fn check_finite<T: Scalar>(
    network: &Network<T>,
    what: &str,
    values: &[T],
) -> Result<(), Error> {
    // x·0 is 0 for every finite x, NaN otherwise; the sum keeps a NaN.
    let tainted = |part: &[T]| {
        crate::vectorised!({
            let (lanes, rest) = part.as_chunks::<16>();
            let mut sums = [T::ZERO; 16];
            for chunk in lanes {
                for (sum, x) in sums.iter_mut().zip(chunk) {
                    *sum += *x * T::ZERO;
                }
            }
            sums.iter().chain(rest).fold(T::ZERO, |sum, x| sum + *x * T::ZERO) != T::ZERO
        })
    };
    for block in network.blocks() {
        if tainted(values.get(block.range()).unwrap_or(&[])) {
            return Err(Error::divergence(&block.name, format_args!("the {what} is not finite")));
        }
    }
    Ok(())
}
