//! Spectra of symmetric matrices that are only known by their products: Lanczos recurrences,
//! tridiagonal eigenproblems, quadrature of the spectral density; statistics of the gradients of
//! single samples, and comparisons of spaces and matrices (`sample.rs`).
//!
//! The matrix never appears: a [`Lanczos`] recurrence hands out the next vector and takes back its
//! product, so any operator (a network's Hessian, a Gauss–Newton matrix on a device) can be
//! analysed without a closure and without allocation:
//!
//! ```
//! use relfisher_core::stats::{self, Lanczos, Step};
//! use relfisher_core::{MatMut, MatRef, Portable};
//! let diagonal = [4.0, 1.0, 1.0, -2.0]; // three distinct eigenvalues
//! let (mut basis, mut alpha, mut beta) = ([0.0; 5 * 4], [0.0; 4], [0.0; 4]);
//! let mut work = [0.0; stats::lanczos_workspace_len(4, 0)];
//! let none = MatRef::new(&[], 0, 4)?;
//! let basis = MatMut::new(&mut basis, 5, 4)?;
//! let mut lanczos = Lanczos::new(basis, &mut alpha, &mut beta, none, 0.0, &mut work)?;
//! let mut step = lanczos.start(&Portable, &[1.0, 1.0, 1.0, 1.0])?;
//! while step == Step::Continue {
//!     let mut product = [0.0; 4];
//!     for ((p, d), v) in product.iter_mut().zip(&diagonal).zip(lanczos.next_vector()) {
//!         *p = d * v;
//!     }
//!     step = lanczos.advance(&Portable, &product)?;
//! }
//! assert_eq!((step, lanczos.len()), (Step::Breakdown, 3)); // an invariant subspace
//! let (mut nodes, mut weights) = ([0.0; 3], [0.0; 3]);
//! stats::lanczos_quadrature(&mut nodes, &mut weights, &alpha[..3], &beta[..2], &mut [0.0; 3])?;
//! // vᵀ f(A) v/‖v‖² = Σ wᵢ f(θᵢ): here ¼, ½ and ¼ of the mass
//! assert!(nodes.iter().zip([-2.0, 1.0, 4.0]).all(|(a, b): (&f64, _)| (a - b).abs() < 1e-14));
//! assert!(weights.iter().zip([0.25, 0.5, 0.25]).all(|(a, b): (&f64, _)| (a - b).abs() < 1e-14));
//! # Ok::<(), relfisher_core::Error>(())
//! ```

mod lanczos;
mod quadrature;
mod ritz;
mod sample;
mod tridiagonal;

pub use lanczos::{Lanczos, LanczosState, NextVector, Step, lanczos_workspace_len};
pub use quadrature::{gaussian_density, lanczos_quadrature};
pub use ritz::lanczos_restart_workspace_len;
pub use sample::{
    Frobenius, GradientNoise, cosine, outer_square_norms, row_products, subspace_overlap,
    subspace_share,
};
pub use tridiagonal::{Eigenvectors, tridiagonal_eigh};
