//! The patch matrix, its transpose, and the two orders of its columns.

use core::ops::Range;

use super::Window;
use super::window::Axis;
use crate::blas::vector::{axpy, copy};
use crate::error::check_len;
use crate::{Error, MatMut, MatRef, Real};

/// The order of a patch's columns; a trailing 1 comes last in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchOrder {
    /// in, kh, kw: column (i·kh + y)·kw + x. The order of files and of convolution weights.
    ChannelMajor,
    /// kh, kw, in: column (y·kw + x)·c + i. A tap is a contiguous run of a channels-last image.
    TapMajor,
}

/// Group `index` of `count`: channels index·c/count up to (index + 1)·c/count.
///
/// An ordinary convolution has one group; `count` must divide the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which group, from 0.
    pub index: usize,
    /// How many groups.
    pub count: usize,
}

impl Group {
    /// The first channel and the number of channels.
    fn channels(self, channels: usize) -> Result<(usize, usize), Error> {
        match (channels.checked_div(self.count), channels.checked_rem(self.count)) {
            (Some(width), Some(0)) if self.index < self.count => {
                Ok((self.index.saturating_mul(width), width))
            }
            _ => Err(Error::Parameter {
                what: "group: the count must divide the channels and exceed the index",
            }),
        }
    }
}

/// Neighbouring taps of one row, from `tap` on: all in the padding, or from one pixel on.
struct Run {
    tap: usize,
    len: usize,
    pixel: Option<usize>,
}

/// The walk over the taps of one row after the other. With `joined` neighbouring taps of one line
/// that read neighbouring pixels come as one run.
struct Walk {
    y: Axis,
    x: Axis,
    width: usize,
    out_width: usize,
    joined: bool,
    at: (usize, usize),
}

impl Walk {
    /// A walk that starts at row `first` of a checked window.
    fn new(window: &Window, first: usize, joined: bool) -> Self {
        let ([y, x], out_width) = (window.axes(), window.out_width());
        let oy = first.checked_div(out_width).unwrap_or(0);
        let ox = first.checked_rem(out_width).unwrap_or(0);
        Self { y, x, width: window.width, out_width, joined, at: (oy, ox) }
    }

    /// Calls `f` for all taps of the row, in order, and goes on to the next row.
    #[inline(always)]
    fn row(&mut self, mut f: impl FnMut(Run)) {
        let (x, (oy, ox)) = (self.x, self.at);
        let Range { start: before, end: after } = x.span(ox);
        let inside = after.wrapping_sub(before);
        let first = ox.wrapping_mul(x.stride).wrapping_add(before).saturating_sub(x.padding);
        for ky in 0..self.y.kernel {
            let tap = ky.wrapping_mul(x.kernel);
            let mut emit = |k: usize, len: usize, pixel: Option<usize>| {
                if len > 0 {
                    f(Run { tap: tap.wrapping_add(k), len, pixel });
                }
            };
            match self.y.at(oy, ky).map(|iy| iy.wrapping_mul(self.width)) {
                None => emit(0, x.kernel, None),
                Some(line) if self.joined => {
                    emit(0, before, None);
                    emit(before, inside, Some(line.wrapping_add(first)));
                    emit(after, x.kernel.wrapping_sub(after), None);
                }
                Some(line) => {
                    for k in 0..x.kernel {
                        emit(k, 1, x.at(ox, k).map(|ix| line.wrapping_add(ix)));
                    }
                }
            }
        }
        let ox = ox.wrapping_add(1);
        self.at = if ox == self.out_width { (oy.wrapping_add(1), 0) } else { (oy, ox) };
    }
}

/// The group's first channel, its channels and the columns of a patch, after all checks.
fn check<T: Real>(
    window: &Window,
    group: Group,
    first: usize,
    patches: MatRef<'_, T>,
    image: usize,
) -> Result<(usize, usize, usize), Error> {
    window.check()?;
    let (start, width) = group.channels(window.channels)?;
    let columns = width.saturating_mul(window.taps());
    check_len("patches: elements of the image", window.image_len(), image)?;
    if patches.cols() != columns.saturating_add(1) {
        check_len("patches: columns", columns, patches.cols())?;
    }
    if first.checked_add(patches.rows()).is_none_or(|end| end > window.positions()) {
        return Err(Error::Shape {
            what: "patches: rows after the first",
            expected: window.positions().saturating_sub(first),
            found: patches.rows(),
        });
    }
    if !patches.rows_contiguous() {
        return Err(Error::Layout { what: "patches: contiguous rows needed" });
    }
    Ok((start, width, columns))
}

