//! The dense baseline: the same quantities by `faer` as its user would compute them, with its own
//! threads, on matrices that are formed whole.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::{cholesky::llt, evd, matmul};
use faer::{Accum, MatMut, MatRef, Par, Spec};
use relfisher::Scalar;

/// `faer`'s parallelism with so many threads.
#[must_use]
pub fn par(threads: usize) -> Par {
    if threads > 1 { Par::rayon(threads) } else { Par::Seq }
}

/// A column-major square by its slice.
pub fn square<T: Scalar>(a: &mut [T], d: usize) -> MatMut<'_, T> {
    MatMut::from_column_major_slice_mut(a, d, d)
}

/// `c ← a b`, all square of an order, column-major.
pub fn product<T: Scalar>(c: &mut [T], a: &[T], b: &[T], order: usize, par: Par) {
    let a = MatRef::from_column_major_slice(a, order, order);
    let b = MatRef::from_column_major_slice(b, order, order);
    matmul::matmul(square(c, order), Accum::Replace, a, b, T::ONE, par);
}

/// The lower triangle of `c ← α xᵀx`, x (n × d) row-major, c column-major.
pub fn gram<T: Scalar>(c: &mut [T], x: &[T], (n, d): (usize, usize), alpha: T, par: Par) {
    let x = MatRef::from_row_major_slice(x, n, d);
    triangular::matmul(
        square(c, d),
        BlockStructure::TriangularLower,
        Accum::Replace,
        x.transpose(),
        BlockStructure::Rectangular,
        x,
        BlockStructure::Rectangular,
        alpha,
        par,
    );
}

/// What is done with a positive definite matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// [`cholesky`], and [`solve`] of one column.
    Solved,
    /// Its inverse.
    Inverted,
}

/// The bytes of scratch that `faer` asks for to factor a matrix and what is done then.
#[must_use]
pub fn scratch_bytes<T: Scalar>(d: usize, done: Done, par: Par) -> u64 {
    let factor = llt::factor::cholesky_in_place_scratch::<T>(d, par, Spec::default());
    let then = match done {
        Done::Solved => llt::solve::solve_in_place_scratch::<T>(d, 1, par),
        Done::Inverted => llt::inverse::inverse_scratch::<T>(d, par),
    };
    factor.or(then).unaligned_bytes_required() as u64
}

/// The bytes of scratch that `faer` asks for to find eigenvectors.
#[must_use]
pub fn eigen_scratch_bytes<T: Scalar>(d: usize, par: Par) -> u64 {
    let vectors = evd::ComputeEigenvectors::Yes;
    let needs = evd::self_adjoint_evd_scratch::<T>(d, vectors, par, Spec::default());
    needs.unaligned_bytes_required() as u64
}

/// Scratch of [`cholesky`] and [`solve`] of an order.
#[must_use]
pub fn scratch<T: Scalar>(d: usize, columns: usize, par: Par) -> MemBuffer {
    let factor = llt::factor::cholesky_in_place_scratch::<T>(d, par, Spec::default());
    MemBuffer::new(factor.or(llt::solve::solve_in_place_scratch::<T>(d, columns, par)))
}

/// `a ← L` in the lower triangle, column-major.
///
/// # Panics
/// When it is not positive definite.
pub fn cholesky<T: Scalar>(a: &mut [T], d: usize, scratch: &mut MemBuffer, par: Par) {
    let plain = llt::factor::LltRegularization::default();
    let stack = MemStack::new(scratch);
    llt::factor::cholesky_in_place(square(a, d), plain, par, stack, Spec::default())
        .expect("positive definite");
}

/// `b ← A⁻¹ b` with the factor of [`cholesky`], b (d × columns) column-major.
pub fn solve<T: Scalar>(b: &mut [T], l: &[T], d: usize, scratch: &mut MemBuffer, par: Par) {
    let columns = b.len() / d.max(1);
    let b = MatMut::from_column_major_slice_mut(b, d, columns);
    let l = MatRef::from_column_major_slice(l, d, d);
    llt::solve::solve_in_place(l, b, par, MemStack::new(scratch));
}

/// Scratch of [`eigen`].
#[must_use]
pub fn eigen_scratch<T: Scalar>(d: usize, par: Par) -> MemBuffer {
    let vectors = evd::ComputeEigenvectors::Yes;
    MemBuffer::new(evd::self_adjoint_evd_scratch::<T>(d, vectors, par, Spec::default()))
}

/// Eigenvalues and eigenvectors of the lower triangle of `a`, all column-major.
///
/// # Panics
/// When the iteration does not converge.
pub fn eigen<T: Scalar>(
    (values, vectors): (&mut [T], &mut [T]),
    a: &[T],
    scratch: &mut MemBuffer,
    par: Par,
) {
    let d = values.len();
    evd::self_adjoint_evd(
        MatRef::from_column_major_slice(a, d, d),
        faer::ColMut::from_slice_mut(values).as_diagonal_mut(),
        Some(square(vectors, d)),
        par,
        MemStack::new(scratch),
        Spec::default(),
    )
    .expect("converges");
}

/// Adds λ to the diagonal of a column-major square.
pub fn damp<T: Scalar>(a: &mut [T], d: usize, damping: T) {
    a.iter_mut().step_by(d + 1).for_each(|x| *x += damping);
}
