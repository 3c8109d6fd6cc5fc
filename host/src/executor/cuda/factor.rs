//! Batches of symmetric matrices: Cholesky factors, solves, eigendecompositions, the systems of the
//! sample space.
//!
//! A matrix that cannot be factored spoils no other: its flag tells its pivot, counted from 1.

use std::sync::Arc;

use relfisher_core::Error as CoreError;
use relfisher_kernels::body::{cholesky, jacobi, sample};
use relfisher_kernels::contract::{Batch, RightSides, Samples};

use super::memory::Buffer;
use super::product::{names, plain};
use super::{Error, Gpu, MatrixMut, View, ViewMut};
use crate::Scalar;

/// Symmetric matrices of one order, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Squares {
    /// How many.
    pub count: usize,
    /// The order of each.
    pub order: usize,
    /// How each is stored.
    pub form: SquareForm,
}

/// How a symmetric matrix is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SquareForm {
    /// Row by row, both triangles.
    Full,
    /// The lower triangle, row by row.
    Packed,
}

impl Squares {
    /// One matrix, both triangles.
    pub fn one(order: usize) -> Self {
        Self { count: 1, order, form: SquareForm::Full }
    }

    /// Values of one matrix.
    pub fn distance(&self) -> usize {
        match self.form {
            SquareForm::Full => self.order * self.order,
            SquareForm::Packed => self.order * (self.order + 1) / 2,
        }
    }

    fn batch<T: Scalar>(&self, values: usize, damping: T) -> Result<Batch<T>, CoreError> {
        let expected = self.count.saturating_mul(self.distance());
        if expected != values {
            let what = "values of a batch of matrices";
            return Err(CoreError::Shape { what, expected, found: values });
        }
        // Kernels index inside a matrix with 32 bits.
        let Ok(order @ 0..=65_535) = u32::try_from(self.order) else {
            let what = "order of a matrix on the device";
            return Err(CoreError::Shape { what, expected: 65_535, found: self.order });
        };
        let row = match self.form {
            SquareForm::Full => order,
            SquareForm::Packed => 0,
        };
        Ok(Batch { distance: self.distance() as u64, order, row, damping })
    }

    /// Whether products of the whole device beat a block for each matrix. By estimate, not measured:
    /// products take 8 launches of 4 µs for 64 columns, n/2 µs a matrix; a block does n³/3 FLOPs at
    /// 20 a ns, n³/60,000 µs, for as many matrices at once as there are multiprocessors.
    fn by_products(&self) -> bool {
        let full = self.form == SquareForm::Full;
        full && self.order > SMALLEST_BY_PRODUCTS && self.count <= self.order * self.order / 30_000
    }

    fn blocks(&self) -> u32 {
        // A batch of 2³² matrices does not fit into any memory.
        u32::try_from(self.count).unwrap_or(u32::MAX)
    }
}

/// Up to this order one matrix is factored by one block, and inverted by solves: a handful of leaves
/// is no work for a device.
pub const SMALLEST_BY_PRODUCTS: usize = 256;
/// The largest order of [`Gpu::eigh`].
pub const LARGEST_EIGH: usize = jacobi::LARGEST as usize;
/// The largest order of [`Gpu::cholesky_solve`].
pub const LARGEST_SOLVE: usize = cholesky::LARGEST as usize;
/// The most samples of [`Gpu::sample_solve`].
pub const MOST_SAMPLES: usize = sample::MOST as usize;

