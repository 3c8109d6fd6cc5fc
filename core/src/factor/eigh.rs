//! The symmetric eigendecomposition: Householder tridiagonalisation, then implicit QL.
//!
//! Every inner loop runs along rows: the reflectors are the rows of the lower triangle, and the
//! eigenvectors are accumulated transposed, so that a rotation mixes two contiguous rows. After
//! Golub and Van Loan, Matrix Computations, §8.3; Wilkinson and Reinsch, Handbook for Automatic
//! Computation II, contributions 2 and 4.

use super::cholesky::{check_square, unpack_index};
use super::rows::{Rows, Strided, first_non_finite};
use crate::blas::vector::{axpy, dot};
use crate::error::{check_len, take_work};
use crate::{Error, MatMut, Real};

/// QL iterations that one eigenvalue may take.
const ITERATIONS: usize = 60;

/// Iterations after which a coupling below ε times the largest element counts as zero, whatever the
/// elements beside it are. Most eigenvalues take two, few more than five. A matrix that is
/// graded, or of low rank, has small diagonal elements beside couplings that rounding
/// errors of the large ones keep at ε times their size: these couplings never get small beside
/// their neighbours, and need not.
pub(crate) const PATIENCE: usize = 10;

/// `A = U diag(values) Uᵀ`: eigenvalues ascending in `values` (d), eigenvectors in the columns of
/// `a` on return.
///
/// Reads the lower triangle of `a` (d×d, contiguous rows). Backward stable: eigenvalues and
/// residuals are accurate to a small multiple of ε‖A‖, whatever the scale of A. `work`:
/// [`eigh_workspace_len`], may hold NaN. The signs of eigenvectors are those that the algorithm
/// finds; the same input gives the same bits.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`], [`Error::NonFinite`],
/// [`Error::NoConvergence`].
///
/// ```
/// use relfisher_core::{MatMut, factor};
/// let mut a = [2.0_f64, f64::NAN, 1.0, 2.0];
/// let (mut values, mut work) = ([0.0; 2], [0.0; factor::eigh_workspace_len(2)]);
/// factor::eigh(MatMut::new(&mut a, 2, 2)?, &mut values, &mut work)?;
/// assert!((values[0] - 1.0).abs() < 1e-15 && (values[1] - 3.0).abs() < 1e-15);
/// assert!((a[0] + a[2]).abs() < 1e-15);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn eigh<T: Real>(mut a: MatMut<'_, T>, values: &mut [T], work: &mut [T]) -> Result<(), Error> {
    check_square(&a.rb(), "eigh: a")?;
    let (d, rows) = (a.rows(), Strided(a.row_stride()));
    check_len("eigh: values", d, values.len())?;
    let work = take_work(work, eigh_workspace_len(d))?;
    if let Some(k) = first_non_finite(a.data_mut(), d, rows) {
        let (i, j) = unpack_index(k);
        return Err(Error::NonFinite { what: "eigh: a", index: i.wrapping_mul(d) + j });
    }
    let mut largest = T::ZERO;
    for i in 0..d {
        let row = a.row(i).get(..=i).unwrap_or(&[]);
        largest = row.iter().fold(largest, |m, x| m.max(x.abs()));
    }
    let Some((vectors, work)) = work.split_at_mut_checked(d.saturating_mul(d)) else {
        return Err(Error::Layout { what: "eigh: work" });
    };
    let Some((off, work)) = work.split_at_mut_checked(d) else {
        return Err(Error::Layout { what: "eigh: work" });
    };
    let Some((heights, direction)) = work.split_at_mut_checked(d) else {
        return Err(Error::Layout { what: "eigh: work" });
    };
    if largest > T::ZERO {
        // one division each: 1/largest may overflow
        for i in 0..d {
            for x in a.row_mut(i).iter_mut().take(i + 1) {
                *x /= largest;
            }
        }
    }
    tridiagonalise(a.data_mut(), rows, values, off, (heights, direction));
    accumulate(vectors, a.data_mut(), rows, heights);
    shift(off);
    implicit_ql(vectors, d, values, off)?;
    sort(vectors, d, values);
    for value in values.iter_mut() {
        *value *= largest;
    }
    for i in 0..d {
        for (x, v) in a.row_mut(i).iter_mut().zip(vectors.iter().skip(i).step_by(d)) {
            *x = *v;
        }
    }
    Ok(())
}

/// The workspace of [`eigh`] in elements: d² + 3d.
#[inline]
pub const fn eigh_workspace_len(d: usize) -> usize {
    d.saturating_mul(d).saturating_add(d.saturating_mul(3))
}

