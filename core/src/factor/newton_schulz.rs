//! Inverse roots of positive definite matrices by matrix products only.
//!
//! The coupled Newton iteration for A^{−1/p}: with `T_k = ((p + 1)I − M_k)/p`,
//! `X_{k+1} = X_k T_k`, `M_{k+1} = T_kᵖ M_k`, from X_0 = I and M_0 = A scaled so that its spectrum lies
//! in (0, (p + 1)/2], M → I and X → A^{−1/p}. An eigenvalue μ of M far below 1 grows by the factor
//! (1 + 1/p)ᵖ ≥ 2 in each step, then converges quadratically: about log₂ κ + 5 steps for a condition
//! number κ (B. Iannazzo, SIAM J. Matrix Anal. Appl. 28, 2006; C.-H. Guo, N. Higham, ibid.; p = 1 is
//! the iteration of G. Schulz, 1933). Worth its products where these run at full speed and an
//! eigendecomposition does not.

use crate::blas::mirror;
use crate::error::{check_len, take_work};
use crate::factor::cholesky::{check_damping, check_square};
use crate::metric::support::carve;
use crate::{Backend, Error, MatMut, MatRef, Real};

/// Which root is inverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InverseRoot {
    /// A⁻¹.
    First,
    /// A^{−1/2}.
    Second,
    /// A^{−1/4}.
    Fourth,
}

impl InverseRoot {
    /// p.
    /// ```
    /// assert_eq!(relfisher_core::factor::InverseRoot::Fourth.degree(), 4);
    /// ```
    #[inline]
    pub const fn degree(self) -> usize {
        match self {
            InverseRoot::First => 1,
            InverseRoot::Second => 2,
            InverseRoot::Fourth => 4,
        }
    }

    /// x^{1/p} for x ≥ 0.
    fn of<T: Real>(self, x: T) -> T {
        match self {
            InverseRoot::First => x,
            InverseRoot::Second => x.sqrt(),
            InverseRoot::Fourth => x.sqrt().sqrt(),
        }
    }
}

/// When [`newton_schulz`] stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewtonSchulz<T> {
    /// The largest residual max |Xᵖ(A + λI) − I| that is accepted, > 0.
    pub tolerance: T,
    /// The steps that may be taken, at least 1.
    pub max_iterations: usize,
}

impl<T: Real> Default for NewtonSchulz<T> {
    /// √ε and 100 steps: enough for condition numbers up to about 1/√ε.
    fn default() -> Self {
        Self { tolerance: T::EPSILON.sqrt(), max_iterations: 100 }
    }
}

/// What [`newton_schulz`] did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convergence<T> {
    /// The steps taken.
    pub iterations: usize,
    /// max |Xᵖ(A + λI) − I| of the result, computed from the result.
    pub residual: T,
}

/// `X ← (A + λI)^{−1/p}`, p = 1, 2 or 4, by products only.
///
/// Shapes: a d×d symmetric positive definite with the damping (both triangles read, any strides), out
/// d×d with contiguous rows; both triangles of `out` are written, equal to the bit. The iteration goes
/// on until rounding stops it, then the residual is computed from A itself; its size is about κ·ε. A
/// step costs 2, 3 or 4 products of 2d³ FLOPs. `work`: [`newton_schulz_workspace_len`], may hold NaN.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Workspace`], [`Error::Parameter`],
/// [`Error::NonFinite`]; [`Error::NotPositiveDefinite`] for a diagonal element that is not positive;
/// [`Error::NoConvergence`] when the steps run out, the iteration diverges, or the residual is above
/// the tolerance: the matrix is not positive definite or too ill conditioned for the type (use a
/// larger damping, or eigenvalues).
///
/// ```
/// use relfisher_core::factor::{Convergence, InverseRoot, NewtonSchulz};
/// use relfisher_core::factor::{newton_schulz, newton_schulz_workspace_len};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (a, mut x) = ([3.0_f64, 0.0, 0.0, 15.0], [f64::NAN; 4]);
/// let mut work = [f64::NAN; newton_schulz_workspace_len(2)];
/// let (a, o) = (MatRef::new(&a, 2, 2)?, MatMut::new(&mut x, 2, 2)?);
/// let root = InverseRoot::Second;
/// let Convergence { iterations, residual } =
///     newton_schulz(&Portable, o, a, 1.0, root, NewtonSchulz::default(), &mut work)?;
/// assert!((x[0] - 0.5).abs() < 1e-14 && (x[3] - 0.25).abs() < 1e-14);
/// assert!(iterations < 12 && residual < 1e-13);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn newton_schulz<T: Real, B: Backend<T> + ?Sized>(
    backend: &B,
    mut out: MatMut<'_, T>,
    a: MatRef<'_, T>,
    damping: T,
    root: InverseRoot,
    options: NewtonSchulz<T>,
    work: &mut [T],
) -> Result<Convergence<T>, Error> {
    let d = a.rows();
    check_len("newton_schulz: columns of a", d, a.cols())?;
    check_len("newton_schulz: rows of out", d, out.rows())?;
    check_square(&out.rb(), "newton_schulz: out")?;
    check_damping(damping)?;
    if !(options.tolerance > T::ZERO && options.max_iterations >= 1) {
        return Err(Error::Parameter {
            what: "newton_schulz: tolerance must be > 0 and max_iterations at least 1",
        });
    }
    let mut rest = take_work(work, newton_schulz_workspace_len(d))?;
    a.check_finite("newton_schulz: a")?;
    if d == 0 {
        return Ok(Convergence { iterations: 0, residual: T::ZERO });
    }
    let square = d.saturating_mul(d);
    let mut state = State {
        backend,
        d,
        root,
        x: carve(&mut rest, square)?,
        m: carve(&mut rest, square)?,
        t: carve(&mut rest, square)?,
        s: carve(&mut rest, square)?,
    };
    let scale = state.start(a, damping)?;
    let iterations = state.iterate(&mut out, options.max_iterations)?;
    let residual = state.residual(&mut out, (a, damping, scale))?;
    if residual > options.tolerance || !residual.is_finite() {
        return Err(Error::NoConvergence { iterations });
    }
    let factor = root.of(scale);
    for i in 0..d {
        let from = state.x.get(i.wrapping_mul(d)..).unwrap_or(&[]);
        for (o, x) in out.row_mut(i).iter_mut().zip(from) {
            *o = factor * *x;
        }
    }
    mirror(&mut out);
    Ok(Convergence { iterations, residual })
}

