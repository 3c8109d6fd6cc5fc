//! What the tests share: devices, matrices with gaps between their rows, and bounds.

use std::sync::Arc;

use relfisher::Scalar;
use relfisher::executor::cuda::{Buffer, Gpu, Matrix, MatrixMut, Precision};

use crate::random::Random;
use crate::tolerance::{Oracle, tolerance};

/// A device for one test, with streams and pools that no other test uses.
pub(crate) struct Lab {
    opened: Arc<Gpu>,
    /// In the device's own precision.
    pub(crate) gpu: Arc<Gpu>,
    /// Whether there is time for large shapes.
    pub(crate) large: bool,
}

/// The precisions of f32 and their tolerances.
const PRECISIONS: [(Precision, &str); 4] = [
    (Precision::F32, "gpu product"),
    (Precision::Tf32x3, "gpu product"),
    (Precision::Tf32, "gpu tf32"),
    (Precision::Bf16, "gpu bf16"),
];

impl Lab {
    pub(crate) fn new(opened: &Arc<Gpu>, large: bool) -> Self {
        let gpu = opened.with_precision(opened.precision()).expect("its own precision");
        Self { opened: Arc::clone(opened), gpu, large }
    }

    /// Another one on the same device.
    pub(crate) fn beside(&self) -> Arc<Gpu> {
        self.opened.with_precision(self.opened.precision()).expect("its own precision")
    }

    /// Does `check` in every precision that T and the device know.
    pub(crate) fn in_every_precision<T: Scalar>(&self, check: impl Fn(&Arc<Gpu>, &str)) {
        if size_of::<T>() == 8 {
            return check(&self.gpu, "gpu product");
        }
        for (precision, routine) in PRECISIONS {
            match self.opened.with_precision(precision) {
                Ok(gpu) => check(&gpu, routine),
                // Only a device without tensor cores has fewer.
                Err(e) => assert!(self.opened.precision() == Precision::F32, "{precision:?}: {e}"),
            }
        }
    }

    /// The small shapes, and on a GPU the large ones too.
    pub(crate) fn shapes<S: Copy>(&self, small: &[S], large: &[S]) -> Vec<S> {
        let more = if self.large { large } else { &[] };
        [small, more].concat()
    }
}

/// A matrix of the host in f64, without gaps.
#[derive(Clone)]
pub(crate) struct Dense {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) values: Vec<f64>,
}

impl Dense {
    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.cols..(i + 1) * self.cols]
    }

    pub(crate) fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.cols + j]
    }

    pub(crate) fn transposed(&self) -> Self {
        let (rows, cols) = (self.cols, self.rows);
        let values = (0..rows * cols).map(|at| self.at(at % cols, at / cols)).collect();
        Self { rows, cols, values }
    }

    /// The largest Euclidean norm of a row.
    pub(crate) fn norm(&self) -> f64 {
        (0..self.rows).map(|i| dot(self.row(i), self.row(i)).sqrt()).fold(0.0, f64::max)
    }

    /// The largest magnitude.
    pub(crate) fn magnitude(&self) -> f64 {
        self.values.iter().fold(0.0, |most: f64, x| most.max(x.abs()))
    }
}

pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

/// A matrix of T with gaps of NaN between its rows, on the host and on the device.
pub(crate) struct Rows<T> {
    pub(crate) dense: Dense,
    stride: usize,
    pub(crate) buffer: Buffer<T>,
}

impl<T: Scalar> Rows<T> {
    /// Numbers of `dense`, rounded to T, with `gap` values between rows.
    pub(crate) fn new(gpu: &Arc<Gpu>, mut dense: Dense, gap: usize) -> Self {
        let stride = dense.cols + gap;
        let mut values = vec![T::NAN; dense.rows * stride];
        for (i, row) in values.chunks_mut(stride.max(1)).enumerate() {
            for (j, x) in row.iter_mut().take(dense.cols).enumerate() {
                *x = T::from_f64(dense.at(i, j));
                dense.values[i * dense.cols + j] = x.to_f64();
            }
        }
        let buffer = Buffer::from_slice(gpu, &values).expect("memory");
        Self { dense, stride, buffer }
    }

    /// Standard normal numbers.
    pub(crate) fn normal(
        gpu: &Arc<Gpu>,
        random: &mut Random,
        (rows, cols): (usize, usize),
        gap: usize,
    ) -> Self {
        Self::new(gpu, Dense { rows, cols, values: random.normals(rows * cols) }, gap)
    }

    /// NaN everywhere.
    pub(crate) fn unwritten(gpu: &Arc<Gpu>, (rows, cols): (usize, usize), gap: usize) -> Self {
        Self::new(gpu, Dense { rows, cols, values: vec![f64::NAN; rows * cols] }, gap)
    }

    pub(crate) fn matrix(&self) -> Matrix<'_, T> {
        let Dense { rows, cols, .. } = self.dense;
        Matrix::strided(self.buffer.view(), rows, cols, self.stride).expect("rows with gaps")
    }

    pub(crate) fn matrix_mut(&mut self) -> MatrixMut<'_, T> {
        let Dense { rows, cols, .. } = self.dense;
        MatrixMut::strided(self.buffer.view_mut(), rows, cols, self.stride).expect("rows with gaps")
    }

    /// What the device has now; the gaps must be untouched.
    pub(crate) fn read(&self, what: &str) -> Vec<T> {
        let mut values = Vec::with_capacity(self.dense.rows * self.dense.cols);
        for row in self.buffer.to_vec().expect("a copy").chunks(self.stride.max(1)) {
            let (inside, gap) = row.split_at(self.dense.cols);
            assert!(gap.iter().all(|x| x.to_f64().is_nan()), "{what}: wrote between the rows");
            values.extend_from_slice(inside);
        }
        values
    }
}

/// `len` values of NaN on the device.
pub(crate) fn unwritten<T: Scalar>(gpu: &Arc<Gpu>, len: usize) -> Buffer<T> {
    Buffer::from_slice(gpu, &vec![T::NAN; len]).expect("memory")
}

/// A copy of the host's values on the device.
pub(crate) fn upload<T: relfisher_kernels::Word>(gpu: &Arc<Gpu>, values: &[T]) -> Buffer<T> {
    Buffer::from_slice(gpu, values).expect("memory")
}

/// Asserts `|got − want| ≤ bound · scale` element by element, where the bound is that of `routine` for
/// a sum of `n` terms.
#[track_caller]
pub(crate) fn assert_within<T: Scalar>(
    what: &str,
    got: impl IntoIterator<Item = (T, f64)>,
    scale: f64,
    (routine, oracle, n): (&str, Oracle, usize),
) {
    let bound = tolerance::<T>(routine, oracle, n) * scale;
    for (i, (got, want)) in got.into_iter().enumerate() {
        let error = (got.to_f64() - want).abs();
        // Not a number fails too.
        assert!(
            error <= bound,
            "{what} ({}): value {i} is {got}, not {want}: off by {error:.3e}, bound {bound:.3e} ({routine})",
            T::NAME
        );
    }
}
