//! The non-linear layer: `blockdiag(ν_f(w_1ᵀx̃) x̃x̃ᵀ, …, ν_f(w_mᵀx̃) x̃x̃ᵀ)`.

use super::super::cost::{self, LayerKind, Route};
use super::super::route::{block, conjugate_gradient, kronecker, sample};
use super::super::support::{carve, check_finite, check_keep, copy, packed_len};
use super::{Coupling, LayerMetric, ResponseMetric, SolveOptions, check_samples};
use crate::error::{check_len, take_work};
use crate::{Backend, Error, MatMut, MatRef, Real, blas};

/// The mean metric of a layer of m independent neurons: m blocks of d̃ × d̃,
/// `Ḡ_i = (1/n) Σ_s ν_si x̃_s x̃_sᵀ` (S4, non-linear layer).
///
/// $$ \bar G_i = \frac1n \sum_s \nu_{si} \tilde x_s \tilde x_s^\top $$
///
/// ν (n × m) comes from the neuron's response model ([`crate::metric::neuron`]); a neuron whose
/// input weights are scaled (batch normalisation) has s_i² folded into it ([`fold_scale`]).
///
/// ```
/// use relfisher_core::metric::layer::{LayerMetric, NonlinearMetric, SolveOptions};
/// use relfisher_core::metric::cost::Route;
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let x = [2.0, 1.0]; // one sample of [x; 1]
/// let nu = [0.5];
/// let metric = NonlinearMetric::new(MatRef::new(&x, 1, 2)?, MatRef::new(&nu, 1, 1)?)?;
/// let g = [4.0, 2.0];
/// let mut out = [0.0; 2];
/// let mut work = [0.0; 512];
/// let options = SolveOptions { route: Some(Route::Sample), ..Default::default() };
/// metric.solve(&Portable, MatMut::new(&mut out, 1, 2)?, MatRef::new(&g, 1, 2)?, 0.1, options, &mut work)?;
/// // g = 2 x̃, so (½ x̃x̃ᵀ + 0.1)⁻¹ g = g / (½ · 5 + 0.1)
/// assert!((out[0] - 4.0f64 / 2.6).abs() < 1e-12);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
/// The blocks themselves, and the scratch of the route that is taken:
/// ```
/// use relfisher_core::metric::layer::NonlinearMetric;
/// use relfisher_core::{MatMut, MatRef, Portable, blas};
/// let (x, nu) = ([2.0, 1.0], [0.5, 3.0]); // one sample, two neurons
/// let metric = NonlinearMetric::new(MatRef::new(&x, 1, 2)?, MatRef::new(&nu, 1, 2)?)?;
/// assert_eq!((metric.x().at(0, 0), metric.nu().at(0, 1)), (2.0, 3.0));
/// let (mut packed, mut block) = ([f64::NAN; 6], [f64::NAN; 4]);
/// let mut work = [f64::NAN; blas::packed_grams_workspace_len(1, 2, 2)];
/// metric.packed(&Portable, MatMut::new(&mut packed, 2, 3)?, 0.0, &mut work)?;
/// assert_eq!(packed, [2.0, 1.0, 0.5, 12.0, 6.0, 3.0]);
/// let mut work = [f64::NAN; NonlinearMetric::<f64>::block_workspace_len(1, 2)];
/// metric.block(&Portable, MatMut::new(&mut block, 2, 2)?, 1, &mut work)?;
/// assert_eq!(block, [12.0, 6.0, 6.0, 3.0]);
/// let route = NonlinearMetric::<f64>::route(1, 2, 2, None, true);
/// assert!(NonlinearMetric::<f64>::solve_workspace_len(1, 2, 2, route) > 0);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct NonlinearMetric<'a, T> {
    x: MatRef<'a, T>,
    nu: MatRef<'a, T>,
}

impl<'a, T: Real> NonlinearMetric<'a, T> {
    /// The metric at the inputs X̃ (n × d̃) with weights ν (n × m), both with contiguous rows.
    ///
    /// # Errors
    /// Shape, layout; [`Error::Parameter`] for no sample.
    pub fn new(x: MatRef<'a, T>, nu: MatRef<'a, T>) -> Result<Self, Error> {
        check_samples(x.rows())?;
        super::super::support::check_rows("x", x)?;
        ResponseMetric::Independent(nu).check_shape(x.rows())?;
        Ok(Self { x, nu })
    }

