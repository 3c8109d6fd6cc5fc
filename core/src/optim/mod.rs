//! Step rules that need no allocation.
//!
//! An update works on equal slices of the parameters, their state and the gradient (or a
//! preconditioned direction), element by element, so that a host can cut the vectors anywhere and
//! spread the pieces over threads with the same bits. Everything that belongs to the step and not to
//! the element (schedules, clipping, damping, bias corrections) is a pure function of scalars.

mod adam;
mod average;
mod clip;
mod damping;
mod determinantal;
mod schedule;
mod sgd;

pub use adam::{Adam, AdamStep, WeightDecay};
pub use average::{ema_keep, ema_update};
pub use clip::{inner_product, kl_clip, norm_clip, quadratic_length};
pub use damping::{LevenbergMarquardt, reduction_ratio};
pub use determinantal::{DeterminantalAverage, DeterminantalSums};
pub use schedule::{Decay, Schedule};
pub use sgd::{Momentum, Sgd, add_weight_decay, descend};
