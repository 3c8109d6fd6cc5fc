//! The network file: an ordered list of layers and a loss, as JSON.

mod layer;
mod shape;

use std::collections::HashSet;
use std::path::Path;

use relfisher_core::metric::neuron::Activation;
use serde::{Deserialize, Serialize};

pub use layer::{Layer, TensorNames};
pub use shape::Shape;

use crate::Error;
use layer::{default_eps, default_momentum, parse_layer};

/// The most parameters that a network may have.
const PARAMETER_LIMIT: usize = 1 << 31;

fn default_scale() -> f64 {
    0.5
}

/// The per-sample loss ℓ; the loss of a batch is its mean over the samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Loss {
    /// ℓ = −log softmax(f)_y.
    SoftmaxCrossEntropy,
    /// ℓ = scale · Σ_j (f_j − y_j)².
    Mse {
        /// ½ is the Gaussian of σ = 1.
        #[serde(default = "default_scale")]
        scale: f64,
    },
    /// ℓ = Σ_j −y_j log sigm f_j − (1 − y_j) log(1 − sigm f_j).
    BinaryCrossEntropy,
}

/// Whether [`Architecture::mlp`] puts a batch normalisation between each hidden linear layer and
/// its activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalisation {
    /// No normalisation.
    Plain,
    /// Batch normalisation.
    Batch,
}

/// A network file: input shape, layers in forward order, loss.
///
/// Descriptive fields (`name`, `seed`, `n_samples`, `dtype`, `special`, `digits_rows`,
/// `pooled_2x2`, and `reduction` inside the loss) are read and dropped; any other unknown field is
/// an error.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Architecture {
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The shape of one input.
    pub input_shape: Vec<usize>,
    /// The layers in forward order.
    pub layers: Vec<Layer>,
    /// The loss.
    pub loss: Loss,
}

/// The file as JSON has it, before the layers are looked at one by one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    input_shape: Vec<usize>,
    layers: Vec<serde_json::Value>,
    loss: serde_json::Map<String, serde_json::Value>,
    #[serde(rename = "seed")]
    _seed: Option<serde_json::Value>,
    #[serde(rename = "n_samples")]
    _n_samples: Option<serde_json::Value>,
    #[serde(rename = "dtype")]
    _dtype: Option<serde_json::Value>,
    #[serde(rename = "special")]
    _special: Option<serde_json::Value>,
    #[serde(rename = "digits_rows")]
    _digits_rows: Option<serde_json::Value>,
    #[serde(rename = "pooled_2x2")]
    _pooled: Option<serde_json::Value>,
}

impl Architecture {
    /// A multi-layer perceptron: linear layers between the given widths, the activation (and, on
    /// request, a batch normalisation before it) after each but the last.
    ///
    /// # Errors
    /// Fewer than two widths, a width 0, or bad activation parameters.
    pub fn mlp(
        widths: &[usize],
        activation: Activation<f64>,
        normalisation: Normalisation,
        loss: Loss,
    ) -> Result<Self, Error> {
        let mut layers = Vec::new();
        let mut index = 0;
        let mut name = || {
            let name = format!("layers.{index}");
            index += 1;
            name
        };
        for (k, pair) in widths.windows(2).enumerate() {
            let &[inputs, outputs] = pair else { continue };
            layers.push(Layer::Linear {
                inputs,
                outputs,
                bias: true,
                param: name(),
                tensors: None,
            });
            if k + 2 == widths.len() {
                break;
            }
            if normalisation == Normalisation::Batch {
                layers.push(Layer::BatchNorm {
                    features: outputs,
                    eps: default_eps(),
                    momentum: default_momentum(),
                    param: name(),
                });
            }
            layers.extend(Layer::of_activation(activation));
        }
        let input_shape = widths.first().copied().into_iter().collect();
        let architecture = Self { name: None, input_shape, layers, loss };
        architecture.validate()?;
        Ok(architecture)
    }

