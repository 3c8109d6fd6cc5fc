//! The experiment of S0: networks that were stopped early, and classifiers of their sparse gradient
//! embeddings.
//!
//! A network is trained for a few steps. The gradient of every sample is cut to its largest entries layer
//! by layer and normalised by a metric that is fitted on the training samples ([`crate::embedding`]).
//! The loss is taken against the fixed uniform target or each class in turn, which need no label, or
//! against the label where the sample has one ([`Against`]). A linear classifier and a
//! small network are fitted to the embeddings of the training samples and judged on those of the test
//! samples, whose labels are used for nothing else. Beside them stand what the network itself reaches
//! and three baselines of the same linear classifier: on the pixels, on the network's last hidden
//! layer, and on the sparse gradients without a metric.

mod classifier;
mod experiment;
mod networks;
mod record;

pub use classifier::{Classifier, Fit, Kind, sparse_rows};
pub use experiment::{Against, Settings, Stage, run};
pub use networks::Subject;
pub use record::{
    FractionRecord, GradnetRecord, NetworkRecord, Scores, SettingsRecord, StoppedRecord, table,
};
