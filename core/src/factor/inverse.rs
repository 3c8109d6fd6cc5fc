//! Inverses through Cholesky: A⁻¹ = WᵀW, W = L⁻¹.

use super::cholesky::cholesky;
use super::rows::{Rows, Strided, forward_panel};
use crate::blas::kernel::{Columns, Dense, MR, NR, Region, Sink, blocked};
use crate::error::take_work;
use crate::{Error, MatMut, MatRef, Real};

/// `A ← (A + λI)⁻¹`.
///
/// Reads the lower triangle of `a` (d×d, contiguous rows), writes both. Through L, W = L⁻¹ and
/// WᵀW: d³ FLOPs in all. `work`: [`spd_inverse_workspace_len`], may hold NaN.
///
/// # Errors
/// As [`cholesky`](super::cholesky()), and [`Error::Workspace`].
///
/// ```
/// use relfisher_core::{MatMut, factor};
/// let mut a = [3.0, f64::NAN, 2.0, 4.0];
/// let mut work = [0.0; factor::spd_inverse_workspace_len(2)];
/// factor::spd_inverse(MatMut::new(&mut a, 2, 2)?, 1.0, &mut work)?;
/// assert_eq!(a, [0.3125, -0.125, -0.125, 0.25]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn spd_inverse<T: Real>(mut a: MatMut<'_, T>, damping: T, work: &mut [T]) -> Result<(), Error> {
    super::cholesky::check_square(&a.rb(), "spd_inverse: a")?;
    let d = a.rows();
    let work = take_work(work, spd_inverse_workspace_len(d))?;
    cholesky(a.rb_mut(), damping)?;
    let rows = Strided(a.row_stride());
    invert_factor(work, a.data_mut(), d, rows);
    gram_of_inverse(&mut Dense(a.rb_mut()), work, d)?;
    crate::blas::mirror(&mut a);
    Ok(())
}

/// The workspace of [`spd_inverse`] in elements: d².
#[inline]
pub const fn spd_inverse_workspace_len(d: usize) -> usize {
    d.saturating_mul(d)
}

/// w ← L⁻¹ (d×d, zeros above the diagonal).
#[inline(always)]
pub(crate) fn invert_factor<T: Real>(w: &mut [T], l: &[T], d: usize, rows: impl Rows) {
    w.fill(T::ZERO);
    for diagonal in w.iter_mut().step_by(d.saturating_add(1)) {
        *diagonal = T::ONE;
    }
    const { assert!(NR.is_multiple_of(MR)) };
    for j in (0..d).step_by(NR) {
        forward_panel(w, (d, d), l, (d, rows), (j, j));
    }
}

/// The lower triangle of WᵀW for lower triangular W.
#[inline(always)]
pub(crate) fn gram_of_inverse<T: Real>(
    sink: &mut impl Sink<T>,
    w: &[T],
    d: usize,
) -> Result<(), Error> {
    let w = MatRef::new(w, d, d)?;
    let mut columns = Columns { matrix: w, weight: |_| T::ONE };
    blocked(sink, (T::ZERO, T::ONE), w.t(), &mut columns, d, Region::LowerOfTriangular);
    Ok(())
}
