//! The exact block of a layer, `Σ_s 𝓗_s ⊗ x̃_s x̃_sᵀ`, and its diagonal.

use crate::blas::packed_grams_workspace_len;
use crate::error::take_work;
use crate::kron::packed_len;
use crate::metric::support::{carve, check_matrix, check_rows};
use crate::{Backend, Error, MatMut, MatRef, Real};

/// Pairs of outputs whose (d̃, d̃) blocks are formed at once.
const PAIRS: usize = 16;
/// Samples whose inputs are squared at once.
const SAMPLES: usize = 64;

/// `out ← α Σ_s 𝓗_s ⊗ x̃_s x̃_sᵀ`, dense: the exact Gauss–Newton or Hessian block of a layer with
/// α = 1/n (S1; Botev et al. 2017, eq. 7).
///
/// Shapes: h n × m(m+1)/2, packed symmetric 𝓗_s of any sign, x n×d̃, out p×p with p = m·d̃, all with
/// contiguous rows. Both triangles are written, equal to the bit. n·m(m+1)/2·d̃(d̃+1) FLOPs; for layers
/// whose p² fits in memory. `work`: [`exact_block_workspace_len`], may hold NaN.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`].
///
/// ```
/// use relfisher_core::curvature::{exact_block, exact_block_workspace_len};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (h, x) = ([2.0, -1.0, 3.0], [5.0]); // one sample, two outputs, one input
/// let (mut out, mut work) = ([f64::NAN; 4], [f64::NAN; exact_block_workspace_len(1, 2, 1)]);
/// let (h, x) = (MatRef::new(&h, 1, 3)?, MatRef::new(&x, 1, 1)?);
/// exact_block(&Portable, MatMut::new(&mut out, 2, 2)?, h, x, 1.0, &mut work)?;
/// assert_eq!(out, [50.0, -25.0, -25.0, 75.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn exact_block<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    mut out: MatMut<'_, T>,
    h: MatRef<'_, T>,
    x: MatRef<'_, T>,
    alpha: T,
    work: &mut [T],
) -> Result<(), Error> {
    let (n, d) = (x.rows(), x.cols());
    let m = super::output::order(h.cols());
    let (pairs, p) = (packed_len(m), m.saturating_mul(d));
    check_matrix(("exact_block: rows of h", "exact_block: columns of h"), h, n, pairs)?;
    check_rows("exact_block: x", x)?;
    // with d̃ = 0 the block is empty whatever m
    check_matrix(("exact_block: rows of out", "exact_block: columns of out"), out.rb(), p, p)?;
    let mut rest = take_work(work, exact_block_workspace_len(n, m, d))?;
    let width = packed_len(d);
    let blocks = carve(&mut rest, pairs.min(PAIRS).saturating_mul(width))?;
    let (mut i, mut j) = (0, 0);
    for first in (0..pairs).step_by(PAIRS) {
        let count = PAIRS.min(pairs.saturating_sub(first));
        let mut blocks = MatMut::new(&mut *blocks, count, width)?;
        let weights = h.sub(0, first, n, count)?;
        backend.packed_grams(blocks.rb_mut(), T::ZERO, alpha, x, weights, rest)?;
        for k in 0..count {
            place(&mut out, blocks.row(k), (i, j), d);
            (i, j) = if i == j { (i.wrapping_add(1), 0) } else { (i, j.wrapping_add(1)) };
        }
    }
    Ok(())
}

/// Writes a packed symmetric d×d block at (i, j) and (j, i) of the matrix of blocks.
fn place<T: Real>(out: &mut MatMut<'_, T>, packed: &[T], (i, j): (usize, usize), d: usize) {
    for (i, j) in [(i, j), (j, i)] {
        let (top, left) = (i.wrapping_mul(d), j.wrapping_mul(d));
        for a in 0..d {
            let row = out.row_mut(top.wrapping_add(a)).get_mut(left..).unwrap_or(&mut []);
            let start = packed_len(a);
            let (mut next, mut step) = (start, 1);
            for (b, o) in row.iter_mut().take(d).enumerate() {
                *o = packed.get(next).copied().unwrap_or(T::ZERO);
                // along row a of the triangle, then down its column a
                if b >= a {
                    step = b.wrapping_add(1);
                }
                next = next.wrapping_add(step);
            }
        }
    }
}

/// The workspace of [`exact_block`] in elements: up to 16 packed blocks, and that of their product.
#[inline]
pub const fn exact_block_workspace_len(n: usize, m: usize, d: usize) -> usize {
    let pairs = packed_len(m);
    let pairs = if pairs < PAIRS { pairs } else { PAIRS };
    pairs.saturating_mul(packed_len(d)).saturating_add(packed_grams_workspace_len(n, pairs, d))
}

/// `out[i, a] ← α Σ_s h[s, i] x̃[s, a]²`: the diagonal of [`exact_block`] as a matrix, from the diagonal
/// of 𝓗_s.
///
/// Shapes: h n×m, x n×d̃, out m×d̃, contiguous rows. `work`: [`exact_diagonal_workspace_len`].
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`].
///
/// ```
/// use relfisher_core::curvature::{exact_diagonal, exact_diagonal_workspace_len};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (h, x) = ([2.0, -1.0], [5.0]);
/// let (mut out, mut work) = ([f64::NAN; 2], [f64::NAN; exact_diagonal_workspace_len(1, 1)]);
/// let (h, x) = (MatRef::new(&h, 1, 2)?, MatRef::new(&x, 1, 1)?);
/// exact_diagonal(&Portable, MatMut::new(&mut out, 2, 1)?, h, x, 1.0, &mut work)?;
/// assert_eq!(out, [50.0, -25.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn exact_diagonal<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    mut out: MatMut<'_, T>,
    h: MatRef<'_, T>,
    x: MatRef<'_, T>,
    alpha: T,
    work: &mut [T],
) -> Result<(), Error> {
    let (n, m, d) = (x.rows(), h.cols(), x.cols());
    check_matrix(("exact_diagonal: rows of h", "exact_diagonal: columns of h"), h, n, m)?;
    check_rows("exact_diagonal: x", x)?;
    let names = ("exact_diagonal: rows of out", "exact_diagonal: columns of out");
    check_matrix(names, out.rb(), m, d)?;
    let work = take_work(work, exact_diagonal_workspace_len(n, d))?;
    let (mut first, mut beta) = (0, T::ZERO);
    loop {
        let rows = SAMPLES.min(n.saturating_sub(first));
        let mut squares = MatMut::new(&mut *work, rows, d)?;
        for s in 0..rows {
            for (o, x) in squares.row_mut(s).iter_mut().zip(x.row(first.saturating_add(s))) {
                *o = *x * *x;
            }
        }
        let weights = h.sub(first, 0, rows, m)?;
        backend.gemm(out.rb_mut(), beta, alpha, weights.t(), squares.rb())?;
        (first, beta) = (first.saturating_add(rows), T::ONE);
        if first >= n {
            return Ok(());
        }
    }
}

/// The workspace of [`exact_diagonal`] in elements: the squares of up to 64 inputs.
#[inline]
pub const fn exact_diagonal_workspace_len(n: usize, d: usize) -> usize {
    let rows = if n < SAMPLES { n } else { SAMPLES };
    rows.saturating_mul(d)
}
