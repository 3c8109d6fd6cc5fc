//! An axis that counts in equal factors and has numbers on it, however short it is: the plotting
//! library's own has them at powers of ten alone, and none where no power of ten falls on it.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;

/// The fewest numbers of an axis.
const FEWEST: usize = 3;

/// A logarithmic axis between two positive numbers.
pub(super) struct LogAxis {
    range: Range<f64>,
    logarithms: RangedCoordf64,
}

impl From<Range<f64>> for LogAxis {
    fn from(range: Range<f64>) -> Self {
        // An axis from 0 begins five powers of ten below its end.
        let start = if range.start > 0.0 { range.start } else { range.end * 1e-5 };
        Self { range: start..range.end, logarithms: (start.ln()..range.end.ln()).into() }
    }
}

impl Ranged for LogAxis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.logarithms.map(&value.ln(), limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        numbers(&self.range, hint.max_num_points())
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// At most `most` numbers on an axis: 1, 2 and 5 times powers of ten; where these are too many, powers
/// of ten alone, or every second one, every third; where they are too few, equal steps.
fn numbers(range: &Range<f64>, most: usize) -> Vec<f64> {
    let (first, last) = (range.start.log10().floor() as i32, range.end.log10().ceil() as i32);
    let inside = |digits: &[f64], stride: i32| -> Vec<f64> {
        let powers = (first..=last).filter(|power| power.rem_euclid(stride) == 0);
        let all = powers.flat_map(|power| digits.iter().map(move |digit| digit * ten_to(power)));
        all.filter(|x| (range.start..=range.end).contains(x)).collect()
    };
    let fine = inside(&[1.0, 2.0, 5.0], 1);
    if fine.len() < FEWEST {
        // The library counts the steps between them.
        return RangedCoordf64::from(range.clone()).key_points(most.saturating_sub(1));
    }
    if fine.len() <= most {
        return fine;
    }
    let strides = 1..=last.saturating_sub(first).saturating_add(1);
    strides.map(|stride| inside(&[1.0], stride)).find(|x| x.len() <= most).unwrap_or_default()
}

/// 10 to a power, as it is written.
fn ten_to(power: i32) -> f64 {
    if power < 0 { 1.0 / 10_f64.powi(-power) } else { 10_f64.powi(power) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_axis_has_numbers() {
        for start in [3e-9, 1e-3, 0.0123, 0.19, 0.21, 1.0, 7.7, 4e5] {
            for factor in [1.003, 1.05, 1.3, 1.8, 2.2, 4.9, 9.9, 10.0, 11.0, 1e3, 1e7, 1e15] {
                let range = start..start * factor;
                for most in [6, 9, 11] {
                    let got = LogAxis::from(range.clone()).key_points(most);
                    assert!((2..=most).contains(&got.len()), "{range:?}, {most}: {got:?}");
                    assert!(got.windows(2).all(|pair| pair[0] < pair[1]), "{range:?}: {got:?}");
                    assert!(got.iter().all(|x| (range.start..=range.end).contains(x)), "{got:?}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_round() {
        assert_eq!(numbers(&(0.012..0.6), 9), [0.02, 0.05, 0.1, 0.2, 0.5]);
        assert_eq!(numbers(&(1e-3..10.0), 9), [1e-3, 1e-2, 0.1, 1.0, 10.0]);
        assert_eq!(numbers(&(1e-8..1.0), 5), [1e-8, 1e-6, 1e-4, 1e-2, 1.0]);
    }

    /// Equal factors are equal distances.
    #[test]
    fn places_are_those_of_logarithms() {
        let axis = LogAxis::from(0.1..10.0);
        assert_eq!([0.1, 1.0, 10.0].map(|x| axis.map(&x, (0, 1000))), [0, 500, 1000]);
        assert_eq!(LogAxis::from(0.0..1.0).range(), 1e-5..1.0);
    }
}
