//! Sparse gradient metrics.

use super::{NonFinite, Routine};
use relfisher_core::sparse::{
    MeanState, QuasiMean, SparseMut, SparseRef, kept_count, normalise, outer_mean, outer_pattern,
    root_metric, select_largest, transpose,
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
        routine("transpose, outer_pattern, outer_mean", |p| {
            // Every row keeps every column: the dense matrix of second moments.
            let [n, _, d, ..] = p.shape;
            let entries = n * d;
            let values = p.values(entries);
            let at: Vec<u32> = (0..entries).map(|k| (k % d) as u32).collect();
            let starts: Vec<usize> = (0..=n).map(|s| s * d).collect();
            let rows = SparseRef { starts: &starts, indices: &at, values: &values };
            let mut begin = vec![usize::MAX; d + 1];
            let (mut down, mut turned) = (vec![u32::MAX; entries], vec![p.fill; entries]);
            let out = SparseMut { starts: &mut begin, indices: &mut down, values: &mut turned };
            transpose(out, rows)?;
            let columns = SparseRef { starts: &begin, indices: &down, values: &turned };
            let (o, m, l, q) = (p.dim(d + 1), p.dim(d), p.dim(d), p.dim(d * d));
            let (mut own, mut marks) = (vec![usize::MAX; o], vec![0; m]);
            let total = outer_pattern(&mut own, rows, columns, d * d, &mut marks)?;
            let (mut kept, mut mean) = (vec![u32::MAX; total], vec![p.fill; q]);
            let out = SparseMut { starts: &mut own, indices: &mut kept, values: &mut mean };
            outer_mean(out, rows, columns, &mut marks, &mut vec![usize::MAX; l])?;
            Ok(mean)
        }),
    ]
}
