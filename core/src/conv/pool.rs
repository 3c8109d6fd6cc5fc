//! Maximum and average pooling of channels-last images.

use super::Window;
use super::window::Axis;
use crate::blas::vector::{axpy, copy};
use crate::error::check_len;
use crate::{Error, Real};

/// What an average over a window divides by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PaddingCount {
    /// kh·kw: padded zeros count.
    #[default]
    Include,
    /// The taps that lie inside the image.
    Exclude,
}

/// Calls `f` with each position of the window and its pixels inside the image, in order: the
/// position, the pixel and whether it is the position's first one.
#[inline(always)]
fn visit(window: &Window, mut f: impl FnMut(usize, usize, bool)) {
    let ([y, x], out_width) = (window.axes(), window.out_width());
    for oy in 0..window.out_height() {
        let lines = y.pixels(oy);
        for ox in 0..out_width {
            let position = oy.wrapping_mul(out_width).wrapping_add(ox);
            let columns = x.pixels(ox);
            let mut first = true;
            for line in lines.clone() {
                for ix in columns.clone() {
                    f(position, line.wrapping_mul(window.width).wrapping_add(ix), first);
                    first = false;
                }
            }
        }
    }
}

/// Every position of the window has a pixel of the image.
fn check_covered(window: &Window) -> Result<(), Error> {
    let covered = |axis: &Axis, positions: usize| (0..positions).all(|o| axis.inside(o) > 0);
    let [y, x] = window.axes();
    if covered(&y, window.out_height()) && covered(&x, window.out_width()) {
        Ok(())
    } else {
        Err(Error::Parameter { what: "pool: a window lies in the padding alone" })
    }
}

/// The channels of `pixel`.
#[inline(always)]
fn channels_of<T>(image: &[T], pixel: usize, channels: usize) -> &[T] {
    let start = pixel.wrapping_mul(channels);
    image.get(start..).and_then(|i| i.get(..channels)).unwrap_or(&[])
}

/// The channels of `pixel`, writable.
#[inline(always)]
fn channels_mut<T>(image: &mut [T], pixel: usize, channels: usize) -> &mut [T] {
    let start = pixel.wrapping_mul(channels);
    image.get_mut(start..).and_then(|i| i.get_mut(..channels)).unwrap_or(&mut [])
}

/// `out[t, c] ← max` over the window at t of channel c; `argmax[t, c]` is the index into the image
/// slice of the first maximum.
///
/// Shapes: image H·W × c, out and argmax T × c. Padding never wins; a NaN does.
///
/// # Errors
/// As [`Window::check`]; [`Error::Shape`]; [`Error::Parameter`] when a window lies in the padding
/// alone or an index exceeds 32 bits.
///
/// ```
/// use relfisher_core::conv::{Window, max_pool};
/// let window = Window {
///     channels: 1, height: 1, width: 4,
///     kernel: [1, 2], stride: [1, 2], padding: [0, 0], dilation: [1, 1],
/// };
/// let (mut out, mut argmax) = ([f64::NAN; 2], [u32::MAX; 2]);
/// max_pool(&mut out, &mut argmax, &[-3.0, -2.0, 5.0, 5.0], &window)?;
/// assert_eq!((out, argmax), ([-2.0, 5.0], [1, 2]));
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn max_pool<T: Real>(
    out: &mut [T],
    argmax: &mut [u32],
    image: &[T],
    window: &Window,
) -> Result<(), Error> {
    let c = window.channels;
    window.check()?;
    check_len("max_pool: image", window.image_len(), image.len())?;
    check_len("max_pool: out", window.positions().saturating_mul(c), out.len())?;
    check_len("max_pool: argmax", window.positions().saturating_mul(c), argmax.len())?;
    if u32::try_from(image.len()).is_err() {
        return Err(Error::Parameter { what: "max_pool: an index exceeds 32 bits" });
    }
    check_covered(window)?;
    visit(window, |position, pixel, first| {
        let pixels = channels_of(image, pixel, c);
        let best = channels_mut(out, position, c).iter_mut();
        let places = channels_mut(argmax, position, c).iter_mut();
        let index = pixel.wrapping_mul(c) as u32..;
        for (((best, place), x), index) in best.zip(places).zip(pixels).zip(index) {
            // a NaN beats every number, and nothing beats the first NaN
            let nan = x.partial_cmp(x).is_none() && (*best).partial_cmp(&*best).is_some();
            if first || *x > *best || nan {
                (*best, *place) = (*x, index);
            }
        }
    });
    Ok(())
}

