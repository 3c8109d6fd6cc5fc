//! The full covariance of a normalisation's parameters.

use super::share::positions;
use crate::blas::gram_workspace_len;
use crate::error::{check_len, take_work};
use crate::metric::support::{carve, check_matrix, check_rows};
use crate::{Backend, Error, MatMut, MatRef, Real};

/// Samples whose gradients are formed at once.
const SAMPLES: usize = 64;

/// The gradients of a normalisation's parameters, `out_s ← [Σ_τ δ x̂, Σ_τ δ]` for every channel:
/// ∂/∂γ_c at 2c, ∂/∂β_c at 2c + 1, summed over the T = rows(x)/n positions of sample s.
///
/// Shapes: x̂ and delta n·T × c (row s·T + τ), out n × 2c, contiguous rows; T ≥ 1.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`].
/// ```
/// use relfisher_core::curvature::normalisation_gradients;
/// use relfisher_core::{MatMut, MatRef};
/// let (x, delta) = ([1.0, 2.0], [3.0, 4.0]); // one sample, two positions, one channel
/// let (mut out, x) = ([f64::NAN; 2], MatRef::new(&x, 2, 1)?);
/// normalisation_gradients(MatMut::new(&mut out, 1, 2)?, x, MatRef::new(&delta, 2, 1)?)?;
/// assert_eq!(out, [11.0, 7.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn normalisation_gradients<T: Real>(
    mut out: MatMut<'_, T>,
    x: MatRef<'_, T>,
    delta: MatRef<'_, T>,
) -> Result<(), Error> {
    let (n, c) = (out.rows(), x.cols());
    let positions = positions("normalisation_gradients: rows of x", x.rows(), n)?;
    let rows = x.rows();
    check_rows("normalisation_gradients: x", x)?;
    let names =
        ("normalisation_gradients: rows of delta", "normalisation_gradients: columns of delta");
    check_matrix(names, delta, rows, c)?;
    check_len("normalisation_gradients: columns of out", c.saturating_mul(2), out.cols())?;
    check_rows("normalisation_gradients: out", out.rb())?;
    for s in 0..n {
        let row = out.row_mut(s);
        row.fill(T::ZERO);
        for t in 0..positions {
            let place = s.wrapping_mul(positions).wrapping_add(t);
            let terms = x.row(place).iter().zip(delta.row(place));
            for ([gamma, beta], (x, d)) in row.as_chunks_mut::<2>().0.iter_mut().zip(terms) {
                *gamma += *d * *x;
                *beta += *d;
            }
        }
    }
    Ok(())
}

/// `out_c ← β out_c + α Σ_s (γγ, γβ, ββ)` of every channel, the 2 × 2 diagonal blocks of Σ_s u_s u_sᵀ
/// packed as [`metric::normalisation`](crate::metric::normalisation) packs them, from the rows u_s of
/// [`normalisation_gradients`]. Shapes: gradients n × 2c, out c × 3, contiguous rows. `beta` = 0 never
/// reads `out`.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`].
///
/// ```
/// use relfisher_core::curvature::normalisation_blocks;
/// use relfisher_core::{MatMut, MatRef};
/// let mut out = [f64::NAN; 3];
/// let gradients = MatRef::new(&[3.0, 2.0, 1.0, 0.0], 2, 2)?; // two samples of one channel
/// normalisation_blocks(MatMut::new(&mut out, 1, 3)?, 0.0, 0.5, gradients)?;
/// assert_eq!(out, [5.0, 3.0, 2.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn normalisation_blocks<T: Real>(
    mut out: MatMut<'_, T>,
    beta: T,
    alpha: T,
    gradients: MatRef<'_, T>,
) -> Result<(), Error> {
    let channels = out.rows();
    check_len("normalisation_blocks: columns of out", 3, out.cols())?;
    let columns = "normalisation_blocks: columns of gradients";
    check_len(columns, channels.saturating_mul(2), gradients.cols())?;
    check_rows("normalisation_blocks: out", out.rb())?;
    check_rows("normalisation_blocks: gradients", gradients)?;
    for c in 0..channels {
        for o in out.row_mut(c) {
            *o = if beta == T::ZERO { T::ZERO } else { beta * *o };
        }
    }
    for s in 0..gradients.rows() {
        let pairs = gradients.row(s).as_chunks::<2>().0;
        for (c, [gamma, shift]) in pairs.iter().enumerate() {
            let terms = [*gamma * *gamma, *gamma * *shift, *shift * *shift];
            for (o, term) in out.row_mut(c).iter_mut().zip(terms) {
                *o += alpha * term;
            }
        }
    }
    Ok(())
}

