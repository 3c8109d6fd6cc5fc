//! The length of steps.

use crate::error::check_len;
use crate::metric::support::dot;
use crate::{Error, Real};

/// `Σ a_j b_j` in a fixed order: with a natural gradient v = F⁻¹g, vᵀFv ≈ vᵀg.
///
/// # Errors
/// [`Error::Shape`].
/// ```
/// use relfisher_core::optim::inner_product;
/// assert_eq!(inner_product(&[1.0, 2.0], &[3.0, 4.0])?, 11.0);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn inner_product<T: Real>(a: &[T], b: &[T]) -> Result<T, Error> {
    check_len("inner_product: b", a.len(), b.len())?;
    Ok(dot(a, b))
}

/// `ν = min(1, √(κ/(γ² vᵀFv)))`: the factor that keeps the step γv within the quadratic
/// Kullback–Leibler estimate κ (J. Ba, R. Grosse, J. Martens, 2017; MATH.md §4). 1 for a direction
/// without curvature, 0 for one whose curvature overflows.
///
/// ```
/// use relfisher_core::optim::kl_clip;
/// assert_eq!(kl_clip(1.0, 4.0, 1e-2), 0.05);
/// assert_eq!(kl_clip(1e-3, 4.0, 1e-2), 1.0);
/// ```
///
/// With `curvature` NaN the result is NaN.
pub fn kl_clip<T: Real>(learning_rate: T, curvature: T, bound: T) -> T {
    let size = learning_rate * learning_rate * curvature;
    if size <= bound { T::ONE } else { (bound / size).sqrt() }
}

/// `min(1, bound/norm)`: the factor that keeps a vector of this norm within the bound.
/// ```
/// use relfisher_core::optim::norm_clip;
/// assert_eq!((norm_clip(4.0, 1.0), norm_clip(0.5, 1.0)), (0.25, 1.0));
/// ```
pub fn norm_clip<T: Real>(norm: T, bound: T) -> T {
    if norm <= bound { T::ONE } else { bound / norm }
}

/// `α = ⟨d, g⟩/dᵀ(C + λI)d`: the length at which the quadratic model is least along −d, for a direction d
/// with the slope ⟨d, g⟩ and the curvature dᵀ(C + λI)d (J. Martens and R. Grosse, 2015, §6.4). 1 where
/// the model says nothing: a direction without curvature, or a quotient that is not finite.
/// ```
/// use relfisher_core::optim::quadratic_length;
/// assert_eq!(quadratic_length(3.0, 4.0), 0.75);
/// assert_eq!(quadratic_length(3.0, 0.0), 1.0);
/// ```
pub fn quadratic_length<T: Real>(slope: T, curvature: T) -> T {
    let alpha = slope / curvature;
    if alpha.is_finite() { alpha } else { T::ONE }
}
