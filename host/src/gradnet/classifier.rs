//! Classifiers of sparse rows: multinomial logistic regression, and a network of one hidden layer.
//!
//! Both descend the mean cross-entropy of mini-batches by plain stochastic gradient descent with a
//! rate that falls to zero, over rows of length 1. A row touches the weights of its own entries only,
//! so a pass costs O(entries · width).

use relfisher_core::MatRef;

use crate::Scalar;
use crate::embedding::SparseRows;
use crate::error::Error;
use crate::executor::Executor;
use crate::random;
use crate::vectorised;

/// Weights of one entry are padded to a multiple of this, for SIMD.
const LANES: usize = 16;
/// Parts of the weights that are updated apart.
const PARTS: usize = 16;

/// Rows whose logits are computed at a time.
const PREDICTED: usize = 256;

/// Which classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Multinomial logistic regression.
    Linear,
    /// One layer of so many rectifiers before it.
    Network {
        /// Rectifiers.
        hidden: usize,
    },
}

/// How a classifier is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Which classifier.
    pub kind: Kind,
    /// Passes over the rows.
    pub epochs: usize,
    /// Rows of a mini-batch.
    pub batch: usize,
    /// The rate of the first step; it falls linearly to zero.
    pub learning_rate: f64,
    /// Seed of the initial weights and of the order of the rows.
    pub seed: u64,
}

/// A fitted classifier.
#[derive(Clone, Debug)]
pub struct Classifier<T> {
    kind: Kind,
    classes: usize,
    /// Numbers of an entry in `weights`.
    stride: usize,
    /// The first layer: a row of `stride` numbers for each entry.
    weights: Vec<T>,
    bias: Vec<T>,
    /// The second layer [V | c], classes × (hidden + 1); empty without one.
    top: Vec<T>,
}

/// Values of a mini-batch.
struct Batch<T> {
    /// Pre-activations of the first layer, then their derivatives.
    first: Vec<T>,
    /// Probabilities less the target.
    delta: Vec<T>,
    /// The gradient of the second layer.
    top: Vec<T>,
}

impl<T: Scalar> Classifier<T> {
    /// Fits a classifier to `rows` with entries below `entries` and their `labels`, all below
    /// `classes`. The same bits for any number of threads.
    ///
    /// # Errors
    /// No rows, labels of another number, an entry or a label out of range, settings of zero; weights
    /// that leave the finite numbers.
    pub fn fit(
        executor: &dyn Executor<T>,
        rows: &SparseRows<T>,
        labels: &[usize],
        (entries, classes): (usize, usize),
        fit: &Fit,
    ) -> Result<Self, Error> {
        check(rows, labels, (entries, classes), fit)?;
        let mut model = Self::new(entries, classes, fit);
        let mut batch = Batch {
            first: vec![T::ZERO; fit.batch * model.stride],
            delta: vec![T::ZERO; fit.batch * classes],
            top: vec![T::ZERO; model.top.len()],
        };
        let mut order: Vec<usize> = (0..rows.rows()).collect();
        let steps = (fit.epochs * order.len().div_ceil(fit.batch)) as f64;
        let mut step = 0.0;
        for epoch in 0..fit.epochs {
            random::shuffle(&mut order, &mut random::stream(fit.seed, epoch as u64, "shuffle"));
            for chosen in order.chunks(fit.batch) {
                let rate = fit.learning_rate * (1.0 - step / steps) / chosen.len() as f64;
                model.step(executor, (rows, chosen, labels), T::from_f64(rate), &mut batch)?;
                step += 1.0;
            }
        }
        let finite = |x: &[T]| x.iter().all(|x| x.is_finite());
        if !(finite(&model.bias) && finite(&model.weights) && finite(&model.top)) {
            let problem = "its weights are not finite";
            return Err(Error::divergence_with("classifier", problem, "use a smaller rate"));
        }
        Ok(model)
    }

