//! A spectral density: logarithmic density over the eigenvalue, the extremal eigenvalues as marks.

use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::element::{DashedPathElement, PathElement, Polygon};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::figure::{self, Draw, Figure, GRID, TEXT};
use super::log_axis::LogAxis;
use super::palette;
use super::style::FONT;
use crate::error::Error;

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 760;
const HEADER: i32 = 78;
const LEGEND: i32 = 52;
const CURVE: RGBColor = palette::BLUE;
const LARGEST: RGBColor = palette::VERMILION;
const SMALLEST: RGBColor = palette::GREEN;
const GREY: RGBColor = RGBColor(120, 120, 120);

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub struct SpectrumPlot<'a> {
    /// The headline.
    pub title: &'a str,
    /// A smaller line below it: sizes, probes, steps.
    pub subtitle: &'a str,
    /// The places of the density, ascending; at least two.
    pub grid: &'a [f64],
    /// The density at each, integrating to 1.
    pub density: &'a [f64],
    /// The density at the peak of a single eigenvalue: 1/(N σ √(2π)).
    pub single: f64,
    /// The largest eigenvalues; may be empty.
    pub largest: &'a [f64],
    /// The smallest eigenvalues; may be empty.
    pub smallest: &'a [f64],
}

/// Draws a density on a logarithmic axis, from a tenth of what a single eigenvalue contributes
/// upwards, with a dashed line at that contribution and a mark for every extremal eigenvalue.
/// Writes `stem.svg` and `stem.png` into `dir`, each file whole or not at all, and returns the
/// paths.
///
/// # Errors
/// Grid and density that differ in length or are too short; the folder cannot be written, or the
/// plotting library fails.
pub fn spectral_density(
    plot: &SpectrumPlot<'_>,
    dir: &Path,
    stem: &str,
) -> Result<Vec<PathBuf>, Error> {
    if plot.grid.len() != plot.density.len() || plot.grid.len() < 2 {
        let problem = format!("{} places, {} densities", plot.grid.len(), plot.density.len());
        return Err(Error::input("plot", "density", problem, "give two or more of both"));
    }
    figure::write(plot, dir, stem)
}

impl Figure for SpectrumPlot<'_> {
    const SIZE: (u32, u32) = (WIDTH, HEIGHT);

    fn draw<DB: DrawingBackend>(&self, root: &DrawingArea<DB, Shift>) -> Draw<DB> {
        root.fill(&WHITE)?;
        let (header, rest) = root.split_vertically(HEADER);
        let (body, legend) = rest.split_vertically(HEIGHT as i32 - HEADER - LEGEND);
        figure::heading(&header, WIDTH, (self.title, self.subtitle))?;
        self.chart(&body)?;
        self.legend(&legend)
    }
}

