//! Sparse gradient metrics of a data set: embeddings of samples by their gradients, and the Hessian
//! kernel.
//!
//! The gradient of every sample goes through the layers one batch at a time; of each layer the largest
//! entries are kept, and a second pass over what is kept divides by the root of the metric
//! ([`relfisher_core::sparse`] has the formulas). What is never formed: a dense gradient of more than
//! one batch and layer, or a matrix in parameter space.

mod file;
mod gradients;
mod joint;
mod kernel;
mod needs;

pub use file::save;
pub use joint::joint_metric;
pub(crate) use kernel::kernel;
pub use needs::{Needs, needs};

use relfisher_core::sparse::{MeanState, QuasiMean, kept_count, normalise, root_metric};

use crate::curvature::{Memory, Problem};
use crate::error::{Context, Error};
use crate::network::{Loss, Network, Targets};
use crate::{CoreError, Scalar};

/// What the loss of a sample is taken against.
#[derive(Clone, Copy)]
pub enum Target<'a, T: Scalar> {
    /// The true labels or values.
    Given(Targets<'a, T>),
    /// All classes alike, a target that needs no label: 1/C for each class of a soft-max, ½ for each
    /// output of a binary cross-entropy.
    Uniform,
    /// Each class in turn: C rows a sample, those of sample s from row s·C on.
    EachClass,
}

impl<T: Scalar> Target<'_, T> {
    /// Rows of a sample.
    fn rows(&self, network: &Network<T>) -> usize {
        match self {
            Target::Given(_) | Target::Uniform => 1,
            Target::EachClass => network.outputs(),
        }
    }

    fn check(&self, network: &Network<T>) -> Result<(), Error> {
        let refuse = |given: &str, remedy: &str| {
            Err(Error::input("--target", given, "does not fit the loss of the network", remedy))
        };
        match (self, network.loss_kind()) {
            (Target::Uniform, Loss::Mse { .. }) => {
                refuse("uniform", "give --targets: a squared error has no uniform target")
            }
            (Target::EachClass, Loss::Mse { .. } | Loss::BinaryCrossEntropy) => {
                refuse("class", "give --targets, or a network with a soft-max loss")
            }
            _ => Ok(()),
        }
    }
}

/// What is to be embedded, and how.
#[derive(Clone, Copy)]
pub struct Request<'a, T: Scalar> {
    /// The targets of the losses.
    pub target: Target<'a, T>,
    /// The share q of each layer's parameters that a sample keeps, in (0, 1].
    pub fraction: f64,
    /// The metric.
    pub mean: QuasiMean,
    /// λ ≥ 0.
    pub damping: f64,
    /// Whether the kernel is wanted.
    pub kernel: bool,
    /// Whether the metric is wanted off the diagonal too, on the joint support; arithmetic only.
    pub joint: bool,
    /// The bound on everything.
    pub memory: Memory,
}

impl<T: Scalar> Request<'_, T> {
    /// Refuses a target that does not fit the loss, a power or a damping outside its domain.
    fn check(&self, network: &Network<T>) -> Result<(), Error> {
        self.target.check(network)?;
        let power = self.mean.exponent();
        if !power.is_finite() {
            let remedy = "use power:0.5, say";
            return Err(Error::input("--metric", power, "is not a finite power", remedy));
        }
        if self.joint && power != 1.0 {
            let problem = "has no other mean than the arithmetic one off the diagonal";
            return Err(Error::input("--metric", power, problem, "leave --joint out"));
        }
        if !(self.damping >= 0.0 && self.damping.is_finite()) {
            let problem = "is not a finite number of at least 0";
            return Err(Error::input("--damping", self.damping, problem, "use 1e-6, say"));
        }
        Ok(())
    }
}

/// Rows of sparse vectors (compressed sparse rows).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SparseRows<T> {
    /// Where each row begins in the other two, and where the last one ends.
    pub starts: Vec<usize>,
    /// The parameters, ascending in each row, in the order of [`Network::blocks`].
    pub indices: Vec<u32>,
    /// Their values.
    pub values: Vec<T>,
}

impl<T> SparseRows<T> {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The indices and values of row `i`.
    pub fn row(&self, i: usize) -> (&[u32], &[T]) {
        let range = self.starts[i]..self.starts[i + 1];
        (&self.indices[range.clone()], &self.values[range])
    }

