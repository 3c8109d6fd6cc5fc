//! Statistics of the gradients of samples, subspaces, and spectra: sums over dense gradients and pairs of
//! samples, projectors as dense matrices, eigendecompositions.

use super::input;
use super::inputs::{DEVIATION, INPUTS, OUTPUTS, RANK};
use super::metric::gradients;
use crate::dense::{dot, eigen, function, product, sum, trace, transpose};
use crate::tensors::Tensors;

/// `stats.…`.
pub(super) fn expect(inputs: &Tensors, expected: &mut Tensors) {
    samples(inputs, expected);
    subspaces(inputs, expected);
    spectra(inputs, expected);
}

fn length(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    dot(a, b) / (length(a) * length(b))
}

/// What a mini-batch says about its own noise.
fn samples(inputs: &Tensors, expected: &mut Tensors) {
    let u = gradients(inputs, "in.drift");
    let n = u.len() as f64;
    let mean = u.iter().fold(vec![0.0; OUTPUTS * INPUTS], |total, u| sum(&total, u));
    let mean: Vec<f64> = mean.iter().map(|g| g / n).collect();
    let average = |of: &dyn Fn(&[f64]) -> f64| u.iter().map(|u| of(u)).sum::<f64>() / n;
    // About the mean, and over pairs of different samples: unbiased without any correction.
    let about = |u: &[f64]| u.iter().zip(&mean).map(|(u, g)| (u - g) * (u - g)).sum::<f64>();
    let variance = average(&about) * n / (n - 1.0);
    let pairs = u.iter().enumerate().flat_map(|(s, a)| {
        u.iter().enumerate().filter(move |(t, _)| *t != s).map(|(_, b)| dot(a, b))
    });
    let signal = pairs.sum::<f64>() / (n * (n - 1.0));
    let mut put = |name: &str, data: Vec<f64>| {
        expected.insert(format!("stats.{name}"), &[data.len()], data);
    };
    put("square_norms", u.iter().map(|u| dot(u, u)).collect());
    put("products", u.iter().map(|u| dot(u, &mean)).collect());
    put("mean_norm", vec![average(&length)]);
    put("second_moment", vec![average(&|u| dot(u, u))]);
    put("variance", vec![variance]);
    put("signal", vec![signal]);
    put("noise_scale", vec![variance / signal]);
    put("signal_to_noise", vec![n * signal / variance]);
    put("alignment", vec![average(&|u| cosine(u, &mean))]);
}

/// Gradients against spaces, spaces against each other, matrices against matrices.
fn subspaces(inputs: &Tensors, expected: &mut Tensors) {
    let d = INPUTS;
    let mut put = |name: &str, value: f64| {
        expected.insert(format!("stats.{name}"), &[1], vec![value]);
    };
    let v = input(inputs, "in.v");
    let (first, second) = (&v[..d], &v[d..2 * d]);
    put("cosine", cosine(first, second));
    // UᵀU for the first rows of an orthogonal matrix.
    let projector = |name: &str| {
        let rows = &input(inputs, name)[..RANK * d];
        product(&transpose(rows, RANK, d), rows, d, d)
    };
    let (u, other) = (projector("in.q_a"), projector("in.q_b"));
    put("subspace_share", dot(first, &product(&u, first, d, 1)) / dot(first, first));
    put("subspace_overlap", trace(&product(&u, &other, d, d), d) / RANK as f64);
    let (a, b) = (input(inputs, "in.a"), input(inputs, "in.b"));
    let inner = |a: &[f64], b: &[f64]| trace(&product(&transpose(a, d, d), b, d, d), d);
    let apart: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    put("frobenius_error", (inner(&apart, &apart) / inner(b, b)).sqrt());
    put("frobenius_cosine", inner(a, b) / (inner(a, a) * inner(b, b)).sqrt());
}

/// A spectrum seen from one vector.
fn spectra(inputs: &Tensors, expected: &mut Tensors) {
    let (s, grid) = (input(inputs, "in.s"), input(inputs, "in.grid"));
    let n = s.len().isqrt();
    let start: Vec<f64> = input(inputs, "in.r").iter().step_by(3).copied().collect();
    let log = product(&function(s, n, f64::ln), &start, n, 1);
    let quadrature = dot(&start, &log) / dot(&start, &start);
    expected.insert("stats.quadrature", &[1], vec![quadrature]);
    let (values, q) = eigen(s, n);
    let parts = product(&transpose(&q, n, n), &start, n, 1);
    let density = |t: &f64| -> f64 {
        let points = values.iter().zip(&parts).map(|(value, part)| {
            let z = (t - value) / DEVIATION;
            part * part / dot(&start, &start) * (-0.5 * z * z).exp()
        });
        points.sum::<f64>() / (DEVIATION * std::f64::consts::TAU.sqrt())
    };
    expected.insert("stats.density", &[grid.len()], grid.iter().map(density).collect());
}

#[cfg(test)]
mod tests {
    use super::super::Ladder;

    #[test]
    fn the_gradients_have_a_signal() {
        let ladder = Ladder::new();
        let of = |name: &str| ladder.expected.0[name].data[0];
        assert!(
            of("stats.signal") > 0.1 * of("stats.variance"),
            "a noise scale that means something"
        );
        assert!((0.05..0.95).contains(&of("stats.subspace_share")));
        assert!((0.05..0.95).contains(&of("stats.subspace_overlap")));
        // Two expressions of one number: E|u|² = |G|² + tr Σ.
        let both = of("stats.signal") + of("stats.variance");
        assert!((both - of("stats.second_moment")).abs() < 1e-14, "{both}");
    }
}
