//! Accuracy and memory against the share of the gradient that is kept.

use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::element::{DashedPathElement, PathElement};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axes::short;
use super::figure::{self, Draw, Figure, GRID, TEXT};
use super::log_axis::LogAxis;
use super::style::FONT;
use crate::error::Error;

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 1000;
const LEGEND: i32 = 56;
const GREY: RGBColor = RGBColor(120, 120, 120);
/// Okabe and Ito (2008); one for each moment of training.
const COLORS: [RGBColor; 6] = [
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(0, 114, 178),
    RGBColor(204, 121, 167),
    RGBColor(0, 0, 0),
];

/// A network: its row of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct FractionPanel {
    /// Its name and size.
    pub title: String,
    /// The bytes of all gradients without selection.
    pub dense_bytes: f64,
    /// A curve for each moment of its training.
    pub curves: Vec<FractionCurve>,
}

/// A moment of training, by fraction in (0, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct FractionCurve {
    /// Its name.
    pub label: String,
    /// The accuracy of the network itself.
    pub original: f64,
    /// The accuracy of a linear classifier.
    pub linear: Vec<(f64, f64)>,
    /// The accuracy of a small network.
    pub small_network: Vec<(f64, f64)>,
    /// The bytes of the rows.
    pub bytes: Vec<(f64, f64)>,
}

/// Draws a row for each of `panels`: accuracy (solid: linear, dashed: small network, thin: the network
/// itself) and memory (dashed: all gradients, dense) against the fraction. Writes `stem.svg` and
/// `stem.png` into `dir`, each file whole or not at all, and returns the paths.
///
/// # Errors
/// The folder cannot be written, or the plotting library fails.
pub fn fraction_curves(
    panels: &[FractionPanel],
    dir: &Path,
    stem: &str,
) -> Result<Vec<PathBuf>, Error> {
    figure::write(&Fractions { panels }, dir, stem)
}

struct Fractions<'a> {
    panels: &'a [FractionPanel],
}

impl Figure for Fractions<'_> {
    const SIZE: (u32, u32) = (WIDTH, HEIGHT);

    fn draw<DB: DrawingBackend>(&self, root: &DrawingArea<DB, Shift>) -> Draw<DB> {
        root.fill(&WHITE)?;
        let (body, legend) = root.split_vertically(HEIGHT as i32 - LEGEND);
        let rows = body.split_evenly((self.panels.len().max(1), 1));
        for (panel, area) in self.panels.iter().zip(&rows) {
            let (left, right) = area.split_horizontally(WIDTH as i32 * 3 / 5);
            panel.accuracy(&left, self.left())?;
            panel.memory(&right, self.left())?;
        }
        kinds(&legend)
    }
}

impl Fractions<'_> {
    /// A little below the smallest fraction.
    fn left(&self) -> f64 {
        let all = self.panels.iter().flat_map(|p| &p.curves).flat_map(|c| &c.linear);
        let least = all.map(|(q, _)| *q).filter(|q| *q > 0.0).fold(1.0, f64::min);
        least.min(0.5) * 0.8
    }
}

