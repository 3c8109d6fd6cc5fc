//! Batches of packed matrices and of small systems: one task for each matrix or group of lanes.

use faer::linalg::matmul::matmul;
use faer::{Accum, Par};
use relfisher_core::factor::batch::{INTERLEAVED_ORDER, group_len};
use relfisher_core::metric::cost::{Construction, choose_construction};
use relfisher_core::{Error, MatMut, MatRef, Real, blas, factor};

use super::factor::{check_damping, cholesky_in_place, invert, stack};
use super::pool::RowsMut;
use super::product::{Axis, Tile, each_lower, triangular_product};
use super::views::{check_layout, check_len, dense, dense_mut, packed_len};
use super::{Cpu, pairs};
use crate::{Scalar, vectorised};

/// Below this order the core's batched routines are faster than `faer` on an unpacked square.
const SMALL: usize = 48;

/// Elements that a task should touch at least: some ten microseconds of a core.
const TASK: usize = 1 << 15;

pub(super) fn packed_grams<T: Scalar>(
    cpu: &Cpu,
    out: MatMut<'_, T>,
    (beta, alpha): (T, T),
    x: MatRef<'_, T>,
    nu: MatRef<'_, T>,
    how: Option<Construction>,
) -> Result<(), Error> {
    let (n, d, m) = (x.rows(), x.cols(), nu.cols());
    check_len("packed_grams: rows of nu", n, nu.rows())?;
    check_len("packed_grams: rows of out", m, out.rows())?;
    check_len("packed_grams: columns of out", packed_len(d), out.cols())?;
    let contiguous = x.rows_contiguous() && nu.rows_contiguous() && out.rows_contiguous();
    check_layout("packed_grams: contiguous rows needed", contiguous)?;
    if n == 0 || d == 0 || m == 0 {
        return vectorised!(blas::packed_grams(out, beta, alpha, x, nu, &mut []));
    }
    match how.unwrap_or_else(|| choose_construction(m, d, n)) {
        Construction::PairProducts => pairs::by_products(cpu, out, (beta, alpha), x, nu),
        Construction::WeightedRows => pairs::by_rows(cpu, out, (beta, alpha), x, nu),
        Construction::PerNeuron => per_neuron(cpu, out, beta, alpha, x, nu),
    }
}

/// One triangular product Xᵀ diag(ν_i) X for each neuron, a task each.
fn per_neuron<T: Scalar>(
    cpu: &Cpu,
    mut out: MatMut<'_, T>,
    beta: T,
    alpha: T,
    x: MatRef<'_, T>,
    nu: MatRef<'_, T>,
) -> Result<(), Error> {
    let (n, d) = (x.rows(), x.cols());
    let layout = Error::Layout { what: "packed_grams: contiguous rows needed" };
    let rows = RowsMut::new(&mut out, "packed_grams: contiguous rows needed")?;
    let left = dense(x).ok_or(layout)?.transpose();
    cpu.pool.for_each(rows, 1, &|i: usize, mut rows: RowsMut<'_, T>| {
        let Some(packed) = rows.iter().next() else { return Ok(()) };
        T::arena(cpu).with(n * d + d * d, T::ZERO, |work| {
            let (scaled, square) = work.split_at_mut(n * d);
            vectorised!({
                for (s, out) in scaled.chunks_exact_mut(d).enumerate() {
                    let weight = alpha * nu.at(s, i);
                    for (o, x) in out.iter_mut().zip(x.row(s)) {
                        *o = weight * *x;
                    }
                }
            });
            let right = dense(MatRef::new(scaled, n, d)?).ok_or(layout)?;
            let full = faer::MatMut::from_column_major_slice_mut(&mut *square, d, d);
            lower(full.transpose_mut(), left, right);
            vectorised!({
                for (a, row) in square.chunks_exact(d).enumerate() {
                    let out = &mut packed[packed_len(a)..][..=a];
                    if beta == T::ZERO {
                        out.copy_from_slice(&row[..=a]);
                    } else {
                        for (o, x) in out.iter_mut().zip(row) {
                            *o = beta * *o + *x;
                        }
                    }
                }
            });
            Ok(())
        })
    })
}

