//! Blocks: the runs of parameters that a network is made of.

use relfisher_core::conv::Window;
use relfisher_core::metric::neuron::Activation;
use relfisher_core::{MatMut, MatRef, Real};

use crate::Error;

/// What a block computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// T = X̃ W̃ᵀ.
    Linear,
    /// T = P̃ W̃ᵀ, P̃ the patches of an image.
    Convolution(Convolution),
    /// y = γ x̂ + β.
    BatchNorm,
}

/// The geometry of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Where the kernels look.
    pub window: Window,
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl Convolution {
    /// The length of a patch of one group, without the trailing 1.
    pub fn patch(&self) -> usize {
        self.window.channels / self.groups * self.window.taps()
    }
}

/// What the output t of a block feeds: the response model of its neurons (S4).
///
/// A flatten in between changes no number and counts as nothing, except before a soft-max.
/// When a batch normalisation lies between a linear layer and its activation, the site is that
/// activation, whose input is the normalised one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ResponseSite {
    /// An activation; [`Activation::Linear`] when another layer follows directly.
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

/// A run of parameters: W̃ = [W | b] of a linear layer or a convolution (W as (out, in·kh·kw)), or
/// [γ | β] of a batch normalisation.
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
    /// The positions T of a sample that share the parameters: 1 for a linear layer on vectors.
    pub positions: usize,
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

    /// Whether the block has a bias column.
    pub fn has_bias(&self) -> bool {
        self.cols > self.inputs
    }

    /// The groups of a convolution; 1 for any other block.
    pub fn groups(&self) -> usize {
        match self.kind {
            BlockKind::Convolution(conv) => conv.groups,
            _ => 1,
        }
    }

    /// Whether the block is a linear layer on vectors: one position, m·d̃ weights.
    pub fn is_dense(&self) -> bool {
        self.kind == BlockKind::Linear && self.positions == 1
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
