//! The Lanczos recurrence with full reorthogonalisation, deflation and thick restart.

use super::tridiagonal::check_finite;
use crate::blas::vector::{copy, norm};
use crate::error::{check_len, take_work};
use crate::{Backend, Error, MatMut, MatRef, Real};

/// The columns over which one product of an orthogonalisation sums: long enough to be shared by
/// threads, short enough that the rounding errors of a sum over millions stay small.
const COLUMNS: usize = 1 << 16;
/// The most passes of an orthogonalisation; two are enough unless nothing is left of the vector.
const PASSES: usize = 4;
/// A coupling below this many ε times the norm of A is rounding: the subspace is invariant.
const NEGLIGIBLE: f64 = 64.0;

/// What to do after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Multiply A by [`Lanczos::next_vector`] and call [`Lanczos::advance`].
    Continue,
    /// The basis spans an invariant subspace: its Ritz pairs are eigenpairs. Finish, or go on in the
    /// complement with another vector ([`Lanczos::start`]): the repeated eigenvalues, and those
    /// that the first vector had no part in, are there.
    Breakdown,
    /// The basis is full: finish, or [`Lanczos::restart`].
    Full,
}

/// Lanczos for a symmetric A of order n, driven by the caller: A is only ever multiplied by
/// [`Lanczos::next_vector`], outside.
///
/// After k steps the rows v_0 … v_{k−1} of the basis are orthonormal, orthogonal to the locked
/// vectors, and `A V = V T + β_{k−1} v_k e_{k−1}ᵀ` up to components along the locked vectors, with T
/// tridiagonal: diagonal `alpha`, off-diagonal `beta`. Every new vector is orthogonalised against
/// all earlier ones until its norm stays (C. C. Paige, 1972; J. W. Daniel, W. B. Gragg, L. Kaufman,
/// G. W. Stewart, 1976), so Ritz values have no spurious copies.
///
/// After [`Lanczos::restart`] with p kept vectors (K. Wu, H. Simon, *Thick-Restart Lanczos Method
/// for Large Symmetric Eigenvalue Problems*, 2000) T is an arrow followed by a tridiagonal matrix:
/// `beta[i]` for i < p couples v_i with v_p, and `beta[i]` for i ≥ p couples v_i with v_{i+1}.
///
/// Memory: (capacity + 1)·n elements for the basis, all owned by the caller.
/// ```
/// use relfisher_core::stats::{Lanczos, Step, lanczos_workspace_len};
/// use relfisher_core::{MatMut, MatRef, Portable, factor};
/// const N: usize = 3;
/// let apply = |v: &[f64]| [v[0], 2.0 * v[1], 5.0 * v[2]]; // A = diag(1, 2, 5)
/// let (mut basis, mut alpha, mut beta) = ([f64::NAN; (N + 1) * N], [f64::NAN; N], [f64::NAN; N]);
/// let mut work = [f64::NAN; lanczos_workspace_len(N, 0)];
/// let (basis, locked) = (MatMut::new(&mut basis, N + 1, N)?, MatRef::new(&[], 0, N)?);
/// let mut lanczos = Lanczos::new(basis, &mut alpha, &mut beta, locked, 0.0, &mut work)?;
/// assert!(lanczos.is_empty());
/// let mut step = lanczos.start(&Portable, &[1.0, 1.0, 1.0])?;
/// while step == Step::Continue {
///     let product = apply(lanczos.next_vector());
///     step = lanczos.advance(&Portable, &product)?;
/// }
/// assert_eq!((lanczos.len(), lanczos.kept(), lanczos.basis()?.rows()), (N, 0, N));
/// assert!((lanczos.alpha().iter().sum::<f64>() - 8.0).abs() < 1e-12); // the trace
/// assert!(lanczos.beta()[N - 1].abs() < 1e-12 && lanczos.scale() <= 5.0 + 1e-12);
///
/// let (mut values, mut bounds, mut s) = ([f64::NAN; N], [f64::NAN; N], [f64::NAN; N * N]);
/// let mut work = [f64::NAN; factor::eigh_workspace_len(N)];
/// lanczos.ritz(&Portable, &mut values, &mut bounds, MatMut::new(&mut s, N, N)?, &mut work)?;
/// assert!(values.iter().zip([1.0, 2.0, 5.0]).all(|(a, b)| (a - b).abs() < 1e-12));
/// let mut vectors = [f64::NAN; N * N]; // eigenvectors in rows
/// lanczos.combine(&Portable, MatMut::new(&mut vectors, N, N)?, MatRef::new(&s, N, N)?)?;
/// assert!((vectors[0].abs() - 1.0).abs() < 1e-12);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Lanczos<'a, T> {
    pub(super) basis: MatMut<'a, T>,
    locked: MatRef<'a, T>,
    pub(super) alpha: &'a mut [T],
    pub(super) beta: &'a mut [T],
    coefficients: &'a mut [T],
    pub(super) len: usize,
    pub(super) kept: usize,
    pub(super) next: NextVector,
    scale: T,
}

