//! Blocks: what an architecture becomes when it is compiled for one scalar type.

use relfisher_core::metric::neuron::Activation;
use relfisher_core::{MatMut, MatRef, Real};

use super::architecture::{Architecture, Layer, Loss, Normalisation};
use super::parameters::Parameters;
use crate::Error;
use crate::random::{self, Rng};

/// What a block computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// T = X̃ W̃ᵀ.
    Linear,
    /// y = γ x̂ + β.
    BatchNorm,
}

/// What the output t of a block feeds: the response model of its neurons (S4).
///
/// When a batch normalisation lies between a linear layer and its activation, the site is that
/// activation, whose input is the normalised one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ResponseSite {
    /// An activation; [`Activation::Linear`] when another block follows directly.
    Activation(Activation<f64>),
    /// The logits of the soft-max loss.
    Softmax,
    /// The mean of the Gaussian of the `mse` loss, σ² = 1/(2 scale).
    Gaussian {
        /// The scale of the loss.
        scale: f64,
    },
    /// The logits of independent Bernoulli outputs.
    Bernoulli,
}

/// A run of parameters: W̃ = [W | b] of a linear layer or [γ | β] of a batch normalisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The name of the tensors in files, e.g. `layers.0`.
    pub name: String,
    /// What the block computes.
    pub kind: BlockKind,
    /// The outputs m (or features c).
    pub rows: usize,
    /// The parameters of one output: d̃ (d + 1, or d without bias); 2 for a batch normalisation.
    pub cols: usize,
    /// The inputs d of one output; 1 for a batch normalisation.
    pub inputs: usize,
    /// Where the block starts in the flat parameter vector; it is row-major.
    pub offset: usize,
    /// What the output feeds.
    pub response: ResponseSite,
}

impl Block {
    /// The number of parameters.
    pub fn len(&self) -> usize {
        self.rows * self.cols
    }

    /// Whether the block has no parameters (it never has none).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements of the block in the flat parameter vector.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len()
    }

    /// The block of a flat vector (parameters, gradient, …) as a matrix (m, d̃).
    ///
    /// # Errors
    /// A vector that is too short.
    pub fn matrix<'a, T: Real>(&self, flat: &'a [T]) -> Result<MatRef<'a, T>, Error> {
        Ok(MatRef::new(flat.get(self.range()).unwrap_or(&[]), self.rows, self.cols)?)
    }

    /// The block of a flat vector as a writable matrix (m, d̃).
    ///
    /// # Errors
    /// A vector that is too short.
    pub fn matrix_mut<'a, T: Real>(&self, flat: &'a mut [T]) -> Result<MatMut<'a, T>, Error> {
        Ok(MatMut::new(flat.get_mut(self.range()).unwrap_or(&mut []), self.rows, self.cols)?)
    }
}

/// The same activation with its parameters in another scalar type.
pub fn cast_activation<T: Real>(activation: Activation<f64>) -> Activation<T> {
    match activation {
        Activation::Linear => Activation::Linear,
        Activation::Tanh => Activation::Tanh,
        Activation::Sigm => Activation::Sigm,
        Activation::Relu { leak } => Activation::Relu { leak: T::from_f64(leak) },
        Activation::Elu { alpha } => Activation::Elu { alpha: T::from_f64(alpha) },
    }
}

/// The place of an n × `cols` matrix on a tape; `augmented` rows have a trailing 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) cols: usize,
    pub(super) augmented: bool,
}

/// The settings of a batch normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BatchNorm<T> {
    pub(super) eps: T,
    pub(super) momentum: T,
    /// Where the running mean starts in [`Parameters::buffers`]; the running variance follows it.
    pub(super) offset: usize,
}

/// A block with the places that it reads and writes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stage<T> {
    /// The input x of the block.
    pub(super) input: usize,
    /// The output t of the block, before the activation.
    pub(super) pre: usize,
    /// The output after the activation; equal to `pre` without one.
    pub(super) post: usize,
    pub(super) activation: Option<Activation<T>>,
    pub(super) norm: Option<BatchNorm<T>>,
    /// The stage whose `pre` is the response input of this block: itself or a following batch
    /// normalisation.
    pub(super) response: usize,
}

/// A network compiled for one scalar type: the blocks, and where their values live on a tape.
///
/// It holds no parameters; those are [`Parameters`].
#[derive(Clone, Debug)]
pub struct Network<T> {
    pub(super) architecture: Architecture,
    pub(super) blocks: Vec<Block>,
    pub(super) stages: Vec<Stage<T>>,
    pub(super) places: Vec<Place>,
    pub(super) parameter_count: usize,
    pub(super) buffer_count: usize,
}

