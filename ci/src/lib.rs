//! The parts of the project's checks that are libraries: the making of the kernels' PTX, the gate on
//! instruction counts, and what the jobs need.

pub mod debian;
pub mod footprint;
pub mod instructions;
pub mod ptx;
pub mod repository;
pub mod sources;
pub mod stub;

/// The outcome of a job: nothing, or why it failed.
pub type Outcome = Result<(), String>;

/// Why a job that grades its failures did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It ran, and what it checks is not so: exit status 1.
    Failed(String),
    /// It could not run: exit status 2.
    Unable(String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}
