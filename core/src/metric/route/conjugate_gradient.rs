//! The matrix-free route: conjugate gradients for all neurons of a layer at once.
//!
//! Each independent system (a neuron of a non-linear layer, the whole of a soft-max layer) has its
//! own step lengths and residual and is frozen once it has converged; one product with all of them
//! is two matrix products (M. R. Hestenes, E. Stiefel, 1952).

use super::super::layer::{Coupling, LayerMetric};
use super::super::support::{
    carve, check_finite, check_matrix, check_positive_damping, copy, dot, weighted_square,
};
use crate::error::take_work;
use crate::{Backend, Error, MatMut, MatRef, Real};

/// What multiplies the residual.
/// ```
/// use relfisher_core::metric::route::conjugate_gradient::{Options, Preconditioner};
/// let plain = Options { preconditioner: Preconditioner::None, ..Options::<f32>::default() };
/// assert_ne!(plain, Options::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preconditioner {
    /// Nothing.
    None,
    /// The inverse of the diagonal of Ḡ + λI.
    #[default]
    Jacobi,
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options<T> {
    /// A system has converged when ‖r‖ ≤ tolerance·‖g‖.
    pub tolerance: T,
    /// The most products with the metric.
    pub max_iterations: usize,
    /// What multiplies the residual.
    pub preconditioner: Preconditioner,
}

impl<T: Real> Default for Options<T> {
    /// Tolerance 16 ε, 1,000 iterations, Jacobi.
    fn default() -> Self {
        Self {
            tolerance: T::EPSILON * T::from_f64(16.0),
            max_iterations: 1000,
            preconditioner: Preconditioner::Jacobi,
        }
    }
}

/// The vectors of all systems, one after the other, and the scalars of each, cut from a workspace.
pub(crate) struct Buffers<'w, T> {
    /// The solutions, on return.
    pub(crate) solution: &'w mut [T],
    /// The right sides on entry, then the residuals.
    pub(crate) residual: &'w mut [T],
    /// The diagonal of the metric on entry (Jacobi), then what multiplies the residuals.
    pub(crate) inverse: &'w mut [T],
    direction: &'w mut [T],
    product: &'w mut [T],
    /// ρ = rᵀWr; 0 once a system has converged.
    rhos: &'w mut [T],
    /// The ‖r‖² to reach.
    targets: &'w mut [T],
    /// ‖g‖∞: each system is solved for g of largest element 1, so that no square underflows.
    scales: &'w mut [T],
}

impl<'w, T: Real> Buffers<'w, T> {
    /// Five vectors of `size` elements and three scalars for each of `systems`.
    pub(crate) fn carve(
        rest: &mut &'w mut [T],
        size: usize,
        systems: usize,
    ) -> Result<Self, Error> {
        Ok(Self {
            solution: carve(rest, size)?,
            residual: carve(rest, size)?,
            inverse: carve(rest, size)?,
            direction: carve(rest, size)?,
            product: carve(rest, size)?,
            rhos: carve(rest, systems)?,
            targets: carve(rest, systems)?,
            scales: carve(rest, systems)?,
        })
    }

    /// Solves all systems, each of `len` unknowns; `multiply(product, direction)` is the undamped
    /// metric. The number of products.
    #[inline(always)]
    pub(crate) fn iterate(
        &mut self,
        len: usize,
        damping: T,
        options: Options<T>,
        mut multiply: impl FnMut(&mut [T], &[T]) -> Result<(), Error>,
    ) -> Result<usize, Error> {
        self.start(len, damping, options);
        let mut iterations = 0;
        loop {
            let mut active = false;
            for rho in self.rhos.iter() {
                active |= *rho > T::ZERO;
            }
            if !active {
                break;
            }
            if iterations >= options.max_iterations {
                return Err(Error::NoConvergence { iterations });
            }
            iterations = iterations.wrapping_add(1);
            multiply(self.product, self.direction)?;
            for (i, rho) in self.rhos.iter_mut().enumerate() {
                if *rho > T::ZERO {
                    let at = i.wrapping_mul(len);
                    let system = System {
                        solution: part_mut(self.solution, at, len),
                        residual: part_mut(self.residual, at, len),
                        direction: part_mut(self.direction, at, len),
                        product: part(self.product, at, len),
                        inverse: part(self.inverse, at, len),
                        rho,
                    };
                    let target = self.targets.get(i).copied().unwrap_or(T::ZERO);
                    if !system.advance(target, damping) {
                        return Err(Error::NotPositiveDefinite { block: i, pivot: 0 });
                    }
                }
            }
        }
        for (i, scale) in self.scales.iter().enumerate() {
            for x in part_mut(self.solution, i.wrapping_mul(len), len) {
                *x *= *scale;
            }
        }
        Ok(iterations)
    }

