//! Networks: what an architecture becomes when it is compiled for one scalar type.

use relfisher_core::Real;
use relfisher_core::conv::{PaddingCount, Window};
use relfisher_core::metric::neuron::Activation;

use super::architecture::{Architecture, Layer, Loss, Normalisation, Shape};
use super::block::{Block, BlockKind, Convolution, ResponseSite};
use super::convolution::Patches;
use crate::Error;

/// The place of a value on a tape: for every sample `positions` rows of `cols` numbers (an image
/// is channels-last inside a network); `augmented` rows have a trailing 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) positions: usize,
    pub(super) cols: usize,
    pub(super) augmented: bool,
    /// The buffer of the derivative with respect to this place; none where no parameter acts on
    /// it. An activation changes its derivative in place, so its input and output share one.
    pub(super) slot: Option<usize>,
}

impl Place {
    /// The numbers of one sample without trailing ones.
    pub(super) fn len(&self) -> usize {
        self.positions * self.cols
    }
}

/// The settings of a batch normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BatchNorm<T> {
    pub(super) eps: T,
    pub(super) momentum: T,
    /// Where the running mean starts in [`Parameters::buffers`](super::Parameters::buffers); the
    /// running variance follows it.
    pub(super) offset: usize,
}

/// The order of an image's elements before and after a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The same.
    Kept,
    /// From (c, h, w) to (h, w, c).
    ChannelsLast,
    /// From (h, w, c) to (c, h, w).
    ChannelsFirst,
}

/// What a node computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Op<T> {
    /// T = X̃ W̃ᵀ with the parameters of a block.
    Linear { block: usize },
    /// T = P̃ W̃ᵀ with the parameters of a block.
    Convolution { block: usize, conv: Convolution },
    /// y = γ x̂ + β with the parameters of a block.
    Norm { block: usize, norm: BatchNorm<T> },
    /// a = f(t).
    Activation(Activation<f64>),
    /// The maximum of windows; `index` numbers the network's maximum pools.
    MaxPool { window: Window, index: usize },
    /// The mean of windows.
    AvgPool { window: Window, count: PaddingCount },
    /// A copy into rows of another length or order; c channels at T positions.
    Reshape { channels: usize, positions: usize, order: Order },
}

impl<T> Op<T> {
    /// The block whose parameters the node uses.
    pub(super) fn block(&self) -> Option<usize> {
        match *self {
            Op::Linear { block } | Op::Convolution { block, .. } | Op::Norm { block, .. } => {
                Some(block)
            }
            _ => None,
        }
    }
}

/// An operation with the places that it reads and writes; `input < output`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Node<T> {
    pub(super) op: Op<T>,
    pub(super) input: usize,
    pub(super) output: usize,
}

/// The places of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Site {
    /// The node.
    pub(super) node: usize,
    /// The place of the input t of the response: the block's own output or, when a batch
    /// normalisation follows, the output of that.
    pub(super) response: usize,
    /// The block of that batch normalisation.
    pub(super) norm: Option<usize>,
}

/// A network compiled for one scalar type: the blocks, and where their values live on a tape.
///
/// It holds no parameters; those are [`Parameters`](super::Parameters).
#[derive(Clone, Debug)]
pub struct Network<T> {
    pub(super) architecture: Architecture,
    pub(super) blocks: Vec<Block>,
    pub(super) sites: Vec<Site>,
    pub(super) nodes: Vec<Node<T>>,
    pub(super) places: Vec<Place>,
    pub(super) slot_count: usize,
    pub(super) max_pools: usize,
    pub(super) parameter_count: usize,
    pub(super) buffer_count: usize,
}

/// Whether the positive settings of a network file are positive numbers as `T` too.
fn check_range<T: Real>(architecture: &Architecture) -> Result<(), Error> {
    let settings = architecture.layers.iter().enumerate().filter_map(|(i, layer)| match *layer {
        Layer::BatchNorm { eps, .. } => Some((format!("layers[{i}].eps"), eps, eps)),
        Layer::Elu { alpha } => Some((format!("layers[{i}].alpha"), alpha, alpha)),
        _ => None,
    });
    let loss = match architecture.loss {
        Loss::Mse { scale } => Some(("loss.scale".to_owned(), scale, 2.0 * scale)),
        Loss::SoftmaxCrossEntropy | Loss::BinaryCrossEntropy => None,
    };
    for (place, given, used) in settings.chain(loss) {
        let cast = T::from_f64(used);
        if !(cast > T::ZERO && cast.is_finite()) {
            let problem = format_args!("{given} is outside the range of the number type");
            return Err(Error::input("", place, problem, "use --dtype f64, or another number"));
        }
    }
    Ok(())
}

