//! The class `Network`.

use std::path::PathBuf;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use relfisher::network::{Architecture, BlockKind, Network as Compiled};

use crate::errors::refusal;

/// A network, without its parameters.
#[pyclass(frozen, module = "relfisher")]
pub(crate) struct Network {
    pub(crate) architecture: Architecture,
    /// For the names and shapes of layers, which do not depend on the precision.
    compiled: Compiled<f64>,
}

#[pymethods]
impl Network {
    /// A network from its file (JSON) or from the same content as a dictionary.
    #[new]
    fn new(source: &Bound<'_, PyAny>) -> PyResult<Self> {
        let architecture = if source.is_instance_of::<PyDict>() {
            let text: String =
                source.py().import("json")?.call_method1("dumps", (source,))?.extract()?;
            Architecture::parse(&text).map_err(|e| refusal("source", e))?
        } else {
            let path: PathBuf = source.extract().map_err(|_| {
                PyTypeError::new_err(
                    "source: neither a path nor a dictionary; give the path of a network file, or \
                     json.load of it",
                )
            })?;
            Architecture::load(&path).map_err(|e| refusal("", e))?
        };
        let compiled =
            Compiled::from_architecture(&architecture).map_err(|e| refusal("source", e))?;
        Ok(Self { architecture, compiled })
    }

    /// The layers with parameters: their names in `weights` and in results, in forward order.
    #[getter]
    fn layers(&self) -> Vec<String> {
        self.compiled.blocks().iter().map(|block| block.name.clone()).collect()
    }

    /// The shape (m, d̃) of the parameters [W | b] of each layer; (c, 2) of a batch normalisation.
    #[getter]
    fn shapes(&self) -> Vec<(usize, usize)> {
        self.compiled.blocks().iter().map(|block| (block.rows, block.cols)).collect()
    }

    /// The shape of one sample.
    #[getter]
    fn input_shape(&self) -> Vec<usize> {
        self.architecture.input_shape.clone()
    }

    /// The number of outputs.
    #[getter]
    fn outputs(&self) -> usize {
        self.compiled.outputs()
    }

    /// The number of parameters.
    #[getter]
    fn parameter_count(&self) -> usize {
        self.compiled.parameter_count()
    }

    fn __repr__(&self) -> String {
        let kinds = self.compiled.blocks().iter().map(|block| {
            let kind = match block.kind {
                BlockKind::Linear => "linear",
                BlockKind::Convolution(_) => "conv2d",
                BlockKind::BatchNorm => "batchnorm",
            };
            format!("{} {kind} {}×{}", block.name, block.rows, block.cols)
        });
        format!("Network({})", kinds.collect::<Vec<_>>().join(", "))
    }
}
