//! Quasi-arithmetic means of squared gradients, and embeddings in their metric.

use crate::error::check_len;
use crate::math;
use crate::{Error, Real};

/// M_φ(h) = φ⁻¹(mean φ(h)) of the squares h = u² of one entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QuasiMean {
    /// φ(h) = h over all samples: the diagonal of the empirical Fisher matrix.
    Arithmetic,
    /// φ(h) = ln h over the samples where the entry survived.
    Geometric,
    /// φ(h) = 1/h over the samples where the entry survived.
    Harmonic,
    /// φ(h) = hᵖ: over all samples for p > 0, otherwise over those where the entry survived; p = 0 is
    /// the geometric mean, the limit.
    Power(f64),
}

impl QuasiMean {
    /// p of φ(h) = hᵖ; 0 stands for the logarithm.
    ///
    /// ```
    /// use relfisher_core::sparse::QuasiMean;
    /// assert_eq!(QuasiMean::Harmonic.exponent(), -1.0);
    /// ```
    pub const fn exponent(self) -> f64 {
        match self {
            QuasiMean::Arithmetic => 1.0,
            QuasiMean::Geometric => 0.0,
            QuasiMean::Harmonic => -1.0,
            QuasiMean::Power(p) => p,
        }
    }

    /// How the sums are kept.
    fn form(self) -> Result<Form, Error> {
        let power = self.exponent();
        if !power.is_finite() {
            let what = "the power of a quasi-arithmetic mean must be finite";
            return Err(Error::Parameter { what });
        }
        Ok(if power.abs() < GEOMETRIC {
            Form::Logarithms
        } else if power == 1.0 {
            Form::Squares
        } else if power.abs() < SMALL {
            Form::Small(power)
        } else {
            Form::Powers(power)
        })
    }
}

/// Below this magnitude a power is the logarithm to the last digit, and its products with logarithms
/// would be subnormal.
const GEOMETRIC: f64 = 1e-290;
/// Below this magnitude a power of a quotient of any two numbers lies between 1/400 and 1, mostly so near
/// to 1 that its digits are those of the difference.
const SMALL: f64 = 1.0 / 256.0;

/// How the sums of a mean are kept.
#[derive(Clone, Copy)]
enum Form {
    /// Σ ln u².
    Logarithms,
    /// Σ u² relative to the largest.
    Squares,
    /// Σ (φ(u²) − φ(peak))/φ(peak).
    Small(f64),
    /// Σ φ(u²)/φ(peak).
    Powers(f64),
}

/// eˣ − 1 (W. Kahan: the errors of eˣ near 1 cancel in the quotient).
fn exp_m1(x: f64) -> f64 {
    let e = math::exp(x);
    if e == 1.0 {
        x
    } else if e - 1.0 == -1.0 {
        -1.0
    } else {
        (e - 1.0) * x / math::ln(e)
    }
}

/// ln(1 + x), x > −1 (as [`exp_m1`]).
fn ln_1p(x: f64) -> f64 {
    let sum = 1.0 + x;
    if sum == 1.0 { x } else { math::ln(sum) * x / (sum - 1.0) }
}

/// The sums of a mean over the samples seen so far, one for each entry, in slices of the caller;
/// all zeros before the first sample.
#[derive(Debug)]
pub struct MeanState<'a> {
    /// Σ φ(u²)/φ(peak of u²); Σ ln u² for the geometric mean; Σ (φ(u²)/φ(peak) − 1) for powers below 1/256
    /// in magnitude, where these quotients are next to 1.
    pub sums: &'a mut [f64],
    /// ln u² of the largest term φ(u²) so far, for the arithmetic mean the largest |u|; not used by the
    /// geometric mean.
    pub peaks: &'a mut [f64],
    /// The samples where the entry survived.
    pub counts: &'a mut [u32],
}

