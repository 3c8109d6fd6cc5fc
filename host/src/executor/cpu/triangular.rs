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

/// The order of the blocks on the diagonal.
const BLOCK: usize = 64;
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
    with_inverses(cpu, l, |inverses| in_tiles(cpu, out, l, inverses))
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
    with_inverses(cpu, l, |inverses| {
        if tiles(flops(d, k)) >= LARGE {
            return (0..count)
                .try_for_each(|i| in_tiles(cpu, out.rb_mut().subrows_mut(i * d, d), l, inverses));
        }
        let matrices = Matrices { out, rows: d };
        cpu.pool.for_each(matrices, matrices_of_a_task(d, k), &|_, part: Matrices<'_, T>| {
            let mut out = part.out;
            T::arena(cpu).with(BLOCK * k, T::ZERO, |scratch| {
                for i in 0..out.nrows() / d {
                    solve(out.rb_mut().subrows_mut(i * d, d), l, inverses, scratch);
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

/// Calls `f` with the inverses of the blocks on the diagonal of `l`.
fn with_inverses<T: Scalar>(
    cpu: &Cpu,
    l: MatRef<'_, T>,
    f: impl FnOnce(&[T]) -> Result<(), Error>,
) -> Result<(), Error> {
    let d = l.nrows();
    T::arena(cpu).with(d.div_ceil(BLOCK) * BLOCK * BLOCK, T::ZERO, |inverses| {
        let parts = Parts { data: &mut *inverses, len: BLOCK * BLOCK };
        cpu.pool.for_each(parts, 4, &|first: usize, parts: Parts<'_, T>| {
            for (i, part) in parts.data.chunks_exact_mut(BLOCK * BLOCK).enumerate() {
                let (at, order) = place(first + i, d);
                part.fill(T::ZERO);
                let inverse =
                    MatMut::from_column_major_slice_mut(&mut part[..order * order], order, order);
                invert_lower_triangular(inverse, l.submatrix(at, at, order, order), Par::Seq);
            }
            Ok(())
        })?;
        f(inverses)
    })
}

/// Both solves for the columns of `out` in tiles.
fn in_tiles<T: Scalar>(
    cpu: &Cpu,
    out: MatMut<'_, T>,
    l: MatRef<'_, T>,
    inverses: &[T],
) -> Result<(), Error> {
    let (d, k) = (l.nrows(), out.ncols());
    let grain = k.div_ceil(tiles(flops(d, k))).next_multiple_of(16).max(COLUMNS);
    let tile = Tile { out, axis: Axis::Columns };
    cpu.pool.for_each(tile, grain, &|_, tile: Tile<'_, T>| {
        let scratch = BLOCK * tile.out.ncols();
        T::arena(cpu).with(scratch, T::ZERO, |scratch| solve(tile.out, l, inverses, scratch));
        Ok(())
    })
}

/// Where block i starts, and its order.
fn place(i: usize, d: usize) -> (usize, usize) {
    let at = i * BLOCK;
    (at, BLOCK.min(d - at))
}

/// Both solves of one tile, forwards with L and backwards with Lᵀ.
fn solve<T: Scalar>(mut out: MatMut<'_, T>, l: MatRef<'_, T>, inverses: &[T], scratch: &mut [T]) {
    let (d, minus) = (l.nrows(), -T::ONE);
    let inverse = |i: usize, order: usize| {
        let part = &inverses[i * BLOCK * BLOCK..][..order * order];
        MatRef::from_column_major_slice(part, order, order)
    };
    for i in 0..d.div_ceil(BLOCK) {
        let (at, order) = place(i, d);
        let (above, rest) = out.rb_mut().split_at_row_mut(at);
        let mut rows = rest.subrows_mut(0, order);
        let left = l.submatrix(at, 0, order, at);
        matmul(rows.rb_mut(), Accum::Add, left, above.rb(), minus, Par::Seq);
        turn(rows, inverse(i, order), scratch);
    }
    for i in (0..d.div_ceil(BLOCK)).rev() {
        let (at, order) = place(i, d);
        let (head, below) = out.rb_mut().split_at_row_mut(at + order);
        let mut rows = head.subrows_mut(at, order);
        let left = l.submatrix(at + order, at, d - at - order, order).transpose();
        matmul(rows.rb_mut(), Accum::Add, left, below.rb(), minus, Par::Seq);
        turn(rows, inverse(i, order).transpose(), scratch);
    }
}

/// `rows ← matrix · rows`.
fn turn<T: Scalar>(rows: MatMut<'_, T>, matrix: MatRef<'_, T>, scratch: &mut [T]) {
    let (order, cols) = (rows.nrows(), rows.ncols());
    let scratch = &mut scratch[..order * cols];
    let mut copy = if rows.row_stride() == 1 {
        MatMut::from_column_major_slice_mut(scratch, order, cols)
    } else {
        MatMut::from_row_major_slice_mut(scratch, order, cols)
    };
    copy.copy_from(rows.rb());
    matmul(rows, Accum::Replace, matrix, copy.rb(), T::ONE, Par::Seq);
}
