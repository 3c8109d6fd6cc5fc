//! Convolutions and pools: patches for the factors of KFC, their transpose, and pooling.

use relfisher_core::conv;

use crate::argument::{Argument, Checked, Matrix, MatrixMut, Slice, SliceMut};
use crate::status::Failure;

choice! {
    /// The order of a patch's columns; a trailing 1 comes last in both.
    enum PatchOrder: "order must be an rf_patch_order" {
        /// Channel, kernel row, kernel column: the order of files and of convolution weights.
        ChannelMajor = 0,
        /// Kernel row, kernel column, channel: cheaper to unfold.
        TapMajor = 1,
    }
}

impl PatchOrder {
    const fn of(self) -> conv::PatchOrder {
        match self {
            Self::ChannelMajor => conv::PatchOrder::ChannelMajor,
            Self::TapMajor => conv::PatchOrder::TapMajor,
        }
    }
}

choice! {
    /// What an average over a window divides by.
    enum PaddingCount: "count must be an rf_padding_count" {
        /// All taps: padded zeros count.
        Include = 0,
        /// The taps inside the image.
        Exclude = 1,
    }
}

impl PaddingCount {
    const fn of(self) -> conv::PaddingCount {
        match self {
            Self::Include => conv::PaddingCount::Include,
            Self::Exclude => conv::PaddingCount::Exclude,
        }
    }
}

/// A window that slides over an image of `channels` * `height` * `width` elements, channels last: the
/// image is a vector with `channels` numbers for each of its height*width positions. Tap k of output
/// position o reads the coordinate `o stride + k dilation - padding` of its axis, 0 outside the image.
/// Pairs are (y, x).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The channels of the image.
    pub channels: usize,
    /// The rows of the image.
    pub height: usize,
    /// The columns of the image.
    pub width: usize,
    /// The taps of each axis.
    pub kernel: [usize; 2],
    /// The distance between neighbouring windows.
    pub stride: [usize; 2],
    /// The zeros on either side of the image.
    pub padding: [usize; 2],
    /// The distance between neighbouring taps.
    pub dilation: [usize; 2],
}

impl Window {
    const fn of(self) -> conv::Window {
        let Self { channels, height, width, kernel, stride, padding, dilation } = self;
        conv::Window { channels, height, width, kernel, stride, padding, dilation }
    }
}

impl Argument for Window {
    type Lent<'a> = conv::Window;
    type Regions = [Checked; 0];

    fn regions(&self, _: &'static str) -> Self::Regions {
        []
    }

    unsafe fn lend<'a>(self, _: &'static str) -> Result<Self::Lent<'a>, Failure> {
        Ok(self.of())
    }
}

/// The rows of output positions of a window; 0 for a geometry that makes no sense.
#[unsafe(no_mangle)]
pub extern "C" fn rf_window_out_height(window: Window) -> usize {
    window.of().out_height()
}

/// The columns of output positions of a window; 0 for a geometry that makes no sense.
#[unsafe(no_mangle)]
pub extern "C" fn rf_window_out_width(window: Window) -> usize {
    window.of().out_width()
}

export! {
    /// Rows `first`, ... of the patch matrix of one image, one for each output position (row-major):
    /// with contiguous rows and alpha = 1/(n T) for n images of T positions `rf_gram` of them is the
    /// factor A of a convolution (KFC). Shapes: image height*width*channels elements, out rows * (taps
    /// * channels/groups) with contiguous rows, or one column more, which becomes 1. `group` of `groups`
    /// is which of a grouped convolution, 0 of 1 for an ordinary one; the order is an
    /// `rf_patch_order`.
    fn unfold(
        out: MatrixMut, image: Slice, window: Window, group: Count, groups: Count, first: Count,
        order: Code,
    ) {
        let group = conv::Group { index: group, count: groups };
        Ok(conv::unfold(out, image, &window, group, first, PatchOrder::read(order)?.of())?)
    }

    /// The transpose of `rf_unfold`: adds every element of the patches to the pixel that it came from.
    /// Shapes as there; image is read, a trailing column of patches is ignored.
    fn fold_add(
        image: SliceMut, patches: Matrix, window: Window, group: Count, groups: Count,
        first: Count, order: Code,
    ) {
        let group = conv::Group { index: group, count: groups };
        Ok(conv::fold_add(image, patches, &window, group, first, PatchOrder::read(order)?.of())?)
    }

    /// Columns in the order `from` (an `rf_patch_order`) become columns in the other one. Shapes: a and out
    /// rows * (channels taps), channels of one group, or one column more, which stays last; contiguous
    /// rows.
    fn reorder_columns(out: MatrixMut, a: Matrix, channels: Count, taps: Count, from: Code) {
        Ok(conv::reorder_columns(out, a, channels, taps, PatchOrder::read(from)?.of())?)
    }

    /// Rows and columns of a Kronecker factor of patches in the order `from` become those in the other
    /// one. Shapes: a and out square of order channels taps, or one more; contiguous rows.
    fn reorder_symmetric(out: MatrixMut, a: Matrix, channels: Count, taps: Count, from: Code) {
        Ok(conv::reorder_symmetric(out, a, channels, taps, PatchOrder::read(from)?.of())?)
    }

    /// An image channels first (channel, y, x) becomes channels last. Shapes: out and image
    /// channels*positions elements.
    fn to_channels_last(out: SliceMut, image: Slice, channels: Count, positions: Count) {
        Ok(conv::to_channels_last(out, image, channels, positions)?)
    }

    /// An image channels last becomes channels first. Shapes: out and image channels*positions elements.
    fn to_channels_first(out: SliceMut, image: Slice, channels: Count, positions: Count) {
        Ok(conv::to_channels_first(out, image, channels, positions)?)
    }

    /// The maximum over the window at every position of every channel, and where in the image it is (the
    /// first one). Padding never wins, not-a-number does. Shapes: image as the window says, out and
    /// argmax positions*channels elements.
    fn max_pool(out: SliceMut, argmax: IndicesMut, image: Slice, window: Window) {
        Ok(conv::max_pool(out, argmax, image, &window)?)
    }

    /// The transpose at the places of `rf_max_pool`: `image[argmax[i]] += delta[i]`. `image` is read.
    fn max_pool_backward_add(image: SliceMut, delta: Slice, argmax: Indices) {
        Ok(conv::max_pool_backward_add(image, delta, argmax)?)
    }

    /// The mean over the window at every position of every channel, by an `rf_padding_count`. Shapes: image
    /// as the window says, out positions*channels elements.
    fn avg_pool(out: SliceMut, image: Slice, window: Window, count: Code) {
        Ok(conv::avg_pool(out, image, &window, PaddingCount::read(count)?.of())?)
    }

    /// The transpose of `rf_avg_pool`: adds every delta to the pixels of its window, spread evenly.
    /// `image` is read.
    fn avg_pool_backward_add(image: SliceMut, delta: Slice, window: Window, count: Code) {
        let count = PaddingCount::read(count)?.of();
        Ok(conv::avg_pool_backward_add(image, delta, &window, count)?)
    }
}