/// The transpose of the maximum at the places of [`max_pool`]: `image[argmax[i]] += delta[i]`.
///
/// # Errors
/// [`Error::Shape`] when the slices differ in length, or an index leaves the image.
///
/// ```
/// let mut image = [0.0, 1.0, 0.0];
/// relfisher_core::conv::max_pool_backward_add(&mut image, &[2.0, 3.0], &[1, 1])?;
/// assert_eq!(image, [0.0, 6.0, 0.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn max_pool_backward_add<T: Real>(
    image: &mut [T],
    delta: &[T],
    argmax: &[u32],
) -> Result<(), Error> {
    check_len("max_pool_backward_add: argmax", delta.len(), argmax.len())?;
    let (len, largest) = (image.len(), argmax.iter().fold(0, |m: u32, i| m.max(*i)) as usize);
    if largest >= len && !argmax.is_empty() {
        let what = "max_pool_backward_add: elements of the image";
        return Err(Error::Shape { what, expected: largest.saturating_add(1), found: len });
    }
    for (place, d) in argmax.iter().zip(delta) {
        if let Some(x) = image.get_mut(*place as usize) {
            *x += *d;
        }
    }
    Ok(())
}

/// One over the divisor of every position: by axis, since the taps inside form a rectangle.
fn share<T: Real>(window: &Window, count: PaddingCount, position: usize) -> T {
    let ([y, x], out_width) = (window.axes(), window.out_width());
    let taps = match count {
        PaddingCount::Include => window.taps(),
        PaddingCount::Exclude => {
            let oy = position.checked_div(out_width).unwrap_or(0);
            let ox = position.checked_rem(out_width).unwrap_or(0);
            y.inside(oy).saturating_mul(x.inside(ox))
        }
    };
    T::ONE / T::from_usize(taps)
}

/// Shapes of an average pool, and with [`PaddingCount::Exclude`] a pixel in every window.
fn check_average(
    window: &Window,
    count: PaddingCount,
    image: usize,
    out: usize,
) -> Result<(), Error> {
    window.check()?;
    check_len("avg_pool: image", window.image_len(), image)?;
    check_len("avg_pool: out", window.positions().saturating_mul(window.channels), out)?;
    match count {
        PaddingCount::Include => Ok(()),
        PaddingCount::Exclude => check_covered(window),
    }
}

/// `out[t, c] ←` the mean over the window at t of channel c, padding read as 0.
///
/// Shapes: image H·W × c, out T × c.
///
/// # Errors
/// As [`Window::check`]; [`Error::Shape`]; with [`PaddingCount::Exclude`] [`Error::Parameter`] when
/// a window lies in the padding alone.
///
/// ```
/// use relfisher_core::conv::{PaddingCount, Window, avg_pool};
/// let window = Window {
///     channels: 1, height: 1, width: 2,
///     kernel: [1, 2], stride: [1, 2], padding: [0, 1], dilation: [1, 1],
/// };
/// let mut out = [f64::NAN; 2];
/// avg_pool(&mut out, &[4.0, 6.0], &window, PaddingCount::Include)?;
/// assert_eq!(out, [2.0, 3.0]);
/// avg_pool(&mut out, &[4.0, 6.0], &window, PaddingCount::Exclude)?;
/// assert_eq!(out, [4.0, 6.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn avg_pool<T: Real>(
    out: &mut [T],
    image: &[T],
    window: &Window,
    count: PaddingCount,
) -> Result<(), Error> {
    check_average(window, count, image.len(), out.len())?;
    let c = window.channels;
    out.fill(T::ZERO);
    visit(window, |position, pixel, first| {
        let (sums, pixels) = (channels_mut(out, position, c), channels_of(image, pixel, c));
        if first { copy(sums, pixels) } else { axpy(sums, T::ONE, pixels) }
    });
    for position in 0..window.positions() {
        let share = share(window, count, position);
        for x in channels_mut(out, position, c) {
            *x *= share;
        }
    }
    Ok(())
}

/// The transpose of [`avg_pool`]: `image += ` every delta spread evenly over its window.
///
/// Shapes: image H·W × c (read and written), delta T × c.
///
/// # Errors
/// As [`avg_pool`].
///
/// ```
/// use relfisher_core::conv::{PaddingCount, Window, avg_pool_backward_add};
/// let window = Window {
///     channels: 1, height: 1, width: 4,
///     kernel: [1, 2], stride: [1, 2], padding: [0, 0], dilation: [1, 1],
/// };
/// let mut image = [0.0, 0.0, 1.0, 1.0];
/// avg_pool_backward_add(&mut image, &[4.0, 6.0], &window, PaddingCount::Include)?;
/// assert_eq!(image, [2.0, 2.0, 4.0, 4.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn avg_pool_backward_add<T: Real>(
    image: &mut [T],
    delta: &[T],
    window: &Window,
    count: PaddingCount,
) -> Result<(), Error> {
    check_average(window, count, image.len(), delta.len())?;
    let (c, mut factor) = (window.channels, T::ZERO);
    visit(window, |position, pixel, first| {
        if first {
            factor = share(window, count, position);
        }
        axpy(channels_mut(image, pixel, c), factor, channels_of(delta, position, c));
    });
    Ok(())
}
