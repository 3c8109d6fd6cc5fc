//! Training: experiment files, the run matrix, records, checkpoints, and the search for learning
//! rates.

mod checkpoint;
mod diagnosis;
mod experiment;
mod machine;
mod network;
mod presets;
mod progress;
mod record;
mod resident;
mod run;
mod samples;
mod session;
mod table;
mod task;
mod tune;
mod tuned;

pub use checkpoint::Standing;
pub use experiment::{
    CurvesConfig, DataConfig, Experiment, Precision, Scaling, Size, TuneConfig, Variant,
};
pub use machine::{GpuReport, Machine};
pub use network::{ActivationName, NetworkConfig};
pub use progress::Verbosity;
pub use record::{EpochRecord, Record, RunRecord};
pub use session::{Outcomes, SessionOptions, Start, train};
pub use table::table;
pub use task::{Pace, Task};
pub use tune::tune;
pub use tuned::{Trial, Tuned, TunedRate};