impl<T: Real> Network<T> {
    /// Compiles a network file.
    ///
    /// # Errors
    /// Those of [`Architecture::validate`].
    pub fn from_architecture(architecture: &Architecture) -> Result<Self, Error> {
        architecture.validate()?;
        let mut net = Self {
            architecture: architecture.clone(),
            blocks: Vec::new(),
            stages: Vec::new(),
            places: vec![Place { cols: architecture.inputs(), augmented: false }],
            parameter_count: 0,
            buffer_count: 0,
        };
        for layer in &architecture.layers {
            match layer {
                Layer::Linear { inputs, outputs, bias, param } => {
                    let input = net.places.len() - 1;
                    net.places[input].augmented = *bias;
                    let cols = inputs + usize::from(*bias);
                    net.push(param, BlockKind::Linear, [*outputs, cols, *inputs], None);
                }
                Layer::BatchNorm { features, eps, momentum, param } => {
                    let norm = BatchNorm {
                        eps: T::from_f64(*eps),
                        momentum: T::from_f64(*momentum),
                        offset: net.buffer_count,
                    };
                    net.buffer_count += 2 * features;
                    net.push(param, BlockKind::BatchNorm, [*features, 2, 1], Some(norm));
                }
                Layer::Flatten {} => {}
                _ => net.activate(layer.activation()),
            }
        }
        net.connect_responses();
        Ok(net)
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

    fn push(
        &mut self,
        name: &str,
        kind: BlockKind,
        [rows, cols, inputs]: [usize; 3],
        norm: Option<BatchNorm<T>>,
    ) {
        let input = self.places.len() - 1;
        self.places.push(Place { cols: rows, augmented: false });
        self.stages.push(Stage {
            input,
            pre: input + 1,
            post: input + 1,
            activation: None,
            norm,
            response: self.stages.len(),
        });
        self.blocks.push(Block {
            name: name.to_owned(),
            kind,
            rows,
            cols,
            inputs,
            offset: self.parameter_count,
            response: ResponseSite::Activation(Activation::Linear),
        });
        self.parameter_count += rows * cols;
    }

    fn activate(&mut self, activation: Option<Activation<f64>>) {
        let (Some(f), Some(stage), Some(block)) =
            (activation, self.stages.last_mut(), self.blocks.last_mut())
        else {
            return;
        };
        stage.activation = Some(cast_activation(f));
        stage.post = self.places.len();
        block.response = ResponseSite::Activation(f);
        self.places.push(Place { cols: block.rows, augmented: false });
    }

    fn connect_responses(&mut self) {
        let outputs = match self.architecture.loss {
            Loss::SoftmaxCrossEntropy => ResponseSite::Softmax,
            Loss::Mse { scale } => ResponseSite::Gaussian { scale },
            Loss::BinaryCrossEntropy => ResponseSite::Bernoulli,
        };
        for i in (0..self.stages.len()).rev() {
            if self.stages[i].activation.is_some() {
                continue;
            }
            match self.stages.get(i + 1) {
                None => self.blocks[i].response = outputs,
                Some(next) if next.norm.is_some() && self.stages[i].norm.is_none() => {
                    self.stages[i].response = i + 1;
                    self.blocks[i].response = self.blocks[i + 1].response;
                }
                Some(_) => {}
            }
        }
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

    /// The length of [`Parameters::buffers`]: a running mean and variance for each batch-normalised
    /// feature.
    pub fn buffer_count(&self) -> usize {
        self.buffer_count
    }

    /// The length d of one input.
    pub fn inputs(&self) -> usize {
        self.architecture.inputs()
    }

    /// The length of one output.
    pub fn outputs(&self) -> usize {
        self.architecture.outputs()
    }

    /// Fresh parameters: weights normal with variance 2/((1 + ι²) d) before relu (leak ι) and 2/d
    /// before elu (He et al. 2015), uniform in ±√(6/(d + m)) elsewhere (Glorot & Bengio 2010);
    /// biases 0, γ = 1, β = 0, running mean 0 and variance 1.
    pub fn init(&self, rng: &mut Rng) -> Parameters<T> {
        let mut parameters = Parameters {
            values: vec![T::ZERO; self.parameter_count],
            buffers: vec![T::ZERO; self.buffer_count],
        };
        for (block, stage) in self.blocks.iter().zip(&self.stages) {
            let values = &mut parameters.values[block.range()];
            if let Some(norm) = stage.norm {
                values.chunks_exact_mut(2).for_each(|row| row[0] = T::ONE);
                parameters.buffers[norm.offset + block.rows..][..block.rows].fill(T::ONE);
                continue;
            }
            let (d, m) = (block.inputs as f64, block.rows as f64);
            for row in values.chunks_exact_mut(block.cols) {
                for w in &mut row[..block.inputs] {
                    *w = T::from_f64(match block.response {
                        ResponseSite::Activation(Activation::Relu { leak }) => {
                            (2.0 / ((1.0 + leak * leak) * d)).sqrt() * random::normal(rng)
                        }
                        ResponseSite::Activation(Activation::Elu { .. }) => {
                            (2.0 / d).sqrt() * random::normal(rng)
                        }
                        _ => (6.0 / (d + m)).sqrt() * (2.0 * random::uniform(rng) - 1.0),
                    });
                }
            }
        }
        parameters
    }
}
