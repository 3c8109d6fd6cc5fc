//! Metrics of layers and curvature of samples: sums over samples and outcomes of outer products.

use super::input;
use super::inputs::{DAMPING, INPUTS, OUTPUTS, SAMPLES};
use super::neuron::NEURONS;
use crate::dense::{damped, dot, outer, product, solve, transpose};
use crate::double_double::Double;
use crate::tensors::Tensors;

/// The mean over the samples of Σ_y p(y) s sᵀ; `outcomes(x̃)` gives p and the score s.
pub(super) fn fisher<'a>(
    samples: impl Iterator<Item = &'a [f64]>,
    outcomes: impl Fn(&[f64]) -> Vec<(f64, Vec<f64>)>,
) -> Vec<f64> {
    let mut sum = Vec::new();
    for x in samples {
        for (p, score) in outcomes(x) {
            let q = score.len();
            sum.resize(q * q, 0.0);
            for (k, s) in sum.iter_mut().enumerate() {
                *s += p * score[k / q] * score[k % q] / SAMPLES as f64;
            }
        }
    }
    sum
}

/// softmax(u), in some 100 bits before it is rounded.
fn softmax(u: &[f64]) -> Vec<f64> {
    let powers: Vec<Double> = u.iter().map(|&u| Double::from(u).exp()).collect();
    let total = powers.iter().fold(Double::from(0.0), |sum, p| sum + *p);
    powers.iter().map(|p| (*p / total).hi).collect()
}

/// For each class y its probability and e_y − p, the derivative of ln p_y by the logits.
fn classes(logits: &[f64]) -> Vec<(f64, Vec<f64>)> {
    let p = softmax(logits);
    let score = |y: usize| {
        p.iter().enumerate().map(|(k, p)| f64::from(u8::from(k == y)) - p).collect::<Vec<f64>>()
    };
    (0..p.len()).map(|y| (p[y], score(y))).collect()
}

/// W̃x̃.
fn linear(w: &[f64], x: &[f64]) -> Vec<f64> {
    w.chunks_exact(x.len()).map(|w| dot(w, x)).collect()
}

/// The one outcome of a sample that is its own score.
pub(super) fn alone(row: &[f64]) -> Vec<(f64, Vec<f64>)> {
    vec![(1.0, row.to_vec())]
}

/// vec(δx̃ᵀ) of each sample, `delta` (n × m) being an input.
pub(super) fn gradients(inputs: &Tensors, delta: &str) -> Vec<Vec<f64>> {
    let rows = input(inputs, delta).chunks_exact(OUTPUTS);
    rows.zip(input(inputs, "in.x").chunks_exact(INPUTS)).map(|(d, x)| outer(d, x)).collect()
}

pub(super) fn expect(inputs: &Tensors, expected: &mut Tensors) {
    metrics(inputs, expected);
    curvature(inputs, expected);
}

/// `softmax`, `rfim.…`, `rfim_solve.…`, `output.hessian`.
fn metrics(inputs: &Tensors, expected: &mut Tensors) {
    let (n, m, d) = (SAMPLES, OUTPUTS, INPUTS);
    let (x, w) = (input(inputs, "in.x"), input(inputs, "in.w"));
    let samples = || x.chunks_exact(d);
    for neuron in NEURONS {
        let block = |w: &[f64]| {
            fisher(samples(), |x| {
                let outcomes = neuron.answering.outcomes(dot(w, x)).into_iter();
                outcomes
                    .map(|(p, score)| (p.hi, x.iter().map(|x| score.hi * x).collect()))
                    .collect()
            })
        };
        let blocks: Vec<f64> = w.chunks_exact(d).flat_map(block).collect();
        if neuron.name == "tanh" {
            let rows = blocks.chunks_exact(d * d).zip(input(inputs, "in.v").chunks_exact(d));
            let steps: Vec<f64> =
                rows.flat_map(|(block, v)| solve(&damped(block, d, DAMPING), v, d).0).collect();
            expected.insert("rfim_solve.block", &[m, d], steps.clone());
            expected.insert("rfim_solve.sample", &[m, d], steps);
        }
        expected.insert(format!("rfim.{}", neuron.name), &[m, d, d], blocks);
    }

    let softmax_rows = samples().flat_map(|x| softmax(&linear(w, x))).collect();
    expected.insert("softmax", &[n, m], softmax_rows);
    let full = fisher(samples(), |x| {
        classes(&linear(w, x)).into_iter().map(|(p, s)| (p, outer(&s, x))).collect()
    });
    expected.insert("rfim.softmax", &[m * d, m * d], full);
    let hessians = samples().flat_map(|x| {
        classes(&linear(w, x)).into_iter().fold(vec![0.0; m * m], |sum, (p, s)| {
            sum.iter().zip(outer(&s, &s)).map(|(sum, x)| sum + p * x).collect()
        })
    });
    expected.insert("output.hessian", &[n, m, m], hessians.collect());

    let c = input(inputs, "in.c");
    let two = fisher(samples(), |x| {
        let h: Vec<f64> = linear(w, x).iter().map(|t| t.tanh()).collect();
        let augmented: Vec<f64> = h.iter().copied().chain([1.0]).collect();
        let through = |score: &[f64]| {
            // ∂/∂t_i = (1 − h_i²) Σ_k score_k C_ki
            let back = |i: usize| -> f64 { (0..m).map(|k| score[k] * c[k * (m + 1) + i]).sum() };
            let back: Vec<f64> = (0..m).map(|i| (1.0 - h[i] * h[i]) * back(i)).collect();
            outer(&back, x)
        };
        classes(&linear(c, &augmented)).into_iter().map(|(p, s)| (p, through(&s))).collect()
    });
    expected.insert("rfim.two_layer", &[m * d, m * d], two);
}

/// `kfac.…`, `ef_block`, `ekfac.lambda`.
fn curvature(inputs: &Tensors, expected: &mut Tensors) {
    let (m, d) = (OUTPUTS, INPUTS);
    let (x, delta) = (input(inputs, "in.x"), input(inputs, "in.delta"));
    expected.insert("kfac.A", &[d, d], fisher(x.chunks_exact(d), alone));
    expected.insert("kfac.G", &[m, m], fisher(delta.chunks_exact(m), alone));
    let gradients: Vec<f64> = gradients(inputs, "in.delta").concat();
    expected.insert("ef_block", &[m * d, m * d], fisher(gradients.chunks_exact(m * d), alone));
    let (q_g, q_a) = (input(inputs, "in.q_g"), input(inputs, "in.q_a"));
    let squares = gradients.chunks_exact(m * d).fold(vec![0.0; m * d], |sum, gradient| {
        let left = product(&transpose(q_g, m, m), gradient, m, d);
        let rotated = product(&left, q_a, m, d);
        sum.iter().zip(rotated).map(|(sum, x): (&f64, f64)| sum + x * x / SAMPLES as f64).collect()
    });
    expected.insert("ekfac.lambda", &[m, d], squares);
}
