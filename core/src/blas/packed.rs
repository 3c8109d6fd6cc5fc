//! Batches of packed symmetric matrices.

use super::kernel::{Columns, NR, Panel, Region, Triangle, blocked};
use super::vector::{axpy, dot};
use crate::error::check_len;
use crate::kron::packed_len;
use crate::{Error, MatMut, MatRef, Real};

/// How [`packed_grams_by`] builds the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedForm {
    /// One product of νᵀ with the row-wise products x_a x_b, which are formed panel by panel.
    PairProducts,
    /// One triangular product Xᵀ diag(ν_i) X for each neuron.
    PerNeuron,
    /// The cheaper of the two for the shapes: pair products unless the triangles are so wide that
    /// the output leaves the caches between panels.
    Automatic,
}

/// `out[i, k(a, b)] ← α Σ_s ν[s, i] x[s, a] x[s, b] + β out[i, k(a, b)]` with the form chosen by
/// the shapes; see [`packed_grams_by`].
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`].
///
/// ```
/// use relfisher_core::{MatMut, MatRef, blas};
/// let (x, nu) = ([1.0, 2.0, 3.0, 4.0], [1.0, 0.5]);
/// let (mut out, mut work) = ([f64::NAN; 3], [f64::NAN; blas::packed_grams_workspace_len(2, 1, 2)]);
/// let (x, nu) = (MatRef::new(&x, 2, 2)?, MatRef::new(&nu, 2, 1)?);
/// blas::packed_grams(MatMut::new(&mut out, 1, 3)?, 0.0, 1.0, x, nu, &mut work)?;
/// assert_eq!(out, [5.5, 8.0, 12.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn packed_grams<T: Real>(
    out: MatMut<'_, T>,
    beta: T,
    alpha: T,
    x: MatRef<'_, T>,
    nu: MatRef<'_, T>,
    _work: &mut [T],
) -> Result<(), Error> {
    packed_grams_by(out, beta, alpha, x, nu, PackedForm::Automatic)
}

/// `out[i, k(a, b)] ← α Σ_s ν[s, i] x[s, a] x[s, b] + β out[i, k(a, b)]`, k(a, b) = a(a+1)/2 + b
/// for a ≥ b.
///
/// Shapes: x n×d, ν n×m, out m × d(d+1)/2, all with contiguous rows; ν of any sign. `beta = 0`
/// never reads `out`. m·n·d(d+1) FLOPs: only the lower triangles are formed.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`].
///
/// ```
/// use relfisher_core::blas::{PackedForm, packed_grams_by};
/// use relfisher_core::{MatMut, MatRef};
/// let (x, nu) = ([1.0, 2.0, 3.0, 4.0], [1.0, 0.5]);
/// let (x, nu) = (MatRef::new(&x, 2, 2)?, MatRef::new(&nu, 2, 1)?);
/// for form in [PackedForm::PairProducts, PackedForm::PerNeuron] {
///     let mut out = [f64::NAN; 3];
///     packed_grams_by(MatMut::new(&mut out, 1, 3)?, 0.0, 1.0, x, nu, form)?;
///     assert_eq!(out, [5.5, 8.0, 12.0]);
/// }
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn packed_grams_by<T: Real>(
    mut out: MatMut<'_, T>,
    beta: T,
    alpha: T,
    x: MatRef<'_, T>,
    nu: MatRef<'_, T>,
    form: PackedForm,
) -> Result<(), Error> {
    let (n, d, m) = (x.rows(), x.cols(), nu.cols());
    let pairs = packed_len(d);
    check_len("packed_grams: rows of nu", n, nu.rows())?;
    check_len("packed_grams: rows of out", m, out.rows())?;
    check_len("packed_grams: columns of out", pairs, out.cols())?;
    if !(x.rows_contiguous() && nu.rows_contiguous() && out.rows_contiguous()) {
        return Err(Error::Layout { what: "packed_grams: contiguous rows needed" });
    }
    let by_pairs = match form {
        PackedForm::PairProducts => true,
        PackedForm::PerNeuron => false,
        PackedForm::Automatic => d <= m.saturating_mul(4),
    };
    if by_pairs {
        let mut products = Pairs { x, row: 0, start: 0 };
        let mut sink = super::kernel::Dense(out);
        blocked(&mut sink, (beta, alpha), nu.t(), &mut products, pairs, Region::Full);
    } else {
        for i in 0..m {
            let mut columns = Columns { matrix: x, weight: |k| nu.at(k, i) };
            let mut sink = Triangle(out.row_mut(i));
            blocked(&mut sink, (beta, alpha), x.t(), &mut columns, d, Region::Lower);
        }
    }
    Ok(())
}

