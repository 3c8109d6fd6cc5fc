//! Relative Fisher information metrics (S4; MATH.md §2).
//!
//! The metric of parameters θ with respect to a response h, given a reference θ_f, is
//! `g^h(θ | θ_f) = E_{p(h|θ,θ_f)}[∂ ln p ∂ ln pᵀ]`: it depends on the subsystem only, never on the rest
//! of the network. A learning step uses its mean over the samples' references.
//!
//! | what | where |
//! | --- | --- |
//! | ν_f(t), the scalar metric of a neuron | [`neuron`] |
//! | layers: `Ḡ = (1/n) Σ_s R_s ⊗ x̃_s x̃_sᵀ` | [`layer::LinearMetric`], [`layer::NonlinearMetric`], [`layer::SoftmaxMetric`] |
//! | two layers, W below and C above | [`two_layer::TwoLayerMetric`], seen from W alone [`two_layer::LowerMetric`] |
//! | batch normalisation: a 2 × 2 block for each channel | [`normalisation`] |
//! | `(Ḡ + λI)⁻¹ G` | [`route`], chosen by [`cost`]; once: `NonlinearMetric::solve`, `SoftmaxMetric::solve` |
//!
//! For a step rule that keeps a metric over T steps: `route::block::{build, factor, apply}` (or
//! `invert`, `apply_inverse`) on m packed rows, `softmax_build`, `softmax_factor`, `softmax_apply` on
//! the (C·d̃)² matrix of the soft-max layer; or `route::kronecker::State`. For the exact metric of
//! every mini-batch: `route::sample::{solve, softmax_solve}`.
//!
//! ```
//! use relfisher_core::metric::layer::NonlinearMetric;
//! use relfisher_core::metric::route::block;
//! use relfisher_core::{MatMut, MatRef, Portable, blas};
//!
//! let x = [1.0, 1.0, -2.0, 1.0]; // n = 2 samples of [x; 1]
//! let nu = [0.5, 0.25]; // one neuron
//! let metric = NonlinearMetric::new(MatRef::new(&x, 2, 2)?, MatRef::new(&nu, 2, 1)?)?;
//! let mut blocks = [0.0; 3];
//! let mut work = vec![0.0; blas::packed_grams_workspace_len(2, 1, 2)];
//! block::build(&Portable, MatMut::new(&mut blocks, 1, 3)?, &metric, 0.0, &mut work)?;
//! assert_eq!(blocks, [0.75, 0.0, 0.375]);
//! block::factor(&Portable, MatMut::new(&mut blocks, 1, 3)?, 2, 0.25)?;
//! let mut step = [1.0, 1.25];
//! block::apply(&Portable, MatMut::new(&mut step, 1, 2)?, MatRef::new(&blocks, 1, 3)?)?;
//! assert!((step[0] - 1.0f64).abs() < 1e-12 && (step[1] - 2.0f64).abs() < 1e-12);
//! # Ok::<(), relfisher_core::Error>(())
//! ```

pub mod cost;
pub mod layer;
pub mod neuron;
pub mod normalisation;
pub mod route;
pub(crate) mod support;
pub mod two_layer;
