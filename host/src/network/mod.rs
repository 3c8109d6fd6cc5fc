//! Feed-forward networks: the network file, parameters, forward and backward passes in batches,
//! losses, and the hooks that hand layer inputs and output gradients to curvature without copying.
//!
//! A network is a chain of *blocks*: a linear layer or a batch normalisation, each with the
//! activation that may follow it. The parameters of all blocks lie in one flat vector; the block of
//! a linear layer is W̃ = [W | b], shape (m, d̃), row-major, the bias last. Everything that a pass
//! computes stays on a [`Tape`], whose buffers are allocated once.
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
mod forward;
mod loss;
mod parameters;
mod tape;

pub use architecture::{Architecture, Layer, Loss, Normalisation};
pub use block::{Block, BlockKind, Network, ResponseSite, cast_activation};
pub use parameters::Parameters;
pub use tape::{LossReport, Mode, Tape, Targets};
