//! Batches of small matrices: groups of them in vector lanes, a task for some groups.

use relfisher_core::factor::batch::{
    INTERLEAVED_ORDER, cholesky_batch_by, eigh_batch_by, group_len, packed_cholesky_batch_by,
};
use relfisher_core::{Error, MatMut, factor};

use super::Cpu;
use super::batch::shift;
use super::factor::{check_damping, check_lower, cholesky_in_place, load, stack, store};
use super::pool::RowsMut;
use super::views::{check_layout, check_len, packed_len};
use crate::{Scalar, vectorised};

/// FLOPs that a task should have at least: some ten microseconds of a core.
const TASK: usize = 1 << 19;

/// The matrices of order n of a task, whole groups of them: `cost` n³ FLOPs each.
fn grain<T: Scalar>(n: usize, cost: usize) -> usize {
    let group = group_len::<T>();
    let flops = n.saturating_pow(3).saturating_mul(group * cost).max(1);
    group * (TASK / flops).max(1)
}

pub(super) fn cholesky_batch<T: Scalar>(
    cpu: &Cpu,
    mut matrices: MatMut<'_, T>,
    n: usize,
    damping: T,
) -> Result<(), Error> {
    let what = "cholesky_batch: contiguous matrices needed";
    check_len("cholesky_batch: columns", n.saturating_mul(n), matrices.cols())?;
    check_layout(what, matrices.rows_contiguous())?;
    check_damping(damping)?;
    let rows = RowsMut::new(&mut matrices, what)?;
    if n <= INTERLEAVED_ORDER {
        return cpu.pool.for_each(rows, grain::<T>(n, 1), &|first, mut rows: RowsMut<'_, T>| {
            let view = rows.view()?;
            T::arena(cpu).with(factor::cholesky_batch_workspace_len(n), T::ZERO, |work| {
                vectorised!(cholesky_batch_by::<T, T::Squares>(view, n, damping, work))
                    .map_err(|e| shift(e, first, first * n * n))
            })
        });
    }
    cpu.pool.for_each(rows, 1, &|block: usize, mut rows: RowsMut<'_, T>| {
        let Some(matrix) = rows.iter().next() else { return Ok(()) };
        let mut view = MatMut::new(matrix, n, n)?;
        check_lower("matrices of a batch", view.rb())
            .map_err(|e| shift(e, block, block * n * n))?;
        T::arena(cpu).with(n * n + n, T::ZERO, |work| {
            let (square, diagonal) = work.split_at_mut(n * n);
            load(square, view.rb());
            stack::<T, _>(cpu, n, |stack| cholesky_in_place(stack, square, diagonal, damping))
                .map_err(|pivot| Error::NotPositiveDefinite { block, pivot })?;
            store(&mut view, square);
            Ok(())
        })
    })
}

/// Packed triangles of an order up to [`INTERLEAVED_ORDER`].
pub(super) fn packed_cholesky<T: Scalar>(
    cpu: &Cpu,
    mut blocks: MatMut<'_, T>,
    d: usize,
    damping: T,
) -> Result<(), Error> {
    let rows = RowsMut::new(&mut blocks, "packed blocks")?;
    cpu.pool.for_each(rows, grain::<T>(d, 1), &|first, mut rows: RowsMut<'_, T>| {
        let view = rows.view()?;
        T::arena(cpu).with(factor::cholesky_batch_workspace_len(d), T::ZERO, |work| {
            vectorised!(packed_cholesky_batch_by::<T, T::Squares>(view, d, damping, work))
                .map_err(|e| shift(e, first, first * packed_len(d)))
        })
    })
}

pub(super) fn eigh_batch<T: Scalar>(
    cpu: &Cpu,
    mut matrices: MatMut<'_, T>,
    mut values: MatMut<'_, T>,
    n: usize,
) -> Result<(), Error> {
    let what = "eigh_batch: contiguous rows needed";
    check_len("eigh_batch: columns of matrices", n.saturating_mul(n), matrices.cols())?;
    check_len("eigh_batch: rows of values", matrices.rows(), values.rows())?;
    check_len("eigh_batch: columns of values", n, values.cols())?;
    check_layout(what, matrices.rows_contiguous() && values.rows_contiguous())?;
    let rows = (RowsMut::new(&mut matrices, what)?, RowsMut::new(&mut values, what)?);
    type Both<'a, T> = (RowsMut<'a, T>, RowsMut<'a, T>);
    if n <= INTERLEAVED_ORDER {
        return cpu.pool.for_each(rows, grain::<T>(n, 9), &|first, mut rows: Both<'_, T>| {
            let (matrices, values) = (rows.0.view()?, rows.1.view()?);
            T::arena(cpu).with(factor::eigh_batch_workspace_len(n), T::ZERO, |work| {
                vectorised!(eigh_batch_by::<T, T::Squares>(matrices, values, n, work))
                    .map_err(|e| shift(e, first, first * n * n))
            })
        });
    }
    cpu.pool.for_each(rows, 1, &|block: usize, mut rows: Both<'_, T>| {
        let (Some(matrix), Some(values)) = (rows.0.iter().next(), rows.1.iter().next()) else {
            return Ok(());
        };
        super::factor::eigh(cpu, MatMut::new(matrix, n, n)?, values, &mut [])
            .map_err(|e| shift(e, block, block * n * n))
    })
}
