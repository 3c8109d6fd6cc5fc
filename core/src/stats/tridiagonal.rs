//! The symmetric tridiagonal eigenproblem, by implicit QL with Wilkinson's shift.

use crate::blas::vector::{all_finite, copy};
use crate::error::{check_len, take_work};
use crate::factor::eigh::{implicit_ql, sort};
use crate::{Error, Real};

/// What of the eigenvectors of a tridiagonal matrix is wanted.
#[derive(Debug)]
pub enum Eigenvectors<'a, T> {
    /// Nothing: O(k²) operations.
    None,
    /// The first component of each (k numbers), up to sign: what a quadrature needs, O(k²).
    First(&'a mut [T]),
    /// All of them (k × k, row-major): row i belongs to the i-th eigenvalue. O(k³).
    All(&'a mut [T]),
}

/// T = S diag(values) Sᵀ of the symmetric tridiagonal matrix with the diagonal `alpha` (k) and the
/// off-diagonal `beta` (k − 1): eigenvalues ascending in `values` (k), and of S what `vectors` says.
///
/// Eigenvalues are accurate to a small multiple of ε‖T‖, whatever the scale of T. `work`: k
/// elements, may hold NaN.
///
/// # Errors
/// [`Error::Shape`], [`Error::Workspace`], [`Error::NonFinite`], [`Error::NoConvergence`].
///
/// # References
/// Wilkinson and Reinsch, Handbook for Automatic Computation II, contribution 4; G. H. Golub,
/// J. H. Welsch, *Calculation of Gauss Quadrature Rules*, 1969 (first components).
///
/// ```
/// use relfisher_core::stats::{Eigenvectors, tridiagonal_eigh};
/// let (mut values, mut first) = ([0.0_f64; 2], [0.0; 2]);
/// let vectors = Eigenvectors::First(&mut first);
/// tridiagonal_eigh(&mut values, vectors, &[2.0, 2.0], &[1.0], &mut [0.0; 2])?;
/// assert!((values[0] - 1.0).abs() < 1e-15 && (values[1] - 3.0).abs() < 1e-15);
/// assert!(first.iter().all(|s| (s * s - 0.5).abs() < 1e-15));
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn tridiagonal_eigh<T: Real>(
    values: &mut [T],
    vectors: Eigenvectors<'_, T>,
    alpha: &[T],
    beta: &[T],
    work: &mut [T],
) -> Result<(), Error> {
    let k = alpha.len();
    check_len("tridiagonal_eigh: values", k, values.len())?;
    check_len("tridiagonal_eigh: beta", k.saturating_sub(1), beta.len())?;
    let (vectors, width) = match vectors {
        Eigenvectors::None => (&mut [][..], 0),
        Eigenvectors::First(first) => {
            check_len("tridiagonal_eigh: first components", k, first.len())?;
            (first, 1)
        }
        Eigenvectors::All(all) => {
            check_len("tridiagonal_eigh: vectors", k.saturating_mul(k), all.len())?;
            (all, k)
        }
    };
    let off = take_work(work, k)?;
    check_finite("tridiagonal_eigh: alpha", alpha)?;
    check_finite("tridiagonal_eigh: beta", beta)?;
    // the identity, or its first column
    vectors.fill(T::ZERO);
    for x in
        vectors.iter_mut().step_by(width.saturating_add(1)).take(if width == 1 { 1 } else { k })
    {
        *x = T::ONE;
    }
    copy(values, alpha);
    off.fill(T::ZERO);
    copy(off, beta);
    let largest = alpha.iter().chain(beta).fold(T::ZERO, |m, x| x.abs().max(m));
    if largest > T::ZERO {
        // one division each: 1/largest may overflow
        for x in values.iter_mut().chain(off.iter_mut()) {
            *x /= largest;
        }
    }
    implicit_ql(vectors, width, values, off)?;
    sort(vectors, width, values);
    for value in values.iter_mut() {
        *value *= largest;
    }
    Ok(())
}

/// [`Error::NonFinite`] naming the first element that is NaN or infinite.
#[inline(always)]
pub(super) fn check_finite<T: Real>(what: &'static str, x: &[T]) -> Result<(), Error> {
    if all_finite(x) {
        return Ok(());
    }
    let index = x.iter().position(|x| !x.is_finite()).unwrap_or(0);
    Err(Error::NonFinite { what, index })
}
