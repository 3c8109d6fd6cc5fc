//! The network file: an ordered list of layers and a loss, as JSON.

use std::collections::HashSet;
use std::path::Path;

use relfisher_core::metric::neuron::Activation;
use serde::{Deserialize, Serialize};

use crate::Error;

/// The most parameters that a network may have.
const PARAMETER_LIMIT: usize = 1 << 31;

/// A layer of the network file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Layer {
    /// t = W x + b.
    Linear {
        /// The inputs d.
        #[serde(rename = "in")]
        inputs: usize,
        /// The outputs m.
        #[serde(rename = "out")]
        outputs: usize,
        /// Whether there is a bias b.
        #[serde(default = "yes")]
        bias: bool,
        /// The name of the tensors: `<param>.weight`, `<param>.bias`.
        param: String,
    },
    /// y = γ (x − mean)/√(variance + eps) + β for each feature.
    BatchNorm {
        /// The features c.
        features: usize,
        /// Added to the variance.
        #[serde(default = "default_eps")]
        eps: f64,
        /// The weight of the newest batch in the running averages.
        #[serde(default = "default_momentum")]
        momentum: f64,
        /// The name of the tensors: `<param>.weight` (γ), `.bias` (β), `.running_mean`,
        /// `.running_var`.
        param: String,
    },
    /// Rows of any input shape become vectors.
    Flatten {},
    /// tanh t.
    Tanh {},
    /// 1/(1 + e⁻ᵗ).
    Sigmoid {},
    /// max(t, leak · t).
    Relu {
        /// The slope ι ∈ [0, 1) of the negative side.
        #[serde(default)]
        leak: f64,
    },
    /// t for t ≥ 0, α(eᵗ − 1) otherwise.
    Elu {
        /// The magnitude α > 0 of the negative saturation.
        #[serde(default = "default_alpha")]
        alpha: f64,
    },
}

fn yes() -> bool {
    true
}
fn default_eps() -> f64 {
    1e-5
}
fn default_momentum() -> f64 {
    0.1
}
fn default_alpha() -> f64 {
    1.0
}
fn default_scale() -> f64 {
    0.5
}

impl Layer {
    /// The activation function, when the layer is one.
    pub fn activation(&self) -> Option<Activation<f64>> {
        match *self {
            Layer::Tanh {} => Some(Activation::Tanh),
            Layer::Sigmoid {} => Some(Activation::Sigm),
            Layer::Relu { leak } => Some(Activation::Relu { leak }),
            Layer::Elu { alpha } => Some(Activation::Elu { alpha }),
            Layer::Linear { .. } | Layer::BatchNorm { .. } | Layer::Flatten {} => None,
        }
    }

