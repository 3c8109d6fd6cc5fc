//! Weighted Gram matrices.

use super::kernel::{Columns, Dense, Region, blocked};
use crate::error::check_len;
use crate::{Error, MatMut, MatRef, Real};

/// `C ← α Xᵀ diag(w) X + β C`, symmetric.
///
/// Shapes: x n×d with contiguous rows, w n (all ones when `None`; any sign), c d×d with contiguous
/// rows. Only the lower tiles are formed, n·d(d+1) FLOPs, and then mirrored; with `beta ≠ 0` the
/// lower triangle of `c` is read. Both triangles are written.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`].
///
/// ```
/// use relfisher_core::{MatMut, MatRef, blas};
/// let x = [1.0, 2.0, 3.0, 4.0];
/// let mut c = [f64::NAN; 4];
/// let x = MatRef::new(&x, 2, 2)?;
/// let mut work = [f64::NAN; blas::gram_workspace_len(2, 2)];
/// blas::gram(MatMut::new(&mut c, 2, 2)?, 0.0, 0.5, x, None, &mut work)?;
/// assert_eq!(c, [5.0, 7.0, 7.0, 10.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn gram<T: Real>(
    mut c: MatMut<'_, T>,
    beta: T,
    alpha: T,
    x: MatRef<'_, T>,
    weights: Option<&[T]>,
    _work: &mut [T],
) -> Result<(), Error> {
    let (n, d) = (x.rows(), x.cols());
    check_len("gram: rows of c", d, c.rows())?;
    check_len("gram: columns of c", d, c.cols())?;
    if let Some(w) = weights {
        check_len("gram: weights", n, w.len())?;
    }
    if !x.rows_contiguous() {
        return Err(Error::Layout { what: "gram: x needs contiguous rows" });
    }
    if !c.rows_contiguous() {
        return Err(Error::Layout { what: "gram: c needs contiguous rows" });
    }
    let weight = |k: usize| match weights {
        Some(w) => w.get(k).copied().unwrap_or(T::ZERO),
        None => T::ONE,
    };
    let mut columns = Columns { matrix: x, weight };
    blocked(&mut Dense(c.rb_mut()), (beta, alpha), x.t(), &mut columns, d, Region::Lower);
    mirror(&mut c);
    Ok(())
}

/// The workspace of [`gram`] in elements.
#[inline]
pub const fn gram_workspace_len(_n: usize, _d: usize) -> usize {
    0
}

/// Copies the lower triangle onto the upper one, in blocks that stay in cache.
#[inline(always)]
pub(crate) fn mirror<T: Real>(c: &mut MatMut<'_, T>) {
    const BLOCK: usize = 16;
    let (d, stride) = (c.rows().min(c.cols()), c.row_stride());
    let data = c.data_mut();
    for i0 in (0..d).step_by(BLOCK) {
        for j0 in (0..=i0).step_by(BLOCK) {
            for i in i0..d.min(i0 + BLOCK) {
                for j in j0..i.min(j0 + BLOCK) {
                    let x = data.get(i.wrapping_mul(stride).wrapping_add(j)).copied();
                    let y = data.get_mut(j.wrapping_mul(stride).wrapping_add(i));
                    if let (Some(x), Some(y)) = (x, y) {
                        *y = x;
                    }
                }
            }
        }
    }
}