/// Rows `first`, …, `first + out.rows() − 1` of the patch matrix of one image.
///
/// Shapes: image H·W × c (channels-last), out rows × (c/groups·kh·kw) with contiguous rows, or one
/// column more, which then is 1. Padding reads 0. In [`PatchOrder::TapMajor`] without dilation along
/// x and with one group a line of taps is one copy.
///
/// # Errors
/// As [`Window::check`]; [`Error::Parameter`] for the group; [`Error::Shape`], [`Error::Layout`].
///
/// ```
/// use relfisher_core::conv::{Group, PatchOrder, Window, unfold};
/// use relfisher_core::MatMut;
/// let window = Window {
///     channels: 1, height: 2, width: 2,
///     kernel: [1, 2], stride: [1, 1], padding: [0, 1], dilation: [1, 1],
/// };
/// let mut out = [f64::NAN; 9];
/// let (rows, whole) = (MatMut::new(&mut out, 3, 3)?, Group { index: 0, count: 1 });
/// unfold(rows, &[1.0, 2.0, 3.0, 4.0], &window, whole, 0, PatchOrder::TapMajor)?;
/// assert_eq!(out, [0.0, 1.0, 1.0, 1.0, 2.0, 1.0, 2.0, 0.0, 1.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn unfold<T: Real>(
    mut out: MatMut<'_, T>,
    image: &[T],
    window: &Window,
    group: Group,
    first: usize,
    order: PatchOrder,
) -> Result<(), Error> {
    let (start, width, columns) = check(window, group, first, out.rb(), image.len())?;
    let order = cheapest(window, order);
    let (channels, taps) = (window.channels, window.taps().max(1));
    let mut walk = Walk::new(window, first, joined(window, group, order));
    for i in 0..out.rows() {
        let row = out.row_mut(i);
        match order {
            PatchOrder::TapMajor => walk.row(|run| {
                let row = from(row, run.tap.wrapping_mul(width));
                let len = run.len.wrapping_mul(width);
                match run.pixel {
                    None => row.iter_mut().take(len).for_each(|o| *o = T::ZERO),
                    Some(p) => {
                        write_run(row, image_from(image, p.wrapping_mul(channels), start), len)
                    }
                }
            }),
            PatchOrder::ChannelMajor => {
                let row = row.get_mut(..columns).unwrap_or(&mut []);
                walk.row(|run| {
                    for k in 0..run.len {
                        let column = from(row, run.tap.wrapping_add(k)).iter_mut().step_by(taps);
                        match run.pixel {
                            None => column.for_each(|o| *o = T::ZERO),
                            Some(p) => {
                                let p = p.wrapping_add(k).wrapping_mul(channels);
                                for (o, x) in column.zip(image_from(image, p, start)) {
                                    *o = *x;
                                }
                            }
                        }
                    }
                });
            }
        }
        if let Some(one) = out.row_mut(i).get_mut(columns) {
            *one = T::ONE;
        }
    }
    Ok(())
}

