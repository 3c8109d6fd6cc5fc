//! Sparse gradient metrics.

use super::{NonFinite, Routine};
use relfisher_core::sparse::{
    MeanState, QuasiMean, kept_count, normalise, root_metric, select_largest,
};
use relfisher_core::{Error, Real};

pub(super) fn all<T: Real>() -> Vec<Routine<T>> {
    use NonFinite::Refused;
    let routine = |name, call| Routine { name, non_finite: Refused, call };
    vec![
        routine("select_largest", |p| {
            let [n, m, ..] = p.shape;
            let values = p.values(n * m);
            let mut kept = vec![u32::MAX; kept_count(0.3, n * m)?];
            let count = select_largest(&mut kept, &values)?;
            Ok(kept[..count].iter().map(|i| T::from_usize(*i as usize)).collect())
        }),
        routine("MeanState::add, root_metric, normalise", |p| {
            let d = p.shape[2];
            let (v, i, k, c, r) = (p.dim(d), p.dim(d), p.dim(d), p.dim(d), p.dim(d));
            let mut psi = p.values(v);
            let indices: Vec<u32> = (0..i as u32).collect();
            let (mut sums, mut peaks, mut counts) = (vec![0.0; d], vec![0.0; k], vec![0; c]);
            let mut state = MeanState { sums: &mut sums, peaks: &mut peaks, counts: &mut counts };
            // An index beyond the state: the values are as many as the indices.
            state.add(QuasiMean::Power(0.5), &indices, &psi)?;
            let mut root = vec![f64::NAN; r];
            root_metric(&mut root, &state, QuasiMean::Power(0.5), 2)?;
            normalise(&mut psi, &indices, &root, p.scale * p.scale)?;
            if psi.iter().any(|x| !x.is_finite()) {
                return Err(Error::NonFinite { what: "psi", index: 0 });
            }
            Ok(psi)
        }),
    ]
}
