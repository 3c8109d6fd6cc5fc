//! The layers of a network file.

use relfisher_core::conv::{PaddingCount, Window};
use relfisher_core::metric::neuron::Activation;
use serde::{Deserialize, Deserializer, Serialize};

use crate::Error;

/// The names of a layer's tensors where they are not `<param>.weight` and `<param>.bias`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorNames {
    /// The tensor of the weights.
    pub weight: String,
    /// The tensor of the biases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias: Option<String>,
}

/// A layer of the network file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Layer {
    /// t = W x + b, along the last axis of the input; the other axes share the weights.
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
        /// Other names of the tensors in the file of the weights.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tensors: Option<TensorNames>,
    },
    /// Cross-correlation of an image (c, h, w) with `out_channels` kernels (c/groups, kh, kw).
    Conv2d {
        /// The channels of the input.
        in_channels: usize,
        /// The kernels.
        out_channels: usize,
        /// Height and width of a kernel.
        #[serde(deserialize_with = "pair")]
        kernel: [usize; 2],
        /// The step between two positions.
        #[serde(default = "ones", deserialize_with = "pair")]
        stride: [usize; 2],
        /// Rows and columns of zeros on every side.
        #[serde(default, deserialize_with = "pair")]
        padding: [usize; 2],
        /// The step between two taps of a kernel.
        #[serde(default = "ones", deserialize_with = "pair")]
        dilation: [usize; 2],
        /// Groups of channels that do not see each other.
        #[serde(default = "one")]
        groups: usize,
        /// Whether there is a bias b.
        #[serde(default = "yes")]
        bias: bool,
        /// The name of the tensors: `<param>.weight`, `<param>.bias`.
        param: String,
        /// Other names of the tensors in the file of the weights.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tensors: Option<TensorNames>,
    },
    /// y = γ (x − mean)/√(variance + eps) + β for each feature or channel.
    BatchNorm {
        /// The features (channels of an image) c.
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
    /// The maximum over windows of an image, channel by channel.
    MaxPool2d {
        /// Height and width of the window.
        #[serde(deserialize_with = "pair")]
        kernel: [usize; 2],
        /// The step between two windows: the window's own size when absent.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "optional_pair"
        )]
        stride: Option<[usize; 2]>,
        /// Rows and columns outside the image that windows may cover; they never win.
        #[serde(default, deserialize_with = "pair")]
        padding: [usize; 2],
        /// The step between two elements of a window.
        #[serde(default = "ones", deserialize_with = "pair")]
        dilation: [usize; 2],
    },
    /// The mean over windows of an image, channel by channel.
    AvgPool2d {
        /// Height and width of the window.
        #[serde(deserialize_with = "pair")]
        kernel: [usize; 2],
        /// The step between two windows: the window's own size when absent.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "optional_pair"
        )]
        stride: Option<[usize; 2]>,
        /// Rows and columns of zeros on every side.
        #[serde(default, deserialize_with = "pair")]
        padding: [usize; 2],
        /// Whether those zeros count in the mean.
        #[serde(default = "yes")]
        count_include_pad: bool,
    },
    /// Inputs of any shape become vectors, the last axis fastest; an image in the order c, h, w.
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
fn one() -> usize {
    1
}
fn ones() -> [usize; 2] {
    [1, 1]
}
pub(super) fn default_eps() -> f64 {
    1e-5
}
pub(super) fn default_momentum() -> f64 {
    0.1
}
fn default_alpha() -> f64 {
    1.0
}

/// A number for both directions, or a number for each.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a whole number, or a pair of whole numbers")]
enum Pair {
    Both(usize),
    Each([usize; 2]),
}

impl From<Pair> for [usize; 2] {
    fn from(pair: Pair) -> Self {
        match pair {
            Pair::Both(n) => [n, n],
            Pair::Each(pair) => pair,
        }
    }
}

fn pair<'de, D: Deserializer<'de>>(source: D) -> Result<[usize; 2], D::Error> {
    Pair::deserialize(source).map(Into::into)
}

fn optional_pair<'de, D: Deserializer<'de>>(source: D) -> Result<Option<[usize; 2]>, D::Error> {
    Option::<Pair>::deserialize(source).map(|p| p.map(Into::into))
}

impl Layer {
    /// The activation function, when the layer is one.
    pub fn activation(&self) -> Option<Activation<f64>> {
        match *self {
            Layer::Tanh {} => Some(Activation::Tanh),
            Layer::Sigmoid {} => Some(Activation::Sigm),
            Layer::Relu { leak } => Some(Activation::Relu { leak }),
            Layer::Elu { alpha } => Some(Activation::Elu { alpha }),
            _ => None,
        }
    }

    /// The layer of an activation function; none for the identity.
    pub(super) fn of_activation(activation: Activation<f64>) -> Option<Self> {
        match activation {
            Activation::Linear => None,
            Activation::Tanh => Some(Layer::Tanh {}),
            Activation::Sigm => Some(Layer::Sigmoid {}),
            Activation::Relu { leak } => Some(Layer::Relu { leak }),
            Activation::Elu { alpha } => Some(Layer::Elu { alpha }),
        }
    }

    /// The name of the layer's tensors, when it has parameters.
    pub fn param(&self) -> Option<&str> {
        match self {
            Layer::Linear { param, .. }
            | Layer::Conv2d { param, .. }
            | Layer::BatchNorm { param, .. } => Some(param),
            _ => None,
        }
    }

    /// The names of weight and bias in the file of the weights, where the network file gives them.
    pub fn tensors(&self) -> Option<&TensorNames> {
        match self {
            Layer::Linear { tensors, .. } | Layer::Conv2d { tensors, .. } => tensors.as_ref(),
            _ => None,
        }
    }

    /// The window of a convolution or a pool over an image (c, h, w).
    pub(in super::super) fn window(&self, [channels, height, width]: [usize; 3]) -> Option<Window> {
        let (kernel, stride, padding, dilation) = match *self {
            Layer::Conv2d { kernel, stride, padding, dilation, .. } => {
                (kernel, stride, padding, dilation)
            }
            Layer::MaxPool2d { kernel, stride, padding, dilation } => {
                (kernel, stride.unwrap_or(kernel), padding, dilation)
            }
            Layer::AvgPool2d { kernel, stride, padding, .. } => {
                (kernel, stride.unwrap_or(kernel), padding, ones())
            }
            _ => return None,
        };
        Some(Window { channels, height, width, kernel, stride, padding, dilation })
    }

    /// Whether an average pool counts its padding.
    pub(in super::super) fn padding_count(&self) -> PaddingCount {
        match self {
            Layer::AvgPool2d { count_include_pad: false, .. } => PaddingCount::Exclude,
            _ => PaddingCount::Include,
        }
    }
}

/// Reads layer `i` of a network file.
pub(super) fn parse_layer(i: usize, value: serde_json::Value) -> Result<Layer, Error> {
    let place = format!("layers[{i}]");
    let kind = value.get("type").and_then(|t| t.as_str()).unwrap_or_default().to_owned();
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
