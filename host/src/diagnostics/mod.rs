//! What a mini-batch says about its own gradient: norms, variance, signal-to-noise, noise scale and
//! alignment, as by-products of the backward pass of training.
//!
//! | file | what |
//! | --- | --- |
//! | `batch.rs` | the statistics of the mini-batch on a tape |
//! | `record.rs` | one row a measured step, and the file of them |
//! | `monitor.rs` | the rows of a run while it trains |
//!
//! Nothing is drawn and nothing of the run is written, so training gives the same bits with and
//! without. A layer on vectors costs one product of the size of its forward pass (⟨u_s, g⟩) and two
//! passes over its inputs and output derivatives; a layer that positions share, or a batch
//! normalisation, the gradient of each sample, n numbers for each of its parameters. Between two
//! measured steps it costs a copy of the gradient.

mod batch;
mod monitor;
mod record;

pub use batch::{BatchScratch, batch_noise};
pub(crate) use monitor::{Measured, Monitor, Saved};
pub(crate) use record::smooth_noise_scales;
pub use record::{StepRecord, steps_csv};
