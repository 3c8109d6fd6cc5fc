//! Batches of small positive definite systems in SIMD lanes.
//!
//! One vector holds the same element of several systems, so that every scalar operation of a
//! Cholesky factorisation becomes one vector operation over all of them: no horizontal sums, no
//! short tails, whatever the order of the systems. The lower triangle is kept as panels of four
//! rows: panel I holds the columns 0 … 4I+3, each as the vectors of its four rows next to each
//! other, and a 4×4 tile of vectors is updated in registers against two panels (8 loads for 32
//! vector operations). Orders are padded to a multiple of 4 with the identity.

use super::cholesky::check_damping;
use crate::blas::vector::all_finite;
use crate::error::{check_len, take_work};
use crate::{Error, MatMut, MatRef, Real};

/// Systems in a batch of 4-byte scalars; the widest batch of all types.
pub const LANES: usize = 16;

/// One element of every system.
type Vector<T, const L: usize> = [T; L];
/// One column of a panel, or four consecutive elements of a right side.
type Quad<T, const L: usize> = [Vector<T, L>; 4];

/// `x − y z`, lane by lane.
#[inline(always)]
fn minus_product<T: Real, const L: usize>(
    x: Vector<T, L>,
    y: &Vector<T, L>,
    z: &Vector<T, L>,
) -> Vector<T, L> {
    let mut out = x;
    for ((o, y), z) in out.iter_mut().zip(y).zip(z) {
        *o -= *y * *z;
    }
    out
}

#[inline(always)]
fn product<T: Real, const L: usize>(y: &Vector<T, L>, z: &Vector<T, L>) -> Vector<T, L> {
    let mut out = *y;
    for (o, z) in out.iter_mut().zip(z) {
        *o *= *z;
    }
    out
}

/// Quads before panel `i`: Σ_{t<i} 4(t + 1).
#[inline(always)]
const fn panel_start(i: usize) -> usize {
    i.wrapping_mul(i.wrapping_add(1)).wrapping_mul(2)
}

/// Panel `i` of the triangle.
#[inline(always)]
fn panel<T, const L: usize>(l: &[Quad<T, L>], i: usize) -> &[Quad<T, L>] {
    l.get(panel_start(i)..).and_then(|p| p.get(..4 * i + 4)).unwrap_or(&[])
}

/// The systems `diag(d) + S K S` of one batch of columns.
struct Systems<'a, T, const L: usize> {
    k: MatRef<'a, T>,
    /// s in quads, zero past the order.
    scale: &'a [Quad<T, L>],
    /// What is added to the diagonal: λ, or 1 in lanes without a system.
    damping: Vector<T, L>,
}

