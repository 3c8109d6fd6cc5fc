//! The Cholesky factorisation of a batch of matrices.

use super::batched::{Batch, Layout};
use super::interleave::{Elements, Transpose};
use super::lanes::{reciprocals, splat};
use super::triangle::{InPlace, Refusal, factor, panels_len, row_range};
use super::{INTERLEAVED_ORDER, LANES, group_len};
use crate::error::{check_len, take_work};
use crate::factor::cholesky::check_damping;
use crate::factor::panel;
use crate::factor::rows::{Packed, Strided, first_non_finite};
use crate::kron::packed_len;
use crate::{Error, MatMut, Real};

impl<T: Real, R: Layout> Batch<'_, T, R> {
    /// All matrices, L at a time.
    #[inline(always)]
    fn interleaved<M: Transpose<T>, const L: usize>(
        &mut self,
        damping: T,
        work: &mut [T],
    ) -> Result<(), Error> {
        let n = self.n;
        let (work, _) = work.as_chunks_mut::<L>();
        let Some(l) = work.get_mut(..panels_len(n)) else {
            return Err(Error::Layout { what: "matrices of a batch: work" });
        };
        // the padding of the last panel
        for i in n..n.next_multiple_of(4) {
            l.get_mut(row_range(i)).unwrap_or(&mut []).fill(splat(T::ZERO));
        }
        for first in (0..self.count).step_by(L) {
            self.load::<M, L>(l, first);
            factor(l, &InPlace, &splat(damping), n).map_err(|Refusal { lane, pivot }| {
                self.refusal(first.wrapping_add(lane).min(self.count.wrapping_sub(1)), pivot)
            })?;
            for i in 0..n {
                let row = l.get_mut(row_range(i)).unwrap_or(&mut []);
                if let Some(x) = row.get_mut(i) {
                    *x = reciprocals(x);
                }
            }
            self.store::<M, L>(l, first);
        }
        Ok(())
    }

    /// All matrices, one after the other.
    #[inline(always)]
    fn one_by_one(&mut self, damping: T) -> Result<(), Error> {
        for i in 0..self.count {
            if first_non_finite(self.tail(i), self.n, self.layout).is_some() {
                return Err(self.refusal(i, 0));
            }
            let (n, layout) = (self.n, self.layout);
            panel::factor(self.tail_mut(i), n, layout, damping)
                .map_err(|pivot| Error::NotPositiveDefinite { block: i, pivot })?;
        }
        Ok(())
    }

    #[inline(always)]
    fn factor<M: Transpose<T>>(&mut self, damping: T, work: &mut [T]) -> Result<(), Error> {
        if self.n > INTERLEAVED_ORDER {
            return self.one_by_one(damping);
        }
        // vectors that straddle cache lines cost twice
        let skip = work.as_ptr().align_offset(64).min(LANES);
        let work = work.get_mut(skip..).unwrap_or(&mut []);
        if group_len::<T>() < LANES {
            self.interleaved::<M, 8>(damping, work)
        } else {
            self.interleaved::<M, LANES>(damping, work)
        }
    }
}

/// `A_i + λI = L_i L_iᵀ` in place for every matrix of a batch: row i of `matrices` (m × n²) is
/// A_i, row-major with contiguous rows.
///
/// Reads the lower triangles and writes L_i there; the strict upper triangles are neither read nor
/// written, as by LAPACK's `potrf`. m·n³/3 FLOPs, [`LANES`] matrices (of 8-byte scalars half as many)
/// at a time in vector lanes up to the order [`INTERLEAVED_ORDER`], above it one by one. The
/// groups are counted from the first matrix, so that a host which divides the batch between groups
/// ([`group_len`]) gets the same bits. `work`: [`cholesky_batch_workspace_len`], may hold NaN.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`], [`Error::Parameter`] for a negative
/// damping; for the first matrix that is refused [`Error::NonFinite`], whose index divided by n² is
/// the matrix, or [`Error::NotPositiveDefinite`] with matrix and pivot.
///
/// ```
/// use relfisher_core::{Error, MatMut, factor};
/// let mut matrices = [4.0_f64, 0.0, 2.0, 5.0, 9.0, 0.0, 3.0, 2.0];
/// let mut work = [0.0; factor::cholesky_batch_workspace_len(2)];
/// factor::cholesky_batch(MatMut::new(&mut matrices, 2, 4)?, 2, 0.0, &mut work)?;
/// let expected = [2.0, 0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 1.0];
/// assert!(matrices.iter().zip(expected).all(|(l, e)| (l - e).abs() < 1e-14));
/// let mut singular = [1.0_f64, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0];
/// let refused = factor::cholesky_batch(MatMut::new(&mut singular, 2, 4)?, 2, 0.0, &mut work);
/// assert_eq!(refused, Err(Error::NotPositiveDefinite { block: 1, pivot: 1 }));
/// # Ok::<(), Error>(())
/// ```
#[inline(always)]
pub fn cholesky_batch<T: Real>(
    matrices: MatMut<'_, T>,
    n: usize,
    damping: T,
    work: &mut [T],
) -> Result<(), Error> {
    cholesky_batch_by::<T, Elements>(matrices, n, damping, work)
}