    fn new(entries: usize, classes: usize, fit: &Fit) -> Self {
        let width = match fit.kind {
            Kind::Linear => classes,
            Kind::Network { hidden } => hidden,
        };
        let stride = width.next_multiple_of(LANES);
        let mut model = Self {
            kind: fit.kind,
            classes,
            stride,
            weights: vec![T::ZERO; entries * stride],
            bias: vec![T::ZERO; stride],
            top: Vec::new(),
        };
        if let Kind::Network { hidden } = fit.kind {
            // Rows have length 1: pre-activations of variance 1, as behind a normalisation.
            let mut rng = random::stream(fit.seed, 0, "init");
            for row in model.weights.chunks_exact_mut(stride) {
                row[..hidden].iter_mut().for_each(|w| *w = T::from_f64(random::normal(&mut rng)));
            }
            let deviation = (2.0 / hidden as f64).sqrt();
            model.top = vec![T::ZERO; classes * (hidden + 1)];
            for row in model.top.chunks_exact_mut(hidden + 1) {
                let weights = row[..hidden].iter_mut();
                weights.for_each(|v| *v = T::from_f64(deviation * random::normal(&mut rng)));
            }
        }
        model
    }

    /// One mini-batch.
    fn step(
        &mut self,
        executor: &dyn Executor<T>,
        (rows, chosen, labels): (&SparseRows<T>, &[usize], &[usize]),
        rate: T,
        batch: &mut Batch<T>,
    ) -> Result<(), Error> {
        let (stride, classes) = (self.stride, self.classes);
        let first = &mut batch.first[..chosen.len() * stride];
        self.responses(executor, rows, chosen, first)?;
        batch.top.fill(T::ZERO);
        let each = first.chunks_exact_mut(stride).zip(batch.delta.chunks_exact_mut(classes));
        for ((first, delta), row) in each.zip(chosen) {
            self.outputs(first, delta);
            softmax(delta);
            delta[labels[*row]] -= T::ONE;
            self.derivatives(first, delta, &mut batch.top);
        }
        let first = &batch.first[..chosen.len() * stride];
        for delta in first.chunks_exact(stride) {
            self.bias.iter_mut().zip(delta).for_each(|(b, d)| *b -= rate * *d);
        }
        self.top.iter_mut().zip(&batch.top).for_each(|(v, g)| *v -= rate * *g);
        // Every part gets the rows in the same order, whoever updates it.
        let per_part = (self.weights.len() / stride).div_ceil(PARTS).max(1);
        executor.for_each_part(&mut self.weights, per_part * stride, 0, &|part, weights, _| {
            let begin = part * per_part;
            for (row, delta) in chosen.iter().zip(first.chunks_exact(stride)) {
                let (indices, values) = rows.row(*row);
                let from = indices.partition_point(|i| (*i as usize) < begin);
                let to = indices.partition_point(|i| (*i as usize) < begin + per_part);
                let entries = (&indices[from..to], &values[from..to]);
                update(weights, (begin, stride), entries, (delta, rate));
            }
            Ok(())
        })?;
        Ok(())
    }

    /// `first ← Wᵀψ + b` of the rows `chosen`.
    fn responses(
        &self,
        executor: &dyn Executor<T>,
        rows: &SparseRows<T>,
        chosen: &[usize],
        first: &mut [T],
    ) -> Result<(), Error> {
        executor.for_each_part(first, self.stride, 0, &|i, out, _| {
            out.copy_from_slice(&self.bias);
            accumulate(out, &self.weights, rows.row(chosen[i]));
            Ok(())
        })?;
        Ok(())
    }

    /// The logits behind the responses of the first layer.
    fn outputs(&self, first: &[T], logits: &mut [T]) {
        match self.kind {
            Kind::Linear => logits.copy_from_slice(&first[..self.classes]),
            Kind::Network { hidden } => {
                for (logit, row) in logits.iter_mut().zip(self.top.chunks_exact(hidden + 1)) {
                    let terms = row.iter().zip(&first[..hidden]);
                    *logit = terms.fold(row[hidden], |sum, (v, z)| sum + *v * z.max(T::ZERO));
                }
            }
        }
    }

