//! Curvature over a training run, from the weights that it left on the way: the top eigenspaces of
//! the Gauss–Newton matrix (of soft-max and Gaussian losses the Fisher matrix), the Hessian and the
//! empirical Fisher matrix, the share of the gradient in each, how far each stays the same, and how
//! near the three matrices are to each other, layer by layer.
//!
//! | file | what |
//! | --- | --- |
//! | `measure.rs` | one point of the run: eigenspaces, shares, overlaps |
//! | `compare.rs` | relative Frobenius errors and cosines by blocks |
//! | `record.rs` | the tables and pictures of a run |
//!
//! Cost of one point, in products with a matrix of the data (each about two passes of training over
//! the samples): those of the Lanczos iterations, at most [`Options::extremal`]'s for each of the
//! three matrices, and 3·min(probes, parameters) for every layer and the whole network.

mod compare;
mod measure;
mod record;

pub use compare::{Comparison, Estimate};
pub use measure::{Evolution, Measurement, OnProduct, Options, SpaceRecord};
pub use record::EvolutionRecord;

use crate::curvature::Matrix;

/// The matrices, in the order of the tables.
pub const MATRICES: [Matrix; 3] = [Matrix::Ggn, Matrix::Hessian, Matrix::EmpiricalFisher];

/// The pairs (A, B) that are compared, as places in [`MATRICES`]; errors are relative to B.
const PAIRS: [(usize, usize); 3] = [(2, 0), (0, 1), (2, 1)];
