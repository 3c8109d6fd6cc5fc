//! Natural gradient with closed-form relative Fisher metrics and Kronecker factors: networks, data,
//! optimisers and training around the formulas of [`relfisher_core`].
//!
//! | module | concept |
//! | --- | --- |
//! | [`network`] | the network file, layers, losses, forward and backward passes with hooks for curvature |
//! | [`optimizer`] | SGD, Adam, relative natural gradient by blocks and in sample space, K-FAC |
//! | [`executor`] | the only place that knows about threads, SIMD and devices |
//! | [`driver`] | the CUDA driver through cudarc, cust or rustacuda, and an emulated one |
//! | [`dataset`], [`format`](mod@format) | IDX, npy, npz, safetensors; every failure names file, place and remedy |
//! | [`embedding`] | sparse gradient embeddings of samples, and their kernel |
//! | [`laplace`] | the posterior of the parameters: evidence, draws, predictive variance |
//! | [`prune`] | removal of weights by magnitude and by curvature |
//! | [`gradnet`] | classifiers of those embeddings: the experiment of S0 |
//! | [`spectrum`] | extremal eigenpairs and spectral density of matrices known by their products |
//! | [`diagnostics`] | norms, variance, noise scale and alignment of a mini-batch's gradients |
//! | [`evolution`] | eigenspaces and nearness of curvature matrices over a training run |
//! | [`accuracy`] | the numbers of this library against independent references |
//! | [`train`], [`plot`] | experiments, records, checkpoints, tuning; learning curves |
//! | [`cli`] | the program `relfisher` |
//!
//! The same input gives the same bits on any number of threads.

pub mod accuracy;
pub mod cli;
pub mod curvature;
pub mod dataset;
pub mod diagnostics;
pub mod driver;
pub mod embedding;
pub mod error;
pub mod evolution;
pub mod executor;
pub mod format;
pub mod gradnet;
pub mod laplace;
pub mod network;
pub mod optimizer;
pub mod plot;
pub mod prune;
pub mod random;
mod resident;
mod scalar;
mod scratch;
pub mod spectrum;
pub mod train;

pub use error::Error;
pub use relfisher_core::Error as CoreError;
pub use scalar::Scalar;
