//! Sparse gradient metrics.

use relfisher_core::sparse::{
    MeanState, QuasiMean, kept_count, normalise, root_metric, select_largest,
};
use relfisher_core::{Error, Real};

use crate::{Opaque, probe};

probe! { sparse_selection sparse_means }

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
