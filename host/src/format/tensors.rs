//! Named tensors in safetensors files.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, View};

use super::atomic::write_bytes;
use crate::{Error, Scalar};

/// A tensor of any shape, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<T> {
    /// The length of each dimension.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Vec<T>,
}

impl<T: Scalar> Tensor<T> {
    /// Checks that all elements are numbers.
    ///
    /// # Errors
    /// The tensor, by its name in the file, and the first element that is not.
    pub fn check_finite(&self, name: &str) -> Result<(), Error> {
        let Some(k) = self.data.iter().position(|x| !x.is_finite()) else { return Ok(()) };
        let problem = format_args!("element {k} is {} as {}", self.data[k], T::NAME);
        Err(Error::input("", format_args!("tensor {name:?}"), problem, "repair the file"))
    }
}

/// The content of a safetensors file of floating-point tensors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorFile<T> {
    /// The tensors by name.
    pub tensors: BTreeMap<String, Tensor<T>>,
    /// A text that travels with them, under the metadata key `relfisher`.
    pub note: Option<String>,
}

/// The only metadata key, so that equal content gives equal bytes.
const NOTE: &str = "relfisher";

impl<T: Scalar> TensorFile<T> {
    /// An empty file.
    pub fn new() -> Self {
        Self { tensors: BTreeMap::new(), note: None }
    }

    /// Adds a tensor, or replaces the one of that name.
    pub fn insert(&mut self, name: impl Into<String>, shape: &[usize], data: Vec<T>) {
        self.tensors.insert(name.into(), Tensor { shape: shape.to_vec(), data });
    }

    /// Reads a file; `f32` and `f64` tensors both become `T`.
    ///
    /// # Errors
    /// A file that cannot be read or is not safetensors; a tensor of another type, by name.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", &e))?;
        Self::parse(&bytes).map_err(|e| e.in_file(path.display()))
    }

    /// [`TensorFile::load`] of the tensors whose names `wanted` accepts; the others may be of any
    /// type.
    ///
    /// # Errors
    /// As [`TensorFile::load`].
    pub fn load_some(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", &e))?;
        Self::parse_some(&bytes, wanted).map_err(|e| e.in_file(path.display()))
    }

    /// The bytes of all elements.
    pub fn bytes(&self) -> usize {
        self.tensors.values().map(|tensor| tensor.data.len() * size_of::<T>()).sum()
    }

    /// [`TensorFile::load`] for bytes that are at hand.
    ///
    /// # Errors
    /// As [`TensorFile::load`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::parse_some(bytes, |_| true)
    }

    fn parse_some(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Result<Self, Error> {
        let damaged = |e: safetensors::SafeTensorError| {
            Error::input(
                "",
                "header",
                format_args!("not a whole safetensors file: {e}"),
                "write or fetch the file again",
            )
        };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let note = metadata.metadata().as_ref().and_then(|m| m.get(NOTE)).cloned();
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter().filter(|(name, _)| wanted(name)) {
            tensors.insert(name.to_owned(), decode(name, &view)?);
        }
        Ok(Self { tensors, note })
    }

    /// The bytes of the file: little-endian, tensors in the order of their names.
    ///
    /// # Errors
    /// A tensor whose data does not fill its shape.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        for (name, Tensor { shape, data }) in &self.tensors {
            let count = shape.iter().try_fold(1_usize, |p, &side| p.checked_mul(side));
            if count != Some(data.len()) {
                let problem = format_args!("{} numbers do not fill shape {shape:?}", data.len());
                let place = format_args!("tensor {name:?}");
                return Err(Error::input("", place, problem, "make the data fill the shape"));
            }
        }
        let views = self.tensors.iter().map(|(name, tensor)| (name, Encoded(tensor)));
        let note = self.note.clone().map(|note| HashMap::from([(NOTE.to_owned(), note)]));
        safetensors::serialize(views, note)
            .map_err(|e| Error::input("", "tensors", e, "write fewer or smaller tensors"))
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// Those of [`TensorFile::to_bytes`] and [`super::write_atomic`].
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        write_bytes(path, &self.to_bytes().map_err(|e| e.in_file(path.display()))?)
    }

    /// Takes the tensor `name` of shape `shape` out of the file, all its numbers finite.
    ///
    /// # Errors
    /// A tensor that is missing, has another shape, or holds NaN or infinity (also when an `f64`
    /// is too large for `f32`): by name.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<T>, Error> {
        let bad = |problem: String, remedy: &str| {
            Err(Error::input("", format_args!("tensor {name:?}"), problem, remedy))
        };
        let Some(tensor) = self.tensors.remove(name) else {
            return bad("is missing".into(), "give the file that belongs to this network");
        };
        if tensor.shape != shape {
            return bad(
                format!("has shape {:?}, but {shape:?} is needed", tensor.shape),
                "give the file that belongs to this network",
            );
        }
        tensor.check_finite(name)?;
        Ok(tensor.data)
    }
}

/// A tensor as the file has it: without a copy where the machine is little-endian as well.
struct Encoded<'a, T>(&'a Tensor<T>);

impl<T: Scalar> View for Encoded<'_, T> {
    fn dtype(&self) -> Dtype {
        T::DTYPE
    }

    fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        if cfg!(target_endian = "little") {
            return Cow::Borrowed(pulp::bytemuck::cast_slice(&self.0.data));
        }
        let mut out = Vec::with_capacity(self.data_len());
        self.0.data.iter().for_each(|x| x.write_le(&mut out));
        Cow::Owned(out)
    }

    fn data_len(&self) -> usize {
        self.0.data.len() * size_of::<T>()
    }
}

fn decode<T: Scalar>(name: &str, view: &TensorView<'_>) -> Result<Tensor<T>, Error> {
    let bytes = view.data();
    let data = match view.dtype() {
        Dtype::F32 => bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| T::from_f64(f64::from(f32::from_le_bytes(*b))))
            .collect(),
        Dtype::F64 => {
            bytes.as_chunks::<8>().0.iter().map(|b| T::from_f64(f64::from_le_bytes(*b))).collect()
        }
        other => {
            return Err(Error::input(
                "",
                format_args!("tensor {name:?}"),
                format_args!("has type {other:?}"),
                "store it as F32 or F64",
            ));
        }
    };
    Ok(Tensor { shape: view.shape().to_vec(), data })
}
