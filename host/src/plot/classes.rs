//! A number for each pair of classes, as a table of coloured cells.

use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::figure::{self, Draw, Figure, TEXT};
use super::style::FONT;
use crate::error::Error;

const SIDE: u32 = 900;
const TOP: i32 = 70;
const MARGIN: i32 = 60;

/// Draws `values` (classes × classes) as cells from white, the least, to blue, the largest, each with
/// its number. Writes `stem.svg` and `stem.png` into `dir`, each file whole or not at all, and returns
/// the paths.
///
/// # Errors
/// Values that are no square; the folder cannot be written, or the plotting library fails.
pub fn class_table(
    title: &str,
    values: &[f64],
    classes: usize,
    dir: &Path,
    stem: &str,
) -> Result<Vec<PathBuf>, Error> {
    if classes == 0 || classes.checked_mul(classes) != Some(values.len()) {
        let problem = format!("{} values for {classes} classes", values.len());
        return Err(Error::input("plot", "classes", problem, "give one for each pair"));
    }
    figure::write(&Table { title, values, classes }, dir, stem)
}

struct Table<'a> {
    title: &'a str,
    values: &'a [f64],
    classes: usize,
}

impl Figure for Table<'_> {
    const SIZE: (u32, u32) = (SIDE, SIDE);

    fn draw<DB: DrawingBackend>(&self, root: &DrawingArea<DB, Shift>) -> Draw<DB> {
        root.fill(&WHITE)?;
        let font = |size: u32, color: RGBColor| {
            let font = (FONT, size).into_font().color(&color);
            font.pos(Pos::new(HPos::Center, VPos::Center))
        };
        let middle = SIDE as i32 / 2;
        root.draw(&Text::new(self.title.to_string(), (middle, TOP / 2), font(23, TEXT)))?;
        let finite = || self.values.iter().copied().filter(|v| v.is_finite());
        let least = finite().fold(f64::INFINITY, f64::min);
        let width = finite().fold(f64::NEG_INFINITY, f64::max) - least;
        let cell = (SIDE as i32 - TOP - MARGIN) / self.classes as i32;
        let place = |k: usize, from: i32| from + cell * k as i32;
        for (at, value) in self.values.iter().enumerate() {
            let (row, column) = (at / self.classes, at % self.classes);
            let (x, y) = (place(column, MARGIN), place(row, TOP));
            let share = if width > 0.0 { ((value - least) / width).clamp(0.0, 1.0) } else { 0.0 };
            let mix = |to: u8| (255.0 - share * (255.0 - f64::from(to))).round() as u8;
            let color = RGBColor(mix(0), mix(114), mix(178));
            root.draw(&Rectangle::new([(x, y), (x + cell - 1, y + cell - 1)], color.filled()))?;
            let ink = if share > 0.6 { WHITE } else { TEXT };
            let center = (x + cell / 2, y + cell / 2);
            root.draw(&Text::new(format!("{value:.2}"), center, font(17, ink)))?;
        }
        for class in 0..self.classes {
            let (x, y) = (place(class, MARGIN) + cell / 2, place(class, TOP) + cell / 2);
            let below = place(self.classes, TOP) + 24;
            root.draw(&Text::new(class.to_string(), (x, below), font(19, TEXT)))?;
            root.draw(&Text::new(class.to_string(), (MARGIN / 2, y), font(19, TEXT)))?;
        }
        Ok(())
    }
}
