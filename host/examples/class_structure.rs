//! Where the largest eigenvalues of the Hessian come from: the space of ten vectors, a mean gradient for
//! each class, beside that of the ten largest eigenvectors, over training.
//!
//! ```sh
//! cargo run --release -p relfisher --example class_structure
//! ```
//!
//! V. Papyan (2019, *Measurements of Three-Level Hierarchical Structure in the Outliers in the Spectrum of
//! Deepnet Hessians*) takes the C largest eigenvalues to those of Σ_c w_c δ_c δ_cᵀ. δ_c is the mean of
//! Jᵢᵀ(e_k − pᵢ) over the samples i of class c and the other classes k, weighted by pᵢₖ; as
//! Σ_k pᵢₖ(e_k − pᵢ) = 0, it is up to its length Σᵢ pᵢ_c ∇ℓᵢ: one pass back for each class. Also: how much of
//! gᵀHg, g the gradient, the projection onto the top space keeps. Writes classes.svg and .png into
//! runs/examples/class_structure (or the folder given).

mod uses;

use std::time::Instant;

use relfisher::Error;
use relfisher::curvature::{Matrix, NetworkOperator, Problem};
use relfisher::executor::Cpu;
use relfisher::network::{Cotangents, Mode, Tape, Targets};
use relfisher::plot::{Line, Panel, Panels, Scale, line_panels};
use relfisher::spectrum::{ExtremalOptions, Which, extremal};
use relfisher_core::MatRef;
use relfisher_core::optim::inner_product;
use relfisher_core::stats::{subspace_overlap, subspace_share};

const EPOCHS: [usize; 7] = [0, 1, 2, 4, 8, 16, 32];
const CLASSES: usize = 10;
const SAMPLES: usize = 1000;

/// Σᵢ pᵢ_c ∇ℓᵢ over the samples of each class c, divided by their number: C rows.
fn class_gradients(problem: &Problem<'_, f64>, labels: &[usize]) -> Result<Vec<f64>, Error> {
    let Problem { executor, network, parameters, features, .. } = *problem;
    let mut all = vec![0.0; CLASSES * network.parameter_count()];
    for (class, out) in all.chunks_exact_mut(network.parameter_count()).enumerate() {
        let own: Vec<usize> = (0..labels.len()).filter(|s| labels[*s] == class).collect();
        let mut tape = Tape::new(network, own.len());
        tape.gather(features, &own)?;
        network.forward(executor, parameters, Mode::Inference, &mut tape)?;
        let mut cotangents = Cotangents::new(network, own.len(), 1);
        let mut rows = cotangents.output_mut(0, own.len());
        for s in 0..own.len() {
            let p = tape.probabilities().row(s);
            for (k, out) in rows.row_mut(s).iter_mut().enumerate() {
                *out = p[class] * (p[k] - f64::from(u8::from(k == class)));
            }
        }
        network.pull_back(executor, parameters, &tape, &mut cotangents, Some(out))?;
    }
    Ok(all)
}

/// Gram and Schmidt's process, twice; all rows are independent.
fn orthonormalise(rows: &mut [f64], width: usize) -> Result<(), Error> {
    for at in (0..rows.len()).step_by(width) {
        let (done, rest) = rows.split_at_mut(at);
        let row = &mut rest[..width];
        for other in done.chunks_exact(width).chain(done.chunks_exact(width)) {
            let along = inner_product(row, other)?;
            row.iter_mut().zip(other).for_each(|(x, y)| *x -= along * y);
        }
        let length = inner_product(row, row)?.sqrt();
        row.iter_mut().for_each(|x| *x /= length);
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    let split = uses::digits()?;
    let data = uses::Digits::pooled(&split.train, 3000, 2)?;
    let network = uses::network(&[data.width, 24, CLASSES])?;
    let (out, exec, count) = (uses::folder()?, Cpu::new(None)?, network.parameter_count());
    let labels = &data.labels[..SAMPLES];
    let names = ["classes and eigenvectors", "curvature in the classes", "g·Hg by projection"];
    let mut lines = names.map(|name| Line { label: name.to_owned(), points: Vec::new() });
    println!(
        "{count} parameters; epochs: overlap of class gradients and top {CLASSES} eigenvectors;"
    );
    println!("curvature along the first over the sum of the eigenvalues; gradient in the second;");
    println!("gᵀHg by projection onto them; seconds of both, products of the eigenvectors");
    for epochs in EPOCHS {
        let parameters = uses::train(&network, &exec, &data, (epochs, 0.02, 1e-4))?;
        let problem = Problem {
            executor: &exec,
            network: &network,
            parameters: &parameters,
            features: data.features()?.sub(0, 0, SAMPLES, data.width)?,
            targets: Some(Targets::Classes(labels)),
            labels: None,
            chunk: SAMPLES,
            watch: None,
        };
        let started = Instant::now();
        let mut classes = class_gradients(&problem, labels)?;
        orthonormalise(&mut classes, count)?;
        let quick = started.elapsed().as_secs_f64();
        let started = Instant::now();
        let mut hessian = NetworkOperator::new(&problem, Matrix::Hessian)?;
        let options = ExtremalOptions { tolerance: 1e-6, ..ExtremalOptions::default() };
        let which = Which::Largest(CLASSES);
        let pairs = extremal(&mut hessian, &exec, which, &options, &mut |_| {})?;
        let slow = started.elapsed().as_secs_f64();

        let (u, v) =
            (MatRef::new(&classes, CLASSES, count)?, MatRef::new(&pairs.vectors, CLASSES, count)?);
        let mut product = vec![0.0; count];
        let mut form = |x: &[f64]| -> Result<f64, Error> {
            hessian.apply(&mut product, x)?;
            Ok(inner_product(x, &product)?)
        };
        let mut curvature = 0.0;
        for row in classes.chunks_exact(count) {
            curvature += form(row)?;
        }
        let gradient = problem.evaluate()?.gradient;
        let (whole, mut projected) = (form(&gradient)?, 0.0);
        for (value, vector) in pairs.values.iter().zip(pairs.vectors.chunks_exact(count)) {
            projected += value * inner_product(vector, &gradient)?.powi(2);
        }
        let overlap = subspace_overlap(u, v)?;
        let (share, kept) = (curvature / pairs.values.iter().sum::<f64>(), projected / whole);
        println!(
            "{epochs:>3}: {overlap:.3} {share:.3} {:.3} {kept:.3}; {quick:.4} s, {slow:.2} s, {}",
            subspace_share(v, &gradient)?,
            pairs.products
        );
        for (line, y) in lines.iter_mut().zip([overlap, share, kept]) {
            line.points.push(((epochs + 1) as f64, y));
        }
    }
    let panel = Panel { title: String::new(), scale: Scale::Linear, lines: lines.to_vec() };
    let panels = Panels {
        title: "Class gradients and the top of the Hessian".to_owned(),
        x: "epochs + 1",
        x_scale: Scale::Logarithmic,
        panels: vec![panel],
    };
    for picture in line_panels(&panels, &out, "classes")? {
        println!("{}", picture.display());
    }
    Ok(())
}
