//! The share of the ceiling over the committed runs.

use plotters::element::PathElement;
use plotters::prelude::*;
use relfisher::plot::{FONT, palette};

use super::axis::Marked;
use super::{Draw, GREY, Marker, Style, legend, legend_height, sign, svg};
use crate::record::Dtype;
use crate::report::key::Key;
use crate::report::summary::Moment;
use crate::report::units;

const SIZE: (u32, u32) = (580, 300);

/// The most runs that have their names at the axis.
const NAMED: usize = 6;

/// A line for each case of one quantity, within a processor; colour by dtype, dashes for one thread.
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
        // between two processors
        for i in (1..runs.len()).filter(|i| runs[i - 1].cpu != runs[*i].cpu) {
            let x = i as f64 - 0.5;
            let line = vec![(x, 0.0), (x, most)];
            chart.draw_series(DashedLineSeries::new(line, 3, 3, GREY.stroke_width(1)))?;
        }
        for (case, shares) in cases {
            let style = look((case.dtype, case.threads));
            let stroke = style.color.stroke_width(2);
            for points in segments(runs, shares) {
                if style.dashed {
                    chart.draw_series(DashedLineSeries::new(points.clone(), 6, 4, stroke))?;
                } else {
                    chart.draw_series([PathElement::new(points.clone(), stroke)])?;
                }
                chart.draw_series(points.into_iter().map(|place| {
                    EmptyElement::at(place) + Polygon::new(sign(style.marker), style.color.filled())
                }))?;
            }
        }
        Draw::Ok(())
    })
}

/// The points that a line may join: those of one processor after the other.
fn segments(runs: &[Moment], shares: &[Option<f64>]) -> Vec<Vec<(f64, f64)>> {
    let mut all: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut before: Option<&str> = None;
    for (i, (run, share)) in runs.iter().zip(shares).enumerate() {
        if before != Some(run.cpu.as_str()) {
            all.push(Vec::new());
        }
        before = Some(&run.cpu);
        if let (Some(share), Some(points)) = (share, all.last_mut()) {
            points.push((i as f64, *share));
        }
    }
    all.retain(|points| !points.is_empty());
    all
}

/// A sign of its own for each: where no line joins them, points must still be told apart.
const fn look((dtype, threads): (Dtype, usize)) -> Style {
    let alone = threads == 1;
    let (color, marker) = match (dtype, alone) {
        (Dtype::F32, true) => (palette::BLUE, Marker::Triangle),
        (Dtype::F32, false) => (palette::BLUE, Marker::Circle),
        (Dtype::F64, true) => (palette::ORANGE, Marker::Diamond),
        (Dtype::F64, false) => (palette::ORANGE, Marker::Square),
    };
    Style { color, marker, dashed: alone }
}

#[cfg(test)]
mod tests {
    use super::segments;
    use crate::report::summary::Moment;

    #[test]
    fn a_line_ends_with_its_processor() {
        let run = |cpu: &str| Moment {
            file: String::new(),
            unix_seconds: 0,
            commit: String::new(),
            cpu: cpu.into(),
        };
        let runs = ["a", "a", "b", "a", "a"].map(run);
        let shares = [Some(0.1), Some(0.2), Some(0.3), None, Some(0.5)];
        let got = segments(&runs, &shares);
        assert_eq!(got, [vec![(0.0, 0.1), (1.0, 0.2)], vec![(2.0, 0.3)], vec![(4.0, 0.5)]]);
    }
}
