//! Metrics of layers: `Ḡ = (1/n) Σ_s R_s ⊗ x̃_s x̃_sᵀ` (S4, table of subsystems).
//!
//! A layer metric borrows the augmented inputs X̃ (n × d̃) and what its response metric R_s is made
//! of; it owns nothing and forms nothing until asked. The parameters are a matrix V (m × d̃), one
//! neuron a row, its vec row-major, so that `Ḡ vec(V)` is computed as `P = X̃ Vᵀ`, `p_s ← R_s p_s`,
//! `(1/n) Pᵀ X̃`: two products.

mod linear;
mod nonlinear;
mod response;
mod softmax;

pub use linear::LinearMetric;
pub use nonlinear::{NonlinearMetric, fold_scale};
pub use response::ResponseMetric;
pub use softmax::SoftmaxMetric;

use super::support::{block_mut, carve, check_matrix};
use crate::error::take_work;
use crate::{Backend, Error, MatMut, MatRef, Real};

/// Which parameters of a layer the metric couples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coupling {
    /// Only those of one neuron: m independent systems of d̃ unknowns.
    Rows,
    /// All of them: one system of m·d̃ unknowns.
    Joint,
}

/// The options of a damped solve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SolveOptions<T> {
    /// The way to the solution; `None` lets [`super::cost::choose`] decide among the exact ones.
    pub route: Option<super::cost::Route>,
    /// The stopping rule of the matrix-free route.
    pub conjugate_gradient: super::route::conjugate_gradient::Options<T>,
}

impl<T: Real> Default for SolveOptions<T> {
    fn default() -> Self {
        Self { route: None, conjugate_gradient: Default::default() }
    }
}

