//! How cost grows: exponents of a power law, fitted by least squares on logarithms.

use crate::record::{Approach, Dtype, Growth, Outcome, Row};

/// The slope of log y over log x, `None` for fewer than three distinct sizes or numbers that have no
/// logarithm.
#[must_use]
pub fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let logs: Vec<(f64, f64)> = points
        .iter()
        .filter(|(x, y)| *x > 0.0 && *y > 0.0)
        .map(|(x, y)| (x.ln(), y.ln()))
        .collect();
    let n = logs.len() as f64;
    let mean_x = logs.iter().map(|p| p.0).sum::<f64>() / n;
    let mean_y = logs.iter().map(|p| p.1).sum::<f64>() / n;
    let spread: f64 = logs.iter().map(|p| (p.0 - mean_x).powi(2)).sum();
    let mut sizes: Vec<f64> = logs.iter().map(|p| p.0).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    if sizes.len() < 3 || logs.len() < points.len() {
        return None;
    }
    Some(logs.iter().map(|p| (p.0 - mean_x) * (p.1 - mean_y)).sum::<f64>() / spread)
}

/// Sizes, and what was found at them.
type Points = Vec<(f64, f64)>;

/// A series: what all its rows share, and every size but the one that grows.
#[derive(Clone, Debug, PartialEq)]
struct Series<'a> {
    group: &'a str,
    quantity: &'a str,
    approach: Approach,
    dtype: Dtype,
    threads: usize,
    fixed: Vec<(&'a str, usize)>,
}

/// The exponents of every series of at least three sizes. A law in one size needs all others to stand
/// still, or to be that size in every row of the quantity, such as the two sides of a square.
#[must_use]
pub fn fit(rows: &[Row]) -> Vec<Growth> {
    let keys: Vec<Series<'_>> = rows.iter().map(|row| key(row, rows)).collect();
    let mut series: Vec<&Series<'_>> = Vec::new();
    for key in &keys {
        if !series.contains(&key) {
            series.push(key);
        }
    }
    series.into_iter().flat_map(|s| grow(s, rows.iter().zip(&keys))).collect()
}

fn key<'a>(row: &'a Row, rows: &[Row]) -> Series<'a> {
    let of_quantity = |other: &&Row| other.group == row.group && other.quantity == row.quantity;
    // by construction, not by chance in one row
    let grows = |name: &str| {
        let mut same = rows.iter().filter(of_quantity);
        same.all(|other| other.size.get(name) == Some(&other.x))
    };
    let sizes = row.size.iter().map(|(name, value)| (name.as_str(), *value));
    Series {
        group: &row.group,
        quantity: &row.quantity,
        approach: row.approach,
        dtype: row.dtype,
        threads: row.threads,
        fixed: sizes.filter(|(name, _)| !grows(name)).collect(),
    }
}

