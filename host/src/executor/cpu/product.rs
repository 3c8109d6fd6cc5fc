//! General and symmetric products: `faer`'s sequential kernels on tiles whose cut depends on the
//! shapes only.

use faer::linalg::matmul::{matmul, triangular};
use faer::prelude::ReborrowMut;
use faer::{Accum, Par};
use relfisher_core::{Error, MatMut, MatRef, blas};

use super::Cpu;
use super::pool::{Divide, Parts, Pool, RowsMut};
use super::views::{check_layout, check_len, dense, dense_mut};
use crate::{Scalar, vectorised};

/// FLOPs of a tile that are worth the hand-over to another thread (10 to 20 µs of one core).
pub(super) const TILE_FLOPS: usize = 1 << 21;
/// The most tiles of a product.
const MOST_TILES: usize = 16;

/// The number of tiles that `flops` are cut into: a power of two.
pub(super) fn tiles(flops: usize) -> usize {
    let wanted = (flops / TILE_FLOPS).clamp(1, MOST_TILES);
    1 << wanted.ilog2()
}

/// An output that is cut along its rows (the contiguous direction) or its columns.
pub(super) struct Tile<'a, T> {
    pub(super) out: faer::MatMut<'a, T>,
    pub(super) axis: Axis,
}

#[derive(Clone, Copy)]
pub(super) enum Axis {
    Rows,
    Columns,
}

impl<T: Scalar> Divide for Tile<'_, T> {
    fn extent(&self) -> usize {
        match self.axis {
            Axis::Rows => self.out.nrows(),
            Axis::Columns => self.out.ncols(),
        }
    }
    fn divide(self, at: usize) -> (Self, Self) {
        let axis = self.axis;
        let (head, tail) = match axis {
            Axis::Rows => self.out.split_at_row_mut(at),
            Axis::Columns => self.out.split_at_col_mut(at),
        };
        (Tile { out: head, axis }, Tile { out: tail, axis })
    }
}

/// out ← β out for β other than 0 and 1; the accumulation that remains.
pub(super) fn prescale<T: Scalar>(out: &mut faer::MatMut<'_, T>, beta: T) -> Accum {
    if beta == T::ZERO {
        return Accum::Replace;
    }
    if beta != T::ONE {
        for column in out.rb_mut().col_iter_mut() {
            for x in column.iter_mut() {
                *x *= beta;
            }
        }
    }
    Accum::Add
}

pub(super) fn gemm<T: Scalar>(
    pool: &Pool,
    mut c: MatMut<'_, T>,
    beta: T,
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
) -> Result<(), Error> {
    check_len("gemm: rows of a", c.rows(), a.rows())?;
    check_len("gemm: rows of b", a.cols(), b.rows())?;
    check_len("gemm: columns of b", c.cols(), b.cols())?;
    let by_rows = c.rows_contiguous();
    let (Some(lhs), Some(rhs)) = (dense(a), dense(b)) else {
        return vectorised!(blas::gemm(c, beta, alpha, a, b));
    };
    let what = "gemm: c needs contiguous rows or columns";
    let out = dense_mut(&mut c).ok_or(Error::Layout { what })?;
    let (out, lhs, rhs) = if by_rows {
        (out.transpose_mut(), rhs.transpose(), lhs.transpose())
    } else {
        (out, lhs, rhs)
    };
    let (rows, cols) = (out.nrows(), out.ncols());
    let flops = 2usize.saturating_mul(rows).saturating_mul(cols).saturating_mul(lhs.ncols());
    let count = tiles(flops);
    let (axis, grain) = if rows / count >= 48 || rows >= cols {
        (Axis::Rows, rows.div_ceil(count).next_multiple_of(16))
    } else {
        (Axis::Columns, cols.div_ceil(count).next_multiple_of(4))
    };
    pool.for_each(Tile { out, axis }, grain, &|first: usize, tile: Tile<'_, T>| {
        let mut out = tile.out;
        let (lhs, rhs) = match axis {
            Axis::Rows => (lhs.subrows(first, out.nrows()), rhs),
            Axis::Columns => (lhs, rhs.subcols(first, out.ncols())),
        };
        let accum = prescale(&mut out, beta);
        matmul(out, accum, lhs, rhs, alpha, Par::Seq);
        Ok(())
    })
}

