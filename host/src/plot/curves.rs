//! Learning curves: train loss (logarithmic) and test accuracy, plain beside batch-normalised; of
//! autoencoders train loss and test squared error.

use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::element::{DashedPathElement, PathElement, Polygon};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axes::{Chart, Scale, draw_chart, short};
use super::figure::{self, Draw, Figure, GRID, TEXT};
use super::style::{CurveStyle, FONT, Marker, style_of};
use crate::error::Error;
use crate::train::{EpochRecord, Record, RunRecord};

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 960;
const LEGEND: i32 = 56;

/// What the horizontal axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Passes over the training set.
    Epoch,
    /// Steps of the optimiser.
    Updates,
    /// Wall-clock seconds spent in training steps.
    Seconds,
}

impl Axis {
    fn label(self) -> &'static str {
        match self {
            Axis::Epoch => "epoch",
            Axis::Updates => "updates",
            Axis::Seconds => "training time, seconds",
        }
    }
    fn stem(self) -> &'static str {
        match self {
            Axis::Epoch => "curves-epoch",
            Axis::Updates => "curves-updates",
            Axis::Seconds => "curves-seconds",
        }
    }
    fn scale(self) -> Scale {
        match self {
            Axis::Epoch | Axis::Updates => Scale::Linear,
            Axis::Seconds => Scale::Logarithmic,
        }
    }
    fn of(self, e: &EpochRecord) -> f64 {
        match self {
            Axis::Epoch => e.epoch as f64,
            Axis::Updates => e.updates.unwrap_or(0) as f64,
            Axis::Seconds => e.seconds,
        }
    }
}

/// What the vertical axis shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    TrainLoss,
    TestAccuracy,
    /// The train loss of an autoencoder: it does not fall to 0, where the inputs are between 0 and 1.
    CodingLoss,
    TestSquaredError,
}

impl Quantity {
    fn label(self) -> &'static str {
        match self {
            Quantity::TrainLoss | Quantity::CodingLoss => "train loss",
            Quantity::TestAccuracy => "test accuracy",
            Quantity::TestSquaredError => "squared error of a sample",
        }
    }
    fn of(self, e: &EpochRecord) -> f64 {
        match self {
            Quantity::TrainLoss if e.train_loss <= 1e-12 => 1e-12,
            Quantity::TrainLoss | Quantity::CodingLoss => e.train_loss,
            Quantity::TestAccuracy => e.test_accuracy.unwrap_or(f64::NAN),
            Quantity::TestSquaredError => e.test_squared_error.unwrap_or(f64::NAN),
        }
    }
    fn scale(self) -> Scale {
        match self {
            Quantity::TrainLoss => Scale::Logarithmic,
            _ => Scale::Linear,
        }
    }
}

/// Draws the curves of every run of `record` against `axis` and writes `curves-epoch.svg` and
/// `.png` (or `curves-updates.…`, `curves-seconds.…`) into `dir`, each file whole or not at all.
///
/// Two rows (train loss on a logarithmic axis, test accuracy; without classes train loss and the
/// squared error of a test sample, both linear and without the fall of the first tenth) by the
/// columns that the record has (plain, with batch normalisation); a thin line marks the loss
/// `target`. Returns the paths.
///
/// # Errors
/// The folder cannot be written, or the plotting library fails.
pub fn learning_curves(
    record: &Record,
    axis: Axis,
    target: f64,
    dir: &Path,
) -> Result<Vec<PathBuf>, Error> {
    figure::write(&Curves { record, axis, target }, dir, axis.stem())
}

struct Curves<'a> {
    record: &'a Record,
    axis: Axis,
    target: f64,
}

impl Figure for Curves<'_> {
    const SIZE: (u32, u32) = (WIDTH, HEIGHT);

    fn draw<DB: DrawingBackend>(&self, root: &DrawingArea<DB, Shift>) -> Draw<DB> {
        root.fill(&WHITE)?;
        let columns: Vec<bool> = [false, true]
            .into_iter()
            .filter(|&bn| self.record.runs.iter().any(|r| r.batch_norm == bn))
            .collect();
        let (body, legend) = root.split_vertically(HEIGHT as i32 - LEGEND);
        self.legend(&legend)?;
        let panels = body.split_evenly((2, columns.len().max(1)));
        let (above, below) = if self.points().any(|e| e.test_squared_error.is_some()) {
            (Quantity::CodingLoss, Quantity::TestSquaredError)
        } else {
            (Quantity::TrainLoss, Quantity::TestAccuracy)
        };
        for (i, panel) in panels.iter().enumerate() {
            let Some(&batch_norm) = columns.get(i % columns.len().max(1)) else { continue };
            let quantity = if i < columns.len() { above } else { below };
            self.panel(panel, quantity, batch_norm)?;
        }
        Ok(())
    }
}