impl<T: Real> Network<T> {
    /// Compiles a network file.
    ///
    /// # Errors
    /// Those of [`Architecture::validate`]; a setting that underflows or overflows as `T`.
    pub fn from_architecture(architecture: &Architecture) -> Result<Self, Error> {
        architecture.validate()?;
        check_range::<T>(architecture)?;
        let shapes = architecture.shapes()?;
        let input = shapes.first().copied().unwrap_or(Shape::Vector(0));
        let mut net = Self {
            architecture: architecture.clone(),
            blocks: Vec::new(),
            sites: Vec::new(),
            nodes: Vec::new(),
            places: vec![Place { positions: 1, cols: input.len(), augmented: false, slot: None }],
            slot_count: 0,
            max_pools: 0,
            parameter_count: 0,
            buffer_count: 0,
        };
        net.place_input(input);
        for (layer, pair) in architecture.layers.iter().zip(shapes.windows(2)) {
            if let &[before, after] = pair {
                net.add(layer, before, after);
            }
        }
        net.connect_responses();
        Ok(net)
    }

    /// Brings the samples of a data set (elements in the order of the input shape) into the order
    /// that the first layer reads.
    fn place_input(&mut self, shape: Shape) {
        let (channels, positions) = (shape.width(), shape.positions());
        match shape {
            Shape::Image { channels: 1, .. } => {
                self.places[0] = Place { positions, cols: 1, augmented: false, slot: None };
            }
            Shape::Image { .. } if positions > 1 => {
                let op = Op::Reshape { channels, positions, order: Order::ChannelsLast };
                self.push(op, positions, channels);
            }
            Shape::Sequence { .. } => {
                let op = Op::Reshape { channels, positions, order: Order::Kept };
                self.push(op, positions, channels);
            }
            Shape::Image { .. } | Shape::Vector(_) => {}
        }
    }

    fn add(&mut self, layer: &Layer, before: Shape, after: Shape) {
        let (channels, positions) = (before.width(), before.positions());
        let image = match before {
            Shape::Image { channels, height, width } => [channels, height, width],
            _ => [0; 3],
        };
        let op = match (layer, layer.window(image)) {
            (Layer::Linear { inputs, bias, param, .. }, _) => {
                let input = self.places.len() - 1;
                self.places[input].augmented = *bias;
                let block = self.block(param, BlockKind::Linear, after, (*inputs, *bias));
                Op::Linear { block }
            }
            (Layer::Conv2d { groups, bias, param, .. }, Some(window)) => {
                let conv = Convolution { window, groups: *groups };
                let kind = BlockKind::Convolution(conv);
                let block = self.block(param, kind, after, (conv.patch(), *bias));
                Op::Convolution { block, conv }
            }
            (Layer::BatchNorm { features, eps, momentum, param }, _) => {
                let norm = BatchNorm {
                    eps: T::from_f64(*eps),
                    momentum: T::from_f64(*momentum),
                    offset: self.buffer_count,
                };
                self.buffer_count += 2 * features;
                let block = self.block(param, BlockKind::BatchNorm, after, (1, true));
                Op::Norm { block, norm }
            }
            (Layer::MaxPool2d { .. }, Some(window)) => {
                self.max_pools += 1;
                Op::MaxPool { window, index: self.max_pools - 1 }
            }
            (Layer::AvgPool2d { .. }, Some(window)) => {
                Op::AvgPool { window, count: layer.padding_count() }
            }
            (Layer::Flatten {}, _) => match before {
                Shape::Vector(_) => return,
                Shape::Image { .. } if channels > 1 && positions > 1 => {
                    Op::Reshape { channels, positions, order: Order::ChannelsFirst }
                }
                _ => Op::Reshape { channels, positions, order: Order::Kept },
            },
            _ => match layer.activation() {
                Some(f) => Op::Activation(f),
                None => return,
            },
        };
        self.push(op, after.positions(), after.width());
    }

    /// Adds the parameters of a layer with `inputs` inputs at each position.
    fn block(
        &mut self,
        name: &str,
        kind: BlockKind,
        output: Shape,
        (inputs, bias): (usize, bool),
    ) -> usize {
        let (rows, cols) = (output.width(), inputs + usize::from(bias));
        self.blocks.push(Block {
            name: name.to_owned(),
            kind,
            rows,
            cols,
            inputs,
            positions: output.positions(),
            offset: self.parameter_count,
            response: ResponseSite::Activation(Activation::Linear),
        });
        let (node, response) = (self.nodes.len(), self.places.len());
        self.sites.push(Site { node, response, norm: None });
        self.parameter_count += rows * cols;
        self.blocks.len() - 1
    }