/// Whether the row behind the basis, row [`Lanczos::len`], holds the next vector.
/// ```
/// use relfisher_core::stats::{LanczosState, NextVector};
/// assert_eq!(LanczosState::<f64>::default().next, NextVector::Vacant);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NextVector {
    /// It does not: the recurrence was not started, or broke down.
    #[default]
    Vacant,
    /// It does.
    Ready,
}

/// What a recurrence knows beside the contents of its memory; the default is an empty recurrence.
///
/// With it, [`Lanczos::resume`] goes on over the same memory: for callers that cannot keep a borrow from
/// one step to the next, as those in other languages.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LanczosState<T> {
    /// The steps taken, k.
    pub len: usize,
    /// The first basis vectors that are kept Ritz vectors, at most k.
    pub kept: usize,
    /// Whether row k of the basis holds the next vector.
    pub next: NextVector,
    /// A lower bound of ‖A‖.
    pub scale: T,
}

impl<'a, T: Real> Lanczos<'a, T> {
    /// An empty recurrence of at most `alpha.len()` steps.
    ///
    /// Shapes: basis (capacity + 1) × n with contiguous rows, alpha and beta capacity, locked l × n
    /// with orthonormal rows (0 × n for none): vectors that are projected out of every product.
    /// `scale` is a lower bound of ‖A‖ that is known from before, 0 if none. `work`:
    /// [`lanczos_workspace_len`]`(capacity, l)`. Basis, alpha, beta and work may hold NaN.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`]; [`Error::Parameter`] when scale is
    /// negative or not finite.
    pub fn new(
        basis: MatMut<'a, T>,
        alpha: &'a mut [T],
        beta: &'a mut [T],
        locked: MatRef<'a, T>,
        scale: T,
        work: &'a mut [T],
    ) -> Result<Self, Error> {
        let state = LanczosState { len: 0, kept: 0, next: NextVector::Vacant, scale };
        Self::resume(basis, alpha, beta, locked, state, work)
    }

