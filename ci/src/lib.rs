//! The parts of the project's checks that are libraries: the making of the kernels' PTX, and what the
//! jobs need.

pub mod debian;
pub mod ptx;
pub mod repository;
pub mod sources;
pub mod stub;

/// The outcome of a job: nothing, or why it failed.
pub type Outcome = Result<(), String>;
