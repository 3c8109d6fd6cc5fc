//! Lines over an axis: several series, some points marked.

use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::element::{DashedPathElement, PathElement};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axes::{Chart, Scale, draw_chart, short, visible};
use super::figure::{self, Draw, Figure, GRID, TEXT};
use super::style::FONT;
use crate::error::Error;

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 760;
const HEADER: i32 = 78;
const LEGEND: i32 = 52;

/// Okabe and Ito's colours (2008) and dashes (drawn, skipped; 0 skipped: solid).
const STROKES: [(RGBColor, (u32, u32)); 7] = [
    (RGBColor(0, 114, 178), (1, 0)),
    (RGBColor(213, 94, 0), (10, 4)),
    (RGBColor(0, 158, 115), (3, 3)),
    (RGBColor(230, 159, 0), (14, 3)),
    (RGBColor(204, 121, 167), (6, 3)),
    (RGBColor(86, 180, 233), (1, 0)),
    (RGBColor(0, 0, 0), (3, 6)),
];

/// An axis.
#[derive(Clone, Copy, Debug)]
pub struct LineAxis<'a> {
    /// What it shows.
    pub label: &'a str,
    /// How it counts.
    pub scale: Scale,
    /// The smallest and the largest value to show; `None`: those of the points, with a margin.
    pub range: Option<(f64, f64)>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name in the legend.
    pub label: String,
    /// Its points from left to right; those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// The points that get a dot.
    pub dots: Vec<(f64, f64)>,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub struct LinePlot<'a> {
    /// The headline.
    pub title: &'a str,
    /// A smaller line below it.
    pub subtitle: &'a str,
    /// The horizontal axis.
    pub x: LineAxis<'a>,
    /// The vertical axis.
    pub y: LineAxis<'a>,
    /// The lines.
    pub series: &'a [Series],
}

/// Draws `plot` as `stem.svg` and `stem.png` into `dir`, each file whole or not at all. The paths.
///
/// # Errors
/// No point that could be drawn; the folder cannot be written, or the plotting library fails.
pub fn lines(plot: &LinePlot<'_>, dir: &Path, stem: &str) -> Result<Vec<PathBuf>, Error> {
    if !plot.series.iter().any(|series| plot.visible(&series.points).next().is_some()) {
        return Err(Error::input("plot", "", "no point can be drawn", "give finite points"));
    }
    figure::write(plot, dir, stem)
}

impl Figure for LinePlot<'_> {
    const SIZE: (u32, u32) = (WIDTH, HEIGHT);

    fn draw<DB: DrawingBackend>(&self, root: &DrawingArea<DB, Shift>) -> Draw<DB> {
        root.fill(&WHITE)?;
        let (header, rest) = root.split_vertically(HEADER);
        let (body, legend) = rest.split_vertically(HEIGHT as i32 - HEADER - LEGEND);
        figure::heading(&header, WIDTH, (self.title, self.subtitle))?;
        let mut builder = ChartBuilder::on(&body);
        builder.margin(6).margin_right(32).x_label_area_size(52).y_label_area_size(104);
        let axes = ((self.range(true), self.x.scale), (self.range(false), self.y.scale));
        draw_chart(&mut builder, axes, self)?;
        self.legend(&legend)
    }
}

