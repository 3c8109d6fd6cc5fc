//! The eigendecomposition of a batch of symmetric matrices.

#![allow(clippy::needless_range_loop, reason = "an index runs over the lanes of several vectors")]

use super::batched::Batch;
use super::interleave::{Elements, Transpose};
use super::lanes::{Vector, splat};
use super::sweeps::{KEPT, Rotation, diagonalise};
use super::triangle::{panels_len, row_range};
use super::tridiagonal::{Reduction, accumulate, reduce};
use super::{INTERLEAVED_ORDER, LANES, group_len};
use crate::error::{check_len, take_work};
use crate::factor::eigh::{eigh, eigh_workspace_len};
use crate::factor::rows::{Strided, first_non_finite};
use crate::{Error, MatMut, Real};

/// `A_i = U_i diag(values_i) U_iᵀ` for every matrix of a batch: row i of `matrices` (m × n²) is A_i,
/// row-major with contiguous rows; its eigenvectors are in its columns on return, its eigenvalues
/// ascending in row i of `values` (m × n, contiguous rows).
///
/// Reads the lower triangles. [`LANES`] matrices (of 8-byte scalars half as many) at a time in vector
/// lanes up to the order [`INTERLEAVED_ORDER`], above it one by one: Householder's reduction, then
/// implicit QL with the rotations of all lanes, some 9n³ FLOPs a matrix. Backward stable as
/// [`eigh`](crate::factor::eigh), whatever the scale of a matrix; signs are those that the algorithm
/// finds. The same matrix gives the same bits in any lane and whatever the others are; groups are
/// counted from the first matrix, [`group_len`] in each. `work`: [`eigh_batch_workspace_len`], may
/// hold NaN.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`]; [`Error::NonFinite`], whose index
/// divided by n² is the matrix; [`Error::NoConvergence`].
///
/// ```
/// use relfisher_core::{MatMut, factor};
/// let mut matrices = [2.0_f64, f64::NAN, 1.0, 2.0, 5.0, f64::NAN, 0.0, -1.0];
/// let mut values = [0.0; 4];
/// let mut work = [0.0; factor::eigh_batch_workspace_len(2)];
/// let (a, v) = (MatMut::new(&mut matrices, 2, 4)?, MatMut::new(&mut values, 2, 2)?);
/// factor::eigh_batch(a, v, 2, &mut work)?;
/// assert!(values.iter().zip([1.0, 3.0, -1.0, 5.0]).all(|(v, e)| (v - e).abs() < 1e-14));
/// assert!((matrices[0] + matrices[2]).abs() < 1e-14);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn eigh_batch<T: Real>(
    matrices: MatMut<'_, T>,
    values: MatMut<'_, T>,
    n: usize,
    work: &mut [T],
) -> Result<(), Error> {
    eigh_batch_by::<T, Elements>(matrices, values, n, work)
}

/// [`eigh_batch`] with a machine's own transposition of squares; the bits are the same.
///
/// # Errors
/// As [`eigh_batch`].
///
/// ```
/// use relfisher_core::MatMut;
/// use relfisher_core::factor::batch::{self, Elements};
/// let (mut matrices, mut values) = ([2.0_f64, 0.0, 1.0, 2.0, 5.0, 0.0, 0.0, -1.0], [0.0; 4]);
/// let mut work = [0.0; batch::eigh_batch_workspace_len(2)];
/// let (a, v) = (MatMut::new(&mut matrices, 2, 4)?, MatMut::new(&mut values, 2, 2)?);
/// batch::eigh_batch_by::<_, Elements>(a, v, 2, &mut work)?;
/// assert!(values.iter().zip([1.0, 3.0, -1.0, 5.0]).all(|(v, e)| (v - e).abs() < 1e-14));
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn eigh_batch_by<T: Real, M: Transpose<T>>(
    mut matrices: MatMut<'_, T>,
    mut values: MatMut<'_, T>,
    n: usize,
    work: &mut [T],
) -> Result<(), Error> {
    check_len("eigh_batch: columns of matrices", n.saturating_mul(n), matrices.cols())?;
    check_len("eigh_batch: rows of values", matrices.rows(), values.rows())?;
    check_len("eigh_batch: columns of values", n, values.cols())?;
    if !(matrices.rows_contiguous() && values.rows_contiguous()) {
        return Err(Error::Layout { what: "eigh_batch: contiguous rows needed" });
    }
    let work = take_work(work, eigh_batch_workspace_len(n))?;
    if n == 0 {
        return Ok(());
    }
    let mut batch = Batch::new(&mut matrices, n, Strided(n));
    for i in 0..batch.count {
        if first_non_finite(batch.tail(i), n, Strided(n)).is_some() {
            return Err(batch.refusal(i, 0));
        }
    }
    if n > INTERLEAVED_ORDER {
        for i in 0..batch.count {
            let a = MatMut::new(batch.tail_mut(i), n, n)?;
            eigh(a, values.row_mut(i), work)?;
        }
        return Ok(());
    }
    // vectors that straddle cache lines cost twice
    let skip = work.as_ptr().align_offset(64).min(LANES);
    let work = work.get_mut(skip..).unwrap_or(&mut []);
    if group_len::<T>() < LANES {
        groups::<T, M, 8>(&mut batch, &mut values, work)
    } else {
        groups::<T, M, LANES>(&mut batch, &mut values, work)
    }
}

