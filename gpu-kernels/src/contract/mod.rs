//! What a host needs to know to launch a kernel: parameters, launch shapes, shared memory, budgets.
//!
//! An entry point takes its arrays first, outputs before inputs, then one structure of scalars.

mod bytes;
mod list;
mod parameters;
mod signature;

pub use bytes::{Parameter, ParameterBytes};
pub use list::{BUDGETS, CONTRACTS, Contract, Variant};
pub use parameters::{
    AdamScalars, Backward, Batch, Classes, Combination, Divided, Extent, Join, Layer, Masked,
    NeuronRows, Neurons, Patched, Product, RightSides, Rows, Samples, Selection, SgdScalars,
    Strides, Targets, Triangles, Update, Window,
};
#[cfg(not(target_arch = "nvptx64"))]
pub use signature::signature;
pub use signature::{Access, ArrayParameter, Signature, ValueParameter, WordKind};
