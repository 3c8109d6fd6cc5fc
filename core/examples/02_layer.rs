//! 02 — a layer: one packed block for each neuron.
//!
//! The neurons of a layer answer independently, so its metric is block diagonal: neuron i has
//! Ḡ_i = (1/n) Σ_s ν(t_si) x̃_s x̃_sᵀ, the mean over n samples. `NonlinearMetric` borrows inputs and ν and
//! forms nothing until asked; core allocates nothing, every array is yours.
//!
//! ```sh
//! cargo run --release -p relfisher-core --example 02_layer
//! ```

use relfisher_core::metric::layer::{LayerMetric, NonlinearMetric};
use relfisher_core::metric::neuron::Response;
use relfisher_core::metric::route::block;
use relfisher_core::{Error, MatMut, MatRef, Portable, blas, kron};

/// Samples, neurons, inputs with the bias.
const N: usize = 4;
const M: usize = 2;
const D: usize = 3;
/// The elements of a packed block: the lower triangle, row by row.
const P: usize = kron::packed_len(D);

/// One sample [x ; 1] a row.
const X: [f64; N * D] = [0.5, -1.0, 1.0, 1.5, 0.3, 1.0, -0.7, 0.9, 1.0, -1.2, -0.4, 1.0];
/// One neuron [w ; b] a row.
const W: [f64; M * D] = [0.8, -0.5, 0.1, -0.3, 1.1, -0.6];

fn main() -> Result<(), Error> {
    // T = X̃ W̃ᵀ (n × m), then ν of every entry. Outputs come first, then inputs, then scratch.
    let (x, w) = (MatRef::new(&X, N, D)?, MatRef::new(&W, M, D)?);
    let (mut t, mut nu) = ([0.0; N * M], [0.0; N * M]);
    blas::gemm(MatMut::new(&mut t, N, M)?, 0.0, 1.0, x, w.t())?;
    Response::Tanh.nu_slice(&mut nu, &t)?;
    let metric = NonlinearMetric::new(x, MatRef::new(&nu, N, M)?)?;

    // All blocks at once, packed. The length of the scratch is known to the compiler.
    let mut blocks = [0.0; M * P];
    let mut work = [0.0; blas::packed_grams_workspace_len(N, M, D)];
    block::build(&Portable, MatMut::new(&mut blocks, M, P)?, &metric, 0.0, &mut work)?;
    for (i, block) in blocks.chunks(P).enumerate() {
        println!("block of neuron {i}, lower triangle: {block:.4?}");
    }

    // What the blocks mean: along a small change δ of the weights the answers move by
    // KL(w ‖ w + δ) = ½ ⟨δ, δ⟩ + O(δ³). The left side is summed over the outcomes, without the metric.
    let delta = [0.3, -0.2, 0.5, 0.4, 0.1, -0.6].map(|v| v * 1e-4);
    let mut work = [0.0; 32];
    assert!(metric.multiply_workspace_len() <= work.len());
    let square = metric.quadratic_form(&Portable, MatRef::new(&delta, M, D)?, &mut work)?;
    let moved = mean_divergence(&delta);
    println!("½⟨δ, δ⟩ = {:.6e}, KL(w ‖ w + δ) = {moved:.6e}", square / 2.0);
    assert!((moved / (square / 2.0) - 1.0).abs() < 1e-3);

    // The packed blocks give the same length: Σ_i δ_iᵀ Ḡ_i δ_i, entry (a, b) at a(a + 1)/2 + b, a ≥ b.
    let mut by_blocks = 0.0;
    for i in 0..M {
        for a in 0..D {
            for b in 0..D {
                let entry = blocks[i * P + kron::packed_index(a.max(b), a.min(b))];
                by_blocks += delta[i * D + a] * entry * delta[i * D + b];
            }
        }
    }
    assert!((by_blocks / square - 1.0).abs() < 1e-12);
    Ok(())
}

/// The mean over the samples of Σ_i KL(answer of neuron i at w ‖ at w + δ).
fn mean_divergence(delta: &[f64; M * D]) -> f64 {
    let mut sum = 0.0;
    for x in X.chunks(D) {
        for (w, delta) in W.chunks(D).zip(delta.chunks(D)) {
            let t: f64 = w.iter().zip(x).map(|(w, x)| w * x).sum();
            let moved: f64 = delta.iter().zip(x).map(|(d, x)| d * x).sum();
            for y in [1.0, -1.0] {
                // p(y | t + h)/p(y | t) = 1 + y (tanh(t + h) − tanh t)/(1 + y tanh t)
                let change = y * ((t + moved).tanh() - t.tanh()) / (1.0 + y * t.tanh());
                sum -= (1.0 + y * t.tanh()) / 2.0 * change.ln_1p();
            }
        }
    }
    sum / N as f64
}