/// The workspace of [`eigh_batch`] in elements: the interleaved triangles and eigenvectors of
/// [`LANES`] matrices and some rotations, about 24n² + 450n; above [`INTERLEAVED_ORDER`] that of
/// [`eigh`](crate::factor::eigh).
#[inline]
pub const fn eigh_batch_workspace_len(n: usize) -> usize {
    if n > INTERLEAVED_ORDER {
        return eigh_workspace_len(n);
    }
    let padded = n.next_multiple_of(4);
    let vectors = panels_len(n) + padded * (padded + 7 + 2 * KEPT);
    vectors * LANES + LANES
}

/// All matrices, L at a time.
#[inline(always)]
fn groups<T: Real, M: Transpose<T>, const L: usize>(
    batch: &mut Batch<'_, T, Strided>,
    values: &mut MatMut<'_, T>,
    work: &mut [T],
) -> Result<(), Error> {
    let n = batch.n;
    let padded = n.next_multiple_of(4);
    let short = Error::Layout { what: "eigh_batch: work" };
    let (mut rest, _) = work.as_chunks_mut::<L>();
    let rows = take(&mut rest, panels_len(n)).ok_or(short)?;
    let vectors = take(&mut rest, padded * padded).ok_or(short)?;
    let mut next = || take(&mut rest, padded).ok_or(short);
    let (diagonal, off, inverse) = (next()?, next()?, next()?);
    let scratch = [next()?, next()?, next()?, next()?];
    let (rotations, _) = rest.as_chunks_mut::<2>();
    let rotations: &mut [Rotation<T, L>] = rotations.get_mut(..KEPT * n).ok_or(short)?;
    let mut reduction = Reduction { rows, diagonal, off, inverse, scratch };
    for first in (0..batch.count).step_by(L) {
        batch.load::<M, L>(reduction.rows, first);
        let scale = normalise(reduction.rows, n);
        reduce(&mut reduction, n);
        accumulate(vectors, &mut reduction, n);
        let d = reduction.diagonal.get_mut(..n).ok_or(short)?;
        let e = reduction.off.get_mut(..n).ok_or(short)?;
        diagonalise(vectors, d, e, rotations)?;
        let ranks = ranks(d);
        let lanes = L.min(batch.count - first);
        for (lane, rank) in ranks.iter().enumerate().take(lanes) {
            let i = first.wrapping_add(lane);
            let row = values.row_mut(i);
            let scale = scale.get(lane).copied().unwrap_or(T::ONE);
            for (d, rank) in d.iter().zip(rank) {
                if let (Some(value), Some(d)) = (row.get_mut(usize::from(*rank)), d.get(lane)) {
                    *value = *d * scale + T::ZERO;
                }
            }
            let matrix = batch.tail_mut(i);
            for r in 0..n {
                let (start, from) = (r.wrapping_mul(n), r.wrapping_mul(padded));
                let (Some(out), Some(v)) = (
                    matrix.get_mut(start..).and_then(|x| x.get_mut(..n)),
                    vectors.get(from..).and_then(|x| x.get(..n)),
                ) else {
                    break;
                };
                for (v, rank) in v.iter().zip(rank) {
                    if let (Some(x), Some(v)) = (out.get_mut(usize::from(*rank)), v.get(lane)) {
                        // +0 for −0: identities, which pass the time of a lane, change its sign
                        *x = *v + T::ZERO;
                    }
                }
            }
        }
    }
    Ok(())
}

/// The first `len` vectors of what is left.
#[inline(always)]
fn take<'a, T>(rest: &mut &'a mut [T], len: usize) -> Option<&'a mut [T]> {
    let (head, tail) = core::mem::take(rest).split_at_mut_checked(len)?;
    *rest = tail;
    Some(head)
}

/// Divides every matrix by its largest element, which is returned, and clears the padding.
#[inline(always)]
fn normalise<T: Real, const L: usize>(rows: &mut [Vector<T, L>], n: usize) -> Vector<T, L> {
    let mut largest = splat::<T, L>(T::ZERO);
    for i in 0..n {
        for x in rows.get(row_range(i)).and_then(|row| row.get(..=i)).unwrap_or(&[]) {
            for (largest, x) in largest.iter_mut().zip(x) {
                *largest = x.abs().max(*largest);
            }
        }
    }
    let mut divisor = largest;
    for x in &mut divisor {
        *x = if *x > T::ZERO { *x } else { T::ONE };
    }
    for i in 0..n.next_multiple_of(4) {
        let row = rows.get_mut(row_range(i)).unwrap_or(&mut []);
        let kept = if i < n { i + 1 } else { 0 };
        let Some((kept, padding)) = row.split_at_mut_checked(kept) else { break };
        for x in kept {
            // a division: 1/largest may overflow
            for (x, d) in x.iter_mut().zip(&divisor) {
                *x /= *d;
            }
        }
        padding.fill(splat(T::ZERO));
    }
    largest
}

/// The position of every value in ascending order, equal ones in the order they are in.
#[inline(always)]
fn ranks<T: Real, const L: usize>(values: &[Vector<T, L>]) -> [[u8; INTERLEAVED_ORDER]; L] {
    let mut out = [[0; INTERLEAVED_ORDER]; L];
    for (i, x) in values.iter().enumerate() {
        let mut rank = splat::<T, L>(T::ZERO);
        for (j, y) in values.iter().enumerate() {
            let before = j < i;
            for lane in 0..L {
                let smaller = (y[lane] < x[lane]) | (before & (y[lane] == x[lane]));
                rank[lane] += if smaller { T::ONE } else { T::ZERO };
            }
        }
        for (out, rank) in out.iter_mut().zip(&rank) {
            if let Some(out) = out.get_mut(i) {
                *out = rank.to_f64() as u8;
            }
        }
    }
    out
}
