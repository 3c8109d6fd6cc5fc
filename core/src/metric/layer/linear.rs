//! The linear layer: `σ⁻² I_m ⊗ x̃x̃ᵀ`.

use super::super::support::{carve, check_damping, check_factor, check_finite, check_matrix};
use super::{Coupling, LayerMetric, ResponseMetric, check_samples};
use crate::error::take_work;
use crate::{Backend, Error, MatMut, MatRef, Real, blas};

/// The mean metric of a layer of m linear neurons, `Ḡ = σ⁻² I_m ⊗ (1/n) X̃ᵀX̃` (S4, linear layer).
///
/// ```
/// use relfisher_core::metric::layer::{LayerMetric, LinearMetric};
/// use relfisher_core::{MatRef, Portable};
/// let x = [1.0, 1.0, 3.0, 1.0]; // two samples of [x; 1]
/// let metric = LinearMetric::new(MatRef::new(&x, 2, 2)?, 1, 0.5)?;
/// let v = [1.0, 0.0];
/// let mut work = [0.0; 2];
/// let q = metric.quadratic_form(&Portable, MatRef::new(&v, 1, 2)?, &mut work)?;
/// assert_eq!(q, 4.0 * (1.0 + 9.0) / 2.0);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
/// The damped step, one factor for all neurons:
/// ```
/// use relfisher_core::metric::layer::LinearMetric;
/// use relfisher_core::{MatMut, MatRef, Portable, blas};
/// let x = [1.0, 1.0, 3.0, 1.0];
/// let metric = LinearMetric::new(MatRef::new(&x, 2, 2)?, 1, 1.0)?;
/// let (mut block, mut work) = ([f64::NAN; 4], [f64::NAN; blas::gram_workspace_len(2, 2)]);
/// metric.block(&Portable, MatMut::new(&mut block, 2, 2)?, &mut work)?;
/// assert_eq!((block, metric.precision()), ([5.0, 2.0, 2.0, 1.0], 1.0));
/// let (g, mut step) = ([8.0, 4.0], [f64::NAN; 2]);
/// let mut work = [f64::NAN; LinearMetric::<f64>::solve_workspace_len(2, 1, 2)];
/// let (out, g) = (MatMut::new(&mut step, 1, 2)?, MatRef::new(&g, 1, 2)?);
/// metric.solve(&Portable, out, g, 1.0, &mut work)?; // [6 2; 2 2]⁻¹ [8 4]
/// assert!((step[0] - 1.0).abs() < 1e-14 && (step[1] - 1.0).abs() < 1e-14);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LinearMetric<'a, T> {
    x: MatRef<'a, T>,
    outputs: usize,
    precision: T,
}

impl<'a, T: Real> LinearMetric<'a, T> {
    /// The metric of `outputs` neurons y ~ G(t, σ²) at the inputs X̃ (n × d̃, contiguous rows).
    ///
    /// # Errors
    /// Layout; [`Error::Parameter`] for no sample or σ ≤ 0.
    pub fn new(x: MatRef<'a, T>, outputs: usize, sigma: T) -> Result<Self, Error> {
        check_samples(x.rows())?;
        super::super::support::check_rows("x", x)?;
        let precision = T::ONE / (sigma * sigma);
        if sigma > T::ZERO && precision.is_finite() {
            Ok(Self { x, outputs, precision })
        } else {
            Err(Error::Parameter { what: "sigma must be > 0 and sigma^-2 finite" })
        }
    }

    /// σ⁻².
    pub fn precision(&self) -> T {
        self.precision
    }

    fn response(&self) -> ResponseMetric<'a, T> {
        ResponseMetric::Constant { weight: self.precision, outputs: self.outputs }
    }

    /// The block that all neurons share: `Out ← σ⁻² (1/n) X̃ᵀX̃`, d̃ × d̃.
    ///
    /// # Errors
    /// Shape, layout, workspace ([`blas::gram_workspace_len`]).
    pub fn block<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        out: MatMut<'_, T>,
        work: &mut [T],
    ) -> Result<(), Error> {
        let alpha = self.precision / T::from_usize(self.x.rows());
        backend.gram(out, T::ZERO, alpha, self.x, None, work)
    }

    /// `Out ← (Ḡ + λI)⁻¹ G` through one Cholesky factor for all neurons. Shapes: out, g m × d̃.
    ///
    /// # Errors
    /// Shape, layout, workspace ([`Self::solve_workspace_len`]), [`Error::NonFinite`],
    /// [`Error::NotPositiveDefinite`] when λ = 0 and the inputs do not span d̃ dimensions.
    pub fn solve<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        mut out: MatMut<'_, T>,
        g: MatRef<'_, T>,
        damping: T,
        work: &mut [T],
    ) -> Result<(), Error> {
        let (n, m, d) = (self.x.rows(), self.outputs, self.x.cols());
        check_matrix(("solve: rows of out", "solve: columns of out"), out.rb(), m, d)?;
        check_matrix(("solve: rows of g", "solve: columns of g"), g, m, d)?;
        check_damping(damping)?;
        let mut rest = take_work(work, Self::solve_workspace_len(n, m, d))?;
        self.check_inputs()?;
        check_finite("g", g)?;
        let block = carve(&mut rest, d.saturating_mul(d))?;
        let columns = carve(&mut rest, d.saturating_mul(m))?;
        self.block(backend, MatMut::new(block, d, d)?, rest)?;
        backend.cholesky(MatMut::new(block, d, d)?, damping)?;
        let factor = MatRef::new(block, d, d)?;
        check_factor(factor, damping)?;
        let mut b = MatMut::new(columns, d, m)?;
        for a in 0..d {
            for (i, b) in b.row_mut(a).iter_mut().enumerate() {
                *b = g.at(i, a);
            }
        }
        backend.cholesky_solve(b.rb_mut(), factor)?;
        for i in 0..m {
            for (a, o) in out.row_mut(i).iter_mut().enumerate() {
                *o = b.at(a, i);
            }
        }
        Ok(())
    }

    /// The scratch of [`Self::solve`]: the block, the transposed right sides, and that of the product.
    pub const fn solve_workspace_len(n: usize, m: usize, d: usize) -> usize {
        d.saturating_mul(d)
            .saturating_add(d.saturating_mul(m))
            .saturating_add(blas::gram_workspace_len(n, d))
    }
}

impl<T: Real> LayerMetric<T> for LinearMetric<'_, T> {
    fn input(&self) -> MatRef<'_, T> {
        self.x
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn coupling(&self) -> Coupling {
        Coupling::Rows
    }

    fn weight(&self, s: usize, i: usize, j: usize) -> T {
        self.response().entry(s, i, j)
    }

    fn respond<B: Backend<T> + ?Sized>(
        &self,
        _backend: &B,
        mut p: MatMut<'_, T>,
        _work: &mut [T],
    ) -> Result<(), Error> {
        self.response().apply(&mut p);
        Ok(())
    }

    fn energy<B: Backend<T> + ?Sized>(
        &self,
        _backend: &B,
        p: MatMut<'_, T>,
        _work: &mut [T],
    ) -> Result<T, Error> {
        Ok(self.response().energy(p.rb()))
    }

    fn check_inputs(&self) -> Result<(), Error> {
        check_finite("x", self.x)
    }
}
