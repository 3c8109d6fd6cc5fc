//! What a host needs to know to launch a kernel: parameters, launch shapes, shared memory, budgets.
//!
//! An entry point takes its arrays first, outputs before inputs, then one structure of scalars.

mod list;
mod parameters;

pub use list::{BUDGETS, CONTRACTS, Contract, Variant};
pub use parameters::{
    AdamScalars, Batch, Classes, Divided, Extent, Join, Layer, Masked, Neurons, Patched, Product,
    RightSides, Samples, Selection, SgdScalars, Strides, Update, Window,
};
