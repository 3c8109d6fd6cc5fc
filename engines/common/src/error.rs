//! What is wrong, where, and what to do about it, in one line.

use std::fmt;

use relfisher_core::Error as CoreError;

/// A refusal: `place: problem; remedy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The layer, or what was called.
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// What the caller can do.
    pub remedy: String,
}

impl Error {
    /// A refusal of these three parts.
    pub fn new(
        place: impl fmt::Display,
        problem: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Self {
        let (place, problem) = (place.to_string(), problem.to_string());
        Self { place, problem, remedy: remedy.to_string() }
    }

    /// A refusal of the core at `place`.
    pub fn core(place: impl fmt::Display, source: CoreError) -> Self {
        let remedy = match source {
            CoreError::NotPositiveDefinite { .. } | CoreError::NoConvergence { .. } => {
                "use a larger damping"
            }
            CoreError::NonFinite { .. } => "use a smaller learning rate or a larger damping",
            CoreError::Parameter { .. } => "change the setting",
            _ => "make the shapes agree",
        };
        Self::new(place, source, remedy)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.problem, self.remedy)
    }
}

impl std::error::Error for Error {}

/// Says at which layer the core refused.
pub(crate) trait At<T> {
    fn at(self, place: &str) -> Result<T, Error>;
}

impl<T> At<T> for Result<T, CoreError> {
    fn at(self, place: &str) -> Result<T, Error> {
        self.map_err(|source| Error::core(place, source))
    }
}