impl Curves<'_> {
    fn panel<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
        quantity: Quantity,
        batch_norm: bool,
    ) -> Draw<DB> {
        let title = match (quantity, batch_norm) {
            (Quantity::TrainLoss, false) => "Train loss, plain",
            (Quantity::TrainLoss, true) => "Train loss, batch normalisation",
            (Quantity::TestAccuracy, false) => "Test accuracy, plain",
            (Quantity::TestAccuracy, true) => "Test accuracy, batch normalisation",
            (Quantity::CodingLoss, _) => "Train loss",
            (Quantity::TestSquaredError, _) => "Test squared error",
        };
        let limits = Limits { x: self.x_range(), y: self.y_range(quantity) };
        let mut builder = ChartBuilder::on(area);
        builder
            .margin(12)
            .margin_right(24)
            .x_label_area_size(48)
            .y_label_area_size(76)
            .caption(title, (FONT, 23).into_font().color(&TEXT));
        let panel = Panel { figure: self, quantity, batch_norm, limits };
        let axes = ((limits.x, self.axis.scale()), (limits.y, quantity.scale()));
        draw_chart(&mut builder, axes, &panel)
    }

    fn legend<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Draw<DB> {
        let mut names: Vec<&str> = Vec::new();
        for run in &self.record.runs {
            if !names.contains(&run.optimizer.as_str()) {
                names.push(&run.optimizer);
            }
        }
        let y = LEGEND / 2;
        let cell = WIDTH as i32 / names.len().max(1) as i32;
        for (i, name) in names.iter().enumerate() {
            let style = style_of(name);
            let label = if style.label == "other" { name } else { style.label };
            let width = 62 + 9 * label.len() as i32;
            let x = cell * i as i32 + (cell - width).max(0) / 2;
            let line = [(x, y), (x + 50, y)];
            if style.dash.1 == 0 {
                area.draw(&PathElement::new(line.to_vec(), style.color.stroke_width(2)))?;
            } else {
                let (on, off) = style.dash;
                let stroke = style.color.stroke_width(2);
                area.draw(&DashedPathElement::new(line, on, off, stroke))?;
            }
            area.draw(&(EmptyElement::at((x + 25, y)) + marker(style, (0, 0))))?;
            let font = (FONT, 18).into_font().color(&TEXT).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new((*label).to_string(), (x + 60, y), font))?;
        }
        Ok(())
    }

    fn points(&self) -> impl Iterator<Item = &EpochRecord> {
        self.record.runs.iter().flat_map(|r| r.epochs.iter())
    }

    /// From 0 to the last epoch, or from the end of the first epoch of the fastest run to the end
    /// of the slowest (logarithmic: runs differ by orders of magnitude).
    fn x_range(&self) -> (f64, f64) {
        let used = || self.points().map(|e| self.axis.of(e)).filter(|x| x.is_finite() && *x > 0.0);
        let max = used().fold(0.0, f64::max);
        let min = used().fold(f64::INFINITY, f64::min);
        match self.axis {
            Axis::Epoch | Axis::Updates => (0.0, if max > 0.0 { max } else { 1.0 }),
            Axis::Seconds if min < max => (min * 0.8, max * 1.1),
            Axis::Seconds => (0.1, 10.0),
        }
    }

    /// The same range in both columns, so that they can be compared by eye.
    fn y_range(&self, quantity: Quantity) -> (f64, f64) {
        let finite = |v: &f64| v.is_finite();
        match quantity {
            Quantity::CodingLoss | Quantity::TestSquaredError => {
                let late = self.record.runs.iter().flat_map(|run| {
                    let last = run.epochs.last().map_or(0, |e| e.epoch);
                    run.epochs.iter().filter(move |e| 10 * e.epoch >= last)
                });
                let late: Vec<f64> = late.map(|e| quantity.of(e)).filter(finite).collect();
                let lo = late.iter().copied().fold(f64::INFINITY, f64::min);
                let hi = late.iter().copied().fold(0.0, f64::max);
                let pad = 0.06 * (hi - lo);
                if lo < hi { ((lo - pad).max(0.0), hi + pad) } else { (0.0, 1.0) }
            }
            Quantity::TrainLoss => {
                let first = self.points().filter(|e| e.epoch == 0).map(|e| quantity.of(e));
                let first = first.filter(finite).fold(0.0, f64::max);
                let all = || self.points().map(|e| quantity.of(e)).filter(finite);
                let lo = all().fold(f64::INFINITY, f64::min);
                let hi = all().fold(0.0, f64::max).min(2.0 * first.max(1e-6));
                if lo < hi { (lo * 0.8, hi * 1.2) } else { (1e-3, 10.0) }
            }
            Quantity::TestAccuracy => {
                let after = || self.points().filter(|e| e.epoch > 0).map(|e| quantity.of(e));
                let hi = after().filter(finite).fold(0.0, f64::max);
                let lo = after().filter(finite).fold(1.0, f64::min).max(hi - 0.12);
                let pad = ((hi - lo) * 0.06).max(0.002);
                ((lo - pad).max(0.0), (hi + pad).min(1.0).max(lo + pad))
            }
        }
    }
}