/// The workspace of [`newton_schulz`] in elements: X, M, T and a product, 4d².
#[inline]
pub const fn newton_schulz_workspace_len(d: usize) -> usize {
    d.saturating_mul(d).saturating_mul(4)
}

/// The matrices of the iteration, d×d each; s holds products.
struct State<'a, T, B: ?Sized> {
    backend: &'a B,
    d: usize,
    root: InverseRoot,
    x: &'a mut [T],
    m: &'a mut [T],
    t: &'a mut [T],
    s: &'a mut [T],
}

impl<T: Real, B: Backend<T> + ?Sized> State<'_, T, B> {
    /// out ← a b, symmetric because a and b commute: the lower triangle counts.
    fn product(&self, out: MatMut<'_, T>, a: &[T], b: &[T]) -> Result<(), Error> {
        let (mut out, d) = (out, self.d);
        let (a, b) = (MatRef::new(a, d, d)?, MatRef::new(b, d, d)?);
        self.backend.gemm(out.rb_mut(), T::ZERO, T::ONE, a, b)?;
        mirror(&mut out);
        Ok(())
    }

    /// M ← z(A + λI), X ← I; returns z = (p + 1)/2 over a bound of ‖A + λI‖₂.
    fn start(&mut self, a: MatRef<'_, T>, damping: T) -> Result<T, Error> {
        let mut largest = T::ZERO;
        for i in 0..self.d {
            if a.at(i, i) + damping <= T::ZERO {
                return Err(Error::NotPositiveDefinite { block: 0, pivot: i });
            }
            // Gershgorin: no eigenvalue exceeds the largest sum of magnitudes of a row
            let row = (0..self.d).fold(damping, |sum, j| sum + a.at(i, j).abs());
            largest = largest.max(row);
        }
        let scale = (T::ONE + T::from_usize(self.root.degree())) * T::HALF / largest;
        if !(scale > T::ZERO && scale.is_finite()) {
            return Err(Error::Parameter {
                what: "newton_schulz: the norm of a over- or underflows; rescale it",
            });
        }
        self.scaled(a, damping, scale);
        self.x.fill(T::ZERO);
        let step = self.d.saturating_add(1);
        self.x.iter_mut().step_by(step).for_each(|x| *x = T::ONE);
        Ok(scale)
    }

    /// M ← z(A + λI).
    fn scaled(&mut self, a: MatRef<'_, T>, damping: T, scale: T) {
        for (i, row) in self.m.chunks_mut(self.d.max(1)).enumerate() {
            for (j, x) in row.iter_mut().enumerate() {
                let shift = if i == j { damping } else { T::ZERO };
                *x = scale * (a.at(i, j) + shift);
            }
        }
    }

    /// Steps until M is I to rounding, that is until it comes no nearer to it; `spare` is overwritten.
    fn iterate(&mut self, spare: &mut MatMut<'_, T>, most: usize) -> Result<usize, Error> {
        // the spectrum of M is in (0, (p + 1)/2] and stays there; A had another sign if it does not
        let far = T::from_f64(4.0) * T::from_usize(self.d).sqrt();
        let near = T::from_f64(0.1);
        let mut before = T::INFINITY;
        for iterations in 0..most.saturating_add(1) {
            let distance = distance(self.m, self.d);
            // from here on a step at least halves the distance, up to rounding
            if before < near && distance >= T::HALF * before {
                return Ok(iterations);
            }
            if iterations == most || distance > far || !distance.is_finite() {
                return Err(Error::NoConvergence { iterations });
            }
            before = distance;
            self.step(spare)?;
        }
        Err(Error::NoConvergence { iterations: most })
    }

    /// T ← ((p + 1)I − M)/p, X ← X T, M ← Tᵖ M.
    fn step(&mut self, spare: &mut MatMut<'_, T>) -> Result<(), Error> {
        let (d, p) = (self.d, T::from_usize(self.root.degree()));
        let share = T::ONE / p;
        // Two iterators of chunks are not zipped: that would divide by the length of a chunk.
        let mut rows = self.m.chunks(d.max(1));
        for (i, t) in self.t.chunks_mut(d.max(1)).enumerate() {
            let Some(m) = rows.next() else { break };
            for (t, m) in t.iter_mut().zip(m) {
                *t = -(share * *m);
            }
            if let Some(t) = t.get_mut(i) {
                *t += T::ONE + share;
            }
        }
        let s = core::mem::take(&mut self.s);
        self.product(MatMut::new(&mut *s, d, d)?, self.x, self.t)?;
        self.s = core::mem::replace(&mut self.x, s);
        let s = core::mem::take(&mut self.s);
        match self.root {
            InverseRoot::First => {
                self.product(MatMut::new(&mut *s, d, d)?, self.t, self.m)?;
                self.s = core::mem::replace(&mut self.m, s);
            }
            InverseRoot::Second => {
                self.product(MatMut::new(&mut *s, d, d)?, self.t, self.m)?;
                let m = core::mem::take(&mut self.m);
                self.product(MatMut::new(&mut *m, d, d)?, self.t, s)?;
                (self.m, self.s) = (m, s);
            }
            InverseRoot::Fourth => {
                self.product(MatMut::new(&mut *s, d, d)?, self.t, self.t)?;
                self.product(spare.rb_mut(), s, self.m)?;
                let m = core::mem::take(&mut self.m);
                let squares = MatRef::new(&*s, d, d)?;
                let mut target = MatMut::new(&mut *m, d, d)?;
                self.backend.gemm(target.rb_mut(), T::ZERO, T::ONE, squares, spare.rb())?;
                mirror(&mut target);
                (self.m, self.s) = (m, s);
            }
        }
        Ok(())
    }

    /// max |Xᵖ z(A + λI) − I|, which is that of the unscaled result.
    fn residual(
        &mut self,
        spare: &mut MatMut<'_, T>,
        (a, damping, scale): (MatRef<'_, T>, T, T),
    ) -> Result<T, Error> {
        let d = self.d;
        self.scaled(a, damping, scale);
        let (x, m) = (MatRef::new(&*self.x, d, d)?, MatRef::new(&*self.m, d, d)?);
        let mut power = MatMut::new(&mut *self.t, d, d)?;
        let mut other = MatMut::new(&mut *self.s, d, d)?;
        let (zero, one) = (T::ZERO, T::ONE);
        match self.root {
            InverseRoot::First => self.backend.gemm(spare.rb_mut(), zero, one, x, m)?,
            InverseRoot::Second => {
                self.backend.gemm(power.rb_mut(), zero, one, x, m)?;
                self.backend.gemm(spare.rb_mut(), zero, one, x, power.rb())?;
            }
            InverseRoot::Fourth => {
                self.backend.gemm(power.rb_mut(), zero, one, x, x)?;
                self.backend.gemm(other.rb_mut(), zero, one, power.rb(), m)?;
                self.backend.gemm(spare.rb_mut(), zero, one, power.rb(), other.rb())?;
            }
        }
        let mut largest = T::ZERO;
        for i in 0..d {
            for (j, x) in spare.row(i).iter().enumerate() {
                let away = away(*x, i, j);
                if away > largest || !away.is_finite() {
                    largest = away;
                }
            }
        }
        Ok(largest)
    }
}

/// |x − δ_ij|.
fn away<T: Real>(x: T, i: usize, j: usize) -> T {
    if i == j { (x - T::ONE).abs() } else { x.abs() }
}

/// ‖M − I‖_F: at least the distance of every eigenvalue from 1.
fn distance<T: Real>(m: &[T], d: usize) -> T {
    let mut sum = T::ZERO;
    for (i, row) in m.chunks(d.max(1)).enumerate() {
        for (j, x) in row.iter().enumerate() {
            let away = away(*x, i, j);
            sum += away * away;
        }
    }
    sum.sqrt()
}