/// The transpose of [`unfold`]: adds every patch element to the pixel it came from.
///
/// Shapes as there; image is read and written, a trailing column of `patches` is ignored.
///
/// # Errors
/// As [`unfold`].
///
/// ```
/// use relfisher_core::conv::{Group, PatchOrder, Window, fold_add};
/// use relfisher_core::MatRef;
/// let window = Window {
///     channels: 1, height: 1, width: 3,
///     kernel: [1, 2], stride: [1, 1], padding: [0, 0], dilation: [1, 1],
/// };
/// let (mut image, patches) = ([0.5, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]);
/// let (rows, whole) = (MatRef::new(&patches, 2, 2)?, Group { index: 0, count: 1 });
/// fold_add(&mut image, rows, &window, whole, 0, PatchOrder::TapMajor)?;
/// assert_eq!(image, [1.5, 5.0, 4.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn fold_add<T: Real>(
    image: &mut [T],
    patches: MatRef<'_, T>,
    window: &Window,
    group: Group,
    first: usize,
    order: PatchOrder,
) -> Result<(), Error> {
    let (start, width, columns) = check(window, group, first, patches, image.len())?;
    let order = cheapest(window, order);
    let (channels, taps) = (window.channels, window.taps().max(1));
    let mut walk = Walk::new(window, first, joined(window, group, order));
    for i in 0..patches.rows() {
        let row = patches.row(i).get(..columns).unwrap_or(&[]);
        walk.row(|run| {
            let Some(p) = run.pixel else { return };
            match order {
                PatchOrder::TapMajor => {
                    let row = row.get(run.tap.wrapping_mul(width)..).unwrap_or(&[]);
                    let row = row.get(..run.len.wrapping_mul(width)).unwrap_or(&[]);
                    let pixels = from(image, p.wrapping_mul(channels).wrapping_add(start));
                    axpy(pixels, T::ONE, row);
                }
                PatchOrder::ChannelMajor => {
                    for k in 0..run.len {
                        let p = p.wrapping_add(k).wrapping_mul(channels).wrapping_add(start);
                        let column = row.get(run.tap.wrapping_add(k)..).unwrap_or(&[]);
                        let column = column.iter().step_by(taps);
                        for (x, d) in from(image, p).iter_mut().zip(column) {
                            *x += *d;
                        }
                    }
                }
            }
        });
    }
    Ok(())
}

/// Tap-major where both orders are the same: one channel, or one tap.
fn cheapest(window: &Window, order: PatchOrder) -> PatchOrder {
    if window.channels == 1 || window.taps() == 1 { PatchOrder::TapMajor } else { order }
}

/// Whether neighbouring taps may come as one run: their pixels are neighbours, and in tap-major
/// order so are their channels.
fn joined(window: &Window, group: Group, order: PatchOrder) -> bool {
    let [_, dilation] = window.dilation;
    dilation == 1 && (group.count == 1 || order == PatchOrder::ChannelMajor)
}

/// The first `len` elements of `row` ← those of `pixels`. A short run is copied as one vector where
/// there is room: what it writes after the run is written again by the runs that follow.
#[inline(always)]
fn write_run<T: Real>(row: &mut [T], pixels: &[T], len: usize) {
    const SHORT: usize = 8;
    if len <= SHORT
        && let (Some(row), Some(pixels)) = (row.first_chunk_mut::<SHORT>(), pixels.first_chunk())
    {
        *row = *pixels;
        return;
    }
    if let Some(row) = row.get_mut(..len) {
        copy(row, pixels);
    }
}

/// The elements from `start` on.
#[inline(always)]
fn from<T>(x: &mut [T], start: usize) -> &mut [T] {
    x.get_mut(start..).unwrap_or(&mut [])
}

/// The elements of an image from channel `start` of the pixel at `at` on.
#[inline(always)]
fn image_from<T>(image: &[T], at: usize, start: usize) -> &[T] {
    image.get(at.wrapping_add(start)..).unwrap_or(&[])
}

/// The outer and inner lengths of a column index in the order `from`, and the columns without bias.
fn lengths(
    what: &'static str,
    (channels, taps): (usize, usize),
    columns: usize,
    from: PatchOrder,
) -> Result<(usize, usize), Error> {
    let plain = channels.saturating_mul(taps);
    if columns != plain.saturating_add(1) {
        check_len(what, plain, columns)?;
    }
    Ok(match from {
        PatchOrder::ChannelMajor => (channels, taps),
        PatchOrder::TapMajor => (taps, channels),
    })
}

/// out[π(j)] ← row[j], π the transposition of outer × inner; what follows stays.
fn permute<T: Real>(out: &mut [T], row: &[T], (outer, inner): (usize, usize)) {
    if outer == 0 || inner == 0 {
        return copy(out, row);
    }
    let plain = outer.saturating_mul(inner);
    for (o, part) in row.chunks_exact(inner).take(outer).enumerate() {
        let places = from(out, o).iter_mut().step_by(outer);
        for (place, x) in places.zip(part) {
            *place = *x;
        }
    }
    copy(from(out, plain), row.get(plain..).unwrap_or(&[]));
}