/// Reduces the lower triangle to tridiagonal form from the last row up. On return `diagonal` and
/// `off` (off[i] couples i − 1 and i) hold the tridiagonal matrix, row i of `a` before the diagonal
/// the reflector u_i, and `heights[i]` = |u_i|²/2, 0 where no reflection was needed.
#[inline(always)]
fn tridiagonalise<T: Real>(
    a: &mut [T],
    rows: impl Rows,
    diagonal: &mut [T],
    off: &mut [T],
    (heights, direction): (&mut [T], &mut [T]),
) {
    let d = diagonal.len();
    for i in (0..d).rev() {
        let Some((head, tail)) = a.split_at_mut_checked(rows.start(i)) else { return };
        let Some((u, rest)) = tail.split_at_mut_checked(i) else { return };
        let (mut coupling, mut height) = (T::ZERO, T::ZERO);
        let size = u.iter().fold(T::ZERO, |m, x| m.max(x.abs()));
        // the last row needs no reflection: u has one element
        if i <= 1 {
            coupling = u.first().copied().unwrap_or(T::ZERO);
        } else if size > T::MIN_POSITIVE {
            for x in u.iter_mut() {
                *x /= size;
            }
            let norm = dot(u, u).sqrt();
            let last = u.last().copied().unwrap_or(T::ZERO);
            let target = -norm.copysign(last);
            coupling = size * target;
            height = norm * norm - last * target;
            if let Some(last) = u.last_mut() {
                *last -= target;
            }
            reflect(head, rows, u, height, direction);
        }
        if let (Some(x), Some(o), Some(h), Some(aii)) =
            (diagonal.get_mut(i), off.get_mut(i), heights.get_mut(i), rest.first())
        {
            (*x, *o, *h) = (*aii, coupling, height);
        }
    }
}

/// A ← P A P, P = I − u uᵀ/height, on the lower triangle of order |u|.
#[inline(always)]
fn reflect<T: Real>(a: &mut [T], rows: impl Rows, u: &[T], height: T, direction: &mut [T]) {
    let Some(p) = direction.get_mut(..u.len()) else { return };
    p.fill(T::ZERO);
    for (j, uj) in u.iter().enumerate() {
        let row = super::rows::row(a, rows, j);
        let Some((before, rest)) = p.split_at_mut_checked(j) else { return };
        axpy(before, *uj, row);
        if let Some(x) = rest.first_mut() {
            *x = dot(row, u);
        }
    }
    for x in p.iter_mut() {
        *x /= height;
    }
    let half = dot(u, p) / (height + height);
    axpy(p, -half, u);
    for (j, (uj, pj)) in u.iter().zip(p.iter()).enumerate() {
        let row = super::rows::row_mut(a, rows, j);
        for (x, (u, p)) in row.iter_mut().zip(u.iter().zip(p.iter())) {
            *x -= *uj * *p + *pj * *u;
        }
    }
}

/// `vectors` ← Qᵀ = P_1 P_2 … P_{d−1} (d×d), the transformation to tridiagonal form.
#[inline(always)]
fn accumulate<T: Real>(vectors: &mut [T], a: &[T], rows: impl Rows, heights: &[T]) {
    let d = heights.len();
    vectors.fill(T::ZERO);
    for x in vectors.iter_mut().step_by(d + 1) {
        *x = T::ONE;
    }
    for (i, height) in heights.iter().enumerate() {
        let u = super::rows::row(a, rows, i).get(..i).unwrap_or(&[]);
        if *height > T::ZERO {
            for r in 0..i {
                let start = r.wrapping_mul(d);
                if let Some(row) = vectors.get_mut(start..).and_then(|v| v.get_mut(..i)) {
                    let factor = -(dot(row, u) / *height);
                    axpy(row, factor, u);
                }
            }
        }
    }
}

/// Makes off[i] couple i and i + 1 where it coupled i − 1 and i.
#[inline(always)]
fn shift<T: Real>(off: &mut [T]) {
    for i in 1..off.len() {
        let x = off.get(i).copied().unwrap_or(T::ZERO);
        set(off, i - 1, x);
    }
    if let Some(last) = off.last_mut() {
        *last = T::ZERO;
    }
}

/// Sine, cosine and r of the rotation that turns (f, g) into (0, r), r = √(f² + g²) > 0; `None` for two zeros.
///
/// The sine and the cosine come from the quotient of f and g, not from r: where both are subnormal, r has
/// few digits, and the rotation would stretch what it turns.
#[inline(always)]
fn rotation<T: Real>(f: T, g: T) -> Option<(T, T, T)> {
    let (size_f, size_g) = (f.abs(), g.abs());
    let steep = size_f > size_g;
    let (large, small) = if steep { (f, g) } else { (g, f) };
    if large == T::ZERO {
        return None;
    }
    let quotient = small / large.abs();
    let root = (T::ONE + quotient * quotient).sqrt();
    let near = (T::ONE / root).copysign(large);
    let far = quotient / root;
    let (sine, cosine) = if steep { (near, far) } else { (far, near) };
    Some((sine, cosine, large.abs() * root))
}

