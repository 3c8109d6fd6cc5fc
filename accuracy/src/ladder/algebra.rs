//! Kronecker products as dense matrices, and factorisations by plain loops.

use super::input;
use super::inputs::{DAMPING, INPUTS, OUTPUTS, POWER};
use crate::dense::{
    cholesky, damped, eigen, function, identity, kronecker, product, solve, sum, trace,
};
use crate::tensors::Tensors;

pub(super) fn expect(inputs: &Tensors, expected: &mut Tensors) {
    kronecker_products(inputs, expected);
    factorisations(inputs, expected);
}

/// `kron.…`.
fn kronecker_products(inputs: &Tensors, expected: &mut Tensors) {
    let (m, d) = (OUTPUTS, INPUTS);
    let p = m * d;
    let [g, h, a, b] = ["in.g", "in.h", "in.a", "in.b"].map(|name| input(inputs, name));
    let v = input(inputs, "in.v");
    let mut put =
        |name: &str, data: Vec<f64>| expected.insert(format!("kron.{name}"), &[m, d], data);
    let full = kronecker(g, a, m, d);
    let exact = damped(&full, p, DAMPING);
    put("apply", product(&full, v, p, 1));
    let (step, log_determinant) = solve(&exact, v, p);
    put("solve_exact", step);
    put("inverse_root", product(&function(&exact, p, |s| 1.0 / s.sqrt()), v, p, 1));
    put("fractional_power", product(&function(&exact, p, |s| s.powf(-POWER)), v, p, 1));
    let split = |on_g: f64, on_a: f64| {
        let both = kronecker(&damped(g, m, on_g), &damped(a, d, on_a), m, d);
        solve(&both, v, p).0
    };
    put("solve_factored", split(DAMPING, DAMPING));
    // π = √((tr A/dim A)/(tr G/dim G)); √λ/π on G, π√λ on A.
    let mean = |x: &[f64], n: usize| trace(x, n) / n as f64;
    let pi = (mean(a, d) / mean(g, m)).sqrt();
    put("solve_pi", split(DAMPING.sqrt() / pi, pi * DAMPING.sqrt()));
    put("sum_solve", solve(&sum(&full, &kronecker(h, b, m, d)), v, p).0);
    expected.insert("kron.log_determinant", &[1], vec![log_determinant]);
}

/// `factor.…`.
fn factorisations(inputs: &Tensors, expected: &mut Tensors) {
    let (s, r) = (input(inputs, "in.s"), input(inputs, "in.r"));
    let n = s.len().isqrt();
    let mut put = |name: &str, shape: &[usize], data: Vec<f64>| {
        expected.insert(format!("factor.{name}"), shape, data);
    };
    let (values, vectors) = eigen(s, n);
    put("eigenvalues", &[n], values);
    put("eigenvectors", &[n, n], vectors);
    put("cholesky", &[n, n], cholesky(s, n));
    let above = damped(s, n, DAMPING);
    put("solve", &[n, r.len() / n.max(1)], solve(&above, r, n).0);
    put("inverse", &[n, n], solve(&above, &identity(n), n).0);
    put("inverse_fourth_root", &[n, n], function(&above, n, |s| s.powf(-0.25)));
}
