//! Pruning without training again: how much a network for digits can lose before it fails, by magnitude
//! and by three kinds of curvature:
//!
//! ```sh
//! cargo run --release -p relfisher --example prune
//! ```
//!
//! Writes prune.svg and .png into runs/examples/prune (or the folder given).

mod uses;

use relfisher::Error;
use relfisher::curvature::{Memory, Problem};
use relfisher::executor::Cpu;
use relfisher::network::{Parameters, Tape, Targets};
use relfisher::plot::{LineAxis, LinePlot, Scale, Series, lines};
use relfisher::prune::{Mask, Method, Options, Scope, prune};

const SPARSITIES: [f64; 8] = [0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98];

fn main() -> Result<(), Error> {
    let split = uses::digits()?;
    let data = uses::Digits::pooled(&split.train, 3000, 2)?;
    let test = uses::Digits::pooled(&split.test, 2000, 2)?;
    let network = uses::network(&[data.width, 40, 40, 10])?;
    let exec = Cpu::new(None)?;
    let trained = uses::train(&network, &exec, &data, (30, 0.05, 1e-4))?;
    let problem = Problem {
        executor: &exec,
        network: &network,
        parameters: &trained,
        features: data.features()?,
        targets: Some(Targets::Classes(&data.labels)),
        labels: None,
        chunk: 500,
        watch: None,
    };
    let accuracy = |parameters: &Parameters<f64>| -> Result<f64, Error> {
        let mut tape = Tape::new(&network, 500);
        let targets = Targets::Classes(&test.labels);
        let report = network.evaluate(&exec, parameters, &mut tape, test.features()?, &targets)?;
        Ok(report.correct.unwrap_or(0) as f64 / test.labels.len() as f64)
    };
    let whole = accuracy(&trained)?;
    println!("{} parameters, test accuracy {whole:.4}", network.parameter_count());
    let mut series = Vec::new();
    for method in Method::ALL {
        let options = Options {
            method,
            scope: Scope::Network,
            damping: 1e-4,
            block: 200,
            gradients: 1000,
            memory: Memory::default(),
        };
        let mut mask = Mask::new(&network);
        let mut current = trained.clone();
        let mut dots = Vec::new();
        for sparsity in SPARSITIES {
            let now = Problem { parameters: &current, ..problem };
            current.values = prune(&now, &mut mask, sparsity, &options)?.values;
            dots.push((sparsity, accuracy(&current)?));
        }
        let text: Vec<String> = dots.iter().map(|(s, a)| format!("{s}: {a:.4}")).collect();
        println!("{method:<11} {}", text.join("  "));
        let points = std::iter::once((0.0, whole)).chain(dots.iter().copied()).collect();
        series.push(Series { label: method.to_string(), points, dots });
    }
    let dir = uses::folder()?;
    let plot = LinePlot {
        title: "Pruning a network for digits",
        subtitle: "without training again; curvature measured again at every dot",
        x: LineAxis { label: "share of weights removed", scale: Scale::Linear, range: None },
        y: LineAxis { label: "test accuracy", scale: Scale::Linear, range: Some((0.0, 1.0)) },
        series: &series,
    };
    for file in lines(&plot, &dir, "prune")? {
        println!("{}", file.display());
    }
    Ok(())
}