impl FractionPanel {
    fn accuracy<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, left: f64) -> Draw<DB> {
        let (low, high) = self.range();
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(48)
            .y_label_area_size(76)
            .caption(&self.title, (FONT, 22).into_font().color(&TEXT))
            .build_cartesian_2d(LogAxis::from(left..1.25), low..high)?;
        mesh(&mut chart, "test accuracy", &|v| format!("{v:.2}"))?;
        for (curve, color) in self.curves.iter().zip(COLORS.iter().cycle()) {
            let line = vec![(left, curve.original), (1.25, curve.original)];
            chart.draw_series([PathElement::new(line, color.mix(0.45).stroke_width(1))])?;
            let points = curve.linear.clone();
            chart.draw_series([PathElement::new(points, color.stroke_width(2))])?;
            let points = curve.small_network.clone();
            chart.draw_series(DashedLineSeries::new(points, 8, 5, color.stroke_width(2)))?;
            let dots = curve.linear.iter().map(|p| Circle::new(*p, 4, color.filled()));
            chart.draw_series(dots)?;
        }
        Ok(())
    }

    fn memory<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, left: f64) -> Draw<DB> {
        let all = || self.curves.iter().flat_map(|c| &c.bytes).map(|(_, b)| *b);
        let least = all().filter(|b| *b > 0.0).fold(self.dense_bytes.max(1.0), f64::min);
        let mib = f64::from(1 << 20);
        let range = (least / mib / 2.0)..(self.dense_bytes.max(1.0) / mib * 2.0);
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .margin_right(24)
            .x_label_area_size(48)
            .y_label_area_size(84)
            .caption("Memory of all rows", (FONT, 22).into_font().color(&TEXT))
            .build_cartesian_2d(LogAxis::from(left..1.25), LogAxis::from(range))?;
        mesh(&mut chart, "MiB", &|v| short(*v))?;
        let line = [(left, self.dense_bytes / mib), (1.25, self.dense_bytes / mib)];
        chart.draw_series(DashedLineSeries::new(line, 6, 5, GREY.stroke_width(2)))?;
        let font = (FONT, 16).into_font().color(&GREY).pos(Pos::new(HPos::Left, VPos::Top));
        let text = Text::new("dense", (6, 4), font);
        chart.draw_series([EmptyElement::at(line[0]) + text])?;
        for (i, curve) in self.curves.iter().enumerate() {
            let color = COLORS[i % COLORS.len()];
            let points: Vec<(f64, f64)> = curve.bytes.iter().map(|(q, b)| (*q, b / mib)).collect();
            chart.draw_series([PathElement::new(points.clone(), color.stroke_width(2))])?;
            chart.draw_series(points.into_iter().map(|p| Circle::new(p, 4, color.filled())))?;
            // The names stand at the lower right, where no curve comes.
            let (width, height) = area.dim_in_pixel();
            let y = height as i32 - 92 - 22 * (self.curves.len() - 1 - i) as i32;
            let x = width as i32 - 230;
            area.draw(&PathElement::new(vec![(x, y), (x + 26, y)], color.stroke_width(3)))?;
            let font = (FONT, 16).into_font().color(&TEXT);
            let font = font.pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(curve.label.clone(), (x + 34, y), font))?;
        }
        Ok(())
    }

    /// From the lowest accuracy to the highest, with a margin.
    fn range(&self) -> (f64, f64) {
        let of = |c: &FractionCurve| {
            let points = c.linear.iter().chain(&c.small_network).map(|(_, a)| *a);
            points.chain([c.original]).collect::<Vec<f64>>()
        };
        let all: Vec<f64> = self.curves.iter().flat_map(of).filter(|a| a.is_finite()).collect();
        let low = all.iter().copied().fold(1.0, f64::min);
        let high = all.iter().copied().fold(0.0, f64::max);
        let pad = 0.05 * (high - low).max(0.02);
        ((low - pad).max(0.0), (high + pad).min(1.0).max(low + pad))
    }
}

fn mesh<DB, Y>(
    chart: &mut ChartContext<'_, DB, Cartesian2d<LogAxis, Y>>,
    what: &str,
    format: &dyn Fn(&f64) -> String,
) -> Draw<DB>
where
    DB: DrawingBackend,
    Y: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(TEXT)
        .x_desc("share of each layer's gradient that is kept")
        .y_desc(what)
        .x_labels(6)
        .y_labels(9)
        .x_label_formatter(&|q| format!("{}%", (q * 1e4).round() / 100.0))
        .y_label_formatter(&|v| format(v))
        .label_style((FONT, 17).into_font().color(&TEXT))
        .axis_desc_style((FONT, 19).into_font().color(&TEXT))
        .draw()
}

/// What solid, dashed and thin lines are.
fn kinds<DB: DrawingBackend>(area: &DrawingArea<DB, Shift>) -> Draw<DB> {
    let y = LEGEND / 2;
    let names = ["linear classifier", "small network", "the network itself"];
    for (i, name) in names.into_iter().enumerate() {
        let x = 60 + 400 * i as i32;
        let line = [(x, y), (x + 50, y)];
        match i {
            0 => area.draw(&PathElement::new(line.to_vec(), TEXT.stroke_width(2)))?,
            1 => area.draw(&DashedPathElement::new(line, 8, 5, TEXT.stroke_width(2)))?,
            _ => area.draw(&PathElement::new(line.to_vec(), TEXT.mix(0.45).stroke_width(1)))?,
        }
        let font = (FONT, 18).into_font().color(&TEXT).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(name, (x + 60, y), font))?;
    }
    Ok(())
}
