//! The cost of removing one weight.

use crate::error::check_len;
use crate::{Error, Real};

fn lengths<T>(out: &[T], w: &[T], curvature: &[T]) -> Result<(), Error> {
    check_len("saliency: w", out.len(), w.len())?;
    check_len("saliency: curvature", out.len(), curvature.len())
}

fn check<T: Real>(index: usize, w: T, saliency: T) -> Result<(), Error> {
    if w.is_finite() && saliency.is_finite() {
        Ok(())
    } else {
        Err(Error::NonFinite { what: "saliency", index })
    }
}

/// `out_q ← ½ H_qq w_q²`: the cost of removing q while all others stay (optimal brain damage).
/// Negative diagonals (of a Hessian) count as 0.
///
/// # Errors
/// [`Error::Shape`]; [`Error::NonFinite`] for an argument or a cost that overflows.
///
/// ```
/// use relfisher_core::prune::diagonal_saliency;
/// let mut out = [f64::NAN; 2];
/// diagonal_saliency(&mut out, &[2.0, 3.0], &[1.0, 0.5])?;
/// assert_eq!(out, [2.0, 2.25]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn diagonal_saliency<T: Real>(out: &mut [T], w: &[T], diagonal: &[T]) -> Result<(), Error> {
    lengths(out, w, diagonal)?;
    for (index, ((o, w), h)) in out.iter_mut().zip(w).zip(diagonal).enumerate() {
        if !h.is_finite() {
            return Err(Error::NonFinite { what: "saliency: diagonal", index });
        }
        *o = T::HALF * h.max(T::ZERO) * *w * *w;
        check(index, *w, *o)?;
    }
    Ok(())
}

/// `out_q ← ½ w_q²/[H⁻¹]_qq`: the cost of removing q while all others adapt (optimal brain surgeon).
///
/// # Errors
/// [`Error::Shape`]; [`Error::NotPositiveDefinite`] (pivot q) for an element of the diagonal of H⁻¹
/// that is not positive and finite; [`Error::NonFinite`].
///
/// ```
/// use relfisher_core::prune::inverse_saliency;
/// let mut out = [f64::NAN; 2];
/// inverse_saliency(&mut out, &[2.0, 3.0], &[0.5, 2.0])?;
/// assert_eq!(out, [4.0, 2.25]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn inverse_saliency<T: Real>(
    out: &mut [T],
    w: &[T],
    inverse_diagonal: &[T],
) -> Result<(), Error> {
    lengths(out, w, inverse_diagonal)?;
    for (index, ((o, w), h)) in out.iter_mut().zip(w).zip(inverse_diagonal).enumerate() {
        if !(*h > T::ZERO && h.is_finite()) {
            return Err(Error::NotPositiveDefinite { block: 0, pivot: index });
        }
        *o = T::HALF * (*w / *h) * *w;
        check(index, *w, *o)?;
    }
    Ok(())
}