    /// The recurrence that [`Lanczos::state`] was taken of, over the same basis, alpha, beta and locked
    /// vectors with the contents that it left there. Shapes as in [`Lanczos::new`]; only `work` may hold
    /// anything.
    ///
    /// # Errors
    /// Those of [`Lanczos::new`]; [`Error::Parameter`] for a state of more steps than alpha has room for, or
    /// that keeps more vectors than it has.
    ///
    /// ```
    /// use relfisher_core::stats::{Lanczos, LanczosState, Step, lanczos_workspace_len};
    /// use relfisher_core::{MatMut, MatRef, Portable};
    /// const N: usize = 3;
    /// let (mut basis, mut alpha, mut beta) = ([f64::NAN; (N + 1) * N], [f64::NAN; N], [f64::NAN; N]);
    /// let (mut state, mut product) = (LanczosState::default(), [1.0; N]);
    /// loop {
    ///     let mut work = [f64::NAN; lanczos_workspace_len(N, 0)];
    ///     let (memory, locked) = (MatMut::new(&mut basis, N + 1, N)?, MatRef::new(&[], 0, N)?);
    ///     let mut lanczos =
    ///         Lanczos::resume(memory, &mut alpha, &mut beta, locked, state, &mut work)?;
    ///     let step = match lanczos.next_vector().is_empty() {
    ///         true => lanczos.start(&Portable, &product)?,
    ///         false => lanczos.advance(&Portable, &product)?,
    ///     };
    ///     let v = lanczos.next_vector();
    ///     if step != Step::Continue {
    ///         break;
    ///     }
    ///     product = [v[0], 2.0 * v[1], 5.0 * v[2]]; // A = diag(1, 2, 5)
    ///     state = lanczos.state();
    /// }
    /// assert!((alpha.iter().sum::<f64>() - 8.0).abs() < 1e-12); // the trace
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn resume(
        basis: MatMut<'a, T>,
        alpha: &'a mut [T],
        beta: &'a mut [T],
        locked: MatRef<'a, T>,
        state: LanczosState<T>,
        work: &'a mut [T],
    ) -> Result<Self, Error> {
        let capacity = alpha.len();
        check_len("lanczos: rows of basis", capacity.saturating_add(1), basis.rows())?;
        check_len("lanczos: beta", capacity, beta.len())?;
        check_len("lanczos: columns of locked", basis.cols(), locked.cols())?;
        if !basis.rows_contiguous() || basis.row_stride() < basis.cols() {
            return Err(Error::Layout { what: "lanczos: basis needs contiguous rows" });
        }
        let LanczosState { len, kept, next, scale } = state;
        if !(scale >= T::ZERO && scale.is_finite()) {
            return Err(Error::Parameter { what: "lanczos: scale must be finite and >= 0" });
        }
        if len > capacity || kept > len {
            return Err(Error::Parameter { what: "lanczos: the state does not fit the memory" });
        }
        let coefficients = take_work(work, lanczos_workspace_len(capacity, locked.rows()))?;
        Ok(Self { basis, locked, alpha, beta, coefficients, len, kept, next, scale })
    }

    /// What [`Lanczos::resume`] needs beside the memory.
    #[inline]
    pub const fn state(&self) -> LanczosState<T> {
        LanczosState { len: self.len, kept: self.kept, next: self.next, scale: self.scale }
    }

    /// The steps taken: the order of T.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no step was taken.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first basis vectors that are kept Ritz vectors: p of the last restart, else 0.
    #[inline]
    pub const fn kept(&self) -> usize {
        self.kept
    }

    /// The diagonal of T.
    #[inline]
    pub fn alpha(&self) -> &[T] {
        self.alpha.get(..self.len).unwrap_or(&[])
    }

    /// The couplings of T and, last, the norm of the residual: 0 after a breakdown.
    #[inline]
    pub fn beta(&self) -> &[T] {
        self.beta.get(..self.len).unwrap_or(&[])
    }

    /// The largest ‖A v‖ met: a lower bound of ‖A‖.
    #[inline]
    pub const fn scale(&self) -> T {
        self.scale
    }

