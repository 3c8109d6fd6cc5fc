//! 06 — natural gradient steps do not ask in which units the inputs are.
//!
//! Two programs learn the same layer of logistic neurons. One sees the inputs x̃, the other sees B x̃: other
//! units, mixed. Their weights differ so that they answer alike. After a step of gradient descent they
//! answer differently; after a step of natural gradient, (Ḡ)⁻¹g, still alike. That is what the metric is for.
//!
//! ```sh
//! cargo run --release -p relfisher-core --example 06_natural_gradient
//! ```

use relfisher_core::metric::cost::Route;
use relfisher_core::metric::layer::{NonlinearMetric, SolveOptions};
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::{Error, MatMut, MatRef, Portable, blas, optim};

const N: usize = 8;
const M: usize = 2;
const D: usize = 3;
/// Inputs [x ; 1], and what each neuron should answer; no line separates either.
const X: [f64; N * D] = [
    0.5, 1.2, 1.0, -1.0, 0.3, 1.0, 0.8, -0.7, 1.0, -0.4, -1.1, 1.0, //
    1.3, 0.2, 1.0, -0.6, 0.9, 1.0, 0.1, -0.3, 1.0, -1.5, -0.2, 1.0,
];
const Y: [f64; N * M] =
    [1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0];
/// The change of units.
const B: [f64; D * D] = [3.0, 0.5, 0.0, -0.2, 0.1, 0.4, 0.0, 0.0, 1.0];
/// The weights of the program that sees B x̃; the other has W B.
const W: [f64; M * D] = [0.1, -0.2, 0.0, 0.05, 0.3, -0.1];

#[derive(Clone, Copy, PartialEq)]
enum Method {
    Gradient,
    NaturalGradient,
}

fn main() -> Result<(), Error> {
    let (mut seen, mut other_weights) = ([0.0; N * D], [0.0; M * D]);
    let (x, b, w) = (MatRef::new(&X, N, D)?, MatRef::new(&B, D, D)?, MatRef::new(&W, M, D)?);
    blas::gemm(MatMut::new(&mut seen, N, D)?, 0.0, 1.0, x, b.t())?;
    blas::gemm(MatMut::new(&mut other_weights, M, D)?, 0.0, 1.0, w, b)?;

    for (method, name) in
        [(Method::Gradient, "gradient"), (Method::NaturalGradient, "natural gradient")]
    {
        let (mut first, mut second) = (other_weights, W);
        let mut apart = 0.0_f64;
        let mut norm = 0.0;
        for _ in 0..12 {
            norm = step(method, &X, &mut first)?;
            step(method, &seen, &mut second)?;
            let (p, q) = (answers(&X, &first)?, answers(&seen, &second)?);
            apart = p.iter().zip(&q).fold(apart, |m, (p, q)| m.max((p - q).abs()));
        }
        println!("{name:<17} answers apart by {apart:.1e}, last gradient {norm:.1e}");
        if method == Method::NaturalGradient {
            assert!(apart < 1e-12, "the step depends on the units");
            // For logistic neurons the metric is the Hessian of the loss: steps of length 1 converge.
            assert!(norm < 1e-12, "not at the minimum");
        } else {
            assert!(apart > 0.01 && norm > 1e-3);
        }
    }
    Ok(())
}

/// The probabilities that the neurons say 1.
fn answers(x: &[f64], w: &[f64]) -> Result<[f64; N * M], Error> {
    let (mut t, mut p) = ([0.0; N * M], [0.0; N * M]);
    let (x, w) = (MatRef::new(x, N, D)?, MatRef::new(w, M, D)?);
    blas::gemm(MatMut::new(&mut t, N, M)?, 0.0, 1.0, x, w.t())?;
    Activation::Sigm.value_slice(&mut p, &t)?;
    Ok(p)
}

/// One step of rate 1 on the mean cross-entropy; the norm of the gradient before it.
fn step(method: Method, x: &[f64], w: &mut [f64]) -> Result<f64, Error> {
    // ∂ℓ/∂t = p − y, so the gradient is (P − Y)ᵀX̃/n.
    let mut delta = answers(x, w)?;
    let nu = delta.map(|p: f64| Response::Sigm.nu((p / (1.0 - p)).ln()));
    delta.iter_mut().zip(Y).for_each(|(p, y)| *p -= y);
    let (inputs, delta) = (MatRef::new(x, N, D)?, MatRef::new(&delta, N, M)?);
    let mut gradient = [0.0; M * D];
    let mean = 1.0 / N as f64;
    blas::gemm(MatMut::new(&mut gradient, M, D)?, 0.0, mean, delta.t(), inputs)?;
    let norm = blas::vector::norm(&gradient);
    if method == Method::Gradient {
        optim::descend(w, &gradient, 1.0)?;
        return Ok(norm);
    }
    // λ = 0: only the block route does without damping, and only on a regular metric.
    const WORK: usize = NonlinearMetric::<f64>::solve_workspace_len(N, M, D, Route::Block);
    let metric = NonlinearMetric::new(inputs, MatRef::new(&nu, N, M)?)?;
    let (mut direction, mut work) = ([0.0; M * D], [0.0; WORK]);
    let (out, g) = (MatMut::new(&mut direction, M, D)?, MatRef::new(&gradient, M, D)?);
    metric.solve(&Portable, out, g, 0.0, SolveOptions::default(), &mut work)?;
    optim::descend(w, &direction, 1.0)?;
    Ok(norm)
}
