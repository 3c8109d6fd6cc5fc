//! The optimiser.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Gradients, Int, Tensor, TensorData};
use relfisher_engine::{
    Affine, Backend, Capture, Config, Error, LayerSpec, MatRef, Portable, Site,
};

use crate::trace::{Host, Record, Scalar, Trace};

/// K-FAC or relative natural gradient descent over [`Linear`] layers.
#[derive(Clone, Debug)]
pub struct NaturalGradient<T, B = Portable> {
    names: Vec<String>,
    engine: relfisher_engine::NaturalGradient<T, B>,
}

fn missing(place: &str, what: &str) -> Error {
    let remedy = "run every layer through the trace, then step with the gradients of that loss";
    Error::new(place, format_args!("the gradient of the {what} is missing"), remedy)
}

impl<T: Scalar> NaturalGradient<T> {
    /// An optimiser for layers with a name and what follows their outputs.
    ///
    /// # Errors
    /// Settings outside of their domains; no layers.
    pub fn new(layers: &[(&str, &Linear, Site<f64>)], config: Config<T>) -> Result<Self, Error> {
        Self::with_backend(layers, config, Portable)
    }
}

impl<T: Scalar, B: Backend<T>> NaturalGradient<T, B> {
    /// An optimiser whose products are those of another backend.
    ///
    /// # Errors
    /// Those of [`NaturalGradient::new`].
    pub fn with_backend(
        layers: &[(&str, &Linear, Site<f64>)],
        config: Config<T>,
        backend: B,
    ) -> Result<Self, Error> {
        let spec = |(name, layer, site): &(&str, &Linear, Site<f64>)| {
            let [inputs, outputs] = layer.weight.val().dims();
            let (name, bias) = ((*name).to_owned(), layer.bias.is_some());
            LayerSpec { name, inputs, outputs, bias, site: site.cast() }
        };
        let specs: Vec<LayerSpec<T>> = layers.iter().map(spec).collect();
        let names = specs.iter().map(|s| s.name.clone()).collect();
        let engine = relfisher_engine::NaturalGradient::new(specs, config, backend)?;
        Ok(Self { names, engine })
    }

    /// Whether the next mini-batch's curvature will be looked at.
    pub fn is_due(&self) -> bool {
        self.engine.is_due()
    }

    /// Sets γ.
    ///
    /// # Errors
    /// Unless it is finite and above 0.
    pub fn set_learning_rate(&mut self, rate: T) -> Result<(), Error> {
        self.engine.set_learning_rate(rate)
    }

    /// K-FAC's moving averages (A, G) of a layer, (d + 1)² and m² numbers, row-major.
    pub fn factors(&self, layer: usize) -> Option<(Vec<T>, Vec<T>)> {
        let (a, g) = self.engine.factors(layer)?;
        Some((a.data().to_vec(), g.data().to_vec()))
    }

    /// Takes the curvature of a mini-batch from its trace and the gradients of a loss of it: for
    /// K-FAC one for labels drawn from the model ([`sampled_labels`]). Without this call a step takes
    /// it from its own.
    ///
    /// # Errors
    /// Another number of runs than layers; gradients of another trace; shapes or types that do not
    /// fit; numbers that are not finite; singular curvature: each names layer and remedy.
    pub fn observe(&mut self, trace: &Trace, gradients: &Gradients) -> Result<(), Error> {
        let mut hosts = Vec::with_capacity(trace.records.len());
        let unnamed = "trace".to_owned();
        for (k, Record { input, output, probe }) in trace.records.iter().enumerate() {
            let name = self.names.get(k).unwrap_or(&unnamed);
            let delta = probe.grad(gradients).ok_or_else(|| missing(name, "outputs"))?;
            hosts.push([
                Host::new(name, input.clone())?,
                Host::new(name, output.clone())?,
                Host::new(name, delta)?,
            ]);
        }
        let mut captures = Vec::with_capacity(hosts.len());
        for [input, output, delta] in &hosts {
            captures.push(Capture {
                input: input.matrix()?,
                output: Some(output.matrix()?),
                output_gradient: Some(delta.matrix()?),
            });
        }
        self.engine.observe(&captures)
    }

