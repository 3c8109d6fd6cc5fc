//! Exponential moving averages of statistics: packed metrics, Kronecker factors.

use crate::error::check_len;
use crate::{Error, Real};

/// `a ← keep·a + (1 − keep)·x`; `keep` = 0 never reads a.
///
/// # Errors
/// [`Error::Shape`] when the slices differ in length.
/// ```
/// use relfisher_core::optim::ema_update;
/// let mut average = [f64::NAN];
/// ema_update(&mut average, &[4.0], 0.0)?;
/// ema_update(&mut average, &[8.0], 0.75)?;
/// assert_eq!(average, [5.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn ema_update<T: Real>(average: &mut [T], sample: &[T], keep: T) -> Result<(), Error> {
    check_len("ema_update: sample", average.len(), sample.len())?;
    let fresh = T::ONE - keep;
    if keep == T::ZERO {
        for (a, x) in average.iter_mut().zip(sample) {
            *a = *x;
        }
    } else {
        for (a, x) in average.iter_mut().zip(sample) {
            *a = keep * *a + fresh * *x;
        }
    }
    Ok(())
}

/// The weight of the past at update `index` (from 0) of an average with asymptotic weight `decay`:
/// `min(decay, 1 − 1/(index + 1))`, a plain mean at first, so that no start value needs forgetting
/// (J. Martens, R. Grosse, 2015, §5).
///
/// ```
/// use relfisher_core::optim::ema_keep;
/// assert_eq!((ema_keep(0.95, 0), ema_keep(0.95, 1), ema_keep(0.95, 1000)), (0.0, 0.5, 0.95));
/// ```
pub fn ema_keep<T: Real>(decay: T, index: u64) -> T {
    let count = T::from_f64(index as f64) + T::ONE;
    decay.min(T::ONE - T::ONE / count)
}
