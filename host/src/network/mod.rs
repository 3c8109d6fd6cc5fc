//! Feed-forward networks: the network file, parameters, forward and backward passes in batches,
//! losses, and the hooks that hand layer inputs and output gradients to curvature without copying.
//!
//! A network is a chain of nodes; those with parameters (linear layers, convolutions, batch
//! normalisations) are its *blocks*. The parameters of all blocks lie in one flat vector; the block
//! of a linear layer or a convolution is W̃ = [W | b], shape (m, d̃), row-major, the bias last.
//! Inside a network an image is channels-last: a row of c numbers for each position, so that a
//! convolution, like a linear layer on a sequence of vectors, is one that T positions of a sample
//! share. Everything that a pass computes stays on a [`Tape`], whose buffers are allocated once.
//! [`Cotangents`] carry any number of derivatives of the outputs back ([`Network::pull_back`]),
//! [`Tangents`] a direction forward ([`Network::push_forward`]); together they give products with
//! the Gauss–Newton matrix, the empirical Fisher matrix and the Hessian.
//!
//! One training step is
//!
//! ```text
//! tape.set_batch(n)?; fill tape.input_mut();
//! network.forward(exec, &parameters, Mode::Train, &mut tape)?;
//! network.update_running_averages(&tape, &mut parameters);      // batch normalisation only
//! let report = network.loss(exec, &mut tape, &targets)?;        // writes the output deltas
//! network.backward(exec, &parameters, &mut tape, Some(&mut gradient))?;
//! ```

mod architecture;
mod backward;
mod block;
mod chain;
mod compile;
mod convolution;
mod cotangents;
mod forward;
mod initialise;
mod loss;
mod normalisation;
mod output_curvature;
mod parameters;
mod pull;
mod second_order;
mod tangent;
mod tape;

pub use architecture::{Architecture, Layer, Loss, Normalisation, Shape, TensorNames};
pub use block::{Block, BlockKind, Convolution, ResponseSite, cast_activation};
pub use chain::Link;
pub use compile::Network;
pub(crate) use convolution::Patches;
pub use cotangents::{Cotangents, Statistics};
pub use initialise::Init;
pub use output_curvature::{Curvature, OutputCurvature, OutputVisitor};
pub use parameters::Parameters;
pub use tangent::Tangents;
pub use tape::{LossReport, Mode, Tape, Targets};
