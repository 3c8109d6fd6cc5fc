//! The largest or the smallest eigenpairs.

use relfisher_core::blas::vector::norm;
use relfisher_core::factor::eigh_workspace_len;
use relfisher_core::{MatMut, MatRef};

use super::search::{Ending, Found, Goal, Search};
use super::{Counted, LinearOperator, OnProgress, Progress};
use crate::Scalar;
use crate::error::{Context, Error};
use crate::executor::Executor;

const PLACE: &str = "spectrum";
/// The largest order at which an operator that resists the iteration is written out.
const DENSE: usize = 2048;

/// Which end of the spectrum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The k largest eigenvalues (in sign, not in size).
    Largest(usize),
    /// The k smallest eigenvalues.
    Smallest(usize),
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExtremalOptions {
    /// Every residual ‖A x − λ x‖ is at most this share of the largest |eigenvalue| met; at least
    /// 64 ε.
    pub tolerance: f64,
    /// The most products with the operator.
    pub max_products: usize,
    /// The vectors of the basis, at least k + 2; `None`: 2k + 32. More memory, fewer products where
    /// eigenvalues are close.
    pub basis: Option<usize>,
    /// The seed of the random start vectors.
    pub seed: u64,
}

impl Default for ExtremalOptions {
    /// 1e-10, 20,000 products, the usual basis, seed 0.
    fn default() -> Self {
        Self { tolerance: 1e-10, max_products: 20_000, basis: None, seed: 0 }
    }
}

/// Whether the answer is what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All residuals are within the tolerance, and nothing beyond them was missed.
    Complete,
    /// The products were spent before (or the operator is noisier than the tolerance): residuals
    /// say how good each pair is, and others may be missing.
    Unfinished,
}

/// Eigenpairs from one end of the spectrum.
#[derive(Clone, Debug, PartialEq)]
pub struct Eigenpairs<T> {
    /// Eigenvalues from the end inwards: the largest descending, the smallest ascending. Repeated
    /// ones are listed as often as they occur.
    pub values: Vec<T>,
    /// Their orthonormal eigenvectors, one a row (values.len() × N).
    pub vectors: Vec<T>,
    /// ‖A x − λ x‖ of each, computed with the operator.
    pub residuals: Vec<T>,
    /// The products with the operator.
    pub products: usize,
    /// Whether the search came to its end.
    pub outcome: Outcome,
}

/// The k largest or smallest eigenpairs (all N when k > N) of a symmetric operator, each as often
/// as it is repeated, by thick-restart Lanczos with full reorthogonalisation.
///
/// The search runs in rounds. A round looks in the complement of the eigenvectors found so far,
/// from a random vector of its own; the first finds one copy of every distinct eigenvalue, the next
/// the second copies, and so on, until one finds nothing that belongs to the k largest: its largest
/// Ritz value must have converged below them, or the bound of Kuczyński and Woźniakowski (1992)
/// must leave a probability of at most 10⁻⁹ that something was missed. An invariant Krylov space
/// (low rank, few distinct eigenvalues) is continued with another random vector. Operators of no
/// higher order than the basis are written out and decomposed at once, those of order up to 2,048
/// after N products without convergence. At the end the vectors are multiplied once more: a
/// Rayleigh–Ritz step, and residuals that are measured, not estimated.
///
/// Products: each round depends on the gaps at the end of the spectrum, and there is one round more
/// than the most copies of an eigenvalue. Memory: the basis, up to 3k vectors found and two more,
/// (5k + 35)·N numbers as a rule; 2N² where the operator is written out. Results depend on the seed
/// and not on the number of threads.
///
/// # Errors
/// max_products ≤ k; a tolerance that is not a number ≥ 0; errors of the operator; products that are
/// not finite.
///
/// # References
/// K. Wu, H. Simon, *Thick-Restart Lanczos Method for Large Symmetric Eigenvalue Problems*, 2000;
/// B. N. Parlett, *The Symmetric Eigenvalue Problem*, ch. 11–13.
pub fn extremal<T: Scalar>(
    operator: &mut dyn LinearOperator<T>,
    executor: &dyn Executor<T>,
    which: Which,
    options: &ExtremalOptions,
    progress: &mut OnProgress<'_>,
) -> Result<Eigenpairs<T>, Error> {
    let n = operator.len();
    let (sign, wanted) = match which {
        Which::Largest(k) => (T::ONE, k.min(n)),
        Which::Smallest(k) => (-T::ONE, k.min(n)),
    };
    let goal = goal::<T>(options, wanted)?;
    let mut operator = Counted { operator, sign, products: 0 };
    let (vectors, products, complete, size) = if wanted == 0 {
        (Vec::new(), Vec::new(), true, 0.0)
    } else if n <= goal.capacity && n <= options.max_products {
        dense(&mut operator, executor, wanted, progress)?
    } else {
        search(&mut operator, executor, (goal, options.max_products), progress)?
    };
    let mut pairs = rayleigh_ritz(executor, vectors, products, n)?;
    let size = pairs.values.iter().fold(size, |m, v| m.max(v.to_f64().abs()));
    let within = |r: &T| r.to_f64() <= goal.tolerance * size;
    if complete && pairs.values.len() == wanted && pairs.residuals.iter().all(within) {
        pairs.outcome = Outcome::Complete;
    }
    for value in &mut pairs.values {
        *value *= sign;
    }
    pairs.products = operator.products;
    progress(&Progress { products: pairs.products, done: wanted, wanted });
    Ok(pairs)
}