/// A metric of the form `Ḡ = (1/n) Σ_s R_s ⊗ x̃_s x̃_sᵀ` on m × d̃ parameters.
///
/// The provided methods are the same for every layer; an implementor says how R_s acts on the m
/// outputs of sample s.
/// ```
/// use relfisher_core::metric::layer::{Coupling, LayerMetric, NonlinearMetric, dense_workspace_len};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (x, nu) = ([1.0, 1.0, 3.0, 1.0], [0.5, 1.0]); // two samples of [x ; 1], one neuron
/// let metric = NonlinearMetric::new(MatRef::new(&x, 2, 2)?, MatRef::new(&nu, 2, 1)?)?;
/// assert_eq!((metric.samples(), metric.outputs(), metric.inputs(), metric.parameters()), (2, 1, 2, 2));
/// assert_eq!((metric.coupling(), metric.weight(1, 0, 0)), (Coupling::Rows, 1.0));
/// metric.check_inputs()?;
///
/// let (mut dense, mut diagonal) = ([f64::NAN; 4], [f64::NAN; 2]);
/// let mut work = [f64::NAN; dense_workspace_len(2, 2)];
/// metric.dense(&Portable, MatMut::new(&mut dense, 2, 2)?, &mut work)?;
/// assert_eq!(dense, [4.75, 1.75, 1.75, 0.75]); // (½ x̃x̃ᵀ + x̃x̃ᵀ)/2
/// metric.diagonal(MatMut::new(&mut diagonal, 1, 2)?)?;
/// assert_eq!(diagonal, [4.75, 0.75]);
/// metric.accumulate_dense(&Portable, MatMut::new(&mut dense, 2, 2)?, 0.5, &mut work)?;
/// assert_eq!(dense[2], 1.75); // the mean of twice the same
///
/// // without forming it: Ḡ V and ⟨V, V⟩
/// let (v, mut product, mut work) = ([1.0, -1.0], [f64::NAN; 2], [f64::NAN; 4]);
/// let v = MatRef::new(&v, 1, 2)?;
/// assert!(metric.multiply_workspace_len() <= work.len());
/// metric.multiply(&Portable, MatMut::new(&mut product, 1, 2)?, v, &mut work)?;
/// assert_eq!(product, [3.0, 1.0]);
/// assert_eq!(metric.quadratic_form(&Portable, v, &mut work)?, 2.0);
///
/// // what of it lies at the outputs: p_s ← R_s p_s, and Σ p_sᵀ R_s p_s of the same p
/// assert_eq!((metric.input().row(1), metric.respond_workspace_len()), ([3.0, 1.0].as_slice(), 0));
/// let (mut p, mut q) = ([2.0, 3.0], [2.0, 3.0]);
/// metric.respond(&Portable, MatMut::new(&mut p, 2, 1)?, &mut [])?;
/// assert_eq!(p, [1.0, 3.0]);
/// assert_eq!(metric.energy(&Portable, MatMut::new(&mut q, 2, 1)?, &mut [])?, 11.0);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub trait LayerMetric<T: Real> {
    /// X̃, n × d̃ with contiguous rows.
    fn input(&self) -> MatRef<'_, T>;

    /// m.
    fn outputs(&self) -> usize;

    /// Which parameters the metric couples.
    fn coupling(&self) -> Coupling;

    /// The entry R_s(i, j); NaN outside the shape.
    fn weight(&self, s: usize, i: usize, j: usize) -> T;

    /// `p_s ← R_s p_s` for every row of p (n × m). `work` as [`Self::respond_workspace_len`].
    ///
    /// # Errors
    /// Shape, workspace.
    fn respond<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        p: MatMut<'_, T>,
        work: &mut [T],
    ) -> Result<(), Error>;

    /// `Σ_s p_sᵀ R_s p_s ≥ 0`; p (n × m) may be overwritten. `work` as for [`Self::respond`].
    ///
    /// # Errors
    /// Shape, workspace.
    fn energy<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        p: MatMut<'_, T>,
        work: &mut [T],
    ) -> Result<T, Error>;

    /// The scratch of [`Self::respond`] and [`Self::energy`].
    fn respond_workspace_len(&self) -> usize {
        0
    }

    /// Every borrowed input is finite and every weight ≥ 0.
    ///
    /// # Errors
    /// [`Error::NonFinite`] naming the argument, [`Error::Parameter`] for a negative weight.
    fn check_inputs(&self) -> Result<(), Error>;

    /// n.
    fn samples(&self) -> usize {
        self.input().rows()
    }

    /// d̃.
    fn inputs(&self) -> usize {
        self.input().cols()
    }

    /// m·d̃.
    fn parameters(&self) -> usize {
        self.outputs().saturating_mul(self.inputs())
    }

    /// The scratch of [`Self::multiply`] and [`Self::quadratic_form`]: n·m and that of the response.
    fn multiply_workspace_len(&self) -> usize {
        self.samples().saturating_mul(self.outputs()).saturating_add(self.respond_workspace_len())
    }

    /// `Out ← Ḡ V`, m × d̃, in two products; the metric is never formed. 4·n·m·d̃ FLOPs.
    ///
    /// # Errors
    /// Shape, layout, workspace ([`Self::multiply_workspace_len`]).
    #[inline(always)]
    fn multiply<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        out: MatMut<'_, T>,
        v: MatRef<'_, T>,
        work: &mut [T],
    ) -> Result<(), Error> {
        let (n, m, d) = (self.samples(), self.outputs(), self.inputs());
        check_matrix(("multiply: rows of out", "multiply: columns of out"), out.rb(), m, d)?;
        check_matrix(("multiply: rows of v", "multiply: columns of v"), v, m, d)?;
        let mut rest = take_work(work, self.multiply_workspace_len())?;
        let p = carve(&mut rest, n.saturating_mul(m))?;
        backend.gemm(MatMut::new(p, n, m)?, T::ZERO, T::ONE, self.input(), v.t())?;
        self.respond(backend, MatMut::new(p, n, m)?, rest)?;
        let mean = T::ONE / T::from_usize(n);
        backend.gemm(out, T::ZERO, mean, MatRef::new(p, n, m)?.t(), self.input())
    }

    /// `⟨V, V⟩ = vec(V)ᵀ Ḡ vec(V)`, never negative. Shape: v m × d̃.
    ///
    /// # Errors
    /// Shape, layout, workspace ([`Self::multiply_workspace_len`]).
    fn quadratic_form<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        v: MatRef<'_, T>,
        work: &mut [T],
    ) -> Result<T, Error> {
        let (n, m, d) = (self.samples(), self.outputs(), self.inputs());
        check_matrix(("quadratic_form: rows of v", "quadratic_form: columns of v"), v, m, d)?;
        let mut rest = take_work(work, self.multiply_workspace_len())?;
        let p = carve(&mut rest, n.saturating_mul(m))?;
        backend.gemm(MatMut::new(p, n, m)?, T::ZERO, T::ONE, self.input(), v.t())?;
        let sum = self.energy(backend, MatMut::new(p, n, m)?, rest)?;
        Ok(sum / T::from_usize(n))
    }

    /// The diagonal of Ḡ as an m × d̃ matrix: `(1/n) Σ_s R_s(i, i) x̃_sa²`.
    ///
    /// # Errors
    /// Shape, layout.
    #[inline(always)]
    fn diagonal(&self, mut out: MatMut<'_, T>) -> Result<(), Error> {
        let (n, m, d) = (self.samples(), self.outputs(), self.inputs());
        check_matrix(("diagonal: rows of out", "diagonal: columns of out"), out.rb(), m, d)?;
        let mean = T::ONE / T::from_usize(n);
        for i in 0..m {
            let row = out.row_mut(i);
            row.fill(T::ZERO);
            for s in 0..n {
                let w = self.weight(s, i, i) * mean;
                for (o, x) in row.iter_mut().zip(self.input().row(s)) {
                    *o += w * (*x * *x);
                }
            }
        }
        Ok(())
    }

    /// The blocks (i, j), j ≤ i, of the (m·d̃)² matrix: `M ← keep·M + (1 − keep) Ḡ`. The strict
    /// upper blocks are neither read nor written; `keep` = 0 never reads. n·m(m+1)·d̃² FLOPs (only the
    /// diagonal blocks when [`Coupling::Rows`]; the others are then scaled by `keep`).
    ///
    /// # Errors
    /// Shape, layout, workspace ([`dense_workspace_len`]).
    fn accumulate_dense<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        mut out: MatMut<'_, T>,
        keep: T,
        work: &mut [T],
    ) -> Result<(), Error> {
        let (n, m, d) = (self.samples(), self.outputs(), self.inputs());
        let full = m.saturating_mul(d);
        check_matrix(("dense: rows of out", "dense: columns of out"), out.rb(), full, full)?;
        let scaled = take_work(work, dense_workspace_len(n, d))?;
        let mean = T::ONE / T::from_usize(n);
        for i in 0..m {
            for j in 0..=i {
                let place = (i.wrapping_mul(d), j.wrapping_mul(d));
                let mut target = block_mut(&mut out, place, d, d)?;
                if i != j && self.coupling() == Coupling::Rows {
                    for a in 0..d {
                        for o in target.row_mut(a) {
                            *o = if keep == T::ZERO { T::ZERO } else { keep * *o };
                        }
                    }
                    continue;
                }
                let mut x = MatMut::new(&mut *scaled, n, d)?;
                for s in 0..n {
                    let w = self.weight(s, i, j);
                    for (o, x) in x.row_mut(s).iter_mut().zip(self.input().row(s)) {
                        *o = w * *x;
                    }
                }
                backend.gemm(target, keep, (T::ONE - keep) * mean, x.rb().t(), self.input())?;
            }
        }
        Ok(())
    }

    /// The dense matrix Ḡ, (m·d̃)², both triangles: for tests and small layers.
    ///
    /// # Errors
    /// Shape, layout, workspace ([`dense_workspace_len`]).
    fn dense<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        mut out: MatMut<'_, T>,
        work: &mut [T],
    ) -> Result<(), Error> {
        self.accumulate_dense(backend, out.rb_mut(), T::ZERO, work)?;
        for r in 0..out.rows() {
            for c in 0..r {
                let lower = out.at(r, c);
                out.set(c, r, lower);
            }
        }
        Ok(())
    }
}

/// The scratch of [`LayerMetric::dense`] and [`LayerMetric::accumulate_dense`]: n·d̃.
pub const fn dense_workspace_len(n: usize, d: usize) -> usize {
    n.saturating_mul(d)
}

/// A mean needs samples.
pub(crate) fn check_samples(n: usize) -> Result<(), Error> {
    if n == 0 {
        Err(Error::Parameter { what: "a metric is a mean over at least one sample" })
    } else {
        Ok(())
    }
}
