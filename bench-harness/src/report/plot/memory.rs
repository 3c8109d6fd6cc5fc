//! Counted bytes against the formula's.

use std::collections::BTreeMap;

use plotters::element::PathElement;
use plotters::prelude::*;

use super::axis::{Axis, chart};
use super::{Draw, GREY, Style, legend, legend_height, sign, style, svg};
use crate::record::{Approach, Dtype};
use crate::report::summary::Memory;
use crate::report::units;

const SIZE: (u32, u32) = (580, 460);

/// One point for each case that allocates, and a line where both are equal. `None` without a case.
///
/// # Errors
/// The plotting library fails.
pub fn memory(cases: &[Memory]) -> Result<Option<String>, String> {
    let mut points: BTreeMap<Approach, Vec<(f64, f64)>> = BTreeMap::new();
    for case in cases.iter().filter(|case| case.measured > 0 && case.predicted > 0) {
        let place = (case.predicted as f64, case.measured as f64);
        points.entry(case.case.approach).or_default().push(place);
    }
    if points.is_empty() {
        return Ok(None);
    }
    svg(SIZE, |root| {
        let look = |approach: Approach| style(approach, Dtype::F32);
        let entries: Vec<(Style, String)> = points
            .keys()
            .map(|approach| (look(*approach), units::approach(*approach).to_owned()))
            .collect();
        let height = legend_height(SIZE.0, &entries) + 4;
        let (body, below) = root.split_vertically(SIZE.1 as i32 - height);
        legend(&below, &entries)?;
        let all: Vec<f64> = points.values().flatten().flat_map(|(x, y)| [*x, *y]).collect();
        let words = |v: f64| units::bytes(v).replacen(".00", "", 1).replacen(".0 ", " ", 1);
        let x = Axis::powers("predicted", &all, 2.0, words).every_other();
        let y = Axis::powers("measured", &all, 2.0, words);
        let mut chart = chart(&body, "", &x, &y)?;
        let line = vec![(x.bottom(), x.bottom()), (x.top(), x.top())];
        chart.draw_series([PathElement::new(line, GREY.stroke_width(1))])?;
        for (approach, points) in &points {
            let style = look(*approach);
            let color = style.color.mix(0.8);
            let places = points.iter().map(|(x, y)| (x.log10(), y.log10()));
            chart.draw_series(places.map(|place| {
                EmptyElement::at(place) + Polygon::new(sign(style.marker), color.filled())
            }))?;
        }
        Draw::Ok(())
    })
    .map(Some)
}
