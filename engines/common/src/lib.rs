//! Natural gradient for the layers of an engine that has its own tensors and its own
//! differentiation: K-FAC and relative natural gradient descent on views of what the engine computed.
//!
//! An engine tells [`NaturalGradient::new`] what its fully connected layers are. For each mini-batch
//! it hands over views of what a layer saw ([`Capture`]) to [`NaturalGradient::observe`], then the
//! gradients to [`NaturalGradient::step`], and adds [`NaturalGradient::update`] to its parameters.
//! Nothing is known here about any engine; views have any strides, and no tensor is kept.
//!
//! | method | block of a layer | needs of a capture | source |
//! | --- | --- | --- | --- |
//! | [`Method::Kfac`] | G ⊗ A, A = E\[x̃x̃ᵀ\], G = E\[δδᵀ\] | input, output gradient | J. Martens, R. Grosse, ICML 2015 |
//! | [`Method::RngdBlocks`] | Ḡ = (1/n) Σ R ⊗ x̃x̃ᵀ, inverted every T mini-batches | input, output | K. Sun, F. Nielsen, ICML 2017 |
//! | [`Method::RngdSamples`] | the same of each mini-batch, solved in sample space | input, output | the same; Woodbury |
//!
//! Conventions are those of [`relfisher_core`]: one sample a row, x̃ = [x ; 1], W̃ = [W | b] of shape
//! m × d̃, gradients of the **mean** loss.

mod config;
mod error;
mod kfac;
mod labels;
mod layer;
mod optimizer;
mod rngd;

pub use config::{Config, Method};
pub use error::Error;
pub use labels::sample_classes;
pub use layer::{Affine, Capture, LayerSpec, Site};
pub use optimizer::NaturalGradient;
pub use relfisher_core::kron::Damping;
pub use relfisher_core::metric::neuron::{Activation, Response};
pub use relfisher_core::{Backend, MatMut, MatRef, Portable, Real};