pub(super) fn gram<T: Scalar>(
    cpu: &Cpu,
    mut c: MatMut<'_, T>,
    beta: T,
    alpha: T,
    x: MatRef<'_, T>,
    weights: Option<&[T]>,
) -> Result<(), Error> {
    let (n, d) = (x.rows(), x.cols());
    check_len("gram: rows of c", d, c.rows())?;
    check_len("gram: columns of c", d, c.cols())?;
    if let Some(w) = weights {
        check_len("gram: weights", n, w.len())?;
    }
    check_layout("gram: x needs contiguous rows", x.rows_contiguous())?;
    check_layout("gram: c needs contiguous rows", c.rows_contiguous())?;
    match weights {
        None => lower_product(&cpu.pool, c.rb_mut(), beta, alpha, x, x)?,
        Some(weights) => T::arena(cpu).with(n * d, T::ZERO, |scaled| {
            vectorised!({
                for (i, (w, out)) in weights.iter().zip(scaled.chunks_mut(d.max(1))).enumerate() {
                    for (o, x) in out.iter_mut().zip(x.row(i)) {
                        *o = *w * *x;
                    }
                }
            });
            lower_product(&cpu.pool, c.rb_mut(), beta, alpha, x, MatRef::new(scaled, n, d)?)
        })?,
    }
    mirror(&cpu.pool, &mut c)
}

/// The lower triangle of `c ← α xᵀ y + β c`, where the product is symmetric.
fn lower_product<T: Scalar>(
    pool: &Pool,
    mut c: MatMut<'_, T>,
    beta: T,
    alpha: T,
    x: MatRef<'_, T>,
    y: MatRef<'_, T>,
) -> Result<(), Error> {
    let (n, d) = (x.rows(), x.cols());
    let flops = n.saturating_mul(d).saturating_mul(d + 1);
    let grain = d.div_ceil(tiles(flops)).next_multiple_of(16).max(48);
    let layout = Error::Layout { what: "gram: x needs contiguous rows" };
    let (Some(left), Some(right)) = (dense(x), dense(y)) else { return Err(layout) };
    let rows = RowsMut::new(&mut c, "gram: c needs contiguous rows")?;
    pool.for_each(rows, grain, &|first: usize, mut rows: RowsMut<'_, T>| {
        let mut view = rows.view()?;
        let Some(out) = dense_mut(&mut view) else { return Err(layout) };
        strip(out, first, (left, right), (beta, alpha));
        Ok(())
    })
}

/// The rows of a strip of [`gram_lower`]: a multiple of the heights of the kernels.
const STRIP: usize = 96;

/// The lower triangle of `c ← α xᵀx + β c`, on the calling thread.
pub(super) fn gram_lower<T: Scalar>(
    mut c: MatMut<'_, T>,
    beta: T,
    alpha: T,
    x: MatRef<'_, T>,
) -> Result<(), Error> {
    let d = x.cols();
    check_len("gram: rows of c", d, c.rows())?;
    check_len("gram: columns of c", d, c.cols())?;
    check_layout("gram: x needs contiguous rows", x.rows_contiguous())?;
    check_layout("gram: c needs contiguous rows", c.rows_contiguous())?;
    let layout = Error::Layout { what: "gram: x needs contiguous rows" };
    let (Some(x), Some(mut out)) = (dense(x), dense_mut(&mut c)) else { return Err(layout) };
    for first in (0..d).step_by(STRIP) {
        let rows = out.rb_mut().subrows_mut(first, STRIP.min(d - first));
        strip(rows, first, (x, x), (beta, alpha));
    }
    Ok(())
}

