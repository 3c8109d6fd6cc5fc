//! What one Gaussian vector says of another, from their covariances.
//!
//! For x and y with Cov(x, y) = C and Cov(y) = S the best linear prediction of x is Ψy with Ψ = CS⁻¹,
//! and ΨSΨᵀ = CS⁻¹Cᵀ is the part of Cov(x) that it explains. Block-tridiagonal K-FAC conditions every
//! layer on the next one in this way, for each factor by itself (Martens and Grosse 2015, §4.3).

use crate::error::check_len;
use crate::{Backend, Error, MatMut, MatRef, Real};

/// `ψ ← C S⁻¹` and `explained ← C S⁻¹ Cᵀ`, S = L Lᵀ by its Cholesky factor.
///
/// Shapes: psi and cross (C) p×q, explained p×p, l q×q, lower triangular with contiguous rows, as
/// [`Backend::cholesky`] writes it; contiguous rows for psi and explained. 2pq² + 2p²q FLOPs. Outputs
/// may hold NaN; `explained` is written symmetric.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::NotPositiveDefinite`] for a zero on the diagonal
/// of l.
///
/// ```
/// use relfisher_core::{MatMut, MatRef, Portable, kron};
/// let (c, l) = ([6.0, 1.0], [2.0, 0.0, 0.0, 1.0]); // S = diag(4, 1)
/// let (mut psi, mut explained) = ([f64::NAN; 2], [f64::NAN]);
/// let out = (MatMut::new(&mut psi, 1, 2)?, MatMut::new(&mut explained, 1, 1)?);
/// kron::regression(&Portable, out, MatRef::new(&c, 1, 2)?, MatRef::new(&l, 2, 2)?)?;
/// assert_eq!((psi, explained), ([1.5, 1.0], [10.0]));
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn regression<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    (mut psi, mut explained): (MatMut<'_, T>, MatMut<'_, T>),
    cross: MatRef<'_, T>,
    l: MatRef<'_, T>,
) -> Result<(), Error> {
    let (p, q) = (cross.rows(), cross.cols());
    check_len("regression: rows of psi", p, psi.rows())?;
    check_len("regression: columns of psi", q, psi.cols())?;
    check_len("regression: rows of explained", p, explained.rows())?;
    check_len("regression: columns of explained", p, explained.cols())?;
    check_len("regression: rows of l", q, l.rows())?;
    check_len("regression: columns of l", q, l.cols())?;
    if !(psi.rows_contiguous() && explained.rows_contiguous()) {
        return Err(Error::Layout { what: "regression: psi and explained need contiguous rows" });
    }
    for i in 0..p {
        for j in 0..q {
            psi.set(i, j, cross.at(i, j));
        }
    }
    // S is symmetric: Ψᵀ = S⁻¹Cᵀ.
    backend.cholesky_solve(psi.rb_mut().t(), l)?;
    backend.gemm(explained.rb_mut(), T::ZERO, T::ONE, psi.rb(), cross.t())?;
    for i in 0..p {
        for j in 0..i {
            let mean = T::HALF * (explained.at(i, j) + explained.at(j, i));
            explained.set(i, j, mean);
            explained.set(j, i, mean);
        }
    }
    Ok(())
}