/// The lower triangle of `out ← left right` in strips: rectangles by the general product, corners
/// by the triangular one.
fn lower<T: Scalar>(
    mut out: faer::MatMut<'_, T>,
    left: faer::MatRef<'_, T>,
    right: faer::MatRef<'_, T>,
) {
    const STRIP: usize = 96;
    let d = out.nrows();
    for first in (0..d).step_by(STRIP) {
        let count = STRIP.min(d - first);
        let left = left.subrows(first, count);
        let strip = out.as_mut().subrows_mut(first, count);
        let (before, rest) = strip.split_at_col_mut(first);
        matmul(before, Accum::Replace, left, right.subcols(0, first), T::ONE, Par::Seq);
        let corner = rest.subcols_mut(0, count);
        let right = right.subcols(first, count);
        triangular_product(corner, Accum::Replace, left, right, T::ONE);
    }
}

/// The same error, its block counted from the first block of the batch.
pub(super) fn shift(error: Error, blocks: usize, elements: usize) -> Error {
    match error {
        Error::NotPositiveDefinite { block, pivot } => {
            Error::NotPositiveDefinite { block: block + blocks, pivot }
        }
        Error::NonFinite { what, index } => Error::NonFinite { what, index: index + elements },
        other => other,
    }
}

fn check_blocks<T: Real>(blocks: &MatMut<'_, T>, d: usize, damping: T) -> Result<(), Error> {
    check_len("packed blocks: columns", packed_len(d), blocks.cols())?;
    check_damping(damping)?;
    check_layout("packed blocks: contiguous rows needed", blocks.rows_contiguous())
}

/// What is left in the packed place of a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Factor,
    Inverse,
}

pub(super) fn packed_cholesky<T: Scalar>(
    cpu: &Cpu,
    blocks: MatMut<'_, T>,
    d: usize,
    damping: T,
) -> Result<(), Error> {
    // half a group of lanes without work costs more than the matrices one by one
    if d <= INTERLEAVED_ORDER && blocks.rows() >= group_len::<T>() / 2 {
        check_blocks(&blocks, d, damping)?;
        return super::small::packed_cholesky(cpu, blocks, d, damping);
    }
    packed_factor(cpu, blocks, d, damping, Keep::Factor)
}

pub(super) fn packed_inverse<T: Scalar>(
    cpu: &Cpu,
    blocks: MatMut<'_, T>,
    d: usize,
    damping: T,
) -> Result<(), Error> {
    packed_factor(cpu, blocks, d, damping, Keep::Inverse)
}

fn packed_factor<T: Scalar>(
    cpu: &Cpu,
    mut blocks: MatMut<'_, T>,
    d: usize,
    damping: T,
    keep: Keep,
) -> Result<(), Error> {
    check_blocks(&blocks, d, damping)?;
    let (len, what) = (packed_len(d), "packed blocks");
    let rows = RowsMut::new(&mut blocks, what)?;
    if d < SMALL {
        let grain = (TASK / (d * d * d).max(1)).max(1);
        return cpu.pool.for_each(rows, grain, &|first: usize, mut rows: RowsMut<'_, T>| {
            let view = rows.view()?;
            T::arena(cpu).with(factor::packed_inverse_workspace_len(d), T::ZERO, |work| {
                vectorised!(match keep {
                    Keep::Factor => factor::packed_cholesky(view, d, damping),
                    Keep::Inverse => factor::packed_inverse(view, d, damping, work),
                })
                .map_err(|e| shift(e, first, first * len))
            })
        });
    }
    cpu.pool.for_each(rows, 1, &|block: usize, mut rows: RowsMut<'_, T>| {
        let Some(packed) = rows.iter().next() else { return Ok(()) };
        if let Some(k) = packed.iter().position(|x| !x.is_finite()) {
            return Err(Error::NonFinite { what, index: block * len + k });
        }
        T::arena(cpu).with(2 * d * d + d, T::ZERO, |work| {
            let (square, work) = work.split_at_mut(d * d);
            let (inverse, diagonal) = work.split_at_mut(d * d);
            each_lower(d, |i, j| square[j * d + i] = packed[packed_len(i) + j]);
            let result = stack::<T, _>(cpu, d, |stack| {
                cholesky_in_place(stack, square, diagonal, damping)?;
                if keep == Keep::Inverse {
                    invert(stack, inverse, square, d);
                }
                Ok(())
            });
            result.map_err(|pivot| Error::NotPositiveDefinite { block, pivot })?;
            let kept = if keep == Keep::Inverse { inverse } else { square };
            each_lower(d, |i, j| packed[packed_len(i) + j] = kept[j * d + i]);
            Ok(())
        })
    })
}