    #[inline(always)]
    fn start(&mut self, len: usize, damping: T, options: Options<T>) {
        self.solution.fill(T::ZERO);
        match options.preconditioner {
            Preconditioner::None => self.inverse.fill(T::ONE),
            Preconditioner::Jacobi => {
                for x in self.inverse.iter_mut() {
                    *x = T::ONE / (*x + damping);
                }
            }
        }
        for (i, scale) in self.scales.iter_mut().enumerate() {
            let r = part_mut(self.residual, i.wrapping_mul(len), len);
            *scale = r.iter().fold(T::ZERO, |max, x| x.abs().max(max));
            if *scale > T::ZERO {
                for x in r {
                    *x /= *scale;
                }
            }
        }
        for ((p, r), w) in
            self.direction.iter_mut().zip(self.residual.iter()).zip(self.inverse.iter())
        {
            *p = *w * *r;
        }
        let limit = options.tolerance * options.tolerance;
        for (i, (rho, target)) in self.rhos.iter_mut().zip(self.targets.iter_mut()).enumerate() {
            let at = i.wrapping_mul(len);
            let r = part(self.residual, at, len);
            *rho = dot(r, part(self.direction, at, len));
            *target = limit * dot(r, r);
        }
    }
}

/// λ > 0 and the tolerance is a number.
pub(crate) fn check_options<T: Real>(damping: T, options: Options<T>) -> Result<(), Error> {
    check_positive_damping(damping)?;
    if options.tolerance >= T::ZERO && options.tolerance.is_finite() {
        Ok(())
    } else {
        Err(Error::Parameter { what: "tolerance must be finite and >= 0" })
    }
}