/// The visible ranges of a panel.
#[derive(Clone, Copy, Debug)]
struct Limits {
    x: (f64, f64),
    y: (f64, f64),
}

struct Panel<'a> {
    figure: &'a Curves<'a>,
    quantity: Quantity,
    batch_norm: bool,
    limits: Limits,
}

impl Chart for Panel<'_> {
    fn draw<'a, DB, X, Y>(&self, chart: &mut ChartContext<'a, DB, Cartesian2d<X, Y>>) -> Draw<DB>
    where
        DB: DrawingBackend + 'a,
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let quantity = self.quantity;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(TEXT)
            .x_desc(self.figure.axis.label())
            .y_desc(quantity.label())
            .x_labels(11)
            .y_labels(9)
            .x_label_formatter(&|v| short(*v))
            .y_label_formatter(&|v| match quantity {
                Quantity::TestAccuracy => format!("{v:.3}"),
                _ => short(*v),
            })
            .label_style((FONT, 17).into_font().color(&TEXT))
            .axis_desc_style((FONT, 19).into_font().color(&TEXT))
            .draw()?;
        let ((left, right), (lo, hi), target) = (self.limits.x, self.limits.y, self.figure.target);
        let is_loss = matches!(quantity, Quantity::TrainLoss | Quantity::CodingLoss);
        if is_loss && lo < target && target < hi {
            let grey = RGBColor(130, 130, 130);
            let line = vec![(left, target), (right, target)];
            chart.draw_series([PathElement::new(line, grey.stroke_width(1))])?;
            let font = (FONT, 15).into_font().color(&grey);
            let font = font.pos(Pos::new(HPos::Left, VPos::Top));
            let text = Text::new(short(target), (4, 3), font);
            chart.draw_series([EmptyElement::at((left, target)) + text])?;
        }
        for run in self.figure.record.runs.iter().filter(|r| r.batch_norm == self.batch_norm) {
            self.curve(chart, run)?;
        }
        Ok(())
    }
}

impl Panel<'_> {
    fn curve<DB, X, Y>(
        &self,
        chart: &mut ChartContext<'_, DB, Cartesian2d<X, Y>>,
        run: &RunRecord,
    ) -> Draw<DB>
    where
        DB: DrawingBackend,
        X: Ranged<ValueType = f64>,
        Y: Ranged<ValueType = f64>,
    {
        let style = style_of(&run.optimizer);
        let ((left, _), (lo, hi)) = (self.limits.x, self.limits.y);
        let log = self.quantity.scale() == Scale::Logarithmic;
        let points: Vec<(f64, f64)> = run
            .epochs
            .iter()
            .map(|e| (self.figure.axis.of(e), self.quantity.of(e)))
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            // The network before training: at second 0 of a logarithmic axis, and with an accuracy
            // far below the axis.
            .filter(|(x, y)| *x >= left && (log || *y >= lo))
            .collect();
        for piece in clip(&points, lo, hi, log) {
            let stroke = style.color.stroke_width(2);
            let (on, off) = style.dash;
            if off == 0 {
                chart.draw_series([PathElement::new(piece, stroke)])?;
            } else {
                chart.draw_series(DashedLineSeries::new(piece, on, off, stroke))?;
            }
        }
        let visible: Vec<(f64, f64)> =
            points.into_iter().filter(|(_, y)| (lo..=hi).contains(y)).collect();
        let stride = visible.len().div_ceil(12).max(1);
        let markers = visible.into_iter().step_by(stride);
        chart.draw_series(markers.map(|p| EmptyElement::at(p) + marker(style, (0, 0))))?;
        Ok(())
    }
}