pub(super) fn packed_cholesky_solve<T: Scalar>(
    cpu: &Cpu,
    mut v: MatMut<'_, T>,
    factors: MatRef<'_, T>,
) -> Result<(), Error> {
    let d = v.cols();
    let what = "packed_cholesky_solve: contiguous rows needed";
    check_len("packed_cholesky_solve: rows of factors", v.rows(), factors.rows())?;
    check_len("packed_cholesky_solve: columns of factors", packed_len(d), factors.cols())?;
    check_layout(what, v.rows_contiguous() && factors.rows_contiguous())?;
    let grain = (TASK / packed_len(d).max(1)).max(1);
    let rows = RowsMut::new(&mut v, what)?;
    cpu.pool.for_each(rows, grain, &|first: usize, mut rows: RowsMut<'_, T>| {
        let v = rows.view()?;
        let factors = factors.sub(first, 0, v.rows(), packed_len(d))?;
        vectorised!(factor::packed_cholesky_solve(v, factors))
            .map_err(|e| shift(e, first, first * d))
    })
}

pub(super) fn packed_symv<T: Scalar>(
    cpu: &Cpu,
    mut out: MatMut<'_, T>,
    blocks: MatRef<'_, T>,
    v: MatRef<'_, T>,
) -> Result<(), Error> {
    let (m, d) = (v.rows(), v.cols());
    let what = "packed_symv: contiguous rows needed";
    check_len("packed_symv: rows of out", m, out.rows())?;
    check_len("packed_symv: columns of out", d, out.cols())?;
    check_len("packed_symv: rows of blocks", m, blocks.rows())?;
    check_len("packed_symv: columns of blocks", packed_len(d), blocks.cols())?;
    check_layout(what, v.rows_contiguous() && blocks.rows_contiguous() && out.rows_contiguous())?;
    let grain = (TASK / packed_len(d).max(1)).max(1);
    let rows = RowsMut::new(&mut out, what)?;
    cpu.pool.for_each(rows, grain, &|first: usize, mut rows: RowsMut<'_, T>| {
        let out = rows.view()?;
        let count = out.rows();
        let blocks = blocks.sub(first, 0, count, packed_len(d))?;
        let v = v.sub(first, 0, count, d)?;
        vectorised!(blas::packed_symv(out, blocks, v))
    })
}

pub(super) fn scaled_gram_solve<T: Scalar>(
    cpu: &Cpu,
    mut z: MatMut<'_, T>,
    k: MatRef<'_, T>,
    s: MatRef<'_, T>,
    damping: T,
    work: &mut [T],
) -> Result<(), Error> {
    let (n, m) = (z.rows(), z.cols());
    let lanes = 64 / size_of::<T>();
    let shapes = k.rows() == n && k.cols() == n && s.rows() == n && s.cols() == m;
    let rows = z.rows_contiguous() && k.rows_contiguous() && s.rows_contiguous();
    if !(shapes && rows) || m <= lanes {
        return vectorised!(factor::scaled_gram_solve(z, k, s, damping, work));
    }
    let len = factor::scaled_gram_solve_workspace_len(n, lanes);
    let layout = Error::Layout { what: "scaled_gram_solve: contiguous rows needed" };
    let out = dense_mut(&mut z).ok_or(layout)?;
    let whole = Tile { out, axis: Axis::Columns };
    cpu.pool.for_each(whole, lanes, &|first: usize, tile: Tile<'_, T>| {
        let mut out = tile.out;
        let count = out.ncols();
        T::arena(cpu).with(n * count + len, T::ZERO, |work| {
            let (columns, work) = work.split_at_mut(n * count);
            for (i, row) in columns.chunks_exact_mut(count).enumerate() {
                for (j, x) in row.iter_mut().enumerate() {
                    *x = out[(i, j)];
                }
            }
            let z = MatMut::new(columns, n, count)?;
            vectorised!(factor::scaled_gram_solve_columns(z, k, s, first, damping, work))?;
            for (i, row) in columns.chunks_exact(count).enumerate() {
                for (j, x) in row.iter().enumerate() {
                    out[(i, j)] = *x;
                }
            }
            Ok(())
        })
    })
}
