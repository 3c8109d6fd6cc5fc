//! Natural gradient with closed-form relative Fisher metrics and Kronecker factors.

pub mod cli;
pub mod dataset;
pub mod error;
pub mod executor;
pub mod format;
pub mod network;
pub mod optimizer;
pub mod plot;
pub mod random;
mod scalar;
pub mod train;

pub use error::Error;
pub use relfisher_core::Error as CoreError;
pub use scalar::Scalar;
