//! The geometry of a sliding window.

use core::ops::Range;

use crate::Error;

/// A window that slides over an image of `channels` × `height` × `width`; pairs are (y, x).
///
/// Tap k of output position o reads the coordinate o·stride + k·dilation − padding of its axis;
/// outside the image it reads 0.
///
/// ```
/// use relfisher_core::conv::Window;
/// let window = Window {
///     channels: 3, height: 32, width: 30,
///     kernel: [5, 3], stride: [2, 1], padding: [2, 1], dilation: [1, 1],
/// };
/// window.check()?;
/// assert_eq!((window.out_height(), window.out_width(), window.positions()), (16, 30, 480));
/// assert_eq!((window.taps(), window.image_len()), (15, 2880));
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// c, the channels of the image.
    pub channels: usize,
    /// H, the rows of the image.
    pub height: usize,
    /// W, the columns of the image.
    pub width: usize,
    /// The taps of each axis, kh and kw.
    pub kernel: [usize; 2],
    /// The distance between neighbouring windows.
    pub stride: [usize; 2],
    /// The zeros on either side of the image.
    pub padding: [usize; 2],
    /// The distance between neighbouring taps.
    pub dilation: [usize; 2],
}

impl Window {
    /// Whether the geometry makes sense: every count is at least 1 (a padding may be 0), the dilated
    /// kernel fits the padded image, and no count of elements overflows.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming what is wrong.
    pub fn check(&self) -> Result<(), Error> {
        let counts = [self.channels, self.height, self.width];
        if counts.contains(&0) {
            return Err(Error::Parameter { what: "window: an image needs at least one element" });
        }
        for axis in self.axes() {
            if axis.kernel == 0 || axis.stride == 0 || axis.dilation == 0 {
                return Err(Error::Parameter {
                    what: "window: kernel, stride and dilation must be at least 1",
                });
            }
            match (axis.extent(), axis.padded()) {
                (Some(extent), Some(padded)) if extent <= padded => {}
                (Some(_), Some(_)) => {
                    return Err(Error::Parameter {
                        what: "window: the dilated kernel is larger than the padded image",
                    });
                }
                _ => return Err(TOO_LARGE),
            }
        }
        let [kh, kw] = self.kernel;
        let fits = self.height.checked_mul(self.width).and_then(|p| p.checked_mul(self.channels));
        let columns = kh.checked_mul(kw).and_then(|k| k.checked_mul(self.channels));
        let patches = self
            .out_height()
            .checked_mul(self.out_width())
            .zip(columns.and_then(|c| c.checked_add(1)))
            .and_then(|(rows, columns)| rows.checked_mul(columns));
        if fits.is_some() && patches.is_some() { Ok(()) } else { Err(TOO_LARGE) }
    }

    /// The two axes, y and x.
    pub(super) const fn axes(&self) -> [Axis; 2] {
        let ([kh, kw], [sh, sw]) = (self.kernel, self.stride);
        let ([ph, pw], [dh, dw]) = (self.padding, self.dilation);
        [
            Axis { size: self.height, kernel: kh, stride: sh, padding: ph, dilation: dh },
            Axis { size: self.width, kernel: kw, stride: sw, padding: pw, dilation: dw },
        ]
    }

    /// ⌊(H + 2·padding − dilation·(kh − 1) − 1)/stride⌋ + 1; 0 for a geometry that [`Window::check`]
    /// refuses.
    pub const fn out_height(&self) -> usize {
        let [y, _] = self.axes();
        y.out()
    }

    /// As [`Window::out_height`], along x.
    pub const fn out_width(&self) -> usize {
        let [_, x] = self.axes();
        x.out()
    }

    /// T, the positions of the window: rows of the patch matrix.
    pub const fn positions(&self) -> usize {
        self.out_height().saturating_mul(self.out_width())
    }

    /// kh·kw.
    pub const fn taps(&self) -> usize {
        let [kh, kw] = self.kernel;
        kh.saturating_mul(kw)
    }

    /// c·H·W.
    pub const fn image_len(&self) -> usize {
        self.channels.saturating_mul(self.height).saturating_mul(self.width)
    }
}

const TOO_LARGE: Error =
    Error::Parameter { what: "window: the patch matrix is too large to address" };

/// One axis of a window.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    pub(super) size: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) dilation: usize,
}

impl Axis {
    /// What the dilated kernel covers, or `None` on overflow.
    const fn extent(&self) -> Option<usize> {
        match self.kernel.saturating_sub(1).checked_mul(self.dilation) {
            Some(reach) => reach.checked_add(1),
            None => None,
        }
    }

    /// The padded size, or `None` on overflow.
    const fn padded(&self) -> Option<usize> {
        match self.padding.checked_mul(2) {
            Some(zeros) => zeros.checked_add(self.size),
            None => None,
        }
    }

    /// The positions along this axis.
    const fn out(&self) -> usize {
        let (Some(extent), Some(padded)) = (self.extent(), self.padded()) else { return 0 };
        let Some(free) = padded.checked_sub(extent) else { return 0 };
        match free.checked_div(self.stride) {
            Some(steps) => steps.saturating_add(1),
            None => 0,
        }
    }

    /// The coordinate that tap k of position o reads, `None` in the padding. The geometry is
    /// checked, so the sum is below the padded size.
    #[inline(always)]
    pub(super) fn at(&self, o: usize, k: usize) -> Option<usize> {
        let padded = o.wrapping_mul(self.stride).wrapping_add(k.wrapping_mul(self.dilation));
        padded.checked_sub(self.padding).filter(|i| *i < self.size)
    }

    /// How far before and behind the first tap of position o the image begins and ends, cut off at the
    /// kernel's ends; `steps` turns distances into taps.
    #[inline(always)]
    fn reach(&self, o: usize, steps: impl Fn(usize) -> usize) -> Range<usize> {
        let start = o.wrapping_mul(self.stride);
        let end = steps(self.padding.saturating_add(self.size).saturating_sub(start));
        let end = end.min(self.kernel);
        steps(self.padding.saturating_sub(start)).min(end)..end
    }

    /// The taps of position o that read the image, for dilation 1; an empty range has the padding before it.
    #[inline(always)]
    pub(super) fn span(&self, o: usize) -> Range<usize> {
        self.reach(o, |distance| distance)
    }

    /// The taps of position o that read the image, of a kernel that may reach far beyond.
    #[inline(always)]
    fn taps(&self, o: usize) -> Range<usize> {
        // most windows are not dilated, and need no division
        if self.dilation > 1 {
            self.reach(o, |distance| distance.div_ceil(self.dilation))
        } else {
            self.span(o)
        }
    }

    /// The coordinates that they read.
    #[inline(always)]
    pub(super) fn pixels(&self, o: usize) -> impl Iterator<Item = usize> + Clone {
        let (taps, dilation) = (self.taps(o), self.dilation);
        let reach = taps.start.wrapping_mul(dilation).wrapping_add(o.wrapping_mul(self.stride));
        let first = reach.wrapping_sub(self.padding);
        (0..taps.len()).map(move |i| first.wrapping_add(i.wrapping_mul(dilation)))
    }

    /// How many they are.
    #[inline(always)]
    pub(super) fn inside(&self, o: usize) -> usize {
        self.taps(o).len()
    }
}
