//! Oracles: slow, obvious, in f64, and independent of the formulas that they check.

pub mod curvature;
pub mod dense;
pub use relfisher_accuracy::double_double;
pub mod dual;
pub mod enumeration;
pub mod finite_difference;
pub mod network;
pub mod quadrature;
pub mod response;
