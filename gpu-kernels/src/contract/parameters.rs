//! The scalars of the kernels, as the structures that an entry point takes by value.

use relfisher_core::Real;
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::optim::AdamStep;

/// Neurons of one kind and how many values they have.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Neurons<T> {
    /// The number of values.
    pub count: u64,
    pub(super) kind: u32,
    pub(super) leak_or_alpha: T,
    pub(super) smoothing: T,
    pub(super) sigma: T,
}

const LINEAR: u32 = 0;
const TANH: u32 = 1;
const SIGM: u32 = 2;
const RELU: u32 = 3;
const ELU: u32 = 4;
/// Added to an activation's number: the Gaussian response around it.
const GAUSSIAN: u32 = 8;

impl<T: Real> Neurons<T> {
    /// `count` values of an activation.
    pub fn activated(activation: Activation<T>, count: u64) -> Self {
        let (kind, leak_or_alpha) = encode(activation);
        Self { count, kind, leak_or_alpha, smoothing: T::ZERO, sigma: T::ONE }
    }

    /// `count` values of neurons with a response model.
    pub fn responding(response: Response<T>, count: u64) -> Self {
        let (kind, leak_or_alpha, smoothing, sigma) = match response {
            Response::Tanh => (TANH, T::ZERO, T::ZERO, T::ONE),
            Response::Sigm => (SIGM, T::ZERO, T::ZERO, T::ONE),
            Response::Relu { leak, smoothing, sigma } => (RELU, leak, smoothing, sigma),
            Response::Elu { alpha, sigma } => (ELU, alpha, T::ZERO, sigma),
            Response::Linear { sigma } => (LINEAR, T::ZERO, T::ZERO, sigma),
            Response::Gaussian { activation, sigma } => {
                let (kind, parameter) = encode(activation);
                (GAUSSIAN + kind, parameter, T::ZERO, sigma)
            }
        };
        Self { count, kind, leak_or_alpha, smoothing, sigma }
    }

    /// The activation; of a response model, the one that it is named after.
    #[inline(always)]
    pub fn activation(&self) -> Activation<T> {
        match self.kind % GAUSSIAN {
            TANH => Activation::Tanh,
            SIGM => Activation::Sigm,
            RELU => Activation::Relu { leak: self.leak_or_alpha },
            ELU => Activation::Elu { alpha: self.leak_or_alpha },
            _ => Activation::Linear,
        }
    }

    /// The response model.
    #[inline(always)]
    pub fn response(&self) -> Response<T> {
        let Self { leak_or_alpha: leak, smoothing, sigma, .. } = *self;
        match self.kind {
            TANH => Response::Tanh,
            SIGM => Response::Sigm,
            RELU => Response::Relu { leak, smoothing, sigma },
            ELU => Response::Elu { alpha: leak, sigma },
            LINEAR => Response::Linear { sigma },
            _ => Response::Gaussian { activation: self.activation(), sigma },
        }
    }
}

fn encode<T: Real>(activation: Activation<T>) -> (u32, T) {
    match activation {
        Activation::Linear => (LINEAR, T::ZERO),
        Activation::Tanh => (TANH, T::ZERO),
        Activation::Sigm => (SIGM, T::ZERO),
        Activation::Relu { leak } => (RELU, leak),
        Activation::Elu { alpha } => (ELU, alpha),
    }
}

/// The shape of a product and how its inner range is cut over the grid.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Rows of the product.
    pub rows: u32,
    /// Columns of the product.
    pub columns: u32,
    /// The inner range that is summed over, at least 1.
    pub inner: u32,
    /// The inner indices of one piece: block z of the grid sums piece z. A product in one piece has
    /// `piece = inner` and one block along z.
    pub piece: u32,
}

impl Extent {
    /// A product in one piece.
    pub const fn whole(rows: u32, columns: u32, inner: u32) -> Self {
        Self { rows, columns, inner, piece: inner }
    }
}

/// The distances between rows of the operands and the result of a product.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Strides {
    /// Of the left operand.
    pub a: u32,
    /// Of the right operand.
    pub b: u32,
    /// Of the result.
    pub c: u32,
}

/// `C ← α P + β C`. A moving average of a factor has β = keep and α = (1 − keep)/n.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Update<T> {
    /// α.
    pub alpha: T,
    /// β; with 0, C is not read.
    pub beta: T,
}

/// A product and where it goes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Product<T> {
    /// The shape.
    pub extent: Extent,
    /// The distances between rows.
    pub strides: Strides,
    /// α and β.
    pub update: Update<T>,
}

/// An element-wise product with H after a product: `C ← α P ∘ H + β C`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Masked<T> {
    /// The product.
    pub product: Product<T>,
    /// The distance between rows of H.
    pub h: u32,
    /// How many rows of the product share a row of H.
    pub repeat: u32,
}

/// A layer backwards: `C ← α P ∘ f′(T) + β C`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Backward<T> {
    /// The product: samples, inputs of the layer, outputs of the layer.
    pub product: Product<T>,
    /// f.
    pub neurons: Neurons<T>,
    /// The distance between rows of T.
    pub t: u32,
}

/// A division in an eigenbasis after a product: `C ← P ⊘ (g aᵀ + λ)`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Divided<T> {
    /// The product; α and β are not used.
    pub product: Product<T>,
    /// λ.
    pub damping: T,
}