    /// The bytes of the three arrays.
    pub fn bytes(&self) -> u64 {
        let entries = self.indices.len() * size_of::<u32>() + self.values.len() * size_of::<T>();
        (entries + self.starts.len() * size_of::<usize>()) as u64
    }
}

impl<T: Scalar> SparseRows<T> {
    /// Joins every `columns` consecutive rows into one, side by side: entry j of the k-th of them becomes
    /// entry k·`parameters` + j. So the C gradients of [`Target::EachClass`] are one row of a sample.
    ///
    /// # Errors
    /// A number of rows that `columns` does not divide; more entries than indices can count.
    pub fn join(&mut self, columns: usize, parameters: usize) -> Result<(), Error> {
        let refuse = |problem: &str| {
            let what = format_args!("{} rows, {columns} joined", self.rows());
            let remedy = "join as many as each sample has, of a smaller network";
            Err(Error::input("", what, problem, remedy))
        };
        if columns == 0 || !self.rows().is_multiple_of(columns) {
            return refuse("leave a row over");
        }
        if u32::try_from(columns.saturating_mul(parameters)).is_err() {
            return refuse("have more than 2³² entries");
        }
        for row in 0..self.rows() {
            let offset = (row % columns * parameters) as u32;
            let range = self.starts[row]..self.starts[row + 1];
            self.indices[range].iter_mut().for_each(|index| *index += offset);
        }
        self.starts = self.starts.iter().copied().step_by(columns).collect();
        Ok(())
    }

    /// Drops the entries whose index is not wanted, in place.
    pub fn retain(&mut self, wanted: impl Fn(u32) -> bool) {
        let (mut to, mut begin) = (0, 0);
        for end in self.starts.iter_mut().skip(1) {
            for from in begin..*end {
                if wanted(self.indices[from]) {
                    self.indices[to] = self.indices[from];
                    self.values[to] = self.values[from];
                    to += 1;
                }
            }
            begin = *end;
            *end = to;
        }
        self.indices.truncate(to);
        self.values.truncate(to);
    }

    /// Scales every row to length 1; rows of zeros stay.
    pub fn scale_to_unit_length(&mut self) {
        for pair in self.starts.windows(2) {
            let row = &mut self.values[pair[0]..pair[1]];
            let largest = row.iter().fold(T::ZERO, |m, x| m.max(x.abs()));
            if largest > T::ZERO {
                // Relative to the largest entry: squares neither overflow nor vanish.
                let square = |x: &T| (*x / largest).to_f64().powi(2);
                let length = row.iter().map(square).sum::<f64>().sqrt();
                let factor = T::from_f64(1.0 / length);
                row.iter_mut().for_each(|x| *x = (*x / largest) * factor);
            }
        }
    }
}

/// The embeddings of a data set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embedding<T> {
    /// ψ, a row for each sample (and class).
    pub rows: SparseRows<T>,
    /// √g of every parameter.
    pub root_metric: Vec<f64>,
    /// K, rows × rows, when it was asked for.
    pub kernel: Option<Vec<T>>,
    /// (1/n) Σ u uᵀ on the joint support, a row for each parameter, when it was asked for.
    pub joint: Option<SparseRows<T>>,
}

/// The entries that a layer of `len` parameters keeps at most.
fn kept_places(fraction: f64, len: usize) -> Result<usize, Error> {
    let refused =
        |_| Error::input("--fraction", fraction, "is not above 0 and at most 1", "use 0.15, say");
    kept_count(fraction, len).map_err(refused)
}

