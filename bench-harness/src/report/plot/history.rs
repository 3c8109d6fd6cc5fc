//! The share of the ceiling over the committed runs.

use plotters::element::PathElement;
use plotters::prelude::*;
use relfisher::plot::{FONT, palette};

use super::axis::Marked;
use super::{Draw, Marker, Style, legend, legend_height, sign, svg};
use crate::record::Dtype;
use crate::report::key::Key;
use crate::report::summary::Moment;
use crate::report::units;

const SIZE: (u32, u32) = (580, 300);

/// The most runs that have their names at the axis.
const NAMED: usize = 6;

/// A line for each case of one quantity; colour by dtype, dashes for one thread.
///
/// # Errors
/// The plotting library fails.
pub fn history(
    title: &str,
    runs: &[Moment],
    cases: &[&(Key, Vec<Option<f64>>)],
) -> Result<String, String> {
    svg(SIZE, |root| {
        let mut kinds: Vec<(Dtype, usize)> =
            cases.iter().map(|(case, _)| (case.dtype, case.threads)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let words = |(dtype, threads): (Dtype, usize)| {
            format!("{}, {}", units::dtype(dtype), units::threads(threads))
        };
        let entries: Vec<(Style, String)> =
            kinds.into_iter().map(|kind| (look(kind), words(kind))).collect();
        let height = legend_height(SIZE.0, &entries) + 4;
        let (body, below) = root.split_vertically(SIZE.1 as i32 - height);
        legend(&below, &entries)?;

        let values = cases.iter().flat_map(|(_, shares)| shares.iter().flatten());
        let most = values.copied().fold(1.0, f64::max) * 1.05;
        let last = runs.len().saturating_sub(1) as f64;
        let every = runs.len().div_ceil(NAMED).max(1);
        // Counted from the newest, which always has its name.
        let named = (0..runs.len()).filter(|i| (runs.len() - 1 - i).is_multiple_of(every));
        let named: Vec<f64> = named.map(|i| i as f64).collect();
        let fifths: Vec<f64> =
            (0..).map(|i| f64::from(i) / 5.0).take_while(|v| *v < most).collect();
        let mut chart = ChartBuilder::on(&body)
            .margin(6)
            .margin_right(24)
            .x_label_area_size(34)
            .y_label_area_size(58)
            .caption(title, (FONT, 17).into_font().color(&palette::TEXT))
            .build_cartesian_2d(
                Marked::new(-0.15..last + 0.15, named),
                Marked::new(0.0..most, fifths),
            )?;
        let label = |at: &f64| {
            let run = runs.get(at.round() as usize);
            run.map_or_else(String::new, |run| {
                let commit: String = run.commit.chars().take(7).collect();
                format!("{} {commit}", &units::day(run.unix_seconds)[5..])
            })
        };
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(palette::GRID)
            .axis_style(palette::TEXT)
            .x_label_formatter(&label)
            .y_label_formatter(&|v| units::percent(*v))
            .label_style((FONT, 13).into_font().color(&palette::TEXT))
            .draw()?;
        for (case, shares) in cases {
            let style = look((case.dtype, case.threads));
            let points = shares.iter().enumerate();
            let points: Vec<(f64, f64)> =
                points.filter_map(|(i, share)| Some((i as f64, (*share)?))).collect();
            let stroke = style.color.stroke_width(2);
            if style.dashed {
                chart.draw_series(DashedLineSeries::new(points.clone(), 6, 4, stroke))?;
            } else {
                chart.draw_series([PathElement::new(points.clone(), stroke)])?;
            }
            chart.draw_series(points.into_iter().map(|place| {
                EmptyElement::at(place) + Polygon::new(sign(style.marker), style.color.filled())
            }))?;
        }
        Draw::Ok(())
    })
}

const fn look((dtype, threads): (Dtype, usize)) -> Style {
    let (color, marker) = match dtype {
        Dtype::F32 => (palette::BLUE, Marker::Circle),
        Dtype::F64 => (palette::ORANGE, Marker::Square),
    };
    Style { color, marker, dashed: threads == 1 }
}
