//! The small systems of the sample-space route, which share one Gram matrix.

use super::lanes::{Quad, product};
use super::triangle::{Source, factor, panels_len, solve};
use super::{LANES, group_len};
use crate::blas::vector::all_finite;
use crate::error::{check_len, take_work};
use crate::factor::cholesky::check_damping;
use crate::{Error, MatMut, MatRef, Real};

/// The systems `S K S` of one group of columns.
struct Systems<'a, T, const L: usize> {
    k: MatRef<'a, T>,
    /// s in quads, zero past the order.
    scale: &'a [Quad<T, L>],
}

impl<T: Real, const L: usize> Source<T, L> for Systems<'_, T, L> {
    #[inline(always)]
    fn tile(&self, _stored: [Quad<T, L>; 4], i: usize, j: usize) -> [Quad<T, L>; 4] {
        let zero = [[T::ZERO; L]; 4];
        let si = self.scale.get(i).copied().unwrap_or(zero);
        let sj = self.scale.get(j).copied().unwrap_or(zero);
        let mut out = [zero; 4];
        for (r, (out, si)) in out.iter_mut().zip(&si).enumerate() {
            let row = self.k.row(4 * i + r).get(4 * j..).unwrap_or(&[]);
            for (c, (out, sj)) in out.iter_mut().zip(&sj).enumerate() {
                let k = row.get(c).copied().unwrap_or(T::ZERO);
                *out = product(si, sj);
                for x in out {
                    *x *= k;
                }
            }
        }
        out
    }
}

/// Copies `width` columns of a row from column j into the vectors of quads, zeros elsewhere.
#[inline(always)]
fn gather<T: Real, const L: usize>(quads: &mut [Quad<T, L>], m: MatRef<'_, T>, j: usize) {
    for (a, vector) in quads.as_flattened_mut().iter_mut().enumerate() {
        let row = m.row(a).get(j..).unwrap_or(&[]);
        *vector = match row.first_chunk::<L>() {
            Some(x) => *x,
            None => {
                let mut x = [T::ZERO; L];
                crate::blas::vector::copy(&mut x, row);
                x
            }
        };
    }
}

/// All columns of z in batches of L; s starts at column `first`.
#[inline(always)]
fn columns<T: Real, const L: usize>(
    z: &mut MatMut<'_, T>,
    k: MatRef<'_, T>,
    s: MatRef<'_, T>,
    (first, damping): (usize, T),
    work: &mut [T],
) -> Result<(), Error> {
    let (n, m) = (z.rows(), z.cols());
    let quads = n.div_ceil(4);
    let (work, _) = work.as_chunks_mut::<L>();
    let split = work.split_at_mut_checked(panels_len(n)).and_then(|(l, rest)| {
        let (rest, _) = rest.as_chunks_mut::<4>();
        let (scale, rest) = rest.split_at_mut_checked(quads)?;
        Some((l, scale, rest.get_mut(..quads)?))
    });
    let Some((l, scale, x)) = split else {
        return Err(Error::Layout { what: "scaled_gram_solve: work" });
    };
    for j in (0..m).step_by(L) {
        gather(scale, s, first.wrapping_add(j));
        gather(x, z.rb(), j);
        let mut diagonal = [T::ONE; L];
        diagonal.iter_mut().take(m - j).for_each(|d| *d = damping);
        if m - j < L {
            for vector in scale.as_flattened_mut() {
                vector.iter_mut().skip(m - j).for_each(|s| *s = T::ZERO);
            }
        }
        let systems = Systems { k, scale };
        factor(l, &systems, &diagonal, n).map_err(|refusal| Error::NotPositiveDefinite {
            block: first.wrapping_add(j).wrapping_add(refusal.lane),
            pivot: refusal.pivot,
        })?;
        solve(x, l);
        for (a, vector) in x.as_flattened().iter().take(n).enumerate() {
            if let Some(row) = z.row_mut(a).get_mut(j..) {
                crate::blas::vector::copy(row, vector);
            }
        }
    }
    Ok(())
}

/// Every row finite, else the row-major index of the first element that is not.
#[inline(always)]
fn check_rows<T: Real>(m: MatRef<'_, T>, what: &'static str) -> Result<(), Error> {
    for i in 0..m.rows() {
        if !all_finite(m.row(i)) {
            let j = m.row(i).iter().position(|x| !x.is_finite()).unwrap_or(0);
            let index = i.wrapping_mul(m.cols()).wrapping_add(j);
            return Err(Error::NonFinite { what, index });
        }
    }
    Ok(())
}