impl Gpu {
    /// `A_b + λI = L_b L_bᵀ` in place for every matrix; reads the lower triangles (of large matrices
    /// both, but the upper ones to no effect). The flags are 0, or the pivot counted from 1 of a matrix
    /// that was refused.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn cholesky<T: Scalar>(
        self: &Arc<Self>,
        a: ViewMut<'_, T>,
        flags: ViewMut<'_, u32>,
        squares: Squares,
        damping: T,
    ) -> Result<(), Error> {
        let batch = squares.batch(a.len(), damping)?;
        matches(flags.len(), squares)?;
        if squares.by_products() {
            let (mut a, mut flags) = (a, flags);
            let (n, distance) = (squares.order, squares.distance());
            for b in 0..squares.count {
                let one = a.again().slice(b * distance..(b + 1) * distance);
                let flag = flags.again().slice(b..b + 1);
                self.cholesky_by_products(MatrixMut::new(one, n, n)?, flag, damping)?;
            }
            return Ok(());
        }
        let bytes = size_of::<T>() as u32;
        let (name, shared) = if batch.order <= cholesky::SMALL {
            (names!("cholesky_small"), cholesky::small_bytes(batch.order, bytes))
        } else {
            (names!("cholesky_large"), cholesky::large_bytes(bytes))
        };
        let launch = self.kernel(plain::<T>(name))?.shared(shared).write(&a).write(&flags);
        // SAFETY: the lengths are those of the batch.
        unsafe { launch.value(&batch).over([squares.blocks(), 1, 1]) }
    }

    /// `mean[b] ← tr A_b / n` for every matrix.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn mean_diagonal<T: Scalar>(
        &self,
        mean: ViewMut<'_, T>,
        a: View<'_, T>,
        squares: Squares,
    ) -> Result<(), Error> {
        let batch = squares.batch(a.len(), T::ZERO)?;
        matches(mean.len(), squares)?;
        let launch = self.kernel(plain::<T>(names!("mean_diagonal")))?.write(&mean).read(a);
        // SAFETY: the lengths are those of the batch.
        unsafe { launch.value(&batch).over([squares.blocks(), 1, 1]) }
    }

    /// `A_b ← A_b + damping[b] I` for every matrix.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn add_diagonal<T: Scalar>(
        &self,
        a: ViewMut<'_, T>,
        damping: View<'_, T>,
        squares: Squares,
    ) -> Result<(), Error> {
        let batch = squares.batch(a.len(), T::ZERO)?;
        matches(damping.len(), squares)?;
        let launch = self.kernel(plain::<T>(names!("add_diagonal")))?.write(&a).read(damping);
        // SAFETY: the lengths are those of the batch.
        unsafe { launch.value(&batch).over([squares.blocks(), 1, 1]) }
    }

    /// `x ← (L_b L_bᵀ)⁻¹ x` for right sides x: `sides` tells where those of a matrix stand, `count` how many
    /// there are for each.
    ///
    /// # Errors
    /// Shape, an order above [`LARGEST_SOLVE`]; failed calls.
    pub fn cholesky_solve<T: Scalar>(
        &self,
        x: ViewMut<'_, T>,
        (sides, count): (RightSides, usize),
        l: View<'_, T>,
        squares: Squares,
    ) -> Result<(), Error> {
        let batch = squares.batch(l.len(), T::ZERO)?;
        if squares.order > LARGEST_SOLVE {
            let what = "order of a triangular solve on the device";
            let (expected, found) = (LARGEST_SOLVE, squares.order);
            return Err(CoreError::Shape { what, expected, found }.into());
        }
        let last = |n: usize, distance: u64| (n.saturating_sub(1) as u64).saturating_mul(distance);
        let end = last(squares.count, sides.distance)
            .saturating_add(last(count, u64::from(sides.side)))
            .saturating_add(last(squares.order, u64::from(sides.element)));
        let empty = squares.count == 0 || count == 0 || squares.order == 0;
        if !empty && end >= x.len() as u64 {
            let (what, expected) = ("cholesky_solve: right sides", end as usize + 1);
            return Err(CoreError::Shape { what, expected, found: x.len() }.into());
        }
        let sides_in_grid = u32::try_from(count).ok().filter(|count| *count <= MOST_GRID_Y);
        let Some(count) = sides_in_grid else {
            let what = "cholesky_solve: right sides of a matrix";
            let (expected, found) = (MOST_GRID_Y as usize, count);
            return Err(CoreError::Shape { what, expected, found }.into());
        };
        let shared = cholesky::solve_bytes(batch.order, size_of::<T>() as u32);
        let launch = self.kernel(plain::<T>(names!("cholesky_solve")))?.shared(shared);
        let launch = launch.write(&x).read(l).value(&batch).value(&sides);
        // SAFETY: the lengths are those of the batch, the last element of the last side lies in x.
        unsafe { launch.over([squares.blocks(), count, 1]) }
    }

    /// `A_b = U_b diag(values_b) U_bᵀ` for every matrix (full form, of which the
    /// lower triangle is read), eigenvectors in columns, eigenvalues
    /// ascending. The flags are 0, or not for a matrix that did not converge.
    ///
    /// # Errors
    /// Shape, an order above [`LARGEST_EIGH`]; failed calls.
    pub fn eigh<T: Scalar>(
        self: &Arc<Self>,
        a: ViewMut<'_, T>,
        values: ViewMut<'_, T>,
        flags: ViewMut<'_, u32>,
        squares: Squares,
    ) -> Result<(), Error> {
        let batch = squares.batch(a.len(), T::ZERO)?;
        matches(flags.len(), squares)?;
        let (expected, found) = (squares.count * squares.order, values.len());
        if expected != found {
            return Err(CoreError::Shape { what: "eigh: eigenvalues", expected, found }.into());
        }
        if squares.form == SquareForm::Packed || squares.order > LARGEST_EIGH {
            return Err(CoreError::Layout { what: "eigh on the device" }.into());
        }
        let bytes = size_of::<T>() as u32;
        let small = self.kernel(plain::<T>(names!("jacobi_small")))?;
        let shared = jacobi::small_bytes(batch.order, bytes);
        if batch.order <= jacobi::SMALL && shared <= small.most_shared() {
            let launch = small.shared(shared).write(&a).write(&values).write(&flags);
            // SAFETY: the lengths are those of the batch.
            return unsafe { launch.value(&batch).over([squares.blocks(), 1, 1]) };
        }
        let mut work = Buffer::<T>::new(self, squares.count * 2 * squares.distance())?;
        let work = work.view_mut();
        let launch = self.kernel(plain::<T>(names!("jacobi_large")))?;
        let launch = launch.shared(jacobi::large_bytes(batch.order, bytes));
        let launch = launch.write(&a).write(&values).write(&flags).write(&work).value(&batch);
        // SAFETY: the lengths are those of the batch, the work twice as long as the matrices.
        unsafe { launch.over([squares.blocks(), 1, 1]) }
    }

    /// Column i of `z ← S_i (λ'I + S_i K S_i)⁻¹ S_i z` for every neuron i, S_i = diag √ν[:, i]. Shapes: z, ν
    /// n×m, K n×n, flags m.
    ///
    /// # Errors
    /// Shape, more than [`MOST_SAMPLES`] samples; failed calls.
    pub fn sample_solve<T: Scalar>(
        &self,
        z: ViewMut<'_, T>,
        flags: ViewMut<'_, u32>,
        (k, n): (View<'_, T>, usize),
        nu: View<'_, T>,
        damping: T,
    ) -> Result<(), Error> {
        let m = flags.len();
        let lengths = [(n * m, z.len()), (n * n, k.len()), (n * m, nu.len())];
        if let Some(&(expected, found)) = lengths.iter().find(|(want, found)| want != found) {
            return Err(CoreError::Shape { what: "sample_solve", expected, found }.into());
        }
        let (Ok(samples), Ok(neurons)) = (u32::try_from(n), u32::try_from(m)) else {
            return Err(CoreError::Layout { what: "sample_solve" }.into());
        };
        if samples > sample::MOST {
            let what = "sample_solve: samples";
            return Err(CoreError::Shape { what, expected: MOST_SAMPLES, found: n }.into());
        }
        let shared = sample::shared_bytes(samples, size_of::<T>() as u32);
        let launch = self.kernel(plain::<T>(names!("sample_solve")))?.shared(shared);
        let launch = launch.write(&z).write(&flags).read(k).read(nu);
        // SAFETY: the lengths are those of n samples and m neurons.
        unsafe { launch.value(&Samples { samples, neurons, damping }).over([neurons, 1, 1]) }
    }
}

/// The most blocks along y.
const MOST_GRID_Y: u32 = 65_535;

/// An error unless there is a value for each matrix.
fn matches(found: usize, squares: Squares) -> Result<(), CoreError> {
    if found == squares.count {
        return Ok(());
    }
    let (what, expected) = ("values, one for each matrix", squares.count);
    Err(CoreError::Shape { what, expected, found })
}
