//! Rounds of thick-restart Lanczos, each in the complement of what was found before.

use relfisher_core::factor::eigh_workspace_len;
use relfisher_core::stats::{self, Lanczos, Step};
use relfisher_core::{MatMut, MatRef};

use super::{Counted, OnProgress, Progress};
use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::{Scalar, random, vectorised};

const PLACE: &str = "spectrum";
/// Random vectors that are tried before the complement counts as exhausted.
const TRIES: usize = 3;
/// The probability of missing an eigenvalue that the bound of Kuczyński and Woźniakowski may leave.
const FAILURE: f64 = 1e-9;
/// A Ritz vector that is known this well (residual over the distance to the eigenvalue that could
/// be missed) would show a part of the missed eigenvector.
const RESOLVED: f64 = 1e-6;

/// Eigenpairs of the operator with its sign, in the order in which they were found.
pub(super) struct Found<T> {
    n: usize,
    values: Vec<T>,
    vectors: Vec<T>,
}

impl<T: Scalar> Found<T> {
    pub(super) fn new(n: usize) -> Self {
        Self { n, values: Vec::new(), vectors: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    fn vectors(&self) -> Result<MatRef<'_, T>, Error> {
        Ok(MatRef::new(&self.vectors, self.values.len(), self.n)?)
    }

    /// Positions, largest value first.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.values.len()).collect();
        let value = |i: &usize| self.values.get(*i).map_or(f64::NAN, |v| v.to_f64());
        order.sort_by(|a, b| value(b).total_cmp(&value(a)));
        order
    }

    fn descending(&self) -> Vec<T> {
        self.order().iter().filter_map(|i| self.values.get(*i).copied()).collect()
    }

    /// Forgets all but the `count` largest.
    fn trim(&mut self, count: usize) {
        if self.len() > count {
            let kept: Vec<usize> = self.order().into_iter().take(count).collect();
            let values = kept.iter().filter_map(|i| self.values.get(*i).copied()).collect();
            self.vectors = self.rows(&kept);
            self.values = values;
        }
    }

    fn rows(&self, which: &[usize]) -> Vec<T> {
        let row = |i: &usize| self.vectors.get(i * self.n..(i + 1) * self.n).unwrap_or(&[]);
        which.iter().flat_map(|i| row(i).iter().copied()).collect()
    }

    /// The vectors of the `count` largest, one a row.
    pub(super) fn into_largest(mut self, count: usize) -> Vec<T> {
        self.trim(count);
        self.rows(&self.order())
    }
}

/// What is searched for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    /// The number k of largest eigenvalues.
    pub(super) wanted: usize,
    /// The steps of a cycle: the basis has one vector more.
    pub(super) capacity: usize,
    /// Residuals to reach, over the largest |eigenvalue|.
    pub(super) tolerance: f64,
    /// The most products.
    pub(super) limit: usize,
    pub(super) seed: u64,
}

/// How a search or a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Everything wanted has converged; a round counts what it found.
    Converged(usize),
    /// The products are spent.
    Spent,
}

/// A search under way.
pub(super) struct Search<'a, 'o, 'p, T> {
    pub(super) executor: &'a dyn Executor<T>,
    pub(super) operator: &'a mut Counted<'o, T>,
    pub(super) progress: &'a mut OnProgress<'p>,
    pub(super) goal: Goal,
    /// The largest and the smallest Ritz value, and the largest ‖A v‖ met.
    pub(super) highest: f64,
    pub(super) lowest: f64,
    pub(super) scale: T,
}

