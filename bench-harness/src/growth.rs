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

/// A series: what all its rows share.
type Series<'a> = (&'a str, Approach, Dtype, usize);

/// The exponents of every series of at least three sizes.
#[must_use]
pub fn fit(rows: &[Row]) -> Vec<Growth> {
    let mut series: Vec<Series<'_>> = Vec::new();
    for row in rows {
        let key = key(row);
        if !series.contains(&key) {
            series.push(key);
        }
    }
    series.into_iter().flat_map(|s| grow(s, rows)).collect()
}

fn key(row: &Row) -> Series<'_> {
    (&row.quantity, row.approach, row.dtype, row.threads)
}

/// Time against FLOPs, memory against its formula.
fn grow(series: Series<'_>, rows: &[Row]) -> Vec<Growth> {
    let measured: Vec<_> = rows
        .iter()
        .filter(|row| key(row) == series)
        .filter_map(|row| match &row.outcome {
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
    let (quantity, approach, dtype, threads) = series;
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
    use super::exponent;

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
}
