//! Products, forms and parts of G ⊗ A.

use crate::blas::vector::dot;
use crate::error::{check_len, take_work};
use crate::{Backend, Error, MatMut, MatRef, Real};

/// `Out ← G V Aᵀ`, that is vec(Out) = (G ⊗ A) vec(V).
///
/// Shapes: g p×m, a q×d, v m×d, out p×q (rectangular factors are allowed); any strides for the
/// inputs, contiguous rows or columns for `out`. `work`: [`apply_workspace_len`]`(p, d)`, may hold
/// NaN.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`].
///
/// ```
/// use relfisher_core::{MatMut, MatRef, Portable, kron};
/// let (g, a, v) = ([2.0, 0.0, 0.0, 3.0], [1.0, 1.0, 0.0, 1.0], [1.0, 2.0, 3.0, 4.0]);
/// let (mut out, mut work) = ([f64::NAN; 4], [f64::NAN; kron::apply_workspace_len(2, 2)]);
/// let (g, a, v) = (MatRef::new(&g, 2, 2)?, MatRef::new(&a, 2, 2)?, MatRef::new(&v, 2, 2)?);
/// kron::apply(&Portable, MatMut::new(&mut out, 2, 2)?, g, a, v, &mut work)?;
/// assert_eq!(out, [6.0, 4.0, 21.0, 12.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn apply<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    out: MatMut<'_, T>,
    g: MatRef<'_, T>,
    a: MatRef<'_, T>,
    v: MatRef<'_, T>,
    work: &mut [T],
) -> Result<(), Error> {
    check_len("kron apply: rows of out", g.rows(), out.rows())?;
    check_len("kron apply: columns of out", a.rows(), out.cols())?;
    check_len("kron apply: rows of v", g.cols(), v.rows())?;
    check_len("kron apply: columns of v", a.cols(), v.cols())?;
    let (p, d) = (g.rows(), v.cols());
    let work = take_work(work, apply_workspace_len(p, d))?;
    backend.gemm(MatMut::new(work, p, d)?, T::ZERO, T::ONE, g, v)?;
    backend.gemm(out, T::ZERO, T::ONE, MatRef::new(work, p, d)?, a.t())
}

/// The workspace of [`apply`] in elements: p·d for G V.
#[inline]
pub const fn apply_workspace_len(p: usize, d: usize) -> usize {
    p.saturating_mul(d)
}

/// `⟨vec V, (G ⊗ A) vec V⟩ = ⟨V, G V Aᵀ⟩`. Shapes: g m×m, a d×d, v m×d with contiguous rows.
/// `work`: [`quadratic_form_workspace_len`].
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`].
///
/// ```
/// use relfisher_core::{MatRef, Portable, kron};
/// let (g, a) = (MatRef::new(&[2.0], 1, 1)?, MatRef::new(&[1.0, 0.0, 0.0, 3.0], 2, 2)?);
/// let v = MatRef::new(&[1.0, 2.0], 1, 2)?;
/// let mut work = [f64::NAN; kron::quadratic_form_workspace_len(1, 2)];
/// assert_eq!(kron::quadratic_form(&Portable, g, a, v, &mut work)?, 26.0);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn quadratic_form<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    g: MatRef<'_, T>,
    a: MatRef<'_, T>,
    v: MatRef<'_, T>,
    work: &mut [T],
) -> Result<T, Error> {
    let (m, d) = (v.rows(), v.cols());
    let work = take_work(work, quadratic_form_workspace_len(m, d))?;
    if !v.rows_contiguous() {
        return Err(Error::Layout { what: "kron quadratic_form: v needs contiguous rows" });
    }
    let (out, work) = work
        .split_at_mut_checked(apply_workspace_len(m, d))
        .ok_or(Error::Layout { what: "kron quadratic_form: work" })?;
    apply(backend, MatMut::new(&mut *out, m, d)?, g, a, v, work)?;
    let out = MatRef::new(out, m, d)?;
    Ok((0..m).fold(T::ZERO, |sum, i| sum + dot(v.row(i), out.row(i))))
}

