//! Pictures: learning curves, spectra, accuracy against sparsity as SVG and PNG, with an embedded font and a
//! colour-blind-safe palette.

mod classes;
mod curves;
mod density;
mod figure;
mod fractions;
mod style;

pub use classes::class_table;
pub use curves::{Axis, learning_curves};
pub use density::{SpectrumPlot, spectral_density};
pub use fractions::{FractionCurve, FractionPanel, fraction_curves};
