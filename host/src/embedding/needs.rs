//! What a request needs of the memory, before it is begun.

use super::{Request, joint, kept_places, kernel};
use crate::Scalar;
use crate::curvature::Problem;
use crate::error::Error;
use crate::network::{Block, Network};

/// What a request needs at most, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The inputs and the parameters.
    pub inputs: u64,
    /// The sparse rows, their file included.
    pub rows: u64,
    /// The sums of the metric.
    pub metric: u64,
    /// The kernel and the tiles that it is made of.
    pub kernel: u64,
    /// The gradients by parameter, for the metric off the diagonal; that metric itself takes what is left.
    pub joint: u64,
    /// One batch: its tape, derivatives and the gradients of one layer.
    pub batch: u64,
}

impl Needs {
    /// Everything.
    pub fn total(&self) -> u64 {
        self.result().saturating_add(self.batch)
    }

    /// Everything but the batch, whose size follows what the rest leaves.
    pub(super) fn result(&self) -> u64 {
        let parts = [self.inputs, self.rows, self.metric, self.kernel, self.joint];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

/// The numbers of the largest layer.
pub(super) fn widest<T: Scalar>(network: &Network<T>) -> usize {
    network.blocks().iter().map(Block::len).max().unwrap_or(0).max(1)
}

/// The bytes that one sample of a batch takes: the values of the passes, the dense gradients of a
/// layer, and what is kept of all layers.
fn each<T: Scalar>(problem: &Problem<'_, T>, columns: usize) -> usize {
    let network = problem.network;
    let row = widest(network).saturating_add(network.parameter_count().saturating_mul(2));
    problem.sample_len(columns).saturating_add(row.saturating_mul(columns))
}

/// `problem` in batches that fit beside the result, of one sample at least.
pub(super) fn batches<'a, T: Scalar>(
    problem: &Problem<'a, T>,
    columns: usize,
    room: u64,
) -> Problem<'a, T> {
    let each = each(problem, columns);
    let problem = problem.in_batches_of(each);
    let fitting = room / (each as u64).saturating_mul(size_of::<T>() as u64).max(1);
    let fitting = usize::try_from(fitting).unwrap_or(usize::MAX);
    Problem { chunk: problem.chunk.min(fitting).max(1), ..problem }
}

/// The entries that a row keeps at most.
fn kept_of_a_row<T: Scalar>(network: &Network<T>, fraction: f64) -> Result<u64, Error> {
    let kept = |block: &Block| kept_places(fraction, block.len()).map(|kept| kept as u64);
    network.blocks().iter().map(kept).sum()
}

/// What `request` on `problem` needs at most, before anything is computed: batches are as large as
/// its memory limit allows, of one sample at least.
///
/// # Errors
/// A fraction outside (0, 1].
pub fn needs<T: Scalar>(
    problem: &Problem<'_, T>,
    request: &Request<'_, T>,
) -> Result<Needs, Error> {
    of_samples(problem, request, problem.samples())
}

/// [`needs`] with other samples.
fn of_samples<T: Scalar>(
    problem: &Problem<'_, T>,
    request: &Request<'_, T>,
    samples: usize,
) -> Result<Needs, Error> {
    let network = problem.network;
    let columns = request.target.rows(network);
    let rows = (samples as u64).saturating_mul(columns as u64);
    let kept = kept_of_a_row(network, request.fraction)?;
    let bytes = size_of::<T>() as u64;
    let features = (samples as u64).saturating_mul(network.inputs() as u64);
    let mut needs = Needs {
        inputs: features.saturating_add(network.parameter_count() as u64).saturating_mul(bytes),
        // 8 bytes more for each index while it is written.
        rows: rows.saturating_mul(kept).saturating_mul(4 + bytes + 8),
        metric: (network.parameter_count() as u64).saturating_mul(8 + 8 + 4 + 8),
        kernel: if request.kernel {
            // Numbers, and their bytes while they are written.
            let square = rows.saturating_mul(rows).saturating_mul(2 * bytes);
            let parameters = network.parameter_count();
            let tile = kernel::tile_bytes(rows as usize, parameters, size_of::<T>());
            square.saturating_add(tile as u64)
        } else {
            0
        },
        joint: match request.joint {
            true => joint::bytes::<T>(rows.saturating_mul(kept), network.parameter_count()),
            false => 0,
        },
        batch: 0,
    };
    let room = request.memory.limit.saturating_sub(needs.result());
    let chunk = batches(problem, columns, room).chunk.min(samples.max(1));
    needs.batch =
        (each(problem, columns) as u64).saturating_mul(chunk as u64).saturating_mul(bytes);
    Ok(needs)
}

