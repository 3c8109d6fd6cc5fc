//! The matrices of a batch: where they lie, how a group of them gets into the lanes and back.

use super::interleave::{Transpose, four_mut, load, store, store_corner};
use super::lanes::Vector;
use super::triangle::row_range;
use crate::factor::cholesky::unpack_index;
use crate::factor::rows::{Packed, Rows, Strided, first_non_finite};
use crate::{Error, MatMut, Real};

/// Where the lower triangle of every matrix of a batch lies.
pub(super) trait Layout: Rows {
    /// The index in a matrix of an element of its packed triangle.
    fn index(self, packed: usize) -> usize;
}

impl Layout for Strided {
    #[inline(always)]
    fn index(self, packed: usize) -> usize {
        let (i, j) = unpack_index(packed);
        i.wrapping_mul(self.0).wrapping_add(j)
    }
}

impl Layout for Packed {
    #[inline(always)]
    fn index(self, packed: usize) -> usize {
        packed
    }
}

/// The matrices of a batch: `count` at a distance of `stride`, each of order n in `layout`.
pub(super) struct Batch<'a, T, R> {
    data: &'a mut [T],
    pub(super) count: usize,
    stride: usize,
    pub(super) n: usize,
    pub(super) layout: R,
}

impl<'a, T: Real, R: Layout> Batch<'a, T, R> {
    /// The rows of `blocks`, a matrix each.
    pub(super) fn new(blocks: &'a mut MatMut<'_, T>, n: usize, layout: R) -> Self {
        let (count, stride) = (blocks.rows(), blocks.row_stride());
        Self { data: blocks.data_mut(), count, stride, n, layout }
    }

    /// Matrix i and all that follow.
    #[inline(always)]
    pub(super) fn tail(&self, i: usize) -> &[T] {
        self.data.get(i.wrapping_mul(self.stride)..).unwrap_or(&[])
    }

    /// The same, writable.
    #[inline(always)]
    pub(super) fn tail_mut(&mut self, i: usize) -> &mut [T] {
        self.data.get_mut(i.wrapping_mul(self.stride)..).unwrap_or(&mut [])
    }

    /// The error of matrix i, which was refused at `pivot` and has not been written to.
    pub(super) fn refusal(&self, i: usize, pivot: usize) -> Error {
        match first_non_finite(self.tail(i), self.n, self.layout) {
            Some(packed) => Error::NonFinite {
                what: "matrices of a batch",
                index: (i.wrapping_mul(self.layout.start(self.n)))
                    .wrapping_add(self.layout.index(packed)),
            },
            None => Error::NotPositiveDefinite { block: i, pivot },
        }
    }

    /// Four matrices from `first`, each with all that follow it; the last one again past the end.
    #[inline(always)]
    fn four(&self, first: usize) -> [&[T]; 4] {
        let last = self.count.wrapping_sub(1);
        let at = first.min(last);
        [
            at,
            at.wrapping_add(1).min(last),
            at.wrapping_add(2).min(last),
            at.wrapping_add(3).min(last),
        ]
        .map(|i| self.tail(i))
    }

    /// The matrices first … first + L into the panels; the last one again in lanes past the end.
    #[inline(always)]
    pub(super) fn load<M: Transpose<T>, const L: usize>(
        &self,
        l: &mut [Vector<T, L>],
        first: usize,
    ) {
        let left = self.load_rows::<M, L>(l, first);
        if left == self.n {
            return;
        }
        // four matrices from their first row to their last: large ones come from memory as streams
        for quad in 0..L / 4 {
            let four = self.four(first.wrapping_add(4 * quad));
            for row in left..self.n {
                let start = self.layout.start(row);
                let out = l.get_mut(row_range(row)).unwrap_or(&mut []).as_chunks_mut().0;
                load::<T, M, L>(out, four, start, quad);
            }
        }
    }

    /// The first rows of a whole group, in the machine's own way; the number of them.
    #[inline(always)]
    fn load_rows<M: Transpose<T>, const L: usize>(
        &self,
        l: &mut [Vector<T, L>],
        first: usize,
    ) -> usize {
        let Some(parts) = self.parts::<M, L>(first) else { return 0 };
        let mut done = self.n;
        for part in 0..parts {
            let matrices = self.tail(first.wrapping_add(part.wrapping_mul(M::TOGETHER)));
            for row in 0..done {
                let out = l.get_mut(row_range(row)).unwrap_or(&mut []);
                let data = matrices.get(self.layout.start(row)..).unwrap_or(&[]);
                if !M::load_rows(out, part, data, self.stride) {
                    done = row;
                    break;
                }
            }
        }
        done
    }

    /// The parts of a group in which the machine moves rows, if it does and no lane is past the end.
    #[inline(always)]
    fn parts<M: Transpose<T>, const L: usize>(&self, first: usize) -> Option<usize> {
        let whole = first.saturating_add(L) <= self.count;
        if whole { L.checked_div(M::TOGETHER) } else { None }
    }

    /// The inverse of [`Batch::load`], without the lanes past the end. Diagonal elements, which the
    /// panels hold as reciprocals, must have been inverted.
    #[inline(always)]
    pub(super) fn store<M: Transpose<T>, const L: usize>(
        &mut self,
        l: &[Vector<T, L>],
        first: usize,
    ) {
        let left = self.store_rows::<M, L>(l, first);
        if left == self.n {
            return;
        }
        for quad in 0..L / 4 {
            let start = first.wrapping_add(4 * quad);
            let found = self.count.saturating_sub(start).min(4);
            let tail = self.data.get_mut(start.wrapping_mul(self.stride)..);
            let mut four = four_mut(tail.unwrap_or(&mut []), self.stride, found);
            for row in left..self.n {
                let start = self.layout.start(row);
                let from = l.get(row_range(row)).unwrap_or(&[]).as_chunks().0;
                // the square of the diagonal is not written as a whole
                let Some((corner, whole)) = from.split_last() else { return };
                store::<T, M, L>(&mut four, start, whole, quad);
                let start = start.wrapping_add(row / 4 * 4);
                store_corner::<T, M, L>(&mut four, start, corner, (quad, row % 4));
            }
        }
    }

    /// The first rows of a whole group, in the machine's own way; the number of them.
    #[inline(always)]
    fn store_rows<M: Transpose<T>, const L: usize>(
        &mut self,
        l: &[Vector<T, L>],
        first: usize,
    ) -> usize {
        let Some(parts) = self.parts::<M, L>(first) else { return 0 };
        let (layout, stride) = (self.layout, self.stride);
        let mut done = self.n;
        for part in 0..parts {
            let matrices = self.tail_mut(first.wrapping_add(part.wrapping_mul(M::TOGETHER)));
            for row in 0..done {
                let from = l.get(row_range(row)).unwrap_or(&[]);
                let data = matrices.get_mut(layout.start(row)..).unwrap_or(&mut []);
                if !M::store_rows(data, stride, from, [part, row.wrapping_add(1)]) {
                    done = row;
                    break;
                }
            }
        }
        done
    }
}
