//! Solves with a Cholesky factor and many right sides, as products: the blocks on the diagonal are
//! inverted first, so that all the rest is matrix multiplication.

use faer::linalg::matmul::matmul;
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::linalg::triangular_solve;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{Accum, MatMut, MatRef, Par};
use relfisher_core::Error;

use super::Cpu;
use super::pool::{Divide, Parts};
use super::product::{Axis, TILE_FLOPS, Tile, tiles};
use crate::Scalar;

/// The right sides from which larger blocks on the diagonal are worth their inverses.
const MANY: usize = 256;
/// The last block is as much larger at most: fewer rows would be a product of their own, which waits
/// for memory.
const REST: usize = 15;
/// The rows that a block's triangle is cut into, of which each is a product.
const STRIP: usize = 32;
/// The fewest columns of a tile.
const COLUMNS: usize = 96;
/// Fewer right sides are solved one after the other.
const FEW: usize = 16;
/// A matrix that makes so many tiles is cut, instead of being one task beside others.
const LARGE: usize = 8;

/// FLOPs of both solves of a d × k matrix.
fn flops(d: usize, k: usize) -> usize {
    2_usize.saturating_mul(d).saturating_mul(d).saturating_mul(k)
}

/// The whole matrices d × k that are work enough for a task.
pub(super) fn matrices_of_a_task(d: usize, k: usize) -> usize {
    (TILE_FLOPS / flops(d, k).max(1)).max(1)
}

/// The blocks on the diagonal of a factor, or the strips of rows of a block.
#[derive(Clone, Copy)]
struct Blocks {
    /// The rows of all together.
    d: usize,
    /// The rows of each but the last.
    order: usize,
}

impl Blocks {
    /// Of a factor of order d and k right sides.
    fn new(d: usize, k: usize) -> Self {
        Self { d, order: if k < MANY { 64 } else { 128 } }
    }

    fn count(self) -> usize {
        self.d.saturating_sub(REST).div_ceil(self.order).max(1)
    }

    /// Where block i starts, and its order.
    fn place(self, i: usize) -> (usize, usize) {
        let at = i * self.order;
        (at, if i + 1 == self.count() { self.d - at } else { self.order })
    }

    /// The order of the largest.
    fn largest(self) -> usize {
        (self.order + REST).min(self.d)
    }

    /// The elements that the inverse of one takes.
    fn room(self) -> usize {
        self.largest() * self.largest()
    }
}

/// A factor and the inverses of the blocks on its diagonal.
#[derive(Clone, Copy)]
struct Inverted<'a, T> {
    l: MatRef<'a, T>,
    blocks: Blocks,
    inverses: &'a [T],
}

/// `B ← (L Lᵀ)⁻¹ B`, columns in tiles whose cut depends on the shape only. `out` d × k with
/// contiguous rows or columns; of `l` the lower triangle is read, with a positive diagonal.
pub(super) fn cholesky_solve<T: Scalar>(
    cpu: &Cpu,
    out: MatMut<'_, T>,
    l: MatRef<'_, T>,
) -> Result<(), Error> {
    let (d, k) = (l.nrows(), out.ncols());
    let axis = Axis::Columns;
    if k < FEW {
        let grain = k.div_ceil(tiles(flops(d, k))).max(1);
        return cpu.pool.for_each(Tile { out, axis }, grain, &|_, tile: Tile<'_, T>| {
            let mut out = tile.out;
            triangular_solve::solve_lower_triangular_in_place(l, out.rb_mut(), Par::Seq);
            triangular_solve::solve_upper_triangular_in_place(l.transpose(), out, Par::Seq);
            Ok(())
        });
    }
    with_inverses(cpu, l, k, |factor| in_tiles(cpu, out, factor))
}

/// `B_i ← (L Lᵀ)⁻¹ B_i` for the matrices of d rows in `out`, whose rows are contiguous: a matrix on a
/// thread, or its columns on all of them where it is large.
pub(super) fn cholesky_solve_stacked<T: Scalar>(
    cpu: &Cpu,
    mut out: MatMut<'_, T>,
    l: MatRef<'_, T>,
) -> Result<(), Error> {
    let (d, k) = (l.nrows(), out.ncols());
    let count = out.nrows() / d;
    with_inverses(cpu, l, count.saturating_mul(k), |factor| {
        if tiles(flops(d, k)) >= LARGE {
            return (0..count)
                .try_for_each(|i| in_tiles(cpu, out.rb_mut().subrows_mut(i * d, d), factor));
        }
        let matrices = Matrices { out, rows: d };
        cpu.pool.for_each(matrices, matrices_of_a_task(d, k), &|_, part: Matrices<'_, T>| {
            let mut out = part.out;
            T::arena(cpu).with(factor.blocks.largest() * k, T::ZERO, |scratch| {
                for i in 0..out.nrows() / d {
                    factor.solve(out.rb_mut().subrows_mut(i * d, d), scratch);
                }
            });
            Ok(())
        })
    })
}

/// Matrices one below the other, cut between two of them.
struct Matrices<'a, T> {
    out: MatMut<'a, T>,
    /// The rows of each.
    rows: usize,
}

impl<T: Scalar> Divide for Matrices<'_, T> {
    fn extent(&self) -> usize {
        self.out.nrows() / self.rows
    }
    fn divide(self, at: usize) -> (Self, Self) {
        let rows = self.rows;
        let (head, tail) = self.out.split_at_row_mut(at * rows);
        (Self { out: head, rows }, Self { out: tail, rows })
    }
}

