//! Panels of lines over steps: statistics of mini-batches, shares, overlaps, errors.

use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::element::PathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axes::{Chart, Scale, draw_chart, short, visible};
use super::figure::{self, Draw, Figure, GRID, TEXT};
use super::style::FONT;
use crate::diagnostics::{StepRecord, smooth_noise_scales};
use crate::error::Error;

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 960;
const HEADER: i32 = 44;

/// Colours of the lines of a panel (Okabe and Ito, 2008).
static COLORS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
    RGBColor(0, 0, 0),
];

/// A line of a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its name in the legend.
    pub label: String,
    /// Its points; a point that is not finite interrupts it.
    pub points: Vec<(f64, f64)>,
}

/// One chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// The headline.
    pub title: String,
    /// The vertical axis.
    pub scale: Scale,
    /// The lines; more than eight share colours and have no legend.
    pub lines: Vec<Line>,
}

/// A picture of panels that share the horizontal axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Panels {
    /// The headline of all.
    pub title: String,
    /// The label of the horizontal axis.
    pub x: &'static str,
    /// The horizontal axis.
    pub x_scale: Scale,
    /// The charts: one alone, or rows of two.
    pub panels: Vec<Panel>,
}

/// Draws the panels and writes `stem.svg` and `stem.png` into `dir`, each file whole or not at all.
/// The paths.
///
/// # Errors
/// The folder cannot be written, or the plotting library fails.
pub fn line_panels(panels: &Panels, dir: &Path, stem: &str) -> Result<Vec<PathBuf>, Error> {
    figure::write(panels, dir, stem)
}

/// The most points of a curve of mini-batches.
const BINS: usize = 300;

/// Points from which on lines are thin: thick ones overshoot where they turn sharply.
const MANY: usize = 100;

/// Consecutive mini-batches, as means.
struct Bin<'a>(&'a [StepRecord]);

impl Bin<'_> {
    fn step(&self) -> f64 {
        self.mean(|row| row.step as f64)
    }

    /// The mean of the finite values.
    fn mean(&self, of: fn(&StepRecord) -> f64) -> f64 {
        let known = self.0.iter().map(of).filter(|x| x.is_finite());
        let (count, sum) = known.fold((0.0, 0.0), |(count, sum), x| (count + 1.0, sum + x));
        sum / count
    }

    /// tr Σ/|G|² from the means of both.
    fn noise_scale(&self) -> f64 {
        self.mean(|row| row.variance) / self.mean(|row| row.signal)
    }
}

/// Draws the statistics of the mini-batches of a run: lengths of gradients, noise scale,
/// signal-to-noise, alignment; where there are more than 300, means over equal numbers of them.
///
/// # Errors
/// As [`line_panels`].
pub fn diagnostic_curves(
    rows: &[StepRecord],
    run: &str,
    dir: &Path,
    stem: &str,
) -> Result<Vec<PathBuf>, Error> {
    let width = rows.len().div_ceil(BINS).max(1);
    let line = |label: &str, of: &dyn Fn(&Bin<'_>) -> f64| Line {
        label: label.to_owned(),
        points: rows.chunks(width).map(Bin).map(|bin| (bin.step(), of(&bin))).collect(),
    };
    let smooth = smooth_noise_scales(rows);
    let smooth = rows.iter().zip(smooth).map(|(row, y)| (row.step as f64, y));
    let smooth = smooth.skip(width - 1).step_by(width);
    let panel = |title: &str, scale: Scale, lines: Vec<Line>| Panel {
        title: title.to_owned(),
        scale,
        lines,
    };
    let panels = Panels {
        title: format!("Mini-batches of {run}"),
        x: "step",
        x_scale: Scale::Linear,
        panels: vec![
            panel(
                "Length of the gradient",
                Scale::Logarithmic,
                vec![
                    line("mini-batch", &|bin| bin.mean(|row| row.gradient_norm)),
                    line("one sample", &|bin| bin.mean(|row| row.sample_norm)),
                    line("root of the variance", &|bin| bin.mean(|row| row.variance).sqrt()),
                ],
            ),
            panel(
                "Noise scale, samples",
                Scale::Logarithmic,
                vec![
                    line("here", &|bin| bin.noise_scale()),
                    Line { label: "smoothed".to_owned(), points: smooth.collect() },
                ],
            ),
            panel(
                "Signal-to-noise of a mini-batch",
                Scale::Logarithmic,
                vec![line("snr", &|bin| bin.mean(|row| row.samples as f64) / bin.noise_scale())],
            ),
            panel(
                "Cosines",
                Scale::Linear,
                vec![
                    line("samples with their mean", &|bin| bin.mean(|row| row.alignment)),
                    line("with the mini-batch before", &|bin| bin.mean(|row| row.consecutive)),
                ],
            ),
        ],
    };
    line_panels(&panels, dir, stem)
}