impl<T: Scalar> Search<'_, '_, '_, T> {
    /// Rounds until one finds nothing more.
    ///
    /// A Krylov space holds one vector of each eigenspace, so a round finds one copy of every
    /// repeated eigenvalue; the next looks for the others in the complement, from a new random
    /// vector.
    pub(super) fn run(&mut self, found: &mut Found<T>) -> Result<Ending, Error> {
        for round in 0.. {
            found.trim(2 * self.goal.wanted);
            match self.round(round, found)? {
                Ending::Spent => return Ok(Ending::Spent),
                Ending::Converged(0) => break,
                Ending::Converged(_) if found.len() >= found.n => break,
                Ending::Converged(_) => {}
            }
        }
        Ok(Ending::Converged(found.len()))
    }

    /// One search in the complement of `found`, which takes what has converged (or, when the
    /// products are spent, what has not).
    fn round(&mut self, round: u64, found: &mut Found<T>) -> Result<Ending, Error> {
        let (n, rest) = (found.n, found.n - found.len());
        let capacity = self.goal.capacity.min(rest);
        if capacity == 0 {
            return Ok(Ending::Converged(0));
        }
        let mut basis = vec![T::ZERO; (capacity + 1) * n];
        let (mut alpha, mut beta) = (vec![T::ZERO; capacity], vec![T::ZERO; capacity]);
        let mut work = vec![T::ZERO; stats::lanczos_workspace_len(capacity, found.len())];
        let (before, mut vector) = (found.descending(), vec![T::ZERO; n]);
        let mut rng = random::stream(self.goal.seed, round, "extremal eigenvalues");
        let mut cycle = Cycle {
            lanczos: Lanczos::new(
                MatMut::new(&mut basis, capacity + 1, n)?,
                &mut alpha,
                &mut beta,
                found.vectors()?,
                self.scale,
                &mut work,
            )
            .context(PLACE)?,
            unbroken: true,
        };
        let stride = capacity.div_ceil(16);
        let mut step = cycle.begin(self.executor, &mut vector, &mut rng)?;
        let (ritz, ending) = loop {
            if step == Step::Continue {
                if self.operator.products >= self.goal.limit {
                    break (cycle.ritz(self.executor)?, Ending::Spent);
                }
                self.operator.apply(&mut vector, cycle.lanczos.next_vector())?;
                step = vectorised!(cycle.lanczos.advance(self.executor, &vector)).context(PLACE)?;
                self.report(before.len());
                if step == Step::Continue && cycle.lanczos.len() % stride != 0 {
                    continue;
                }
            }
            let ritz = cycle.ritz(self.executor)?;
            self.widen(&ritz, cycle.lanczos.scale());
            let leading = self.leading(&ritz, &before);
            if self.settled(&ritz, &before, cycle.unrestarted()) {
                break (ritz, Ending::Converged(leading));
            }
            match step {
                Step::Continue => {}
                Step::Breakdown => {
                    step = cycle.begin(self.executor, &mut vector, &mut rng)?;
                    if step == Step::Breakdown {
                        break (ritz, Ending::Converged(leading));
                    }
                }
                Step::Full if ritz.len() == rest => break (ritz, Ending::Converged(leading)),
                Step::Full => step = cycle.restart(self.executor, &ritz, leading)?,
            }
        };
        let count = match ending {
            Ending::Converged(count) => count,
            Ending::Spent => self.goal.wanted.min(ritz.len()),
        };
        let mut vectors = vec![T::ZERO; count * n];
        let out = MatMut::new(&mut vectors, count, n)?;
        cycle.lanczos.combine(self.executor, out, ritz.columns(count)?).context(PLACE)?;
        found.values.extend_from_slice(ritz.largest(count));
        found.vectors.append(&mut vectors);
        Ok(ending)
    }

    fn report(&mut self, done: usize) {
        let wanted = self.goal.wanted;
        let products = self.operator.products;
        (self.progress)(&Progress { products, done: done.min(wanted), wanted });
    }

    /// Takes the ends of the spectrum into account.
    fn widen(&mut self, ritz: &Ritz<T>, scale: T) {
        self.scale = scale;
        if let (Some(low), Some(high)) = (ritz.values.first(), ritz.values.last()) {
            self.highest = self.highest.max(high.to_f64());
            self.lowest = self.lowest.min(low.to_f64());
        }
    }

    /// The largest |eigenvalue| met.
    pub(super) fn size(&self) -> f64 {
        let ritz = self.highest.abs().max(self.lowest.abs());
        if ritz.is_finite() { ritz } else { self.scale.to_f64() }
    }

    /// The residual that counts as zero: half of what is promised, for the rounding that follows.
    fn margin(&self) -> f64 {
        0.5 * self.goal.tolerance * self.size()
    }

    /// How many of the largest Ritz values are among the k largest of them and of `before`.
    fn leading(&self, ritz: &Ritz<T>, before: &[T]) -> usize {
        let (k, margin) = (self.goal.wanted, self.margin());
        let most = k.min(ritz.len());
        let behind = |i: &usize| {
            let rival = before.get(k - 1 - i);
            rival.is_some_and(|v| ritz.value(*i) <= v.to_f64() + margin)
        };
        (0..most).find(behind).unwrap_or(most)
    }

    /// Whether the round is over: the leading Ritz pairs have converged, and nothing larger than
    /// the k-th value can be left in the complement.
    fn settled(&self, ritz: &Ritz<T>, before: &[T], steps: usize) -> bool {
        let (k, margin) = (self.goal.wanted, self.margin());
        let leading = self.leading(ritz, before);
        if (0..leading).any(|i| ritz.bound(i) > margin) {
            return false;
        }
        if leading == k {
            return true; // the next round looks at the rest
        }
        let Some(smallest) = before.get(k - 1 - leading) else { return false };
        if leading >= ritz.len() {
            return false;
        }
        // the largest Ritz value that is not wanted: has something above it been missed?
        let gap = smallest.to_f64() - ritz.value(leading);
        if ritz.bound(leading) <= margin.max(RESOLVED * gap) {
            return true;
        }
        // J. Kuczyński, H. Woźniakowski, Estimating the Largest Eigenvalue by the Power and Lanczos
        // Algorithms with a Random Start, 1992, theorem 4.2
        let share = gap / (1.1 * (smallest.to_f64() - self.lowest));
        let exponent = share.max(0.0).sqrt() * (2.0 * steps as f64 - 1.0);
        let n = self.operator.operator.len() as f64;
        steps > 0 && 1.648 * n.sqrt() * (-exponent).exp() <= FAILURE
    }
}