impl<T: Real, const L: usize> Systems<'_, T, L> {
    /// The 4×4 tile (i, j) of the batch, without damping.
    #[inline(always)]
    fn tile(&self, i: usize, j: usize) -> [Quad<T, L>; 4] {
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

/// Factors the systems into the panels `l`; diagonal elements are stored as their reciprocals.
/// On failure the first refused pivot and its lane.
#[allow(clippy::needless_range_loop, reason = "constant indices into register tiles")]
#[inline(always)]
fn factor<T: Real, const L: usize>(
    l: &mut [Quad<T, L>],
    systems: &Systems<'_, T, L>,
    n: usize,
) -> Result<(), (usize, usize)> {
    let tolerance = super::pivot_tolerance::<T>(n);
    for i in 0..n.div_ceil(4) {
        let Some((done, rest)) = l.split_at_mut_checked(panel_start(i)) else { break };
        let Some(current) = rest.get_mut(..4 * i + 4) else { break };
        for j in 0..i {
            let above = panel(done, j);
            let mut acc = systems.tile(i, j);
            let Some((left, target)) = current.split_at_mut_checked(4 * j) else { break };
            let Some((up, corner)) = above.split_at_checked(4 * j) else { break };
            accumulate(&mut acc, left, up);
            let (Some(target), Some(corner)) =
                (target.first_chunk_mut::<4>(), corner.first_chunk::<4>())
            else {
                break;
            };
            for c in 0..4 {
                for row in acc.iter_mut() {
                    let mut x = row[c];
                    for b in 0..c {
                        x = minus_product(x, &row[b], &corner[b][c]);
                    }
                    row[c] = product(&x, &corner[c][c]);
                }
                target[c] = [acc[0][c], acc[1][c], acc[2][c], acc[3][c]];
            }
        }
        let mut acc = systems.tile(i, i);
        let Some((left, target)) = current.split_at_mut_checked(4 * i) else { break };
        let Some(target) = target.first_chunk_mut::<4>() else { break };
        let mut diagonal = [[T::ONE; L]; 4];
        for r in 0..4 {
            if 4 * i + r < n {
                for ((d, a), lambda) in
                    diagonal[r].iter_mut().zip(&mut acc[r][r]).zip(&systems.damping)
                {
                    *a += *lambda;
                    *d = *a;
                }
            } else {
                acc[r][r] = [T::ONE; L];
            }
        }
        accumulate(&mut acc, left, left);
        for c in 0..4 {
            let mut pivot = acc[c][c];
            for b in 0..c {
                pivot = minus_product(pivot, &acc[c][b], &acc[c][b]);
            }
            let mut refused = None;
            for (lane, (p, d)) in pivot.iter().zip(&diagonal[c]).enumerate().rev() {
                let accepted = *p > tolerance * *d && *p <= T::MAX;
                if !accepted {
                    refused = Some(lane);
                }
            }
            if let Some(lane) = refused {
                return Err((4 * i + c, lane));
            }
            let mut reciprocal = pivot;
            for x in &mut reciprocal {
                *x = T::ONE / x.sqrt();
            }
            acc[c][c] = reciprocal;
            for r in c + 1..4 {
                let mut x = acc[r][c];
                for b in 0..c {
                    x = minus_product(x, &acc[r][b], &acc[c][b]);
                }
                acc[r][c] = product(&x, &reciprocal);
            }
            target[c] = [acc[0][c], acc[1][c], acc[2][c], acc[3][c]];
        }
    }
    Ok(())
}

/// acc[r][c] −= Σ_k x_k[r] y_k[c].
#[inline(always)]
fn accumulate<T: Real, const L: usize>(
    acc: &mut [Quad<T, L>; 4],
    x: &[Quad<T, L>],
    y: &[Quad<T, L>],
) {
    let mut sums = *acc;
    for (x, y) in x.iter().zip(y) {
        for r in 0..4 {
            for c in 0..4 {
                sums[r][c] = minus_product(sums[r][c], &x[r], &y[c]);
            }
        }
    }
    *acc = sums;
}

/// x ← (L Lᵀ)⁻¹ x with the panels of [`factor`].
#[inline(always)]
fn solve<T: Real, const L: usize>(x: &mut [Quad<T, L>], l: &[Quad<T, L>]) {
    for i in 0..x.len() {
        let Some((done, rest)) = x.split_at_mut_checked(i) else { return };
        let (Some(current), Some((left, corner))) =
            (rest.first_mut(), panel(l, i).split_at_checked(4 * i))
        else {
            return;
        };
        let Some(corner) = corner.first_chunk::<4>() else { return };
        let mut sums = *current;
        for (l, y) in left.iter().zip(done.as_flattened()) {
            for r in 0..4 {
                sums[r] = minus_product(sums[r], &l[r], y);
            }
        }
        for c in 0..4 {
            sums[c] = product(&sums[c], &corner[c][c]);
            for r in c + 1..4 {
                sums[r] = minus_product(sums[r], &corner[c][r], &sums[c]);
            }
        }
        *current = sums;
    }
    for i in (0..x.len()).rev() {
        let Some((before, rest)) = x.split_at_mut_checked(i) else { return };
        let (Some(current), Some((left, corner))) =
            (rest.first_mut(), panel(l, i).split_at_checked(4 * i))
        else {
            return;
        };
        let Some(corner) = corner.first_chunk::<4>() else { return };
        let mut y = *current;
        for c in (0..4).rev() {
            for r in c + 1..4 {
                y[c] = minus_product(y[c], &corner[c][r], &y[r]);
            }
            y[c] = product(&y[c], &corner[c][c]);
        }
        *current = y;
        for (x, l) in before.as_flattened_mut().iter_mut().zip(left) {
            let mut sum = *x;
            for r in 0..4 {
                sum = minus_product(sum, &l[r], &y[r]);
            }
            *x = sum;
        }
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
    let (work, _) = work.as_chunks_mut::<4>();
    let split = work.split_at_mut_checked(panel_start(quads)).and_then(|(l, rest)| {
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
        let systems = Systems { k, scale, damping: diagonal };
        factor(l, &systems, n).map_err(|(pivot, lane)| Error::NotPositiveDefinite {
            block: first.wrapping_add(j).wrapping_add(lane),
            pivot,
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
    if size_of::<T>() > 4 {
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
    let panels = quads.saturating_mul(quads.saturating_add(1)).saturating_mul(2);
    panels.saturating_add(2 * quads).saturating_mul(4 * LANES).saturating_add(LANES)
}
