//! What the layers saw of a mini-batch.

use burn::nn::Linear;
use burn::tensor::{Element, Tensor, TensorData};
use relfisher_engine::{Error, MatRef, Real};

/// f32 or f64.
pub trait Scalar: Real + Element {}

impl Scalar for f32 {}
impl Scalar for f64 {}

/// One layer's run.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) input: Tensor<2>,
    pub(crate) output: Tensor<2>,
    /// The zeros that were added to the output.
    pub(crate) probe: Tensor<2>,
}

/// The runs of all layers on one mini-batch, in the order of the optimiser's layers.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub(crate) records: Vec<Record>,
}

impl Trace {
    /// Nothing has run.
    pub const fn new() -> Self {
        Self { records: Vec::new() }
    }

    /// `x W + b`, taken note of. Shape: x n × d.
    ///
    /// # Errors
    /// An x of another width; one that is not on an autodiff device.
    pub fn linear(&mut self, layer: &Linear, x: Tensor<2>) -> Result<Tensor<2>, Error> {
        let place = format!("run {} of the trace", self.records.len());
        let ([_, found], [wanted, _]) = (x.dims(), layer.weight.val().dims());
        if found != wanted {
            let problem = format!("the input has {found} columns, the layer {wanted} inputs");
            return Err(Error::new(place, problem, "hand over one row a sample"));
        }
        let input = x.clone().inner();
        let output = layer.forward(x);
        if !output.is_autodiff() {
            let problem = "the layer is not on an autodiff device";
            return Err(Error::new(place, problem, "make model and data on device.autodiff()"));
        }
        let inner = output.clone().inner();
        let probe = inner.zeros_like().autodiff().require_grad();
        self.records.push(Record { input, output: inner, probe: probe.clone() });
        Ok(output + probe)
    }
}

/// A tensor's numbers on the host.
pub(crate) struct Host {
    data: TensorData,
    place: String,
}

impl Host {
    pub(crate) fn new<const D: usize>(place: &str, tensor: Tensor<D>) -> Result<Self, Error> {
        let data = tensor.try_into_data().map_err(|e| {
            Error::new(place, format_args!("the tensor cannot be read: {e}"), "check the device")
        })?;
        Ok(Self { data, place: place.to_owned() })
    }

    /// The matrix; a vector is a column.
    pub(crate) fn matrix<T: Scalar>(&self) -> Result<MatRef<'_, T>, Error> {
        let data = self.data.as_slice::<T>().map_err(|_| {
            let found = self.data.dtype();
            let problem = format!("the tensor is {found:?}, the optimiser {:?}", T::dtype());
            Error::new(&self.place, problem, "use one type for model, data and optimiser")
        })?;
        let (rows, cols) = match &self.data.shape()[..] {
            [rows] => (*rows, 1),
            [rows, cols] => (*rows, *cols),
            other => (other.iter().product(), 1),
        };
        MatRef::new(data, rows, cols).map_err(|e| Error::core(&self.place, e))
    }
}
