//! Digits as their sparse gradients, without a label: how alike are two classes?
//!
//! A trained network (13,090 parameters) embeds 1,000 digits by the gradient of the loss against the
//! uniform target, each layer cut to its largest 15 %, in the arithmetic metric; the Hessian kernel of
//! all pairs, as cosines, is averaged over the pairs of classes and drawn.
//!
//! ```sh
//! cargo run --release -p relfisher --example sparse_embedding
//! ```
//!
//! Draws into runs/examples/sparse_embedding (or the folder given).

mod uses;

use std::path::Path;

use relfisher::curvature::{Memory, Problem};
use relfisher::dataset::Split;
use relfisher::embedding::{Request, Target, embed};
use relfisher::executor::{Choice, Engine};
use relfisher::format::load_parameters;
use relfisher::network::{Architecture, Network};
use relfisher::plot::class_table;
use relfisher_core::sparse::QuasiMean;

const SAMPLES: usize = 1000;

fn main() -> Result<(), relfisher::Error> {
    let nets = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/nets");
    let network = Network::from_architecture(&Architecture::load(&nets.join("ml_digits.json"))?)?;
    let parameters = load_parameters::<f32>(&network, &nets.join("ml_digits.safetensors"))?;
    let digits = Split::<f32>::bundled()?.test.first(SAMPLES)?;
    let engine = Engine::with_precision(Choice::Cpu, None, None)?;
    let problem = Problem {
        executor: engine.executor(),
        network: &network,
        parameters: &parameters,
        features: digits.features(),
        targets: None,
        labels: None,
        chunk: 512,
        watch: None,
    };
    let embedding = embed(
        &problem,
        &Request {
            target: Target::Uniform,
            fraction: 0.15,
            mean: QuasiMean::Arithmetic,
            damping: 1e-6,
            kernel: true,
            joint: false,
            memory: Memory { limit: 1 << 30 },
        },
    )?;
    let kernel = embedding.kernel.unwrap_or_default();
    let length = |s: usize| f64::from(kernel[s * SAMPLES + s]).sqrt();
    let (labels, classes) = (digits.labels(), digits.classes());
    let (mut sums, mut counts) = (vec![0.0; classes * classes], vec![0.0; classes * classes]);
    for s in 0..SAMPLES {
        for t in (0..SAMPLES).filter(|t| *t != s) {
            let pair = labels[s] * classes + labels[t];
            sums[pair] += f64::from(kernel[s * SAMPLES + t]) / (length(s) * length(t));
            counts[pair] += 1.0;
        }
    }
    let means: Vec<f64> = sums.iter().zip(&counts).map(|(sum, n)| sum / n).collect();
    let diagonal = |at: usize| at / classes == at % classes;
    let average = |own: bool| {
        let chosen: Vec<f64> =
            (0..means.len()).filter(|at| diagonal(*at) == own).map(|at| means[at]).collect();
        chosen.iter().sum::<f64>() / chosen.len() as f64
    };
    println!(
        "{} entries a digit of {} parameters, {:.1} MiB; mean cosine {:.3} within a class, {:.3} \
         between two",
        embedding.rows.values.len() / SAMPLES,
        network.parameter_count(),
        embedding.rows.bytes() as f64 / f64::from(1 << 20),
        average(true),
        average(false)
    );
    let dir = uses::folder()?;
    let title = "Mean cosine of sparse gradient embeddings, by digit";
    for file in class_table(title, &means, classes, &dir, "sparse-embedding")? {
        println!("{}", file.display());
    }
    Ok(())
}
