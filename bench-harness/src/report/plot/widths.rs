//! Time or memory against width: structured against dense, and where the dense matrix has no place.

use std::collections::{BTreeMap, BTreeSet};

use plotters::element::{Cross, PathElement};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use relfisher::plot::{FONT, palette};

use super::axis::{Axis, LogChart, chart};
use super::{Area, Draw, GREY, Style, font, legend, legend_height, sign, style, svg};
use crate::record::{Approach, Dtype, Outcome, Row};
use crate::report::summary::Pair;
use crate::report::{key, units};

const SIZE: (u32, u32) = (580, 470);

/// Below the top of the picture, where the crosses of missing times stand.
const CROSS: f64 = 10.0;

/// Pixels of a letter of the words at a cross, and between cross and words.
const LETTER: f64 = 6.9;
const AWAY: f64 = 9.0;

/// Pixels of a picture that are not between its axes: title, margins, marks.
const FRAME: f64 = 84.0;

/// Points are as near to a cross as this part of the horizontal axis.
const BESIDE: f64 = 0.06;

/// What the vertical axis shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// The least seconds of a call.
    Time,
    /// Its counted bytes.
    Memory,
}

/// A row that has no time: where, its needed bytes, and the words to it.
struct Missing {
    x: usize,
    bytes: Option<f64>,
    words: String,
    color: RGBColor,
}

/// Draws one picture of a pair; `memory` is the machine's.
///
/// # Errors
/// The plotting library fails.
pub fn widths(pair: &Pair, quantity: Quantity, memory: u64) -> Result<String, String> {
    svg(SIZE, |root| draw(root, pair, quantity, memory as f64))
}

fn draw(root: &Area<'_>, pair: &Pair, quantity: Quantity, memory: f64) -> Draw {
    let series = series(pair, quantity);
    let mut missing = missing(pair);
    if quantity == Quantity::Memory {
        // older records do not say what a call that was too slow would hold
        missing.retain(|missing| missing.bytes.is_some());
    }
    let entries: Vec<(Style, String)> = series
        .keys()
        .map(|(approach, dtype)| {
            let words = format!("{} {}", units::approach(*approach), units::dtype(*dtype));
            (style(*approach, *dtype), words)
        })
        .collect();
    let (body, below) = root.split_vertically(SIZE.1 as i32 - legend_height(SIZE.0, &entries) - 4);
    legend(&below, &entries)?;

    let mut values: Vec<f64> = series.values().flatten().map(|(_, y)| *y).collect();
    let sizes: Vec<f64> = pair.rows.iter().map(|row| row.x as f64).collect();
    let (title, y) = match quantity {
        Quantity::Time => ("time", Axis::powers("", &values, 10.0, words_of_seconds)),
        Quantity::Memory => {
            values.extend(missing.iter().filter_map(|missing| missing.bytes));
            ("memory", Axis::powers("", &values, 2.0, words_of_bytes))
        }
    };
    let x = Axis::sizes(&pair.axis, &sizes);
    let inside = f64::from(SIZE.1) - f64::from(legend_height(SIZE.0, &entries)) - FRAME;
    let room = match quantity {
        Quantity::Time => room(&missing, series.values().flatten(), (&x, &y), inside),
        Quantity::Memory if missing.is_empty() => 0.0,
        Quantity::Memory => 0.05,
    };
    let y = y.raised(room);
    let mut chart = chart(&body, title, &x, &y)?;
    if quantity == Quantity::Memory && (y.bottom()..y.top()).contains(&memory.log10()) {
        limit(&mut chart, &x, memory)?;
    }
    // Words stand behind the points: they may not hide one.
    marks(&mut chart, quantity, &missing, &y)?;
    for ((approach, dtype), points) in &series {
        curve(&mut chart, style(*approach, *dtype), points)?;
    }
    Ok(())
}

/// By which part the axis must rise for the words at the top to end above the points beside them.
fn room<'a>(
    missing: &[Missing],
    points: impl Iterator<Item = &'a (f64, f64)> + Clone,
    (x, y): (&Axis, &Axis),
    pixels: f64,
) -> f64 {
    let (length, wide) = (y.top() - y.bottom(), BESIDE * (x.top() - x.bottom()));
    let needed = |missing: &Missing| {
        let at = (missing.x as f64).log10();
        let beside = points.clone().filter(|(x, _)| (x.log10() - at).abs() <= wide);
        let highest = beside.map(|(_, y)| y.log10()).fold(y.bottom(), f64::max);
        let words = CROSS + 2.0 * AWAY + LETTER * missing.words.chars().count() as f64;
        let part = (words / pixels).min(0.7);
        (part - (y.top() - highest) / length) / (1.0 - part)
    };
    missing.iter().map(needed).fold(0.0, f64::max)
}

/// The points of each approach and dtype, ascending in size.
fn series(pair: &Pair, quantity: Quantity) -> BTreeMap<(Approach, Dtype), Vec<(f64, f64)>> {
    let mut series: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in &pair.rows {
        let Some(measured) = key::measured(row) else { continue };
        let value = match quantity {
            Quantity::Time => measured.seconds,
            Quantity::Memory => measured.peak_bytes as f64,
        };
        // A call that allocates nothing has no place on a logarithmic axis.
        if value > 0.0 && row.x > 0 {
            series.entry((row.approach, row.dtype)).or_default().push((row.x as f64, value));
        }
    }
    series
}

