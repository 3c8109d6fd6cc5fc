//! Mixed training: the first layer, which has nine tenths of the parameters, on SGD, the others on
//! K-FAC; beside SGD alone and K-FAC alone.
//!
//! ```sh
//! cargo run --release -p relfisher --example mixed_training
//! ```
//!
//! Writes its record and learning curves into runs/examples/mixed_training (or the folder given).

mod uses;

use relfisher::Error;
use relfisher::train::{Experiment, SessionOptions, Size, Verbosity, table, train};

const EXPERIMENT: &str = r#"
name = "mixed"
epochs = 5
batch_size = 50

[data]
train_samples = 4000
test_samples = 1000

[network]
hidden = [64, 64]

[[optimizers]]
kind = "sgd"
learning_rate = 0.03

[[optimizers]]
kind = "kfac"

[[optimizers]]
kind = "mixed"
[[optimizers.groups]]
layers = ["layers.0"]
optimizer = { kind = "sgd", learning_rate = 0.03 }
[[optimizers.groups]] # all other layers
optimizer = { kind = "kfac" }
"#;

fn main() -> Result<(), Error> {
    let out = uses::folder()?;
    let experiment = Experiment::parse(EXPERIMENT, "mixed.toml", Size::Reduced)?;
    let options = SessionOptions { verbosity: Verbosity::Lines, ..SessionOptions::new(out) };
    let outcomes = train(&experiment, None, &options)?;
    println!("{}", table(&outcomes.record, experiment.target_train_loss));
    for plot in outcomes.plots {
        println!("{}", plot.display());
    }
    Ok(())
}
