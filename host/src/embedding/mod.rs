//! Sparse gradient metrics of a data set: embeddings of samples by their gradients, and the Hessian
//! kernel.
//!
//! The gradient of every sample goes through the layers one batch at a time; of each layer the largest
//! entries are kept, and a second pass over what is kept divides by the root of the metric
//! ([`relfisher_core::sparse`] has the formulas). What is never formed: a dense gradient of more than
//! one batch and layer, or a matrix in parameter space.

mod file;
mod gradients;
mod kernel;

pub use file::save;

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
    /// The bound on everything.
    pub memory: Memory,
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
}

/// What a request needs at most, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The sparse rows, their file included.
    pub rows: u64,
    /// The sums of the metric.
    pub metric: u64,
    /// The kernel and the tiles that it is made of.
    pub kernel: u64,
    /// One batch: its tape, derivatives and the gradients of one layer.
    pub batch: u64,
}

impl Needs {
    /// Everything.
    pub fn total(&self) -> u64 {
        let parts = [self.rows, self.metric, self.kernel, self.batch];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

/// What `request` on `problem` needs at most, before anything is computed.
///
/// # Errors
/// A fraction outside (0, 1].
pub fn needs<T: Scalar>(
    problem: &Problem<'_, T>,
    request: &Request<'_, T>,
) -> Result<Needs, Error> {
    let network = problem.network;
    let columns = request.target.rows(network);
    let rows = (problem.samples() as u64).saturating_mul(columns as u64);
    let mut kept = 0_u64;
    for block in network.blocks() {
        kept += kept_count(request.fraction, block.len()).map_err(refused_fraction)? as u64;
    }
    let bytes = size_of::<T>() as u64;
    Ok(Needs {
        // 8 bytes more for each index while it is written.
        rows: rows.saturating_mul(kept).saturating_mul(4 + bytes + 8),
        metric: (network.parameter_count() as u64).saturating_mul(8 + 8 + 4 + 8),
        kernel: if request.kernel {
            // Numbers, and their bytes while they are written.
            let square = rows.saturating_mul(rows).saturating_mul(2 * bytes);
            square.saturating_add(kernel::tile_bytes(rows as usize, size_of::<T>()) as u64)
        } else {
            0
        },
        batch: (gradients::batches(problem, columns).1 as u64).saturating_mul(bytes),
    })
}

fn refused_fraction(e: CoreError) -> Error {
    Error::input("--fraction", "", e, "use 0.15, say")
}

/// The embeddings of every sample; [`Problem::watch`] hears of the samples done so far.
///
/// # Errors
/// A fraction, power or damping outside its domain; a target that does not fit the loss; a request
/// above its memory limit, with the bytes; a gradient that is not finite, by sample and layer; a
/// metric that leaves the range of numbers.
pub fn embed<T: Scalar>(
    problem: &Problem<'_, T>,
    request: &Request<'_, T>,
) -> Result<Embedding<T>, Error> {
    let network = problem.network;
    request.target.check(network)?;
    let power = request.mean.exponent();
    if !power.is_finite() {
        return Err(Error::input("--metric", power, "is not a finite power", "use power:0.5, say"));
    }
    if !(request.damping >= 0.0 && request.damping.is_finite()) {
        let problem = "is not a finite number of at least 0";
        return Err(Error::input("--damping", request.damping, problem, "use 1e-6, say"));
    }
    check_memory(problem, request)?;
    let mut rows = gradients::sparse_gradients(problem, request)?;
    let root_metric = metric(network.parameter_count(), &rows, request.mean)?;
    for i in 0..rows.rows() {
        let range = rows.starts[i]..rows.starts[i + 1];
        let (values, indices) = (&mut rows.values[range.clone()], &rows.indices[range]);
        normalise(values, indices, &root_metric, request.damping).map_err(|_| {
            Error::divergence_with(
                format_args!("row {i}"),
                "the metric of an entry that it keeps is zero or beyond the range of numbers",
                "use a power nearer to 0, a damping, or --dtype f64",
            )
        })?;
    }
    let kernel = match request.kernel {
        true => Some(kernel::kernel(problem.executor, &rows, network.parameter_count())?),
        false => None,
    };
    Ok(Embedding { rows, root_metric, kernel })
}

fn check_memory<T: Scalar>(
    problem: &Problem<'_, T>,
    request: &Request<'_, T>,
) -> Result<(), Error> {
    let needs = needs(problem, request)?;
    let (place, instead) = if needs.kernel > request.memory.limit {
        ("kernel", "leave --kernel out, or take fewer --samples")
    } else {
        ("embedding", "take a smaller --fraction or fewer --samples")
    };
    let bytes = usize::try_from(needs.total()).unwrap_or(usize::MAX);
    request.memory.check(place, bytes, 1, instead)
}

/// √g over the rows.
fn metric<T: Scalar>(
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
