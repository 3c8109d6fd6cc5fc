//! The density of all eigenvalues, by stochastic Lanczos quadrature.

use relfisher_core::stats::{self, Lanczos, Step};
use relfisher_core::{MatMut, MatRef};

use super::{Counted, LinearOperator, OnProgress, Progress};
use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::{Scalar, random, vectorised};

/// How the density is estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DensityOptions {
    /// Random vectors: the error falls as 1/√probes.
    pub probes: usize,
    /// Lanczos steps from each: the resolution.
    pub steps: usize,
    /// The seed of the random vectors.
    pub seed: u64,
}

/// The Gauss quadrature of one probe: `vᵀ f(A) v/N ≈ Σ weights f(nodes)`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quadrature {
    /// Ritz values, ascending.
    pub nodes: Vec<f64>,
    /// Their weights, sum 1.
    pub weights: Vec<f64>,
}

/// An estimate of the spectral density (1/N) Σ δ(t − λᵢ): the mean of the probes' quadratures.
#[derive(Clone, Debug, PartialEq)]
pub struct Density {
    /// One for each probe.
    pub quadratures: Vec<Quadrature>,
    /// The order N of the operator.
    pub dimension: usize,
    /// The products with the operator.
    pub products: usize,
}

/// Stochastic Lanczos quadrature: from each of `probes` random sign vectors, `steps` Lanczos steps
/// with full reorthogonalisation, fewer when the vector's Krylov space is exhausted (the quadrature
/// is then exact for every function).
///
/// Expectations of quadratures are (1/N) tr f(A), for polynomials of degree ≤ 2·steps − 1 exactly.
/// probes·steps products; memory: (min(steps, N) + 2)·N numbers. The random vectors depend on the
/// seed and the number of the probe only.
///
/// # Errors
/// An operator of order 0, no probes or no steps; errors of the operator; products that are not
/// finite.
///
/// # References
/// S. Ubaru, J. Chen, Y. Saad, 2017; B. Ghorbani, S. Krishnan, Y. Xiao, *An Investigation into Neural
/// Net Optimization via Hessian Eigenvalue Density*, 2019.
pub fn density<T: Scalar>(
    operator: &mut dyn LinearOperator<T>,
    executor: &dyn Executor<T>,
    options: DensityOptions,
    progress: &mut OnProgress<'_>,
) -> Result<Density, Error> {
    let n = operator.len();
    for (name, value, remedy) in [
        ("parameters", n, "give a network with weights"),
        ("probes", options.probes, "use at least one"),
        ("steps", options.steps, "use at least one"),
    ] {
        if value == 0 {
            return Err(Error::input("", "spectral density", format_args!("no {name}"), remedy));
        }
    }
    let mut operator = Counted { operator, sign: T::ONE, products: 0 };
    let steps = options.steps.min(n);
    let mut buffers = Buffers::new(steps, n);
    let mut quadratures = Vec::with_capacity(options.probes);
    for probe in 0..options.probes {
        let mut rng = random::stream(options.seed, probe as u64, "spectral density");
        for v in &mut buffers.vector {
            *v = if random::below(&mut rng, 2) == 0 { T::ONE } else { -T::ONE };
        }
        let mut report = |products: usize| {
            progress(&Progress { products, done: probe, wanted: options.probes });
        };
        quadratures.push(buffers.quadrature(&mut operator, executor, &mut report)?);
    }
    let (products, wanted) = (operator.products, options.probes);
    progress(&Progress { products, done: wanted, wanted });
    Ok(Density { quadratures, dimension: n, products })
}

/// What one probe works in.
struct Buffers<T> {
    basis: Vec<T>,
    alpha: Vec<T>,
    beta: Vec<T>,
    work: Vec<T>,
    /// The probe, then every product.
    vector: Vec<T>,
}

impl<T: Scalar> Buffers<T> {
    fn new(steps: usize, n: usize) -> Self {
        Self {
            basis: vec![T::ZERO; (steps + 1) * n],
            alpha: vec![T::ZERO; steps],
            beta: vec![T::ZERO; steps],
            work: vec![T::ZERO; stats::lanczos_workspace_len(steps, 0)],
            vector: vec![T::ZERO; n],
        }
    }

