//! The Gram matrix of the patches of images with few channels, without the patches: Σ_τ p̃_τ p̃_τᵀ.
//!
//! Entry (a, b) is the dot product of two shifted views of the image, one for each pair of a tap and
//! a channel. With each channel as a plane of its own, zeros of the padding around it, a row of such a
//! view is contiguous where the window moves by one column: vectors of neighbouring positions are
//! loaded where they lie, and tiles of R × 4 dot products are summed in registers. Patches of few
//! channels would be short copies instead, and their triangle one block of which half is thrown away.
//!
//! A row of positions that does not fill its last vector is cut off there by a mask on one side.

use pulp::bytemuck::{bytes_of, cast_slice, cast_slice_mut, pod_read_unaligned};
use relfisher_core::conv::Window;

use crate::Scalar;

/// Columns of a tile of dot products; its rows depend on the registers.
const ACROSS: usize = 4;
/// The most rows of a tile.
const DOWN: usize = 4;
/// The most elements of a vector.
const LANES: usize = 16;
/// From so many columns of the Gram matrix on, the products of patches are as fast.
const MOST_COLUMNS: usize = 96;
/// A shorter row of positions fills less than a vector, and the sums of all lanes are added for few products.
const LEAST_WIDTH: usize = 16;

/// Planes that outgrow the caches are no gain.
const MOST_ELEMENTS: usize = 1 << 16;

/// The views of an image that a window's taps see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taps {
    window: Window,
    /// d̃: taps × channels, and one more for the bias.
    columns: usize,
}

impl Taps {
    /// The views of a window, where summing their dot products is faster than multiplying patches:
    /// few channels (of one group), windows that move by one column.
    pub(crate) fn new(window: Window, columns: usize) -> Option<Self> {
        let taps = Self { window, columns };
        let fits = window.stride[1] == 1
            && columns <= MOST_COLUMNS
            && window.out_width() >= LEAST_WIDTH
            && taps.planes_len() <= MOST_ELEMENTS;
        fits.then_some(taps)
    }

    /// Rows and columns of a plane.
    fn plane(&self) -> [usize; 2] {
        let Window { height, width, padding: [py, px], .. } = self.window;
        [height.saturating_add(2 * py), width.saturating_add(2 * px)]
    }

    /// The elements of all planes: channels, ones for the bias, and what the last vector may read.
    fn planes_len(&self) -> usize {
        let [rows, cols] = self.plane();
        let planes = self.window.channels.saturating_add(1);
        planes.saturating_mul(rows).saturating_mul(cols).saturating_add(LANES)
    }

    /// The elements of scratch that [`Taps::add`] takes.
    pub(crate) fn scratch_len(&self) -> usize {
        let side = self.columns + DOWN + ACROSS;
        self.planes_len() + side * side * LANES
    }

    /// `sum ← sum + α Σ p̃ p̃ᵀ` over the positions of images (h·w × c each), lower triangle, columns in
    /// the tap-major order. Shapes: sum d̃ × d̃, scratch [`Taps::scratch_len`].
    pub(crate) fn add<T: Scalar>(&self, sum: &mut [T], alpha: T, images: &[T], scratch: &mut [T]) {
        pulp::Arch::new().dispatch(Sum { taps: *self, sum, alpha, images, scratch });
    }

    /// Where the view of a column starts in the planes.
    fn start(&self, column: usize) -> usize {
        let ([rows, cols], c) = (self.plane(), self.window.channels);
        let ([_, kw], [dy, dx]) = (self.window.kernel, self.window.dilation);
        let (tap, channel) = (column / c, column % c);
        if tap >= self.window.taps() {
            // the ones
            return c * rows * cols;
        }
        channel * rows * cols + tap / kw * dy * cols + tap % kw * dx
    }

