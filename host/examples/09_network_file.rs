//! 09 — curvature of a whole network that somebody else trained.
//!
//! From here on the crate `relfisher` does the work: it reads a network file (JSON), its weights
//! (safetensors) and samples, runs forward and backward passes, and hands core the numbers of the earlier
//! lessons, on all processors. The network is a small convolutional one for digits, 13,090 parameters.
//!
//! ```sh
//! cargo run --release -p relfisher --example 09_network_file
//! ```
//!
//! Prints a summary of each layer's K-FAC block; writes their eigenvalues,
//! runs/examples/09_network_file/spectrum-of-layers.svg and .png, or into the folder given.

mod uses;

use std::path::Path;

use relfisher::Error;
use relfisher::curvature::{
    Columns, Eigenbasis, Matrix, NetworkOperator, Problem, kronecker_factors, layer_summary,
};
use relfisher::dataset::Split;
use relfisher::executor::Cpu;
use relfisher::format::load_parameters;
use relfisher::network::{Architecture, Network, Targets};
use relfisher::plot::{LineAxis, LinePlot, Scale, Series, lines};
use relfisher_core::curvature::Sharing;

fn main() -> Result<(), Error> {
    let nets = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/nets");
    let network = Network::from_architecture(&Architecture::load(&nets.join("ml_digits.json"))?)?;
    let parameters = load_parameters::<f64>(&network, &nets.join("ml_digits.safetensors"))?;
    let (digits, cpu) = (Split::<f64>::bundled()?.test, Cpu::new(None)?);
    let problem = Problem {
        executor: &cpu,
        network: &network,
        parameters: &parameters,
        features: digits.features(),
        targets: Some(Targets::Classes(digits.labels())),
        labels: None,
        chunk: 500,
        watch: None,
    };

    // Is it read as it was meant? The figures of its author's package are in host/data/nets/README.md.
    let evaluation = problem.evaluate()?;
    let accuracy = accuracy(&evaluation.outputs, digits.labels());
    println!("accuracy {accuracy:.4}, mean loss {:.5}", evaluation.loss);
    assert_eq!(accuracy, 0.9505);
    assert!((evaluation.loss - 0.15240).abs() < 5e-6);

    // K-FAC of every layer, convolutions too (each position counts as a sample: expand).
    let factors = kronecker_factors(&problem, Columns::Type2, Sharing::Expand)?;
    let mut series = Vec::new();
    for (block, factors) in network.blocks().iter().zip(&factors) {
        let Some(factors) = factors else { continue };
        let summary = layer_summary(&cpu, block, factors)?;
        println!(
            "{:<8} {:>3} × {:<3}  largest eigenvalue {:>8.3}, effective rank {:>6.1} of {}",
            block.name,
            block.rows,
            block.cols,
            summary.largest,
            summary.effective_rank,
            block.len()
        );
        // The eigenvalues of G ⊗ A are the products of those of G and A.
        let basis = Eigenbasis::new(&cpu, block, factors)?;
        let products =
            basis.g_values.iter().flat_map(|g| basis.a_values.iter().map(move |a| g * a));
        let mut values: Vec<f64> = products.filter(|value| *value > 1e-12).collect();
        values.sort_by(|a, b| b.total_cmp(a));
        let points = values.iter().enumerate().map(|(i, value)| ((i + 1) as f64, *value)).collect();
        series.push(Series { label: block.name.clone(), points, dots: Vec::new() });
    }

    // The Gauss–Newton matrix of the whole network is never formed either: only products with it. Along a
    // direction v it says how much the outputs move, vᵀGv = mean of (Jv)ᵀ Λ (Jv), Λ = diag(p) − ppᵀ; and Jv
    // is a difference quotient of the outputs.
    let direction: Vec<f64> =
        (0..network.parameter_count()).map(|i| (0.37 * i as f64).sin() * 0.01).collect();
    let mut product = vec![0.0; direction.len()];
    NetworkOperator::new(&problem, Matrix::Ggn)?.apply(&mut product, &direction)?;
    let along: f64 = product.iter().zip(&direction).map(|(a, b)| a * b).sum();
    // Short, so that hardly a relu or maximum changes its side on the way.
    const STEP: f64 = 1e-6;
    let outputs = |h: f64| {
        let mut moved = parameters.clone();
        moved.values.iter_mut().zip(&direction).for_each(|(w, d)| *w += h * d);
        Problem { parameters: &moved, ..problem }.evaluate().map(|moved| moved.outputs)
    };
    let (ahead, behind) = (outputs(STEP)?, outputs(-STEP)?);
    let classes = network.outputs();
    let mut sum = 0.0;
    for (s, logits) in evaluation.outputs.chunks(classes).enumerate() {
        let total: f64 = logits.iter().map(|f| f.exp()).sum();
        let (mut mean, mut square) = (0.0, 0.0);
        for (c, f) in logits.iter().enumerate() {
            let slope = (ahead[s * classes + c] - behind[s * classes + c]) / (2.0 * STEP);
            mean += f.exp() / total * slope;
            square += f.exp() / total * slope * slope;
        }
        sum += square - mean * mean;
    }
    let measured = sum / digits.labels().len() as f64;
    println!("vᵀGv: {along:.8e} by the product, {measured:.8e} by the outputs");
    assert!((along / measured - 1.0).abs() < 1e-5);

    let out = uses::folder()?;
    let plot = LinePlot {
        title: "Eigenvalues of each layer's K-FAC block",
        subtitle: "a small convolutional network on 2,000 digits",
        x: LineAxis { label: "number", scale: Scale::Logarithmic, range: None },
        y: LineAxis { label: "eigenvalue", scale: Scale::Logarithmic, range: None },
        series: &series,
    };
    for file in lines(&plot, &out, "spectrum-of-layers")? {
        println!("{}", file.display());
    }
    Ok(())
}

/// The share of samples whose largest output is that of their label.
fn accuracy(outputs: &[f64], labels: &[usize]) -> f64 {
    let rows = outputs.chunks(outputs.len() / labels.len());
    let right = rows.zip(labels).filter(|(row, label)| row.iter().all(|f| *f <= row[**label]));
    right.count() as f64 / labels.len() as f64
}