/// Calls `f` with the inverses of the blocks on the diagonal of `l`, for k right sides.
fn with_inverses<T: Scalar>(
    cpu: &Cpu,
    l: MatRef<'_, T>,
    k: usize,
    f: impl FnOnce(Inverted<'_, T>) -> Result<(), Error>,
) -> Result<(), Error> {
    let blocks = Blocks::new(l.nrows(), k);
    let room = blocks.room();
    T::arena(cpu).with(blocks.count() * room, T::ZERO, |inverses| {
        let parts = Parts { data: &mut *inverses, len: room };
        let grain = 256 / blocks.order;
        cpu.pool.for_each(parts, grain, &|first: usize, parts: Parts<'_, T>| {
            for (i, part) in parts.data.chunks_exact_mut(room).enumerate() {
                let (at, order) = blocks.place(first + i);
                part.fill(T::ZERO);
                let inverse =
                    MatMut::from_column_major_slice_mut(&mut part[..order * order], order, order);
                invert_lower_triangular(inverse, l.submatrix(at, at, order, order), Par::Seq);
            }
            Ok(())
        })?;
        f(Inverted { l, blocks, inverses })
    })
}

/// Both solves for the columns of `out` in tiles.
fn in_tiles<T: Scalar>(
    cpu: &Cpu,
    out: MatMut<'_, T>,
    factor: Inverted<'_, T>,
) -> Result<(), Error> {
    let (d, k) = (out.nrows(), out.ncols());
    let grain = k.div_ceil(tiles(flops(d, k))).next_multiple_of(16).max(COLUMNS);
    let tile = Tile { out, axis: Axis::Columns };
    cpu.pool.for_each(tile, grain, &|_, tile: Tile<'_, T>| {
        let scratch = factor.blocks.largest() * tile.out.ncols();
        T::arena(cpu).with(scratch, T::ZERO, |scratch| factor.solve(tile.out, scratch));
        Ok(())
    })
}

/// Which triangle of a matrix is not zero.
#[derive(Clone, Copy)]
enum Triangle {
    Lower,
    Upper,
}

impl<'a, T: Scalar> Inverted<'a, T> {
    /// The inverse of block i.
    fn inverse(&self, i: usize) -> MatRef<'a, T> {
        let (_, order) = self.blocks.place(i);
        let part = &self.inverses[i * self.blocks.room()..][..order * order];
        MatRef::from_column_major_slice(part, order, order)
    }

    /// Both solves of one tile, forwards with L and backwards with Lᵀ.
    fn solve(&self, mut out: MatMut<'_, T>, scratch: &mut [T]) {
        use Triangle::{Lower, Upper};
        let Self { l, blocks, .. } = *self;
        let (d, count, minus) = (l.nrows(), blocks.count(), -T::ONE);
        if count == 1 {
            let mut half = like(&out, scratch);
            multiply(half.rb_mut(), self.inverse(0), Lower, out.rb());
            return multiply(out, self.inverse(0).transpose(), Upper, half.rb());
        }
        for i in 0..count {
            let (at, order) = blocks.place(i);
            let (above, rest) = out.rb_mut().split_at_row_mut(at);
            let mut rows = rest.subrows_mut(0, order);
            let left = l.submatrix(at, 0, order, at);
            matmul(rows.rb_mut(), Accum::Add, left, above.rb(), minus, Par::Seq);
            turn(rows, self.inverse(i), Lower, scratch);
        }
        for i in (0..count).rev() {
            let (at, order) = blocks.place(i);
            let (head, below) = out.rb_mut().split_at_row_mut(at + order);
            let mut rows = head.subrows_mut(at, order);
            let left = l.submatrix(at + order, at, d - at - order, order).transpose();
            matmul(rows.rb_mut(), Accum::Add, left, below.rb(), minus, Par::Seq);
            turn(rows, self.inverse(i).transpose(), Upper, scratch);
        }
    }
}

/// A matrix in `scratch` of the shape and the order of `rows`.
fn like<'a, T: Scalar>(rows: &MatMut<'_, T>, scratch: &'a mut [T]) -> MatMut<'a, T> {
    let (order, cols) = (rows.nrows(), rows.ncols());
    let scratch = &mut scratch[..order * cols];
    if rows.row_stride() == 1 {
        MatMut::from_column_major_slice_mut(scratch, order, cols)
    } else {
        MatMut::from_row_major_slice_mut(scratch, order, cols)
    }
}

/// `rows ← matrix · rows`.
fn turn<T: Scalar>(
    rows: MatMut<'_, T>,
    matrix: MatRef<'_, T>,
    triangle: Triangle,
    scratch: &mut [T],
) {
    let mut copy = like(&rows, scratch);
    copy.copy_from(rows.rb());
    multiply(rows, matrix, triangle, copy.rb());
}

/// `out ← matrix · x`, in strips that leave out what is zero.
fn multiply<T: Scalar>(
    mut out: MatMut<'_, T>,
    matrix: MatRef<'_, T>,
    triangle: Triangle,
    x: MatRef<'_, T>,
) {
    let order = out.nrows();
    let strips = Blocks { d: order, order: STRIP };
    for (at, rows) in (0..strips.count()).map(|i| strips.place(i)) {
        let (from, to) = match triangle {
            Triangle::Lower => (0, at + rows),
            Triangle::Upper => (at, order),
        };
        let strip = matrix.submatrix(at, from, rows, to - from);
        let out = out.rb_mut().subrows_mut(at, rows);
        matmul(out, Accum::Replace, strip, x.subrows(from, to - from), T::ONE, Par::Seq);
    }
}
