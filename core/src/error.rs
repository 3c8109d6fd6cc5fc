//! The one error type of the core: small, `Copy`, and naming the place of the failure.

use core::fmt;

/// Why a routine of the core refused its input or could not finish.
///
/// Every routine checks shapes and workspace before it writes anything. After any other error the
/// outputs are unspecified (but initialised) and the call may be repeated with other input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The argument `what` has `found` elements, rows or columns where `expected` are needed.
    Shape {
        /// The argument and dimension, e.g. `"gemm: columns of a"`.
        what: &'static str,
        /// The length that the other arguments imply.
        expected: usize,
        /// The length that was passed.
        found: usize,
    },
    /// The argument `what` has strides that overlap, overflow, leave its slice, or that the routine
    /// does not support (an output whose rows are not contiguous, say).
    Layout {
        /// The argument.
        what: &'static str,
    },
    /// The scratch slice `work` holds `found` elements, fewer than the `needed` ones.
    Workspace {
        /// What the routine's `…_workspace_len` returns for these shapes.
        needed: usize,
        /// The length of the slice that was passed.
        found: usize,
    },
    /// An input element is NaN or infinite.
    NonFinite {
        /// The argument.
        what: &'static str,
        /// The position: row-major index of the first such element.
        index: usize,
    },
    /// A matrix that must be positive definite is not: add damping.
    NotPositiveDefinite {
        /// The matrix of a batch (the neuron of a layer); 0 for a single matrix.
        block: usize,
        /// The pivot (row) at which the factorisation stopped.
        pivot: usize,
    },
    /// An iteration did not converge.
    NoConvergence {
        /// The sweeps or iterations that were spent.
        iterations: usize,
    },
    /// The machine behind a [`Backend`](crate::Backend) failed; it knows why.
    Backend {
        /// The operation.
        what: &'static str,
    },
    /// A scalar parameter is outside its domain.
    Parameter {
        /// The parameter and its domain, e.g. `"damping must be finite and >= 0"`.
        what: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::Shape { what, expected, found } => {
                write!(f, "{what}: expected {expected}, found {found}")
            }
            Error::Layout { what } => write!(f, "{what}: unsupported or invalid strides"),
            Error::Workspace { needed, found } => {
                write!(f, "workspace too small: {needed} elements needed, {found} given")
            }
            Error::NonFinite { what, index } => {
                write!(f, "{what}: element {index} is not finite")
            }
            Error::NotPositiveDefinite { block, pivot } => write!(
                f,
                "matrix {block} is not positive definite (pivot {pivot}): use a larger damping"
            ),
            Error::NoConvergence { iterations } => {
                write!(f, "no convergence after {iterations} iterations")
            }
            Error::Backend { what } => write!(f, "{what}: the machine failed"),
            Error::Parameter { what } => f.write_str(what),
        }
    }
}

impl core::error::Error for Error {}

/// `Ok` when `found == expected`, else [`Error::Shape`].
#[inline]
pub(crate) fn check_len(what: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found { Ok(()) } else { Err(Error::Shape { what, expected, found }) }
}

/// The first `needed` elements of `work`, or [`Error::Workspace`].
#[inline]
pub(crate) fn take_work<T>(work: &mut [T], needed: usize) -> Result<&mut [T], Error> {
    let found = work.len();
    work.get_mut(..needed).ok_or(Error::Workspace { needed, found })
}
