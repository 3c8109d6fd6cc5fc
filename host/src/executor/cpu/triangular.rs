//! Solves with a Cholesky factor and many right sides, as products: the blocks on the diagonal are
//! inverted first, so that all the rest is matrix multiplication.

use faer::linalg::matmul::matmul;
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::linalg::triangular_solve;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{Accum, MatMut, MatRef, Par};
use relfisher_core::Error;

use super::Cpu;
use super::pool::Parts;
use super::product::{Axis, Tile, tiles};
use crate::Scalar;

/// The order of the blocks on the diagonal.
const BLOCK: usize = 64;
/// The fewest columns of a tile.
const COLUMNS: usize = 96;
/// Fewer right sides are solved one after the other.
const FEW: usize = 16;

/// `B ← (L Lᵀ)⁻¹ B`, columns in tiles whose cut depends on the shape only. `out` d × k with
/// contiguous rows or columns; of `l` the lower triangle is read, with a positive diagonal.
pub(super) fn cholesky_solve<T: Scalar>(
    cpu: &Cpu,
    out: MatMut<'_, T>,
    l: MatRef<'_, T>,
) -> Result<(), Error> {
    let (d, k) = (l.nrows(), out.ncols());
    let flops = 2_usize.saturating_mul(d).saturating_mul(d).saturating_mul(k);
    let axis = Axis::Columns;
    if k < FEW {
        let grain = k.div_ceil(tiles(flops)).max(1);
        return cpu.pool.for_each(Tile { out, axis }, grain, &|_, tile: Tile<'_, T>| {
            let mut out = tile.out;
            triangular_solve::solve_lower_triangular_in_place(l, out.rb_mut(), Par::Seq);
            triangular_solve::solve_upper_triangular_in_place(l.transpose(), out, Par::Seq);
            Ok(())
        });
    }
    let grain = k.div_ceil(tiles(flops)).next_multiple_of(16).max(COLUMNS);
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
        let inverses = &*inverses;
        cpu.pool.for_each(Tile { out, axis }, grain, &|_, tile: Tile<'_, T>| {
            let scratch = BLOCK * tile.out.ncols();
            T::arena(cpu).with(scratch, T::ZERO, |scratch| solve(tile.out, l, inverses, scratch));
            Ok(())
        })
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
