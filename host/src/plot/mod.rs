//! Pictures: learning curves, spectra, plain lines and lines over steps as SVG and PNG, with an
//! embedded font and a colour-blind-safe palette.

mod curves;
mod density;
mod figure;
mod lines;
pub mod palette;
mod panels;
mod style;

pub use curves::{Axis, learning_curves};
pub use density::{SpectrumPlot, spectral_density};
pub use lines::{AxisScale, LineAxis, LinePlot, Series, lines};
pub use panels::{Line, Panel, Panels, Scale, diagnostic_curves, line_panels};
pub use style::{FONT, register as register_font};
