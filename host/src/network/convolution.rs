//! Products of a convolution: the patches of an image are formed in pieces that stay in cache and
//! are never stored whole.
//!
//! Images are channels-last (n·h·w × c), outputs n·T × m. Patches are formed in the tap-major order,
//! which copies runs of channels, so weights and results change their column order once for each
//! call. Work is cut by samples (forward, images) or into a number of partial sums that depends on
//! the shape alone (weights, Gram matrices).

use std::ops::Range;

use relfisher_core::conv::{self, Group, PatchOrder};
use relfisher_core::{Error, MatMut, MatRef, blas};

use super::block::{Block, Convolution};
use crate::Scalar;
use crate::executor::{Executor, Taps};
use crate::scratch::grown;

/// Elements of a piece of the patch matrix: 256 KiB in f32.
const PIECE: usize = 1 << 16;
/// Partial sums over the samples.
const PARTIALS: usize = 16;

/// Elements of the total that a thread adds up at once.
const ADDED: usize = 1 << 14;

/// What is done with a piece: its first position, its group, its patches.
type PieceBody<'b, T> = dyn FnMut(usize, usize, MatRef<'_, T>) -> Result<(), Error> + 'b;
/// Writes a sum, which it may change first, in another order.
type OrderBody<'b, T> = dyn Fn(&mut [T], &mut [T]) -> Result<(), Error> + 'b;

/// Adds a run of samples to a sum, with scratch.
type RunBody<'b, T> = dyn Fn(Range<usize>, &mut [T], &mut [T]) -> Result<(), Error> + Sync + 'b;

/// Whether the patches have the trailing 1 of the bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bias {
    With,
    Without,
}

/// A convolution with the sizes that its products need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patches {
    conv: Convolution,
    /// Outputs m.
    outputs: usize,
    /// Columns of the block d̃, and of a patch without the bias.
    cols: usize,
    patch: usize,
}

impl Patches {
    pub(crate) fn new(block: &Block, conv: Convolution) -> Self {
        Self { conv, outputs: block.rows, cols: block.cols, patch: block.inputs }
    }

    /// The elements that the products take besides their operands, saturating: a buffer of partial
    /// sums, and a piece of patches on each of `threads` threads.
    pub(crate) fn scratch_len(&self, threads: usize) -> usize {
        let largest = self.cols.saturating_mul(self.outputs.max(self.cols));
        let piece = PIECE.max(self.cols).max(self.taps().map_or(0, |taps| taps.scratch_len()));
        largest.saturating_mul(PARTIALS + 1).saturating_add(piece.saturating_mul(threads))
    }

    /// The positions T of the output.
    pub(crate) fn positions(&self) -> usize {
        self.conv.window.positions()
    }

    pub(crate) fn groups(&self) -> usize {
        self.conv.groups
    }

    /// The elements of one image.
    pub(crate) fn image_len(&self) -> usize {
        self.conv.window.image_len()
    }