/// The embeddings of every sample; [`Problem::watch`] hears of the samples done so far.
///
/// # Errors
/// A fraction, power or damping outside its domain; a target that does not fit the loss; a request
/// above its memory limit, with the bytes and what would fit; a gradient that is not finite, by sample
/// and layer; a metric that leaves the range of numbers.
pub fn embed<T: Scalar>(
    problem: &Problem<'_, T>,
    request: &Request<'_, T>,
) -> Result<Embedding<T>, Error> {
    request.check(problem.network)?;
    needs::check(problem, request)?;
    let needs = needs(problem, request)?;
    let mut rows = gradients::sparse_gradients(problem, request, needs.batch)?;
    let root_metric = fit_metric(problem.network.parameter_count(), &rows, request.mean)?;
    let joint = match request.joint {
        true => {
            let room = request.memory.limit.saturating_sub(needs.result());
            Some(joint_metric(&rows, problem.network.parameter_count(), room)?)
        }
        false => None,
    };
    normalise_rows(&mut rows, &root_metric, request.damping)?;
    let kernel = match request.kernel {
        true => {
            let parameters = problem.network.parameter_count();
            let kernel = kernel(problem.executor, &rows, parameters)?;
            check_kernel(&kernel, rows.rows())?;
            Some(kernel)
        }
        false => None,
    };
    Ok(Embedding { rows, root_metric, kernel, joint })
}

/// Refuses a kernel that leaves the range of numbers, by its first pair of rows.
fn check_kernel<T: Scalar>(kernel: &[T], rows: usize) -> Result<(), Error> {
    let Some(at) = kernel.iter().position(|x| !x.is_finite()) else { return Ok(()) };
    let place = format_args!("rows {} and {}", at / rows, at % rows);
    let wider = if T::NAME == "f32" { ", --dtype f64" } else { "" };
    let remedy = format!("use the arithmetic metric, a --damping{wider}, or leave --kernel out");
    let problem = "the inner product of their embeddings is beyond the range of numbers";
    Err(Error::input("--kernel", place, problem, remedy))
}

/// The gradients u of every sample, sparse and not normalised: the first half of [`embed`], for those
/// who fit a metric on some samples and embed others in it. Stops where the rows pass the memory
/// limit, whatever could have been needed at most: many entries of a network of rectifiers are zero.
///
/// # Errors
/// As [`embed`].
pub fn gradients<T: Scalar>(
    problem: &Problem<'_, T>,
    request: &Request<'_, T>,
) -> Result<SparseRows<T>, Error> {
    request.check(problem.network)?;
    gradients::sparse_gradients(problem, request, request.memory.limit)
}

/// √g of every parameter, g the mean over the rows; 0 where no row keeps the entry.
///
/// # Errors
/// A power that is not finite, no rows, or an index beyond `parameters`.
pub fn fit_metric<T: Scalar>(
    parameters: usize,
    rows: &SparseRows<T>,
    mean: QuasiMean,
) -> Result<Vec<f64>, Error> {
    let (mut sums, mut peaks) = (vec![0.0; parameters], vec![0.0; parameters]);
    let mut counts = vec![0_u32; parameters];
    let mut state = MeanState { sums: &mut sums, peaks: &mut peaks, counts: &mut counts };
    for i in 0..rows.rows() {
        let (indices, values) = rows.row(i);
        state.add(mean, indices, values).context(format_args!("row {i}"))?;
    }
    let mut root = vec![0.0; parameters];
    root_metric(&mut root, &state, mean, rows.rows()).context("metric")?;
    Ok(root)
}

/// ψ = u/√(g + λ): `rows` hold u on entry, `root` is √g. Rows that the metric was not fitted on come
/// through [`SparseRows::retain`] first, without the entries where it is 0.
///
/// # Errors
/// A damping outside its domain, or a metric that is 0 or beyond the range of numbers, by its row: that
/// is a matter of the mean, of the damping and of the rows that it was fitted on.
pub fn normalise_rows<T: Scalar>(
    rows: &mut SparseRows<T>,
    root: &[f64],
    damping: f64,
) -> Result<(), Error> {
    for i in 0..rows.rows() {
        let range = rows.starts[i]..rows.starts[i + 1];
        let (values, indices) = (&mut rows.values[range.clone()], &rows.indices[range]);
        normalise(values, indices, root, damping).map_err(|e| match e {
            CoreError::NonFinite { .. } => {
                let problem =
                    "the metric of an entry that it keeps is zero or beyond the range of numbers";
                let wider = if T::NAME == "f32" { ", or --dtype f64" } else { "" };
                let remedy =
                    format!("use a power of moderate size such as power:0.5, a --damping{wider}");
                Error::input("--metric", format_args!("row {i}"), problem, remedy)
            }
            e => Error::core(format_args!("row {i}"), e),
        })?;
    }
    Ok(())
}
