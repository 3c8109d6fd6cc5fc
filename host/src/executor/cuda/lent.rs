//! Copies on the device of what a host lends, and what becomes of them.

use std::sync::Arc;

use relfisher_core::{Error as CoreError, MatMut, MatRef};

use super::{Buffer, Error, Gpu, Matrix, MatrixMut};
use crate::Scalar;

/// A matrix on the device that is a copy of one of the host's.
pub(super) struct Lent<T> {
    pub(super) values: Buffer<T>,
    pub(super) rows: usize,
    pub(super) cols: usize,
}

impl<T: Scalar> Lent<T> {
    pub(super) fn new(gpu: &Arc<Gpu>, rows: usize, cols: usize) -> Result<Self, Error> {
        Ok(Self { values: Buffer::new(gpu, rows * cols)?, rows, cols })
    }

    pub(super) fn matrix(&self) -> Result<Matrix<'_, T>, CoreError> {
        Matrix::new(self.values.view(), self.rows, self.cols)
    }

    pub(super) fn matrix_mut(&mut self) -> Result<MatrixMut<'_, T>, CoreError> {
        MatrixMut::new(self.values.view_mut(), self.rows, self.cols)
    }

    pub(super) fn read_back(&self, to: &mut MatMut<'_, T>) -> Result<(), Error> {
        let (rows, cols) = (self.rows, self.cols);
        if to.rows_contiguous() && to.row_stride() == cols {
            let values = to.data_mut();
            let len = (rows * cols).min(values.len());
            return self.values.view().download(&mut values[..len]);
        }
        let values = self.values.to_vec()?;
        for (i, row) in values.chunks_exact(cols.max(1)).enumerate() {
            if to.rows_contiguous() {
                to.row_mut(i).copy_from_slice(row);
            } else {
                row.iter().enumerate().for_each(|(j, x)| to.set(i, j, *x));
            }
        }
        Ok(())
    }
}

/// An error for the first matrix that was refused.
pub(super) fn check_flags(flags: &Buffer<u32>) -> Result<(), Error> {
    let flags = flags.to_vec()?;
    let Some(block) = flags.iter().position(|flag| *flag != 0) else { return Ok(()) };
    let pivot = (flags[block] as usize).saturating_sub(1);
    Err(CoreError::NotPositiveDefinite { block, pivot }.into())
}

/// An error for a lower triangle that is not finite.
pub(super) fn check_lower<T: Scalar>(
    what: &'static str,
    a: MatRef<'_, T>,
) -> Result<(), CoreError> {
    for i in 0..a.rows() {
        let row = a.row(i).get(..=i).unwrap_or(&[]);
        if let Some(j) = row.iter().position(|x| !x.is_finite()) {
            return Err(CoreError::NonFinite { what, index: i * a.cols() + j });
        }
    }
    Ok(())
}

/// A check of the host that the device does not make.
pub(super) fn check_damping<T: Scalar>(damping: T) -> Result<(), CoreError> {
    if damping >= T::ZERO && damping.is_finite() {
        return Ok(());
    }
    Err(CoreError::Parameter { what: "damping must be finite and >= 0" })
}

/// The cube of an order.
pub(super) fn cube(n: usize) -> f64 {
    (n as f64).powi(3)
}

/// FLOPs of a solve with a factor of order d and k right sides, and the values that it moves.
pub(super) fn solve_cost(d: usize, k: usize) -> (f64, f64) {
    let (d, k) = (d as f64, k as f64);
    (2.0 * d * d * k, d * d + 2.0 * d * k)
}

/// An operation is lent from so many FLOPs on: about what a call and its copies cost at least.
const LEAST_FLOPS: f64 = 1e8;
/// An operation is lent from so many FLOPs a byte of its operands on: a processor's rate over that of
/// a bus.
const LEAST_INTENSITY: f64 = 20.0;

/// Whether lending an operation takes less time than the processor.
pub(super) fn pays(flops: f64, bytes: f64) -> bool {
    flops >= LEAST_FLOPS && flops >= LEAST_INTENSITY * bytes
}