/// The workspace of [`quadratic_form`] in elements: 2·m·d.
#[inline]
pub const fn quadratic_form_workspace_len(m: usize, d: usize) -> usize {
    apply_workspace_len(m, d).saturating_mul(2)
}

/// `Out ← G ⊗ A`, dense. Shapes: g p×m, a q×d, out p·q × m·d. For tests and tiny layers only.
///
/// # Errors
/// [`Error::Shape`].
///
/// ```
/// use relfisher_core::{MatMut, MatRef, kron};
/// let mut out = [f64::NAN; 4];
/// let (g, a) = (MatRef::new(&[2.0], 1, 1)?, MatRef::new(&[1.0, 2.0, 3.0, 4.0], 2, 2)?);
/// kron::materialise(MatMut::new(&mut out, 2, 2)?, g, a)?;
/// assert_eq!(out, [2.0, 4.0, 6.0, 8.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn materialise<T: Real>(
    mut out: MatMut<'_, T>,
    g: MatRef<'_, T>,
    a: MatRef<'_, T>,
) -> Result<(), Error> {
    let (q, d) = (a.rows(), a.cols());
    check_len("kron materialise: rows of out", g.rows().saturating_mul(q), out.rows())?;
    check_len("kron materialise: columns of out", g.cols().saturating_mul(d), out.cols())?;
    for i in 0..g.rows() {
        for k in 0..g.cols() {
            for j in 0..q {
                for l in 0..d {
                    let (row, col) = (i.wrapping_mul(q), k.wrapping_mul(d));
                    out.set(row.wrapping_add(j), col.wrapping_add(l), g.at(i, k) * a.at(j, l));
                }
            }
        }
    }
    Ok(())
}

/// The trace of a square matrix.
fn trace_of<T: Real>(a: MatRef<'_, T>, what: &'static str) -> Result<T, Error> {
    check_len(what, a.rows(), a.cols())?;
    Ok((0..a.rows()).fold(T::ZERO, |sum, i| sum + a.at(i, i)))
}

/// `tr(G ⊗ A) = tr G · tr A`. Shapes: g m×m, a d×d.
///
/// # Errors
/// [`Error::Shape`] unless both are square.
///
/// ```
/// use relfisher_core::{MatRef, kron};
/// let (g, a) = (MatRef::new(&[2.0], 1, 1)?, MatRef::new(&[1.0, 0.0, 0.0, 3.0], 2, 2)?);
/// assert_eq!(kron::trace(g, a)?, 8.0);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn trace<T: Real>(g: MatRef<'_, T>, a: MatRef<'_, T>) -> Result<T, Error> {
    Ok(trace_of(g, "kron trace: g")? * trace_of(a, "kron trace: a")?)
}

/// `⟨G ⊗ A, H ⊗ B⟩_F = ⟨G, H⟩_F ⟨A, B⟩_F`. Shapes: g and h alike, a and b alike.
///
/// # Errors
/// [`Error::Shape`].
/// ```
/// use relfisher_core::{MatRef, kron};
/// let (g, a) = (MatRef::new(&[2.0], 1, 1)?, MatRef::new(&[1.0, 2.0, 3.0, 4.0], 2, 2)?);
/// assert_eq!(kron::frobenius_inner((g, a), (g, a))?, 4.0 * 30.0);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn frobenius_inner<T: Real>(
    (g, a): (MatRef<'_, T>, MatRef<'_, T>),
    (h, b): (MatRef<'_, T>, MatRef<'_, T>),
) -> Result<T, Error> {
    let inner = |x: MatRef<'_, T>, y: MatRef<'_, T>| -> Result<T, Error> {
        check_len("kron frobenius_inner: rows", x.rows(), y.rows())?;
        check_len("kron frobenius_inner: columns", x.cols(), y.cols())?;
        let mut sum = T::ZERO;
        for i in 0..x.rows() {
            for j in 0..x.cols() {
                sum += x.at(i, j) * y.at(i, j);
            }
        }
        Ok(sum)
    };
    Ok(inner(g, h)? * inner(a, b)?)
}

