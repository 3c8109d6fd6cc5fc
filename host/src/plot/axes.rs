//! Axes that count in equal steps or in equal factors, and charts over any two of them.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::{Cartesian2d, DrawingBackend, Ranged};

use super::figure::Draw;
use super::log_axis::LogAxis;

/// How an axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// In equal steps.
    Linear,
    /// In equal factors; points that are not positive are left out.
    Logarithmic,
}

/// An axis: the smallest and the largest value, and how it counts between them.
pub(super) type Interval = ((f64, f64), Scale);

/// What is drawn over two axes.
pub(super) trait Chart {
    fn draw<'a, DB, X, Y>(&self, chart: &mut ChartContext<'a, DB, Cartesian2d<X, Y>>) -> Draw<DB>
    where
        DB: DrawingBackend + 'a,
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>;
}

/// Draws a chart over its axes.
pub(super) fn draw_chart<'a, DB: DrawingBackend + 'a>(
    builder: &mut ChartBuilder<'a, '_, DB>,
    (((left, right), x_scale), ((low, high), y_scale)): (Interval, Interval),
    chart: &impl Chart,
) -> Draw<DB> {
    use Scale::{Linear, Logarithmic};
    let (x, y) = (left..right, low..high);
    match (x_scale, y_scale) {
        (Linear, Linear) => chart.draw(&mut builder.build_cartesian_2d(x, y)?),
        (Linear, Logarithmic) => chart.draw(&mut builder.build_cartesian_2d(x, LogAxis::from(y))?),
        (Logarithmic, Linear) => chart.draw(&mut builder.build_cartesian_2d(LogAxis::from(x), y)?),
        (Logarithmic, Logarithmic) => {
            let (x, y) = (LogAxis::from(x), LogAxis::from(y));
            chart.draw(&mut builder.build_cartesian_2d(x, y)?)
        }
    }
}

impl Scale {
    /// Whether a value has a place on the axis.
    fn fits(self, v: f64) -> bool {
        v.is_finite() && (self == Scale::Linear || v > 0.0)
    }

    /// The range of an axis, with a share `pad` of it on both sides.
    pub(super) fn range(self, values: impl Iterator<Item = f64>, pad: f64) -> (f64, f64) {
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        match self {
            _ if low > high => (1.0, 10.0),
            Scale::Logarithmic if low == high => (low / 2.0, high * 2.0),
            Scale::Logarithmic => {
                let factor = (high / low).powf(pad);
                (low / factor, high * factor)
            }
            Scale::Linear if low == high => (low - 0.5, high + 0.5),
            Scale::Linear => (low - pad * (high - low), high + pad * (high - low)),
        }
    }
}

/// Whether a point has a place between two axes.
pub(super) fn visible(p: (f64, f64), (x, y): (Scale, Scale)) -> bool {
    x.fits(p.0) && y.fits(p.1)
}

/// A number without needless digits: 0.05, 3, 12.5, 2.1e-4.
pub(super) fn short(v: f64) -> String {
    if v.abs() < 1e-12 {
        return "0".to_owned();
    }
    if v.abs() < 1e-3 || v.abs() >= 1e5 {
        let text = format!("{v:.2e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'));
    }
    let text = format!("{v:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_without_a_place_are_left_out() {
        let log = (Scale::Linear, Scale::Logarithmic);
        assert!(visible((0.0, 1.0), log) && !visible((0.0, 0.0), log));
        assert!(!visible((0.0, f64::NAN), (Scale::Linear, Scale::Linear)));
        assert_eq!(Scale::Linear.range([].into_iter(), 0.1), (1.0, 10.0));
        assert_eq!(Scale::Linear.range([2.0, 4.0].into_iter(), 0.5), (1.0, 5.0));
        assert_eq!(Scale::Logarithmic.range([2.0, 2.0].into_iter(), 0.5), (1.0, 4.0));
    }

    #[test]
    fn labels_are_short() {
        let got = [0.25, 3.0, 1e6, 0.0, 0.0021, 2.1e-4, -1e-7].map(short);
        assert_eq!(got, ["0.25", "3", "1e6", "0", "0.0021", "2.1e-4", "-1e-7"]);
    }
}