/// The m systems that share one Gram matrix: column i of z ← (λI + S_i K S_i)⁻¹ (column i of z),
/// S_i = diag(s[:, i]).
///
/// Shapes: k n×n symmetric (the lower triangle and the diagonal tiles are read), s n×m, z n×m
/// (right sides in, solutions out), contiguous rows. λ > 0, or positive definite systems; s = 0 is
/// harmless with λ > 0. m(n³/3 + 2n²) FLOPs, [`LANES`] systems at a time in vector lanes. `work`:
/// [`scaled_gram_solve_workspace_len`], may hold NaN.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`], [`Error::Parameter`] for a negative
/// damping, [`Error::NonFinite`], [`Error::NotPositiveDefinite`] naming the column and the pivot.
///
/// ```
/// use relfisher_core::{MatMut, MatRef, factor};
/// let (k, s) = ([2.0, 1.0, 1.0, 3.0], [1.0, 0.0, 1.0, 2.0]);
/// let mut z = [4.0, 2.0, 9.0, 26.0];
/// let mut work = [0.0; factor::scaled_gram_solve_workspace_len(2, 2)];
/// let (k, s) = (MatRef::new(&k, 2, 2)?, MatRef::new(&s, 2, 2)?);
/// factor::scaled_gram_solve(MatMut::new(&mut z, 2, 2)?, k, s, 1.0, &mut work)?;
/// let expected: [f64; 4] = [7.0 / 11.0, 2.0, 23.0 / 11.0, 2.0];
/// assert!(z.iter().zip(expected).all(|(z, e)| (z - e).abs() < 1e-14));
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn scaled_gram_solve<T: Real>(
    z: MatMut<'_, T>,
    k: MatRef<'_, T>,
    s: MatRef<'_, T>,
    damping: T,
    work: &mut [T],
) -> Result<(), Error> {
    check_len("scaled_gram_solve: columns of s", z.cols(), s.cols())?;
    scaled_gram_solve_columns(z, k, s, 0, damping, work)
}

/// [`scaled_gram_solve`] for a range of columns: z (n×w) holds the right sides of the columns
/// `first … first + w` of `s` (n×m).
///
/// The systems are independent, so a host may deal ranges out to threads; results have the same
/// bits however the columns are divided.
///
/// # Errors
/// As [`scaled_gram_solve`]; the block of [`Error::NotPositiveDefinite`] is the column of `s`.
///
/// ```
/// use relfisher_core::factor::batch;
/// use relfisher_core::{MatMut, MatRef};
/// // the second of the two systems alone
/// let (k, s, mut z) = ([2.0, 1.0, 1.0, 3.0], [1.0, 0.0, 1.0, 2.0], [2.0_f64, 26.0]);
/// let mut work = [0.0; batch::scaled_gram_solve_workspace_len(2, 1)];
/// let (k, s) = (MatRef::new(&k, 2, 2)?, MatRef::new(&s, 2, 2)?);
/// batch::scaled_gram_solve_columns(MatMut::new(&mut z, 2, 1)?, k, s, 1, 1.0, &mut work)?;
/// assert!(z.iter().all(|z| (z - 2.0).abs() < 1e-14)); // (1, 1 + 2·3·2) · (2, 2)
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn scaled_gram_solve_columns<T: Real>(
    mut z: MatMut<'_, T>,
    k: MatRef<'_, T>,
    s: MatRef<'_, T>,
    first: usize,
    damping: T,
    work: &mut [T],
) -> Result<(), Error> {
    let (n, m) = (z.rows(), z.cols());
    check_len("scaled_gram_solve: rows of k", n, k.rows())?;
    check_len("scaled_gram_solve: columns of k", n, k.cols())?;
    check_len("scaled_gram_solve: rows of s", n, s.rows())?;
    if first.saturating_add(m) > s.cols() {
        let (expected, found) = (first.saturating_add(m), s.cols());
        return Err(Error::Shape { what: "scaled_gram_solve: columns of s", expected, found });
    }
    if !(z.rows_contiguous() && k.rows_contiguous() && s.rows_contiguous()) {
        return Err(Error::Layout { what: "scaled_gram_solve: contiguous rows needed" });
    }
    check_damping(damping)?;
    let work = take_work(work, scaled_gram_solve_workspace_len(n, m))?;
    check_rows(k, "scaled_gram_solve: k")?;
    check_rows(s, "scaled_gram_solve: s")?;
    check_rows(z.rb(), "scaled_gram_solve: z")?;
    // vectors that straddle cache lines cost twice
    let skip = work.as_ptr().align_offset(64).min(LANES);
    let work = work.get_mut(skip..).unwrap_or(&mut []);
    if group_len::<T>() < LANES {
        columns::<T, 8>(&mut z, k, s, (first, damping), work)
    } else {
        columns::<T, LANES>(&mut z, k, s, (first, damping), work)
    }
}

/// The workspace of [`scaled_gram_solve`] in elements: the interleaved triangles, scales and right
/// sides of [`LANES`] systems, about 8n² + 64n; it does not depend on m.
#[inline]
pub const fn scaled_gram_solve_workspace_len(n: usize, _m: usize) -> usize {
    let quads = n.div_ceil(4);
    let vectors = panels_len(n).saturating_add(quads.saturating_mul(8));
    vectors.saturating_mul(LANES).saturating_add(LANES)
}