/// The diagonal of G ⊗ A as a matrix: `out[i, j] ← G_ii A_jj`. Shapes: g m×m, a d×d, out m×d.
///
/// # Errors
/// [`Error::Shape`].
/// ```
/// use relfisher_core::{MatMut, MatRef, kron};
/// let (g, a) = (MatRef::new(&[2.0], 1, 1)?, MatRef::new(&[1.0, 2.0, 3.0, 4.0], 2, 2)?);
/// let mut out = [f64::NAN; 2];
/// kron::diagonal(MatMut::new(&mut out, 1, 2)?, g, a)?;
/// assert_eq!(out, [2.0, 8.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn diagonal<T: Real>(
    mut out: MatMut<'_, T>,
    g: MatRef<'_, T>,
    a: MatRef<'_, T>,
) -> Result<(), Error> {
    check_len("kron diagonal: g", g.rows(), g.cols())?;
    check_len("kron diagonal: a", a.rows(), a.cols())?;
    check_len("kron diagonal: rows of out", g.rows(), out.rows())?;
    check_len("kron diagonal: columns of out", a.rows(), out.cols())?;
    for i in 0..g.rows() {
        for j in 0..a.rows() {
            out.set(i, j, g.at(i, i) * a.at(j, j));
        }
    }
    Ok(())
}

/// Row `index = i·q + j` of G ⊗ A as a matrix: `out[k, l] ← G_ik A_jl`. Shapes: g p×m, a q×d,
/// out m×d, index < p·q.
///
/// # Errors
/// [`Error::Shape`], [`Error::Parameter`] for an index outside.
///
/// ```
/// use relfisher_core::{MatMut, MatRef, kron};
/// let (g, a) = (MatRef::new(&[2.0], 1, 1)?, MatRef::new(&[1.0, 2.0, 3.0, 4.0], 2, 2)?);
/// let mut out = [f64::NAN; 2];
/// kron::row(MatMut::new(&mut out, 1, 2)?, g, a, 1)?;
/// assert_eq!(out, [6.0, 8.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn row<T: Real>(
    mut out: MatMut<'_, T>,
    g: MatRef<'_, T>,
    a: MatRef<'_, T>,
    index: usize,
) -> Result<(), Error> {
    check_len("kron row: rows of out", g.cols(), out.rows())?;
    check_len("kron row: columns of out", a.cols(), out.cols())?;
    let outside = Error::Parameter { what: "kron row: index outside the matrix" };
    let (i, j) = match (index.checked_div(a.rows()), index.checked_rem(a.rows())) {
        (Some(i), Some(j)) if i < g.rows() => (i, j),
        _ => return Err(outside),
    };
    for k in 0..g.cols() {
        for l in 0..a.cols() {
            out.set(k, l, g.at(i, k) * a.at(j, l));
        }
    }
    Ok(())
}

/// Column `index = k·d + l` of G ⊗ A as a matrix: `out[i, j] ← G_ik A_jl`. Shapes: g p×m, a q×d,
/// out p×q, index < m·d.
///
/// # Errors
/// [`Error::Shape`], [`Error::Parameter`] for an index outside.
/// ```
/// use relfisher_core::{MatMut, MatRef, kron};
/// let (g, a) = (MatRef::new(&[2.0], 1, 1)?, MatRef::new(&[1.0, 2.0, 3.0, 4.0], 2, 2)?);
/// let mut out = [f64::NAN; 2];
/// kron::column(MatMut::new(&mut out, 1, 2)?, g, a, 1)?;
/// assert_eq!(out, [4.0, 8.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn column<T: Real>(
    out: MatMut<'_, T>,
    g: MatRef<'_, T>,
    a: MatRef<'_, T>,
    index: usize,
) -> Result<(), Error> {
    row(out, g.t(), a.t(), index)
}