/// The workspace of [`packed_grams`] in elements.
#[inline]
pub const fn packed_grams_workspace_len(_n: usize, _m: usize, _d: usize) -> usize {
    0
}

/// Panels of the row-wise products x_a x_b in packed order. `row` and `start` are the triangle row
/// of the last panel and the packed index at which it starts.
struct Pairs<'a, T> {
    x: MatRef<'a, T>,
    row: usize,
    start: usize,
}

impl<T: Real> Panel<T> for Pairs<'_, T> {
    #[inline(always)]
    fn fill(&mut self, panel: &mut [[T; NR]], k0: usize, j: usize) {
        while j > self.start + self.row {
            self.start += self.row + 1;
            self.row += 1;
        }
        let (mut a, mut b) = (self.row, j - self.start);
        let mut lane = 0;
        while lane < NR {
            // past the last row of the triangle the slices are empty and the lanes become zero
            let width = (a + 1 - b).min(NR - lane);
            for (k, out) in panel.iter_mut().enumerate() {
                let row = self.x.row(k0 + k);
                let xa = row.get(a).copied().unwrap_or(T::ZERO);
                if width == NR {
                    *out = super::kernel::load(row.get(b..).unwrap_or(&[]));
                    for x in out {
                        *x *= xa;
                    }
                } else {
                    let out = out.iter_mut().skip(lane).take(width);
                    if a < row.len() {
                        for (o, x) in out.zip(row.iter().skip(b)) {
                            *o = xa * *x;
                        }
                    } else {
                        out.for_each(|o| *o = T::ZERO);
                    }
                }
            }
            lane += width;
            a += 1;
            b = 0;
        }
    }
}

/// `out_i ← block_i v_i` for every row i.
///
/// Shapes: symmetric packed blocks m × d(d+1)/2, v and out m×d, all with contiguous rows.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`].
///
/// ```
/// use relfisher_core::{MatMut, MatRef, blas};
/// let (block, v) = ([2.0, 1.0, 3.0], [1.0, 10.0]);
/// let mut out = [f64::NAN; 2];
/// let (block, v) = (MatRef::new(&block, 1, 3)?, MatRef::new(&v, 1, 2)?);
/// blas::packed_symv(MatMut::new(&mut out, 1, 2)?, block, v)?;
/// assert_eq!(out, [12.0, 31.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn packed_symv<T: Real>(
    mut out: MatMut<'_, T>,
    blocks: MatRef<'_, T>,
    v: MatRef<'_, T>,
) -> Result<(), Error> {
    let (m, d) = (v.rows(), v.cols());
    check_len("packed_symv: rows of out", m, out.rows())?;
    check_len("packed_symv: columns of out", d, out.cols())?;
    check_len("packed_symv: rows of blocks", m, blocks.rows())?;
    check_len("packed_symv: columns of blocks", packed_len(d), blocks.cols())?;
    if !(v.rows_contiguous() && blocks.rows_contiguous() && out.rows_contiguous()) {
        return Err(Error::Layout { what: "packed_symv: contiguous rows needed" });
    }
    for i in 0..m {
        let (out, mut rest, v) = (out.row_mut(i), blocks.row(i), v.row(i));
        for a in 0..d {
            let Some((row, after)) = rest.split_at_checked(a + 1) else { break };
            rest = after;
            let va = v.get(a).copied().unwrap_or(T::ZERO);
            let sum = dot(row, v);
            if let Some((done, last)) = out.split_at_mut_checked(a) {
                axpy(done, va, row);
                if let Some(last) = last.first_mut() {
                    *last = sum;
                }
            }
        }
    }
    Ok(())
}
