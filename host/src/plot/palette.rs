//! The colours of all pictures: those of Okabe and Ito (2008), which colour-blind readers tell apart.

use plotters::style::RGBColor;

/// The first curve.
pub const BLUE: RGBColor = RGBColor(0, 114, 178);
/// The second.
pub const VERMILION: RGBColor = RGBColor(213, 94, 0);
/// The third.
pub const GREEN: RGBColor = RGBColor(0, 158, 115);
/// The fourth.
pub const PURPLE: RGBColor = RGBColor(204, 121, 167);
/// The fifth.
pub const ORANGE: RGBColor = RGBColor(230, 159, 0);
/// The sixth.
pub const SKY: RGBColor = RGBColor(86, 180, 233);
/// Text and axes.
pub const TEXT: RGBColor = RGBColor(30, 30, 30);
/// Lines behind the curves.
pub const GRID: RGBColor = RGBColor(225, 225, 225);
