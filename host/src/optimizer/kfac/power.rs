//! Fractional powers of the curvature of a block: (G ⊗ A + λI)⁻ᵖ, 0 < p ≤ 1 (D. Huh, *Curvature-corrected
//! learning dynamics in deep neural networks*, ICML 2020).

use relfisher_core::kron::{KronEigen, kron_eigen_apply_workspace_len};
use relfisher_core::{Error as CoreError, MatMut, MatRef};

use crate::Scalar;
use crate::curvature::Eigenbasis;
use crate::executor::Executor;
use crate::scratch::grown;

/// `v ← (G ⊗ A + λI)⁻ᵖ v` in place (m × d̃), through the eigenbases of the factors.
pub(super) fn kronecker<T: Scalar>(
    executor: &dyn Executor<T>,
    v: &mut [T],
    basis: &Eigenbasis<T>,
    (power, damping): (T, T),
    work: &mut Vec<T>,
) -> Result<(), CoreError> {
    let (m, d) = (basis.g_values.len(), basis.a_values.len());
    let eigen = KronEigen {
        g_vectors: MatRef::new(&basis.g, m, m)?,
        g_values: &basis.g_values,
        a_vectors: MatRef::new(&basis.a, d, d)?,
        a_values: &basis.a_values,
    };
    let work = grown(work, kron_eigen_apply_workspace_len(m, d));
    eigen.power(executor, MatMut::new(v, m, d)?, power, damping, work)
}
