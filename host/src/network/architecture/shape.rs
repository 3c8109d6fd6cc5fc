//! What flows between two layers, and whether the layers fit together.

use super::layer::Layer;
use crate::Error;

/// The shape of one sample between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// d numbers.
    Vector(usize),
    /// `length` vectors of `width` numbers each, which layers treat alike.
    Sequence {
        /// The vectors (all axes but the last).
        length: usize,
        /// The numbers of one (the last axis).
        width: usize,
    },
    /// An image of c channels.
    Image {
        /// c.
        channels: usize,
        /// h.
        height: usize,
        /// w.
        width: usize,
    },
}

/// The most numbers between two layers, of one sample: places inside are kept as `u32`.
const LARGEST: usize = u32::MAX as usize;

impl Shape {
    /// The shape that `input_shape` of a network file means: one axis is a vector, three are an
    /// image (c, h, w), any other number a sequence of vectors along the last axis.
    ///
    /// # Errors
    /// No axes, an axis of length 0, or more elements than a machine can address.
    pub fn of_input(axes: &[usize]) -> Result<Self, Error> {
        let count = axes.iter().try_fold(1_usize, |p, &n| p.checked_mul(n));
        let count = count.filter(|&count| count <= LARGEST);
        match (axes, count) {
            (_, None | Some(0)) | ([], _) => Err(Error::input(
                "",
                "input_shape",
                format_args!("{axes:?} holds no numbers, or too many"),
                "give the shape of one input, each side at least 1",
            )),
            (&[d], _) => Ok(Shape::Vector(d)),
            (&[channels, height, width], _) => Ok(Shape::Image { channels, height, width }),
            (&[ref rest @ .., width], _) => {
                Ok(Shape::Sequence { length: rest.iter().product::<usize>(), width })
            }
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.positions().saturating_mul(self.width())
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The positions T that share weights: h·w of an image, the length of a sequence, 1.
    pub fn positions(&self) -> usize {
        match *self {
            Shape::Vector(_) => 1,
            Shape::Sequence { length, .. } => length,
            Shape::Image { height, width, .. } => height.saturating_mul(width),
        }
    }

    /// The numbers at one position: channels of an image, width of a sequence, all of a vector.
    pub fn width(&self) -> usize {
        match *self {
            Shape::Vector(d) => d,
            Shape::Sequence { width, .. } => width,
            Shape::Image { channels, .. } => channels,
        }
    }

    fn describe(&self) -> String {
        match self {
            Shape::Vector(d) => format!("{d} numbers"),
            Shape::Sequence { length, width } => format!("{length} vectors of {width} numbers"),
            Shape::Image { channels, height, width } => {
                format!("an image of shape [{channels}, {height}, {width}]")
            }
        }
    }
}

/// The shape after layer `i` of the file, which follows `previous` and gets `input`.
///
/// # Errors
/// A layer that does not fit, or that gives more numbers than can be addressed.
pub(super) fn after(
    i: usize,
    layer: &Layer,
    previous: Option<&Layer>,
    input: Shape,
) -> Result<Shape, Error> {
    let shape = fitting(i, layer, previous, input)?;
    if shape.len() <= LARGEST {
        return Ok(shape);
    }
    let problem = format!("gives too many numbers for a sample: {}", shape.describe());
    Err(Error::input("", format_args!("layers[{i}]"), problem, "make the layer smaller"))
}

fn fitting(
    i: usize,
    layer: &Layer,
    previous: Option<&Layer>,
    input: Shape,
) -> Result<Shape, Error> {
    let bad = |field: &str, problem: String, remedy: &str| {
        Err(Error::input("", format!("layers[{i}].{field}"), problem, remedy))
    };
    let unequal = |field: &str, found: usize| {
        let problem = format!("is {found}, but the layer before gives {}", input.describe());
        bad(field, problem, "make them equal")
    };
    match *layer {
        Layer::Flatten {} => Ok(Shape::Vector(input.len())),
        Layer::Linear { inputs, outputs, .. } => {
            if matches!(input, Shape::Image { .. }) {
                let problem =
                    format!("needs vectors, but the layer before gives {}", input.describe());
                return bad("type", problem, "put a flatten layer before it");
            }
            if inputs != input.width() {
                return unequal("in", inputs);
            }
            if outputs == 0 {
                return bad("out", "is 0".into(), "give at least one output");
            }
            Ok(match input {
                Shape::Sequence { length, .. } => Shape::Sequence { length, width: outputs },
                _ => Shape::Vector(outputs),
            })
        }
        Layer::BatchNorm { features, eps, momentum, .. } => {
            if matches!(input, Shape::Sequence { .. }) {
                let problem = format!(
                    "needs vectors or an image, but the layer before gives {}",
                    input.describe()
                );
                return bad("type", problem, "put a flatten layer before it");
            }
            if features != input.width() {
                return unequal("features", features);
            }
            if !(eps.is_finite() && eps > 0.0) {
                return bad("eps", format!("is {eps}"), "use a number above 0");
            }
            if !(0.0..=1.0).contains(&momentum) {
                return bad("momentum", format!("is {momentum}"), "use 0 to 1");
            }
            if matches!(previous, Some(Layer::BatchNorm { .. })) {
                return bad("type", "follows another batchnorm".into(), "remove one of the two");
            }
            Ok(input)
        }
        Layer::Conv2d { .. } | Layer::MaxPool2d { .. } | Layer::AvgPool2d { .. } => {
            windowed(i, layer, input)
        }
        Layer::Relu { leak } if !(0.0..1.0).contains(&leak) => {
            bad("leak", format!("is {leak}"), "use 0 ≤ leak < 1")
        }
        Layer::Elu { alpha } if !(alpha.is_finite() && alpha > 0.0) => {
            bad("alpha", format!("is {alpha}"), "use alpha > 0")
        }
        Layer::Tanh {} | Layer::Sigmoid {} | Layer::Relu { .. } | Layer::Elu { .. } => Ok(input),
    }
}

/// The image after a convolution or a pool.
fn windowed(i: usize, layer: &Layer, input: Shape) -> Result<Shape, Error> {
    let bad = |field: &str, problem: String, remedy: &str| {
        Err(Error::input("", format!("layers[{i}].{field}"), problem, remedy))
    };
    let Shape::Image { channels, height, width } = input else {
        let problem = format!("needs an image, but the layer before gives {}", input.describe());
        return bad(
            "type",
            problem,
            "give input_shape [channels, height, width], and flatten later",
        );
    };
    let mut outputs = channels;
    if let Layer::Conv2d { in_channels, out_channels, groups, .. } = *layer {
        if in_channels != channels {
            let problem =
                format!("is {in_channels}, but the layer before gives {}", input.describe());
            return bad("in_channels", problem, "make them equal");
        }
        if out_channels == 0 {
            return bad("out_channels", "is 0".into(), "give at least one kernel");
        }
        if groups == 0 || in_channels % groups != 0 || out_channels % groups != 0 {
            let problem =
                format!("{groups} does not divide {in_channels} and {out_channels} channels");
            return bad("groups", problem, "use a common divisor of in_channels and out_channels");
        }
        outputs = out_channels;
    }
    let Some(window) = layer.window([channels, height, width]) else { return Ok(input) };
    if window.kernel.contains(&0) || window.stride.contains(&0) || window.dilation.contains(&0) {
        return bad("kernel", "kernel, stride and dilation are at least 1".into(), "correct them");
    }
    if matches!(layer, Layer::MaxPool2d { .. } | Layer::AvgPool2d { .. })
        && (window.padding[0] > window.kernel[0] / 2 || window.padding[1] > window.kernel[1] / 2)
    {
        let problem = format!("{:?} is more than half of the window", window.padding);
        return bad("padding", problem, "use at most half of the kernel");
    }
    if let Err(e) = window.check() {
        let problem = format!("does not fit {}: {e}", input.describe());
        return bad("kernel", problem, "use a smaller kernel, or more padding");
    }
    Ok(Shape::Image { channels: outputs, height: window.out_height(), width: window.out_width() })
}
