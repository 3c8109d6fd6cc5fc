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
    kind: u32,
    leak_or_alpha: T,
    smoothing: T,
    sigma: T,
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

/// An element-wise product with H after a product: `C ← α P ∘ H + β C`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Scale<T> {
    /// The distance between rows of C and of H.
    pub stride: u32,
    /// How many rows of the product share a row of H.
    pub repeat: u32,
    /// α and β.
    pub update: Update<T>,
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
