//! Outer products of each sample's column, packed.

use crate::error::check_len;
use crate::kron::packed_len;
use crate::metric::support::check_rows;
use crate::{Error, MatMut, MatRef, Real};

/// `out_s ← β out_s + packed(δ_s δ_sᵀ)` for every sample: summed over the columns of the root of the
/// loss Hessian, the exact 𝓗_s of a layer in the Gauss–Newton case.
///
/// Shapes: columns n×m, out n × m(m+1)/2, contiguous rows. `beta` = 0 never reads `out`.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`].
///
/// ```
/// use relfisher_core::curvature::packed_second_moments;
/// use relfisher_core::{MatMut, MatRef};
/// let (mut out, column) = ([f64::NAN; 3], [2.0, -3.0]);
/// let column = MatRef::new(&column, 1, 2)?;
/// packed_second_moments(MatMut::new(&mut out, 1, 3)?, 0.0, column)?;
/// assert_eq!(out, [4.0, -6.0, 9.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn packed_second_moments<T: Real>(
    mut out: MatMut<'_, T>,
    beta: T,
    columns: MatRef<'_, T>,
) -> Result<(), Error> {
    let (n, m) = (columns.rows(), columns.cols());
    check_len("packed_second_moments: rows of out", n, out.rows())?;
    check_len("packed_second_moments: columns of out", packed_len(m), out.cols())?;
    check_rows("packed_second_moments: columns", columns)?;
    check_rows("packed_second_moments: out", out.rb())?;
    for s in 0..n {
        let (mut rest, column) = (out.row_mut(s), columns.row(s));
        for (i, x) in column.iter().enumerate() {
            let Some((row, after)) = rest.split_at_mut_checked(i.wrapping_add(1)) else { break };
            rest = after;
            if beta == T::ZERO {
                for (o, y) in row.iter_mut().zip(column) {
                    *o = *x * *y;
                }
            } else {
                for (o, y) in row.iter_mut().zip(column) {
                    *o = beta * *o + *x * *y;
                }
            }
        }
    }
    Ok(())
}
