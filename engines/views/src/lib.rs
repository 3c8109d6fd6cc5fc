//! Matrices of `ndarray`, `nalgebra` and `faer` as views of [`relfisher_core`], and the way back,
//! without a copy: one module for each library, behind a feature of its name.
//!
//! | function of each module | what it does |
//! | --- | --- |
//! | `view`, `view_mut` | a whole matrix, or a part that leaves no gaps in memory, as [`MatRef`], [`MatMut`] |
//! | `layout` | where a matrix lies: for parts with gaps, see [`Layout`] |
//! | `of`, `of_mut` | a core view as one of the library's |
//!
//! A core view is a slice with strides, so it covers the gaps between its elements. What lies in the gaps
//! of a foreign view may be somebody else's (the odd columns of a matrix, say, which another thread
//! writes): a slice over it would be undefined behaviour. Such a part is therefore viewed within the
//! slice that it is a part of, which proves that the gaps belong to the caller:
//!
//! ```
//! # #[cfg(feature = "ndarray")] {
//! use ndarray::{array, s};
//! use relfisher_views::ndarray::{layout, view};
//! let a = array![[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]];
//! assert_eq!(view(&a).unwrap().at(1, 3), 8.0);
//! let even = a.slice(s![.., ..;2]);
//! assert!(view(&even).is_err());
//! let even = layout(&even).within(a.as_slice().unwrap()).unwrap();
//! assert_eq!((even.at(0, 1), even.at(1, 0), even.col_stride()), (3.0, 5.0, 2));
//! # }
//! ```
//!
//! `ndarray` gives dense memory as a slice; for `nalgebra` and `faer` these modules make it, in the only
//! `unsafe` blocks of the crate, from dense matrices alone.
//!
//! Metrics, `gram`, K-FAC and EKFAC of the core want contiguous rows, and `nalgebra` and `faer` store columns:
//! hold samples as columns, and the view's [`t`](MatRef::t) has one sample a row. The modules of the two have
//! an example each.
//!
//! Refused, in one line with the remedy: negative strides (core's are not), outputs whose elements share
//! places, parts outside of the slice, gaps without a slice, padding.

use std::fmt;

pub use relfisher_core::{MatMut, MatRef, Real};

#[cfg(feature = "faer")]
#[allow(unsafe_code)]
pub mod faer;
mod layout;
#[cfg(feature = "nalgebra")]
#[allow(unsafe_code)]
pub mod nalgebra;
#[cfg(feature = "ndarray")]
pub mod ndarray;

pub use layout::Layout;

/// Why a matrix cannot be viewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ViewError {
    /// A stride is negative: (down, across), in elements.
    Negative(isize, isize),
    /// Elements of an output share places, or its strides are of no supported order.
    Overlap,
    /// There are places between the elements that may not be the caller's, or an input repeats some
    /// (a broadcast).
    Gaps,
    /// Between the columns of a `faer` matrix (or its rows, transposed) are places: the padding of an owned
    /// [`Mat`](https://docs.rs/faer/latest/faer/mat/struct.Mat.html), which was never written, or the rest
    /// of what it is a part of.
    Padded,
    /// The matrix is not within the slice, or not a whole number of elements away from its start.
    Outside,
}

impl fmt::Display for ViewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Negative(down, across) => write!(
                f,
                "matrix: the strides {down} and {across} are not both positive; undo the reversal, or copy"
            ),
            Self::Overlap => f.write_str("matrix: elements of an output share places; copy it first"),
            Self::Gaps => f.write_str(
                "matrix: there are gaps between its elements, or it repeats some; use layout(…).within the slice it is a part of",
            ),
            Self::Padded => f.write_str(
                "matrix: its columns are padded, as those of an owned faer::Mat; hold the numbers in a slice and use MatMut::from_column_major_slice_mut, or for a part layout(…).within the slice it is a part of",
            ),
            Self::Outside => f.write_str(
                "matrix: it is not a part of the slice; give the slice that it was made of",
            ),
        }
    }
}

impl std::error::Error for ViewError {}
