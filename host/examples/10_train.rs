//! 10 — a network trained on real digits, by gradients and by natural gradients.
//!
//! An experiment is a few lines of TOML: data, network, optimisers. `train` runs every optimiser from the same
//! initial weights, draws the learning curves, and writes a record and the weights. `relfisher train` is the
//! same from the command line.
//!
//! ```sh
//! cargo run --release -p relfisher --example 10_train
//! ```
//!
//! Writes runs/tutorial/train: the curves by epoch and by second (SVG and PNG), record.json, record.csv, and
//! each optimiser's network file and weights.

use std::path::Path;

use relfisher::Error;
use relfisher::dataset::{Dataset, Split};
use relfisher::format::TensorFile;
use relfisher::train::{Experiment, SessionOptions, Size, Verbosity, table, train};

const EXPERIMENT: &str = r#"
name = "tutorial"
epochs = 6
batch_size = 50
target_train_loss = 0.1

[data]
train_samples = 4000
test_samples = 1000

[network]
hidden = [40]
activation = "tanh"

[[optimizers]]
kind = "sgd"
learning_rate = 0.05
momentum = 0.9

# Lesson 07: the metric of each mini-batch, inverted exactly in sample space.
[[optimizers]]
kind = "rngd-sample"
learning_rate = 0.01
damping = 0.1
momentum = 0.9

# Lesson 05.
[[optimizers]]
kind = "kfac"
learning_rate = 0.005
damping = 0.03
momentum = 0.9
"#;

fn main() -> Result<(), Error> {
    let out = Path::new("runs/tutorial/train");
    let experiment = Experiment::parse(EXPERIMENT, "tutorial.toml", Size::Reduced)?;
    let options = SessionOptions { verbosity: Verbosity::Lines, ..SessionOptions::new(out) };
    let outcomes = train(&experiment, None, &options)?;
    println!("{}", table(&outcomes.record, experiment.target_train_loss));
    for plot in outcomes.plots {
        println!("{}", plot.display());
    }

    // By epochs natural gradient is ahead; what an epoch costs is another matter, and in the table.
    let epochs = |name: &str| {
        let run = outcomes.record.runs.iter().find(|run| run.optimizer == name);
        run.and_then(|run| run.reached(experiment.target_train_loss)).map(|epoch| epoch.epoch)
    };
    let (sgd, rngd, kfac) = (epochs("sgd"), epochs("rngd-sample"), epochs("kfac"));
    println!("epochs to train loss 0.1: SGD {sgd:?}, RNGD {rngd:?}, K-FAC {kfac:?}");
    let ahead = |epoch: Option<usize>| epoch.is_some_and(|e| sgd.is_none_or(|sgd| e < sgd));
    assert!(ahead(rngd) && ahead(kfac));

    // The weights that were written are the network that was judged: a forward pass in plain loops.
    let test = Split::<f64>::bundled()?.test.first(1000)?;
    for run in &outcomes.record.runs {
        let stated = run.epochs.last().and_then(|epoch| epoch.test_accuracy);
        let file = out.join(format!("{}.safetensors", run.name()));
        let weights = TensorFile::<f32>::load(&file)?;
        let found = accuracy(&weights, &test);
        println!("{}: test accuracy {stated:?} in the record, {found} from the file", run.name());
        // The record's pass is in single precision: a digit on the edge may fall to the other side.
        assert!(stated.is_some_and(|stated| (stated - found).abs() <= 0.001));
    }
    Ok(())
}

/// The share of digits that tanh(W x + b) and a second layer, in this order in the file, get right.
fn accuracy(weights: &TensorFile<f32>, data: &Dataset<f64>) -> f64 {
    let layer = |name: &str, x: &[f64]| -> Vec<f64> {
        let (w, b) = (
            &weights.tensors[&format!("{name}.weight")].data,
            &weights.tensors[&format!("{name}.bias")].data,
        );
        let dot = |w: &[f32]| w.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
        w.chunks(x.len()).zip(b).map(|(w, b)| dot(w) + f64::from(*b)).collect()
    };
    // A layer's parameters are named layers.K; tensors are sorted by name.
    let mut names = weights.tensors.keys().filter_map(|name| name.strip_suffix(".weight"));
    let (first, second) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
    let features = data.features();
    let right = (0..data.len()).filter(|&s| {
        let hidden: Vec<f64> = layer(first, features.row(s)).into_iter().map(f64::tanh).collect();
        let outputs = layer(second, &hidden);
        outputs.iter().all(|f| *f <= outputs[data.labels()[s]])
    });
    right.count() as f64 / data.len() as f64
}
