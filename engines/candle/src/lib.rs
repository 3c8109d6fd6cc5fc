//! K-FAC and relative natural gradient descent for [candle](candle_core): an
//! [`Optimizer`](candle_nn::Optimizer) over fully connected layers.
//!
//! candle keeps gradients of variables only, not of what lies between. A [`Probed`] layer is a
//! [`candle_nn::Linear`] that adds a variable of zeros to its outputs t: the gradient of that variable
//! **is** ∂L/∂t. The optimiser reads it, the layer's input and its output where candle stores them,
//! without a copy, and sets the layer's variables.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::{Activation, Module, ModuleT, Optimizer, VarBuilder, VarMap, loss};
//! use relfisher_candle::{Config, NaturalGradient, Probed, Response, Settings, Site};
//!
//! # fn main() -> candle_core::Result<()> {
//! let variables = VarMap::new();
//! let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
//! let hidden = candle_nn::linear(2, 8, vb.pp("hidden"))?;
//! let hidden = Probed::new("hidden", hidden, Site::Neurons(Response::Tanh))?;
//! let last = Probed::new("last", candle_nn::linear(8, 2, vb.pp("last"))?, Site::Softmax)?;
//!
//! let config = Config { learning_rate: 0.1, ..Config::kfac() };
//! let settings = Settings { layers: vec![hidden.clone(), last.clone()], config };
//! let mut optimiser = NaturalGradient::<f32>::new(variables.all_vars(), settings)?;
//!
//! let x = Tensor::new(&[[0f32, 1.], [1., 0.], [1., 1.], [0., 0.]], &Device::Cpu)?;
//! let y = Tensor::new(&[1u32, 1, 1, 0], &Device::Cpu)?;
//! let mut losses = Vec::new();
//! for _ in 0..100 {
//!     let a = hidden.forward_t(&x, true)?.tanh()?;
//!     let loss = loss::cross_entropy(&last.forward_t(&a, true)?, &y)?;
//!     losses.push(loss.to_scalar::<f32>()?);
//!     optimiser.backward_step(&loss)?;
//! }
//! assert!(losses[99] < 0.3 * losses[0], "{losses:?}");
//! # Ok(())
//! # }
//! ```
//!
//! The gradient of a loss for labels drawn from the model ([`sampled_labels`]), given to
//! [`NaturalGradient::observe`] before the step, makes K-FAC's factors those of the Fisher matrix;
//! without it they are those of the true labels (the empirical one).

mod optimizer;
mod probe;
mod view;

pub use optimizer::{NaturalGradient, Settings, sampled_labels};
pub use probe::Probed;
pub use relfisher_engine::{Activation, Config, Damping, Method, Portable, Response, Site};
pub use view::Scalar;
