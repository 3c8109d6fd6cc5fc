//! Convolutions and pools as movements of numbers: patches, their transpose, and pooling.
//!
//! An image is **channels-last**: H·W rows (positions, row-major, y then x) of c numbers, one slice a
//! sample. A [`Window`] slides over it and stops at T = [`Window::positions`] places; the patch
//! matrix P has a row for each of them, so that a convolution is the product P W̃ᵀ and its
//! curvature needs P only through [`unfold`], a few rows at a time: the patch matrix of a batch is
//! never stored (KFC; R. Grosse, J. Martens, *A Kronecker-factored approximate Fisher matrix for
//! convolution layers*, ICML 2016; MATH.md §5).
//!
//! **Two orders of the columns.** Files and weights keep in, kh, kw and then the trailing 1
//! ([`PatchOrder::ChannelMajor`]). Inside, kh, kw, in ([`PatchOrder::TapMajor`]) copies contiguous
//! runs of a channels-last image; [`reorder_columns`] and [`reorder_symmetric`] translate weights
//! and factors.

mod patches;
mod pool;
mod window;

pub use patches::{Group, PatchOrder, fold_add, reorder_columns, reorder_symmetric, unfold};
pub use pool::{PaddingCount, avg_pool, avg_pool_backward_add, max_pool, max_pool_backward_add};
pub use window::Window;

use crate::error::check_len;
use crate::{Error, Real};

/// Columns that a transposition keeps in cache at once.
const BLOCK: usize = 16;

/// `out[p, c] ← image[c, p]`: channels-first (c, h, w) to channels-last. Both slices hold
/// channels·positions elements.
///
/// # Errors
/// [`Error::Shape`].
///
/// ```
/// let mut out = [f64::NAN; 6];
/// relfisher_core::conv::to_channels_last(&mut out, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3)?;
/// assert_eq!(out, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn to_channels_last<T: Real>(
    out: &mut [T],
    image: &[T],
    channels: usize,
    positions: usize,
) -> Result<(), Error> {
    let len = channels.saturating_mul(positions);
    check_len("to_channels_last: out", len, out.len())?;
    check_len("to_channels_last: image", len, image.len())?;
    transpose(out, image, channels, positions);
    Ok(())
}

/// `out[c, p] ← image[p, c]`: channels-last to channels-first (c, h, w). Both slices hold
/// channels·positions elements.
///
/// # Errors
/// [`Error::Shape`].
///
/// ```
/// let mut out = [f64::NAN; 6];
/// relfisher_core::conv::to_channels_first(&mut out, &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0], 2, 3)?;
/// assert_eq!(out, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn to_channels_first<T: Real>(
    out: &mut [T],
    image: &[T],
    channels: usize,
    positions: usize,
) -> Result<(), Error> {
    let len = channels.saturating_mul(positions);
    check_len("to_channels_first: out", len, out.len())?;
    check_len("to_channels_first: image", len, image.len())?;
    transpose(out, image, positions, channels);
    Ok(())
}

/// out (cols × rows) ← aᵀ for a rows × cols, in strips of columns whose lines stay in cache.
fn transpose<T: Real>(out: &mut [T], a: &[T], rows: usize, cols: usize) {
    if rows == 0 || cols == 0 {
        return;
    }
    for (strip, start) in out.chunks_mut(rows.saturating_mul(BLOCK)).zip((0..cols).step_by(BLOCK)) {
        for (i, row) in a.chunks_exact(cols).enumerate() {
            let row = row.get(start..).unwrap_or(&[]);
            for (line, x) in strip.chunks_exact_mut(rows).zip(row) {
                if let Some(o) = line.get_mut(i) {
                    *o = *x;
                }
            }
        }
    }
}