    fn of_activation(activation: Activation<f64>) -> Option<Self> {
        match activation {
            Activation::Linear => None,
            Activation::Tanh => Some(Layer::Tanh {}),
            Activation::Sigm => Some(Layer::Sigmoid {}),
            Activation::Relu { leak } => Some(Layer::Relu { leak }),
            Activation::Elu { alpha } => Some(Layer::Elu { alpha }),
        }
    }
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

/// The layer types of the contract that this version cannot run.
const LATER: [&str; 3] = ["conv2d", "maxpool2d", "avgpool2d"];

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
            layers.push(Layer::Linear { inputs, outputs, bias: true, param: name() });
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
    /// let e = Architecture::parse(&net.replace("tanh", "conv2d")).unwrap_err();
    /// assert!(e.to_string().starts_with("layers[1].type: conv2d is not supported yet"));
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
        self.layers
            .iter()
            .rev()
            .find_map(|layer| match layer {
                Layer::Linear { outputs, .. } => Some(*outputs),
                Layer::BatchNorm { features, .. } => Some(*features),
                _ => None,
            })
            .unwrap_or_else(|| self.inputs())
    }

    /// Checks that the layers fit together.
    ///
    /// # Errors
    /// The first layer that does not, with the remedy.
    pub fn validate(&self) -> Result<(), Error> {
        let bad = |place: String, problem: String, remedy: &str| {
            Err(Error::input("", place, problem, remedy))
        };
        let width = self.input_shape.iter().try_fold(1_usize, |p, &n| p.checked_mul(n));
        let Some(mut width) = width.filter(|&w| w > 0 && !self.input_shape.is_empty()) else {
            return bad(
                "input_shape".into(),
                format!("{:?} holds no numbers, or too many", self.input_shape),
                "give the shape of one input, each side at least 1",
            );
        };
        let mut names = HashSet::new();
        let mut parameters = 0_usize;
        let mut flat = self.input_shape.len() == 1;
        let mut previous: Option<&Layer> = None;
        for (i, layer) in self.layers.iter().enumerate() {
            let at = |field: &str| format!("layers[{i}].{field}");
            if !flat && !matches!(layer, Layer::Flatten {}) {
                return bad(
                    at("type"),
                    format!("needs vectors, but the input shape is {:?}", self.input_shape),
                    "put a flatten layer before it",
                );
            }
            let (size, param) = match layer {
                Layer::Flatten {} => {
                    flat = true;
                    continue;
                }
                Layer::Linear { inputs, outputs, bias, param } => {
                    if *inputs != width {
                        return bad(
                            at("in"),
                            format!("is {inputs}, but the layer before gives {width} numbers"),
                            "make them equal",
                        );
                    }
                    if *outputs == 0 {
                        return bad(at("out"), "is 0".into(), "give at least one output");
                    }
                    width = *outputs;
                    let columns = inputs.checked_add(usize::from(*bias));
                    (columns.and_then(|c| c.checked_mul(*outputs)), param)
                }
                Layer::BatchNorm { features, eps, momentum, param } => {
                    if *features != width {
                        return bad(
                            at("features"),
                            format!("is {features}, but the layer before gives {width} numbers"),
                            "make them equal",
                        );
                    }
                    if !(eps.is_finite() && *eps > 0.0) {
                        return bad(at("eps"), format!("is {eps}"), "use a number above 0");
                    }
                    if !(0.0..=1.0).contains(momentum) {
                        return bad(at("momentum"), format!("is {momentum}"), "use 0 to 1");
                    }
                    if matches!(previous, Some(Layer::BatchNorm { .. })) {
                        return bad(
                            at("type"),
                            "follows another batchnorm".into(),
                            "remove one of the two",
                        );
                    }
                    (features.checked_mul(2), param)
                }
                activation => {
                    match *activation {
                        Layer::Relu { leak } if !(0.0..1.0).contains(&leak) => {
                            return bad(at("leak"), format!("is {leak}"), "use 0 ≤ leak < 1");
                        }
                        Layer::Elu { alpha } if !(alpha.is_finite() && alpha > 0.0) => {
                            return bad(at("alpha"), format!("is {alpha}"), "use alpha > 0");
                        }
                        _ => {}
                    }
                    if !matches!(previous, Some(Layer::Linear { .. } | Layer::BatchNorm { .. })) {
                        return bad(
                            at("type"),
                            "an activation without a linear or batchnorm layer before it".into(),
                            "put a linear layer before it, or remove it",
                        );
                    }
                    previous = Some(layer);
                    continue;
                }
            };
            if param.is_empty() {
                return bad(at("param"), "is empty".into(), "name the layer's tensors");
            }
            if !names.insert(param.as_str()) {
                return bad(
                    at("param"),
                    format!("{param:?} is used by an earlier layer too"),
                    "give each layer its own name",
                );
            }
            parameters = match size.and_then(|s| parameters.checked_add(s)) {
                Some(sum) if sum <= PARAMETER_LIMIT => sum,
                _ => {
                    return bad(
                        format!("layers[{i}]"),
                        format!("the network has more than {PARAMETER_LIMIT} parameters"),
                        "make the layer smaller",
                    );
                }
            };
            previous = Some(layer);
        }
        if !self.layers.iter().any(|l| matches!(l, Layer::Linear { .. })) {
            return bad("layers".into(), "no linear layer".into(), "add one");
        }
        if let Loss::Mse { scale } = self.loss
            && !(scale.is_finite() && scale > 0.0)
        {
            return bad("loss.scale".into(), format!("is {scale}"), "use a number above 0");
        }
        Ok(())
    }
}

fn parse_layer(i: usize, value: serde_json::Value) -> Result<Layer, Error> {
    let place = format!("layers[{i}]");
    let kind = value.get("type").and_then(|t| t.as_str()).unwrap_or_default().to_owned();
    if LATER.contains(&kind.as_str()) {
        return Err(Error::input(
            "",
            format_args!("{place}.type"),
            format_args!("{kind} is not supported yet in this version"),
            "use linear, batchnorm, flatten and activation layers",
        ));
    }
    if kind == "softmax" {
        return Err(Error::input(
            "",
            format_args!("{place}.type"),
            "softmax is part of the loss",
            "remove the layer and use the loss softmax_cross_entropy",
        ));
    }
    serde_json::from_value(value).map_err(|e| {
        let named = if kind.is_empty() { place } else { format!("{place} ({kind})") };
        Error::input("", named, e, "correct the layer")
    })
}
