//! EKFAC: the diagonal of a layer's block in the eigenbasis of its Kronecker factors.
//!
//! The block is taken as `(U_G ⊗ U_A) diag(S) (U_G ⊗ U_A)ᵀ`. Of all diagonals S the one that is
//! nearest to the exact block in the Frobenius norm is the block's own diagonal in this basis, the
//! mean over samples (and columns) of the squared gradient along each basis vector,
//! `S_ij = E[(U_Gᵀ ∇ U_A)²_ij]`, so EKFAC is at least as near as K-FAC with the same basis (George et
//! al. 2018, proposition 1).

use super::share::positions;
use crate::error::{check_len, take_work};
use crate::factor::pivot_tolerance;
use crate::kron::in_basis;
use crate::metric::support::{carve, check_damping, check_matrix, check_rows};
use crate::{Backend, Error, MatMut, MatRef, Real};

/// The eigenvectors of both factors, in columns: those of
/// [`KronEigen`](crate::kron::KronEigen), for one.
#[derive(Clone, Copy, Debug)]
pub struct KronBasis<'a, T> {
    /// U_G, m×m.
    pub g: MatRef<'a, T>,
    /// U_A, d̃×d̃.
    pub a: MatRef<'a, T>,
}

impl<T: Real> KronBasis<'_, T> {
    /// Square, of order m and d̃.
    fn check(&self, m: usize, d: usize) -> Result<(), Error> {
        check_len("KronBasis: rows of g", m, self.g.rows())?;
        check_len("KronBasis: columns of g", m, self.g.cols())?;
        check_len("KronBasis: rows of a", d, self.a.rows())?;
        check_len("KronBasis: columns of a", d, self.a.cols())
    }
}

/// `out ← β out + α Σ_s Σ_c ((U_Gᵀ δ_cs)∘²)((U_Aᵀ x̃_s)∘²)ᵀ`, samples without shared weights.
///
/// Shapes: delta C·n × m (row c·n + s; C = 1 for a single column), x n×d̃, out m×d̃ with contiguous
/// rows. `beta` = 0 never reads `out`. Two rotations and one product of squares. `work`:
/// [`ekfac_scale_workspace_len`], may hold NaN.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`].
///
/// ```
/// use relfisher_core::curvature::{KronBasis, ekfac_scale, ekfac_scale_workspace_len};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let identity = [1.0, 0.0, 0.0, 1.0];
/// let basis = KronBasis { g: MatRef::new(&[1.0], 1, 1)?, a: MatRef::new(&identity, 2, 2)? };
/// let (delta, x) = ([2.0], [3.0, 1.0]);
/// let (mut out, mut work) = ([f64::NAN; 2], [f64::NAN; ekfac_scale_workspace_len(1, 1, 2)]);
/// let (delta, x) = (MatRef::new(&delta, 1, 1)?, MatRef::new(&x, 1, 2)?);
/// let o = MatMut::new(&mut out, 1, 2)?;
/// ekfac_scale(&Portable, o, 0.0, 1.0, basis, (delta, x), &mut work)?;
/// assert_eq!(out, [36.0, 4.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn ekfac_scale<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    out: MatMut<'_, T>,
    beta: T,
    alpha: T,
    basis: KronBasis<'_, T>,
    (delta, x): (MatRef<'_, T>, MatRef<'_, T>),
    work: &mut [T],
) -> Result<(), Error> {
    let (n, m, d) = (x.rows(), delta.cols(), x.cols());
    let columns = positions("ekfac_scale: rows of delta", delta.rows(), n)?;
    basis.check(m, d)?;
    check_matrix(("ekfac_scale: rows of out", "ekfac_scale: columns of out"), out.rb(), m, d)?;
    let mut rest = take_work(work, ekfac_scale_workspace_len(n, m, d))?;
    let rotated = carve(&mut rest, n.saturating_mul(m))?;
    let squares = carve(&mut rest, n.saturating_mul(m))?;
    let inputs = carve(&mut rest, n.saturating_mul(d))?;
    squares.fill(T::ZERO);
    for c in 0..columns {
        let column = delta.sub(c.wrapping_mul(n), 0, n, m)?;
        backend.gemm(MatMut::new(&mut *rotated, n, m)?, T::ZERO, T::ONE, column, basis.g)?;
        add_squares(squares, T::ONE, rotated);
    }
    backend.gemm(MatMut::new(&mut *inputs, n, d)?, T::ZERO, T::ONE, x, basis.a)?;
    for x in inputs.iter_mut() {
        *x = *x * *x;
    }
    let (squares, inputs) = (MatRef::new(squares, n, m)?, MatRef::new(inputs, n, d)?);
    backend.gemm(out, beta, alpha, squares.t(), inputs)
}

/// out += α x∘².
fn add_squares<T: Real>(out: &mut [T], alpha: T, x: &[T]) {
    for (o, x) in out.iter_mut().zip(x) {
        *o += alpha * (*x * *x);
    }
}

