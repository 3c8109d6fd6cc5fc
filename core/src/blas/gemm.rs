//! The general product C ← α A B + β C.

use super::kernel::{Columns, Dense, Region, blocked};
use super::vector::{axpy, dot, scale};
use crate::error::check_len;
use crate::{Error, MatMut, MatRef, Real};

/// `C ← α A B + β C`.
///
/// Shapes: a p×k, b k×q, c p×q; any strides for `a` and `b`, contiguous rows or contiguous columns
/// for `c`. `beta = 0` never reads `c`. A single row or column is a sum of scaled rows or a list of
/// dot products; anything larger goes through register tiles. Needs no workspace: panels of `b` are
/// packed on the stack (64 × 16 elements).
///
/// # Errors
/// [`Error::Shape`] when the dimensions disagree, [`Error::Layout`] when neither the rows nor the
/// columns of `c` are contiguous.
///
/// ```
/// use relfisher_core::{MatMut, MatRef, blas};
/// let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
/// let mut c = [f64::NAN; 4];
/// let (a, b) = (MatRef::new(&a, 2, 2)?, MatRef::new(&b, 2, 2)?);
/// blas::gemm(MatMut::new(&mut c, 2, 2)?, 0.0, 1.0, a, b.t())?;
/// assert_eq!(c, [17.0, 23.0, 39.0, 53.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn gemm<T: Real>(
    c: MatMut<'_, T>,
    beta: T,
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
) -> Result<(), Error> {
    check_len("gemm: rows of a", c.rows(), a.rows())?;
    check_len("gemm: rows of b", a.cols(), b.rows())?;
    check_len("gemm: columns of b", c.cols(), b.cols())?;
    let by_rows = c.rows_contiguous();
    let by_columns = c.row_stride() == 1 || c.rows() <= 1;
    if by_columns && (!by_rows || c.cols() == 1) {
        product(c.t(), beta, alpha, b.t(), a.t());
        Ok(())
    } else if by_rows {
        product(c, beta, alpha, a, b);
        Ok(())
    } else {
        Err(Error::Layout { what: "gemm: c needs contiguous rows or columns" })
    }
}

/// The product into contiguous rows.
#[inline(always)]
fn product<T: Real>(mut c: MatMut<'_, T>, beta: T, alpha: T, a: MatRef<'_, T>, b: MatRef<'_, T>) {
    if c.rows() != 1 {
        let mut columns = Columns { matrix: b, weight: |_| T::ONE };
        let q = c.cols();
        blocked(&mut Dense(c), (beta, alpha), a, &mut columns, q, Region::Full);
        return;
    }
    let out = c.row_mut(0);
    if b.t().rows_contiguous() && a.rows_contiguous() {
        for (j, out) in out.iter_mut().enumerate() {
            let sum = alpha * dot(a.row(0), b.t().row(j));
            *out = if beta == T::ZERO { sum } else { beta * *out + sum };
        }
    } else {
        scale(out, beta);
        for k in 0..b.rows() {
            let factor = alpha * a.at(0, k);
            if b.rows_contiguous() {
                axpy(out, factor, b.row(k));
            } else {
                for (j, out) in out.iter_mut().enumerate() {
                    *out += factor * b.at(k, j);
                }
            }
        }
    }
}
