//! Pictures: learning curves, spectra, plain lines, lines over steps, accuracy against sparsity as SVG
//! and PNG, with an embedded font and a colour-blind-safe palette.

mod axes;
mod classes;
mod curves;
mod density;
mod figure;
mod fractions;
mod lines;
mod log_axis;
pub mod palette;
mod panels;
mod style;

pub use axes::Scale;
pub use classes::class_table;
pub use curves::{Axis, learning_curves};
pub use density::{SpectrumPlot, spectral_density};
pub use fractions::{FractionCurve, FractionPanel, fraction_curves};
pub use lines::{LineAxis, LinePlot, Series, lines};
pub use panels::{Line, Panel, Panels, diagnostic_curves, line_panels};
pub use style::{FONT, register as register_font};
