//! A linear layer whose outputs have a gradient.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Result, Tensor, Var};
use candle_nn::{Linear, Module, ModuleT};
use relfisher_engine::{LayerSpec, Site};

use crate::view::{Scalar, refused};

/// What a layer saw when it last ran forwards to be trained.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) input: Tensor,
    pub(crate) output: Tensor,
    /// The zeros that were added to the output.
    pub(crate) probe: Var,
}

/// A [`Linear`] layer that remembers the mini-batch it last ran on with `train`. Clones are the same
/// layer: they share weights and memory.
#[derive(Clone, Debug)]
pub struct Probed {
    name: String,
    linear: Linear,
    pub(crate) weight: Var,
    pub(crate) bias: Option<Var>,
    site: Site<f64>,
    record: Arc<Mutex<Option<Record>>>,
}

impl Probed {
    /// Wraps a layer whose weights are variables; `site` is what follows its outputs, and fixes the
    /// metric of relative natural gradient.
    ///
    /// # Errors
    /// Weights that are not variables.
    pub fn new(name: &str, linear: Linear, site: Site<f64>) -> Result<Self> {
        // A variable is taken as it is; anything else would be copied, and training would be lost.
        let variable = |what: &str, tensor: &Tensor| {
            if tensor.is_variable() {
                return Var::from_tensor(tensor);
            }
            let problem = format!("the {what} is not a variable");
            let remedy = "build the layer with VarBuilder::from_varmap";
            Err(refused(relfisher_engine::Error::new(name, problem, remedy)))
        };
        let weight = variable("weight", linear.weight())?;
        let bias = linear.bias().map(|bias| variable("bias", bias)).transpose()?;
        let record = Arc::new(Mutex::new(None));
        Ok(Self { name: name.to_owned(), linear, weight, bias, site, record })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn spec<T: Scalar>(&self) -> Result<LayerSpec<T>> {
        let (outputs, inputs) = self.weight.dims2()?;
        let (name, bias) = (self.name.clone(), self.bias.is_some());
        Ok(LayerSpec { name, inputs, outputs, bias, site: self.site.cast() })
    }

    /// The last mini-batch.
    pub(crate) fn record(&self) -> Option<Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn forget(&self) {
        *self.record.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl ModuleT for Probed {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        let output = self.linear.forward(xs)?;
        if !train {
            return Ok(output);
        }
        let probe = Var::from_tensor(&output.zeros_like()?)?;
        let probed = output.add(probe.as_tensor())?;
        let record = Record { input: xs.detach(), output: output.detach(), probe };
        *self.record.lock().unwrap_or_else(PoisonError::into_inner) = Some(record);
        Ok(probed)
    }
}
