//! Elementary functions of the core: polynomials of its own, one body for `f32` and `f64`.

mod sigmoid;

pub use sigmoid::{sech2, sigm_complement, sigm_variance, softplus};
