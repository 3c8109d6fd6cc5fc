//! 05 — K-FAC: a layer's block as one Kronecker product.
//!
//! The gradient of sample s is δ_s x̃_sᵀ, so a block of the Fisher matrix is the mean of δδᵀ ⊗ x̃x̃ᵀ. K-FAC takes
//! the mean of each side by itself, G ⊗ A with G = mean δδᵀ and A = mean x̃x̃ᵀ. Whose δ? Here those of every
//! label, weighted by its probability (`type2`): the columns of a root of the loss Hessian at the outputs.
//! With one sample nothing is approximated; with more, G ⊗ A misses what δ and x̃ have to do with each other.
//!
//! ```sh
//! cargo run --release -p relfisher-core --example 05_kfac_factors
//! ```

use relfisher_core::curvature::OutputLoss;
use relfisher_core::metric::layer::{LayerMetric, SoftmaxMetric, dense_workspace_len};
use relfisher_core::{Backend, Error, MatMut, MatRef, Portable, kron};

/// Samples, classes, inputs with the bias, parameters.
const N: usize = 4;
const C: usize = 3;
const D: usize = 3;
const SIZE: usize = C * D;
const X: [f64; N * D] = [0.9, -1.4, 1.0, -0.2, 1.3, 1.0, 1.6, 0.4, 1.0, -1.1, -0.8, 1.0];
const W: [f64; SIZE] = [0.7, -0.4, 0.1, -0.9, 0.5, 0.3, 0.2, 0.6, -0.5];

fn main() -> Result<(), Error> {
    for samples in [1, N] {
        let x = MatRef::new(&X, samples, D)?;
        let eta = probabilities(samples, &W);
        let eta = MatRef::new(&eta, samples, C)?;

        // A = X̃ᵀX̃/n, and G summed over the columns √η_c (e_c − η) of the root.
        let (mut a, mut g, mut column) = ([0.0; D * D], [0.0; C * C], [0.0; N * C]);
        let mean = 1.0 / samples as f64;
        Portable.gram(MatMut::new(&mut a, D, D)?, 0.0, mean, x, None, &mut [])?;
        let loss = OutputLoss::SoftmaxCrossEntropy;
        for c in 0..loss.root_columns(C) {
            loss.hessian_root(MatMut::new(&mut column, samples, C)?, eta, c)?;
            let delta = MatRef::new(&column, samples, C)?;
            // β = 0 for the first column: what G held before is not read.
            let beta = if c == 0 { 0.0 } else { 1.0 };
            Portable.gram(MatMut::new(&mut g, C, C)?, beta, mean, delta, None, &mut [])?;
        }

        // Formed only to look at it.
        let mut kfac = [0.0; SIZE * SIZE];
        let (g, a) = (MatRef::new(&g, C, C)?, MatRef::new(&a, D, D)?);
        kron::materialise(MatMut::new(&mut kfac, SIZE, SIZE)?, g, a)?;
        // The exact block: the relative Fisher metric of a soft-max layer.
        let mut exact = [0.0; SIZE * SIZE];
        let mut work = [0.0; dense_workspace_len(N, D)];
        let metric = SoftmaxMetric::new(x, eta)?;
        metric.dense(&Portable, MatMut::new(&mut exact, SIZE, SIZE)?, &mut work)?;

        // And the judge: second differences of the loss itself. For one layer of soft-max the Fisher matrix
        // is the Hessian, whatever the labels.
        let judge = hessian(samples);
        let (of_exact, of_kfac) = (distance(&exact, &judge), distance(&kfac, &judge));
        println!("{samples} samples: exact {of_exact:.1e}, K-FAC {of_kfac:.1e} from the Hessian");
        assert!(of_exact < 1e-6);
        assert_eq!(of_kfac < 1e-6, samples == 1, "exact for one sample, an approximation for more");
        assert!(of_kfac < 1.0, "nearer than the zero matrix");
    }
    Ok(())
}

/// The soft-max of W̃x̃ for every sample.
fn probabilities(samples: usize, w: &[f64; SIZE]) -> [f64; N * C] {
    let mut eta = [0.0; N * C];
    for (x, eta) in X.chunks(D).zip(eta.chunks_mut(C)).take(samples) {
        for (w, e) in w.chunks(D).zip(&mut *eta) {
            *e = w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>().exp();
        }
        let sum: f64 = eta.iter().sum();
        eta.iter_mut().for_each(|e| *e /= sum);
    }
    eta
}

/// The mean cross-entropy; the label of sample s is s mod C.
fn loss(samples: usize, w: &[f64; SIZE]) -> f64 {
    let eta = probabilities(samples, w);
    let terms = (0..samples).map(|s| -eta[s * C + s % C].ln());
    terms.sum::<f64>() / samples as f64
}

fn hessian(samples: usize) -> [f64; SIZE * SIZE] {
    const H: f64 = 1e-4;
    core::array::from_fn(|k| {
        let at = |first: f64, second: f64| {
            let mut w = W;
            w[k / SIZE] += first * H;
            w[k % SIZE] += second * H;
            loss(samples, &w)
        };
        (at(1.0, 1.0) - at(1.0, -1.0) - at(-1.0, 1.0) + at(-1.0, -1.0)) / (4.0 * H * H)
    })
}

/// ‖a − b‖/‖b‖ in the Frobenius norm.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let squares = |pairs: &mut dyn Iterator<Item = f64>| pairs.map(|x| x * x).sum::<f64>().sqrt();
    squares(&mut a.iter().zip(b).map(|(a, b)| a - b)) / squares(&mut b.iter().copied())
}