    fn quadrature(
        &mut self,
        operator: &mut Counted<'_, T>,
        executor: &dyn Executor<T>,
        report: &mut dyn FnMut(usize),
    ) -> Result<Quadrature, Error> {
        let place = "spectral density";
        let (n, steps) = (self.vector.len(), self.alpha.len());
        let basis = MatMut::new(&mut self.basis, steps + 1, n)?;
        let (alpha, beta, work) = (&mut self.alpha, &mut self.beta, &mut self.work);
        let none = MatRef::new(&[], 0, n)?;
        let mut lanczos = Lanczos::new(basis, alpha, beta, none, T::ZERO, work).context(place)?;
        let mut step = vectorised!(lanczos.start(executor, &self.vector)).context(place)?;
        while step == Step::Continue {
            operator.apply(&mut self.vector, lanczos.next_vector())?;
            step = vectorised!(lanczos.advance(executor, &self.vector)).context(place)?;
            report(operator.products);
        }
        // T is small: its eigenvalues are found in double precision
        let double = |x: &[T]| x.iter().map(|x| x.to_f64()).collect::<Vec<f64>>();
        let (alpha, mut beta) = (double(lanczos.alpha()), double(lanczos.beta()));
        beta.pop();
        let k = alpha.len();
        let (mut nodes, mut weights, mut work) = (vec![0.0; k], vec![0.0; k], vec![0.0; k]);
        stats::lanczos_quadrature(&mut nodes, &mut weights, &alpha, &beta, &mut work)
            .context(place)?;
        Ok(Quadrature { nodes, weights })
    }
}

impl Density {
    /// The estimate of (1/N) tr f(A) and its standard error over the probes (NaN for one probe).
    pub fn mean(&self, f: impl Fn(f64) -> f64) -> (f64, f64) {
        let each: Vec<f64> = self
            .quadratures
            .iter()
            .map(|q| q.nodes.iter().zip(&q.weights).map(|(t, w)| w * f(*t)).sum())
            .collect();
        let count = each.len() as f64;
        let mean = each.iter().sum::<f64>() / count;
        let squares: f64 = each.iter().map(|x| (x - mean) * (x - mean)).sum();
        (mean, (squares / (count - 1.0) / count).sqrt())
    }

    /// The smallest and the largest node.
    pub fn range(&self) -> (f64, f64) {
        let nodes = || self.quadratures.iter().flat_map(|q| q.nodes.iter().copied());
        (nodes().fold(f64::INFINITY, f64::min), nodes().fold(f64::NEG_INFINITY, f64::max))
    }

    /// A deviation for [`Density::curve`] that shows `resolution` details over the range; where the
    /// range is a point, over its distance from 0, or over 1.
    pub fn deviation(&self, resolution: f64) -> f64 {
        let (low, high) = self.range();
        let size = low.abs().max(high.abs());
        let width = if high - low > 1e-12 * size { high - low } else { size };
        if width > 0.0 { width / resolution } else { 1.0 / resolution }
    }

    /// `points` ≥ 2 equidistant places from `margin` below the smallest node to as much above the
    /// largest.
    pub fn grid(&self, points: usize, margin: f64) -> Vec<f64> {
        let (low, high) = self.range();
        let (low, high) = (low - margin, high + margin);
        let last = points.max(2) - 1;
        (0..=last)
            .map(|i| {
                let share = i as f64 / last as f64;
                low * (1.0 - share) + high * share
            })
            .collect()
    }

    /// The density on `grid`, each node widened to a normal distribution of deviation `sigma`: it
    /// integrates to 1.
    ///
    /// # Errors
    /// As [`stats::gaussian_density`].
    pub fn curve(&self, grid: &[f64], sigma: f64) -> Result<Vec<f64>, Error> {
        let (mut nodes, mut weights) = (Vec::new(), Vec::new());
        let share = 1.0 / self.quadratures.len().max(1) as f64;
        for q in &self.quadratures {
            nodes.extend_from_slice(&q.nodes);
            weights.extend(q.weights.iter().map(|w| w * share));
        }
        let mut density = vec![0.0; grid.len()];
        vectorised!(stats::gaussian_density(&mut density, grid, &nodes, &weights, sigma))
            .context("spectral density")?;
        Ok(density)
    }
}
