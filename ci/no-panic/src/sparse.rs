//! Sparse gradient metrics.

use relfisher_core::sparse::{
    MeanState, QuasiMean, SparseMut, SparseRef, kept_count, normalise, outer_mean, outer_pattern,
    root_metric, select_largest, transpose,
};
use relfisher_core::{Error, Real};

use crate::{Opaque, probe};

probe! { sparse_selection sparse_means sparse_outer_products }

fn sparse_selection<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [values, ..] = &mut x.slices;
    x.counts[0] = kept_count(x.scalars[0].to_f64(), x.counts[1])?;
    x.counts[1] = select_largest(x.places, values)?;
    let [root, ..] = &x.doubles;
    normalise(values, x.places, root, x.scalars[1].to_f64())
}

fn sparse_means<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let mean = match x.choice {
        0 => QuasiMean::Arithmetic,
        1 => QuasiMean::Geometric,
        2 => QuasiMean::Harmonic,
        _ => QuasiMean::Power(x.scalars[0].to_f64()),
    };
    let [values, indices, ..] = &mut x.slices;
    let [root, sums, peaks] = &mut x.doubles;
    let mut state = MeanState { sums, peaks, counts: x.places };
    state.add(mean, &[x.counts[0] as u32, x.counts[1] as u32], values)?;
    x.result = T::from_f64(mean.exponent());
    indices.fill(x.result);
    root_metric(root, &state, mean, x.counts[2])
}

fn sparse_outer_products<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    // Every slice of places and starts is a part of the few that there are.
    let (starts, rest) = x.counts.split_at_mut(3);
    let (begin, rest) = rest.split_at_mut(2);
    let (own, limit) = rest.split_at_mut(2);
    let mut pieces = x.places.chunks_mut(x.choice as usize + 1);
    let (Some(at), Some(columns_at), Some(out_at), Some(marks)) =
        (pieces.next(), pieces.next(), pieces.next(), pieces.next())
    else {
        return Ok(());
    };
    let [values, columns_values, out_values, ..] = &mut x.slices;
    let rows = SparseRef { starts, indices: at, values };
    let out = SparseMut { starts: begin, indices: columns_at, values: columns_values };
    transpose(out, rows)?;
    let columns = SparseRef { starts: begin, indices: columns_at, values: columns_values };
    let limit = limit.first().copied().unwrap_or(0);
    let mut places = [outer_pattern(own, rows, columns, limit, marks)?];
    let out = SparseMut { starts: own, indices: out_at, values: out_values };
    outer_mean(out, rows, columns, marks, &mut places)
}