    /// Adds a node that reads the last place and writes a new one.
    fn push(&mut self, op: Op<T>, positions: usize, cols: usize) {
        let input = self.places.len() - 1;
        let slot = match op {
            Op::Activation(_) => self.places[input].slot,
            _ if op.block().is_none() && self.places[input].slot.is_none() => None,
            _ => {
                self.slot_count += 1;
                Some(self.slot_count - 1)
            }
        };
        self.places.push(Place { positions, cols, augmented: false, slot });
        self.nodes.push(Node { op, input, output: input + 1 });
    }

    fn connect_responses(&mut self) {
        let outputs = match self.architecture.loss {
            Loss::SoftmaxCrossEntropy => ResponseSite::Softmax,
            Loss::Mse { scale } => ResponseSite::Gaussian { scale },
            Loss::BinaryCrossEntropy => ResponseSite::Bernoulli,
        };
        for i in (0..self.blocks.len()).rev() {
            // A flatten only changes how the outputs are laid out: neurons answer behind it.
            let after = self.nodes.get(self.sites[i].node + 1..).unwrap_or(&[]);
            let seen = |node: &&Node<T>| !matches!(node.op, Op::Reshape { .. });
            let next = after.iter().find(seen).map(|node| node.op);
            let flattened = after.first().is_some_and(|node| !seen(&node));
            match next {
                // The soft-max mixes all positions: no metric of one layer's neurons.
                None if flattened && outputs == ResponseSite::Softmax => {}
                None => self.blocks[i].response = outputs,
                Some(Op::Activation(f)) => {
                    self.blocks[i].response = ResponseSite::Activation(f);
                }
                Some(Op::Norm { block, .. })
                    if !flattened && self.blocks[i].kind != BlockKind::BatchNorm =>
                {
                    self.sites[i].response = self.sites[block].response;
                    self.sites[i].norm = Some(block);
                    self.blocks[i].response = self.blocks[block].response;
                }
                Some(_) => {}
            }
        }
    }

    /// [`Architecture::mlp`], compiled.
    ///
    /// # Errors
    /// Those of [`Architecture::mlp`].
    ///
    /// ```
    /// use relfisher::network::{Loss, Network, Normalisation};
    /// use relfisher_core::metric::neuron::Activation;
    /// let widths = [784, 80, 80, 80, 10];
    /// let relu = Activation::Relu { leak: 0.0 };
    /// let net = Network::<f32>::mlp(&widths, relu, Normalisation::Plain, Loss::SoftmaxCrossEntropy)?;
    /// assert_eq!((net.blocks().len(), net.parameter_count()), (4, 80 * 785 + 2 * 80 * 81 + 10 * 81));
    /// # Ok::<(), relfisher::Error>(())
    /// ```
    pub fn mlp(
        widths: &[usize],
        activation: Activation<f64>,
        normalisation: Normalisation,
        loss: Loss,
    ) -> Result<Self, Error> {
        Self::from_architecture(&Architecture::mlp(widths, activation, normalisation, loss)?)
    }

    /// The network file.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The loss.
    pub fn loss_kind(&self) -> Loss {
        self.architecture.loss
    }

    /// The blocks in forward order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The length of the flat parameter vector.
    pub fn parameter_count(&self) -> usize {
        self.parameter_count
    }

    /// The length of [`Parameters::buffers`](super::Parameters::buffers): a running mean and variance
    /// for each batch-normalised feature.
    pub fn buffer_count(&self) -> usize {
        self.buffer_count
    }

    /// The length d of one input.
    pub fn inputs(&self) -> usize {
        self.places.first().map_or(0, Place::len)
    }

    /// The length of one output.
    pub fn outputs(&self) -> usize {
        self.places.last().map_or(0, Place::len)
    }

    /// The elements of scratch that a pass over this network takes at most, on `threads` threads.
    pub fn scratch_len(&self, threads: usize) -> usize {
        let each = self.blocks.iter().map(|block| match block.kind {
            BlockKind::Convolution(conv) => Patches::new(block, conv).scratch_len(threads),
            _ => 0,
        });
        each.max().unwrap_or(0)
    }

    /// Whether every activation is piecewise linear (relu, leaky relu): f″ = 0, and the Hessian of a
    /// layer's parameters equals their Gauss–Newton matrix.
    pub fn is_piecewise_linear(&self) -> bool {
        self.nodes.iter().all(|node| {
            !matches!(
                node.op,
                Op::Activation(Activation::Tanh | Activation::Sigm | Activation::Elu { .. })
            )
        })
    }
}
