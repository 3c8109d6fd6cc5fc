//! Exact selection of the entries of largest magnitude.

use crate::error::check_len;
use crate::{Error, Real};

/// Bits that one pass of the selection decides.
const DIGIT: u32 = 8;

/// ⌈q·d⌉, the entries that a layer of d parameters keeps, at most d. In double precision, as written.
///
/// # Errors
/// [`Error::Parameter`] unless 0 < q ≤ 1.
///
/// ```
/// use relfisher_core::sparse::kept_count;
/// assert_eq!(kept_count(0.15, 7)?, 2);
/// assert_eq!(kept_count(1.0, 7)?, 7);
/// assert!(kept_count(0.0, 7).is_err());
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn kept_count(fraction: f64, d: usize) -> Result<usize, Error> {
    if !(fraction > 0.0 && fraction <= 1.0) {
        return Err(Error::Parameter { what: "fraction must be above 0 and at most 1" });
    }
    Ok((libm::ceil(fraction * d as f64) as usize).min(d))
}

/// Writes the indices of the largest entries of `values` by magnitude into `indices`, ascending, and
/// returns how many: as many as `indices` has places, fewer where fewer entries are not zero. Of equal
/// magnitudes the ones of lower index are taken; zeros never are.
///
/// A radix selection: one pass over the values for every 8 bits of the type, whatever their
/// distribution, and no workspace.
///
/// # Errors
/// [`Error::Shape`] for more than 2³² − 1 values, [`Error::NonFinite`].
///
/// ```
/// use relfisher_core::sparse::select_largest;
/// let mut kept = [u32::MAX; 3];
/// let count = select_largest(&mut kept, &[0.5, -2.0, 0.0, 0.5, 1.0, 0.5])?;
/// assert_eq!((count, kept), (3, [0, 1, 4]));
/// assert_eq!(select_largest(&mut kept, &[0.0, -0.0, 1e-300])?, 1);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn select_largest<T: Real>(indices: &mut [u32], values: &[T]) -> Result<usize, Error> {
    if values.len() > u32::MAX as usize {
        check_len("select_largest: values", u32::MAX as usize, values.len())?;
    }
    let infinity = T::INFINITY.magnitude_key();
    let mut nonzero = 0_usize;
    for (index, value) in values.iter().enumerate() {
        let key = value.magnitude_key();
        if key >= infinity {
            return Err(Error::NonFinite { what: "select_largest: values", index });
        }
        nonzero += usize::from(key != 0);
    }
    let wanted = indices.len().min(nonzero);
    if wanted == 0 {
        return Ok(0);
    }
    // The key of the smallest entry that is taken, and how many of exactly this key are.
    let (smallest, mut ties) =
        if wanted == nonzero { (1, usize::MAX) } else { threshold(values, wanted) };
    let (mut count, mut places) = (0, indices.iter_mut());
    for (index, value) in values.iter().enumerate() {
        let key = value.magnitude_key();
        if key < smallest {
            continue;
        }
        if key == smallest {
            if ties == 0 {
                continue;
            }
            ties = ties.saturating_sub(1);
        }
        let Some(place) = places.next() else { break };
        *place = index as u32;
        count += 1;
    }
    Ok(count)
}

/// The `wanted`-th largest key and how many entries of that key belong to the `wanted` largest;
/// `wanted` is at least 1 and below the number of values that are not zero.
fn threshold<T: Real>(values: &[T], wanted: usize) -> (u64, usize) {
    let (mut prefix, mut left) = (0_u64, wanted);
    let mut shift = T::KEY_BITS;
    while shift > 0 {
        shift = shift.saturating_sub(DIGIT);
        let mut counts = [0_u32; 1 << DIGIT];
        for value in values {
            let digits = value.magnitude_key() >> shift;
            // All digits above this one are those of the threshold.
            if digits >> DIGIT == prefix
                && let Some(count) = counts.get_mut((digits & 0xff) as usize)
            {
                *count = count.saturating_add(1);
            }
        }
        let mut digit = 0;
        for (d, count) in counts.iter().enumerate().rev() {
            let count = *count as usize;
            if count >= left {
                digit = d as u64;
                break;
            }
            left = left.saturating_sub(count);
        }
        prefix = prefix << DIGIT | digit;
    }
    (prefix, left)
}