    /// X̃, n × d̃.
    pub fn x(&self) -> MatRef<'a, T> {
        self.x
    }

    /// ν, n × m.
    pub fn nu(&self) -> MatRef<'a, T> {
        self.nu
    }

    /// One block, both triangles: `Out ← Ḡ_i`, d̃ × d̃.
    ///
    /// # Errors
    /// Shape, layout, workspace ([`Self::block_workspace_len`]).
    pub fn block<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        out: MatMut<'_, T>,
        neuron: usize,
        work: &mut [T],
    ) -> Result<(), Error> {
        let (n, d) = (self.x.rows(), self.x.cols());
        if neuron >= self.nu.cols() {
            return Err(Error::Parameter { what: "block: no such neuron" });
        }
        let mut rest = take_work(work, Self::block_workspace_len(n, d))?;
        let weights = carve(&mut rest, n)?;
        for (s, w) in weights.iter_mut().enumerate() {
            *w = self.nu.at(s, neuron);
        }
        backend.gram(out, T::ZERO, T::ONE / T::from_usize(n), self.x, Some(weights), rest)
    }

    /// The scratch of [`Self::block`]: n and that of the product.
    pub const fn block_workspace_len(n: usize, d: usize) -> usize {
        n.saturating_add(blas::gram_workspace_len(n, d))
    }

    /// All blocks, packed: `out[i, k(a, b)] ← keep·out + (1 − keep) Ḡ_i[a, b]`, m × d̃(d̃+1)/2;
    /// `keep` ∈ [0, 1] is the weight of the past in a moving average, 0 never reads.
    ///
    /// # Errors
    /// Shape, layout, workspace ([`blas::packed_grams_workspace_len`] of n, m, d̃),
    /// [`Error::Parameter`] for another `keep`.
    pub fn packed<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        out: MatMut<'_, T>,
        keep: T,
        work: &mut [T],
    ) -> Result<(), Error> {
        check_keep(keep)?;
        let alpha = (T::ONE - keep) / T::from_usize(self.x.rows());
        backend.packed_grams(out, keep, alpha, self.x, self.nu, work)
    }

    /// `Out ← (Ḡ + λI)⁻¹ G` by the route of the options. Shapes: out, g m × d̃.
    ///
    /// [`Route::Kronecker`] solves with the approximation `diag(ν̄) ⊗ (1/n) Σ x̃x̃ᵀ` instead and is
    /// taken only when forced. λ = 0 needs the block or the Kronecker route and a regular metric.
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
        let (n, m, d) = (self.x.rows(), self.nu.cols(), self.x.cols());
        check_len("solve: rows of g", m, g.rows())?;
        check_len("solve: columns of g", d, g.cols())?;
        check_len("solve: rows of out", m, out.rows())?;
        check_len("solve: columns of out", d, out.cols())?;
        super::super::support::check_rows("g", g)?;
        super::super::support::check_rows("out", out.rb())?;
        let route = Self::route(n, m, d, options.route, damping > T::ZERO);
        let work = take_work(work, Self::solve_workspace_len(n, m, d, route))?;
        match route {
            Route::Sample => sample::solve(backend, out, self, g, damping, work),
            Route::ConjugateGradient => {
                let cg = options.conjugate_gradient;
                conjugate_gradient::solve(backend, out, self, g, damping, cg, work).map(|_| ())
            }
            Route::Block => {
                super::super::support::check_damping(damping)?;
                check_finite("g", g)?;
                let mut rest = work;
                let p = packed_len(d);
                let blocks = carve(&mut rest, m.saturating_mul(p))?;
                block::build(backend, MatMut::new(blocks, m, p)?, self, T::ZERO, rest)?;
                block::factor(backend, MatMut::new(blocks, m, p)?, d, damping)?;
                copy(&mut out, g);
                block::apply(backend, out, MatRef::new(blocks, m, p)?)
            }
            Route::Kronecker => {
                super::super::support::check_damping(damping)?;
                check_finite("g", g)?;
                let mut rest = work;
                let len = kronecker::state_len(LayerKind::Nonlinear, m, d);
                let slice = carve(&mut rest, len)?;
                let mut state = kronecker::State::new(LayerKind::Nonlinear, m, d, slice)?;
                state.build_nonlinear(backend, self, T::ZERO, rest)?;
                state.factor(backend, kronecker::Damping::Exact, damping, rest)?;
                copy(&mut out, g);
                state.apply(backend, out, kronecker::Damping::Exact, damping, rest)
            }
        }
    }

    /// The route that [`Self::solve`] takes: the forced one, else the cheapest exact one for one
    /// solve; without damping the block route.
    pub fn route(n: usize, m: usize, d: usize, forced: Option<Route>, damped: bool) -> Route {
        match forced {
            Some(route) => route,
            None if !damped => Route::Block,
            None => cost::choose(&cost::Problem::new(LayerKind::Nonlinear, m, d, n)),
        }
    }

    /// The scratch of [`Self::solve`] by one route; pass [`Self::route`] of the same arguments.
    pub const fn solve_workspace_len(n: usize, m: usize, d: usize, route: Route) -> usize {
        match route {
            Route::Sample => sample::workspace_len(n, m, d),
            Route::ConjugateGradient => {
                conjugate_gradient::workspace_len(m, d, n.saturating_mul(m))
            }
            Route::Block => m
                .saturating_mul(packed_len(d))
                .saturating_add(blas::packed_grams_workspace_len(n, m, d)),
            Route::Kronecker => kronecker::state_len(LayerKind::Nonlinear, m, d)
                .saturating_add(kronecker::workspace_len(LayerKind::Nonlinear, n, m, d)),
        }
    }
}