/// `Out ← (Ḡ + λI)⁻¹ G`, and the number of products spent. Shapes: out, g m × d̃. `work` as
/// [`workspace_len`] of (m, d̃, [`LayerMetric::multiply_workspace_len`]).
///
/// # Errors
/// Shape, layout, workspace; [`Error::Parameter`] for λ = 0 or a bad option; [`Error::NonFinite`]
/// naming the argument; [`Error::NoConvergence`] after `max_iterations`;
/// [`Error::NotPositiveDefinite`] naming the system for which pᵀAp was not positive.
/// ```
/// use relfisher_core::metric::layer::NonlinearMetric;
/// use relfisher_core::metric::route::conjugate_gradient;
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (x, nu, g) = ([2.0, 1.0], [0.5], [4.0, 2.0]);
/// let metric = NonlinearMetric::new(MatRef::new(&x, 1, 2)?, MatRef::new(&nu, 1, 1)?)?;
/// let mut step = [f64::NAN; 2];
/// let mut work = [f64::NAN; conjugate_gradient::workspace_len(1, 2, 1)];
/// let (out, g) = (MatMut::new(&mut step, 1, 2)?, MatRef::new(&g, 1, 2)?);
/// let products = conjugate_gradient::solve(&Portable, out, &metric, g, 0.5, conjugate_gradient::Options::default(), &mut work)?;
/// assert!((step[0] - 4.0 / 3.0).abs() < 1e-14); // g = 2x̃, an eigenvector
/// assert!(products <= 2);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn solve<T: Real, B: Backend<T> + ?Sized, M: LayerMetric<T>>(
    backend: &B,
    mut out: MatMut<'_, T>,
    metric: &M,
    g: MatRef<'_, T>,
    damping: T,
    options: Options<T>,
    work: &mut [T],
) -> Result<usize, Error> {
    let (m, d) = (metric.outputs(), metric.inputs());
    check_matrix(("cg: rows of out", "cg: columns of out"), out.rb(), m, d)?;
    check_matrix(("cg: rows of g", "cg: columns of g"), g, m, d)?;
    check_options(damping, options)?;
    let mut rest = take_work(work, workspace_len(m, d, metric.multiply_workspace_len()))?;
    metric.check_inputs()?;
    check_finite("g", g)?;
    let size = m.saturating_mul(d);
    // One system a row, or one of all rows.
    let (systems, len) = match metric.coupling() {
        Coupling::Rows => (m, d),
        Coupling::Joint => (m.min(1), size),
    };
    let mut buffers = Buffers::carve(&mut rest, size, systems)?;
    copy(&mut MatMut::new(&mut *buffers.residual, m, d)?, g);
    if options.preconditioner == Preconditioner::Jacobi {
        metric.diagonal(MatMut::new(&mut *buffers.inverse, m, d)?)?;
    }
    let iterations = buffers.iterate(len, damping, options, |product, direction| {
        let (product, direction) = (MatMut::new(product, m, d)?, MatRef::new(direction, m, d)?);
        metric.multiply(backend, product, direction, rest)
    })?;
    copy(&mut out, MatRef::new(buffers.solution, m, d)?);
    Ok(iterations)
}

/// One system.
struct System<'a, T> {
    solution: &'a mut [T],
    residual: &'a mut [T],
    direction: &'a mut [T],
    product: &'a [T],
    inverse: &'a [T],
    rho: &'a mut T,
}

impl<T: Real> System<'_, T> {
    /// One step; ρ ← 0 (and the direction too) once ‖r‖² ≤ target. False when pᵀAp is not a
    /// positive number.
    #[inline(always)]
    fn advance(self, target: T, damping: T) -> bool {
        let curvature =
            dot(self.direction, self.product) + damping * dot(self.direction, self.direction);
        let alpha = *self.rho / curvature;
        if !(curvature > T::ZERO && alpha.is_finite()) {
            return false;
        }
        for (x, p) in self.solution.iter_mut().zip(self.direction.iter()) {
            *x += alpha * *p;
        }
        for ((r, q), p) in self.residual.iter_mut().zip(self.product).zip(self.direction.iter()) {
            *r -= alpha * (*q + damping * *p);
        }
        let squared = dot(self.residual, self.residual);
        if !squared.is_finite() {
            return false;
        }
        if squared <= target {
            *self.rho = T::ZERO;
            self.direction.fill(T::ZERO);
            return true;
        }
        let rho = weighted_square(self.residual, self.inverse);
        let beta = rho / *self.rho;
        for ((p, r), w) in self.direction.iter_mut().zip(self.residual.iter()).zip(self.inverse) {
            *p = *w * *r + beta * *p;
        }
        *self.rho = rho;
        true
    }
}

#[inline(always)]
fn part<T>(a: &[T], start: usize, len: usize) -> &[T] {
    a.get(start..).and_then(|a| a.get(..len)).unwrap_or(&[])
}

#[inline(always)]
fn part_mut<T>(a: &mut [T], start: usize, len: usize) -> &mut [T] {
    a.get_mut(start..).and_then(|a| a.get_mut(..len)).unwrap_or(&mut [])
}

/// The scratch of [`solve`]: five m × d̃ vectors, 3m scalars, and that of the product.
pub const fn workspace_len(m: usize, d: usize, multiply: usize) -> usize {
    m.saturating_mul(d)
        .saturating_mul(5)
        .saturating_add(m.saturating_mul(3))
        .saturating_add(multiply)
}