    /// The orthonormal vectors v_0 … v_{k−1}, k × n.
    ///
    /// # Errors
    /// None: the shape is right by construction.
    pub fn basis(&self) -> Result<MatRef<'_, T>, Error> {
        self.basis.rb().sub(0, 0, self.len, self.basis.cols())
    }

    /// The unit vector to multiply by A; empty when there is none ([`Step::Breakdown`],
    /// [`Step::Full`]).
    #[inline]
    pub fn next_vector(&self) -> &[T] {
        match self.next {
            NextVector::Ready if self.len < self.alpha.len() => self.basis.row(self.len),
            _ => &[],
        }
    }

    /// Begins with the direction of `v` (n), or goes on with it after a breakdown, orthogonalised
    /// against everything before.
    ///
    /// [`Step::Breakdown`] when nothing of v is left (try another one; with n vectors in the basis
    /// and the locked set there is none), [`Step::Full`] when the basis has no room.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NonFinite`]; [`Error::Parameter`] when the recurrence waits for a
    /// product.
    #[inline(always)]
    pub fn start<B: Backend<T> + ?Sized>(&mut self, backend: &B, v: &[T]) -> Result<Step, Error> {
        let n = self.basis.cols();
        check_len("lanczos: start vector", n, v.len())?;
        check_finite("lanczos: start vector", v)?;
        if self.len >= self.alpha.len() {
            return Ok(Step::Full);
        }
        if self.next == NextVector::Ready {
            return Err(Error::Parameter { what: "lanczos: a vector waits for its product" });
        }
        if self.len.saturating_add(self.locked.rows()) >= n {
            return Ok(Step::Breakdown);
        }
        let (rows, next) = split_row(&mut self.basis, self.len)?;
        copy(next, v);
        let whole = norm(next);
        if !normalise(next, whole) {
            return Ok(Step::Breakdown);
        }
        let mut project = Projection { locked: self.locked, rows, work: self.coefficients };
        let rest = project.stable(backend, next, T::ONE)?;
        if rest <= T::from_f64(NEGLIGIBLE) * T::EPSILON || !normalise(next, rest) {
            return Ok(Step::Breakdown);
        }
        self.next = NextVector::Ready;
        Ok(Step::Continue)
    }

    /// Takes `product` = A·[`Lanczos::next_vector`] (n) and prepares the next vector.
    ///
    /// # Errors
    /// [`Error::Shape`]; [`Error::NonFinite`] naming the element of the product;
    /// [`Error::Parameter`] when there is no vector to multiply.
    #[inline(always)]
    pub fn advance<B: Backend<T> + ?Sized>(
        &mut self,
        backend: &B,
        product: &[T],
    ) -> Result<Step, Error> {
        let (k, n) = (self.len, self.basis.cols());
        check_len("lanczos: product", n, product.len())?;
        if self.next != NextVector::Ready || k >= self.alpha.len() {
            return Err(Error::Parameter { what: "lanczos: no vector waits for a product" });
        }
        check_finite("lanczos: product", product)?;
        let (rows, next) = split_row(&mut self.basis, k.wrapping_add(1))?;
        copy(next, product);
        let whole = norm(next);
        self.scale = self.scale.max(whole);
        // the vectors that T couples with v_k first: the rest of the product is orthogonal to all
        // others but for rounding
        let first = if k > self.kept { k.wrapping_sub(1) } else { 0 };
        let near = rows.sub(first, 0, rows.rows().saturating_sub(first), n)?;
        let mut diagonal = subtract(backend, next, near, self.coefficients)?;
        let size = norm(next);
        let mut project = Projection { locked: self.locked, rows, work: self.coefficients };
        let (size, correction) = project.corrected(backend, next, size)?;
        diagonal += correction;
        let coupled = size > T::from_f64(NEGLIGIBLE) * T::EPSILON * self.scale;
        let coupled = coupled && normalise(next, size);
        if let (Some(a), Some(b)) = (self.alpha.get_mut(k), self.beta.get_mut(k)) {
            (*a, *b) = (diagonal, if coupled { size } else { T::ZERO });
        }
        self.len = k.wrapping_add(1);
        self.next = if coupled { NextVector::Ready } else { NextVector::Vacant };
        Ok(match (coupled, self.len < self.alpha.len()) {
            (_, false) => Step::Full,
            (true, true) => Step::Continue,
            (false, true) => Step::Breakdown,
        })
    }
}

