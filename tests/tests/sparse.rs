//! Selection against a sort, means against their definition, at extremes.

use proptest::prelude::*;
use relfisher_core::sparse::{
    MeanState, QuasiMean, SparseMut, SparseRef, kept_count, normalise, outer_mean, outer_pattern,
    root_metric, select_largest, transpose,
};
use relfisher_core::{Error, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::assert_close;
use relfisher_tests::random::Random;
use relfisher_tests::tolerance::Oracle::Dense;

/// The definition: all entries that are not zero, in order of magnitude, then of index.
fn sorted<T: Real>(values: &[T], count: usize) -> Vec<u32> {
    let mut order: Vec<usize> = (0..values.len()).filter(|i| values[*i] != T::ZERO).collect();
    order.sort_by(|a, b| {
        values[*b].abs().partial_cmp(&values[*a].abs()).unwrap().then_with(|| a.cmp(b))
    });
    let mut kept: Vec<u32> = order.into_iter().take(count).map(|i| i as u32).collect();
    kept.sort_unstable();
    kept
}

fn selected<T: Real>(values: &[T], count: usize) -> Vec<u32> {
    let mut indices = vec![u32::MAX; count];
    let found = select_largest(&mut indices, values).unwrap();
    indices.truncate(found);
    indices
}

fn selection_is_a_sort<T: Real>() {
    let mut random = Random::new(71);
    for len in [0_usize, 1, 2, 3, 17, 256, 1000] {
        for kind in 0..5 {
            let values: Vec<T> = (0..len)
                .map(|i| {
                    let x = match kind {
                        0 => random.normal(),
                        // Few different magnitudes: many ties.
                        1 => f64::from(random.below(5) as i32 - 2),
                        // Every size of number.
                        2 => random.normal() * 10f64.powi(random.below(70) as i32 - 35),
                        // Neighbours in the last place only.
                        3 => 1.0 + random.below(4) as f64 * T::EPSILON.to_f64(),
                        _ => f64::from(i % 3 == 0),
                    };
                    T::from_f64(if random.below(2) == 0 { x } else { -x })
                })
                .collect();
            for count in [0, 1, len / 7, len / 2, len.saturating_sub(1), len, len + 3] {
                let label = format!("{len} values, kind {kind}, {count} kept");
                assert_eq!(selected(&values, count), sorted(&values, count), "{label}");
            }
        }
    }
    let tiny = [T::MIN_POSITIVE * T::EPSILON, T::ZERO, T::MAX, -T::ZERO, -T::MIN_POSITIVE];
    assert_eq!(selected(&tiny, 2), [2, 4]);
    assert_eq!(selected(&tiny, 5), [0, 2, 4], "zeros are never kept");
    for bad in [T::NAN, T::INFINITY, -T::INFINITY] {
        let refused = select_largest(&mut [0; 2], &[T::ONE, bad, T::ONE]);
        assert!(matches!(refused, Err(Error::NonFinite { index: 1, .. })), "{refused:?}");
    }
}

/// g by the definition, with squares relative to the largest so that they stay numbers.
fn root_of(rows: &[Vec<Option<f64>>], j: usize, power: f64) -> f64 {
    let kept: Vec<f64> = rows.iter().filter_map(|row| row[j]).map(f64::abs).collect();
    if kept.is_empty() {
        return 0.0;
    }
    if power == 0.0 {
        return (kept.iter().map(|u| u.ln()).sum::<f64>() / kept.len() as f64).exp();
    }
    let reference =
        kept.iter().copied().fold(if power > 0.0 { 0.0 } else { f64::INFINITY }, |m, u| {
            if power > 0.0 { m.max(u) } else { m.min(u) }
        });
    let terms = if power > 0.0 { rows.len() } else { kept.len() };
    let term = |u: &f64| {
        if power.abs() < 0.5 {
            // Where the quotient may leave the range and the powers do not.
            (u.powf(power) / reference.powf(power)).powi(2)
        } else {
            (u / reference).powf(2.0 * power)
        }
    };
    let sum: f64 = kept.iter().map(term).sum();
    reference * (sum / terms as f64).powf(0.5 / power)
}

fn means_are_their_definition<T: Real>() {
    let mut random = Random::new(72);
    let huge = T::MAX.to_f64().log10() as i32 - 1;
    for (spread, n, d) in [(0, 7, 9), (3, 4, 5), (huge, 6, 8), (2, 1, 3)] {
        let rows: Vec<Vec<Option<f64>>> = (0..n)
            .map(|_| {
                (0..d)
                    .map(|j| {
                        let size =
                            10f64.powi(random.below(2 * spread as usize + 1) as i32 - spread);
                        let x = T::from_f64((0.5 + random.unit()) * size).to_f64();
                        // The last entry never survives.
                        (j + 1 < d && random.below(3) > 0).then_some(if j % 2 == 0 {
                            x
                        } else {
                            -x
                        })
                    })
                    .collect()
            })
            .collect();
        for mean in [
            QuasiMean::Arithmetic,
            QuasiMean::Geometric,
            QuasiMean::Harmonic,
            QuasiMean::Power(0.0),
            QuasiMean::Power(0.5),
            QuasiMean::Power(1.0),
            QuasiMean::Power(-2.0),
            QuasiMean::Power(40.0),
            QuasiMean::Power(-300.0),
            QuasiMean::Power(0.003),
            QuasiMean::Power(-0.003),
        ] {
            let (mut sums, mut peaks, mut counts) = (vec![0.0; d], vec![0.0; d], vec![0; d]);
            let mut state = MeanState { sums: &mut sums, peaks: &mut peaks, counts: &mut counts };
            for row in &rows {
                let kept = row.iter().enumerate().filter_map(|(j, u)| u.map(|u| (j as u32, u)));
                let (indices, values): (Vec<u32>, Vec<T>) =
                    kept.map(|(j, u)| (j, T::from_f64(u))).unzip();
                state.add(mean, &indices, &values).unwrap();
            }
            let mut root = vec![f64::NAN; d];
            root_metric(&mut root, &state, mean, n).unwrap();
            for (j, root) in root.iter().enumerate() {
                let want = root_of(&rows, j, mean.exponent());
                let label = format!("{mean:?} spread {spread} entry {j}");
                assert_close(&label, &[*root], &[want], "root metric", Dense, 1);
            }
        }
    }
}

/// Next to 0 a power mean is its cumulants: ln g = κ₁ + pκ₂/2 + p²κ₃/6 + p³κ₄/24 + O(p⁴) with those of
/// ln u².
#[test]
fn powers_next_to_zero_are_their_cumulants() {
    let mut random = Random::new(73);
    let values: Vec<f64> = (0..50).map(|_| 0.5 + random.unit()).collect();
    let logs: Vec<f64> = values.iter().map(|u| 2.0 * u.ln()).collect();
    let mean = |f: &dyn Fn(f64) -> f64| logs.iter().map(|x| f(*x)).sum::<f64>() / 50.0;
    let first = mean(&|x| x);
    let moment = |k: i32| mean(&|x| (x - first).powi(k));
    let (second, third) = (moment(2), moment(3));
    let fourth = moment(4) - 3.0 * second * second;
    for size in [0.0038, 1e-3, 1e-5, 1e-9, 1e-15, 1e-100, 1e-300, f64::MIN_POSITIVE] {
        for p in [size, -size] {
            let (mut sums, mut peaks, mut counts) = ([0.0], [0.0], [0]);
            let mut state = MeanState { sums: &mut sums, peaks: &mut peaks, counts: &mut counts };
            for u in &values {
                state.add(QuasiMean::Power(p), &[0], &[*u]).unwrap();
            }
            let mut root = [f64::NAN];
            root_metric(&mut root, &state, QuasiMean::Power(p), 50).unwrap();
            let log = first + p * (second / 2.0 + p * (third / 6.0 + p * fourth / 24.0));
            assert_close(&format!("{p}"), &root, &[(0.5 * log).exp()], "root metric", Dense, 1);
        }
    }
}

/// Keys are ordered as the magnitudes.
fn keys_are_in_the_order_of_magnitudes<T: Real>() {
    let ascending = [
        T::ZERO,
        T::MIN_POSITIVE * T::EPSILON,
        T::MIN_POSITIVE,
        T::ONE,
        T::ONE + T::EPSILON,
        T::MAX,
        T::INFINITY,
        T::NAN,
    ];
    for pair in ascending.windows(2) {
        assert!(pair[0].magnitude_key() < pair[1].magnitude_key(), "{pair:?}");
        assert_eq!((-pair[0]).magnitude_key(), pair[0].magnitude_key(), "without the sign");
    }
    assert_eq!(T::KEY_BITS as usize, 8 * size_of::<T>());
}

both_dtypes!(
    keys_are_in_the_order_of_magnitudes,
    selection_is_a_sort,
    means_are_their_definition,
    outer_means_are_their_definition,
);

#[test]
fn fractions_and_powers_outside_their_domain_are_refused() {
    for bad in [0.0, -0.1, 1.0000001, f64::NAN, f64::INFINITY] {
        assert!(matches!(kept_count(bad, 10), Err(Error::Parameter { .. })), "{bad}");
    }
    let kept = [(0.15, 0, 0), (0.15, 1, 1), (1e-9, 10, 1), (0.5, 5, 3), (1.0, 5, 5)];
    for (q, d, want) in kept {
        assert_eq!(kept_count(q, d), Ok(want));
    }
    let (mut sums, mut peaks, mut counts) = ([0.0; 2], [0.0; 2], [0; 2]);
    let mut state = MeanState { sums: &mut sums, peaks: &mut peaks, counts: &mut counts };
    for power in [f64::NAN, f64::INFINITY] {
        let refused = state.add(QuasiMean::Power(power), &[0], &[1.0]);
        assert!(matches!(refused, Err(Error::Parameter { .. })), "{refused:?}");
    }
    for zero in [0.0, f64::NAN] {
        let refused = state.add(QuasiMean::Arithmetic, &[0, 1], &[1.0, zero]);
        assert!(matches!(refused, Err(Error::NonFinite { index: 1, .. })), "{refused:?}");
    }
    let refused = state.add(QuasiMean::Arithmetic, &[2], &[1.0]);
    assert!(matches!(refused, Err(Error::Shape { found: 2, .. })), "{refused:?}");
    let refused = root_metric(&mut [0.0; 2], &state, QuasiMean::Arithmetic, 0);
    assert!(matches!(refused, Err(Error::Parameter { .. })), "{refused:?}");
}

/// A metric of zero without damping, and one that overflows, are refused by position; damping that
/// swallows the metric gives u/√λ.
#[test]
fn embeddings_are_finite_or_refused() {
    let refused = normalise(&mut [1.0, 2.0], &[1, 0], &[0.0, 1.0], 0.0);
    assert!(matches!(refused, Err(Error::NonFinite { index: 1, .. })), "{refused:?}");
    let refused = normalise(&mut [1.0_f32], &[0], &[f64::INFINITY], 0.0);
    assert!(matches!(refused, Err(Error::NonFinite { index: 0, .. })), "{refused:?}");
    let mut psi = [3.0, -1e-200];
    normalise(&mut psi, &[0, 1], &[0.0, 1e-200], 4.0).unwrap();
    assert_eq!(psi, [1.5, -0.5e-200]);
    let mut psi = [1e-200];
    normalise(&mut psi, &[0], &[1e-200], 0.0).unwrap();
    assert_eq!(psi, [1.0], "squares would have vanished");
}

proptest! {
    #[test]
    fn any_selection_is_a_sort(values in prop::collection::vec(-3_i32..4, 0..40), count in 0_usize..45) {
        let values: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
        prop_assert_eq!(selected(&values, count), sorted(&values, count));
    }
}

/// The mean of outer products on the joint support, against dense sums over pairs.
fn outer_means_are_their_definition<T: Real>() {
    let mut random = Random::new(5);
    for (n, d, share) in [(1, 1, 1.0), (1, 7, 0.5), (6, 11, 0.3), (9, 20, 0.1), (4, 5, 1.0)] {
        let (mut starts, mut at, mut values) = (vec![0_usize], Vec::new(), Vec::<T>::new());
        let mut dense = vec![0.0; n * d];
        for s in 0..n {
            for j in 0..d {
                if random.unit() < share {
                    let value = T::from_f64(random.normal());
                    at.push(j as u32);
                    values.push(value);
                    dense[s * d + j] = value.to_f64();
                }
            }
            starts.push(values.len());
        }
        let rows = SparseRef { starts: &starts, indices: &at, values: &values };
        let label = format!("{n} rows of {d}");
        let (mut begin, mut down) = (vec![usize::MAX; d + 1], vec![u32::MAX; at.len()]);
        let mut turned = vec![T::NAN; at.len()];
        let out = SparseMut { starts: &mut begin, indices: &mut down, values: &mut turned };
        transpose(out, rows).unwrap();
        for j in 0..d {
            let column = begin[j]..begin[j + 1];
            let want: Vec<u32> = (0..n)
                .filter(|s| at[starts[*s]..starts[s + 1]].contains(&(j as u32)))
                .map(|s| s as u32)
                .collect();
            assert_eq!(down[column.clone()], want, "{label}, column {j}");
            for k in column {
                assert_eq!(turned[k].to_f64(), dense[down[k] as usize * d + j], "{label}");
            }
        }
        let columns = SparseRef { starts: &begin, indices: &down, values: &turned };
        let (mut own, mut marks) = (vec![usize::MAX; d + 1], vec![7; d]);
        let total = outer_pattern(&mut own, rows, columns, d * d, &mut marks).unwrap();
        let (mut kept, mut mean) = (vec![u32::MAX; total], vec![T::NAN; total]);
        let out = SparseMut { starts: &mut own, indices: &mut kept, values: &mut mean };
        outer_mean(out, rows, columns, &mut marks, &mut vec![usize::MAX; d]).unwrap();
        let together = |j: usize, k: usize| {
            (0..n).any(|s| {
                let row = &at[starts[s]..starts[s + 1]];
                row.contains(&(j as u32)) && row.contains(&(k as u32))
            })
        };
        let (mut pattern, mut want) = (Vec::new(), Vec::new());
        for j in 0..d {
            let columns: Vec<u32> = (0..d).filter(|k| together(j, *k)).map(|k| k as u32).collect();
            assert_eq!(kept[own[j]..own[j + 1]], columns, "{label}, row {j}");
            for k in &columns {
                let pair = |s: usize| dense[s * d + j] * dense[s * d + *k as usize];
                want.push((0..n).map(pair).sum::<f64>() / n as f64);
            }
            pattern.extend(columns);
        }
        assert_eq!(total, pattern.len(), "{label}");
        assert_close(&label, &mean, &want, "outer mean", Dense, 1);
        if total > 1 {
            let more = outer_pattern(&mut vec![0; d + 1], rows, columns, total - 1, &mut marks);
            assert!(more.unwrap() > total - 1, "{label}: the limit is noticed");
        }
    }
    let rows = SparseRef { starts: &[0, 1], indices: &[3], values: &[T::ONE] };
    let mut starts = [0; 4];
    let out = SparseMut { starts: &mut starts, indices: &mut [0], values: &mut [T::ZERO] };
    let refused = transpose(out, rows);
    assert_eq!(refused, Err(Error::Shape { what: "sparse rows: column", expected: 3, found: 3 }));
    let torn = SparseRef { starts: &[0, 2], indices: &[0], values: &[T::ONE] };
    let out = SparseMut { starts: &mut starts, indices: &mut [0], values: &mut [T::ZERO] };
    assert_eq!(transpose(out, torn), Err(Error::Layout { what: "sparse rows: starts" }));
}
