//! Pictures: learning curves and spectra as SVG and PNG, with an embedded font and a
//! colour-blind-safe palette.

mod curves;
mod density;
mod figure;
pub mod palette;
mod style;

pub use curves::{Axis, learning_curves};
pub use density::{SpectrumPlot, spectral_density};
pub use style::{FONT, register as register_font};