impl MeanState<'_> {
    /// Adds one sample: the entries that it keeps, `values[k]` at `indices[k]`, none of them zero.
    ///
    /// # Errors
    /// [`Error::Shape`] for slices of different lengths or an index outside; [`Error::Parameter`] for
    /// a power that is not finite; [`Error::NonFinite`] for a value that is zero or not finite. The
    /// state is then unspecified.
    ///
    /// ```
    /// use relfisher_core::sparse::{MeanState, QuasiMean, root_metric};
    /// let (mut sums, mut peaks, mut counts) = ([0.0; 3], [0.0; 3], [0; 3]);
    /// let mut state = MeanState { sums: &mut sums, peaks: &mut peaks, counts: &mut counts };
    /// state.add(QuasiMean::Harmonic, &[0, 2], &[1.0, 3.0])?;
    /// state.add(QuasiMean::Harmonic, &[0, 1], &[-1e-3, 2.0])?;
    /// let mut root = [f64::NAN; 3];
    /// root_metric(&mut root, &state, QuasiMean::Harmonic, 2)?;
    /// let harmonic = 2.0 / (1.0 + 1e6); // of 1 and 1e-6
    /// assert!((root[0] * root[0] / harmonic - 1.0_f64).abs() < 1e-13);
    /// assert!((root[1] - 2.0).abs() < 1e-14 && (root[2] - 3.0).abs() < 1e-14);
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn add<T: Real>(
        &mut self,
        mean: QuasiMean,
        indices: &[u32],
        values: &[T],
    ) -> Result<(), Error> {
        check_len("quasi-arithmetic mean: values", indices.len(), values.len())?;
        let len = self.sums.len();
        check_len("quasi-arithmetic mean: peaks", len, self.peaks.len())?;
        check_len("quasi-arithmetic mean: counts", len, self.counts.len())?;
        let form = mean.form()?;
        for (k, (index, value)) in indices.iter().zip(values).enumerate() {
            let at = *index as usize;
            let (Some(sum), Some(peak), Some(count)) =
                (self.sums.get_mut(at), self.peaks.get_mut(at), self.counts.get_mut(at))
            else {
                return Err(Error::Shape {
                    what: "quasi-arithmetic mean: index",
                    expected: len,
                    found: at,
                });
            };
            let magnitude = value.abs().to_f64();
            if !(magnitude > 0.0 && magnitude.is_finite()) {
                let what = "quasi-arithmetic mean: values must be finite and not zero";
                return Err(Error::NonFinite { what, index: k });
            }
            // Not for the arithmetic mean, which needs none.
            let log = || 2.0 * math::ln(magnitude);
            match form {
                Form::Logarithms => *sum += log(),
                // Scaled squares: exact where logarithms are not. The peak is the largest |u|.
                Form::Squares => add_square(sum, peak, magnitude),
                Form::Small(power) => add_small(sum, peak, (power, log()), *count),
                Form::Powers(power) => add_power(sum, peak, (power, log()), *count == 0),
            }
            *count = count.saturating_add(1);
        }
        Ok(())
    }
}

/// sum·peak² ← sum·peak² + u², relative to the largest u.
#[inline(always)]
fn add_square(sum: &mut f64, peak: &mut f64, u: f64) {
    if u > *peak {
        let ratio = *peak / u;
        (*sum, *peak) = (*sum * ratio * ratio + 1.0, u);
    } else {
        let ratio = u / *peak;
        *sum += ratio * ratio;
    }
}

/// sum·e^(p·peak) ← sum·e^(p·peak) + e^(p·log), relative to the largest term. The power multiplies a
/// difference of logarithms, so that a large one costs no digits and may overflow: the term is then 0.
#[inline(always)]
fn add_power(sum: &mut f64, peak: &mut f64, (power, log): (f64, f64), first: bool) {
    let above = power * (log - *peak);
    if first {
        (*sum, *peak) = (1.0, log);
    } else if above > 0.0 {
        (*sum, *peak) = (*sum * math::exp(-above) + 1.0, log);
    } else {
        *sum += math::exp(above);
    }
}

