//! The error type of the library and the program: one line that names file, place, problem and
//! remedy.

use std::fmt;
use std::io;
use std::path::Path;

use relfisher_core::Error as CoreError;

/// Where something went wrong, what it is, and what to do about it.
///
/// Shown as `file: place: problem; remedy` on a single line; empty parts are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The file (or the command-line option, or the standard input) that holds the problem.
    pub file: String,
    /// The place inside: a field, a tensor, a byte offset, a layer, a step.
    pub place: String,
    /// What is wrong, in plain words.
    pub problem: String,
    /// What the user can do.
    pub remedy: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = String::new();
        for part in [&self.file, &self.place, &self.problem] {
            if !part.is_empty() {
                if !line.is_empty() {
                    line.push_str(": ");
                }
                line.push_str(part);
            }
        }
        if !self.remedy.is_empty() {
            line.push_str("; ");
            line.push_str(&self.remedy);
        }
        // One line, whatever a library or a file name put into it.
        let words = line.split(['\n', '\r']).map(str::trim).filter(|w| !w.is_empty());
        for (i, word) in words.enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            f.write_str(word)?;
        }
        Ok(())
    }
}

/// Why the library refused its input or stopped.
///
/// `Debug` shows the same line as `Display`, so a program whose `main` returns this error ends with
/// words for people.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Bad input: a file, an option, a shape, a singular metric. Exit status 2.
    Input(Report),
    /// The computation left the finite numbers: the loss or a matrix is NaN or infinite. Exit
    /// status 1.
    Divergence(Report),
}

impl Error {
    /// Bad input.
    ///
    /// ```
    /// use relfisher::Error;
    /// let e = Error::input("net.json", "layers[2].out", "is 0", "give at least one output");
    /// assert_eq!(e.to_string(), "net.json: layers[2].out: is 0; give at least one output");
    /// assert_eq!(e.exit_code(), 2);
    /// ```
    pub fn input(
        file: impl fmt::Display,
        place: impl fmt::Display,
        problem: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Self {
        Error::Input(Report {
            file: file.to_string(),
            place: place.to_string(),
            problem: problem.to_string(),
            remedy: remedy.to_string(),
        })
    }

    /// A run that left the finite numbers at `place` (an epoch, a step).
    pub fn divergence(place: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self::divergence_with(place, problem, "use a smaller learning rate or a larger damping")
    }

    /// A computation that left the finite numbers, or did not converge, with its own remedy.
    pub fn divergence_with(
        place: impl fmt::Display,
        problem: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Self {
        Error::Divergence(Report {
            file: String::new(),
            place: place.to_string(),
            problem: problem.to_string(),
            remedy: remedy.to_string(),
        })
    }

    /// A failed operation of the system on `path` while `doing` (`"read"`, `"write"`, …).
    pub fn io(path: &Path, doing: &str, source: &io::Error) -> Self {
        let remedy = match source.kind() {
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::PermissionDenied => "check the permissions, or choose another path",
            io::ErrorKind::StorageFull => "free some space, or choose another path",
            _ => "check the file and the disk it is on",
        };
        Error::input(path.display(), "", format_args!("cannot {doing}: {source}"), remedy)
    }

    /// A refusal of the core at `place` (a layer, an optimiser). A non-finite number there is a
    /// divergence; the rest is bad input.
    pub fn core(place: impl fmt::Display, source: CoreError) -> Self {
        match source {
            CoreError::NonFinite { .. } => Error::divergence(place, source),
            CoreError::NotPositiveDefinite { block, pivot } => Error::input(
                "",
                place,
                format_args!("matrix {block} is not positive definite (pivot {pivot})"),
                "use a larger damping",
            ),
            CoreError::NoConvergence { .. } => {
                Error::input("", place, source, "use a larger damping")
            }
            CoreError::Parameter { .. } => Error::input("", place, source, "change the setting"),
            _ => Error::input("", place, source, "make the shapes agree"),
        }
    }

    /// The same error with its file set, when none was known below.
    #[must_use]
    pub fn in_file(mut self, file: impl fmt::Display) -> Self {
        let report = self.report_mut();
        if report.file.is_empty() {
            report.file = file.to_string();
        }
        self
    }

    /// The same error with `place` put before the place that is known already.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        let report = self.report_mut();
        report.place = if report.place.is_empty() {
            place.to_string()
        } else {
            format!("{place}: {}", report.place)
        };
        self
    }

    /// The parts of the message.
    pub fn report(&self) -> &Report {
        match self {
            Error::Input(report) | Error::Divergence(report) => report,
        }
    }

    fn report_mut(&mut self) -> &mut Report {
        match self {
            Error::Input(report) | Error::Divergence(report) => report,
        }
    }

    /// The exit status of the program: 2 for bad input, 1 for divergence.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Input(_) => 2,
            Error::Divergence(_) => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report().fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

impl From<CoreError> for Error {
    fn from(source: CoreError) -> Self {
        Error::core("", source)
    }
}

impl From<crate::driver::Error> for Error {
    fn from(source: crate::driver::Error) -> Self {
        Error::input("", "device", &source, source.remedy())
    }
}

/// Turns a refusal of the core into an [`Error`] that says where it happened.
pub trait Context<T> {
    /// See [`Error::core`].
    ///
    /// # Errors
    /// The same failure, with its place.
    fn context(self, place: impl fmt::Display) -> Result<T, Error>;
}

impl<T> Context<T> for Result<T, CoreError> {
    fn context(self, place: impl fmt::Display) -> Result<T, Error> {
        self.map_err(|source| Error::core(place, source))
    }
}

impl<T> Context<T> for Result<T, Error> {
    fn context(self, place: impl fmt::Display) -> Result<T, Error> {
        self.map_err(|source| source.at(place))
    }
}
