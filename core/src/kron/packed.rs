//! Symmetric matrices as packed lower triangles, row by row.

use crate::error::check_len;
use crate::{Error, MatMut, MatRef, Real};

/// The elements of a packed triangle of order d: d(d+1)/2.
/// ```
/// use relfisher_core::kron::{packed_index, packed_len};
/// assert_eq!((packed_len(3), packed_index(2, 1), packed_index(1, 2)), (6, 4, 4));
/// ```
#[inline]
pub const fn packed_len(d: usize) -> usize {
    d.saturating_mul(d.saturating_add(1)) / 2
}

/// The place of element (a, b) = (b, a) in a packed triangle: k = a(a+1)/2 + b for a ≥ b.
#[inline]
pub const fn packed_index(a: usize, b: usize) -> usize {
    let (a, b) = if a >= b { (a, b) } else { (b, a) };
    packed_len(a).saturating_add(b)
}

/// `packed ← ` the lower triangle of `a` (d×d, any strides), row by row: d(d+1)/2 elements.
///
/// # Errors
/// [`Error::Shape`].
///
/// ```
/// use relfisher_core::{MatRef, kron};
/// let mut packed = [f64::NAN; 3];
/// kron::pack(&mut packed, MatRef::new(&[1.0, 9.0, 2.0, 3.0], 2, 2)?)?;
/// assert_eq!(packed, [1.0, 2.0, 3.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn pack<T: Real>(packed: &mut [T], a: MatRef<'_, T>) -> Result<(), Error> {
    check_len("pack: columns of a", a.rows(), a.cols())?;
    check_len("pack: packed", packed_len(a.rows()), packed.len())?;
    let mut packed = packed.iter_mut();
    for i in 0..a.rows() {
        for (j, x) in packed.by_ref().take(i + 1).enumerate() {
            *x = a.at(i, j);
        }
    }
    Ok(())
}

/// `a ← ` the symmetric matrix of a packed triangle, both triangles written (d×d, any strides).
///
/// # Errors
/// [`Error::Shape`].
///
/// ```
/// use relfisher_core::{MatMut, kron};
/// let mut a = [f64::NAN; 4];
/// kron::unpack(MatMut::new(&mut a, 2, 2)?, &[1.0, 2.0, 3.0])?;
/// assert_eq!(a, [1.0, 2.0, 2.0, 3.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn unpack<T: Real>(mut a: MatMut<'_, T>, packed: &[T]) -> Result<(), Error> {
    check_len("unpack: columns of a", a.rows(), a.cols())?;
    check_len("unpack: packed", packed_len(a.rows()), packed.len())?;
    let mut packed = packed.iter();
    for i in 0..a.rows() {
        for (j, x) in packed.by_ref().take(i + 1).enumerate() {
            a.set(i, j, *x);
            a.set(j, i, *x);
        }
    }
    Ok(())
}
