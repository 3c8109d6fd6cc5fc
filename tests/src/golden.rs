//! Reads the golden cases of `tests/golden` (see its `CONVENTIONS.md`).

use crate::oracle::dense::Matrix;
use safetensors::{Dtype, SafeTensors};
use std::path::PathBuf;

/// A tensor in f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its elements, row-major.
    pub data: Vec<f64>,
}

impl Tensor {
    /// The elements `i` of the first axis: (n, …) as n slices.
    pub fn outer(&self) -> impl Iterator<Item = &[f64]> {
        let step = self.shape.iter().skip(1).product::<usize>().max(1);
        self.data.chunks_exact(step)
    }

    /// A matrix, when it has two axes.
    ///
    /// # Panics
    /// When it has not.
    pub fn matrix(&self) -> Matrix {
        assert_eq!(self.shape.len(), 2, "axes of a matrix");
        Matrix::new(self.shape[0], self.shape[1], self.data.clone())
    }
}

/// The path of a file under `tests/golden`.
pub fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(file)
}

/// The bytes of a file under `tests/golden`.
///
/// # Panics
/// When it cannot be read.
pub fn bytes(file: &str) -> Vec<u8> {
    std::fs::read(path(file)).unwrap_or_else(|e| panic!("golden/{file}: {e}"))
}

/// All tensors of a safetensors file of f64 or i64 elements.
#[derive(Clone, Debug)]
pub struct Case {
    file: String,
    tensors: Vec<(String, Tensor)>,
}

impl Case {
    /// Reads `tests/golden/<file>`.
    ///
    /// # Panics
    /// When it is missing, damaged or holds another dtype.
    pub fn read(file: &str) -> Self {
        let buffer = bytes(file);
        let parsed = SafeTensors::deserialize(&buffer).unwrap_or_else(|e| panic!("{file}: {e}"));
        let tensors = parsed
            .tensors()
            .into_iter()
            .map(|(name, view)| {
                let eight = |b: &[u8]| <[u8; 8]>::try_from(b).expect("eight bytes");
                let elements = view.data().chunks_exact(8);
                let data = match view.dtype() {
                    Dtype::F64 => elements.map(|b| f64::from_le_bytes(eight(b))).collect(),
                    Dtype::I64 => elements.map(|b| i64::from_le_bytes(eight(b)) as f64).collect(),
                    other => panic!("{file}: {name} has dtype {other:?}"),
                };
                (name, Tensor { shape: view.shape().to_vec(), data })
            })
            .collect();
        Self { file: file.to_owned(), tensors }
    }

    /// The tensor of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn get(&self, name: &str) -> &Tensor {
        self.find(name).unwrap_or_else(|| panic!("{}: no tensor {name}", self.file))
    }

    /// The tensor of this name, if any.
    pub fn find(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|(n, _)| n == name).map(|(_, t)| t)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().map(|(n, _)| n.as_str())
    }
}

/// Reads an `.npy` file of f64 or i64 elements.
///
/// # Panics
/// When it is missing, damaged or holds another dtype.
pub fn read_npy(file: &str) -> Tensor {
    let buffer = bytes(file);
    let npy = npyz::NpyFile::new(&buffer[..]).unwrap_or_else(|e| panic!("{file}: {e}"));
    let shape = npy.shape().iter().map(|d| *d as usize).collect();
    let double = npy.dtype().descr().contains("f8");
    let data = if double {
        npy.into_vec::<f64>()
    } else {
        npy.into_vec::<i64>().map(|v| v.into_iter().map(|x| x as f64).collect())
    };
    Tensor { shape, data: data.unwrap_or_else(|e| panic!("{file}: {e}")) }
}
