//! 01 — one neuron: the metric of its weights in closed form.
//!
//! A neuron t = wᵀx̃ answers with a random y, p(y | t). How much a change of w changes that answer is the
//! *relative* Fisher information metric of w, relative to the input x̃ that the neuron happens to see:
//!
//! g(w | x̃) = E_y[∂ln p/∂w · (∂ln p/∂w)ᵀ] = ν(t) x̃x̃ᵀ.
//!
//! All that the kind of neuron decides is the number ν(t); core has it in closed form.
//!
//! ```sh
//! cargo run --release -p relfisher-core --example 01_neuron
//! ```

use relfisher_core::metric::neuron::Response;

/// Weights [w ; b] of a neuron with two inputs; the bias comes last.
const W: [f64; 3] = [0.5, -1.0, 0.25];
/// The input x̃ = [x ; 1].
const X: [f64; 3] = [2.0, 1.0, 1.0];

fn main() {
    // The closed form: one pre-activation, one number, an outer product.
    let t = dot(&W, &X);
    let nu = Response::Tanh.nu(t); // sech² t
    println!("t = {t}, ν = {nu:.6}, g = ν x̃x̃ᵀ =");
    for a in X {
        println!("  {:?}", X.map(|b| format!("{:.6}", nu * a * b)));
    }

    // The definition: the neuron says y = 1 with probability (1 + tanh t)/2, else −1. Two outcomes are
    // quickly summed, and the score ∂ln p/∂w is a difference quotient; no formula of core takes part.
    let mut worst: f64 = 0.0;
    for (a, first) in X.iter().enumerate() {
        for (b, second) in X.iter().enumerate() {
            let expected: f64 = [1.0, -1.0]
                .into_iter()
                .map(|y| probability(y, &W) * score(y, a) * score(y, b))
                .sum();
            worst = worst.max((nu * first * second - expected).abs());
        }
    }
    println!("largest distance from E[∂ln p ∂ln pᵀ]: {worst:.1e}");
    assert!(worst < 1e-9, "the closed form is not the definition: {worst}");

    // ν of other neurons. Where a neuron is saturated or switched off its weights do not matter: ν → 0,
    // and a step that is measured in this metric may be long there.
    let sigm: Response<f64> = Response::Sigm;
    let relu = Response::Relu { leak: 0.0, smoothing: 1.0, sigma: 1.0 };
    println!("{:>6} {:>12} {:>12} {:>12}", "t", "tanh", "sigm", "relu");
    for t in [-30.0, -2.0, 0.0, 2.0, 30.0] {
        let (a, b, c) = (Response::Tanh.nu(t), sigm.nu(t), relu.nu(t));
        println!("{t:>6} {a:>12.4e} {b:>12.4e} {c:>12.4e}");
    }
    // 1 − tanh² 30 is 0 in double precision; sech² 30 = 4e⁻⁶⁰ to the last digits is not.
    let tail = Response::Tanh.nu(30.0) / (4.0 * (-60.0_f64).exp());
    assert!((tail - 1.0).abs() < 1e-14, "{tail}");
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// p(y | w, x̃).
fn probability(y: f64, w: &[f64]) -> f64 {
    (1.0 + y * dot(w, &X).tanh()) / 2.0
}

/// ∂ln p(y)/∂w_a by a central difference.
fn score(y: f64, a: usize) -> f64 {
    let at = |h: f64| {
        let mut w = W;
        w[a] += h;
        probability(y, &w).ln()
    };
    let h = 1e-5;
    (at(h) - at(-h)) / (2.0 * h)
}
