//! Curvature of neural networks as arithmetic: closed-form relative Fisher metrics and
//! Kronecker-factored algebra, in `no_std` Rust without allocation, without `unsafe`, and without a
//! reachable panic.
//!
//! # Map
//! | module | concept |
//! | --- | --- |
//! | [`metric`] | relative Fisher metrics (Sun & Nielsen 2017) of neurons, layers and two-layer subsystems; the exact damped step by four routes and the cost model that chooses |
//! | [`kron`] | Kronecker products G ⊗ A: products, damping, inverses, eigenbases, traces, moving averages |
//! | [`curvature`] | what K-FAC, KFLR, KFRA, EKFAC, exact and low-rank blocks of a layer are made of |
//! | [`factor`] | Cholesky, triangular solves, symmetric eigendecomposition; packed and batched |
//! | [`conv`] | sliding windows: patches of an image, their transpose, pooling |
//! | [`blas`] | the dense products that the rest is made of |
//! | [`sparse`] | sparse gradient metrics: exact selection of the largest entries, quasi-arithmetic means, embeddings |
//! | [`stats`] | spectra of matrices known by their products: Lanczos, quadrature of the density |
//! | [`laplace`] | the posterior of the parameters: evidence, draws, variance of the outputs |
//! | [`prune`] | saliencies of weights, and what removing them asks of the others: OBD, OBS, WoodFisher |
//! | [`optim`] | step rules that need no allocation |
//! | [`math`] | exp, tanh, sigm and the rest as polynomials that vectorise |
//! | [`backend`] | the seam between formulas and machines |
//!
//! # Conventions
//! A batch is row-major with one sample a row; the bias input comes last, x̃ = [x ; 1]; parameters of
//! a layer are W̃ = [W | b], shape (m, d̃), and vec is row-major, so a Kronecker block is G ⊗ A and
//! (G ⊗ A) vec(V) = vec(G V Aᵀ). Gradients and curvature are means over the batch. `packed` is the
//! lower triangle row by row.
//!
//! Arguments come in the order outputs, inputs, scalars, options, `work: &mut [T]`. A routine that
//! needs scratch has a `const fn …_workspace_len`. Outputs and scratch may hold NaN on entry. Shapes,
//! workspace and parameters are checked before anything is written, and every failure is an
//! [`Error`] that names the place.
//!
//! # Formulas
//! A layer of independent neurons with pre-activations $t = \tilde W \tilde x$ has the relative Fisher
//! metric
//! $$ \bar G_i = \frac1n \sum_s \nu_f(t_i) \tilde x_s \tilde x_s^\top, \quad i = 1, \dots, m, $$
//! with $\nu_{\tanh}(t) = \mathrm{sech}^2 t$, for example, and the step
//! $\delta w_i = -\gamma (\bar G_i + \lambda I)^{-1} \partial L / \partial w_i$; a soft-max layer
//! $\frac1n \sum_s (\mathrm{diag}(\eta_s) - \eta_s \eta_s^\top) \otimes \tilde x_s \tilde x_s^\top$.
//! A K-FAC step is $(G + \sqrt\lambda / \pi I)^{-1} V (A + \pi \sqrt\lambda I)^{-1}$ with
//! $\pi^2 = \frac{\operatorname{tr} A / d}{\operatorname{tr} G / m}$.
//!
//! # Features
//! `std` (off) takes square roots from the standard library. They are correctly rounded either way, so
//! no bit changes; but the compiler makes vectors of them, which it cannot of `libm`'s.
//!
//! # Example
//! The metric of one tanh neuron and the length of a step in it:
//! ```
//! use relfisher_core::metric::neuron::Response;
//! let (w, x) = ([0.5, -1.0, 0.25], [2.0, 1.0, 1.0]); // x̃ = [x ; 1]
//! let t: f64 = w.iter().zip(&x).map(|(a, b)| a * b).sum();
//! let nu = Response::Tanh.nu(t); // sech² t
//! let step = [0.1, 0.0, -0.1];
//! let along: f64 = step.iter().zip(&x).map(|(a, b)| a * b).sum();
//! assert!((nu * along * along - (1.0 - t.tanh().powi(2)) * 0.01).abs() < 1e-15);
//! ```
#![no_std]
#![forbid(unsafe_code)]
// Needed on that target only, where the compiler is one for GPU kernels; see `real.rs`.
#![cfg_attr(target_arch = "nvptx64", feature(core_float_math))]

#[cfg(feature = "std")]
extern crate std;

pub mod backend;
pub mod blas;
pub mod conv;
pub mod curvature;
mod error;
pub mod factor;
pub mod kron;
pub mod laplace;
pub mod math;
pub mod metric;
pub mod optim;
pub mod prune;
mod real;
pub mod sparse;
pub mod stats;
mod view;

pub use backend::{Backend, Portable};
pub use error::Error;
pub use real::Real;
pub use view::{MatMut, MatRef};
