//! Removal of one weight after the other with an inverse at hand, and inverses by rank-one updates.

use crate::blas::vector::{axpy, dot};
use crate::error::take_work;
use crate::factor::pivot_tolerance;
use crate::metric::support::{check_matrix, check_rows};
use crate::{Error, MatMut, MatRef, Real};

/// Removes weight `q` exactly: `w ← w − (w_q/[H⁻¹]_qq) H⁻¹e_q`, w_q = 0, and H⁻¹ becomes the inverse of H
/// without row and column q, with zeros there. What is removed already stays removed, so calls for
/// all q of a set, in any order, give the best weights without that set (Hassibi & Stork 1993).
/// Returns the cost ½ w_q²/\[H⁻¹\]_qq.
///
/// Shapes: w b, inverse b×b symmetric with contiguous rows; both are changed. 2b² FLOPs.
///
/// # Errors
/// [`Error::Shape`] (also for q ≥ b), [`Error::Layout`], [`Error::NotPositiveDefinite`] (pivot q) unless
/// \[H⁻¹\]_qq > 0 is finite, as where q is removed already.
///
/// ```
/// use relfisher_core::{MatMut, prune};
/// // H = [2 1; 1 2]: without w_1 the best w_0 is w_0 + w_1/2
/// let third = 1.0 / 3.0;
/// let mut inverse = [2.0 * third, -third, -third, 2.0 * third];
/// let mut w = [1.0_f64, 1.0];
/// let cost = prune::remove(&mut w, MatMut::new(&mut inverse, 2, 2)?, 1)?;
/// assert!((w[0] - 1.5).abs() < 1e-15 && w[1] == 0.0 && (cost - 0.75).abs() < 1e-15);
/// assert!((inverse[0] - 0.5).abs() < 1e-15 && inverse[1..] == [0.0; 3]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn remove<T: Real>(w: &mut [T], mut inverse: MatMut<'_, T>, q: usize) -> Result<T, Error> {
    let b = w.len();
    check_matrix(("remove: rows of inverse", "remove: columns of inverse"), inverse.rb(), b, b)?;
    let Some(weight) = w.get(q).copied() else {
        return Err(Error::Shape { what: "remove: q", expected: b.saturating_sub(1), found: q });
    };
    let pivot = inverse.at(q, q);
    if !(pivot > T::ZERO && pivot.is_finite()) {
        return Err(Error::NotPositiveDefinite { block: 0, pivot: q });
    }
    let (share, cost) = (weight / pivot, T::HALF * (weight / pivot) * weight);
    for i in 0..b {
        if i != q
            && let Some(x) = w.get_mut(i)
        {
            *x -= share * inverse.at(q, i);
        }
    }
    if let Some(x) = w.get_mut(q) {
        *x = T::ZERO;
    }
    // Row i loses (H⁻¹_iq/H⁻¹_qq)·row q; row q itself last.
    for i in 0..b {
        let factor = inverse.at(i, q) / pivot;
        if i == q || factor == T::ZERO {
            continue;
        }
        for j in 0..b {
            let value = inverse.at(i, j) - factor * inverse.at(q, j);
            inverse.set(i, j, value);
        }
    }
    for i in 0..b {
        inverse.set(q, i, T::ZERO);
        inverse.set(i, q, T::ZERO);
    }
    Ok(cost)
}

