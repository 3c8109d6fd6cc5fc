//! The block route: build, factor, apply, apart, so that a step rule refreshes the factors every T
//! steps and applies them at each.
//!
//! Non-linear layer: m packed blocks of d̃(d̃+1)/2 elements in the rows of one matrix. Soft-max layer:
//! one dense (C·d̃)² matrix of which the lower triangle is used.
//!
//! ```
//! use relfisher_core::metric::layer::NonlinearMetric;
//! use relfisher_core::metric::route::block;
//! use relfisher_core::{MatMut, MatRef, Portable, blas, factor};
//! let (x, nu) = ([2.0, 1.0], [0.5]);
//! let metric = NonlinearMetric::new(MatRef::new(&x, 1, 2)?, MatRef::new(&nu, 1, 1)?)?;
//! let mut blocks = [f64::NAN; 3];
//! let mut work = [f64::NAN; blas::packed_grams_workspace_len(1, 1, 2)];
//! block::build(&Portable, MatMut::new(&mut blocks, 1, 3)?, &metric, 0.0, &mut work)?;
//! assert_eq!(blocks, [2.0, 1.0, 0.5]);
//!
//! let (mut factors, mut inverses) = (blocks, blocks);
//! let (mut step, mut product) = ([4.0, 2.0], [f64::NAN; 2]); // 2 x̃, an eigenvector
//! block::factor(&Portable, MatMut::new(&mut factors, 1, 3)?, 2, 0.5)?;
//! let mut work = [f64::NAN; factor::packed_inverse_workspace_len(2)];
//! block::invert(&Portable, MatMut::new(&mut inverses, 1, 3)?, 2, 0.5, &mut work)?;
//! let g = MatRef::new(&[4.0, 2.0], 1, 2)?;
//! block::apply_inverse(&Portable, MatMut::new(&mut product, 1, 2)?, MatRef::new(&inverses, 1, 3)?, g)?;
//! block::apply(&Portable, MatMut::new(&mut step, 1, 2)?, MatRef::new(&factors, 1, 3)?)?;
//! assert!((step[0] - 4.0 / 3.0).abs() < 1e-14 && (product[1] - 2.0 / 3.0).abs() < 1e-14);
//! # Ok::<(), relfisher_core::Error>(())
//! ```

use super::super::layer::{LayerMetric, NonlinearMetric, SoftmaxMetric};
use super::super::support::{check_damping, check_factor, check_keep, check_pivot, packed_len};
use crate::error::check_len;
use crate::{Backend, Error, MatMut, MatRef, Real};

/// `blocks ← keep·blocks + (1 − keep) Ḡ`, packed, m × d̃(d̃+1)/2; `keep` = 0 never reads.
/// `work` as [`crate::blas::packed_grams_workspace_len`] of (n, m, d̃).
///
/// # Errors
/// Shape, layout, workspace, [`Error::NonFinite`] naming the argument, a negative ν.
pub fn build<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    blocks: MatMut<'_, T>,
    metric: &NonlinearMetric<'_, T>,
    keep: T,
    work: &mut [T],
) -> Result<(), Error> {
    check_keep(keep)?;
    check_len("block: rows of blocks", metric.outputs(), blocks.rows())?;
    check_len("block: columns of blocks", packed_len(metric.inputs()), blocks.cols())?;
    metric.check_inputs()?;
    metric.packed(backend, blocks, keep, work)
}

/// `block_i + λI = L_i L_iᵀ` in place.
///
/// # Errors
/// Shape, layout, [`Error::NotPositiveDefinite`] naming block and pivot: with λ = 0 also when a pivot
/// vanishes to working precision (pivot ≤ d̃·ε·diagonal).
pub fn factor<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    mut blocks: MatMut<'_, T>,
    d: usize,
    damping: T,
) -> Result<(), Error> {
    check_len("block: columns of blocks", packed_len(d), blocks.cols())?;
    check_damping(damping)?;
    backend.packed_cholesky(blocks.rb_mut(), d, damping)?;
    for i in 0..blocks.rows() {
        let mut rest = blocks.row(i);
        for a in 0..d {
            let singular = Error::NotPositiveDefinite { block: i, pivot: a };
            let (row, tail) = rest.split_at_checked(a.wrapping_add(1)).ok_or(singular)?;
            if !check_pivot(row, d, damping) {
                return Err(singular);
            }
            rest = tail;
        }
    }
    Ok(())
}

