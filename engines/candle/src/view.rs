//! Tensors of candle on the CPU as views, where candle stores them.

use std::ops::Deref;

use candle_core::{Device, Error, Result, Storage, Tensor, WithDType};
use relfisher_engine::{MatRef, Real};

/// f32 or f64.
pub trait Scalar: Real + WithDType {}

impl Scalar for f32 {}
impl Scalar for f64 {}

/// A line of the engine's as an error of candle's.
pub(crate) fn refused(error: relfisher_engine::Error) -> Error {
    Error::Msg(error.to_string())
}

/// A tensor on the CPU (itself, if it was there) of one or two axes.
pub(crate) struct Host {
    tensor: Tensor,
    place: String,
}

impl Host {
    pub(crate) fn new(place: &str, tensor: &Tensor) -> Result<Self> {
        let place = place.to_owned();
        Ok(Self { tensor: tensor.detach().to_device(&Device::Cpu)?, place })
    }

    /// Locks the storage for reading.
    pub(crate) fn read(&self) -> Read<'_, impl Deref<Target = Storage>> {
        let (storage, layout) = self.tensor.storage_and_layout();
        Read { storage, layout, place: &self.place }
    }
}

/// A tensor's storage, locked for reading.
pub(crate) struct Read<'a, S> {
    storage: S,
    layout: &'a candle_core::Layout,
    place: &'a str,
}

impl<S: Deref<Target = Storage>> Read<'_, S> {
    /// The matrix, with candle's strides; a vector is a column.
    pub(crate) fn matrix<T: Scalar>(&self) -> Result<MatRef<'_, T>> {
        let refuse = |problem: String, remedy: &str| {
            refused(relfisher_engine::Error::new(self.place, problem, remedy))
        };
        let Storage::Cpu(storage) = &*self.storage else {
            return Err(refuse("the tensor is not on the CPU".to_owned(), "move it there"));
        };
        let data = storage.as_slice::<T>().map_err(|_| {
            let problem =
                format!("the tensor is {:?}, the optimiser {:?}", storage_dtype(storage), T::DTYPE);
            refuse(problem, "use one type for model, data and optimiser")
        })?;
        let (rows, cols, down, across) = match (self.layout.dims(), self.layout.stride()) {
            (&[rows], &[down]) => (rows, 1, down, 1),
            (&[rows, cols], &[down, across]) => (rows, cols, down, across),
            (dims, _) => {
                let problem = format!("the tensor has shape {dims:?}");
                return Err(refuse(problem, "flatten each sample to one row"));
            }
        };
        let data = data.get(self.layout.start_offset()..).unwrap_or(&[]);
        MatRef::with_strides(data, rows, cols, down, across)
            .map_err(|e| refused(relfisher_engine::Error::core(self.place, e)))
    }
}

fn storage_dtype(storage: &candle_core::CpuStorage) -> candle_core::DType {
    use candle_core::backend::BackendStorage;
    storage.dtype()
}
