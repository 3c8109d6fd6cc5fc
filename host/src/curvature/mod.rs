//! Curvature of a network over data: the Gauss–Newton matrix, the Hessian, the empirical Fisher
//! matrix, and their Kronecker-factored approximations.
//!
//! This module iterates data and calls the formulas of [`relfisher_core::curvature`]; every matrix
//! is the mean over the samples of the per-sample one, of a network in inference mode.
//!
//! | file | what |
//! | --- | --- |
//! | `problem.rs` | a network with data, visited in batches |
//! | `data.rs` | arrays as inputs and targets |
//! | `columns.rs` | which output derivatives a matrix is made of: exact, given labels, true labels |
//! | `factors.rs` | A and G of one block (also for optimisers) |
//! | `kronecker.rs` | K-FAC, KFLR, KFRA, EKFAC of a data set, and damped steps with them |
//! | `eigenbasis.rs` | the eigenbases of a block's factors, and the scale in them (also for optimisers) |
//! | `parameter_rows.rs` | per-sample gradients as rows |
//! | `exact.rs` | exact blocks and diagonals |
//! | `natural.rs` | exact damped steps for each block |
//! | `operator.rs` | products with whole-network matrices |
//! | `rfim.rs` | relative Fisher metrics of layers |
//! | `summary.rs` | condition and effective rank |
//! | `quantity.rs`, `collect/` | everything by name, each piece computed once |
//! | `memory.rs` | what a request needs, before it is begun |

mod collect;
mod columns;
mod data;
mod eigenbasis;
mod exact;
mod factors;
mod kronecker;
mod memory;
mod natural;
mod operator;
mod parameter_rows;
mod problem;
mod quantity;
mod rfim;
mod summary;

pub use collect::{Collection, Cost, Request, collect, required_bytes};
pub use columns::Columns;
pub(crate) use data::{OwnedTargets, feature_rows};
pub use eigenbasis::{Eigenbasis, ScaleScratch};
pub use exact::{Matrix, blocks, diagonals};
pub use factors::{FactorScratch, Site};
pub use kronecker::{KroneckerFactors, ekfac, kfra, kronecker_factors, kronecker_step};
pub(crate) use memory::human;
pub use memory::{Memory, available_memory};
pub use natural::natural_gradients;
pub use operator::NetworkOperator;
pub(crate) use parameter_rows::parameter_rows;
pub use problem::{BatchBody, Evaluation, Problem, Watch};
pub(crate) use problem::{mean_loss_hessian, output_loss};
pub use quantity::{Family, Quantity, Source};
pub use rfim::{LayerRfim, rfim};
pub use summary::{LayerSummary, layer_summary};
