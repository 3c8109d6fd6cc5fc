//! The exact pre-activation Hessian of every sample, one layer down.

use crate::error::{check_len, take_work};
use crate::kron::{packed_len, unpack};
use crate::metric::support::{carve, check_matrix, check_rows};
use crate::{Backend, Error, MatMut, MatRef, Real};

/// `out_s ← B_s Wᵀ 𝓗_s W B_s + D_s` for every sample: from the packed 𝓗 of the layer above to that of
/// the layer below (S1, 𝓗_λ = B W_{λ+1}ᵀ 𝓗_{λ+1} W_{λ+1} B + D; Botev et al. 2017, eq. 9).
///
/// `B_s = diag f′(h_s)` is `derivative`; `D_s = diag(f″(h_s) ∘ ∂E/∂a_s)` is `curvature`, whose absence
/// means 0: the Gauss–Newton recursion, and the exact one of a piecewise linear activation.
/// Shapes: h n × m(m+1)/2 (any sign), w m×d (the layer above without its bias), derivative and
/// curvature n×d, out n × d(d+1)/2; contiguous rows for all but w. 2m·d·(m + d) FLOPs a sample.
/// Samples are independent: a host may cut the batch anywhere. `work`: [`hessian_step_workspace_len`].
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`].
///
/// ```
/// use relfisher_core::curvature::{hessian_step, hessian_step_workspace_len};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (h, w, slope, curve) = ([2.0], [1.0, 3.0], [1.0, 0.5], [0.0, -1.0]);
/// let (mut out, mut work) = ([f64::NAN; 3], [f64::NAN; hessian_step_workspace_len(1, 2)]);
/// let (h, w) = (MatRef::new(&h, 1, 1)?, MatRef::new(&w, 1, 2)?);
/// let (slope, curve) = (MatRef::new(&slope, 1, 2)?, MatRef::new(&curve, 1, 2)?);
/// let o = MatMut::new(&mut out, 1, 3)?;
/// hessian_step(&Portable, o, h, w, slope, Some(curve), &mut work)?;
/// assert_eq!(out, [2.0, 3.0, 3.5]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn hessian_step<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    mut out: MatMut<'_, T>,
    h: MatRef<'_, T>,
    w: MatRef<'_, T>,
    derivative: MatRef<'_, T>,
    curvature: Option<MatRef<'_, T>>,
    work: &mut [T],
) -> Result<(), Error> {
    let (n, m, d) = (h.rows(), w.rows(), w.cols());
    check_len("hessian_step: columns of h", packed_len(m), h.cols())?;
    check_rows("hessian_step: h", h)?;
    let names = ("hessian_step: rows of out", "hessian_step: columns of out");
    check_matrix(names, out.rb(), n, packed_len(d))?;
    let names = ("hessian_step: rows of derivative", "hessian_step: columns of derivative");
    check_matrix(names, derivative, n, d)?;
    if let Some(curvature) = curvature {
        let names = ("hessian_step: rows of curvature", "hessian_step: columns of curvature");
        check_matrix(names, curvature, n, d)?;
    }
    let mut rest = take_work(work, hessian_step_workspace_len(m, d))?;
    let full = carve(&mut rest, m.saturating_mul(m))?;
    let above = carve(&mut rest, m.saturating_mul(d))?;
    let below = carve(&mut rest, d.saturating_mul(d))?;
    for s in 0..n {
        unpack(MatMut::new(&mut *full, m, m)?, h.row(s))?;
        let (full, mut above) = (MatRef::new(&*full, m, m)?, MatMut::new(&mut *above, m, d)?);
        backend.gemm(above.rb_mut(), T::ZERO, T::ONE, full, w)?;
        let mut below = MatMut::new(&mut *below, d, d)?;
        backend.gemm(below.rb_mut(), T::ZERO, T::ONE, w.t(), above.rb())?;
        let curvature = curvature.map_or(&[][..], |c| c.row(s));
        scale(out.row_mut(s), below.rb(), derivative.row(s), curvature);
    }
    Ok(())
}

/// packed ← B a B + D, from the lower triangle of a; D is 0 where `curvature` ends.
fn scale<T: Real>(packed: &mut [T], a: MatRef<'_, T>, slopes: &[T], curvature: &[T]) {
    let mut rest = packed;
    for (i, slope) in slopes.iter().enumerate() {
        let Some((row, after)) = rest.split_at_mut_checked(i.wrapping_add(1)) else { break };
        rest = after;
        for ((o, x), other) in row.iter_mut().zip(a.row(i)).zip(slopes) {
            *o = *slope * *x * *other;
        }
        if let (Some(o), Some(c)) = (row.last_mut(), curvature.get(i)) {
            *o += *c;
        }
    }
}

/// The workspace of [`hessian_step`] in elements: one sample's 𝓗 (m²), 𝓗W (m·d) and Wᵀ𝓗W (d²).
#[inline]
pub const fn hessian_step_workspace_len(m: usize, d: usize) -> usize {
    m.saturating_mul(m).saturating_add(m.saturating_mul(d)).saturating_add(d.saturating_mul(d))
}
