//! p

pub mod executor;
mod scalar;

pub use relfisher_core::Error as CoreError;
pub use scalar::Scalar;
