//! Pictures: learning curves as SVG and PNG, with an embedded font and a colour-blind-safe palette.

mod curves;
mod style;

pub use curves::{Axis, learning_curves};