    /// Writes the channels of an image (h·w × c) into their planes, whose borders are there.
    #[inline(always)]
    fn load<T: Scalar>(&self, planes: &mut [T], image: &[T]) {
        match self.window.channels {
            1 => self.load_channels::<T, 1>(planes, image),
            2 => self.load_channels::<T, 2>(planes, image),
            3 => self.load_channels::<T, 3>(planes, image),
            4 => self.load_channels::<T, 4>(planes, image),
            _ => self.load_any(planes, image),
        }
    }

    /// [`Taps::load`] of C channels, all of a pixel at a time: the compiler finds the shuffles.
    #[inline(always)]
    fn load_channels<T: Scalar, const C: usize>(&self, planes: &mut [T], image: &[T]) {
        let Window { width, padding: [py, px], .. } = self.window;
        let [rows, cols] = self.plane();
        let mut parts = planes.chunks_exact_mut(rows * cols);
        let mut planes: [&mut [T]; C] = std::array::from_fn(|_| parts.next().unwrap_or_default());
        for (y, line) in image.chunks_exact(width * C).enumerate() {
            let pixels = line.as_chunks::<C>().0;
            let at = (y + py) * cols + px;
            let out = planes.each_mut().map(|plane| &mut plane[at..at + pixels.len()]);
            for (i, pixel) in pixels.iter().enumerate() {
                for channel in 0..C {
                    out[channel][i] = pixel[channel];
                }
            }
        }
    }

    /// [`Taps::load`] of any number of channels.
    #[inline(always)]
    fn load_any<T: Scalar>(&self, planes: &mut [T], image: &[T]) {
        let Window { channels: c, width, padding: [py, px], .. } = self.window;
        let [rows, cols] = self.plane();
        for (y, line) in image.chunks_exact(width * c).enumerate() {
            for channel in 0..c {
                let at = (channel * rows + y + py) * cols + px;
                let out = &mut planes[at..at + width];
                for (o, pixel) in out.iter_mut().zip(line.chunks_exact(c)) {
                    *o = pixel[channel];
                }
            }
        }
    }
}

/// One call of [`Taps::add`].
struct Sum<'a, T> {
    taps: Taps,
    sum: &'a mut [T],
    alpha: T,
    images: &'a [T],
    scratch: &'a mut [T],
}

impl<T: Scalar> pulp::WithSimd for Sum<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) {
        // thirty-two registers hold 4 × 4 sums beside what they are made of, sixteen hold 2 × 4
        match size_of::<T::SimdVec<S>>() / size_of::<T>() {
            16 => self.run::<S, DOWN, 16>(simd),
            8 if size_of::<T>() == 8 => self.run::<S, DOWN, 8>(simd),
            8 => self.run::<S, 2, 8>(simd),
            4 => self.run::<S, 2, 4>(simd),
            2 => self.run::<S, 2, 2>(simd),
            _ => self.run::<S, 2, 1>(simd),
        }
    }
}

impl<T: Scalar> Sum<'_, T> {
    #[inline(always)]
    fn run<S: pulp::Simd, const R: usize, const L: usize>(self, simd: S) {
        let Self { taps, sum, alpha, images, scratch } = self;
        let ctx = T::simd_ctx(simd);
        let (d, c) = (taps.columns, taps.window.channels);
        let [rows, cols] = taps.plane();
        let (planes, lanes) = scratch.split_at_mut(taps.planes_len());
        planes.fill(T::ZERO);
        planes[c * rows * cols..].fill(T::ONE);
        let tile = R * ACROSS * L;
        let tiles = || {
            let across = |i: usize| (0..i + R).step_by(ACROSS).map(move |j| (i, j));
            (0..d).step_by(R).flat_map(across)
        };
        lanes.fill(T::ZERO);
        let lines = lines::<T, S, L>(&taps);
        // divisions, once a call; past the end the last column again: those sums are not used
        let starts: [usize; MOST_COLUMNS + DOWN + ACROSS] =
            std::array::from_fn(|column| taps.start(column.min(d - 1)));
        for image in images.chunks_exact(taps.window.image_len()) {
            taps.load(planes, image);
            for ((i, j), lanes) in tiles().zip(lanes.chunks_exact_mut(tile)) {
                let left: [usize; R] = std::array::from_fn(|r| starts[i + r]);
                let right: [usize; ACROSS] = std::array::from_fn(|r| starts[j + r]);
                dots::<T, S, R, L>(&ctx, lanes, planes, (left, right), &lines);
            }
        }
        for ((i, j), lanes) in tiles().zip(lanes.chunks_exact(tile)) {
            for (k, lanes) in lanes.chunks_exact(L).enumerate() {
                let (i, j) = (i + k / ACROSS, j + k % ACROSS);
                if i < d && j <= i {
                    sum[i * d + j] += alpha * lanes.iter().fold(T::ZERO, |s, x| s + *x);
                }
            }
        }
    }
}