    /// One step of all layers, in the order of [`NaturalGradient::new`]. After a refusal no layer has
    /// moved.
    ///
    /// # Errors
    /// Those of [`NaturalGradient::observe`]; another number of layers; the gradient of a weight or
    /// bias that is missing.
    pub fn step(
        &mut self,
        trace: &Trace,
        gradients: &Gradients,
        layers: &mut [&mut Linear],
    ) -> Result<(), Error> {
        if !self.engine.is_fresh() {
            self.observe(trace, gradients)?;
        }
        let mut hosts = Vec::with_capacity(layers.len());
        let unnamed = "layers".to_owned();
        for (k, layer) in layers.iter().enumerate() {
            let name = self.names.get(k).unwrap_or(&unnamed);
            let weight = both(name, "weight", &layer.weight, gradients)?;
            let bias = layer.bias.as_ref().map(|b| both(name, "bias", b, gradients)).transpose()?;
            hosts.push((weight, bias));
        }
        let (mut slopes, mut values) = (Vec::new(), Vec::new());
        for ([slope, value], bias) in &hosts {
            let (bias_slope, bias_value) = match bias {
                Some([slope, value]) => (Some(slope.matrix()?), Some(value.matrix()?)),
                None => (None, None),
            };
            // burn's weights are d × m.
            slopes.push(Affine { weight: slope.matrix()?.t(), bias: bias_slope });
            values.push(Affine { weight: value.matrix()?.t(), bias: bias_value });
        }
        self.engine.step(&slopes, &values)?;
        for (k, layer) in layers.iter_mut().enumerate() {
            let update = self.engine.update(k)?;
            add(&mut layer.weight, update.weight.t());
            if let (Some(bias), Some(update)) = (&mut layer.bias, update.bias) {
                add(bias, update);
            }
        }
        Ok(())
    }
}

/// A parameter's gradient and value.
fn both<const D: usize>(
    name: &str,
    what: &str,
    param: &Param<Tensor<D>>,
    gradients: &Gradients,
) -> Result<[Host; 2], Error> {
    let value = param.val();
    let slope = value.grad(gradients).ok_or_else(|| missing(name, what))?;
    Ok([Host::new(name, slope)?, Host::new(name, value.inner())?])
}

/// `param ← param + update`.
fn add<T: Scalar, const D: usize>(param: &mut Param<Tensor<D>>, update: MatRef<'_, T>) {
    let rows = (0..update.rows()).flat_map(|i| (0..update.cols()).map(move |j| update.at(i, j)));
    let rows: Vec<T> = rows.collect();
    *param = param.clone().map(|value| {
        let (shape, inner) = (value.dims(), value.inner());
        let update = TensorData::new(rows, shape);
        let update = Tensor::<D>::from_data(update, (&inner.device(), inner.dtype()));
        (inner + update).autodiff().require_grad()
    });
}

/// One class for each row of logits (n × C), drawn from its soft-max; `uniform` returns numbers in
/// [0, 1).
///
/// # Errors
/// Logits of another type than `T`.
pub fn sampled_labels<T: Scalar>(
    logits: &Tensor<2>,
    uniform: &mut dyn FnMut() -> f64,
) -> Result<Tensor<1, Int>, Error> {
    let host = Host::new("logits", logits.clone().inner())?;
    let classes = relfisher_engine::sample_classes(host.matrix::<T>()?, uniform);
    let classes: Vec<i64> = classes.into_iter().map(i64::from).collect();
    let shape = [classes.len()];
    Ok(Tensor::from_data(TensorData::new(classes, shape), &logits.device()))
}