impl SpectrumPlot<'_> {
    fn chart<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Draw<DB> {
        let ((left, right), (floor, top)) = (self.x_range(), self.y_range());
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(32)
            .x_label_area_size(52)
            .y_label_area_size(92)
            .build_cartesian_2d(left..right, LogAxis::from(floor..top))?;
        let width = right - left;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(TEXT)
            .x_desc("eigenvalue")
            .y_desc("density")
            .x_labels(11)
            .y_labels(9)
            .x_label_formatter(&|v| place(*v, width))
            .y_label_formatter(&|v| power(*v))
            .label_style((FONT, 17).into_font().color(&TEXT))
            .axis_desc_style((FONT, 19).into_font().color(&TEXT))
            .draw()?;
        let points = self.grid.iter().zip(self.density);
        let points: Vec<(f64, f64)> =
            points.map(|(x, y)| (*x, if *y > floor { *y } else { floor })).collect();
        let mut area = points.clone();
        if let (Some(first), Some(last)) = (points.first(), points.last()) {
            area.extend([(last.0, floor), (first.0, floor)]);
        }
        chart.draw_series([Polygon::new(area, CURVE.mix(0.18).filled())])?;
        for piece in above(&points, floor) {
            chart.draw_series([PathElement::new(piece, CURVE.stroke_width(2))])?;
        }
        if floor < self.single && self.single < top {
            let line = [(left, self.single), (right, self.single)];
            chart.draw_series(DashedLineSeries::new(line, 6, 5, GREY.stroke_width(1)))?;
        }
        // marks stand on the axis: the largest point down to it, the smallest up
        for (values, color, up) in [(self.largest, LARGEST, 1), (self.smallest, SMALLEST, -1)] {
            let marks = values.iter().filter(|v| v.is_finite());
            chart.draw_series(
                marks.map(|v| EmptyElement::at((*v, floor)) + mark((0, -8), up, color)),
            )?;
        }
        Ok(())
    }

    fn legend<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Draw<DB> {
        let mut entries = vec![(CURVE, "all eigenvalues (quadrature)"), (GREY, "a single one")];
        if !self.largest.is_empty() {
            entries.push((LARGEST, "largest (Lanczos)"));
        }
        if !self.smallest.is_empty() {
            entries.push((SMALLEST, "smallest (Lanczos)"));
        }
        let (y, cell) = (LEGEND / 2 - 4, WIDTH as i32 / entries.len() as i32);
        for (i, (color, label)) in entries.into_iter().enumerate() {
            let width = 52 + 8 * label.len() as i32;
            let x = cell * i as i32 + (cell - width).max(0) / 2;
            let line = [(x, y), (x + 40, y)];
            match color {
                GREY => {
                    area.draw(&DashedPathElement::new(line, 6, 5, GREY.stroke_width(1)))?;
                }
                CURVE => {
                    let (low, high) = (y + 8, y - 8);
                    let band = vec![(x, low), (x, high), (x + 40, high), (x + 40, low)];
                    area.draw(&Polygon::new(band, CURVE.mix(0.18).filled()))?;
                    let edge = vec![(x, high), (x + 40, high)];
                    area.draw(&PathElement::new(edge, CURVE.stroke_width(2)))?;
                }
                color => {
                    let up = if color == LARGEST { 1 } else { -1 };
                    area.draw(&mark((x + 28, y), up, color))?;
                }
            }
            let font = (FONT, 18).into_font().color(&TEXT).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(label.to_string(), (x + 50, y), font))?;
        }
        Ok(())
    }

    /// The grid, widened to hold every mark.
    fn x_range(&self) -> (f64, f64) {
        let all = || {
            let marks = self.largest.iter().chain(self.smallest);
            self.grid.iter().chain(marks).copied().filter(|v| v.is_finite())
        };
        let (low, high) =
            (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
        if low < high { (low, high) } else { (low.min(0.0) - 1.0, high.max(0.0) + 1.0) }
    }

    /// From a tenth of a single eigenvalue's peak to twice the highest density.
    fn y_range(&self) -> (f64, f64) {
        let top = self.density.iter().copied().filter(|d| d.is_finite()).fold(0.0, f64::max);
        let top = if top > 0.0 { top } else { 1.0 };
        let usable = self.single.is_finite() && self.single > 0.0 && self.single < top;
        let floor = if usable { self.single / 10.0 } else { top / 1e4 };
        (floor, 2.0 * top)
    }
}

/// The parts of a line above the floor, each with its feet on it.
fn above(points: &[(f64, f64)], floor: f64) -> Vec<Vec<(f64, f64)>> {
    let mut pieces = Vec::new();
    let mut piece: Vec<(f64, f64)> = Vec::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        if y > floor {
            if piece.is_empty()
                && let Some(foot) = i.checked_sub(1).and_then(|i| points.get(i))
            {
                piece.push(*foot);
            }
            piece.push((x, y));
        } else if !piece.is_empty() {
            piece.push((x, y));
            pieces.push(std::mem::take(&mut piece));
        }
    }
    if piece.len() > 1 {
        pieces.push(piece);
    }
    pieces
}

/// A filled triangle around `at`, in pixels, pointing down (`up` = 1) or up (−1).
fn mark((x, y): (i32, i32), up: i32, color: RGBColor) -> Polygon<(i32, i32)> {
    let (wide, high) = (6, 7 * up);
    Polygon::new(vec![(x - wide, y - high), (x + wide, y - high), (x, y + high)], color.filled())
}

/// A number on an axis of this width.
fn place(v: f64, width: f64) -> String {
    if v.abs() < 1e-9 * width {
        return "0".to_string();
    }
    if (1e-2..1e5).contains(&width) {
        let digits = (2.0 - width.log10().floor()).clamp(0.0, 4.0) as usize;
        let text = format!("{v:.digits$}");
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
            false => text,
        }
    } else {
        format!("{v:.1e}")
    }
}

/// A number on a logarithmic axis.
fn power(v: f64) -> String {
    if (1e-2..1e4).contains(&v) { format!("{v}") } else { format!("{v:.0e}") }
}

#[cfg(test)]
mod tests {
    use super::{above, place, power};

    #[test]
    fn pieces_above_the_floor() {
        let points = [(0.0, 1.0), (1.0, 3.0), (2.0, 1.0), (3.0, 1.0), (4.0, 2.0)];
        let pieces = above(&points, 1.0);
        assert_eq!(pieces, [points[..3].to_vec(), points[3..].to_vec()]);
        assert!(above(&points[2..4], 1.0).is_empty());
    }

    #[test]
    fn labels_are_short() {
        assert_eq!((place(0.5, 10.0), place(12.0, 100.0)), ("0.5".into(), "12".into()));
        assert_eq!((place(1e-20, 1.0), place(2e-6, 1e-5)), ("0".into(), "2.0e-6".into()));
        assert_eq!(
            (power(1e-5), power(0.1), power(1e6)),
            ("1e-5".into(), "0.1".into(), "1e6".into())
        );
    }
}
