//! The register tile and the blocking that all dense products share.

use crate::{MatMut, MatRef, Real};

/// Rows of a tile.
pub(crate) const MR: usize = 4;
/// Columns of a tile and of a packed panel.
pub(crate) const NR: usize = 16;
/// Terms of a sum that are accumulated in registers before the output is touched; the panel of
/// KC × NR elements lives on the stack.
pub(crate) const KC: usize = 64;

/// MR × NR running sums.
pub(crate) type Tile<T> = [[T; NR]; MR];

/// Forms panels of the right factor: row k of the panel holds elements (k0 + k, j … j + NR), zero
/// outside the factor. Called with non-decreasing j.
pub(crate) trait Panel<T> {
    fn fill(&mut self, panel: &mut [[T; NR]], k0: usize, j: usize);
}

/// Where a product goes.
pub(crate) trait Sink<T> {
    /// Row i from column j to the end of the row; empty outside.
    fn row(&mut self, i: usize, j: usize) -> &mut [T];
}

/// Rows of a matrix with contiguous rows.
pub(crate) struct Dense<'a, T>(pub(crate) MatMut<'a, T>);

impl<T: Real> Sink<T> for Dense<'_, T> {
    #[inline(always)]
    fn row(&mut self, i: usize, j: usize) -> &mut [T] {
        self.0.row_mut(i).get_mut(j..).unwrap_or(&mut [])
    }
}

/// Rows of a packed lower triangle.
pub(crate) struct Triangle<'a, T>(pub(crate) &'a mut [T]);

impl<T: Real> Sink<T> for Triangle<'_, T> {
    #[inline(always)]
    fn row(&mut self, i: usize, j: usize) -> &mut [T] {
        let start = packed_start(i);
        self.0
            .get_mut(start..)
            .and_then(|row| row.get_mut(..=i))
            .and_then(|row| row.get_mut(j..))
            .unwrap_or(&mut [])
    }
}

/// Where row i of a packed lower triangle starts: i(i+1)/2.
#[inline(always)]
pub(crate) const fn packed_start(i: usize) -> usize {
    i.wrapping_mul(i.wrapping_add(1)) / 2
}

/// Columns of a matrix, row k scaled by `weight(k)`.
pub(crate) struct Columns<'a, T, W> {
    pub(crate) matrix: MatRef<'a, T>,
    pub(crate) weight: W,
}

impl<T: Real, W: Fn(usize) -> T> Panel<T> for Columns<'_, T, W> {
    #[inline(always)]
    fn fill(&mut self, panel: &mut [[T; NR]], k0: usize, j: usize) {
        let b = self.matrix;
        if b.rows_contiguous() {
            for (k, out) in panel.iter_mut().enumerate() {
                let (k, row) = (k0 + k, b.row(k0 + k).get(j..).unwrap_or(&[]));
                let w = (self.weight)(k);
                *out = load(row);
                for x in out {
                    *x *= w;
                }
            }
        } else {
            let columns = b.t();
            for c in 0..NR {
                let column = columns.row(j + c).get(k0..).unwrap_or(&[]);
                let direct = column.len() >= panel.len();
                for (k, out) in panel.iter_mut().enumerate() {
                    let x = if direct {
                        column.get(k).copied().unwrap_or(T::ZERO)
                    } else if j + c < b.cols() {
                        b.at(k0 + k, j + c)
                    } else {
                        T::ZERO
                    };
                    if let Some(out) = out.get_mut(c) {
                        *out = x * (self.weight)(k0 + k);
                    }
                }
            }
        }
    }
}

/// The first NR elements, zeros where there are fewer.
#[inline(always)]
pub(crate) fn load<T: Real>(row: &[T]) -> [T; NR] {
    match row.first_chunk::<NR>() {
        Some(x) => *x,
        None => {
            let mut out = [T::ZERO; NR];
            for (o, x) in out.iter_mut().zip(row) {
                *o = *x;
            }
            out
        }
    }
}

