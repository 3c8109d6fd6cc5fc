//! Exponential moving averages of curvature factors.

use crate::error::check_len;
use crate::optim::{ema_keep, ema_update};
use crate::{Error, Real};

/// How the first steps of a moving average are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BiasCorrection {
    /// Weight 1 − ρ for every new value: the average starts from what it holds.
    None,
    /// The weights of the values so far sum to one: weight (1 − ρ)/(1 − ρᵗ) at step t (Adam's
    /// correction, applied in place).
    #[default]
    Normalised,
    /// Weight max(1 − ρ, 1/t): a plain mean until it is as long as the window (Martens and Grosse
    /// 2015, §5).
    Warm,
}

/// `average ← (1 − w) average + w·value`, w by decay ρ, step t = 1, 2, … and correction:
/// [`ema_update`](crate::optim::ema_update) with `keep` = 1 − w.
///
/// At w = 1 (the first step of both corrections) `average` is not read and may hold NaN.
///
/// # Errors
/// [`Error::Shape`], [`Error::Parameter`] unless 0 ≤ ρ < 1 and t ≥ 1.
///
/// ```
/// use relfisher_core::kron::{BiasCorrection, moving_average};
/// let mut average = [f64::NAN];
/// moving_average(&mut average, &[2.0], 0.5, BiasCorrection::Normalised, 1)?;
/// moving_average(&mut average, &[5.0], 0.5, BiasCorrection::Normalised, 2)?;
/// assert_eq!(average, [4.0]); // (0.25·2 + 0.5·5)/0.75
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn moving_average<T: Real>(
    average: &mut [T],
    value: &[T],
    decay: T,
    correction: BiasCorrection,
    step: u64,
) -> Result<(), Error> {
    check_len("moving_average: value", average.len(), value.len())?;
    if !(decay >= T::ZERO && decay < T::ONE && step >= 1) {
        return Err(Error::Parameter { what: "moving average needs 0 <= decay < 1 and step >= 1" });
    }
    let keep = match correction {
        BiasCorrection::None => decay,
        BiasCorrection::Normalised => T::ONE - (T::ONE - decay) / (T::ONE - power(decay, step)),
        BiasCorrection::Warm => ema_keep(decay, step.wrapping_sub(1)),
    };
    ema_update(average, value, keep)
}

/// xⁿ by squaring.
fn power<T: Real>(mut x: T, mut n: u64) -> T {
    let mut out = T::ONE;
    while n > 0 {
        if n & 1 == 1 {
            out *= x;
        }
        x *= x;
        n >>= 1;
    }
    out
}
