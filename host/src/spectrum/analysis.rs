//! Both ends and the density of one operator: what `relfisher spectrum` computes.

use std::time::Instant;

use super::{
    Density, DensityOptions, Eigenpairs, ExtremalOptions, LinearOperator, Progress, Which, density,
    extremal, extremal_len,
};
use crate::Scalar;
use crate::error::Error;
use crate::executor::Executor;

/// What to compute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Analysis {
    /// How many of the largest eigenvalues; 0 for none.
    pub largest: usize,
    /// How many of the smallest eigenvalues; 0 for none.
    pub smallest: usize,
    /// Tolerance, products and seed of the eigenvalues.
    pub extremal: ExtremalOptions,
    /// The density, or `None`.
    pub density: Option<DensityOptions>,
}

impl Analysis {
    /// The elements that [`analyse`] takes at most for an operator of order n with the usual basis.
    pub fn required_len(&self, n: usize) -> usize {
        let density = self.density.map_or(0, |options| {
            let steps = options.steps.min(n);
            // The basis, a probe, and the quadratures in double precision.
            let nodes = options.probes.saturating_mul(steps).saturating_mul(4);
            n.saturating_mul(steps.saturating_add(3)).saturating_add(nodes)
        });
        let ends = extremal_len(n, self.largest).max(extremal_len(n, self.smallest));
        let found = self.largest.min(n).saturating_add(self.smallest.min(n)).saturating_mul(n);
        ends.max(density).saturating_add(found)
    }
}

/// Which part of an [`Analysis`] is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The largest eigenvalues.
    Largest,
    /// The smallest eigenvalues.
    Smallest,
    /// The density.
    Density,
}

/// A result and the wall-clock seconds that it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed<R> {
    /// The result.
    pub result: R,
    /// Seconds.
    pub seconds: f64,
}

/// The answers of an [`Analysis`].
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum<T> {
    /// The order of the operator.
    pub dimension: usize,
    /// The largest eigenpairs, if any were wanted.
    pub largest: Option<Timed<Eigenpairs<T>>>,
    /// The smallest eigenpairs, if any were wanted.
    pub smallest: Option<Timed<Eigenpairs<T>>>,
    /// The density, if it was wanted.
    pub density: Option<Timed<Density>>,
}

/// Told after every product, with the stage.
pub type OnStage<'a> = dyn FnMut(Stage, &Progress) + 'a;

/// Computes what `analysis` asks for, one part after the other.
///
/// # Errors
/// As [`extremal`] and [`density`].
pub fn analyse<T: Scalar>(
    operator: &mut dyn LinearOperator<T>,
    executor: &dyn Executor<T>,
    analysis: &Analysis,
    progress: &mut OnStage<'_>,
) -> Result<Spectrum<T>, Error> {
    let mut end = |stage: Stage, which: Which, operator: &mut dyn LinearOperator<T>| {
        let mut report = |p: &Progress| progress(stage, p);
        timed(|| extremal(operator, executor, which, &analysis.extremal, &mut report))
    };
    let largest = match analysis.largest {
        0 => None,
        k => Some(end(Stage::Largest, Which::Largest(k), operator)?),
    };
    let smallest = match analysis.smallest {
        0 => None,
        k => Some(end(Stage::Smallest, Which::Smallest(k), operator)?),
    };
    let density = match analysis.density {
        None => None,
        Some(options) => {
            let mut report = |p: &Progress| progress(Stage::Density, p);
            Some(timed(|| density(operator, executor, options, &mut report))?)
        }
    };
    Ok(Spectrum { dimension: operator.len(), largest, smallest, density })
}

fn timed<R>(run: impl FnOnce() -> Result<R, Error>) -> Result<Timed<R>, Error> {
    let start = Instant::now();
    let result = run()?;
    Ok(Timed { result, seconds: start.elapsed().as_secs_f64() })
}