/// The workspace of [`ekfac_scale`] in elements: rotated columns and their squares (2n·m) and inputs
/// (n·d̃).
#[inline]
pub const fn ekfac_scale_workspace_len(n: usize, m: usize, d: usize) -> usize {
    n.saturating_mul(m).saturating_mul(2).saturating_add(n.saturating_mul(d))
}

/// `out ← out + α ((ΔU_G)ᵀ(P U_A))∘²`: one column of one sample whose weights are shared by T
/// positions, whose gradient is the sum ΔᵀP over them.
///
/// Shapes: delta T×m, patches T×d̃, out m×d̃ with contiguous rows, which is read. The cheaper order of
/// the products is taken: rotating positions or rotating their sum. `work`:
/// [`ekfac_scale_shared_workspace_len`].
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`].
///
/// ```
/// use relfisher_core::curvature::{KronBasis, ekfac_scale_shared, ekfac_scale_shared_workspace_len};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let basis = KronBasis { g: MatRef::new(&[1.0], 1, 1)?, a: MatRef::new(&[1.0], 1, 1)? };
/// let (delta, patches) = ([2.0, 1.0], [3.0, -1.0]); // two positions
/// let (mut out, mut work) = ([0.5], [f64::NAN; ekfac_scale_shared_workspace_len(2, 1, 1)]);
/// let (delta, patches) = (MatRef::new(&delta, 2, 1)?, MatRef::new(&patches, 2, 1)?);
/// let o = MatMut::new(&mut out, 1, 1)?;
/// ekfac_scale_shared(&Portable, o, 1.0, basis, (delta, patches), &mut work)?;
/// assert_eq!(out, [25.5]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn ekfac_scale_shared<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    mut out: MatMut<'_, T>,
    alpha: T,
    basis: KronBasis<'_, T>,
    (delta, patches): (MatRef<'_, T>, MatRef<'_, T>),
    work: &mut [T],
) -> Result<(), Error> {
    let (t, m, d) = (patches.rows(), delta.cols(), patches.cols());
    check_len("ekfac_scale_shared: rows of delta", t, delta.rows())?;
    basis.check(m, d)?;
    let names = ("ekfac_scale_shared: rows of out", "ekfac_scale_shared: columns of out");
    check_matrix(names, out.rb(), m, d)?;
    let mut rest = take_work(work, ekfac_scale_shared_workspace_len(t, m, d))?;
    let gradient = carve(&mut rest, m.saturating_mul(d))?;
    let (zero, one) = (T::ZERO, T::ONE);
    if sum_first(t, m, d) {
        let half = carve(&mut rest, m.saturating_mul(d))?;
        backend.gemm(MatMut::new(&mut *gradient, m, d)?, zero, one, delta.t(), patches)?;
        let sum = MatRef::new(&*gradient, m, d)?;
        backend.gemm(MatMut::new(&mut *half, m, d)?, zero, one, basis.g.t(), sum)?;
        let half = MatRef::new(half, m, d)?;
        backend.gemm(MatMut::new(&mut *gradient, m, d)?, zero, one, half, basis.a)?;
    } else {
        let outputs = carve(&mut rest, t.saturating_mul(m))?;
        let inputs = carve(&mut rest, t.saturating_mul(d))?;
        backend.gemm(MatMut::new(&mut *outputs, t, m)?, zero, one, delta, basis.g)?;
        backend.gemm(MatMut::new(&mut *inputs, t, d)?, zero, one, patches, basis.a)?;
        let (outputs, inputs) = (MatRef::new(outputs, t, m)?, MatRef::new(inputs, t, d)?);
        backend.gemm(MatMut::new(&mut *gradient, m, d)?, zero, one, outputs.t(), inputs)?;
    }
    for (i, row) in gradient.chunks(d.max(1)).enumerate() {
        add_squares(out.row_mut(i), alpha, row);
    }
    Ok(())
}

/// Whether rotating the sum (m·d̃ rows and columns) costs less than rotating T positions.
const fn sum_first(t: usize, m: usize, d: usize) -> bool {
    let sum = m.saturating_mul(d).saturating_mul(m.saturating_add(d));
    let each = t.saturating_mul(m.saturating_mul(m).saturating_add(d.saturating_mul(d)));
    sum <= each
}

/// The workspace of [`ekfac_scale_shared`] in elements: the gradient (m·d̃), and either half-rotated
/// (m·d̃) or the rotated positions (T·(m + d̃)).
#[inline]
pub const fn ekfac_scale_shared_workspace_len(positions: usize, m: usize, d: usize) -> usize {
    let gradient = m.saturating_mul(d);
    let more = if sum_first(positions, m, d) {
        gradient
    } else {
        positions.saturating_mul(m.saturating_add(d))
    };
    gradient.saturating_add(more)
}