    /// Turns the responses of a row into their derivatives, and adds to the gradient of the second
    /// layer.
    fn derivatives(&self, first: &mut [T], delta: &[T], top: &mut [T]) {
        match self.kind {
            Kind::Linear => first[..self.classes].copy_from_slice(delta),
            Kind::Network { hidden } => {
                for (gradient, d) in top.chunks_exact_mut(hidden + 1).zip(delta) {
                    let pairs = gradient.iter_mut().zip(&first[..hidden]);
                    pairs.for_each(|(g, z)| *g += *d * z.max(T::ZERO));
                    gradient[hidden] += *d;
                }
                for (k, z) in first[..hidden].iter_mut().enumerate() {
                    let terms = self.top.chunks_exact(hidden + 1).zip(delta);
                    let sum = terms.fold(T::ZERO, |sum, (row, d)| sum + row[k] * *d);
                    *z = if *z > T::ZERO { sum } else { T::ZERO };
                }
            }
        }
    }

    /// The logits of every row (rows × classes).
    ///
    /// # Errors
    /// An entry beyond those of the fit.
    pub fn logits(
        &self,
        executor: &dyn Executor<T>,
        rows: &SparseRows<T>,
    ) -> Result<Vec<T>, Error> {
        check_entries(rows, self.weights.len() / self.stride)?;
        let mut logits = vec![T::ZERO; rows.rows() * self.classes];
        let all: Vec<usize> = (0..rows.rows()).collect();
        let mut first = vec![T::ZERO; PREDICTED.min(all.len()) * self.stride];
        let chunks = logits.chunks_mut(PREDICTED * self.classes).zip(all.chunks(PREDICTED));
        for (logits, chosen) in chunks {
            let first = &mut first[..chosen.len() * self.stride];
            self.responses(executor, rows, chosen, first)?;
            let each = first.chunks_exact(self.stride).zip(logits.chunks_exact_mut(self.classes));
            each.for_each(|(first, logits)| self.outputs(first, logits));
        }
        Ok(logits)
    }

    /// The share of `rows` whose largest logit is at their label; ties go to the lower class.
    ///
    /// # Errors
    /// No rows, labels of another number, or an entry beyond those of the fit.
    pub fn accuracy(
        &self,
        executor: &dyn Executor<T>,
        rows: &SparseRows<T>,
        labels: &[usize],
    ) -> Result<f64, Error> {
        check_labels(rows, labels, self.classes)?;
        let logits = self.logits(executor, rows)?;
        let right = logits.chunks_exact(self.classes).zip(labels).filter(|(x, label)| {
            **label == (1..x.len()).fold(0, |best, c| if x[c] > x[best] { c } else { best })
        });
        Ok(right.count() as f64 / labels.len() as f64)
    }
}

/// `out ← out + Σ_k values[k]·weights[indices[k]]`.
fn accumulate<T: Scalar>(out: &mut [T], weights: &[T], row: (&[u32], &[T])) {
    match out.len() {
        16 => vectorised!(accumulate_lanes::<T, 16>(out, weights, row)),
        32 => vectorised!(accumulate_lanes::<T, 32>(out, weights, row)),
        _ => vectorised!({
            let stride = out.len();
            for (index, value) in row.0.iter().zip(row.1) {
                let weights = &weights[*index as usize * stride..][..stride];
                out.iter_mut().zip(weights).for_each(|(o, w)| *o += *value * *w);
            }
        }),
    }
}