    /// Image s of several.
    pub(crate) fn image<'a, T: Scalar>(&self, images: &'a [T], s: usize) -> &'a [T] {
        let len = self.image_len();
        images.get(s * len..(s + 1) * len).unwrap_or(&[])
    }

    /// Patch columns that are formed: d̃, or the bare patch.
    fn width(&self, bias: Bias) -> usize {
        if bias == Bias::With { self.cols } else { self.patch }
    }

    /// Rows of a piece.
    fn rows(&self, width: usize) -> usize {
        (PIECE / width.max(1)).clamp(1, self.positions().max(1))
    }

    /// Calls `body(first, group, patches)` for the pieces of one image.
    fn for_each_piece<T: Scalar>(
        &self,
        image: &[T],
        width: usize,
        scratch: &mut [T],
        body: &mut PieceBody<'_, T>,
    ) -> Result<(), Error> {
        let (positions, groups) = (self.positions(), self.conv.groups);
        for first in (0..positions).step_by(self.rows(width)) {
            let rows = self.rows(width).min(positions - first);
            for index in 0..groups {
                let mut patches = MatMut::new(&mut *scratch, rows, width)?;
                let group = Group { index, count: groups };
                let order = PatchOrder::TapMajor;
                crate::vectorised!(conv::unfold(
                    patches.rb_mut(),
                    image,
                    &self.conv.window,
                    group,
                    first,
                    order
                ))?;
                body(first, index, patches.rb())?;
            }
        }
        Ok(())
    }

    /// Rows `first..` of the output of one sample for one group.
    fn output<'a, T: Scalar>(
        &self,
        sample: &'a [T],
        first: usize,
        rows: usize,
        group: usize,
    ) -> Result<MatRef<'a, T>, Error> {
        let m = self.outputs;
        MatRef::new(sample, self.positions(), m)?.sub(
            first,
            group * (m / self.conv.groups),
            rows,
            m / self.conv.groups,
        )
    }

    /// The weights in tap-major order.
    fn tap_major<'s, T: Scalar>(
        &self,
        weights: &[T],
        scratch: &'s mut Vec<T>,
    ) -> Result<&'s [T], Error> {
        let (m, cols) = (self.outputs, self.cols);
        let out = grown(scratch, m * cols);
        self.reorder(out, weights, m, PatchOrder::ChannelMajor)?;
        Ok(out)
    }

    fn reorder<T: Scalar>(
        &self,
        out: &mut [T],
        from: &[T],
        rows: usize,
        order: PatchOrder,
    ) -> Result<(), Error> {
        let channels = self.conv.window.channels / self.conv.groups;
        let out = MatMut::new(out, rows, self.cols)?;
        let from = MatRef::new(from, rows, self.cols)?;
        conv::reorder_columns(out, from, channels, self.conv.window.taps(), order)
    }

    /// `out ← P̃ W̃ᵀ + β out` (with [`Bias::Without`]: P Wᵀ). Shapes: out n·T × m, images n·h·w × c,
    /// weights m × d̃.
    pub(crate) fn forward<T: Scalar, E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        (out, beta): (&mut [T], T),
        images: &[T],
        (weights, bias): (&[T], Bias),
        scratch: &mut Vec<T>,
    ) -> Result<(), Error> {
        let (t, m) = (self.positions(), self.outputs);
        let (width, groups) = (self.width(bias), self.conv.groups);
        let weights = MatRef::new(self.tap_major(weights, scratch)?, m, self.cols)?;
        let rows = self.rows(width);
        exec.for_each_part(out, t * m, rows * width, &|s, out, scratch| {
            let image = self.image(images, s);
            let mut out = MatMut::new(out, t, m)?;
            self.for_each_piece(image, width, scratch, &mut |first, group, patches| {
                let each = m / groups;
                let w = weights.sub(group * each, 0, each, width)?;
                let (count, stride) = (patches.rows(), out.row_stride());
                let at = first * stride + group * each;
                let rows = out.data_mut().get_mut(at..).unwrap_or(&mut []);
                let rows = MatMut::with_strides(rows, count, each, stride, 1)?;
                exec.gemm(rows, beta, T::ONE, patches, w.t())
            })
        })
    }

    /// `images ← images' + β images`, the images that P W ᵀ takes to `delta`: Σ over patches of δ W.
    /// Shapes: images n·h·w × c, delta n·T × m, weights m × d̃.
    pub(crate) fn backward<T: Scalar, E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        (images, beta): (&mut [T], T),
        delta: &[T],
        weights: &[T],
        scratch: &mut Vec<T>,
    ) -> Result<(), Error> {
        let (t, m, k) = (self.positions(), self.outputs, self.patch);
        let weights = MatRef::new(self.tap_major(weights, scratch)?, m, self.cols)?;
        let (piece, groups) = (self.rows(k), self.conv.groups);
        exec.for_each_part(images, self.image_len(), piece * k, &|s, image, scratch| {
            if beta == T::ZERO {
                image.fill(T::ZERO);
            } else if beta != T::ONE {
                image.iter_mut().for_each(|x| *x *= beta);
            }
            let sample = delta.get(s * t * m..).unwrap_or(&[]);
            for first in (0..t).step_by(piece) {
                let rows = piece.min(t - first);
                for index in 0..groups {
                    let each = m / groups;
                    let delta = self.output(sample, first, rows, index)?;
                    let w = weights.sub(index * each, 0, each, k)?;
                    let mut patches = MatMut::new(&mut *scratch, rows, k)?;
                    exec.gemm(patches.rb_mut(), T::ZERO, T::ONE, delta, w)?;
                    let group = Group { index, count: groups };
                    let order = PatchOrder::TapMajor;
                    let patches = patches.rb();
                    crate::vectorised!(conv::fold_add(
                        image,
                        patches,
                        &self.conv.window,
                        group,
                        first,
                        order
                    ))?;
                }
            }
            Ok(())
        })
    }

    /// `gradient ← α Σ_s δ_sᵀ P̃_s + β gradient` (with [`Bias::Without`] the bias column gets zeros).
    /// Shapes: gradient m × d̃, delta n·T × m, images n·h·w × c.
    pub(crate) fn gradient<T: Scalar, E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        (gradient, beta, alpha): (&mut [T], T, T),
        delta: &[T],
        (images, bias): (&[T], Bias),
        scratch: &mut Vec<T>,
    ) -> Result<(), Error> {
        let (t, m, cols) = (self.positions(), self.outputs, self.cols);
        let width = self.width(bias);
        let samples = images.len() / self.image_len().max(1);
        let order = |out: &mut [T], sum: &mut [T]| self.reorder(out, sum, m, PatchOrder::TapMajor);
        let size = (m, samples);
        let piece = self.rows(cols) * cols;
        self.sum_samples(
            exec,
            (gradient, beta),
            (size, piece),
            scratch,
            &order,
            &|run, sum, scratch| {
                run.into_iter().try_for_each(|s| {
                    let image = self.image(images, s);
                    let sample = delta.get(s * t * m..).unwrap_or(&[]);
                    self.for_each_piece(image, width, scratch, &mut |first, group, patches| {
                        let each = m / self.conv.groups;
                        let delta = self.output(sample, first, patches.rows(), group)?;
                        let rows = sum.get_mut(group * each * cols..).unwrap_or(&mut []);
                        let rows = MatMut::with_strides(rows, each, width, cols, 1)?;
                        exec.gemm(rows, T::ONE, alpha, delta.t(), patches)
                    })
                })
            },
        )
    }

    /// `out ← α Σ_s Σ_τ p̃ p̃ᵀ + β out`, averaged over the groups. Shapes: out d̃ × d̃, images n·h·w × c.
    pub(crate) fn gram<T: Scalar, E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        (out, beta, alpha): (&mut [T], T, T),
        images: &[T],
        scratch: &mut Vec<T>,
    ) -> Result<(), Error> {
        let cols = self.cols;
        let samples = images.len() / self.image_len().max(1);
        let alpha = alpha / T::from_usize(self.conv.groups);
        let channels = self.conv.window.channels / self.conv.groups;
        let taps = self.conv.window.taps();
        let order = |out: &mut [T], sum: &mut [T]| {
            mirror(sum, cols);
            let (out, sum) = (MatMut::new(out, cols, cols)?, MatRef::new(sum, cols, cols)?);
            conv::reorder_symmetric(out, sum, channels, taps, PatchOrder::TapMajor)
        };
        let size = (cols, samples);
        if let Some(taps) = self.taps() {
            let work = taps.scratch_len();
            let all = (size, work);
            return self.sum_samples(
                exec,
                (out, beta),
                all,
                scratch,
                &order,
                &|run, sum, scratch| {
                    let len = self.image_len();
                    let images = images.get(run.start * len..run.end * len).unwrap_or(&[]);
                    taps.add(sum, alpha, images, scratch);
                    Ok(())
                },
            );
        }
        let piece = self.rows(cols);
        let all = (size, piece * cols + blas::gram_workspace_len(piece, cols));
        self.sum_samples(exec, (out, beta), all, scratch, &order, &|run, sum, scratch| {
            let (pieces, work) = scratch.split_at_mut(piece * cols);
            run.into_iter().try_for_each(|s| {
                let image = self.image(images, s);
                self.for_each_piece(image, cols, pieces, &mut |_, _, patches| {
                    let sum = MatMut::new(&mut *sum, cols, cols)?;
                    exec.gram_lower(sum, T::ONE, alpha, patches, work)
                })
            })
        })
    }

    /// The views of taps, where their Gram matrix needs no patches.
    fn taps(&self) -> Option<Taps> {
        let one = self.conv.groups == 1;
        if one { Taps::new(self.conv.window, self.cols) } else { None }
    }

    /// `out ← order(Σ_s body(s)) + β out`, (rows × d̃), in partial sums over runs of samples, each with
    /// `work` elements of scratch.
    fn sum_samples<T: Scalar, E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        (out, beta): (&mut [T], T),
        ((rows, samples), work): ((usize, usize), usize),
        scratch: &mut Vec<T>,
        order: &OrderBody<'_, T>,
        body: &RunBody<'_, T>,
    ) -> Result<(), Error> {
        let size = rows * self.cols;
        let each = samples.div_ceil(PARTIALS).max(1);
        let parts = samples.div_ceil(each).max(1);
        let buffer = grown(scratch, (parts + 1) * size);
        let (sums, ordered) = buffer.split_at_mut(parts * size);
        exec.for_each_part(sums, size, work, &|part, sum, scratch| {
            sum.fill(T::ZERO);
            body(part * each..samples.min((part + 1) * each), sum, scratch)
        })?;
        let (total, rest) = sums.split_at_mut(size);
        let rest = &*rest;
        exec.for_each_part(total, ADDED, 0, &|i, total, _| {
            crate::vectorised!(for part in rest.chunks_exact(size) {
                let part = part.get(i * ADDED..).unwrap_or(&[]);
                total.iter_mut().zip(part).for_each(|(a, b)| *a += *b);
            });
            Ok(())
        })?;
        order(ordered, total)?;
        if beta == T::ZERO {
            out.copy_from_slice(ordered);
        } else {
            out.iter_mut().zip(&*ordered).for_each(|(o, x)| *o = beta * *o + *x);
        }
        Ok(())
    }

    /// Every patch of one image in the channel-major order of the files: T × d̃ for one group.
    pub(crate) fn unfold<T: Scalar>(
        &self,
        out: &mut [T],
        image: &[T],
        group: usize,
    ) -> Result<(), Error> {
        let out = MatMut::new(out, self.positions(), self.cols)?;
        let group = Group { index: group, count: self.conv.groups };
        conv::unfold(out, image, &self.conv.window, group, 0, PatchOrder::ChannelMajor)
    }
}

/// Copies the lower triangle of a square of order d onto the upper one, in squares that stay in cache.
fn mirror<T: Scalar>(square: &mut [T], d: usize) {
    const SIDE: usize = 16;
    for top in (0..d).step_by(SIDE) {
        for left in (0..=top).step_by(SIDE) {
            for i in top..d.min(top + SIDE) {
                for j in left..i.min(left + SIDE) {
                    square[j * d + i] = square[i * d + j];
                }
            }
        }
    }
}