/// The elements that [`extremal`] takes at most for k eigenpairs of an operator of order n with the
/// usual basis.
pub fn extremal_len(n: usize, k: usize) -> usize {
    let k = k.min(n);
    let steps = k.saturating_mul(2).saturating_add(33);
    // The basis, up to 3k vectors found with a copy when some are forgotten; vectors and products,
    // and both turned, at the end.
    let vectors = steps.saturating_add(k.saturating_mul(6)).saturating_add(4);
    // The projected problems, whose eigenvectors are kept.
    let small = steps.saturating_mul(steps).saturating_mul(6);
    let dense = if n <= DENSE.max(steps) { n.saturating_mul(n).saturating_mul(8) } else { 0 };
    vectors.saturating_mul(n).saturating_add(small).saturating_add(dense)
}

fn goal<T: Scalar>(options: &ExtremalOptions, wanted: usize) -> Result<Goal, Error> {
    if options.max_products <= wanted {
        return Err(Error::input(
            "",
            "spectrum: max_products",
            format_args!("{} is too few for {wanted} eigenpairs", options.max_products),
            "allow more products",
        ));
    }
    if !(options.tolerance >= 0.0 && options.tolerance.is_finite()) {
        return Err(Error::input(
            "",
            "spectrum: tolerance",
            format_args!("{} is not a tolerance", options.tolerance),
            "use a number >= 0, 1e-10 for example",
        ));
    }
    Ok(Goal {
        wanted,
        capacity: options.basis.unwrap_or(2 * wanted + 32).max(wanted + 2),
        tolerance: options.tolerance.max(64.0 * T::EPSILON.to_f64()),
        // each vector is multiplied once more at the end
        limit: options.max_products - wanted,
        seed: options.seed,
    })
}

/// Vectors, their products, whether they are all there, and the largest |eigenvalue| met.
type Space<T> = (Vec<T>, Vec<T>, bool, f64);

/// Small operators, written out.
fn dense<T: Scalar>(
    operator: &mut Counted<'_, T>,
    executor: &dyn Executor<T>,
    wanted: usize,
    progress: &mut OnProgress<'_>,
) -> Result<Space<T>, Error> {
    let n = operator.operator.len();
    let (mut columns, mut unit) = (vec![T::ZERO; n * n], vec![T::ZERO; n]);
    for (i, column) in columns.chunks_mut(n).enumerate() {
        unit.fill(T::ZERO);
        if let Some(x) = unit.get_mut(i) {
            *x = T::ONE;
        }
        operator.apply(column, &unit)?;
        progress(&Progress { products: operator.products, done: 0, wanted });
    }
    let a = MatRef::new(&columns, n, n)?;
    let mut symmetric: Vec<T> =
        (0..n).flat_map(|i| (0..n).map(move |j| T::HALF * (a.at(i, j) + a.at(j, i)))).collect();
    let (mut values, mut work) = (vec![T::ZERO; n], vec![T::ZERO; eigh_workspace_len(n)]);
    executor.eigh(MatMut::new(&mut symmetric, n, n)?, &mut values, &mut work).context(PLACE)?;
    let u = MatRef::new(&symmetric, n, n)?.sub(0, n - wanted, n, wanted)?.t();
    let vectors: Vec<T> = (0..wanted).flat_map(|i| (0..n).map(move |j| u.at(i, j))).collect();
    let mut products = vec![T::ZERO; wanted * n];
    let (out, x) = (MatMut::new(&mut products, wanted, n)?, MatRef::new(&vectors, wanted, n)?);
    executor.gemm(out, T::ZERO, T::ONE, x, a).context(PLACE)?;
    let size = values.iter().fold(0.0, |m: f64, v| m.max(v.to_f64().abs()));
    Ok((vectors, products, true, size))
}

