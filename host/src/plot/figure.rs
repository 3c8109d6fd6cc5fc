//! A picture on any backend, and its files.

use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::style::{FONT, register};
use crate::error::Error;
use crate::format::write_bytes;

pub(super) use super::palette::{GRID, TEXT};

/// What drawing on a backend returns.
pub(super) type Draw<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// Something that can be drawn on every backend.
pub(super) trait Figure {
    /// Width and height in pixels.
    const SIZE: (u32, u32);

    fn draw<DB: DrawingBackend>(&self, root: &DrawingArea<DB, Shift>) -> Draw<DB>;
}

/// Title and subtitle, centred over a picture of so many pixels.
pub(super) fn heading<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    width: u32,
    (title, subtitle): (&str, &str),
) -> Draw<DB> {
    for (text, y, size) in [(title, 28, 25), (subtitle, 60, 18)] {
        let font = (FONT, size).into_font().color(&TEXT);
        let font = font.pos(Pos::new(HPos::Center, VPos::Center));
        area.draw(&Text::new(text.to_string(), (width as i32 / 2, y), font))?;
    }
    Ok(())
}

/// Writes `stem.svg` and `stem.png` into `dir`, each file whole or not at all. The paths.
///
/// # Errors
/// The folder cannot be written, or the plotting library fails.
pub(super) fn write<F: Figure>(figure: &F, dir: &Path, stem: &str) -> Result<Vec<PathBuf>, Error> {
    register()?;
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, F::SIZE).into_drawing_area();
        figure.draw(&root).map_err(failed)?;
        root.present().map_err(failed)?;
    }
    let svg = dir.join(format!("{stem}.svg"));
    write_bytes(&svg, text.as_bytes())?;

    let png = dir.join(format!("{stem}.png"));
    let partial = dir.join(format!(".{stem}.partial.png"));
    {
        let root = BitMapBackend::new(&partial, F::SIZE).into_drawing_area();
        figure.draw(&root).map_err(failed)?;
        root.present().map_err(failed)?;
    }
    std::fs::rename(&partial, &png).map_err(|e| Error::io(&png, "write", &e))?;
    Ok(vec![svg, png])
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error::input("plot", "", e, "check that the output folder can be written")
}
