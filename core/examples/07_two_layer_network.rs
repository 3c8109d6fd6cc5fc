//! 07 — a network of two layers, learned by relative natural gradient in sample space.
//!
//! Each layer is a subsystem with a metric of its own: Ḡ_i of the tanh neurons below, the soft-max metric
//! above. At every step both are inverted exactly, in systems of the size of the batch, and nothing larger
//! is ever formed. Forward and backward pass are written out; the whole program lives on the stack.
//!
//! ```sh
//! cargo run --release -p relfisher-core --example 07_two_layer_network
//! ```

use relfisher_core::blas::gemm;
use relfisher_core::metric::layer::{LayerMetric, NonlinearMetric, SoftmaxMetric};
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::metric::route::sample;
use relfisher_core::{Error, MatMut, MatRef, Portable, optim};

/// Samples, inputs and hidden neurons with the bias, hidden neurons, classes.
const N: usize = 24;
const D: usize = 3;
const M: usize = 8;
const K: usize = M + 1;
const C: usize = 2;
/// W̃ (m × d̃) first, then C̃ (C × k).
const LOWER: usize = M * D;
const SIZE: usize = LOWER + C * K;
const RATE: f64 = 0.5;
const LAMBDA: f64 = 0.01;

/// What a pass leaves.
struct Pass {
    loss: f64,
    t: [f64; N * M],
    h: [f64; N * K],
    eta: [f64; N * C],
    gradient: [f64; SIZE],
}

fn main() -> Result<(), Error> {
    // Two half-moons that interlock; sample s belongs to class s mod 2.
    let x: [f64; N * D] = core::array::from_fn(|k| {
        let (s, side) = (k / D, if (k / D).is_multiple_of(2) { 1.0 } else { -1.0 });
        let angle = (s / 2) as f64 * core::f64::consts::PI / (N / 2 - 1) as f64;
        [side * (angle.cos() - 0.5), side * (angle.sin() - 0.25), 1.0][k % D]
    });
    // Small weights, none like another.
    let mut theta: [f64; SIZE] = core::array::from_fn(|i| 0.5 * (1.7 * i as f64 + 0.3).sin());
    let mut by_gradient = theta;
    let start = pass(&x, &theta)?;

    // The backward pass against difference quotients of the loss.
    let mut worst = 0.0_f64;
    for i in 0..SIZE {
        let at = |h: f64| {
            let mut theta = theta;
            theta[i] += h;
            pass(&x, &theta).map(|pass| pass.loss)
        };
        let slope = (at(1e-5)? - at(-1e-5)?) / 2e-5;
        worst = worst.max((slope - start.gradient[i]).abs());
    }
    println!("gradient: {worst:.1e} from difference quotients");
    assert!(worst < 1e-9);

    for round in 0..60 {
        let now = pass(&x, &theta)?;
        let step = natural(&x, &now)?;
        optim::descend(&mut theta, &step, RATE)?;
        let rival = pass(&x, &by_gradient)?;
        optim::descend(&mut by_gradient, &rival.gradient, RATE)?;
        if round % 15 == 0 {
            println!("step {round:>2}: loss {:.4}, by plain gradient {:.4}", now.loss, rival.loss);
        }
    }
    let (end, rival) = (pass(&x, &theta)?, pass(&x, &by_gradient)?);
    let right = |pass: &Pass| (0..N).filter(|s| pass.eta[s * C + s % C] > 0.5).count();
    println!(
        "after 60 steps: loss {:.4}, {} of {N} right; by plain gradient {:.4}, {}",
        end.loss,
        right(&end),
        rival.loss,
        right(&rival)
    );
    assert!(right(&end) == N && end.loss < 0.1 * rival.loss);
    Ok(())
}