/// The same for a width that the compiler knows: the sums stay in registers.
#[inline(always)]
fn accumulate_lanes<T: Scalar, const N: usize>(
    out: &mut [T],
    weights: &[T],
    (indices, values): (&[u32], &[T]),
) {
    let (weights, _) = weights.as_chunks::<N>();
    let mut sums = [T::ZERO; N];
    for (index, value) in indices.iter().zip(values) {
        let weights = &weights[*index as usize];
        sums.iter_mut().zip(weights).for_each(|(s, w)| *s += *value * *w);
    }
    out.iter_mut().zip(sums).for_each(|(o, s)| *o += s);
}

/// `weights[i] ← weights[i] − rate·value·delta` for every entry i, weights beginning at entry `begin`.
fn update<T: Scalar>(
    weights: &mut [T],
    (begin, stride): (usize, usize),
    (indices, values): (&[u32], &[T]),
    (delta, rate): (&[T], T),
) {
    vectorised!({
        for (index, value) in indices.iter().zip(values) {
            let factor = rate * *value;
            let weights = &mut weights[(*index as usize - begin) * stride..][..stride];
            weights.iter_mut().zip(delta).for_each(|(w, d)| *w -= factor * *d);
        }
    });
}

fn softmax<T: Scalar>(x: &mut [T]) {
    let largest = x.iter().fold(x[0], |m, x| m.max(*x));
    x.iter_mut().for_each(|x| *x = (*x - largest).exp());
    let sum = x.iter().fold(T::ZERO, |sum, x| sum + *x);
    x.iter_mut().for_each(|x| *x /= sum);
}

fn check<T: Scalar>(
    rows: &SparseRows<T>,
    labels: &[usize],
    (entries, classes): (usize, usize),
    fit: &Fit,
) -> Result<(), Error> {
    let zero = |place: &str| Err(Error::input("classifier", place, "is 0", "use at least 1"));
    if fit.batch == 0 {
        return zero("batch");
    }
    if fit.kind == (Kind::Network { hidden: 0 }) {
        return zero("hidden");
    }
    if !(fit.learning_rate > 0.0 && fit.learning_rate.is_finite()) {
        let remedy = "use 1, say";
        return Err(Error::input("classifier", "rate", "is not a positive number", remedy));
    }
    check_labels(rows, labels, classes)?;
    check_entries(rows, entries)
}

fn check_labels<T>(rows: &SparseRows<T>, labels: &[usize], classes: usize) -> Result<(), Error> {
    let refuse =
        |problem: String, remedy: &str| Err(Error::input("classifier", "labels", problem, remedy));
    if labels.is_empty() || rows.rows() != labels.len() {
        let problem = format!("{} for {} rows", labels.len(), rows.rows());
        return refuse(problem, "give one for each of one or more rows");
    }
    match labels.iter().find(|label| **label >= classes) {
        Some(label) => refuse(format!("{label} of {classes} classes"), "use classes below it"),
        None => Ok(()),
    }
}

fn check_entries<T>(rows: &SparseRows<T>, entries: usize) -> Result<(), Error> {
    match rows.indices.iter().find(|index| **index as usize >= entries) {
        None => Ok(()),
        Some(index) => {
            let problem = format!("entry {index} of {entries}");
            Err(Error::input("classifier", "rows", problem, "use entries below it"))
        }
    }
}

/// The entries of a dense matrix that are not zero, as sparse rows.
pub fn sparse_rows<T: Scalar>(dense: MatRef<'_, T>) -> SparseRows<T> {
    let mut rows = SparseRows { starts: vec![0], indices: Vec::new(), values: Vec::new() };
    append_rows(&mut rows, dense);
    rows
}

/// Appends the rows of a dense matrix.
pub(super) fn append_rows<T: Scalar>(rows: &mut SparseRows<T>, dense: MatRef<'_, T>) {
    for s in 0..dense.rows() {
        for (j, x) in dense.row(s).iter().enumerate().filter(|(_, x)| **x != T::ZERO) {
            rows.indices.push(j as u32);
            rows.values.push(*x);
        }
        rows.starts.push(rows.values.len());
    }
}
