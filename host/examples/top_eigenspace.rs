//! The top eigenspaces of Fisher/Gauss–Newton matrix, Hessian and empirical Fisher matrix over a
//! training run: how much of the gradient lies in them, whether they stay, and how near the three
//! matrices are to each other.
//!
//! ```sh
//! cargo run --release -p relfisher --example top_eigenspace
//! ```
//!
//! Writes its tables and pictures into runs/examples/top_eigenspace (or the folder given).

mod uses;

use relfisher::Error;
use relfisher::curvature::Problem;
use relfisher::dataset::Split;
use relfisher::evolution::{Evolution, EvolutionRecord, Options};
use relfisher::executor::Cpu;
use relfisher::format::load_parameters;
use relfisher::network::{Architecture, Network, Targets};
use relfisher::spectrum::ExtremalOptions;
use relfisher::train::{Experiment, SessionOptions, Size, train};

const EXPERIMENT: &str = r#"
name = "eigenspace"
epochs = 3
batch_size = 50

[data]
train_samples = 5000
test_samples = 1000

[network]
hidden = [24]

[[optimizers]]
kind = "sgd"
learning_rate = 0.05
"#;

/// Samples of the curvature, the dimension of the spaces, random vectors of a comparison.
const SAMPLES: usize = 500;
const TOP: usize = 10;
const PROBES: usize = 6;

fn main() -> Result<(), Error> {
    let out = uses::folder()?;
    let experiment = Experiment::parse(EXPERIMENT, "eigenspace.toml", Size::Reduced)?;
    let options = SessionOptions { diagnose_steps: 1, ..SessionOptions::new(out.clone()) };
    train(&experiment, None, &options)?;

    let network =
        Network::<f32>::from_architecture(&Architecture::load(&out.join("sgd-plain.json"))?)?;
    let (cpu, data) = (Cpu::new(None)?, Split::<f32>::bundled()?.train);
    let extremal = ExtremalOptions { tolerance: 1e-4, ..ExtremalOptions::default() };
    let options = Options { top: TOP, eigenvalues: TOP + 2, probes: PROBES, extremal };
    let mut evolution = Evolution::new(options)?;
    let mut record = EvolutionRecord {
        title: "784-24-10 on digits, SGD".to_owned(),
        top: TOP,
        layers: network.blocks().iter().map(|block| block.name.clone()).collect(),
        points: Vec::new(),
    };
    // Before training, in the first epoch, after each epoch.
    for step in [0, 4, 16, 64, 100, 200, 300] {
        let file = format!("snapshots/sgd-plain/step-{step:08}.safetensors");
        let parameters = load_parameters(&network, &out.join(file))?;
        let problem = Problem {
            executor: &cpu,
            network: &network,
            parameters: &parameters,
            features: data.features().sub(0, 0, SAMPLES, data.width())?,
            targets: Some(Targets::Classes(&data.labels()[..SAMPLES])),
            labels: None,
            chunk: SAMPLES,
            watch: None,
        };
        let point = evolution.measure(&problem, step, &mut |_, _| {})?;
        let shares: Vec<String> =
            point.spaces.iter().map(|space| format!("{:.3}", space.gradient_share)).collect();
        println!("step {step:4}: share of the gradient {}", shares.join(", "));
        record.points.push(point);
    }
    record.write_tables(&out)?;
    for picture in record.draw(&out)? {
        println!("{}", picture.display());
    }
    Ok(())
}