/// The rows from `first` of the lower triangle of `α leftᵀ right + β out`: what lies before the
/// diagonal block by the general product, and that block's triangle.
fn strip<T: Scalar>(
    out: faer::MatMut<'_, T>,
    first: usize,
    (left, right): (faer::MatRef<'_, T>, faer::MatRef<'_, T>),
    (beta, alpha): (T, T),
) {
    let count = out.nrows();
    let left = left.subcols(first, count).transpose();
    let (mut before, rest) = out.split_at_col_mut(first);
    let mut corner = rest.subcols_mut(0, count);
    let accum = prescale(&mut before, beta);
    matmul(before, accum, left, right.subcols(0, first), alpha, Par::Seq);
    prescale(&mut corner, beta);
    triangular_product(corner, accum, left, right.subcols(first, count), alpha);
}

/// The lower triangle of `out ← α left right (+ out)`.
pub(super) fn triangular_product<T: Scalar>(
    out: faer::MatMut<'_, T>,
    accum: Accum,
    left: faer::MatRef<'_, T>,
    right: faer::MatRef<'_, T>,
    alpha: T,
) {
    use triangular::BlockStructure::{Rectangular, TriangularLower};
    triangular::matmul(
        out,
        TriangularLower,
        accum,
        left,
        Rectangular,
        right,
        Rectangular,
        alpha,
        Par::Seq,
    );
}

/// The order of the squares that [`transpose_lower`] moves at once.
const SQUARE: usize = 16;

/// Calls `f(i, j)` for i ≥ j below `d`, in squares that stay in cache.
#[inline(always)]
pub(super) fn each_lower(d: usize, mut f: impl FnMut(usize, usize)) {
    for top in (0..d).step_by(SQUARE) {
        for left in (0..=top).step_by(SQUARE) {
            for i in top..d.min(top + SQUARE) {
                for j in left..(i + 1).min(left + SQUARE) {
                    f(i, j);
                }
            }
        }
    }
}

/// Below this order a matrix is mirrored by one thread.
const MIRROR_ALONE: usize = 256;

/// Copies the lower triangle onto the upper one.
pub(super) fn mirror<T: Scalar>(pool: &Pool, c: &mut MatMut<'_, T>) -> Result<(), Error> {
    let (d, stride) = (c.rows(), c.row_stride());
    mirror_part(pool, c.data_mut(), (d, stride), 0)
}

/// [`mirror`] of the square of order d whose first row begins `data`, at column `left`: the block beside
/// its halves, several rows at once, then both halves.
fn mirror_part<T: Scalar>(
    pool: &Pool,
    data: &mut [T],
    (d, stride): (usize, usize),
    left: usize,
) -> Result<(), Error> {
    if d < MIRROR_ALONE {
        each_lower(d, |i, j| data[j * stride + left + i] = data[i * stride + left + j]);
        return Ok(());
    }
    let half = d / 2;
    let (above, below) = data.split_at_mut(half * stride);
    let (from, middle) = (&*below, left + half);
    let rows = Parts { data: &mut *above, len: SQUARE * stride };
    pool.for_each(rows, 2, &|first: usize, rows: Parts<'_, T>| {
        let top = left + first * SQUARE;
        for start in (0..d - half).step_by(SQUARE) {
            let columns = start..(start + SQUARE).min(d - half);
            for (i, row) in rows.data.chunks_mut(stride).enumerate() {
                for j in columns.clone() {
                    row[middle + j] = from[j * stride + top + i];
                }
            }
        }
        Ok(())
    })?;
    let (mut head, mut tail) = (Ok(()), Ok(()));
    pool.join(&mut || head = mirror_part(pool, above, (half, stride), left), &mut || {
        tail = mirror_part(pool, below, (d - half, stride), middle);
    });
    head.and(tail)
}
