//! The optimiser.

use candle_core::backprop::GradStore;
use candle_core::{DType, Error, Result, Tensor, Var};
use relfisher_engine::{Affine, Backend, Capture, Config, Portable};

use crate::Probed;
use crate::probe::Record;
use crate::view::{Host, Scalar, refused};

/// What [`candle_nn::Optimizer::new`] is told.
#[derive(Clone, Debug)]
pub struct Settings<T> {
    /// The layers, in any order.
    pub layers: Vec<Probed>,
    /// Rates, damping and method.
    pub config: Config<T>,
}

/// K-FAC or relative natural gradient descent over [`Probed`] layers.
///
/// [`candle_nn::Optimizer::step`] takes the gradients of the loss of the mini-batch that the layers
/// last ran on with `train`: run anything else after the step, or without `train`.
#[derive(Debug)]
pub struct NaturalGradient<T, B = Portable> {
    layers: Vec<Probed>,
    engine: relfisher_engine::NaturalGradient<T, B>,
}

fn missing(place: &str, problem: &str) -> Error {
    let remedy =
        "run every layer with forward_t(x, true), then step with the gradients of that loss";
    refused(relfisher_engine::Error::new(place, problem, remedy))
}

/// An output of a backward pass, or none.
fn gradient<'a>(gradients: &'a GradStore, variable: &Var) -> Option<&'a Tensor> {
    gradients.get(variable.as_tensor())
}

impl<T: Scalar, B: Backend<T>> NaturalGradient<T, B> {
    /// An optimiser on a backend of one's own.
    ///
    /// # Errors
    /// Settings outside of their domains; layers of another type than `T`.
    pub fn with_backend(settings: Settings<T>, backend: B) -> Result<Self> {
        let Settings { layers, config } = settings;
        let mut specs = Vec::with_capacity(layers.len());
        for layer in &layers {
            if layer.weight.dtype() != T::DTYPE {
                let problem =
                    format!("it is {:?}, the optimiser {:?}", layer.weight.dtype(), T::DTYPE);
                let remedy = "use one type for model, data and optimiser";
                return Err(refused(relfisher_engine::Error::new(layer.name(), problem, remedy)));
            }
            specs.push(layer.spec()?);
        }
        let engine = relfisher_engine::NaturalGradient::new(specs, config, backend);
        Ok(Self { layers, engine: engine.map_err(refused)? })
    }

    /// Takes the curvature of the mini-batch that the layers last ran on, from the gradients of a
    /// loss of it: for K-FAC one for labels drawn from the model ([`sampled_labels`]). Without this
    /// call a step takes it from its own gradients.
    ///
    /// # Errors
    /// A layer that did not run with `train`; gradients of another batch; shapes or types that do not
    /// fit; numbers that are not finite; singular curvature: each names layer and remedy.
    pub fn observe(&mut self, gradients: &GradStore) -> Result<()> {
        let mut hosts = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let name = layer.name();
            let Some(Record { input, output, probe }) = layer.record() else {
                return Err(missing(name, "the layer has run on no mini-batch"));
            };
            let delta = gradient(gradients, &probe)
                .ok_or_else(|| missing(name, "the gradient of the outputs is missing"))?;
            hosts.push([
                Host::new(name, &input)?,
                Host::new(name, &output)?,
                Host::new(name, delta)?,
            ]);
        }
        let reads: Vec<_> = hosts.iter().map(|h| h.each_ref().map(Host::read)).collect();
        let mut captures = Vec::with_capacity(reads.len());
        for [input, output, delta] in &reads {
            captures.push(Capture {
                input: input.matrix()?,
                output: Some(output.matrix()?),
                output_gradient: Some(delta.matrix()?),
            });
        }
        self.engine.observe(&captures).map_err(refused)
    }

    /// Whether the next mini-batch's curvature will be looked at.
    pub fn is_due(&self) -> bool {
        self.engine.is_due()
    }

    /// K-FAC's moving averages (A, G) of a layer, (d + 1)² and m² numbers, row-major; of the input
    /// and of the output side.
    pub fn factors(&self, layer: usize) -> Option<(Vec<T>, Vec<T>)> {
        let (a, g) = self.engine.factors(layer)?;
        let copy = |m: relfisher_engine::MatRef<'_, T>| m.data().to_vec();
        Some((copy(a), copy(g)))
    }

    /// A step: what [`candle_nn::Optimizer::step`] does, on any backend.
    ///
    /// # Errors
    /// Those of [`NaturalGradient::observe`]; the gradient of a weight or bias that is missing.
    pub fn apply(&mut self, gradients: &GradStore) -> Result<()> {
        if !self.engine.is_fresh() {
            self.observe(gradients)?;
        }
        let mut hosts = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let name = layer.name();
            let pair = |variable: &Var, what: &str| {
                let gradient = gradient(gradients, variable).ok_or_else(|| {
                    missing(name, &format!("the gradient of the {what} is missing"))
                })?;
                Ok::<_, Error>([Host::new(name, gradient)?, Host::new(name, variable.as_tensor())?])
            };
            let bias = layer.bias.as_ref().map(|bias| pair(bias, "bias")).transpose()?;
            hosts.push((pair(&layer.weight, "weight")?, bias));
        }
        let (mut slopes, mut values) = (Vec::new(), Vec::new());
        {
            let reads: Vec<_> = hosts
                .iter()
                .map(|(w, b)| {
                    (w.each_ref().map(Host::read), b.as_ref().map(|b| b.each_ref().map(Host::read)))
                })
                .collect();
            for ([g, w], bias) in &reads {
                let (slope, value) = match bias {
                    Some([g, b]) => (Some(g.matrix()?), Some(b.matrix()?)),
                    None => (None, None),
                };
                slopes.push(Affine { weight: g.matrix()?, bias: slope });
                values.push(Affine { weight: w.matrix()?, bias: value });
            }
            self.engine.step(&slopes, &values).map_err(refused)?;
        }
        for (k, layer) in self.layers.iter().enumerate() {
            let update = self.engine.update(k).map_err(refused)?;
            add(&layer.weight, update.weight)?;
            if let (Some(bias), Some(update)) = (&layer.bias, update.bias) {
                add(bias, update)?;
            }
            // What was seen belongs to weights that are no more.
            layer.forget();
        }
        Ok(())
    }
}

