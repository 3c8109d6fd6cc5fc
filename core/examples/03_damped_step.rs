//! 03 — damping, and the exact step by three routes.
//!
//! The natural gradient is (Ḡ + λI)⁻¹ g: the gradient, measured in the metric. λ keeps the step short where
//! the samples say nothing. Three routes give the same numbers at different costs: Cholesky factors of the
//! packed blocks; systems of the size of the batch (Woodbury); conjugate gradients, which never form a block.
//! A cost model chooses where you do not.
//!
//! ```sh
//! cargo run --release -p relfisher-core --example 03_damped_step
//! ```

use relfisher_core::metric::cost::Route;
use relfisher_core::metric::layer::{NonlinearMetric, SolveOptions};
use relfisher_core::{Error, MatMut, MatRef, Portable};

/// Samples, neurons, inputs with the bias: fewer samples than inputs, so that Ḡ is singular.
const N: usize = 3;
const M: usize = 4;
const D: usize = 6;
const LAMBDA: f64 = 0.05;

fn main() -> Result<(), Error> {
    // Any numbers do; ν ≥ 0, and 0 is allowed: that neuron is off for that sample.
    let x: [f64; N * D] = numbers(1, -1.0, 1.0);
    let mut nu: [f64; N * M] = numbers(2, 0.0, 1.0);
    nu[5] = 0.0;
    let gradient: [f64; M * D] = numbers(3, -1.0, 1.0);
    let metric = NonlinearMetric::new(MatRef::new(&x, N, D)?, MatRef::new(&nu, N, M)?)?;
    let g = MatRef::new(&gradient, M, D)?;

    // Scratch for the greediest of the routes; each says what it needs.
    const WORK: usize = {
        let block = NonlinearMetric::<f64>::solve_workspace_len(N, M, D, Route::Block);
        let sample = NonlinearMetric::<f64>::solve_workspace_len(N, M, D, Route::Sample);
        let free = NonlinearMetric::<f64>::solve_workspace_len(N, M, D, Route::ConjugateGradient);
        let two = if block > sample { block } else { sample };
        if two > free { two } else { free }
    };
    let mut work = [0.0; WORK];
    for route in [Route::Block, Route::Sample, Route::ConjugateGradient] {
        let options = SolveOptions { route: Some(route), ..SolveOptions::default() };
        let mut step = [f64::NAN; M * D]; // outputs may hold anything
        let out = MatMut::new(&mut step, M, D)?;
        metric.solve(&Portable, out, g, LAMBDA, options, &mut work)?;
        let residual = residual(&x, &nu, &gradient, &step);
        println!("{route:?}: step {:.4?} …, residual {residual:.1e}", &step[..3]);
        // Conjugate gradients stop at a tolerance of their own, 1e-10 of the right side by default.
        let allowed = if route == Route::ConjugateGradient { 1e-8 } else { 1e-13 };
        assert!(residual < allowed, "{route:?}: {residual}");
    }
    println!("the cost model takes {:?}", NonlinearMetric::<f64>::route(N, M, D, None, true));

    // Without damping there is no step, and the error says which pivot vanished.
    let mut step = [0.0; M * D];
    let options = SolveOptions { route: Some(Route::Block), ..SolveOptions::default() };
    let refused =
        metric.solve(&Portable, MatMut::new(&mut step, M, D)?, g, 0.0, options, &mut work);
    println!("λ = 0: {}", refused.expect_err("three samples cannot fix six weights"));
    Ok(())
}

/// The largest entry of (Ḡ_i + λI) z_i − g_i over all neurons, from the definition of Ḡ_i in plain loops.
fn residual(x: &[f64], nu: &[f64], g: &[f64], z: &[f64]) -> f64 {
    let mut worst: f64 = 0.0;
    for i in 0..M {
        for a in 0..D {
            let mut sum = LAMBDA * z[i * D + a] - g[i * D + a];
            for s in 0..N {
                for b in 0..D {
                    let entry = nu[s * M + i] * x[s * D + a] * x[s * D + b] / N as f64;
                    sum += entry * z[i * D + b];
                }
            }
            worst = worst.max(sum.abs());
        }
    }
    worst
}

/// Numbers between `low` and `high` that look random: fractions of multiples of the golden ratio.
fn numbers<const K: usize>(seed: u32, low: f64, high: f64) -> [f64; K] {
    let phase = f64::from(seed) * 0.377;
    core::array::from_fn(|i| {
        let x = (i as f64 * 0.618_033_988_749_895 + phase) * (1.0 + 0.1 * i as f64);
        low + (high - low) * x.fract()
    })
}
