//! What the uncertainty of the parameters does to the outputs.

use crate::blas::vector::dot;
use crate::curvature::positions;
use crate::error::{check_len, take_work};
use crate::metric::support::{carve, check_matrix, check_rows};
use crate::{Backend, Error, MatMut, MatRef, Real};

/// `out_s ← β out_s + J_s P⁻¹ J_sᵀ` (C×C) of one layer for every sample, in the basis where P⁻¹ is
/// diagonal: `out_s[c, c′] = Σ_ij u_csi u_c′si v_sj² V_ij`.
///
/// Row c of J_s is the derivative δ_cs x̃_sᵀ of output c. With Kronecker factors u = U_Gᵀδ, v = U_Aᵀx̃ and
/// V_ij = 1/(N g_i a_j + τ) (EKFAC: 1/(N S_ij + τ)); for a diagonal u = δ and v = x̃. J is never formed:
/// 2nmd + nC²m FLOPs.
///
/// Shapes: u C·n × m (row c·n + s), v n×d, variances m×d, out n × C² (one matrix a row, both triangles),
/// contiguous rows. `out` may hold NaN with β = 0. `work`: [`predictive_covariance_workspace_len`].
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`].
///
/// ```
/// use relfisher_core::laplace::{predictive_covariance, predictive_covariance_workspace_len};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (u, v, variances) = ([2.0], [3.0, 1.0], [0.5, 0.25]); // one sample, output, neuron
/// let mut work = [f64::NAN; predictive_covariance_workspace_len(1, 1, 2)];
/// let mut out = [f64::NAN];
/// let (u, v) = (MatRef::new(&u, 1, 1)?, MatRef::new(&v, 1, 2)?);
/// let variances = MatRef::new(&variances, 1, 2)?;
/// let to = MatMut::new(&mut out, 1, 1)?;
/// predictive_covariance(&Portable, to, 0.0, (u, v), variances, &mut work)?;
/// assert_eq!(out, [4.0 * (9.0 * 0.5 + 0.25)]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn predictive_covariance<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    mut out: MatMut<'_, T>,
    beta: T,
    (u, v): (MatRef<'_, T>, MatRef<'_, T>),
    variances: MatRef<'_, T>,
    work: &mut [T],
) -> Result<(), Error> {
    let (n, m, d) = (v.rows(), u.cols(), v.cols());
    let columns = positions("predictive_covariance: rows of u", u.rows(), n)?;
    check_rows("predictive_covariance: u", u)?;
    check_rows("predictive_covariance: v", v)?;
    let square = columns.saturating_mul(columns);
    let names = ("predictive_covariance: rows of out", "predictive_covariance: columns of out");
    check_matrix(names, out.rb(), n, square)?;
    let names =
        ("predictive_covariance: rows of variances", "predictive_covariance: columns of variances");
    check_matrix(names, variances, m, d)?;
    let mut rest = take_work(work, predictive_covariance_workspace_len(n, m, d))?;
    let mut squares = MatMut::new(carve(&mut rest, n.saturating_mul(d))?, n, d)?;
    let mut weights = MatMut::new(carve(&mut rest, n.saturating_mul(m))?, n, m)?;
    let scaled = carve(&mut rest, m)?;
    for s in 0..n {
        for (o, x) in squares.row_mut(s).iter_mut().zip(v.row(s)) {
            *o = *x * *x;
        }
    }
    backend.gemm(weights.rb_mut(), T::ZERO, T::ONE, squares.rb(), variances.t())?;
    for s in 0..n {
        for c in 0..columns {
            let row = u.row(c.wrapping_mul(n).wrapping_add(s));
            for ((o, x), w) in scaled.iter_mut().zip(row).zip(weights.row(s)) {
                *o = *x * *w;
            }
            for other in 0..=c {
                let sum = dot(scaled, u.row(other.wrapping_mul(n).wrapping_add(s)));
                let (below, above) = (c.wrapping_mul(columns), other.wrapping_mul(columns));
                let places = [below.wrapping_add(other), above.wrapping_add(c)];
                // The diagonal is one place.
                for at in places.iter().take(if other == c { 1 } else { 2 }) {
                    if let Some(o) = out.row_mut(s).get_mut(*at) {
                        *o = if beta == T::ZERO { sum } else { beta * *o + sum };
                    }
                }
            }
        }
    }
    Ok(())
}

/// The workspace of [`predictive_covariance`] in elements: squares n·d, weights n·m, and one row.
#[inline]
pub const fn predictive_covariance_workspace_len(n: usize, m: usize, d: usize) -> usize {
    n.saturating_mul(d).saturating_add(n.saturating_mul(m)).saturating_add(m)
}

/// `f_c ← f_c/√(1 + π v_c/8)`: logits whose soft-max (or sigmoid) approximates the mean prediction
/// under a Gaussian of means f and variances v. Equal lengths; negative variances (rounding) count as 0.
///
/// # Errors
/// [`Error::Shape`].
///
/// # References
/// D. Spiegelhalter, S. Lauritzen, 1990; D. MacKay, *The Evidence Framework Applied to Classification
/// Networks*, 1992; for several classes output by output, M. Gibbs, 1997.
///
/// ```
/// use relfisher_core::laplace::probit_logits;
/// let mut logits = [2.0, -1.0];
/// probit_logits(&mut logits, &[0.0, 24.0 / core::f64::consts::PI])?;
/// assert_eq!(logits, [2.0, -0.5]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn probit_logits<T: Real>(logits: &mut [T], variances: &[T]) -> Result<(), Error> {
    check_len("probit_logits: variances", logits.len(), variances.len())?;
    let share = T::from_f64(core::f64::consts::PI / 8.0);
    for (f, v) in logits.iter_mut().zip(variances) {
        let v = if *v < T::ZERO { T::ZERO } else { *v };
        *f /= (T::ONE + share * v).sqrt();
    }
    Ok(())
}