/// `variable ← variable + update`.
fn add<T: Scalar>(variable: &Var, update: relfisher_engine::MatRef<'_, T>) -> Result<()> {
    let elements =
        (0..update.rows()).flat_map(|i| (0..update.cols()).map(move |j| update.at(i, j)));
    let update = Tensor::from_iter(elements, variable.device())?.reshape(variable.shape())?;
    variable.set(&variable.add(&update)?)
}

impl<T: Scalar> candle_nn::Optimizer for NaturalGradient<T> {
    type Config = Settings<T>;

    /// `vars` are the variables to train: each must belong to one of the layers, and all of the
    /// layers' must be among them.
    fn new(vars: Vec<Var>, settings: Settings<T>) -> Result<Self> {
        let id = |var: &Var| var.as_tensor().id();
        let owned = |layer: &Probed| {
            std::iter::once(&layer.weight).chain(&layer.bias).map(id).collect::<Vec<_>>()
        };
        let of_layers: Vec<_> = settings.layers.iter().flat_map(owned).collect();
        let foreign =
            vars.iter().filter(|var| var.dtype().is_float() && !of_layers.contains(&id(var)));
        let (foreign, given) = (foreign.count(), vars.iter().map(id).collect::<Vec<_>>());
        let absent = of_layers.iter().filter(|id| !given.contains(id)).count();
        if foreign + absent > 0 {
            let problem = format!(
                "{foreign} belong to no probed layer, {absent} of the layers' are not among them"
            );
            let remedy = "wrap every trained layer in Probed, and train the others with an optimiser of their own";
            return Err(refused(relfisher_engine::Error::new("variables", problem, remedy)));
        }
        Self::with_backend(settings, Portable)
    }

    fn step(&mut self, gradients: &GradStore) -> Result<()> {
        self.apply(gradients)
    }

    fn learning_rate(&self) -> f64 {
        relfisher_engine::Real::to_f64(self.engine.config().learning_rate)
    }

    /// A rate that is not finite and above 0 is not taken.
    fn set_learning_rate(&mut self, lr: f64) {
        // The trait has no way to refuse.
        let _ = self.engine.set_learning_rate(<T as relfisher_engine::Real>::from_f64(lr));
    }
}

/// One class for each row of logits (n × C), drawn from its soft-max; `uniform` returns numbers in
/// [0, 1).
///
/// # Errors
/// Logits that are no matrix of f32 or f64.
pub fn sampled_labels(logits: &Tensor, uniform: &mut dyn FnMut() -> f64) -> Result<Tensor> {
    let host = Host::new("logits", logits)?;
    let read = host.read();
    let classes = match logits.dtype() {
        DType::F32 => relfisher_engine::sample_classes(read.matrix::<f32>()?, uniform),
        _ => relfisher_engine::sample_classes(read.matrix::<f64>()?, uniform),
    };
    Tensor::new(classes, logits.device())
}
