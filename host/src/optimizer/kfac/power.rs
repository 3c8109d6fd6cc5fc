//! Fractional powers of the curvature of a block: (C + λI)⁻ᵖ, 0 < p ≤ 1 (D. Huh, *Curvature-corrected
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

/// `v_c ← (B_c + λI)⁻ᵖ v_c` for the 2 × 2 blocks of a batch normalisation (v c × 2, blocks c × 3,
/// packed): f(l₁) v + β (B + λI − l₁ I) v with f(l) = l⁻ᵖ and β its divided difference at the two
/// eigenvalues.
pub(crate) fn channels<T: Scalar>(
    v: &mut [T],
    blocks: &[T],
    (power, damping): (T, T),
) -> Result<(), CoreError> {
    let pairs = v.as_chunks_mut::<2>().0.iter_mut();
    for (c, ([g, h], [a, b, d])) in pairs.zip(blocks.as_chunks::<3>().0).enumerate() {
        let (a, b, d) = (*a + damping, *b, *d + damping);
        let half = T::HALF * (a - d);
        let large = T::HALF * (a + d) + (half * half + b * b).sqrt();
        let small = (a * d - b * b) / large;
        if !(small > T::EPSILON * large && large.is_finite()) {
            return Err(CoreError::NotPositiveDefinite { block: c, pivot: 1 });
        }
        let f = |l: T| T::ONE / l.powf(power);
        let gap = large - small;
        let slope = if gap > T::EPSILON.sqrt() * large {
            (f(large) - f(small)) / gap
        } else {
            -power * f(large) / large
        };
        let (x, y) = ((a - large) * *g + b * *h, b * *g + (d - large) * *h);
        (*g, *h) = (f(large) * *g + slope * x, f(large) * *h + slope * y);
    }
    Ok(())
}