/// One entry for each size that an approach has no time for.
fn missing(pair: &Pair) -> Vec<Missing> {
    let gaps: BTreeSet<(usize, Approach)> = pair
        .rows
        .iter()
        .filter(|row| key::measured(row).is_none() && row.x > 0)
        .map(|row| (row.x, row.approach))
        .collect();
    gaps.into_iter().filter_map(|(x, approach)| describe(pair, x, approach)).collect()
}

/// One number for all dtypes: the least that would be needed; the table beside has them all.
fn describe(pair: &Pair, x: usize, approach: Approach) -> Option<Missing> {
    let rows: Vec<&Row> =
        pair.rows.iter().filter(|row| row.x == x && row.approach == approach).collect();
    let without = rows.iter().filter(|row| key::measured(row).is_none());
    let needs = |row: &&&Row| match row.outcome {
        Outcome::DoesNotFit { bytes } => (1, bytes as f64),
        Outcome::TooSlow { seconds, .. } => (0, seconds),
        Outcome::Measured(_) => (2, 0.0),
    };
    let least = without.min_by(|a, b| {
        let (a, b) = (needs(a), needs(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    })?;
    let words = units::refusal(&least.outcome)?;
    let bytes = match least.outcome {
        Outcome::DoesNotFit { bytes } => Some(bytes as f64),
        Outcome::TooSlow { bytes, .. } => bytes.map(|bytes| bytes as f64),
        Outcome::Measured(_) => None,
    };
    // Where another dtype was measured, the words say which was not.
    let measured = rows.iter().any(|row| key::measured(row).is_some());
    let words = if measured { format!("{} {words}", units::dtype(least.dtype)) } else { words };
    Some(Missing { x, bytes, words, color: style(approach, Dtype::F32).color })
}

/// A thin line at the memory of the machine.
fn limit(chart: &mut LogChart<'_, '_>, x: &Axis, memory: f64) -> Draw {
    let y = memory.log10();
    let line = vec![(x.bottom(), y), (x.top(), y)];
    chart.draw_series([PathElement::new(line, GREY.stroke_width(1))])?;
    let words = format!("the machine's memory, {}", units::bytes(memory));
    let text = Text::new(words, (6, -4), font(13, &GREY, HPos::Left, VPos::Bottom));
    chart.draw_series([EmptyElement::at((x.bottom(), y)) + text])?;
    Ok(())
}

fn curve(chart: &mut LogChart<'_, '_>, style: Style, points: &[(f64, f64)]) -> Draw {
    let points: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.log10(), y.log10())).collect();
    let stroke = style.color.stroke_width(2);
    if style.dashed {
        chart.draw_series(DashedLineSeries::new(points.clone(), 6, 4, stroke))?;
    } else {
        chart.draw_series([PathElement::new(points.clone(), stroke)])?;
    }
    let signs = points.into_iter();
    chart.draw_series(signs.map(|point| {
        EmptyElement::at(point) + Polygon::new(sign(style.marker), style.color.filled())
    }))?;
    Ok(())
}

/// A cross for each missing time, at the needed bytes or at the top, with its words upright on the
/// side that has room.
fn marks(
    chart: &mut LogChart<'_, '_>,
    quantity: Quantity,
    missing: &[Missing],
    axis: &Axis,
) -> Draw {
    let middle = f64::midpoint(axis.bottom(), axis.top());
    for Missing { x, bytes, words, color } in missing {
        let at_bytes = bytes.filter(|_| quantity == Quantity::Memory);
        let (y, below) = at_bytes.map_or((axis.top(), CROSS as i32), |bytes| (bytes.log10(), 0));
        let away = AWAY as i32;
        let (side, away) = if y < middle { (HPos::Left, -away) } else { (HPos::Right, away) };
        let upright = (FONT, 13).into_font().transform(FontTransform::Rotate270);
        let style = upright.color(&palette::TEXT).pos(Pos::new(side, VPos::Center));
        let text = Text::new(words.clone(), (0, below + away), style);
        let cross = Cross::new((0, below), 5, color.stroke_width(2));
        chart.draw_series([EmptyElement::at(((*x as f64).log10(), y)) + cross + text])?;
    }
    Ok(())
}

fn words_of_seconds(value: f64) -> String {
    let text = units::seconds(value);
    short(&text)
}

fn words_of_bytes(value: f64) -> String {
    short(&units::bytes(value))
}

/// `1.00 ms` as `1 ms`: a mark is a round number.
fn short(text: &str) -> String {
    text.replacen(".00", "", 1).replacen(".0 ", " ", 1)
}

#[cfg(test)]
mod tests {
    use super::{words_of_bytes, words_of_seconds};

    #[test]
    fn marks_are_round() {
        assert_eq!(
            [1e-3, 1e-5, 2e-4, 1.0].map(words_of_seconds),
            ["1 ms", "10 µs", "200 µs", "1 s"]
        );
        assert_eq!(
            [1024.0, 65536.0, 2147483648.0].map(words_of_bytes),
            ["1 KiB", "64 KiB", "2 GiB"]
        );
    }
}
