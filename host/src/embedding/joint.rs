//! The arithmetic metric off the diagonal, on the joint support.

use relfisher_core::sparse::{SparseMut, SparseRef, outer_mean, outer_pattern, transpose};

use super::SparseRows;
use super::needs::gibibytes;
use crate::Scalar;
use crate::curvature::human;
use crate::error::{Context, Error};

/// The bytes of `entries` gradients by parameter, and of the marks of a pass over them.
pub(super) fn bytes<T>(entries: u64, parameters: usize) -> u64 {
    let each = (size_of::<u32>() + size_of::<T>()) as u64;
    let passes = (3 * size_of::<usize>() + size_of::<u32>()) as u64;
    entries.saturating_mul(each).saturating_add((parameters as u64).saturating_mul(passes))
}

/// The bytes of an entry of the metric, its file included.
fn entry<T>() -> u64 {
    (size_of::<u32>() + size_of::<T>() + size_of::<i64>()) as u64
}

/// The most bytes that the metric can take of rows with so many entries: a row brings at most the pairs
/// of them, and there are no more than all pairs of parameters.
pub(super) fn most_bytes<T>(kept: impl Iterator<Item = u64>, parameters: usize) -> u64 {
    let pairs = kept.map(|kept| kept.saturating_mul(kept)).fold(0, u64::saturating_add);
    let all = (parameters as u64).saturating_mul(parameters as u64);
    pairs.min(all).saturating_mul(entry::<T>())
}

/// `(1/n) Σ_s u_s u_sᵀ` over the n rows, as sparse rows, one for each of the `parameters`: the pairs that
/// are together in at least one row. Costs the sum of the squares of the rows' entries.
///
/// # Errors
/// A matrix of more than `room` bytes, its file included, as soon as that is known; a mean that
/// overflows; an index beyond `parameters`.
pub fn joint_metric<T: Scalar>(
    rows: &SparseRows<T>,
    parameters: usize,
    room: u64,
) -> Result<SparseRows<T>, Error> {
    let place = "metric on the joint support";
    let entries = rows.values.len();
    let view = SparseRef { starts: &rows.starts, indices: &rows.indices, values: &rows.values };
    let (mut starts, mut indices) = (vec![0; parameters + 1], vec![0; entries]);
    let mut values = vec![T::ZERO; entries];
    let out = SparseMut { starts: &mut starts, indices: &mut indices, values: &mut values };
    transpose(out, view).context(place)?;
    let columns = SparseRef { starts: &starts, indices: &indices, values: &values };
    let limit = usize::try_from(room / entry::<T>()).unwrap_or(usize::MAX);
    let mut out = SparseRows { starts: vec![0; parameters + 1], ..SparseRows::default() };
    let mut marks = vec![0; parameters];
    let total = outer_pattern(&mut out.starts, view, columns, limit, &mut marks).context(place)?;
    if total > limit {
        let most = (0..rows.rows()).map(|s| rows.starts[s + 1] - rows.starts[s]);
        let more = most_bytes::<T>(most.map(|kept| kept as u64), parameters).saturating_sub(room);
        let remedy = format!(
            "take a smaller --fraction or fewer --samples, or give {} GiB more of --memory: that fits",
            gibibytes(more)
        );
        let problem = format_args!("has more entries than the {limit} that {} hold", human(room));
        return Err(Error::input("", place, problem, remedy));
    }
    out.indices = vec![0; total];
    out.values = vec![T::ZERO; total];
    let view_out =
        SparseMut { starts: &mut out.starts, indices: &mut out.indices, values: &mut out.values };
    outer_mean(view_out, view, columns, &mut marks, &mut vec![0; parameters]).context(place)?;
    Ok(out)
}