/// `out[i, π(j)] ← a[i, j]`: columns in the order `from` become columns in the other order.
///
/// Shapes: a and out rows × (channels·taps), or one column more, which stays last; contiguous rows.
/// `channels` are those of one group.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`].
///
/// ```
/// use relfisher_core::conv::{PatchOrder, reorder_columns};
/// use relfisher_core::{MatMut, MatRef};
/// let (a, mut out) = ([1.0, 2.0, 3.0, 4.0, 9.0], [f64::NAN; 5]);
/// let (a, o) = (MatRef::new(&a, 1, 5)?, MatMut::new(&mut out, 1, 5)?);
/// reorder_columns(o, a, 2, 2, PatchOrder::ChannelMajor)?;
/// assert_eq!(out, [1.0, 3.0, 2.0, 4.0, 9.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn reorder_columns<T: Real>(
    mut out: MatMut<'_, T>,
    a: MatRef<'_, T>,
    channels: usize,
    taps: usize,
    from: PatchOrder,
) -> Result<(), Error> {
    let shape = lengths("reorder_columns: columns of a", (channels, taps), a.cols(), from)?;
    check_len("reorder_columns: rows of out", a.rows(), out.rows())?;
    check_len("reorder_columns: columns of out", a.cols(), out.cols())?;
    if !(a.rows_contiguous() && out.rows_contiguous()) {
        return Err(Error::Layout { what: "reorder_columns: contiguous rows needed" });
    }
    for i in 0..a.rows() {
        permute(out.row_mut(i), a.row(i), shape);
    }
    Ok(())
}

/// `out[π(i), π(j)] ← a[i, j]`: a Kronecker factor of patches from the order `from` to the other.
///
/// Shapes: a and out square of order channels·taps, or one more; contiguous rows. Symmetry is kept
/// but not needed.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`].
///
/// ```
/// use relfisher_core::conv::{PatchOrder, reorder_symmetric};
/// use relfisher_core::{MatMut, MatRef};
/// // two channels of two taps: the columns 1 and 2 change places, and so do the rows
/// let a = [1.0, 2.0, 3.0, 4.0, 2.0, 5.0, 6.0, 7.0, 3.0, 6.0, 8.0, 9.0, 4.0, 7.0, 9.0, 0.0];
/// let mut out = [f64::NAN; 16];
/// let (a, o) = (MatRef::new(&a, 4, 4)?, MatMut::new(&mut out, 4, 4)?);
/// reorder_symmetric(o, a, 2, 2, PatchOrder::ChannelMajor)?;
/// assert_eq!(out[..8], [1.0, 3.0, 2.0, 4.0, 3.0, 8.0, 6.0, 9.0]);
/// assert_eq!(out[8..], [2.0, 6.0, 5.0, 7.0, 4.0, 9.0, 7.0, 0.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn reorder_symmetric<T: Real>(
    mut out: MatMut<'_, T>,
    a: MatRef<'_, T>,
    channels: usize,
    taps: usize,
    from: PatchOrder,
) -> Result<(), Error> {
    let shape = lengths("reorder_symmetric: columns of a", (channels, taps), a.cols(), from)?;
    check_len("reorder_symmetric: rows of a", a.cols(), a.rows())?;
    check_len("reorder_symmetric: rows of out", a.cols(), out.rows())?;
    check_len("reorder_symmetric: columns of out", a.cols(), out.cols())?;
    if !(a.rows_contiguous() && out.rows_contiguous()) {
        return Err(Error::Layout { what: "reorder_symmetric: contiguous rows needed" });
    }
    let (outer, inner) = shape;
    let plain = outer.saturating_mul(inner);
    for i in 0..a.rows() {
        let place = match (i.checked_div(inner), i.checked_rem(inner)) {
            (Some(o), Some(k)) if i < plain => k.wrapping_mul(outer).wrapping_add(o),
            _ => i,
        };
        permute(out.row_mut(place), a.row(i), shape);
    }
    Ok(())
}
