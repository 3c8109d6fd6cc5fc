//! Spectra of operators that are known by their products, against spectra chosen beforehand.

mod density;
mod extremal;
mod operators;