/// The basis between two restarts.
struct Cycle<'b, T> {
    lanczos: Lanczos<'b, T>,
    /// There was one start vector only.
    unbroken: bool,
}

impl<T: Scalar> Cycle<'_, T> {
    /// Begins with a random direction, uniform on the sphere of the complement.
    fn begin(
        &mut self,
        executor: &dyn Executor<T>,
        vector: &mut [T],
        rng: &mut random::Rng,
    ) -> Result<Step, Error> {
        self.unbroken &= self.lanczos.is_empty();
        for _ in 0..TRIES {
            for v in &mut *vector {
                *v = T::from_f64(random::normal(rng));
            }
            let step = vectorised!(self.lanczos.start(executor, vector)).context(PLACE)?;
            if step != Step::Breakdown {
                return Ok(step);
            }
        }
        Ok(Step::Breakdown)
    }

    /// The steps from the only start vector; 0 after a restart or a second start.
    fn unrestarted(&self) -> usize {
        if self.unbroken && self.lanczos.kept() == 0 { self.lanczos.len() } else { 0 }
    }

    fn ritz(&self, executor: &dyn Executor<T>) -> Result<Ritz<T>, Error> {
        let k = self.lanczos.len();
        let mut ritz = Ritz {
            values: vec![T::ZERO; k],
            bounds: vec![T::ZERO; k],
            vectors: vec![T::ZERO; k * k],
        };
        let (values, bounds) = (&mut ritz.values, &mut ritz.bounds);
        let s = MatMut::new(&mut ritz.vectors, k, k)?;
        let mut work = vec![T::ZERO; eigh_workspace_len(k)];
        self.lanczos.ritz(executor, values, bounds, s, &mut work).context(PLACE)?;
        Ok(ritz)
    }

    /// Keeps the leading Ritz vectors and a third of the others, those next to them.
    fn restart(
        &mut self,
        executor: &dyn Executor<T>,
        ritz: &Ritz<T>,
        leading: usize,
    ) -> Result<Step, Error> {
        let kept = (leading + 1 + ritz.len().saturating_sub(leading) / 3).min(ritz.len() - 1);
        let n = self.lanczos.basis()?.cols();
        let mut work = vec![T::ZERO; stats::lanczos_restart_workspace_len(kept, n)];
        self.lanczos
            .restart(executor, ritz.largest(kept), ritz.columns(kept)?, &mut work)
            .context(PLACE)
    }
}

/// Ritz pairs: values ascending, their residual bounds, coefficients in columns.
struct Ritz<T> {
    values: Vec<T>,
    bounds: Vec<T>,
    vectors: Vec<T>,
}

impl<T: Scalar> Ritz<T> {
    fn len(&self) -> usize {
        self.values.len()
    }

    /// The i-th largest value.
    fn value(&self, i: usize) -> f64 {
        self.values.iter().rev().nth(i).map_or(f64::NAN, |v| v.to_f64())
    }

    /// The bound of the i-th largest value.
    fn bound(&self, i: usize) -> f64 {
        self.bounds.iter().rev().nth(i).map_or(f64::NAN, |v| v.to_f64())
    }

    /// The `count` largest values, ascending.
    fn largest(&self, count: usize) -> &[T] {
        self.values.get(self.len() - count..).unwrap_or(&[])
    }

    /// Their coefficients.
    fn columns(&self, count: usize) -> Result<MatRef<'_, T>, Error> {
        let k = self.len();
        Ok(MatRef::new(&self.vectors, k, k)?.sub(0, k - count, k, count)?)
    }
}