/// As [`add_power`], of `count` terms less 1 each.
fn add_small(sum: &mut f64, peak: &mut f64, (power, log): (f64, f64), count: u32) {
    let above = power * (log - *peak);
    if count == 0 {
        (*sum, *peak) = (0.0, log);
    } else if above > 0.0 {
        let less = exp_m1(-above);
        (*sum, *peak) = (*sum + less * (*sum + f64::from(count)), log);
    } else {
        *sum += exp_m1(above);
    }
}

/// `root_j ← √g_j`, g the mean of the `samples` samples that were added; 0 where no sample kept the
/// entry. Far from 0 a power mean is the limit, the largest u² for p → ∞ and the smallest for p → −∞; next
/// to 0, for p > 0 and an entry that some samples do not keep, it vanishes as (share)^(1/p), and its root is
/// 0 where that is below the range of the type.
///
/// # Errors
/// [`Error::Shape`], [`Error::Parameter`] for a power that is not finite or without samples.
pub fn root_metric(
    root: &mut [f64],
    state: &MeanState<'_>,
    mean: QuasiMean,
    samples: usize,
) -> Result<(), Error> {
    let len = state.sums.len();
    check_len("root_metric: root", len, root.len())?;
    check_len("root_metric: peaks", len, state.peaks.len())?;
    check_len("root_metric: counts", len, state.counts.len())?;
    let (form, positive) = (mean.form()?, mean.exponent() > 0.0);
    if samples == 0 {
        return Err(Error::Parameter { what: "root_metric: no samples" });
    }
    let entries = state.sums.iter().zip(&*state.peaks).zip(&*state.counts);
    for (root, ((sum, peak), count)) in root.iter_mut().zip(entries) {
        let kept = f64::from(*count);
        let terms = if positive { samples as f64 } else { kept };
        *root = match form {
            _ if *count == 0 => 0.0,
            // The limit of (share)^(1/p).
            Form::Logarithms if kept < terms => 0.0,
            Form::Logarithms => math::exp(0.5 * *sum / kept),
            Form::Squares => *peak * libm::sqrt(*sum / terms),
            Form::Small(power) => {
                let logarithm = math::ln(kept / terms) + ln_1p(*sum / kept);
                math::exp(0.5 * (*peak + logarithm / power))
            }
            Form::Powers(power) => math::exp(0.5 * (*peak + math::ln(*sum / terms) / power)),
        };
    }
    Ok(())
}

/// `ψ_k ← u_k / √(g_j + λ)` at the entries j = `indices[k]` that a sample keeps; `psi` holds u on entry.
/// `root` is √g, as [`root_metric`] writes it.
///
/// # Errors
/// [`Error::Shape`] for slices of different lengths or an index outside; [`Error::Parameter`] unless
/// λ ≥ 0 and finite; [`Error::NonFinite`] with the position of a result that is not finite: a metric
/// of 0 without damping, or infinite.
///
/// ```
/// use relfisher_core::sparse::normalise;
/// let mut psi = [3.0, -1.0];
/// normalise(&mut psi, &[4, 0], &[2.0, 9.0, 9.0, 9.0, 4.0], 9.0)?;
/// assert!((psi[0] - 0.6_f64).abs() < 1e-15); // 3/√(16 + 9)
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn normalise<T: Real>(
    psi: &mut [T],
    indices: &[u32],
    root: &[f64],
    damping: f64,
) -> Result<(), Error> {
    check_len("normalise: indices", psi.len(), indices.len())?;
    if !(damping >= 0.0 && damping.is_finite()) {
        return Err(Error::Parameter { what: "damping must be finite and >= 0" });
    }
    let damping = libm::sqrt(damping);
    for (k, (psi, index)) in psi.iter_mut().zip(indices).enumerate() {
        let at = *index as usize;
        let Some(root) = root.get(at) else {
            let what = "normalise: index";
            return Err(Error::Shape { what, expected: root.len(), found: at });
        };
        let value = T::from_f64(psi.to_f64() / libm::hypot(*root, damping));
        if !(value.is_finite() && root.is_finite()) {
            let what = "normalise: an embedding is not finite: its metric is zero or overflows";
            return Err(Error::NonFinite { what, index: k });
        }
        *psi = value;
    }
    Ok(())
}