/// The rows of positions of a view.
struct Lines<V> {
    /// How many.
    count: usize,
    /// Elements between two.
    step: usize,
    /// Vectors that a row fills.
    full: usize,
    /// What is left of a row: ones for it and zeros behind.
    rest: Option<V>,
}

/// The rows of positions of a window.
#[inline(always)]
fn lines<T: Scalar, S: pulp::Simd, const L: usize>(taps: &Taps) -> Lines<T::SimdVec<S>> {
    let window = &taps.window;
    let (full, rest) = (window.out_width() / L, window.out_width() % L);
    let mask: [T; L] = std::array::from_fn(|k| if k < rest { T::ONE } else { T::ZERO });
    Lines {
        count: window.out_height(),
        step: window.stride[0] * taps.plane()[1],
        full,
        rest: (rest > 0).then(|| vector::<T, S, L>(&mask)),
    }
}

/// Adds the products of R views with four others to the lanes of a tile, over all positions.
#[inline(always)]
fn dots<T: Scalar, S: pulp::Simd, const R: usize, const L: usize>(
    ctx: &T::SimdCtx<S>,
    lanes: &mut [T],
    planes: &[T],
    (left, right): ([usize; R], [usize; ACROSS]),
    lines: &Lines<T::SimdVec<S>>,
) {
    let Lines { count, step, full, rest } = *lines;
    let mut sums: [[T::SimdVec<S>; ACROSS]; R] = std::array::from_fn(|r| {
        std::array::from_fn(|k| vector::<T, S, L>(&lanes[(r * ACROSS + k) * L..][..L]))
    });
    // once a tile: checked at every row of positions, the bounds take as long as the products
    let reach = count.saturating_sub(1) * step + (full + 1) * L;
    assert!(
        left.iter().chain(&right).all(|start| start + reach <= planes.len()),
        "planes too short"
    );
    for y in 0..count {
        for x in 0..full + usize::from(rest.is_some()) {
            let read = |start: usize| {
                let place = start + y * step + x * L;
                // SAFETY: y is below `count` and x at most `full`, so that L elements from `place` on end
                // at `start + reach` at the latest.
                unsafe { planes.as_ptr().add(place).cast::<T::SimdVec<S>>().read_unaligned() }
            };
            let mut b: [_; ACROSS] = std::array::from_fn(|k| read(right[k]));
            if let Some(mask) = rest.filter(|_| x == full) {
                b = b.map(|b| T::simd_mul(ctx, b, mask));
            }
            for r in 0..R {
                let a = read(left[r]);
                for k in 0..ACROSS {
                    sums[r][k] = T::simd_mul_add(ctx, a, b[k], sums[r][k]);
                }
            }
        }
    }
    for (lanes, sum) in lanes.chunks_exact_mut(L).zip(sums.as_flattened()) {
        cast_slice_mut::<T, u8>(lanes).copy_from_slice(bytes_of(sum));
    }
}

/// L elements as a vector, wherever they lie.
#[inline(always)]
fn vector<T: Scalar, S: pulp::Simd, const L: usize>(elements: &[T]) -> T::SimdVec<S> {
    pod_read_unaligned(cast_slice(&elements[..L]))
}