/// The workspace of a [`Lanczos`] recurrence: the coefficients of one vector along the basis or
/// along the locked vectors.
#[inline]
pub const fn lanczos_workspace_len(capacity: usize, locked: usize) -> usize {
    let rows = capacity.saturating_add(1);
    if rows > locked { rows } else { locked }
}

/// What a vector is made orthogonal to.
struct Projection<'b, T> {
    locked: MatRef<'b, T>,
    rows: MatRef<'b, T>,
    work: &'b mut [T],
}

impl<T: Real> Projection<'_, T> {
    /// Passes until the norm stays; the norm left of a vector of norm `before`.
    #[inline(always)]
    fn stable<B: Backend<T> + ?Sized>(
        &mut self,
        backend: &B,
        w: &mut [T],
        before: T,
    ) -> Result<T, Error> {
        Ok(self.corrected(backend, w, before)?.0)
    }

    /// The same, and the sum of the coefficients along the last row.
    #[inline(always)]
    fn corrected<B: Backend<T> + ?Sized>(
        &mut self,
        backend: &B,
        w: &mut [T],
        mut before: T,
    ) -> Result<(T, T), Error> {
        let mut last = T::ZERO;
        for _ in 0..PASSES {
            subtract(backend, w, self.locked, self.work)?;
            last += subtract(backend, w, self.rows, self.work)?;
            let after = norm(w);
            // ‖after‖ ≥ 0.7 ‖before‖: what was subtracted did not cancel the rest
            if after >= T::from_f64(0.7) * before {
                return Ok((after, last));
            }
            before = after;
        }
        Ok((before, last))
    }
}

/// `w ← w − Vᵀ V w` for the rows V (k × n) and the coefficient along the last of them.
#[inline(always)]
fn subtract<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    w: &mut [T],
    rows: MatRef<'_, T>,
    work: &mut [T],
) -> Result<T, Error> {
    let (k, n) = (rows.rows(), rows.cols());
    if k == 0 {
        return Ok(T::ZERO);
    }
    let along = take_work(work, k)?;
    along.fill(T::ZERO);
    let mut at = 0;
    while at < n {
        let width = COLUMNS.min(n.saturating_sub(at));
        let (block, part) = (rows.sub(0, at, k, width)?, piece(w, at, width));
        let out = MatMut::new(along, k, 1)?;
        backend.gemm(out, T::ONE, T::ONE, block, MatRef::new(part, width, 1)?)?;
        at = at.saturating_add(width);
    }
    let coefficients = MatRef::new(along, 1, k)?;
    backend.gemm(MatMut::new(w, 1, n)?, T::ONE, -T::ONE, coefficients, rows)?;
    Ok(along.last().copied().unwrap_or(T::ZERO))
}

#[inline(always)]
fn piece<T>(x: &[T], start: usize, len: usize) -> &[T] {
    x.get(start..).and_then(|x| x.get(..len)).unwrap_or(&[])
}

/// The rows before `at`, and row `at`.
#[inline(always)]
fn split_row<'b, T: Real>(
    matrix: &'b mut MatMut<'_, T>,
    at: usize,
) -> Result<(MatRef<'b, T>, &'b mut [T]), Error> {
    let (n, stride) = (matrix.cols(), matrix.row_stride());
    let outside = Error::Layout { what: "lanczos: basis" };
    let data = matrix.data_mut();
    let cut = at.checked_mul(stride).ok_or(outside)?;
    let (head, tail) = data.split_at_mut_checked(cut).ok_or(outside)?;
    let row = tail.get_mut(..n).ok_or(outside)?;
    Ok((MatRef::with_strides(head, at, n, stride, 1)?, row))
}

/// w ← w/size; false when that has no direction.
#[inline(always)]
fn normalise<T: Real>(w: &mut [T], size: T) -> bool {
    if !(size > T::ZERO && size.is_finite()) {
        return false;
    }
    for x in w {
        *x /= size;
    }
    true
}
