//! What a host needs to know to launch a kernel: parameters, launch shapes, shared memory, budgets.
//!
//! An entry point takes its arrays first, outputs before inputs, then one structure of scalars.

mod list;
mod parameters;

pub use list::{BUDGETS, CONTRACTS, Contract, Variant};
pub use parameters::{AdamScalars, Extent, Join, Neurons, Scale, SgdScalars, Strides, Update};
