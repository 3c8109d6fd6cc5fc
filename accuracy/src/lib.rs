//! How far numbers may be from their references, and whether they moved: what the program's command
//! `relfisher accuracy` compares with, and how.
//!
//! Nothing here uses the other crates of the workspace: a number that two of them got wrong in the
//! same way does not pass. The numbers that are judged come from outside as named tensors, so any
//! engine can be held against the same references.
//!
//! | module | what |
//! | --- | --- |
//! | [`ladder`] | formulas from their definition (outcomes enumerated, quadrature, dense loops), with their inputs |
//! | [`golden`] | networks with data, and what other packages computed for them |
//! | [`comparison`] | one comparison, and all those of one answer |
//! | [`table`] | the worst error of each quantity |
//! | [`baseline`] | the errors of an earlier run, and by how much they may grow |
//! | [`junit`] | the outcome as XML for a pipeline |
//! | [`double_double`] | numbers of about 100 bits |
//! | [`tensors`] | named tensors in f64 |

pub mod baseline;
pub mod comparison;
mod dense;
pub mod double_double;
mod dtype;
pub mod golden;
pub mod junit;
pub mod ladder;
pub mod table;
pub mod tensors;

pub use comparison::{Answer, Comparison, Unit};
pub use dtype::Dtype;