impl LinePlot<'_> {
    /// The points that the axes can show.
    fn visible(&self, points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
        let scales = (self.x.scale, self.y.scale);
        points.iter().copied().filter(move |p| visible(*p, scales))
    }

    fn range(&self, horizontal: bool) -> (f64, f64) {
        let (axis, pad) = if horizontal { (self.x, 0.0) } else { (self.y, 0.05) };
        let all = self.series.iter().flat_map(|series| self.visible(&series.points));
        let values = all.map(|p| if horizontal { p.0 } else { p.1 });
        axis.range.unwrap_or_else(|| axis.scale.range(values, pad))
    }

    fn legend<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Draw<DB> {
        let (y, cell) = (LEGEND / 2 - 4, WIDTH as i32 / self.series.len().max(1) as i32);
        let strokes = STROKES.into_iter().cycle();
        for (i, (series, (color, dash))) in self.series.iter().zip(strokes).enumerate() {
            let width = 62 + 9 * series.label.len() as i32;
            let x = cell * i as i32 + (cell - width).max(0) / 2;
            let (line, stroke) = ([(x, y), (x + 50, y)], color.stroke_width(2));
            if dash.1 == 0 {
                area.draw(&PathElement::new(line.to_vec(), stroke))?;
            } else {
                area.draw(&DashedPathElement::new(line, dash.0, dash.1, stroke))?;
            }
            let font = (FONT, 18).into_font().color(&TEXT).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(series.label.clone(), (x + 60, y), font))?;
        }
        Ok(())
    }
}

impl Chart for LinePlot<'_> {
    fn draw<'a, DB, X, Y>(&self, chart: &mut ChartContext<'a, DB, Cartesian2d<X, Y>>) -> Draw<DB>
    where
        DB: DrawingBackend + 'a,
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(TEXT)
            .x_desc(self.x.label)
            .y_desc(self.y.label)
            .x_labels(11)
            .y_labels(9)
            .x_label_formatter(&|v| short(*v))
            .y_label_formatter(&|v| short(*v))
            .label_style((FONT, 17).into_font().color(&TEXT))
            .axis_desc_style((FONT, 19).into_font().color(&TEXT))
            .draw()?;
        let ((left, right), (low, high)) = (self.range(true), self.range(false));
        let inside = |p: &(f64, f64)| (left..=right).contains(&p.0) && (low..=high).contains(&p.1);
        for (series, (color, dash)) in self.series.iter().zip(STROKES.into_iter().cycle()) {
            // What leaves the picture is cut off with the segment that leaves it.
            let points: Vec<(f64, f64)> = self.visible(&series.points).collect();
            for piece in points.split(|p| !inside(p)).filter(|piece| piece.len() > 1) {
                let (piece, stroke) = (piece.to_vec(), color.stroke_width(2));
                if dash.1 == 0 {
                    chart.draw_series([PathElement::new(piece, stroke)])?;
                } else {
                    chart.draw_series(DashedLineSeries::new(piece, dash.0, dash.1, stroke))?;
                }
            }
            let dots: Vec<(f64, f64)> = self.visible(&series.dots).filter(|p| inside(p)).collect();
            chart.draw_series(dots.into_iter().map(|p| Circle::new(p, 5, color.filled())))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Axes within one power of ten, as those of runs of some milliseconds.
    #[test]
    fn short_logarithmic_axes_have_numbers() -> Result<(), Error> {
        let series = [Series {
            label: "one".to_owned(),
            points: vec![(0.0021, 0.31), (0.0064, 0.42), (0.0088, 0.47)],
            dots: Vec::new(),
        }];
        let axis = |label| LineAxis { label, scale: Scale::Logarithmic, range: None };
        let plot = LinePlot {
            title: "title",
            subtitle: "subtitle",
            x: axis("seconds"),
            y: axis("loss"),
            series: &series,
        };
        let dir = std::env::temp_dir().join(format!("relfisher-lines-{}", std::process::id()));
        std::fs::create_dir_all(&dir).map_err(|e| Error::io(&dir, "create", &e))?;
        let files = lines(&plot, &dir, "short")?;
        let svg = std::fs::read_to_string(&files[0]).map_err(|e| Error::io(&dir, "read", &e))?;
        let numbers: Vec<f64> =
            svg.lines().filter_map(|line| line.trim().parse::<f64>().ok()).collect();
        let within =
            |low: f64, high: f64| numbers.iter().filter(|x| (low..high).contains(x)).count();
        assert!(within(0.0021, 0.009) >= 2 && within(0.3, 0.5) >= 2, "{numbers:?}");
        std::fs::remove_dir_all(&dir).map_err(|e| Error::io(&dir, "remove", &e))
    }
}