/// Removes weight (i, j) of a layer with H = G ⊗ A: `W ← W − (w_ij/([G⁻¹]_ii [A⁻¹]_jj)) (G⁻¹e_i)(A⁻¹e_j)ᵀ`,
/// w_ij = 0. One weight only: the inverse of what is left is no Kronecker product any more; for sets
/// there is [`kron_compensate`](super::kron_compensate). Returns the cost ½ w_ij²/([G⁻¹]_ii [A⁻¹]_jj).
///
/// Shapes: w m×d, g_inverse m×m, a_inverse d×d, contiguous rows. 2md FLOPs.
///
/// # Errors
/// [`Error::Shape`] (also for i ≥ m, j ≥ d), [`Error::Layout`], [`Error::NotPositiveDefinite`] (block 0 is
/// G, block 1 is A) for an element of a diagonal that is not positive and finite.
///
/// ```
/// use relfisher_core::{MatMut, MatRef, prune};
/// let (g, a) = ([1.0], [0.5, -0.25, -0.25, 0.5]);
/// let mut w = [1.0, 1.0];
/// let (g, a) = (MatRef::new(&g, 1, 1)?, MatRef::new(&a, 2, 2)?);
/// let cost = prune::kron_remove(MatMut::new(&mut w, 1, 2)?, (g, a), (0, 1))?;
/// assert_eq!((w, cost), ([1.5, 0.0], 1.0));
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn kron_remove<T: Real>(
    mut w: MatMut<'_, T>,
    (g_inverse, a_inverse): (MatRef<'_, T>, MatRef<'_, T>),
    (i, j): (usize, usize),
) -> Result<T, Error> {
    let (m, d) = (w.rows(), w.cols());
    check_rows("kron_remove: w", w.rb())?;
    let names = ("kron_remove: rows of g_inverse", "kron_remove: columns of g_inverse");
    check_matrix(names, g_inverse, m, m)?;
    let names = ("kron_remove: rows of a_inverse", "kron_remove: columns of a_inverse");
    check_matrix(names, a_inverse, d, d)?;
    if i >= m {
        return Err(Error::Shape {
            what: "kron_remove: i",
            expected: m.saturating_sub(1),
            found: i,
        });
    }
    if j >= d {
        return Err(Error::Shape {
            what: "kron_remove: j",
            expected: d.saturating_sub(1),
            found: j,
        });
    }
    for (block, pivot, at) in [(0, g_inverse.at(i, i), i), (1, a_inverse.at(j, j), j)] {
        if !(pivot > T::ZERO && pivot.is_finite()) {
            return Err(Error::NotPositiveDefinite { block, pivot: at });
        }
    }
    let weight = w.at(i, j);
    let share = weight / g_inverse.at(i, i) / a_inverse.at(j, j);
    for k in 0..m {
        axpy(w.row_mut(k), T::ZERO - share * g_inverse.at(i, k), a_inverse.row(j));
    }
    w.set(i, j, T::ZERO);
    Ok(T::HALF * share * weight)
}

/// `H⁻¹ ← (H + g gᵀ/N)⁻¹ = H⁻¹ − H⁻¹g gᵀH⁻¹/(N + gᵀH⁻¹g)` (Woodbury): from λ⁻¹I through the N gradients
/// of a data set to the inverse of the damped empirical Fisher matrix (Singh & Alistarh 2020, §3).
///
/// Shapes: inverse b×b, symmetric with contiguous rows, g b, N = `samples` > 0. `work`:
/// [`woodbury_update_workspace_len`]`(b)`, may hold NaN. 4b² FLOPs. Both triangles are written, bit by
/// bit equal.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`], [`Error::Parameter`] unless N > 0,
/// [`Error::NonFinite`] for g or a product that overflows, [`Error::NotPositiveDefinite`] where rounding
/// has made gᵀH⁻¹g negative.
///
/// ```
/// use relfisher_core::{MatMut, prune};
/// let (mut inverse, mut work) = ([1.0], [f64::NAN; prune::woodbury_update_workspace_len(1)]);
/// prune::woodbury_update(MatMut::new(&mut inverse, 1, 1)?, &[2.0], 4.0, &mut work)?;
/// assert_eq!(inverse, [0.5]); // 1/(1 + 2²/4)
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn woodbury_update<T: Real>(
    mut inverse: MatMut<'_, T>,
    g: &[T],
    samples: T,
    work: &mut [T],
) -> Result<(), Error> {
    let b = g.len();
    let names = ("woodbury_update: rows of inverse", "woodbury_update: columns of inverse");
    check_matrix(names, inverse.rb(), b, b)?;
    if !(samples > T::ZERO && samples.is_finite()) {
        return Err(Error::Parameter { what: "the number of samples must be finite and > 0" });
    }
    let product = take_work(work, woodbury_update_workspace_len(b))?;
    if let Some(index) = g.iter().position(|x| !x.is_finite()) {
        return Err(Error::NonFinite { what: "woodbury_update: g", index });
    }
    for (i, o) in product.iter_mut().enumerate() {
        *o = dot(inverse.row(i), g);
    }
    let form = dot(product, g);
    let whole = samples + form;
    if !whole.is_finite() {
        return Err(Error::NonFinite { what: "woodbury_update: inverse", index: 0 });
    }
    // A form of rounding errors around zero is no reason to stop.
    let floor = pivot_tolerance::<T>(b) * samples;
    if form < T::ZERO - floor {
        return Err(Error::NotPositiveDefinite { block: 0, pivot: 0 });
    }
    for i in 0..b {
        let factor = product.get(i).copied().unwrap_or(T::ZERO) / whole;
        if factor == T::ZERO {
            continue;
        }
        let upto = i.wrapping_add(1).min(b);
        for (o, p) in inverse.row_mut(i).iter_mut().zip(product.iter()).take(upto) {
            *o -= factor * *p;
        }
    }
    crate::blas::mirror(&mut inverse);
    Ok(())
}

/// The workspace of [`woodbury_update`] in elements: H⁻¹g, b.
#[inline]
pub const fn woodbury_update_workspace_len(b: usize) -> usize {
    b
}