/// Refuses a request above its limit.
///
/// # Errors
/// The bytes that it needs and what there is, with what would fit as the remedy.
pub(super) fn check<T: Scalar>(
    problem: &Problem<'_, T>,
    request: &Request<'_, T>,
) -> Result<(), Error> {
    let (needs, limit) = (needs(problem, request)?, request.memory.limit);
    if needs.total() <= limit {
        return Ok(());
    }
    let samples = fitting_samples(problem, request)?;
    let (place, first) = if needs.kernel > limit {
        ("kernel", without_kernel(problem, request)?)
    } else {
        let fraction = fitting_fraction(problem, request)?;
        ("embedding", fraction.map(|fraction| format!("take a --fraction of {fraction}")))
    };
    // Batches are of one sample here: with this much the request fits.
    let enough = |bytes: u64| format!("give --memory {}", gibibytes(bytes));
    let instead = if request.joint {
        // How many pairs are together only the gradients tell.
        let most = needs.total().saturating_add(most_pairs(problem, request)?);
        format!("{}, or leave --joint out: that fits", enough(most))
    } else {
        with_samples(first.unwrap_or_else(|| enough(needs.total())), samples)
    };
    let bytes = usize::try_from(needs.total()).unwrap_or(usize::MAX);
    request.memory.check(place, bytes, 1, &instead)
}

/// Bytes in GiB as `--memory` takes them, rounded up.
pub(super) fn gibibytes(bytes: u64) -> f64 {
    bytes.saturating_mul(1000).div_ceil(1 << 30) as f64 / 1000.0
}

/// The most bytes that the metric off the diagonal can take.
fn most_pairs<T: Scalar>(problem: &Problem<'_, T>, request: &Request<'_, T>) -> Result<u64, Error> {
    let network = problem.network;
    let kept = kept_of_a_row(network, request.fraction)?;
    let rows = problem.samples().saturating_mul(request.target.rows(network));
    let each = std::iter::repeat_n(kept, rows);
    Ok(joint::most_bytes::<T>(each, network.parameter_count()))
}

fn with_samples(first: String, samples: usize) -> String {
    match samples {
        0 => format!("{first}: that fits"),
        n => format!("{first}, or at most {n} --samples: that fits"),
    }
}

/// What makes a request without its kernel fit, if anything does.
fn without_kernel<T: Scalar>(
    problem: &Problem<'_, T>,
    request: &Request<'_, T>,
) -> Result<Option<String>, Error> {
    let request = &Request { kernel: false, ..*request };
    if needs(problem, request)?.total() <= request.memory.limit {
        return Ok(Some("leave --kernel out".to_string()));
    }
    let fraction = fitting_fraction(problem, request)?;
    Ok(fraction.map(|fraction| format!("leave --kernel out and take a --fraction of {fraction}")))
}

/// The most samples with which the request fits.
fn fitting_samples<T: Scalar>(
    problem: &Problem<'_, T>,
    request: &Request<'_, T>,
) -> Result<usize, Error> {
    let (mut fits, mut too_many) = (0, problem.samples());
    while too_many - fits > 1 {
        let middle = fits + (too_many - fits) / 2;
        if of_samples(problem, request, middle)?.total() <= request.memory.limit {
            fits = middle;
        } else {
            too_many = middle;
        }
    }
    Ok(fits)
}

/// A fraction of two digits with which the request fits, near the largest one.
fn fitting_fraction<T: Scalar>(
    problem: &Problem<'_, T>,
    request: &Request<'_, T>,
) -> Result<Option<f64>, Error> {
    for exponent in 0..6 {
        let unit = 10_f64.powi(-2 - exponent);
        for digits in (10..=99).rev() {
            // As the user would type it.
            let fraction: f64 = format!("{:.*}", 2 + exponent as usize, f64::from(digits) * unit)
                .parse()
                .unwrap_or(unit);
            if fraction < request.fraction
                && needs(problem, &Request { fraction, ..*request })?.total()
                    <= request.memory.limit
            {
                return Ok(Some(fraction));
            }
        }
    }
    Ok(None)
}