/// `v_i ← (L_i L_iᵀ)⁻¹ v_i` for every row of v (m × d̃) with the factors of [`factor`].
///
/// # Errors
/// Shape or layout.
pub fn apply<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    v: MatMut<'_, T>,
    factors: MatRef<'_, T>,
) -> Result<(), Error> {
    backend.packed_cholesky_solve(v, factors)
}

/// `block_i ← (block_i + λI)⁻¹` in place: three times the work of [`factor`], but [`apply_inverse`]
/// then reads each block once. `work` as [`crate::factor::packed_inverse_workspace_len`].
///
/// # Errors
/// As [`factor`]; a result that is not finite is [`Error::NotPositiveDefinite`].
pub fn invert<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    mut blocks: MatMut<'_, T>,
    d: usize,
    damping: T,
    work: &mut [T],
) -> Result<(), Error> {
    check_len("block: columns of blocks", packed_len(d), blocks.cols())?;
    check_damping(damping)?;
    backend.packed_inverse(blocks.rb_mut(), d, damping, work)?;
    for i in 0..blocks.rows() {
        let mut rest = blocks.row(i);
        for a in 0..d {
            let singular = Error::NotPositiveDefinite { block: i, pivot: a };
            let (row, tail) = rest.split_at_checked(a.wrapping_add(1)).ok_or(singular)?;
            match row.last() {
                Some(x) if x.is_finite() && *x > T::ZERO => {}
                _ => return Err(singular),
            }
            rest = tail;
        }
    }
    Ok(())
}

/// `out_i ← block_i⁻¹ v_i` with the inverses of [`invert`]. Shapes: out, v m × d̃.
///
/// # Errors
/// Shape or layout.
pub fn apply_inverse<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    out: MatMut<'_, T>,
    inverses: MatRef<'_, T>,
    v: MatRef<'_, T>,
) -> Result<(), Error> {
    backend.packed_symv(out, inverses, v)
}

/// Lower triangle of `matrix ← keep·matrix + (1 − keep) Ḡ`, (C·d̃)²; `keep` = 0 never reads.
/// `work` as [`super::super::layer::dense_workspace_len`] of (n, d̃).
///
/// # Errors
/// Shape, layout, workspace, [`Error::NonFinite`] naming the argument, a negative η.
/// ```
/// use relfisher_core::metric::layer::{SoftmaxMetric, dense_workspace_len};
/// use relfisher_core::metric::route::block;
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (x, eta) = ([1.0], [0.5, 0.5]);
/// let metric = SoftmaxMetric::new(MatRef::new(&x, 1, 1)?, MatRef::new(&eta, 1, 2)?)?;
/// let (mut matrix, mut work) = ([0.0; 4], [f64::NAN; dense_workspace_len(1, 1)]);
/// block::softmax_build(&Portable, MatMut::new(&mut matrix, 2, 2)?, &metric, 0.0, &mut work)?;
/// assert_eq!((matrix[0], matrix[2], matrix[3]), (0.25, -0.25, 0.25));
/// block::softmax_factor(&Portable, MatMut::new(&mut matrix, 2, 2)?, 0.5)?;
/// let mut v = [1.0, -1.0]; // an eigenvector, of ½ + λ
/// block::softmax_apply(&Portable, &mut v, MatRef::new(&matrix, 2, 2)?)?;
/// assert!((v[0] - 1.0).abs() < 1e-14 && (v[1] + 1.0).abs() < 1e-14);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn softmax_build<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    matrix: MatMut<'_, T>,
    metric: &SoftmaxMetric<'_, T>,
    keep: T,
    work: &mut [T],
) -> Result<(), Error> {
    check_keep(keep)?;
    metric.check_inputs()?;
    metric.accumulate_dense(backend, matrix, keep, work)
}

/// `matrix + λI = L Lᵀ` in place.
///
/// # Errors
/// Shape, layout, [`Error::NotPositiveDefinite`] (always when λ = 0).
pub fn softmax_factor<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    mut matrix: MatMut<'_, T>,
    damping: T,
) -> Result<(), Error> {
    check_damping(damping)?;
    backend.cholesky(matrix.rb_mut(), damping)?;
    check_factor(matrix.rb(), damping)
}

/// `v ← (L Lᵀ)⁻¹ v` with the factor of [`softmax_factor`]; v holds C·d̃ elements, row-major vec.
///
/// # Errors
/// Shape or layout.
pub fn softmax_apply<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    v: &mut [T],
    factor: MatRef<'_, T>,
) -> Result<(), Error> {
    let len = v.len();
    backend.cholesky_solve(MatMut::new(v, len, 1)?, factor)
}