    /// An autoencoder with logits as outputs: linear layers from `inputs` through the widths of
    /// `encoder` to the code, the last of them, and mirrored back to `inputs`; the activation after
    /// each but the code and the outputs, which are linear (Hinton and Salakhutdinov 2006); loss
    /// `binary_cross_entropy`.
    ///
    /// # Errors
    /// An empty encoder, a width 0, or bad activation parameters.
    ///
    /// ```
    /// use relfisher::network::{Architecture, Layer};
    /// use relfisher_core::metric::neuron::Activation;
    /// let net = Architecture::autoencoder(784, &[100, 6], Activation::Sigm)?;
    /// let widths = net.layers.iter().filter_map(|l| match l {
    ///     Layer::Linear { outputs, .. } => Some(*outputs),
    ///     _ => None,
    /// });
    /// assert_eq!(widths.collect::<Vec<_>>(), [100, 6, 100, 784]);
    /// # Ok::<(), relfisher::Error>(())
    /// ```
    pub fn autoencoder(
        inputs: usize,
        encoder: &[usize],
        activation: Activation<f64>,
    ) -> Result<Self, Error> {
        let Some((code, outer)) = encoder.split_last() else {
            return Err(Error::input("", "encoder", "no widths", "end the list with the code"));
        };
        let mut widths = vec![inputs];
        widths.extend(outer);
        widths.push(*code);
        widths.extend(outer.iter().rev());
        widths.push(inputs);
        let loss = Loss::BinaryCrossEntropy;
        let mut net = Self::mlp(&widths, activation, Normalisation::Plain, loss)?;
        let mut linear = 0;
        net.layers.retain(|layer| {
            let is_linear = matches!(layer, Layer::Linear { .. });
            linear += usize::from(is_linear);
            is_linear || linear != encoder.len()
        });
        net.validate()?;
        Ok(net)
    }

