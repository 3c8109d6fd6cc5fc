//! Batch normalisation: a 2 × 2 metric of (γ_c, β_c) for each channel.
//!
//! A channel's output is t_c = γ_c x̂_c + β_c, so for the parameters it is a neuron with the
//! augmented input [x̂_c; 1]: its metric is `(1/n) Σ_s ν_sc [x̂_sc; 1][x̂_sc; 1]ᵀ`, ν being the
//! response metric of whatever reads t_c. With ν = δ² (the squared gradient with respect to t_c)
//! the same sums are the channel's Fisher or empirical Fisher block (MATH.md §5). A block is packed
//! as three numbers: γγ, γβ, ββ.

use super::support::{check_damping, check_matrix};
use crate::error::check_len;
use crate::{Error, MatMut, MatRef, Real};

/// All channels' blocks: `out[c] ← keep·out[c] + (1 − keep)·(1/n) Σ_s w_sc (x̂²_sc, x̂_sc, 1)`.
/// `keep` ∈ [0, 1) is the weight of the past in a moving average; 0 never reads `out`.
/// Shapes: out c×3, x̂ n×c, w n×c, n ≥ 1, all with contiguous rows.
///
/// # Errors
/// Shape or layout; [`Error::Parameter`] for no sample or `keep` outside its domain.
///
/// ```
/// use relfisher_core::{MatMut, MatRef, metric::normalisation};
/// let (x, w) = ([1.0, -1.0], [3.0, 1.0]); // two samples of one channel
/// let mut block = [f64::NAN; 3];
/// let (x, w) = (MatRef::new(&x, 2, 1)?, MatRef::new(&w, 2, 1)?);
/// normalisation::blocks(MatMut::new(&mut block, 1, 3)?, x, w, 0.0)?;
/// assert_eq!(block, [2.0, 1.0, 2.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn blocks<T: Real>(
    mut out: MatMut<'_, T>,
    x: MatRef<'_, T>,
    weights: MatRef<'_, T>,
    keep: T,
) -> Result<(), Error> {
    let (n, channels) = (x.rows(), x.cols());
    check_matrix(("blocks: rows of out", "blocks: columns of out"), out.rb(), channels, 3)?;
    check_matrix(("blocks: rows of x", "blocks: columns of x"), x, n, channels)?;
    check_matrix(("blocks: rows of w", "blocks: columns of w"), weights, n, channels)?;
    if n == 0 {
        return Err(Error::Parameter { what: "blocks: at least one sample is needed" });
    }
    if !(keep >= T::ZERO && keep < T::ONE) {
        return Err(Error::Parameter { what: "keep must be at least 0 and below 1" });
    }
    if keep == T::ZERO {
        out.fill(T::ZERO);
    }
    let share = (T::ONE - keep) / T::from_usize(n);
    for c in 0..channels {
        let (mut xx, mut x1, mut one) = (T::ZERO, T::ZERO, T::ZERO);
        for s in 0..n {
            let (x, w) = (x.at(s, c), weights.at(s, c));
            let wx = w * x;
            xx += wx * x;
            x1 += wx;
            one += w;
        }
        for (o, sum) in out.row_mut(c).iter_mut().zip([xx, x1, one]) {
            *o = keep * *o + share * sum;
        }
    }
    Ok(())
}

/// `v_c ← (block_c + λI)⁻¹ v_c` for every channel, in closed form. Shapes: v c×2 (rows [γ|β]),
/// blocks c×3, both with contiguous rows.
///
/// # Errors
/// Shape or layout; [`Error::Parameter`] for a negative λ; [`Error::NonFinite`];
/// [`Error::NotPositiveDefinite`] naming the channel when λ = 0 and its block is singular to
/// working precision.
///
/// ```
/// use relfisher_core::{MatMut, MatRef, metric::normalisation};
/// let mut v = [3.0, 3.0];
/// let block = [2.0, 1.0, 2.0];
/// normalisation::solve(MatMut::new(&mut v, 1, 2)?, MatRef::new(&block, 1, 3)?, 0.0)?;
/// assert_eq!(v, [1.0, 1.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn solve<T: Real>(
    mut v: MatMut<'_, T>,
    blocks: MatRef<'_, T>,
    damping: T,
) -> Result<(), Error> {
    let channels = v.rows();
    check_len("solve: columns of v", 2, v.cols())?;
    check_matrix(("solve: rows of v", "solve: columns of v"), v.rb(), channels, 2)?;
    check_matrix(("solve: rows of blocks", "solve: columns of blocks"), blocks, channels, 3)?;
    check_damping(damping)?;
    blocks.check_finite("blocks")?;
    v.rb().check_finite("v")?;
    let margin = if damping > T::ZERO { T::ZERO } else { T::TWO * T::EPSILON };
    for c in 0..channels {
        let (a, b, d) = (blocks.at(c, 0) + damping, blocks.at(c, 1), blocks.at(c, 2) + damping);
        if !(a > T::ZERO && a.is_finite()) {
            return Err(Error::NotPositiveDefinite { block: c, pivot: 0 });
        }
        let ratio = b / a;
        let pivot = d - ratio * b;
        if !(pivot > margin * d && pivot.is_finite()) {
            return Err(Error::NotPositiveDefinite { block: c, pivot: 1 });
        }
        let (g, h) = (v.at(c, 0), v.at(c, 1));
        let second = (h - ratio * g) / pivot;
        v.set(c, 1, second);
        v.set(c, 0, g / a - ratio * second);
    }
    Ok(())
}