/// The iteration, and the dense decomposition where it takes too long and that can be had.
fn search<T: Scalar>(
    operator: &mut Counted<'_, T>,
    executor: &dyn Executor<T>,
    (goal, most): (Goal, usize),
    progress: &mut OnProgress<'_>,
) -> Result<Space<T>, Error> {
    let n = operator.operator.len();
    let fallback = n <= DENSE && most >= 2 * n;
    let limit = if fallback { n } else { goal.limit };
    let mut found = Found::new(n);
    let mut search = Search {
        executor,
        operator: &mut *operator,
        progress: &mut *progress,
        goal: Goal { limit, ..goal },
        highest: f64::NEG_INFINITY,
        lowest: f64::INFINITY,
        scale: T::ZERO,
    };
    let complete = search.run(&mut found)? != Ending::Spent;
    let size = search.size();
    if fallback && !complete {
        return dense(operator, executor, goal.wanted, progress);
    }
    let vectors = found.into_largest(goal.wanted);
    let mut products = vec![T::ZERO; vectors.len()];
    for (out, v) in products.chunks_mut(n).zip(vectors.chunks(n)) {
        operator.apply(out, v)?;
        let (products, wanted) = (operator.products, goal.wanted);
        progress(&Progress { products, done: wanted, wanted });
    }
    Ok((vectors, products, complete, size))
}

/// The best eigenpairs in the span of orthonormal `vectors` X (k × n, rows), given their `products`
/// A X: values descending. What [`Outcome`] it is, is for the caller to say.
fn rayleigh_ritz<T: Scalar>(
    executor: &dyn Executor<T>,
    vectors: Vec<T>,
    products: Vec<T>,
    n: usize,
) -> Result<Eigenpairs<T>, Error> {
    let k = vectors.len().checked_div(n).unwrap_or(0);
    let (x, ax) = (MatRef::new(&vectors, k, n)?, MatRef::new(&products, k, n)?);
    let mut projected = vec![T::ZERO; k * k];
    let h = MatMut::new(&mut projected, k, k)?;
    executor.gemm(h, T::ZERO, T::HALF, x, ax.t()).context(PLACE)?;
    let h = MatMut::new(&mut projected, k, k)?;
    executor.gemm(h, T::ONE, T::HALF, ax, x.t()).context(PLACE)?;
    let (mut values, mut work) = (vec![T::ZERO; k], vec![T::ZERO; eigh_workspace_len(k)]);
    executor.eigh(MatMut::new(&mut projected, k, k)?, &mut values, &mut work).context(PLACE)?;
    // largest first
    values.reverse();
    let s = MatRef::new(&projected, k, k)?;
    let turn: Vec<T> = (0..k).flat_map(|i| (0..k).map(move |j| s.at(j, k - 1 - i))).collect();
    let turn = MatRef::new(&turn, k, k)?;
    let (mut turned, mut images) = (vec![T::ZERO; k * n], vec![T::ZERO; k * n]);
    executor.gemm(MatMut::new(&mut turned, k, n)?, T::ZERO, T::ONE, turn, x).context(PLACE)?;
    executor.gemm(MatMut::new(&mut images, k, n)?, T::ZERO, T::ONE, turn, ax).context(PLACE)?;
    let mut residuals = Vec::with_capacity(k);
    let rows = images.chunks_mut(n.max(1)).zip(turned.chunks(n.max(1)));
    for ((image, vector), value) in rows.zip(&values) {
        for (y, x) in image.iter_mut().zip(vector) {
            *y -= *value * *x;
        }
        residuals.push(norm(image));
    }
    let outcome = Outcome::Unfinished;
    Ok(Eigenpairs { values, vectors: turned, residuals, products: 0, outcome })
}
