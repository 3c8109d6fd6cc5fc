//! placeholder for the map of the crate
#![no_std]
#![forbid(unsafe_code)]

pub mod backend;
pub mod blas;
mod error;
pub mod factor;
pub mod kron;
pub mod math;
pub mod metric;
pub mod optim;
mod real;
mod view;

pub use backend::{Backend, Portable};
pub use error::Error;
pub use real::Real;
pub use view::{MatMut, MatRef};