impl Figure for Panels {
    const SIZE: (u32, u32) = (WIDTH, HEIGHT);

    fn draw<DB: DrawingBackend>(&self, root: &DrawingArea<DB, Shift>) -> Draw<DB> {
        root.fill(&WHITE)?;
        let (header, body) = root.split_vertically(HEADER);
        let font = (FONT, 25).into_font().color(&TEXT).pos(Pos::new(HPos::Center, VPos::Center));
        header.draw(&Text::new(self.title.clone(), (WIDTH as i32 / 2, 26), font))?;
        let columns = if self.panels.len() > 1 { 2 } else { 1 };
        let areas = body.split_evenly((self.panels.len().div_ceil(columns).max(1), columns));
        for (panel, area) in self.panels.iter().zip(&areas) {
            self.panel(panel, area)?;
        }
        Ok(())
    }
}

impl Panels {
    fn panel<DB: DrawingBackend>(&self, panel: &Panel, area: &DrawingArea<DB, Shift>) -> Draw<DB> {
        let all = || panel.lines.iter().flat_map(|line| &line.points);
        let shown = |p: &&(f64, f64)| visible(**p, (self.x_scale, panel.scale));
        let x = self.x_scale.range(all().filter(shown).map(|p| p.0), 0.0);
        let y = panel.scale.range(all().filter(shown).map(|p| p.1), 0.05);
        let mut builder = ChartBuilder::on(area);
        builder.margin(10).margin_right(24).x_label_area_size(46).y_label_area_size(78);
        if !panel.title.is_empty() {
            builder.caption(&panel.title, (FONT, 21).into_font().color(&TEXT));
        }
        let axes = ((x, self.x_scale), (y, panel.scale));
        draw_chart(&mut builder, axes, &Lines { all: self, panel })
    }
}

/// The lines of one panel.
struct Lines<'a> {
    all: &'a Panels,
    panel: &'a Panel,
}

impl Chart for Lines<'_> {
    fn draw<'a, DB, X, Y>(&self, chart: &mut ChartContext<'a, DB, Cartesian2d<X, Y>>) -> Draw<DB>
    where
        DB: DrawingBackend + 'a,
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let panel = self.panel;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(TEXT)
            .x_desc(self.all.x)
            .x_labels(9)
            .y_labels(8)
            .x_label_formatter(&|v| short(*v))
            .y_label_formatter(&|v| short(*v))
            .label_style((FONT, 16).into_font().color(&TEXT))
            .axis_desc_style((FONT, 18).into_font().color(&TEXT))
            .draw()?;
        for (line, color) in panel.lines.iter().zip(COLORS.iter().cycle()) {
            let scales = (self.all.x_scale, panel.scale);
            let stroke = color.stroke_width(if line.points.len() > MANY { 1 } else { 2 });
            for piece in line.points.split(|p| !visible(*p, scales)) {
                chart.draw_series([PathElement::new(piece.to_vec(), stroke)])?;
                if piece.len() == 1 || line.points.len() < 60 {
                    let dots = piece.iter().map(|p| Circle::new(*p, 3, color.filled()));
                    chart.draw_series(dots)?;
                }
            }
            chart
                .draw_series(std::iter::empty::<Circle<(f64, f64), i32>>())?
                .label(line.label.clone())
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 24, y)], color.stroke_width(3))
                });
        }
        if (2..=COLORS.len()).contains(&panel.lines.len()) {
            chart
                .configure_series_labels()
                .background_style(WHITE.mix(0.8))
                .border_style(GRID)
                .label_font((FONT, 15).into_font().color(&TEXT))
                .legend_area_size(30)
                .position(SeriesLabelPosition::UpperRight)
                .draw()?;
        }
        Ok(())
    }
}
