//! Oracles, tolerances and helpers for the tests of relfisher.
//!
//! - [`tolerance`]: the only home of tolerances, with a reason for each.
//! - [`oracle`]: slow, obvious computations that share no formula with what they check.
//! - [`problem`]: networks with data; [`compare`]: error measures and assertions; [`random`]: deterministic inputs;
//!   [`real`]: NaN-filled buffers and the macro that stamps a test for both dtypes.

pub mod compare;
pub mod golden;
pub mod layer;
pub mod oracle;
pub mod problem;
pub mod random;
pub mod real;
pub mod routines;
pub mod tolerance;

/// The README's program, compiled and run as a documentation test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// That of `relfisher-core`.
#[cfg(doctest)]
#[doc = include_str!("../../core/README.md")]
pub struct CoreReadme;

/// That of `relfisher`.
#[cfg(doctest)]
#[doc = include_str!("../../host/README.md")]
pub struct HostReadme;
