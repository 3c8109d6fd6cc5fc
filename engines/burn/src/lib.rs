//! K-FAC and relative natural gradient descent for [burn](burn): a step over
//! [`Linear`](burn::nn::Linear) layers on any of its backends.
//!
//! burn keeps gradients of tensors that require them. A [`Trace`] runs a layer and adds zeros that
//! require a gradient to its outputs t: the gradient of the zeros **is** ∂L/∂t. burn's own optimisers
//! see one parameter at a time; a Kronecker factor couples a layer's weights and bias, so
//! [`NaturalGradient::step`] takes the layers instead.
//!
//! ```
//! use burn::nn::{LinearConfig, loss::CrossEntropyLoss};
//! use burn::tensor::{Device, Int, Tensor};
//! use relfisher_burn::{Config, NaturalGradient, Response, Site, Trace};
//!
//! # fn main() -> Result<(), relfisher_burn::Error> {
//! let device = Device::flex().autodiff();
//! let mut hidden = LinearConfig::new(2, 8).init(&device);
//! let mut last = LinearConfig::new(8, 2).init(&device);
//! let specs = [("hidden", &hidden, Site::Neurons(Response::Tanh)), ("last", &last, Site::Softmax)];
//! let config = Config { learning_rate: 0.1, ..Config::kfac() };
//! let mut optimiser = NaturalGradient::<f32>::new(&specs, config)?;
//!
//! let x = Tensor::<2>::from_data([[0., 1.], [1., 0.], [1., 1.], [0., 0.]], &device);
//! let y = Tensor::<1, Int>::from_data([1, 1, 1, 0], &device);
//! let mut losses: Vec<f32> = Vec::new();
//! for _ in 0..100 {
//!     let mut trace = Trace::new();
//!     let a = trace.linear(&hidden, x.clone())?.tanh();
//!     let logits = trace.linear(&last, a)?;
//!     let loss = CrossEntropyLoss::new(None, &device).forward(logits, y.clone());
//!     losses.push(loss.clone().into_scalar());
//!     optimiser.step(&trace, &loss.backward(), &mut [&mut hidden, &mut last])?;
//! }
//! assert!(losses[99] < 0.3 * losses[0], "{losses:?}");
//! # Ok(())
//! # }
//! ```
//!
//! Another forward pass whose loss has labels drawn from the model ([`sampled_labels`]), given to
//! [`NaturalGradient::observe`] before the step, makes K-FAC's factors those of the Fisher matrix;
//! without it they are those of the true labels (the empirical one).

mod optimizer;
mod trace;

pub use optimizer::{NaturalGradient, sampled_labels};
pub use relfisher_engine::{Activation, Config, Damping, Error, Method, Portable, Response, Site};
pub use trace::{Scalar, Trace};
