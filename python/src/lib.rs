//! The compiled part of the Python package `relfisher`: curvature of networks through the library of the
//! program `relfisher`, and single formulas of its core, on numpy arrays.
//!
//! | file | what |
//! | --- | --- |
//! | `arrays.rs` | numpy arrays as views, results as numpy arrays |
//! | `errors.rs` | refusals as Python exceptions; the work itself, without the interpreter's lock |
//! | `engine.rs` | the processor's threads, shared by all calls |
//! | `network.rs` | `Network` |
//! | `curvature.rs` | `curvature`, `quantities` |
//! | `algebra.rs` | K-FAC factors and damped steps with them |
//! | `metric.rs` | ν, metrics of layers and exact steps in them |

mod algebra;
mod arrays;
mod curvature;
mod engine;
mod errors;
mod metric;
mod network;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::algebra::{kfac_factors, kron_apply, precondition};
    #[pymodule_export]
    use super::curvature::{curvature, quantities};
    #[pymodule_export]
    use super::errors::DivergenceError;
    #[pymodule_export]
    use super::metric::{layer_metric, layer_step, nu, softmax_step, unpack};
    #[pymodule_export]
    use super::network::Network;

    #[pymodule_export]
    #[expect(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
