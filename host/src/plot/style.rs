//! How curves look: one colour, one dash pattern and one marker for each optimiser.

use std::sync::OnceLock;

use plotters::style::{FontStyle, RGBColor, register_font};

use super::palette;
use crate::error::Error;

/// The name under which the embedded font is registered; in an SVG it is the viewer's own.
pub const FONT: &str = "sans-serif";

static FONT_BYTES: &[u8] = include_bytes!("../../data/fonts/DejaVuSans-subset.ttf");

/// Makes the embedded font known to the plotting library, once: it measures text with it.
///
/// # Errors
/// The plotting library cannot read the font.
pub fn register() -> Result<(), Error> {
    static DONE: OnceLock<bool> = OnceLock::new();
    let done = *DONE.get_or_init(|| register_font(FONT, FontStyle::Normal, FONT_BYTES).is_ok());
    if done {
        Ok(())
    } else {
        Err(Error::input("plot", "font", "the embedded font cannot be read", "report this"))
    }
}

/// The sign at a data point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
}

/// Colour (Okabe and Ito, 2008), dashes (drawn, skipped; pixels; 0 skipped: solid) and marker.
#[derive(Clone, Copy, Debug)]
pub(super) struct CurveStyle {
    pub(super) color: RGBColor,
    pub(super) dash: (u32, u32),
    pub(super) marker: Marker,
    pub(super) label: &'static str,
}

const STYLES: [(&str, CurveStyle); 8] = [
    (
        "sgd",
        CurveStyle {
            color: RGBColor(90, 90, 90),
            dash: (3, 4),
            marker: Marker::Cross,
            label: "SGD",
        },
    ),
    (
        "adam",
        CurveStyle { color: palette::ORANGE, dash: (10, 4), marker: Marker::Square, label: "Adam" },
    ),
    (
        "rngd",
        CurveStyle {
            color: palette::BLUE,
            dash: (1, 0),
            marker: Marker::Circle,
            label: "RNGD (blocks)",
        },
    ),
    (
        "rngd-sample",
        CurveStyle {
            color: palette::GREEN,
            dash: (1, 0),
            marker: Marker::Triangle,
            label: "RNGD (sample space)",
        },
    ),
    (
        "kfac",
        CurveStyle {
            color: palette::VERMILION,
            dash: (6, 3),
            marker: Marker::Diamond,
            label: "K-FAC",
        },
    ),
    (
        "kflr",
        CurveStyle {
            color: RGBColor(0, 0, 0),
            dash: (14, 3),
            marker: Marker::Triangle,
            label: "KFLR",
        },
    ),
    (
        "kfra",
        CurveStyle { color: palette::SKY, dash: (1, 0), marker: Marker::Circle, label: "KFRA" },
    ),
    (
        "ekfac",
        CurveStyle { color: palette::PURPLE, dash: (1, 0), marker: Marker::Square, label: "EKFAC" },
    ),
];

/// The style of an optimiser, by its name in the record.
pub(super) fn style_of(optimizer: &str) -> CurveStyle {
    STYLES.iter().find(|(name, _)| *name == optimizer).map_or(
        CurveStyle {
            color: RGBColor(130, 110, 60),
            dash: (1, 0),
            marker: Marker::Circle,
            label: "other",
        },
        |(_, style)| *style,
    )
}