/// A layer T = X Wᵀ + 1 bᵀ, A = f(T) with W̃ = [W | b].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Layer<T> {
    /// Samples, outputs, inputs without the bias; strides of X, W̃ and T.
    pub product: Product<T>,
    /// f.
    pub neurons: Neurons<T>,
    /// The distance between rows of A.
    pub activated: u32,
}

/// The pieces of a product and where they go.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Join<T> {
    /// Elements of the product.
    pub count: u64,
    /// Pieces, at least 1.
    pub pieces: u32,
    /// α and β.
    pub update: Update<T>,
}

/// A matrix that is written, y, and one of the same shape that is read, x, each with its own distance
/// between rows.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// Rows times columns.
    pub count: u64,
    /// Columns, at least 1 and below 2³¹.
    pub columns: u32,
    /// The distance between rows of y.
    pub y: u32,
    /// The distance between rows of x.
    pub x: u32,
}

impl Rows {
    /// Vectors of `count` elements, one after the other.
    pub const fn vectors(count: u64) -> Self {
        Self { count, columns: 1, y: 1, x: 1 }
    }
}

/// `Y ← α X + β Y`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Combination<T> {
    /// The shape.
    pub rows: Rows,
    /// α and β.
    pub update: Update<T>,
}

/// A function of the values of a matrix, neurons of one kind; their own count is not used.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NeuronRows<T> {
    /// The shape.
    pub rows: Rows,
    /// The function.
    pub neurons: Neurons<T>,
}

/// One step of [`relfisher_core::optim::Sgd`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SgdScalars<T> {
    /// The number of parameters.
    pub count: u64,
    /// γ.
    pub learning_rate: T,
    /// μ.
    pub momentum: T,
    /// The factor of θ that is added to the gradient.
    pub weight_decay: T,
    /// 0 for heavy ball, 1 for Nesterov.
    pub nesterov: u32,
}

/// One step of [`relfisher_core::optim::Adam`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct AdamScalars<T> {
    /// The number of parameters.
    pub count: u64,
    /// The scalars of the step.
    pub rule: AdamStep<T>,
}

/// Matrices of one order, one after the other.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Batch<T> {
    /// Values from the start of a matrix to the start of the next.
    pub distance: u64,
    /// The order.
    pub order: u32,
    /// The distance between rows; 0 for packed lower triangles, row by row.
    pub row: u32,
    /// λ, added to the diagonal.
    pub damping: T,
}

impl<T> Batch<T> {
    /// Where element (i, j), i ≥ j, of a matrix stands.
    #[inline(always)]
    pub const fn index(&self, i: u32, j: u32) -> u32 {
        if self.row == 0 { i * (i + 1) / 2 + j } else { i * self.row + j }
    }
}

/// A triangle whose diagonal blocks are inverted.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Triangles {
    /// The order of the triangle.
    pub order: u32,
    /// The distance between its rows.
    pub l: u32,
    /// The distance between rows of the result.
    pub w: u32,
}

/// Where the right sides of a batch of systems stand: block (x, y) solves right side y of matrix x.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RightSides {
    /// Values from the right sides of a matrix to those of the next.
    pub distance: u64,
    /// Values from a right side to the next of the same matrix.
    pub side: u32,
    /// Values from an element of a right side to the next.
    pub element: u32,
}

/// The systems of the sample space: one for each neuron.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Samples<T> {
    /// n, the order of each.
    pub samples: u32,
    /// m, how many.
    pub neurons: u32,
    /// λ' = nλ.
    pub damping: T,
}

/// Rows of logits or probabilities, one sample a row.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Classes<T> {
    /// n.
    pub samples: u32,
    /// C.
    pub classes: u32,
    /// What the gradient is multiplied with: 1/n for the mean loss.
    pub scale: T,
}

/// Rows of outputs and their targets, one sample a row.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Targets<T> {
    /// n.
    pub samples: u32,
    /// C.
    pub outputs: u32,
    /// What a squared error is multiplied with in the loss.
    pub weight: T,
    /// What the gradient is multiplied with: 1/n for the mean loss.
    pub scale: T,
}

/// A selection in each row of a matrix.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Selection {
    /// Values from a row to the next.
    pub distance: u64,
    /// Values in a row, at least 1.
    pub length: u32,
    /// How many of them are kept, from 1 to `length`.
    pub kept: u32,
}

/// A window that slides over images of channels × height × width; pairs are (y, x), as in
/// `relfisher_core::conv::Window`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Channels of an image.
    pub channels: u32,
    /// Rows and columns of an image.
    pub size: [u32; 2],
    /// Taps, below 2¹⁴ each.
    pub kernel: [u32; 2],
    /// The distance between neighbouring windows.
    pub stride: [u32; 2],
    /// The zeros on either side of an image.
    pub padding: [u32; 2],
    /// The distance between neighbouring taps.
    pub dilation: [u32; 2],
    /// Rows and columns of the output.
    pub positions: [u32; 2],
}

/// The Gram matrix of the patches of images.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Patched<T> {
    /// Rows and columns: channels·kernel + 1; inner: images·positions.
    pub product: Product<T>,
    /// The geometry.
    pub window: Window,
}