/// [`cholesky_batch`] with a machine's own transposition of squares; the bits are the same.
///
/// # Errors
/// As [`cholesky_batch`].
///
/// ```
/// use relfisher_core::MatMut;
/// use relfisher_core::factor::batch::{self, Transpose};
/// // a machine's own way; here with indices, elsewhere with shuffles
/// struct Shuffles;
/// impl Transpose<f64> for Shuffles {
///     fn transpose(rows: [[f64; 4]; 4]) -> [[f64; 4]; 4] {
///         std::array::from_fn(|r| std::array::from_fn(|c| rows[c][r]))
///     }
/// }
/// let mut matrices = [4.0_f64, 0.0, 2.0, 5.0, 9.0, 0.0, 3.0, 2.0];
/// let (mut same, mut work) = (matrices, [0.0; batch::cholesky_batch_workspace_len(2)]);
/// batch::cholesky_batch(MatMut::new(&mut matrices, 2, 4)?, 2, 0.5, &mut work)?;
/// let rows = MatMut::new(&mut same, 2, 4)?;
/// batch::cholesky_batch_by::<_, Shuffles>(rows, 2, 0.5, &mut work)?;
/// assert_eq!(same.map(f64::to_bits), matrices.map(f64::to_bits));
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn cholesky_batch_by<T: Real, M: Transpose<T>>(
    mut matrices: MatMut<'_, T>,
    n: usize,
    damping: T,
    work: &mut [T],
) -> Result<(), Error> {
    check_len("cholesky_batch: columns", n.saturating_mul(n), matrices.cols())?;
    if !matrices.rows_contiguous() {
        return Err(Error::Layout { what: "cholesky_batch: contiguous matrices needed" });
    }
    check_damping(damping)?;
    let work = take_work(work, cholesky_batch_workspace_len(n))?;
    Batch::new(&mut matrices, n, Strided(n)).factor::<M>(damping, work)
}

/// [`cholesky_batch`] of packed lower triangles: row i of `blocks` (m × d(d+1)/2, contiguous rows)
/// is one, as in [`packed_cholesky`](crate::factor::packed_cholesky).
///
/// # Errors
/// As [`cholesky_batch`]; the index of [`Error::NonFinite`] counts packed elements.
///
/// ```
/// use relfisher_core::{MatMut, factor};
/// let mut blocks = [3.0_f64, 2.0, 4.0, 0.0, 0.0, 3.0];
/// let mut work = [0.0; factor::cholesky_batch_workspace_len(2)];
/// factor::packed_cholesky_batch(MatMut::new(&mut blocks, 2, 3)?, 2, 1.0, &mut work)?;
/// let expected = [2.0, 1.0, 2.0, 1.0, 0.0, 2.0];
/// assert!(blocks.iter().zip(expected).all(|(l, e)| (l - e).abs() < 1e-14));
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn packed_cholesky_batch<T: Real>(
    blocks: MatMut<'_, T>,
    d: usize,
    damping: T,
    work: &mut [T],
) -> Result<(), Error> {
    packed_cholesky_batch_by::<T, Elements>(blocks, d, damping, work)
}

/// [`packed_cholesky_batch`] with a machine's own transposition of squares; the bits are the same.
///
/// # Errors
/// As [`packed_cholesky_batch`].
///
/// ```
/// use relfisher_core::MatMut;
/// use relfisher_core::factor::batch::{self, Elements};
/// let mut blocks = [3.0_f64, 2.0, 4.0, 0.0, 0.0, 3.0];
/// let mut work = [0.0; batch::cholesky_batch_workspace_len(2)];
/// let rows = MatMut::new(&mut blocks, 2, 3)?;
/// batch::packed_cholesky_batch_by::<_, Elements>(rows, 2, 1.0, &mut work)?;
/// let expected = [2.0, 1.0, 2.0, 1.0, 0.0, 2.0];
/// assert!(blocks.iter().zip(expected).all(|(l, e)| (l - e).abs() < 1e-14));
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn packed_cholesky_batch_by<T: Real, M: Transpose<T>>(
    mut blocks: MatMut<'_, T>,
    d: usize,
    damping: T,
    work: &mut [T],
) -> Result<(), Error> {
    check_len("packed_cholesky_batch: columns", packed_len(d), blocks.cols())?;
    if !blocks.rows_contiguous() {
        return Err(Error::Layout { what: "packed_cholesky_batch: contiguous rows needed" });
    }
    check_damping(damping)?;
    let work = take_work(work, cholesky_batch_workspace_len(d))?;
    Batch::new(&mut blocks, d, Packed).factor::<M>(damping, work)
}

/// The workspace of [`cholesky_batch`] and [`packed_cholesky_batch`] in elements: the interleaved
/// triangles of [`LANES`] matrices, about 8n² + 32n, and none above [`INTERLEAVED_ORDER`].
#[inline]
pub const fn cholesky_batch_workspace_len(n: usize) -> usize {
    if n > INTERLEAVED_ORDER {
        return 0;
    }
    panels_len(n).saturating_mul(LANES).saturating_add(LANES)
}
