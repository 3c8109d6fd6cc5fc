//! K-FAC of one layer: moving averages of A and G, their Cholesky factors, solves.

use relfisher_core::kron::{self, Damping, KronCholesky};
use relfisher_core::optim::ema_keep;
use relfisher_core::{Backend, Error as CoreError, MatMut, MatRef, Real, blas};

use crate::error::At;
use crate::layer::copy_row;
use crate::optimizer::grown;
use crate::{Capture, Error, LayerSpec};

/// G ⊗ A of one layer.
#[derive(Clone, Debug)]
pub(crate) struct Factors<T> {
    /// The moving average of E[x̃x̃ᵀ], d̃ × d̃.
    pub(crate) a: Vec<T>,
    /// The moving average of E[δδᵀ], m × m.
    pub(crate) g: Vec<T>,
    a_factor: Vec<T>,
    g_factor: Vec<T>,
    measured: u64,
}

impl<T: Real> Factors<T> {
    pub(crate) fn new(spec: &LayerSpec<T>) -> Self {
        let (m, d) = (spec.outputs, spec.augmented());
        let square = |n: usize| vec![T::ZERO; n * n];
        Self { a: square(d), g: square(m), a_factor: square(d), g_factor: square(m), measured: 0 }
    }

    /// Moves the averages towards a mini-batch's factors: A = (1/n) Σ x̃x̃ᵀ, G = (1/n) Σ δδᵀ. The
    /// captured c is ∂L/∂t of a mean, c = δ/n, so that G = n Σ ccᵀ.
    pub(crate) fn measure<B: Backend<T>>(
        &mut self,
        backend: &B,
        spec: &LayerSpec<T>,
        capture: &Capture<'_, T>,
        decay: T,
        work: &mut Vec<T>,
    ) -> Result<(), Error> {
        let (n, m, d) = (capture.input.rows(), spec.outputs, spec.augmented());
        let gradients = capture.gradients(spec)?;
        let keep = ema_keep(decay, self.measured);
        let (fresh, count) = (T::ONE - keep, T::from_usize(n));
        let products = blas::gram_workspace_len(n, d).max(blas::gram_workspace_len(n, m));
        let (x, rest) = grown(work, n * (d + m) + products).split_at_mut(n * d);
        let (delta, products) = rest.split_at_mut(n * m);
        spec.augment(x, capture.input);
        for (s, row) in delta.chunks_exact_mut(m).enumerate() {
            copy_row(row, gradients, s);
        }
        let mut gram = |out: &mut [T], size: usize, alpha: T, rows: &[T]| {
            let rows = MatRef::new(rows, n, size)?;
            backend.gram(MatMut::new(out, size, size)?, keep, alpha, rows, None, products)
        };
        gram(&mut self.a, d, fresh / count, x).at(&spec.name)?;
        gram(&mut self.g, m, fresh * count, delta).at(&spec.name)?;
        self.measured += 1;
        Ok(())
    }

    /// Factors the damped averages.
    pub(crate) fn factor<B: Backend<T>>(
        &mut self,
        backend: &B,
        spec: &LayerSpec<T>,
        (split, damping): (Damping, T),
    ) -> Result<(), Error> {
        let (m, d) = (spec.outputs, spec.augmented());
        self.a_factor.copy_from_slice(&self.a);
        self.g_factor.copy_from_slice(&self.g);
        let mut factor = || {
            let g = MatRef::new(&self.g, m, m)?;
            let damping = kron::split_damping(g, MatRef::new(&self.a, d, d)?, damping, split)?;
            let g = MatMut::new(&mut self.g_factor, m, m)?;
            KronCholesky::factor(backend, g, MatMut::new(&mut self.a_factor, d, d)?, damping)?;
            Ok::<(), CoreError>(())
        };
        factor().at(&spec.name)
    }

    /// `v ← (G + λ_G I)⁻¹ v (A + λ_A I)⁻¹`, m × d̃.
    pub(crate) fn solve<B: Backend<T>>(
        &self,
        backend: &B,
        spec: &LayerSpec<T>,
        v: &mut [T],
    ) -> Result<(), CoreError> {
        let (m, d) = (spec.outputs, spec.augmented());
        let g = MatRef::new(&self.g_factor, m, m)?;
        let factors = KronCholesky { g, a: MatRef::new(&self.a_factor, d, d)? };
        factors.solve(backend, MatMut::new(v, m, d)?, &mut [])
    }
}
