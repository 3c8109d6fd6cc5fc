//! KFRA: the averaged output factor, one layer down.

use crate::blas::{gram_workspace_len, mirror};
use crate::error::check_len;
use crate::metric::support::{carve, check_matrix, check_rows};
use crate::{Backend, Error, MatMut, MatRef, Real};

/// `out ← (WᵀGW) ∘ (1/n) Σ_s b_s b_sᵀ`: from the factor G of the layer above to that of the layer
/// below, b_s = f′(h_s) (Botev et al. 2017, eq. 15; MATH.md §3).
///
/// Shapes: g m×m symmetric, w m×d (the layer above without its bias), derivative n×d, out d×d; n ≥ 1;
/// contiguous rows for out and derivative. Both triangles are written, equal to the bit. A layer
/// without activation has derivative 1. `work`: [`kfra_step_workspace_len`], may hold NaN.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`]; [`Error::Parameter`] for no sample.
///
/// ```
/// use relfisher_core::curvature::{kfra_step, kfra_step_workspace_len};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (g, w, b) = ([2.0], [1.0, 3.0], [1.0, 0.5, 1.0, 0.0]);
/// let (mut out, mut work) = ([f64::NAN; 4], [f64::NAN; kfra_step_workspace_len(1, 2, 2)]);
/// let (g, w, b) = (MatRef::new(&g, 1, 1)?, MatRef::new(&w, 1, 2)?, MatRef::new(&b, 2, 2)?);
/// kfra_step(&Portable, MatMut::new(&mut out, 2, 2)?, g, w, b, &mut work)?;
/// assert_eq!(out, [2.0, 1.5, 1.5, 2.25]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn kfra_step<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    mut out: MatMut<'_, T>,
    g: MatRef<'_, T>,
    w: MatRef<'_, T>,
    derivative: MatRef<'_, T>,
    work: &mut [T],
) -> Result<(), Error> {
    let (n, m, d) = (derivative.rows(), w.rows(), w.cols());
    check_len("kfra_step: rows of g", m, g.rows())?;
    check_len("kfra_step: columns of g", m, g.cols())?;
    check_matrix(("kfra_step: rows of out", "kfra_step: columns of out"), out.rb(), d, d)?;
    check_len("kfra_step: columns of derivative", d, derivative.cols())?;
    check_rows("kfra_step: derivative", derivative)?;
    if n == 0 {
        return Err(Error::Parameter { what: "kfra_step: at least one sample is needed" });
    }
    let mut rest = crate::error::take_work(work, kfra_step_workspace_len(n, m, d))?;
    let above = carve(&mut rest, m.saturating_mul(d))?;
    let slopes = carve(&mut rest, d.saturating_mul(d))?;
    backend.gemm(MatMut::new(above, m, d)?, T::ZERO, T::ONE, g, w)?;
    backend.gemm(out.rb_mut(), T::ZERO, T::ONE, w.t(), MatRef::new(above, m, d)?)?;
    let share = T::ONE / T::from_usize(n);
    let mut moments = MatMut::new(slopes, d, d)?;
    backend.gram(moments.rb_mut(), T::ZERO, share, derivative, None, rest)?;
    for i in 0..d {
        for (o, b) in out.row_mut(i).iter_mut().zip(moments.row(i)) {
            *o *= *b;
        }
    }
    mirror(&mut out);
    Ok(())
}

/// The workspace of [`kfra_step`] in elements: G W (m·d), the mean of bbᵀ (d²) and that of the Gram matrix.
#[inline]
pub const fn kfra_step_workspace_len(n: usize, m: usize, d: usize) -> usize {
    m.saturating_mul(d).saturating_add(d.saturating_mul(d)).saturating_add(gram_workspace_len(n, d))
}