/// `V ← U_G ((U_Gᵀ V U_A) / (S + λ)) U_Aᵀ`: the damped inverse applied to vec V in place.
///
/// Shapes: v and scale (S ≥ 0) m×d̃ with contiguous rows. `work`: [`ekfac_solve_workspace_len`].
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`]; [`Error::Parameter`] for λ;
/// [`Error::NonFinite`] for v or scale; with λ = 0 [`Error::NotPositiveDefinite`] naming the row of S
/// (block) and its column (pivot) where S is zero to working precision; a negative S below −λ too.
///
/// ```
/// use relfisher_core::curvature::{KronBasis, ekfac_solve, ekfac_solve_workspace_len};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let basis = KronBasis { g: MatRef::new(&[1.0], 1, 1)?, a: MatRef::new(&[1.0], 1, 1)? };
/// let (mut v, mut work) = ([6.0], [f64::NAN; ekfac_solve_workspace_len(1, 1)]);
/// let scale = MatRef::new(&[2.0], 1, 1)?;
/// ekfac_solve(&Portable, MatMut::new(&mut v, 1, 1)?, basis, scale, 1.0, &mut work)?;
/// assert_eq!(v, [2.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn ekfac_solve<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    v: MatMut<'_, T>,
    basis: KronBasis<'_, T>,
    scale: MatRef<'_, T>,
    lambda: T,
    work: &mut [T],
) -> Result<(), Error> {
    let work = check(&v, basis, scale, lambda, work)?;
    v.rb().check_finite("ekfac_solve: v")?;
    check_scale(scale, lambda)?;
    in_basis(backend, v, (basis.g, basis.a), work, |i, row| {
        for (x, s) in row.iter_mut().zip(scale.row(i)) {
            *x /= *s + lambda;
        }
    })
}

/// `V ← U_G ((U_Gᵀ V U_A) ∘ (S + λ)) U_Aᵀ`: the damped block itself applied to vec V in place.
///
/// Shapes as [`ekfac_solve`]; S of any sign.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`]; [`Error::Parameter`] for λ.
/// ```
/// use relfisher_core::curvature::{KronBasis, ekfac_apply, ekfac_apply_workspace_len};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let one = [1.0];
/// let basis = KronBasis { g: MatRef::new(&one, 1, 1)?, a: MatRef::new(&one, 1, 1)? };
/// let (mut v, mut work) = ([6.0], [f64::NAN; ekfac_apply_workspace_len(1, 1)]);
/// let scale = MatRef::new(&[2.0], 1, 1)?;
/// ekfac_apply(&Portable, MatMut::new(&mut v, 1, 1)?, basis, scale, 1.0, &mut work)?;
/// assert_eq!(v, [18.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn ekfac_apply<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    v: MatMut<'_, T>,
    basis: KronBasis<'_, T>,
    scale: MatRef<'_, T>,
    lambda: T,
    work: &mut [T],
) -> Result<(), Error> {
    let work = check(&v, basis, scale, lambda, work)?;
    in_basis(backend, v, (basis.g, basis.a), work, |i, row| {
        for (x, s) in row.iter_mut().zip(scale.row(i)) {
            *x *= *s + lambda;
        }
    })
}

/// Shapes, layout, damping and workspace.
fn check<'w, T: Real>(
    v: &MatMut<'_, T>,
    basis: KronBasis<'_, T>,
    scale: MatRef<'_, T>,
    lambda: T,
    work: &'w mut [T],
) -> Result<&'w mut [T], Error> {
    let (m, d) = (v.rows(), v.cols());
    basis.check(m, d)?;
    check_rows("ekfac: v", v.rb())?;
    check_matrix(("ekfac: rows of scale", "ekfac: columns of scale"), scale, m, d)?;
    check_damping(lambda)?;
    take_work(work, ekfac_solve_workspace_len(m, d))
}

/// S + λ > 0 everywhere, and without damping by more than rounding.
fn check_scale<T: Real>(scale: MatRef<'_, T>, lambda: T) -> Result<(), Error> {
    scale.check_finite("ekfac_solve: scale")?;
    let mut largest = T::ZERO;
    for i in 0..scale.rows() {
        largest = scale.row(i).iter().fold(largest, |m, s| m.max(*s));
    }
    let order = scale.rows().max(scale.cols());
    let floor = if lambda > T::ZERO { T::ZERO } else { pivot_tolerance::<T>(order) * largest };
    for i in 0..scale.rows() {
        if let Some(pivot) = scale.row(i).iter().position(|s| *s + lambda <= floor) {
            return Err(Error::NotPositiveDefinite { block: i, pivot });
        }
    }
    Ok(())
}

/// The workspace of [`ekfac_solve`] in elements: m·d̃.
#[inline]
pub const fn ekfac_solve_workspace_len(m: usize, d: usize) -> usize {
    m.saturating_mul(d)
}

/// The workspace of [`ekfac_apply`] in elements: that of [`ekfac_solve`].
#[inline]
pub const fn ekfac_apply_workspace_len(m: usize, d: usize) -> usize {
    ekfac_solve_workspace_len(m, d)
}
