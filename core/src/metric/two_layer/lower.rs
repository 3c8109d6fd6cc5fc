//! The block (W, W) of two layers: the lower layer seen from the response of the upper one.

use super::super::layer::{Coupling, LayerMetric, ResponseMetric, check_samples};
use super::super::support::{carve, check_finite, check_matrix, check_rows};
use crate::error::{check_len, take_work};
use crate::{Backend, Error, MatMut, MatRef, Real};

/// `Ḡ = (1/n) Σ_s (D_s CᵀR_sC D_s) ⊗ x̃_s x̃_sᵀ` on W̃ (m × d̃).
/// ```
/// use relfisher_core::metric::layer::{LayerMetric, ResponseMetric};
/// use relfisher_core::metric::two_layer::LowerMetric;
/// use relfisher_core::{MatMut, MatRef};
/// let (x, slope, upper) = ([1.0, 1.0], [0.5], [3.0]);
/// let response = ResponseMetric::Constant { weight: 1.0, outputs: 1 };
/// let (x, slope, upper) = (MatRef::new(&x, 1, 2)?, MatRef::new(&slope, 1, 1)?, MatRef::new(&upper, 1, 1)?);
/// let metric = LowerMetric::new(x, slope, upper, response)?;
/// assert_eq!(metric.response().outputs(), 1);
/// let mut diagonal = [f64::NAN; 2];
/// metric.diagonal(MatMut::new(&mut diagonal, 1, 2)?)?;
/// assert_eq!(diagonal, [2.25, 2.25]); // (3 · ½)²
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LowerMetric<'a, T> {
    x: MatRef<'a, T>,
    slope: MatRef<'a, T>,
    weights: MatRef<'a, T>,
    response: ResponseMetric<'a, T>,
}

impl<'a, T: Real> LowerMetric<'a, T> {
    /// The metric at inputs X̃ (n × d̃), slopes f′(t) (n × m), upper weights without the bias column
    /// C (C × m) and the response metric of u (n × C). All with contiguous rows.
    ///
    /// # Errors
    /// Shape, layout; [`Error::Parameter`] for no sample.
    pub fn new(
        x: MatRef<'a, T>,
        slope: MatRef<'a, T>,
        weights: MatRef<'a, T>,
        response: ResponseMetric<'a, T>,
    ) -> Result<Self, Error> {
        check_samples(x.rows())?;
        check_rows("x", x)?;
        check_len("two layers: rows of slope", x.rows(), slope.rows())?;
        check_rows("slope", slope)?;
        let what = ("two layers: rows of the upper weights", "two layers: columns of slope");
        check_matrix(what, weights, response.outputs(), slope.cols())?;
        response.check_shape(x.rows())?;
        Ok(Self { x, slope, weights, response })
    }

    /// C, C × m.
    pub(super) fn weights(&self) -> MatRef<'a, T> {
        self.weights
    }

    /// The response metric of u.
    pub fn response(&self) -> ResponseMetric<'a, T> {
        self.response
    }

    /// `p ← p ∘ f′(t)`.
    pub(super) fn slopes(&self, p: &mut MatMut<'_, T>) {
        for s in 0..p.rows() {
            for (p, slope) in p.row_mut(s).iter_mut().zip(self.slope.row(s)) {
                *p = *slope * *p;
            }
        }
    }

    /// `(D CᵀR)_ij` at sample s.
    pub(super) fn cross_weight(&self, s: usize, i: usize, j: usize) -> T {
        let mut sum = T::ZERO;
        for l in 0..self.weights.rows() {
            sum += self.weights.at(l, i) * self.response.entry(s, l, j);
        }
        self.slope.at(s, i) * sum
    }

    /// `u_s = C (f′(t_s) ∘ p_s)` into the first n·C elements of `work`.
    fn push<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        p: &mut MatMut<'_, T>,
        work: &mut [T],
    ) -> Result<(), Error> {
        self.slopes(p);
        let u = MatMut::new(work, self.x.rows(), self.weights.rows())?;
        backend.gemm(u, T::ZERO, T::ONE, p.rb(), self.weights.t())
    }
}

impl<T: Real> LayerMetric<T> for LowerMetric<'_, T> {
    fn input(&self) -> MatRef<'_, T> {
        self.x
    }

    fn outputs(&self) -> usize {
        self.slope.cols()
    }

    fn coupling(&self) -> Coupling {
        Coupling::Joint
    }

    fn weight(&self, s: usize, i: usize, j: usize) -> T {
        let mut sum = T::ZERO;
        for l in 0..self.weights.rows() {
            sum += self.cross_weight(s, i, l) * self.weights.at(l, j);
        }
        sum * self.slope.at(s, j)
    }

    fn respond_workspace_len(&self) -> usize {
        self.x.rows().saturating_mul(self.weights.rows())
    }

    fn respond<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        mut p: MatMut<'_, T>,
        work: &mut [T],
    ) -> Result<(), Error> {
        let (n, c) = (self.x.rows(), self.weights.rows());
        let mut rest = take_work(work, self.respond_workspace_len())?;
        let u = carve(&mut rest, n.saturating_mul(c))?;
        self.push(backend, &mut p, u)?;
        self.response.apply(&mut MatMut::new(u, n, c)?);
        backend.gemm(p.rb_mut(), T::ZERO, T::ONE, MatRef::new(u, n, c)?, self.weights)?;
        self.slopes(&mut p);
        Ok(())
    }

    fn energy<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        mut p: MatMut<'_, T>,
        work: &mut [T],
    ) -> Result<T, Error> {
        let (n, c) = (self.x.rows(), self.weights.rows());
        let u = take_work(work, self.respond_workspace_len())?;
        self.push(backend, &mut p, u)?;
        Ok(self.response.energy(MatRef::new(u, n, c)?))
    }

    fn check_inputs(&self) -> Result<(), Error> {
        check_finite("x", self.x)?;
        check_finite("slope", self.slope)?;
        check_finite("upper weights", self.weights)?;
        self.response.check_values()
    }
}
