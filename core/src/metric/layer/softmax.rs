//! The soft-max layer: `(diag(η) − ηηᵀ) ⊗ x̃x̃ᵀ`.

use super::super::cost::{self, LayerKind, Route};
use super::super::route::{block, conjugate_gradient, kronecker, sample};
use super::super::support::{carve, check_finite, copy};
use super::dense_workspace_len;
use super::{Coupling, LayerMetric, ResponseMetric, SolveOptions, check_samples};
use crate::error::{check_len, take_work};
use crate::{Backend, Error, MatMut, MatRef, Real};

/// The mean metric of a soft-max layer of C outputs, `Ḡ = (1/n) Σ_s (diag(η_s) − η_s η_sᵀ) ⊗ x̃_s x̃_sᵀ`
/// (S4, soft-max layer). Singular: adding one vector to every w_i changes no probability.
///
/// ```
/// use relfisher_core::metric::layer::{LayerMetric, SoftmaxMetric};
/// use relfisher_core::{MatRef, Portable};
/// let (x, eta) = ([1.0], [0.25, 0.75]);
/// let metric = SoftmaxMetric::new(MatRef::new(&x, 1, 1)?, MatRef::new(&eta, 1, 2)?)?;
/// let mut work = [0.0; 2];
/// let v = [1.0, 0.0];
/// let q = metric.quadratic_form(&Portable, MatRef::new(&v, 2, 1)?, &mut work)?;
/// assert_eq!(q, 0.25 * 0.75);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
/// The damped step, by the route that costs least:
/// ```
/// use relfisher_core::metric::layer::{SoftmaxMetric, SolveOptions};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (x, eta, g) = ([1.0], [0.5, 0.5], [1.0, -1.0]);
/// let metric = SoftmaxMetric::new(MatRef::new(&x, 1, 1)?, MatRef::new(&eta, 1, 2)?)?;
/// assert_eq!((metric.x().at(0, 0), metric.eta().at(0, 1)), (1.0, 0.5));
/// let route = SoftmaxMetric::<f64>::route(1, 2, 1, None, true);
/// let (mut step, mut work) = ([f64::NAN; 2], [f64::NAN; 64]);
/// assert!(SoftmaxMetric::<f64>::solve_workspace_len(1, 2, 1, route) <= work.len());
/// let (out, g) = (MatMut::new(&mut step, 2, 1)?, MatRef::new(&g, 2, 1)?);
/// metric.solve(&Portable, out, g, 0.5, SolveOptions::default(), &mut work)?;
/// assert!((step[0] - 1.0).abs() < 1e-14 && (step[1] + 1.0).abs() < 1e-14); // ½ g and ½ g
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxMetric<'a, T> {
    x: MatRef<'a, T>,
    eta: MatRef<'a, T>,
}

impl<'a, T: Real> SoftmaxMetric<'a, T> {
    /// The metric at the inputs X̃ (n × d̃) with probabilities η (n × C, rows that sum to one), both
    /// with contiguous rows.
    ///
    /// # Errors
    /// Shape, layout; [`Error::Parameter`] for no sample.
    pub fn new(x: MatRef<'a, T>, eta: MatRef<'a, T>) -> Result<Self, Error> {
        check_samples(x.rows())?;
        super::super::support::check_rows("x", x)?;
        ResponseMetric::Softmax(eta).check_shape(x.rows())?;
        Ok(Self { x, eta })
    }