    /// Reads and checks a network file.
    ///
    /// # Errors
    /// A file that cannot be read, is not a network file, has an unknown field, or whose layers do
    /// not fit together: file, place and remedy.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "read", &e))?;
        Self::parse(&text).map_err(|e| e.in_file(path.display()))
    }

    /// Reads and checks the text of a network file.
    ///
    /// # Errors
    /// As [`Architecture::load`].
    ///
    /// ```
    /// use relfisher::network::Architecture;
    /// let net = r#"{"input_shape": [2], "loss": {"type": "mse", "scale": 1.0}, "layers": [
    ///     {"type": "linear", "in": 2, "out": 3, "param": "layers.0"}, {"type": "tanh"},
    ///     {"type": "linear", "in": 3, "out": 1, "param": "layers.1"}]}"#;
    /// assert_eq!(Architecture::parse(net)?.outputs(), 1);
    /// let e = Architecture::parse(&net.replace("tanh", "tan")).unwrap_err();
    /// assert!(e.to_string().starts_with("layers[1] (tan): unknown variant `tan`"));
    /// # Ok::<(), relfisher::Error>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, Error> {
        let file: File = serde_json::from_str(text).map_err(|e| {
            Error::input("", "", format_args!("not a network file: {e}"), "fix the JSON")
        })?;
        let mut layers = Vec::with_capacity(file.layers.len());
        for (i, value) in file.layers.into_iter().enumerate() {
            layers.push(parse_layer(i, value)?);
        }
        let mut loss = file.loss;
        loss.remove("reduction");
        let kind = loss.get("type").and_then(|t| t.as_str()).unwrap_or_default().to_owned();
        let known: &[&str] = if kind == "mse" { &["type", "scale"] } else { &["type"] };
        if let Some(field) = loss.keys().find(|k| !known.contains(&k.as_str())) {
            return Err(Error::input(
                "",
                format_args!("loss.{field}"),
                "unknown field",
                "remove it, or correct its name",
            ));
        }
        let loss = serde_json::from_value(serde_json::Value::Object(loss)).map_err(|e| {
            Error::input(
                "",
                "loss",
                e,
                "use softmax_cross_entropy, mse (with scale) or binary_cross_entropy",
            )
        })?;
        let architecture = Self { name: file.name, input_shape: file.input_shape, layers, loss };
        architecture.validate()?;
        Ok(architecture)
    }

    /// The text of the network file, with which [`Architecture::parse`] gives the same network.
    pub fn to_json(&self) -> String {
        // Every field serialises: strings, numbers and lists of them.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The length d of one input vector.
    pub fn inputs(&self) -> usize {
        self.input_shape.iter().product()
    }

    /// The length of one output vector.
    pub fn outputs(&self) -> usize {
        self.shapes().ok().and_then(|s| s.last().map(Shape::len)).unwrap_or(0)
    }

    /// The shape of a sample before the first layer and after each one.
    ///
    /// # Errors
    /// The first layer that does not fit its input, with the remedy.
    pub fn shapes(&self) -> Result<Vec<Shape>, Error> {
        let mut shapes = vec![Shape::of_input(&self.input_shape)?];
        let mut previous = None;
        for (i, layer) in self.layers.iter().enumerate() {
            let input = shapes.last().copied().unwrap_or(Shape::Vector(0));
            shapes.push(shape::after(i, layer, previous, input)?);
            previous = Some(layer);
        }
        Ok(shapes)
    }

    /// Checks that the layers fit together.
    ///
    /// # Errors
    /// The first layer that does not, with the remedy.
    pub fn validate(&self) -> Result<(), Error> {
        let bad = |place: String, problem: String, remedy: &str| {
            Err(Error::input("", place, problem, remedy))
        };
        let shapes = self.shapes()?;
        let mut names = HashSet::new();
        let mut parameters = 0_usize;
        for (i, layer) in self.layers.iter().enumerate() {
            let Some(param) = layer.param() else { continue };
            if param.is_empty() {
                return bad(
                    format!("layers[{i}].param"),
                    "is empty".into(),
                    "name the layer's tensors",
                );
            }
            if !names.insert(param) {
                return bad(
                    format!("layers[{i}].param"),
                    format!("{param:?} is used by an earlier layer too"),
                    "give each layer its own name",
                );
            }
            parameters = match parameter_count(layer).and_then(|s| parameters.checked_add(s)) {
                Some(sum) if sum <= PARAMETER_LIMIT => sum,
                _ => {
                    return bad(
                        format!("layers[{i}]"),
                        format!("the network has more than {PARAMETER_LIMIT} parameters"),
                        "make the layer smaller",
                    );
                }
            };
        }
        if !self.layers.iter().any(|l| matches!(l, Layer::Linear { .. } | Layer::Conv2d { .. })) {
            return bad("layers".into(), "no linear or conv2d layer".into(), "add one");
        }
        match shapes.last() {
            Some(Shape::Vector(_)) => {}
            _ => {
                return bad(
                    format!("layers[{}]", self.layers.len().saturating_sub(1)),
                    "the last layer gives no vector, which the loss needs".into(),
                    "add a flatten layer at the end",
                );
            }
        }
        if let Loss::Mse { scale } = self.loss
            && !(scale.is_finite() && scale > 0.0)
        {
            return bad("loss.scale".into(), format!("is {scale}"), "use a number above 0");
        }
        Ok(())
    }
}

/// The parameters of a layer; `None` on overflow.
fn parameter_count(layer: &Layer) -> Option<usize> {
    match *layer {
        Layer::Linear { inputs, outputs, bias, .. } => {
            inputs.checked_add(usize::from(bias))?.checked_mul(outputs)
        }
        Layer::Conv2d { in_channels, out_channels, kernel: [h, w], groups, bias, .. } => {
            let taps = (in_channels / groups.max(1)).checked_mul(h)?.checked_mul(w)?;
            taps.checked_add(usize::from(bias))?.checked_mul(out_channels)
        }
        Layer::BatchNorm { features, .. } => features.checked_mul(2),
        _ => Some(0),
    }
}