/// `v_c ← (block_c + λI)⁻ᵖ v_c` for every channel, 0 ≤ p ≤ 1: the fractional natural gradient (D. Huh,
/// *Curvature-corrected learning dynamics in deep neural networks*, ICML 2020), p = 1 the damped
/// inverse. In closed form, f(l₁) v + β (block − s₁I) v with the eigenvalues s₁ ≥ s₂ of the block,
/// lᵢ = sᵢ + λ, f(l) = l⁻ᵖ and β = (f(l₁) − f(l₂))/(l₁ − l₂).
///
/// The blocks are taken as positive semidefinite: an eigenvalue that rounding made negative counts as
/// 0. Shapes: v c×2 (rows [γ|β]), blocks c×3, both with contiguous rows.
///
/// # Errors
/// Shape or layout; [`Error::Parameter`] for p or λ outside their domain; [`Error::NonFinite`];
/// [`Error::NotPositiveDefinite`] naming the channel when p > 0 and its block has a negative
/// diagonal, overflows with λ or, with λ = 0, is singular to working precision.
///
/// ```
/// use relfisher_core::{MatMut, MatRef, metric::normalisation};
/// let mut v = [2.0, 2.0];
/// let block = [5.0, 4.0, 5.0]; // eigenvalue 9 along (1, 1)
/// normalisation::power(MatMut::new(&mut v, 1, 2)?, MatRef::new(&block, 1, 3)?, 0.5, 7.0)?;
/// assert!(v.iter().all(|v: &f64| (v - 0.5).abs() < 1e-15)); // 2/√(9 + 7)
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn power<T: Real>(
    mut v: MatMut<'_, T>,
    blocks: MatRef<'_, T>,
    p: T,
    damping: T,
) -> Result<(), Error> {
    let channels = v.rows();
    check_len("power: columns of v", 2, v.cols())?;
    check_matrix(("power: rows of v", "power: columns of v"), v.rb(), channels, 2)?;
    check_matrix(("power: rows of blocks", "power: columns of blocks"), blocks, channels, 3)?;
    check_damping(damping)?;
    if !(p >= T::ZERO && p <= T::ONE) {
        return Err(Error::Parameter { what: "power must be between 0 and 1" });
    }
    blocks.check_finite("blocks")?;
    v.rb().check_finite("v")?;
    if p == T::ZERO {
        return Ok(());
    }
    let f = |l: T| T::ONE / l.powf(p);
    for c in 0..channels {
        let (a, b, d) = (blocks.at(c, 0), blocks.at(c, 1), blocks.at(c, 2));
        if !(a >= T::ZERO && d >= T::ZERO) {
            return Err(Error::NotPositiveDefinite { block: c, pivot: usize::from(a >= T::ZERO) });
        }
        // In units of the largest element: squares neither overflow nor vanish.
        let unit = a.max(d).max(b.abs()).max(T::MIN_POSITIVE);
        let (a, b, d) = (a / unit, b / unit, d / unit);
        let half = T::HALF * (a - d);
        let large = T::HALF * (a + d) + (half * half + b * b).sqrt();
        let small = if large > T::ZERO { ((a * d - b * b) / large).max(T::ZERO) } else { T::ZERO };
        let (first, second) = (unit * large + damping, unit * small + damping);
        let singular = damping == T::ZERO && small <= T::TWO * T::EPSILON * large;
        if singular || !first.is_finite() {
            return Err(Error::NotPositiveDefinite { block: c, pivot: 1 });
        }
        let gap = first - second;
        // The derivative where the difference has no digits.
        let slope = if gap > T::EPSILON.sqrt() * first {
            (f(first) - f(second)) * (unit / gap)
        } else {
            -p * f(first) * (unit / first)
        };
        let (g, h) = (v.at(c, 0), v.at(c, 1));
        let (x, y) = ((a - large) * g + b * h, b * g + (d - large) * h);
        v.set(c, 0, f(first) * g + slope * x);
        v.set(c, 1, f(first) * h + slope * y);
    }
    Ok(())
}
