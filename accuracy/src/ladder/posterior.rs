//! Laplace posteriors, steps in sample space, matrices of low rank, averages over workers: dense matrices
//! and elimination, the evidence of a linear model, the theorem on determinants.

use super::input;
use super::inputs::{DAMPING, INPUTS, OUTPUTS, RANK, SAMPLES};
use super::metric::{alone, fisher, gradients};
use crate::dense::{
    damped, dot, function, identity, kronecker, outer, product, solve, sum, trace, transpose,
};
use crate::tensors::Tensors;

pub(super) fn expect(inputs: &Tensors, expected: &mut Tensors) {
    kronecker_posterior(inputs, expected);
    linear_model(inputs, expected);
    low_rank(inputs, expected);
    steps(inputs, expected);
}

/// c·A.
fn times(a: &[f64], c: f64) -> Vec<f64> {
    a.iter().map(|a| c * a).collect()
}

/// `laplace.…` of the precision N·(G ⊗ A) + τI with τ = λ.
fn kronecker_posterior(inputs: &Tensors, expected: &mut Tensors) {
    let (n, m, d) = (SAMPLES, OUTPUTS, INPUTS);
    let p = m * d;
    let curvature = times(&kronecker(input(inputs, "in.g"), input(inputs, "in.a"), m, d), n as f64);
    let precision = damped(&curvature, p, DAMPING);
    let (covariance, log_determinant) = solve(&precision, &identity(p), p);
    expected.insert("laplace.log_determinant", &[1], vec![log_determinant]);
    let effective = trace(&solve(&precision, &curvature, p).0, p);
    expected.insert("laplace.effective_parameters", &[1], vec![effective]);
    // Output c of the layer W̃x̃ has the derivative e_c ⊗ x̃.
    let outputs = input(inputs, "in.x").chunks_exact(d).flat_map(|x| {
        let jacobian = kronecker_rows(m, x);
        let right = product(&covariance, &transpose(&jacobian, m, p), p, m);
        product(&jacobian, &right, m, m)
    });
    expected.insert("laplace.predictive", &[n, m, m], outputs.collect());
    expected.insert("laplace.covariance", &[p, p], covariance);
}

/// I_m ⊗ x̃ᵀ.
fn kronecker_rows(m: usize, x: &[f64]) -> Vec<f64> {
    identity(m).chunks_exact(m).flat_map(|e| outer(e, x)).collect()
}

/// `laplace.log_marginal`: y = X̃θ + noise of variance 1, θ ~ N(0, I/τ), so y ~ N(0, I + X̃X̃ᵀ/τ).
fn linear_model(inputs: &Tensors, expected: &mut Tensors) {
    let n = SAMPLES;
    let x = input(inputs, "in.x");
    let y: Vec<f64> = input(inputs, "in.delta").iter().step_by(OUTPUTS).copied().collect();
    let gram = product(x, &transpose(x, n, INPUTS), n, n);
    let (white, log_determinant) = solve(&damped(&times(&gram, 1.0 / DAMPING), n, 1.0), &y, n);
    let constant = n as f64 * std::f64::consts::TAU.ln();
    let evidence = -0.5 * (dot(&y, &white) + log_determinant + constant);
    expected.insert("laplace.log_marginal", &[1], vec![evidence]);
}

/// `low_rank.…` of C = Σ s_i v_i v_iᵀ, v_i the first rows of Q_A and s_i the first of A's diagonal.
fn low_rank(inputs: &Tensors, expected: &mut Tensors) {
    let d = INPUTS;
    let (q, a) = (input(inputs, "in.q_a"), input(inputs, "in.a"));
    let terms = (0..RANK).map(|i| times(&outer(&q[i * d..][..d], &q[i * d..][..d]), a[i * d + i]));
    let c = terms.fold(vec![0.0; d * d], |total, term| sum(&total, &term));
    let whole = damped(&c, d, DAMPING);
    let v = input(inputs, "in.v");
    let columns = transpose(v, OUTPUTS, d);
    let (step, log_determinant) = solve(&whole, &columns, d);
    expected.insert("low_rank.step", &[OUTPUTS, d], transpose(&step, d, OUTPUTS));
    let root = product(&function(&whole, d, |s| 1.0 / s.sqrt()), &columns, d, OUTPUTS);
    expected.insert("low_rank.root", &[OUTPUTS, d], transpose(&root, d, OUTPUTS));
    expected.insert("low_rank.log_determinant", &[1], vec![log_determinant]);
}

/// `step.…`: exact steps of the mean matrix.
fn steps(inputs: &Tensors, expected: &mut Tensors) {
    let (m, d) = (OUTPUTS, INPUTS);
    let v = input(inputs, "in.v");
    let empirical = fisher(gradients(inputs, "in.delta").concat().chunks_exact(m * d), alone);
    let whole = damped(&empirical, m * d, DAMPING);
    expected.insert("step.sample_space", &[m, d], solve(&whole, v, m * d).0);
    let length = dot(v, v) / dot(v, &product(&whole, v, m * d, 1));
    expected.insert("step.length", &[1], vec![length]);
    let gram = fisher(input(inputs, "in.x").chunks_exact(d), alone);
    let step = solve(&damped(&gram, d, DAMPING), &v[..d], d).0;
    expected.insert("step.determinantal", &[d], step);
}
