//! Logarithmic axes whose marks are chosen here: powers of ten or two, or the sizes measured.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use relfisher::plot::{FONT, palette};

use super::{Area, Draw};

/// A linear coordinate whose marks are given. (The plotting library's own has no default words, and
/// without them no mesh.)
pub(super) struct Marked {
    inner: RangedCoordf64,
    marks: Vec<f64>,
}

impl Marked {
    /// A range and its marks.
    pub(super) fn new(range: Range<f64>, marks: Vec<f64>) -> Self {
        Self { inner: range.into(), marks }
    }
}

impl Ranged for Marked {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.inner.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.inner.range()
    }
}

/// A chart over log₁₀ of both quantities.
pub(super) type LogChart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Marked, Marked>>;

/// One axis.
pub(super) struct Axis {
    /// What it shows.
    pub(super) label: String,
    /// log₁₀ of the ends.
    low: f64,
    high: f64,
    /// log₁₀ of the marks.
    marks: Vec<f64>,
    /// The words at a mark.
    words: fn(f64) -> String,
}

impl Axis {
    /// Over positive values, with marks at powers of a base: ten for times, two for bytes.
    pub(super) fn powers(label: &str, values: &[f64], base: f64, words: fn(f64) -> String) -> Self {
        let (low, high) = ends(values);
        let step = base.log10();
        let (first, last) = ((low / step).ceil() as i32, (high / step).floor() as i32);
        // At most eight marks; every tenth power of two is a unit of memory.
        let every = [1, 2, 5, 10, 20].into_iter().find(|n| (last - first) / n < 8).unwrap_or(40);
        let marks = (first..=last).filter(|n| n.rem_euclid(every) == 0);
        let mut marks: Vec<f64> = marks.map(|n| f64::from(n) * step).collect();
        if marks.len() < 2 {
            let finer = [1.0, 2.0, 5.0].map(f64::log10);
            let decades = low.floor() as i32..=high.ceil() as i32;
            let all = decades.flat_map(|n| finer.map(|part| f64::from(n) + part));
            marks = all.filter(|mark| (low..=high).contains(mark)).collect();
        }
        Self { label: label.to_owned(), low, high, marks, words }
    }

    /// Over the sizes measured, each a mark unless it stands too close to the one before.
    pub(super) fn sizes(label: &str, sizes: &[f64]) -> Self {
        let (low, high) = ends(sizes);
        let mut sorted: Vec<f64> = sizes.iter().map(|size| size.log10()).collect();
        sorted.retain(|size| size.is_finite());
        sorted.sort_by(f64::total_cmp);
        let mut marks: Vec<f64> = Vec::new();
        for size in sorted {
            if marks.last().is_none_or(|last| size - last > 0.075 * (high - low)) {
                marks.push(size);
            }
        }
        Self { label: label.to_owned(), low, high, marks, words: |v| format!("{v:.0}") }
    }

    /// The highest place.
    pub(super) fn top(&self) -> f64 {
        self.high
    }

    /// The lowest place.
    pub(super) fn bottom(&self) -> f64 {
        self.low
    }

    /// The same axis with half of its marks, where they stand side by side.
    pub(super) fn every_other(mut self) -> Self {
        self.marks = self.marks.into_iter().step_by(2).collect();
        self
    }

    /// The same axis, raised so that words have room above the data: a part of its length.
    pub(super) fn raised(mut self, part: f64) -> Self {
        self.high += part * (self.high - self.low);
        self
    }
}

/// log₁₀ of the least and the largest value, with a margin.
fn ends(values: &[f64]) -> (f64, f64) {
    let usable = || values.iter().copied().filter(|v| *v > 0.0 && v.is_finite());
    let low = usable().fold(f64::INFINITY, f64::min);
    let high = usable().fold(0.0, f64::max);
    if low <= high {
        let margin = 0.05 * (high / low).log10().max(0.5);
        (low.log10() - margin, high.log10() + margin)
    } else {
        (0.0, 1.0)
    }
}

/// The axes, their marks and the lines behind the data.
pub(super) fn chart<'a, 'b>(
    area: &'a Area<'b>,
    title: &str,
    x: &Axis,
    y: &Axis,
) -> Result<LogChart<'a, 'b>, DrawingAreaErrorKind<std::io::Error>> {
    let mut chart = ChartBuilder::on(area)
        .margin(6)
        .margin_right(18)
        .x_label_area_size(46)
        .y_label_area_size(82)
        .caption(title, (FONT, 17).into_font().color(&palette::TEXT))
        .build_cartesian_2d(
            Marked::new(x.low..x.high, x.marks.clone()),
            Marked::new(y.low..y.high, y.marks.clone()),
        )?;
    mesh(&mut chart, x, y)?;
    Ok(chart)
}

fn mesh(chart: &mut LogChart<'_, '_>, x: &Axis, y: &Axis) -> Draw {
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(palette::GRID)
        .axis_style(palette::TEXT)
        .x_desc(x.label.as_str())
        .y_desc(y.label.as_str())
        .x_label_formatter(&|v| (x.words)(10f64.powf(*v)))
        .y_label_formatter(&|v| (y.words)(10f64.powf(*v)))
        .label_style((FONT, 14).into_font().color(&palette::TEXT))
        .axis_desc_style((FONT, 15).into_font().color(&palette::TEXT))
        .draw()
}
