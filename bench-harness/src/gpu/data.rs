//! Inputs: random numbers on the host and on the device.

use std::sync::Arc;

use relfisher::Scalar;
use relfisher::executor::cuda::{Buffer, Error, Gpu, Matrix, MatrixMut};

use crate::Random;

/// Values of a block of random numbers that longer arrays repeat: a prime, so that rows differ.
const PERIOD: usize = 4_194_301;

/// An array on the device with random numbers in −1..1 that repeat with a long period.
pub(super) struct Noise<T> {
    /// The values on the device.
    pub(super) buffer: Buffer<T>,
    block: Vec<T>,
}

impl<T: Scalar> Noise<T> {
    /// `len` values.
    pub(super) fn new(gpu: &Arc<Gpu>, seed: u64, len: usize) -> Result<Self, Error> {
        Self::within(gpu, seed, len, (-1.0, 1.0))
    }

    /// `len` values in [low, high).
    pub(super) fn within(
        gpu: &Arc<Gpu>,
        seed: u64,
        len: usize,
        (low, high): (f64, f64),
    ) -> Result<Self, Error> {
        let mut random = Random::new(seed);
        let block: Vec<T> =
            (0..len.min(PERIOD)).map(|_| T::from_f64(low + (high - low) * random.unit())).collect();
        let mut buffer = Buffer::<T>::new(gpu, len)?;
        buffer.view_mut().upload(&block)?;
        let mut written = block.len();
        while written < len {
            // Whole periods only, so that the numbers go on as they began.
            let (from, to) = buffer.view_mut().split(written);
            to.copy_from(from.read())?;
            written *= 2;
        }
        Ok(Self { buffer, block })
    }

    /// Value number `at`.
    pub(super) fn at(&self, at: usize) -> f64 {
        self.block[at % self.block.len()].to_f64()
    }

    /// The values as rows.
    pub(super) fn rows(&self, rows: usize, cols: usize) -> Result<Matrix<'_, T>, Error> {
        Ok(Matrix::new(self.buffer.view(), rows, cols)?)
    }
}

/// A buffer as rows for writing.
pub(super) fn rows_mut<T: Scalar>(
    buffer: &mut Buffer<T>,
    rows: usize,
    cols: usize,
) -> Result<MatrixMut<'_, T>, Error> {
    Ok(MatrixMut::new(buffer.view_mut(), rows, cols)?)
}

/// The largest error of `samples` values of an array of `len`, chosen at random, and the largest wanted
/// value.
pub(super) fn sampled<T: Scalar>(
    buffer: &Buffer<T>,
    samples: usize,
    want: impl Fn(usize) -> f64,
) -> Result<(f64, f64), Error> {
    let mut random = Random::new(1);
    let (mut worst, mut largest) = (0.0f64, 0.0f64);
    for k in 0..samples {
        let last = buffer.len().saturating_sub(1);
        // Both ends, and in between.
        let at = match k {
            0 => 0,
            1 => last,
            _ => (random.unit() * buffer.len() as f64) as usize,
        };
        let mut value = [T::ZERO];
        buffer.view().slice(at..at + 1).download(&mut value)?;
        let want = want(at.min(last));
        let error = (value[0].to_f64() - want).abs();
        worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
        largest = largest.max(want.abs());
    }
    Ok((worst, largest))
}