/// Forward and backward over the whole batch.
fn pass(x: &[f64; N * D], theta: &[f64; SIZE]) -> Result<Pass, Error> {
    let (x, w) = (MatRef::new(x, N, D)?, MatRef::new(&theta[..LOWER], M, D)?);
    let upper = MatRef::new(&theta[LOWER..], C, K)?;
    let (mut t, mut h, mut eta) = ([0.0; N * M], [1.0; N * K], [0.0; N * C]);
    gemm(MatMut::new(&mut t, N, M)?, 0.0, 1.0, x, w.t())?;
    for (h, t) in h.chunks_mut(K).zip(t.chunks(M)) {
        Activation::Tanh.value_slice(&mut h[..M], t)?;
    }
    let hidden = MatRef::new(&h, N, K)?;
    gemm(MatMut::new(&mut eta, N, C)?, 0.0, 1.0, hidden, upper.t())?;
    let (mut loss, mut delta) = (0.0, [0.0; N * C]);
    for (s, (eta, delta)) in eta.chunks_mut(C).zip(delta.chunks_mut(C)).enumerate() {
        eta.iter_mut().for_each(|u| *u = u.exp());
        let sum: f64 = eta.iter().sum();
        eta.iter_mut().for_each(|e| *e /= sum);
        loss -= eta[s % C].ln() / N as f64;
        delta.copy_from_slice(eta);
        delta[s % C] -= 1.0; // ∂ℓ/∂u = η − e_y
    }
    let mut gradient = [0.0; SIZE];
    let (below, above) = gradient.split_at_mut(LOWER);
    let delta = MatRef::new(&delta, N, C)?;
    gemm(MatMut::new(above, C, K)?, 0.0, 1.0 / N as f64, delta.t(), hidden)?;
    let mut back = [0.0; N * M];
    gemm(MatMut::new(&mut back, N, M)?, 0.0, 1.0, delta, upper.sub(0, 0, C, M)?)?;
    Activation::Tanh.backward_slice(&mut back, &t)?;
    gemm(MatMut::new(below, M, D)?, 0.0, 1.0 / N as f64, MatRef::new(&back, N, M)?.t(), x)?;
    Ok(Pass { loss, t, h, eta, gradient })
}

/// (Ḡ + λI)⁻¹g of each layer, multiplied back by the metric to see that it is.
fn natural(x: &[f64; N * D], pass: &Pass) -> Result<[f64; SIZE], Error> {
    let (mut step, mut nu) = ([0.0; SIZE], [0.0; N * M]);
    Response::Tanh.nu_slice(&mut nu, &pass.t)?;
    let hidden = NonlinearMetric::new(MatRef::new(x, N, D)?, MatRef::new(&nu, N, M)?)?;
    let output = SoftmaxMetric::new(MatRef::new(&pass.h, N, K)?, MatRef::new(&pass.eta, N, C)?)?;
    let (below, above) = step.split_at_mut(LOWER);
    let g = MatRef::new(&pass.gradient[..LOWER], M, D)?;
    let mut work = [0.0; sample::workspace_len(N, M, D)];
    sample::solve(&Portable, MatMut::new(below, M, D)?, &hidden, g, LAMBDA, &mut work)?;
    let g = MatRef::new(&pass.gradient[LOWER..], C, K)?;
    let mut work = [0.0; sample::softmax_workspace_len(N, C)];
    sample::softmax_solve(&Portable, MatMut::new(above, C, K)?, &output, g, LAMBDA, &mut work)?;

    let mut back = [0.0; SIZE];
    let mut work = [0.0; N * (M + C)];
    let (low, high) = back.split_at_mut(LOWER);
    let v = MatRef::new(&step[..LOWER], M, D)?;
    hidden.multiply(&Portable, MatMut::new(low, M, D)?, v, &mut work)?;
    let v = MatRef::new(&step[LOWER..], C, K)?;
    output.multiply(&Portable, MatMut::new(high, C, K)?, v, &mut work)?;
    for ((back, step), g) in back.iter().zip(&step).zip(&pass.gradient) {
        assert!((back + LAMBDA * step - g).abs() < 1e-12, "not the damped step");
    }
    Ok(step)
}