/// Time against FLOPs, memory against its formula.
fn grow<'a>(
    series: &Series<'a>,
    rows: impl Iterator<Item = (&'a Row, &'a Series<'a>)>,
) -> Vec<Growth> {
    let measured: Vec<_> = rows
        .filter(|(_, key)| *key == series)
        .filter_map(|(row, _)| match &row.outcome {
            Outcome::Measured(m) => Some((row.x as f64, row.flops, m)),
            _ => None,
        })
        .collect();
    let sizes = || measured.iter().map(|(x, ..)| *x as usize);
    let (Some(from), Some(to)) = (sizes().min(), sizes().max()) else { return Vec::new() };
    let points = |y: &dyn Fn(usize) -> f64| -> Points {
        measured.iter().enumerate().map(|(k, (x, ..))| (*x, y(k))).collect()
    };
    let fits = [
        ("seconds", points(&|k| measured[k].2.seconds), points(&|k| measured[k].1)),
        (
            "bytes",
            points(&|k| measured[k].2.peak_bytes as f64),
            points(&|k| measured[k].2.predicted_bytes as f64),
        ),
    ];
    let Series { quantity, approach, dtype, threads, .. } = *series;
    let row = |(measure, measured, declared): (&str, Points, Points)| {
        Some(Growth {
            quantity: quantity.to_owned(),
            approach,
            dtype,
            threads,
            measure: measure.to_owned(),
            from,
            to,
            exponent: exponent(&measured)?,
            theory: exponent(&declared)?,
        })
    };
    fits.into_iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::{exponent, fit};
    use crate::record::{Approach, Dtype, Limit, Measured, Outcome, Row};

    #[test]
    fn a_power_law_has_its_exponent() {
        let points: Vec<_> = [2.0, 3.0, 8.0, 20.0].map(|x: f64| (x, 7.0 * x.powf(2.5))).into();
        assert!((exponent(&points).expect("a fit") - 2.5).abs() < 1e-12);
    }

    #[test]
    fn two_sizes_are_no_law() {
        assert_eq!(exponent(&[(1.0, 2.0), (2.0, 4.0)]), None);
        assert_eq!(exponent(&[(1.0, 2.0), (1.0, 2.5), (2.0, 4.0)]), None);
    }

    #[test]
    fn nothing_has_no_logarithm() {
        assert_eq!(exponent(&[(1.0, 0.0), (2.0, 4.0), (4.0, 8.0), (8.0, 8.0)]), None);
    }

    /// Of x in its first size, taking x³.
    fn row(group: &str, size: &[(&str, usize)]) -> Row {
        let x = size[0].1;
        let cube = (x as f64).powi(3);
        Row {
            group: group.into(),
            quantity: "a quantity".into(),
            approach: Approach::Structured,
            size: size.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            x,
            dtype: Dtype::F32,
            threads: 1,
            flops: cube,
            bytes: 1.0,
            outcome: Outcome::Measured(Measured {
                seconds: 1e-9 * cube,
                median: 1e-9 * cube,
                rounds: 3,
                limit: Limit::Product,
                share: 0.5,
                peak_bytes: (8 * x * x) as u64,
                predicted_bytes: (8 * x * x) as u64,
            }),
        }
    }

    #[test]
    fn one_size_grows_alone() {
        let rows = [16, 32, 64].map(|d| row("kron", &[("width", d), ("samples", 64)]));
        let fits = fit(&rows);
        assert_eq!(fits.len(), 2);
        assert!((fits[0].exponent - 3.0).abs() < 1e-9 && (fits[1].exponent - 2.0).abs() < 1e-9);
        // two sizes that are the same in every row grow as one
        let rows = [16, 32, 64].map(|d| row("kron", &[("width", d), ("height", d)]));
        assert_eq!(fit(&rows).len(), 2);
    }

    #[test]
    fn sizes_that_change_on_their_own_are_no_law() {
        // inputs and neurons, unrelated
        let rows = [(81, 80), (513, 512), (785, 80)]
            .map(|(d, m)| row("metric", &[("inputs", d), ("neurons", m)]));
        assert_eq!(fit(&rows), []);
        // fewer matrices of a larger order
        let rows = [(16, 1000), (32, 250), (64, 62), (128, 32)]
            .map(|(n, count)| row("factor", &[("order", n), ("matrices", count)]));
        assert_eq!(fit(&rows), []);
        // equal by chance in one row
        let rows = [(16, 64), (32, 32), (64, 64), (128, 64)]
            .map(|(n, samples)| row("kron", &[("width", n), ("samples", samples)]));
        let fits = fit(&rows);
        assert_eq!((fits[0].from, fits[0].to), (16, 128));
        assert_eq!(fits.len(), 2);
    }

    #[test]
    fn groups_do_not_mix() {
        let rows = [("kron", 16), ("kron", 32), ("metric", 64)]
            .map(|(group, d)| row(group, &[("width", d)]));
        assert_eq!(fit(&rows), []);
    }
}
