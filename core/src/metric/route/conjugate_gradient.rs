//! The matrix-free route: conjugate gradients for all neurons of a layer at once.
//!
//! Each independent system (a neuron of a non-linear layer, the whole of a soft-max layer) has its
//! own step lengths and residual and is frozen once it has converged; one product with all of them
//! is two matrix products (M. R. Hestenes, E. Stiefel, 1952).

use super::super::layer::{Coupling, LayerMetric};
use super::super::support::{carve, check_finite, check_matrix, check_positive_damping, copy, dot};
use crate::error::take_work;
use crate::{Backend, Error, MatMut, MatRef, Real};

/// What multiplies the residual.
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

/// The scalars of one system: ρ = rᵀWr (0 once it has converged) and the ‖r‖² to reach.
struct System<'a, T> {
    rho: &'a mut T,
    target: &'a T,
}

/// `Out ← (Ḡ + λI)⁻¹ G`, and the number of products spent. Shapes: out, g m × d̃. `work` as
/// [`workspace_len`] of (m, d̃, [`LayerMetric::multiply_workspace_len`]).
///
/// # Errors
/// Shape, layout, workspace; [`Error::Parameter`] for λ = 0 or a bad option; [`Error::NonFinite`]
/// naming the argument; [`Error::NoConvergence`] after `max_iterations`;
/// [`Error::NotPositiveDefinite`] naming the system for which pᵀAp was not positive.
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
    check_positive_damping(damping)?;
    if !(options.tolerance >= T::ZERO && options.tolerance.is_finite()) {
        return Err(Error::Parameter { what: "tolerance must be finite and >= 0" });
    }
    let mut rest = take_work(work, workspace_len(m, d, metric.multiply_workspace_len()))?;
    metric.check_inputs()?;
    check_finite("g", g)?;
    let size = m.saturating_mul(d);
    let residual = carve(&mut rest, size)?;
    let direction = carve(&mut rest, size)?;
    let product = carve(&mut rest, size)?;
    let inverse = carve(&mut rest, size)?;
    let rhos = carve(&mut rest, m)?;
    let targets = carve(&mut rest, m)?;
    let scales = carve(&mut rest, m)?;

    match options.preconditioner {
        Preconditioner::None => inverse.fill(T::ONE),
        Preconditioner::Jacobi => {
            metric.diagonal(MatMut::new(inverse, m, d)?)?;
            for x in inverse.iter_mut() {
                *x = T::ONE / (*x + damping);
            }
        }
    }
    for i in 0..m {
        out.row_mut(i).fill(T::ZERO);
    }
    copy(&mut MatMut::new(&mut *residual, m, d)?, g);

    // One system a row, or one of all rows; each scaled to ‖g‖∞ = 1, so that no square underflows.
    let joint = metric.coupling() == Coupling::Joint;
    let (systems, rows, len) = if joint { (m.min(1), m, size) } else { (m, 1, d) };
    for (i, scale) in scales.iter_mut().enumerate().take(systems) {
        let r = part_mut(residual, i.wrapping_mul(len), len);
        *scale = r.iter().fold(T::ZERO, |max, x| x.abs().max(max));
        if *scale > T::ZERO {
            for x in r {
                *x = *x / *scale;
            }
        }
    }
    for ((p, r), w) in direction.iter_mut().zip(residual.iter()).zip(inverse.iter()) {
        *p = *w * *r;
    }

    let limit = options.tolerance * options.tolerance;
    for (i, (rho, target)) in rhos.iter_mut().zip(targets.iter_mut()).enumerate().take(systems) {
        let at = i.wrapping_mul(len);
        let r = part(residual, at, len);
        *rho = dot(r, part(direction, at, len));
        *target = limit * dot(r, r);
    }
    let mut iterations = 0;
    loop {
        let mut active = false;
        for (rho, _) in rhos.iter().zip(targets.iter()).take(systems) {
            active |= *rho > T::ZERO;
        }
        if !active {
            break;
        }
        if iterations >= options.max_iterations {
            return Err(Error::NoConvergence { iterations });
        }
        iterations = iterations.wrapping_add(1);
        metric.multiply(
            backend,
            MatMut::new(&mut *product, m, d)?,
            MatRef::new(direction, m, d)?,
            rest,
        )?;
        for (i, (rho, target)) in rhos.iter_mut().zip(targets.iter()).enumerate().take(systems) {
            if *rho > T::ZERO {
                let at = i.wrapping_mul(len);
                let vectors = Vectors {
                    residual: part_mut(residual, at, len),
                    direction: part_mut(direction, at, len),
                    product: part(product, at, len),
                    inverse: part(inverse, at, len),
                };
                let state = System { rho, target };
                if !advance(&mut out, (i, rows), vectors, state, damping) {
                    return Err(Error::NotPositiveDefinite { block: i, pivot: 0 });
                }
            }
        }
    }
    for (i, scale) in scales.iter().enumerate().take(systems) {
        for r in 0..rows {
            for o in out.row_mut(i.wrapping_add(r)) {
                *o = *scale * *o;
            }
        }
    }
    Ok(iterations)
}

