//! Sums and means over the positions of shared weights (Eschenhagen et al. 2023, "reduce").

use crate::blas::vector::{axpy, copy};
use crate::error::check_len;
use crate::metric::support::check_rows;
use crate::{Error, MatMut, MatRef, Real};

/// `out_s ← Σ_τ a_(s,τ)`, τ over the T = rows(a)/n positions of sample s: gradients for the
/// `reduce` rule.
///
/// Shapes: out n×m, a n·T × m (row s·T + τ), T ≥ 1, contiguous rows.
///
/// # Errors
/// [`Error::Shape`] (also when n does not divide the rows of a), [`Error::Layout`].
///
/// ```
/// use relfisher_core::curvature::reduce_sum;
/// use relfisher_core::{MatMut, MatRef};
/// let mut out = [f64::NAN; 2];
/// let a = MatRef::new(&[1.0, 2.0, 3.0, 5.0], 4, 1)?;
/// reduce_sum(MatMut::new(&mut out, 2, 1)?, a)?;
/// assert_eq!(out, [3.0, 8.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn reduce_sum<T: Real>(out: MatMut<'_, T>, a: MatRef<'_, T>) -> Result<(), Error> {
    reduce(out, a).map(|_| ())
}

/// `out_s ← (1/T) Σ_τ a_(s,τ)`: inputs for the `reduce` rule; a trailing 1 stays 1.
///
/// Shapes as [`reduce_sum`].
///
/// # Errors
/// As [`reduce_sum`].
///
/// ```
/// use relfisher_core::curvature::reduce_mean;
/// use relfisher_core::{MatMut, MatRef};
/// let mut out = [f64::NAN; 2];
/// let a = MatRef::new(&[1.0, 1.0, 4.0, 1.0], 2, 2)?;
/// reduce_mean(MatMut::new(&mut out, 1, 2)?, a)?;
/// assert_eq!(out, [2.5, 1.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn reduce_mean<T: Real>(mut out: MatMut<'_, T>, a: MatRef<'_, T>) -> Result<(), Error> {
    let positions = T::from_usize(reduce(out.rb_mut(), a)?);
    for s in 0..out.rows() {
        for x in out.row_mut(s) {
            *x /= positions;
        }
    }
    Ok(())
}

/// The positions of each of n samples in `rows` rows: at least one, the same for all.
pub(crate) fn positions(what: &'static str, rows: usize, n: usize) -> Result<usize, Error> {
    let positions = rows.checked_div(n).unwrap_or(0).max(1);
    check_len(what, n.saturating_mul(positions), rows)?;
    Ok(positions)
}

/// The sums, and T.
fn reduce<T: Real>(mut out: MatMut<'_, T>, a: MatRef<'_, T>) -> Result<usize, Error> {
    let n = out.rows();
    let positions = positions("reduce: rows of a", a.rows(), n)?;
    check_len("reduce: columns of out", a.cols(), out.cols())?;
    check_rows("reduce: a", a)?;
    check_rows("reduce: out", out.rb())?;
    for s in 0..n {
        let first = s.wrapping_mul(positions);
        copy(out.row_mut(s), a.row(first));
        for t in 1..positions {
            axpy(out.row_mut(s), T::ONE, a.row(first.wrapping_add(t)));
        }
    }
    Ok(positions)
}
