//! The kernels: what one thread does, without unsafe code, generic over [`Device`](crate::Device).
//!
//! Every body is called by all threads of a launch whose shape `crate::contract` names. Reductions
//! have a fixed order that depends on the shapes only.

pub mod cholesky;
pub mod damping;
pub mod elementwise;
pub mod epilogue;
pub mod fma;
pub mod jacobi;
pub mod loss;
pub mod matrix;
pub mod operand;
pub mod patches;
pub mod product;
pub mod reduce;
pub mod sample;
pub mod select;
pub mod softmax;
pub mod square;
pub mod step;
pub mod tensor;
pub mod tile;
pub mod training;
pub mod triangle;
