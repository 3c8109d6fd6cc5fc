//! The patch matrix of a convolution as an operand: its elements are read from the images, and the
//! matrix is never stored (KFC; Grosse & Martens 2016, §3).

use super::operand::Operand;
use crate::contract::Window;
use crate::device::Device;
use crate::word::{Scalar, divide};

/// Outer index (c, ky, kx), the last one fastest, and behind all of them the constant 1 of the bias;
/// inner index (image, oy, ox). Taps outside the image are 0.
pub struct Patches<D: Device, T: Scalar> {
    images: D::Array<T>,
    window: Window,
    outer: u32,
    inner: u32,
}

impl<D: Device, T: Scalar> Clone for Patches<D, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<D: Device, T: Scalar> Copy for Patches<D, T> {}

/// The lane of the bias: no channel is so large.
const BIAS: u32 = u32::MAX;

impl<D: Device, T: Scalar> Patches<D, T> {
    /// The patches of the images at `images`, one after the other.
    #[inline(always)]
    pub fn new(images: D::Array<T>, window: Window) -> Self {
        Self { images, window, outer: 0, inner: 0 }
    }
}

impl<D: Device, T: Scalar> Operand<D, T> for Patches<D, T> {
    const ALONG_INNER: bool = false;
    /// The channel, and both taps (dilated) in the halves of a word.
    type Lane = (u32, u32);
    type Raw = T;
    const NOTHING: T = T::ZERO;
    #[inline(always)]
    fn start(self, _: D, outer: u32, inner: u32) -> Self {
        Self { outer: self.outer + outer, inner: self.inner + inner, ..self }
    }
    #[inline(always)]
    fn step(self, _: D, by: u32) -> Self {
        Self { inner: self.inner + by, ..self }
    }
    #[inline(always)]
    fn lane(self, outer: u32) -> (u32, u32) {
        let Window { channels, kernel: [height, width], dilation, .. } = self.window;
        let outer = self.outer + outer;
        if outer >= channels * height * width {
            return (BIAS, 0);
        }
        let (channel, tap) = divide(outer, height * width);
        let (y, x) = divide(tap, width);
        let (y, x) = (y * dilation[0], x * dilation[1]);
        (channel, y | x << 16)
    }
    #[inline(always)]
    fn fetch(self, d: D, (channel, tap): (u32, u32), inner: u32) -> T {
        if channel == BIAS {
            return T::ONE;
        }
        let Window { channels, size: [height, width], stride, padding, positions, .. } =
            self.window;
        // Opaque, so that the divisions of several elements do not wait for each other in registers.
        let inner = d.opaque(self.inner + inner);
        let area = positions[0] * positions[1];
        let (image, position) = divide(inner, area);
        let (down, across) = divide(position, positions[1]);
        // Left of or above the image the difference wraps to a large number.
        let y = (down * stride[0] + (tap & 0xffff)).wrapping_sub(padding[0]);
        let x = (across * stride[1] + (tap >> 16)).wrapping_sub(padding[1]);
        if y >= height || x >= width {
            return T::ZERO;
        }
        let pixels = height * width;
        let start = u64::from(image * channels + channel) * u64::from(pixels);
        d.load(d.advance(self.images, start), y * width + x)
    }
    #[inline(always)]
    fn value(_: D, raw: T) -> T {
        raw
    }
}