/// The parts of a polyline between `lo` and `hi`, cut at the limits (`log`: straight in ln y).
fn clip(points: &[(f64, f64)], lo: f64, hi: f64, log: bool) -> Vec<Vec<(f64, f64)>> {
    let scale = |y: f64| if log { y.ln() } else { y };
    let inside = |y: f64| lo <= y && y <= hi;
    let cut = |a: (f64, f64), b: (f64, f64), y: f64| {
        let share = (scale(y) - scale(a.1)) / (scale(b.1) - scale(a.1));
        (a.0 + share * (b.0 - a.0), y)
    };
    let limit = |y: f64| if y < lo { lo } else { hi };
    let mut pieces = Vec::new();
    let mut piece: Vec<(f64, f64)> = Vec::new();
    for (i, &p) in points.iter().enumerate() {
        let previous = i.checked_sub(1).and_then(|j| points.get(j)).copied();
        match (previous, inside(p.1)) {
            (Some(q), true) if !inside(q.1) => piece.extend([cut(q, p, limit(q.1)), p]),
            (_, true) => piece.push(p),
            (Some(q), false) if inside(q.1) => {
                piece.push(cut(q, p, limit(p.1)));
                pieces.push(std::mem::take(&mut piece));
            }
            (Some(q), false) if limit(q.1) != limit(p.1) => {
                pieces.push(vec![cut(q, p, limit(q.1)), cut(q, p, limit(p.1))]);
            }
            _ => {}
        }
    }
    if piece.len() > 1 {
        pieces.push(piece);
    }
    pieces
}

/// A filled marker around `at`, in pixels.
fn marker(style: CurveStyle, at: (i32, i32)) -> Polygon<(i32, i32)> {
    let offsets: &[(i32, i32)] = match style.marker {
        Marker::Circle => &[
            (5, 0),
            (4, 3),
            (3, 4),
            (0, 5),
            (-3, 4),
            (-4, 3),
            (-5, 0),
            (-4, -3),
            (-3, -4),
            (0, -5),
            (3, -4),
            (4, -3),
        ],
        Marker::Square => &[(-4, -4), (4, -4), (4, 4), (-4, 4)],
        Marker::Triangle => &[(0, -6), (6, 5), (-6, 5)],
        Marker::Diamond => &[(0, -6), (6, 0), (0, 6), (-6, 0)],
        Marker::Cross => &[
            (0, -2),
            (3, -5),
            (5, -3),
            (2, 0),
            (5, 3),
            (3, 5),
            (0, 2),
            (-3, 5),
            (-5, 3),
            (-2, 0),
            (-5, -3),
            (-3, -5),
        ],
    };
    let points: Vec<(i32, i32)> = offsets.iter().map(|(x, y)| (at.0 + x, at.1 + y)).collect();
    Polygon::new(points, style.color.filled())
}

#[cfg(test)]
mod tests {
    use super::clip;

    #[test]
    fn a_polyline_is_cut_at_the_limits() {
        let line = [(0.0, 0.0), (1.0, 2.0), (2.0, 0.0)];
        let pieces = clip(&line, 0.0, 1.0, false);
        assert_eq!(pieces, [vec![(0.0, 0.0), (0.5, 1.0)], vec![(1.5, 1.0), (2.0, 0.0)]]);
        let through = clip(&[(0.0, -1.0), (1.0, 2.0)], 0.0, 1.0, false);
        assert_eq!(through.len(), 1);
        assert_eq!(clip(&line, -1.0, 3.0, false), [line.to_vec()]);
    }
}