/// acc[r][c] += Σ_k a_k[r] b_k[c].
#[inline(always)]
pub(crate) fn tile<T: Real>(
    acc: &mut Tile<T>,
    a: impl Iterator<Item = [T; MR]>,
    b: impl Iterator<Item = [T; NR]>,
) {
    let mut sums = *acc;
    for (x, y) in a.zip(b) {
        for (row, x) in sums.iter_mut().zip(x) {
            for (s, y) in row.iter_mut().zip(y) {
                *s += x * y;
            }
        }
    }
    *acc = sums;
}

/// acc += rows i … i + MR of `a`, columns from k0, times the panel.
#[inline(always)]
fn multiply<T: Real>(acc: &mut Tile<T>, a: MatRef<'_, T>, i: usize, k0: usize, panel: &[[T; NR]]) {
    // rows past the end repeat the last one; the sink drops them
    let last = a.rows().saturating_sub(1);
    let b = panel.iter().copied();
    if a.rows_contiguous() {
        let row = |r: usize| a.row((i + r).min(last)).get(k0..).unwrap_or(&[]);
        let rows = row(0).iter().zip(row(1)).zip(row(2)).zip(row(3));
        tile(acc, rows.map(|(((p, q), r), s)| [*p, *q, *r, *s]), b);
    } else if a.row_stride() == 1 && i + MR <= a.rows() {
        let stride = a.col_stride();
        let data = a.data().get(k0.wrapping_mul(stride).wrapping_add(i)..).unwrap_or(&[]);
        let columns = (0..panel.len()).map(|k| {
            let column = data.get(k.wrapping_mul(stride)..).and_then(|d| d.first_chunk::<MR>());
            column.copied().unwrap_or([T::ZERO; MR])
        });
        tile(acc, columns, b);
    } else {
        let at = |k: usize| core::array::from_fn(|r| a.at((i + r).min(last), k0 + k));
        tile(acc, (0..panel.len()).map(at), b);
    }
}

/// Which tiles of the product are formed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Region {
    /// All.
    Full,
    /// Those that meet the lower triangle.
    Lower,
    /// Those that meet the lower triangle, and row i of the left factor is zero before column i.
    LowerOfTriangular,
}

/// sink ← α A (panels) + β sink for p×k `a` and q columns of panels.
#[inline(always)]
pub(crate) fn blocked<T: Real>(
    sink: &mut impl Sink<T>,
    (beta, alpha): (T, T),
    a: MatRef<'_, T>,
    panels: &mut impl Panel<T>,
    q: usize,
    region: Region,
) {
    let (p, k) = (a.rows(), a.cols());
    let mut buffer = [[T::ZERO; NR]; KC];
    for j in (0..q).step_by(NR) {
        let top = if region == Region::Full { 0 } else { j };
        let mut k0 = 0;
        loop {
            let terms = KC.min(k - k0);
            let panel = buffer.get_mut(..terms).unwrap_or(&mut []);
            panels.fill(panel, k0, j);
            for i in (top..p).step_by(MR) {
                let first = if region == Region::LowerOfTriangular {
                    // KC and NR are multiples of MR: the block that holds i holds the whole tile
                    if k0 + terms <= i {
                        break;
                    }
                    k0 <= i
                } else {
                    k0 == 0
                };
                let mut acc = [[T::ZERO; NR]; MR];
                multiply(&mut acc, a, i, k0, panel);
                let keep = if first { beta } else { T::ONE };
                for (r, sums) in acc.iter().enumerate() {
                    if i + r < p {
                        store(sink.row(i + r, j), keep, alpha, sums);
                    }
                }
            }
            k0 += terms;
            if k0 >= k {
                break;
            }
        }
    }
}

/// out ← α sums + β out on the first NR elements that exist.
#[inline(always)]
fn store<T: Real>(out: &mut [T], beta: T, alpha: T, sums: &[T; NR]) {
    if let Some(out) = out.first_chunk_mut::<NR>() {
        update(out.iter_mut(), beta, alpha, sums);
    } else {
        update(out.iter_mut(), beta, alpha, sums);
    }
}

#[inline(always)]
fn update<'a, T: Real>(out: impl Iterator<Item = &'a mut T>, beta: T, alpha: T, sums: &[T; NR]) {
    if beta == T::ZERO {
        for (o, s) in out.zip(sums) {
            *o = alpha * *s;
        }
    } else {
        for (o, s) in out.zip(sums) {
            *o = beta * *o + alpha * *s;
        }
    }
}
