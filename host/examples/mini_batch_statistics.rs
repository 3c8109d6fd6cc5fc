//! Statistics of every mini-batch as by-products of training: how long the gradient is, how much of it
//! is noise, and what batch size would balance the two.
//!
//! ```sh
//! cargo run --release -p relfisher --example mini_batch_statistics
//! ```
//!
//! Writes into runs/examples/mini_batch_statistics (or the folder given), among others
//! diagnostics-sgd-plain.csv and its picture.

mod uses;

use relfisher::Error;
use relfisher::train::{Experiment, SessionOptions, Size, Verbosity, train};

const EXPERIMENT: &str = r#"
name = "statistics"
epochs = 3
batch_size = 50

[data]
train_samples = 5000
test_samples = 1000

[network]
hidden = [64]

[[optimizers]]
kind = "sgd"
learning_rate = 0.03
"#;

fn main() -> Result<(), Error> {
    let out = uses::folder()?;
    let experiment = Experiment::parse(EXPERIMENT, "statistics.toml", Size::Reduced)?;
    let options = SessionOptions {
        diagnose_steps: 1,
        verbosity: Verbosity::Lines,
        ..SessionOptions::new(out)
    };
    let outcomes = train(&experiment, None, &options)?;
    for plot in outcomes.plots {
        println!("{}", plot.display());
    }
    Ok(())
}
