//! The parts of the project's checks that are libraries: the comparison of the program
//! `relfisher curvature` with the golden cases, the making of the kernels' PTX, and what they need.

pub mod debian;
pub mod golden;
pub mod ptx;
pub mod repository;
pub mod sources;
pub mod stub;

/// The outcome of a job: nothing, or why it failed.
pub type Outcome = Result<(), String>;