/// Diagonalises the tridiagonal matrix with the diagonal `values` and off[i] between i and i + 1
/// (the last is 0), and applies the rotations to the rows of `vectors`, `width` elements each. The
/// matrix should be scaled to elements of about 1.
#[inline(always)]
pub(crate) fn implicit_ql<T: Real>(
    vectors: &mut [T],
    width: usize,
    values: &mut [T],
    off: &mut [T],
) -> Result<(), Error> {
    let d = values.len();
    let at = |x: &[T], i: usize| x.get(i).copied().unwrap_or(T::ZERO);
    let tiny = T::MIN_POSITIVE / T::EPSILON;
    let largest = values.iter().chain(off.iter()).fold(T::ZERO, |m, x| x.abs().max(m));
    let noise = (T::EPSILON * largest).max(tiny);
    for l in 0..d {
        let mut spent = 0;
        loop {
            let floor = if spent < PATIENCE { tiny } else { noise };
            let mut m = l;
            while m + 1 < d {
                let size = at(values, m).abs() + at(values, m + 1).abs();
                let coupling = at(off, m).abs();
                if coupling <= T::EPSILON * size || coupling <= floor {
                    break;
                }
                m += 1;
            }
            if m == l {
                break;
            }
            if spent == ITERATIONS {
                return Err(Error::NoConvergence { iterations: spent });
            }
            spent += 1;
            let (dl, el) = (at(values, l), at(off, l));
            let half = (at(values, l + 1) - dl) / (T::TWO * el);
            let root = rotation(half, T::ONE).map_or(T::ONE, |(_, _, r)| r);
            let mut g = at(values, m) - dl + el / (half + root.copysign(half));
            let (mut s, mut c, mut p) = (T::ONE, T::ONE, T::ZERO);
            let mut i = m;
            let mut split = false;
            while i > l {
                i -= 1;
                let (f, b) = (s * at(off, i), c * at(off, i));
                let Some((sine, cosine, r)) = rotation(f, g) else {
                    set(off, i + 1, T::ZERO);
                    let x = at(values, i + 1) - p;
                    set(values, i + 1, x);
                    set(off, m, T::ZERO);
                    split = true;
                    break;
                };
                set(off, i + 1, r);
                (s, c) = (sine, cosine);
                let x = at(values, i + 1) - p;
                let q = (at(values, i) - x) * s + T::TWO * c * b;
                p = s * q;
                set(values, i + 1, x + p);
                g = c * q - b;
                rotate(vectors, width, i, c, s);
            }
            if !split {
                let x = at(values, l) - p;
                set(values, l, x);
                set(off, l, g);
                set(off, m, T::ZERO);
            }
        }
    }
    Ok(())
}

#[inline(always)]
fn set<T: Real>(x: &mut [T], i: usize, value: T) {
    if let Some(x) = x.get_mut(i) {
        *x = value;
    }
}

/// Rows i and k > i, `d` elements each.
#[inline(always)]
fn two_rows<T>(a: &mut [T], d: usize, i: usize, k: usize) -> Option<(&mut [T], &mut [T])> {
    let (head, tail) = a.split_at_mut_checked(k.checked_mul(d)?)?;
    Some((head.get_mut(i.checked_mul(d)?..)?.get_mut(..d)?, tail.get_mut(..d)?))
}

/// (row i, row i + 1) ← (c row i − s row i+1, s row i + c row i+1).
#[inline(always)]
fn rotate<T: Real>(a: &mut [T], d: usize, i: usize, c: T, s: T) {
    if let Some((x, y)) = two_rows(a, d, i, i + 1) {
        for (x, y) in x.iter_mut().zip(y) {
            let (p, q) = (*x, *y);
            (*x, *y) = (c * p - s * q, s * p + c * q);
        }
    }
}

/// Sorts the values ascending and their rows of `vectors` (`width` elements each) with them.
#[inline(always)]
pub(crate) fn sort<T: Real>(vectors: &mut [T], width: usize, values: &mut [T]) {
    let d = values.len();
    for i in 0..d {
        let Some((_, rest)) = values.split_at_mut_checked(i) else { return };
        let Some(mut smallest) = rest.first().copied() else { return };
        let (mut k, first) = (0, smallest);
        for (j, x) in rest.iter().enumerate() {
            if *x < smallest {
                (k, smallest) = (j, *x);
            }
        }
        if k > 0 {
            set(rest, k, first);
            set(rest, 0, smallest);
            if let Some((x, y)) = two_rows(vectors, width, i, i + k) {
                x.iter_mut().zip(y).for_each(|(x, y)| core::mem::swap(x, y));
            }
        }
    }
}