/// `out ← β out + α Σ_s u_s u_sᵀ`, u_s = [δ_s1 x̂_s1, δ_s1, δ_s2 x̂_s2, …]: the block of all (γ_c, β_c)
/// with the covariances between channels. Its 2 × 2 diagonal blocks are those of
/// [`metric::normalisation`](crate::metric::normalisation) with ν = δ².
///
/// Shapes: x̂ and delta n×c, out 2c×2c, contiguous rows. With several positions for each sample take
/// [`normalisation_gradients`] and their Gram matrix. `beta` = 0 never reads `out`, otherwise its
/// lower triangle is read; both are written. `work`: [`normalisation_full_workspace_len`].
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`].
///
/// ```
/// use relfisher_core::curvature::{normalisation_full, normalisation_full_workspace_len};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (x, delta) = ([3.0], [2.0]); // one sample of one channel
/// let (mut out, mut work) = ([f64::NAN; 4], [f64::NAN; normalisation_full_workspace_len(1, 1)]);
/// let (x, delta) = (MatRef::new(&x, 1, 1)?, MatRef::new(&delta, 1, 1)?);
/// normalisation_full(&Portable, MatMut::new(&mut out, 2, 2)?, 0.0, 1.0, x, delta, &mut work)?;
/// assert_eq!(out, [36.0, 12.0, 12.0, 4.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn normalisation_full<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    mut out: MatMut<'_, T>,
    beta: T,
    alpha: T,
    x: MatRef<'_, T>,
    delta: MatRef<'_, T>,
    work: &mut [T],
) -> Result<(), Error> {
    let (n, c) = (x.rows(), x.cols());
    let width = c.saturating_mul(2);
    let names = ("normalisation_full: rows of out", "normalisation_full: columns of out");
    check_matrix(names, out.rb(), width, width)?;
    check_rows("normalisation_full: x", x)?;
    let names = ("normalisation_full: rows of delta", "normalisation_full: columns of delta");
    check_matrix(names, delta, n, c)?;
    let mut rest = take_work(work, normalisation_full_workspace_len(n, c))?;
    let gradients = carve(&mut rest, n.min(SAMPLES).saturating_mul(width))?;
    let (mut first, mut keep) = (0, beta);
    loop {
        let rows = SAMPLES.min(n.saturating_sub(first));
        let mut u = MatMut::new(&mut *gradients, rows, width)?;
        normalisation_gradients(
            u.rb_mut(),
            x.sub(first, 0, rows, c)?,
            delta.sub(first, 0, rows, c)?,
        )?;
        backend.gram(out.rb_mut(), keep, alpha, u.rb(), None, rest)?;
        (first, keep) = (first.saturating_add(rows), T::ONE);
        if first >= n {
            return Ok(());
        }
    }
}

/// The workspace of [`normalisation_full`] in elements: the gradients of up to 64 samples, and that
/// of their Gram matrix.
#[inline]
pub const fn normalisation_full_workspace_len(n: usize, c: usize) -> usize {
    let rows = if n < SAMPLES { n } else { SAMPLES };
    let width = c.saturating_mul(2);
    rows.saturating_mul(width).saturating_add(gram_workspace_len(rows, width))
}