impl<T: Real> LayerMetric<T> for NonlinearMetric<'_, T> {
    #[inline(always)]
    fn input(&self) -> MatRef<'_, T> {
        self.x
    }

    fn outputs(&self) -> usize {
        self.nu.cols()
    }

    fn coupling(&self) -> Coupling {
        Coupling::Rows
    }

    #[inline(always)]
    fn weight(&self, s: usize, i: usize, j: usize) -> T {
        ResponseMetric::Independent(self.nu).entry(s, i, j)
    }

    #[inline(always)]
    fn respond<B: Backend<T> + ?Sized>(
        &self,
        _backend: &B,
        mut p: MatMut<'_, T>,
        _work: &mut [T],
    ) -> Result<(), Error> {
        ResponseMetric::Independent(self.nu).apply(&mut p);
        Ok(())
    }

    fn energy<B: Backend<T> + ?Sized>(
        &self,
        _backend: &B,
        p: MatMut<'_, T>,
        _work: &mut [T],
    ) -> Result<T, Error> {
        Ok(ResponseMetric::Independent(self.nu).energy(p.rb()))
    }

    #[inline(always)]
    fn check_inputs(&self) -> Result<(), Error> {
        check_finite("x", self.x)?;
        ResponseMetric::Independent(self.nu).check_values()
    }
}

/// `ν_si ← s_i² ν_si`: the metric with respect to weights that reach the neuron multiplied by s_i,
/// ∂t_i/∂w_i = s_i x̃. Shapes: ν n × m, scale m.
///
/// # Errors
/// Shape, layout.
/// ```
/// use relfisher_core::{MatMut, metric::layer::fold_scale};
/// let mut nu = [1.0, 2.0];
/// fold_scale(MatMut::new(&mut nu, 1, 2)?, &[3.0, 0.5])?;
/// assert_eq!(nu, [9.0, 0.5]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn fold_scale<T: Real>(mut nu: MatMut<'_, T>, scale: &[T]) -> Result<(), Error> {
    check_len("fold_scale: scale", nu.cols(), scale.len())?;
    super::super::support::check_rows("nu", nu.rb())?;
    for s in 0..nu.rows() {
        for (v, s) in nu.row_mut(s).iter_mut().zip(scale) {
            *v = (*s * *s) * *v;
        }
    }
    Ok(())
}
