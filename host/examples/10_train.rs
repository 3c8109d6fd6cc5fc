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
//! Writes runs/examples/10_train: the curves by epoch and by second (SVG and PNG), record.json, record.csv, and
//! each optimiser's network file and weights.

mod uses;

use relfisher::Error;
use relfisher::dataset::{Dataset, Split};
use relfisher::format::TensorFile;
use relfisher::train::{Experiment, SessionOptions, Size, Start, Verbosity, table, train};

/// 8,000 digits; the network of the paper's experiment, and rates that a grid gave at another seed.
const EXPERIMENT: &str = r#"
name = "tutorial"
epochs = 5
batch_size = 50
target_train_loss = 0.05

[network]
hidden = [80, 80, 80]
activation = "relu"

[[optimizers]]
kind = "sgd"
learning_rate = 0.05
momentum = 0.9
weight_decay = 1e-4

# Lesson 07: the metric of each mini-batch, inverted exactly in sample space.
[[optimizers]]
kind = "rngd-sample"
learning_rate = 0.01
damping = 0.1
momentum = 0.9
weight_decay = 1e-4
smoothing = 1.0

# Lesson 05.
[[optimizers]]
kind = "kfac"
learning_rate = 0.005
damping = 0.03
momentum = 0.9
weight_decay = 1e-4
"#;

fn main() -> Result<(), Error> {
    let out = uses::folder()?;
    let experiment = Experiment::parse(EXPERIMENT, "tutorial.toml", Size::Reduced)?;
    // Anew at every start, so that the lines above can be changed; `Start::Resume` goes on where a run broke off.
    let options = SessionOptions {
        verbosity: Verbosity::Lines,
        start: Start::Fresh,
        ..SessionOptions::new(&out)
    };
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
    println!("epochs to train loss 0.05: SGD {sgd:?}, RNGD {rngd:?}, K-FAC {kfac:?}");
    let ahead = |epoch: Option<usize>| epoch.is_some_and(|e| sgd.is_none_or(|sgd| e < sgd));
    assert!(ahead(rngd) && ahead(kfac));

    // The weights that were written are the network that was judged: a forward pass in plain loops.
    let test = Split::<f64>::bundled()?.test;
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

/// The share of digits that layers W x + b with relu between, in the order of their names, get right.
fn accuracy(weights: &TensorFile<f32>, data: &Dataset<f64>) -> f64 {
    let names: Vec<&str> =
        weights.tensors.keys().filter_map(|name| name.strip_suffix(".weight")).collect();
    let features = data.features();
    let right = (0..data.len()).filter(|&s| {
        let mut x = features.row(s).to_vec();
        for (place, name) in names.iter().enumerate() {
            let tensor = |kind: &str| &weights.tensors[&format!("{name}.{kind}")].data;
            let dot = |w: &[f32]| w.iter().zip(&x).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
            let rows = tensor("weight").chunks(x.len()).zip(tensor("bias"));
            let t: Vec<f64> = rows.map(|(w, b)| dot(w) + f64::from(*b)).collect();
            let last = place + 1 == names.len();
            x = t.into_iter().map(|t| if last { t } else { t.max(0.0) }).collect();
        }
        x.iter().all(|f| *f <= x[data.labels()[s]])
    });
    right.count() as f64 / data.len() as f64
}
