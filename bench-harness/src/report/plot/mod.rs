//! The pictures of the page: SVG without a background, whose colours the page's style sheet turns
//! around in the dark.

mod axis;
mod bars;
mod history;
mod memory;
mod widths;

use plotters::coord::Shift;
use plotters::element::{DashedPathElement, PathElement};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use relfisher::plot::{FONT, palette, register_font};

use crate::record::{Approach, Dtype};

pub use bars::{Unit, rates, shares};
pub use history::history;
pub use memory::memory;
pub use widths::{Quantity, widths};

/// Where all pictures are drawn.
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What drawing returns.
type Draw = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Lines that are no data.
const GREY: RGBColor = RGBColor(120, 120, 120);

/// The height of a line of a legend.
const LEGEND_LINE: i32 = 22;

/// The text of a picture.
fn svg(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Draw) -> Result<String, String> {
    register_font().map_err(|e| e.to_string())?;
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&root).and_then(|()| root.present()).map_err(|e| format!("plot: {e}"))?;
    }
    Ok(text)
}

/// A style of text: size, colour, and which of its points stands at the place.
fn font(size: i32, color: &RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    (FONT, size).into_font().color(color).pos(Pos::new(h, v))
}

/// The sign at a data point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
}

/// How a series looks.
#[derive(Clone, Copy, Debug)]
struct Style {
    color: RGBColor,
    marker: Marker,
    dashed: bool,
}

/// Colour and sign by approach, dashes by dtype.
const fn style(approach: Approach, dtype: Dtype) -> Style {
    let (color, marker) = match approach {
        Approach::Structured => (palette::BLUE, Marker::Circle),
        Approach::Dense => (palette::VERMILION, Marker::Square),
        Approach::Loop => (palette::GREEN, Marker::Triangle),
        Approach::Gpu => (palette::PURPLE, Marker::Diamond),
    };
    Style { color, marker, dashed: matches!(dtype, Dtype::F64) }
}

/// A sign of a few pixels around the origin of its place.
fn sign(marker: Marker) -> Vec<(i32, i32)> {
    match marker {
        Marker::Circle => {
            vec![(-4, 0), (-3, -3), (0, -4), (3, -3), (4, 0), (3, 3), (0, 4), (-3, 3)]
        }
        Marker::Square => vec![(-3, -3), (3, -3), (3, 3), (-3, 3)],
        Marker::Triangle => vec![(0, -5), (4, 3), (-4, 3)],
        Marker::Diamond => vec![(0, -5), (5, 0), (0, 5), (-5, 0)],
    }
}

/// Entries of a line, a sign and words, wrapped to the width of the area.
fn legend(area: &Area<'_>, entries: &[(Style, String)]) -> Draw {
    let width = area.dim_in_pixel().0 as i32;
    for (at, (style, label)) in places(width, entries).into_iter().zip(entries) {
        let (x, y) = at;
        let line = vec![(x, y), (x + 30, y)];
        let stroke = style.color.stroke_width(2);
        if style.dashed {
            area.draw(&DashedPathElement::new(line, 6, 4, stroke))?;
        } else {
            area.draw(&PathElement::new(line, stroke))?;
        }
        let place = |(dx, dy): (i32, i32)| (x + 15 + dx, y + dy);
        let corners: Vec<(i32, i32)> = sign(style.marker).into_iter().map(place).collect();
        area.draw(&Polygon::new(corners, style.color.filled()))?;
        let font = font(14, &palette::TEXT, HPos::Left, VPos::Center);
        area.draw(&Text::new(label.clone(), (x + 38, y), font))?;
    }
    Ok(())
}

/// Where the entries of a legend begin.
fn places(width: i32, entries: &[(Style, String)]) -> Vec<(i32, i32)> {
    let (mut x, mut y) = (8, LEGEND_LINE / 2);
    let mut places = Vec::new();
    for (_, label) in entries {
        let needed = 38 + 7 * label.chars().count() as i32 + 14;
        if x + needed > width && x > 8 {
            (x, y) = (8, y + LEGEND_LINE);
        }
        places.push((x, y));
        x += needed;
    }
    places
}

/// The height of a legend.
fn legend_height(width: u32, entries: &[(Style, String)]) -> i32 {
    places(width as i32, entries).last().map_or(0, |(_, y)| y + LEGEND_LINE / 2)
}