/// The vectors of one system.
struct Vectors<'a, T> {
    residual: &'a mut [T],
    direction: &'a mut [T],
    product: &'a [T],
    inverse: &'a [T],
}

/// One step of one system; ρ ← 0 (and the direction too) once it has converged. False when pᵀAp is
/// not a positive number.
fn advance<T: Real>(
    out: &mut MatMut<'_, T>,
    (system, rows): (usize, usize),
    v: Vectors<'_, T>,
    state: System<'_, T>,
    damping: T,
) -> bool {
    let curvature = dot(v.direction, v.product) + damping * dot(v.direction, v.direction);
    let alpha = *state.rho / curvature;
    if !(curvature > T::ZERO && alpha.is_finite()) {
        return false;
    }
    let mut step: &[T] = v.direction;
    for i in 0..rows {
        let row = out.row_mut(system.wrapping_add(i));
        let Some((head, tail)) = step.split_at_checked(row.len()) else { break };
        for (o, p) in row.iter_mut().zip(head) {
            *o += alpha * *p;
        }
        step = tail;
    }
    for ((r, q), p) in v.residual.iter_mut().zip(v.product).zip(v.direction.iter()) {
        *r = *r - alpha * (*q + damping * *p);
    }
    let squared = dot(v.residual, v.residual);
    if !squared.is_finite() {
        return false;
    }
    if squared <= *state.target {
        *state.rho = T::ZERO;
        v.direction.fill(T::ZERO);
        return true;
    }
    let mut rho = T::ZERO;
    for (r, w) in v.residual.iter().zip(v.inverse) {
        rho += *r * (*w * *r);
    }
    let beta = rho / *state.rho;
    for ((p, r), w) in v.direction.iter_mut().zip(v.residual.iter()).zip(v.inverse) {
        *p = *w * *r + beta * *p;
    }
    *state.rho = rho;
    true
}

#[inline(always)]
fn part<T>(a: &[T], start: usize, len: usize) -> &[T] {
    a.get(start..).and_then(|a| a.get(..len)).unwrap_or(&[])
}

#[inline(always)]
fn part_mut<T>(a: &mut [T], start: usize, len: usize) -> &mut [T] {
    a.get_mut(start..).and_then(|a| a.get_mut(..len)).unwrap_or(&mut [])
}

/// The scratch of [`solve`]: four m × d̃ vectors, 3m scalars, and that of the product.
pub const fn workspace_len(m: usize, d: usize, multiply: usize) -> usize {
    m.saturating_mul(d)
        .saturating_mul(4)
        .saturating_add(m.saturating_mul(3))
        .saturating_add(multiply)
}