    /// X̃, n × d̃.
    pub fn x(&self) -> MatRef<'a, T> {
        self.x
    }

    /// η, n × C.
    pub fn eta(&self) -> MatRef<'a, T> {
        self.eta
    }

    /// `Out ← (Ḡ + λI)⁻¹ G` by the route of the options. Shapes: out, g C × d̃.
    ///
    /// [`Route::Kronecker`] solves with the approximation `R̄ ⊗ (1/n) Σ x̃x̃ᵀ` instead and is taken only
    /// when forced. λ = 0 is always an error, the metric being singular.
    ///
    /// # Errors
    /// Shape, layout, workspace ([`Self::solve_workspace_len`]), [`Error::NonFinite`] naming the
    /// argument, [`Error::NotPositiveDefinite`], [`Error::NoConvergence`], [`Error::Parameter`].
    pub fn solve<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        mut out: MatMut<'_, T>,
        g: MatRef<'_, T>,
        damping: T,
        options: SolveOptions<T>,
        work: &mut [T],
    ) -> Result<(), Error> {
        let (n, c, d) = (self.x.rows(), self.eta.cols(), self.x.cols());
        check_len("solve: rows of g", c, g.rows())?;
        check_len("solve: columns of g", d, g.cols())?;
        check_len("solve: rows of out", c, out.rows())?;
        check_len("solve: columns of out", d, out.cols())?;
        super::super::support::check_rows("g", g)?;
        super::super::support::check_rows("out", out.rb())?;
        let route = Self::route(n, c, d, options.route, damping > T::ZERO);
        let work = take_work(work, Self::solve_workspace_len(n, c, d, route))?;
        match route {
            Route::Sample => sample::softmax_solve(backend, out, self, g, damping, work),
            Route::ConjugateGradient => {
                let cg = options.conjugate_gradient;
                conjugate_gradient::solve(backend, out, self, g, damping, cg, work).map(|_| ())
            }
            Route::Block => {
                super::super::support::check_damping(damping)?;
                check_finite("g", g)?;
                let full = c.saturating_mul(d);
                let mut rest = work;
                let matrix = carve(&mut rest, full.saturating_mul(full))?;
                let column = carve(&mut rest, full)?;
                block::softmax_build(
                    backend,
                    MatMut::new(matrix, full, full)?,
                    self,
                    T::ZERO,
                    rest,
                )?;
                block::softmax_factor(backend, MatMut::new(matrix, full, full)?, damping)?;
                copy(&mut MatMut::new(column, c, d)?, g);
                let factor = MatRef::new(matrix, full, full)?;
                block::softmax_apply(backend, column, factor)?;
                copy(&mut out, MatRef::new(column, c, d)?);
                Ok(())
            }
            Route::Kronecker => {
                super::super::support::check_damping(damping)?;
                check_finite("g", g)?;
                let mut rest = work;
                let slice = carve(&mut rest, kronecker::state_len(LayerKind::Softmax, c, d))?;
                let mut state = kronecker::State::new(LayerKind::Softmax, c, d, slice)?;
                state.build_softmax(backend, self, T::ZERO, rest)?;
                state.factor(backend, kronecker::Damping::Exact, damping, rest)?;
                copy(&mut out, g);
                state.apply(backend, out, kronecker::Damping::Exact, damping, rest)
            }
        }
    }

    /// The route that [`Self::solve`] takes: the forced one, else the cheapest exact one for one
    /// solve; without damping the block route (which reports the singular metric).
    pub fn route(n: usize, c: usize, d: usize, forced: Option<Route>, damped: bool) -> Route {
        match forced {
            Some(route) => route,
            None if !damped => Route::Block,
            None => cost::choose(&cost::Problem::new(LayerKind::Softmax, c, d, n)),
        }
    }

    /// The scratch of [`Self::solve`] by one route; pass [`Self::route`] of the same arguments.
    pub const fn solve_workspace_len(n: usize, c: usize, d: usize, route: Route) -> usize {
        match route {
            Route::Sample => sample::softmax_workspace_len(n, c),
            Route::ConjugateGradient => {
                conjugate_gradient::workspace_len(c, d, n.saturating_mul(c))
            }
            Route::Block => {
                let full = c.saturating_mul(d);
                full.saturating_mul(full)
                    .saturating_add(full)
                    .saturating_add(dense_workspace_len(n, d))
            }
            Route::Kronecker => kronecker::state_len(LayerKind::Softmax, c, d)
                .saturating_add(kronecker::workspace_len(LayerKind::Softmax, n, c, d)),
        }
    }
}

impl<T: Real> LayerMetric<T> for SoftmaxMetric<'_, T> {
    #[inline(always)]
    fn input(&self) -> MatRef<'_, T> {
        self.x
    }

    fn outputs(&self) -> usize {
        self.eta.cols()
    }

    fn coupling(&self) -> Coupling {
        Coupling::Joint
    }

    #[inline(always)]
    fn weight(&self, s: usize, i: usize, j: usize) -> T {
        ResponseMetric::Softmax(self.eta).entry(s, i, j)
    }

    #[inline(always)]
    fn respond<B: Backend<T> + ?Sized>(
        &self,
        _backend: &B,
        mut p: MatMut<'_, T>,
        _work: &mut [T],
    ) -> Result<(), Error> {
        ResponseMetric::Softmax(self.eta).apply(&mut p);
        Ok(())
    }

    fn energy<B: Backend<T> + ?Sized>(
        &self,
        _backend: &B,
        p: MatMut<'_, T>,
        _work: &mut [T],
    ) -> Result<T, Error> {
        Ok(ResponseMetric::Softmax(self.eta).energy(p.rb()))
    }

    #[inline(always)]
    fn check_inputs(&self) -> Result<(), Error> {
        check_finite("x", self.x)?;
        ResponseMetric::Softmax(self.eta).check_values()
    }
}
