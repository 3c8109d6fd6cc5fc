//! What the removal of weights costs, and the best weights without them: quadratic forms and Schur
//! complements of dense matrices.

use super::input;
use super::inputs::{DAMPING, INPUTS, OUTPUTS, REMOVED};
use super::metric::{alone, fisher, gradients};
use crate::dense::{damped, dot, identity, kronecker, part, product, solve};
use crate::tensors::Tensors;

/// The minimum of ½ δᵀHδ over δ with δ_q = −w_q for the q in `removed`: w + δ, and the minimum.
fn without(h: &[f64], w: &[f64], removed: &[usize]) -> (Vec<f64>, f64) {
    let p = w.len();
    let free: Vec<usize> = (0..p).filter(|j| !removed.contains(j)).collect();
    let gone: Vec<f64> = removed.iter().map(|q| w[*q]).collect();
    let pull = product(&part(h, p, (&free, removed)), &gone, free.len(), 1);
    let moved = solve(&part(h, p, (&free, &free)), &pull, free.len()).0;
    let mut delta = vec![0.0; p];
    removed.iter().for_each(|q| delta[*q] = -w[*q]);
    free.iter().zip(&moved).for_each(|(j, x)| delta[*j] = *x);
    let cost = 0.5 * dot(&delta, &product(h, &delta, p, 1));
    (w.iter().zip(&delta).map(|(w, delta)| w + delta).collect(), cost)
}

/// `prune.…`.
pub(super) fn expect(inputs: &Tensors, expected: &mut Tensors) {
    let (m, d) = (OUTPUTS, INPUTS);
    let p = m * d;
    let w = input(inputs, "in.v");
    let mut put =
        |name: &str, data: Vec<f64>| expected.insert(format!("prune.{name}"), &[m, d], data);
    let (g, a) = (input(inputs, "in.g"), input(inputs, "in.a"));
    let full = kronecker(g, a, m, d);
    // All other weights stay.
    let alone_gone = |q: usize| {
        let delta: Vec<f64> = (0..p).map(|j| if j == q { -w[q] } else { 0.0 }).collect();
        0.5 * dot(&delta, &product(&full, &delta, p, 1))
    };
    put("obd", (0..p).map(alone_gone).collect());
    let split = kronecker(&damped(g, m, DAMPING), &damped(a, d, DAMPING), m, d);
    put("obs", (0..p).map(|q| without(&split, w, &[q]).1).collect());
    put("obs_weights", without(&split, w, &REMOVED[..1]).0);
    put("obs_joint", without(&damped(&full, p, DAMPING), w, &REMOVED).0);
    let rows = gradients(inputs, "in.delta").concat();
    let fisher = damped(&fisher(rows.chunks_exact(p), alone), p, DAMPING);
    put("woodfisher_weights", without(&fisher, w, &REMOVED).0);
    expected.insert("prune.woodfisher", &[p, p], solve(&fisher, &identity(p), p).0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_that_is_known_by_hand() {
        // H = [2 1; 1 2]: without w_1 the best w_0 is w_0 + w_1/2, at ¾ w_1².
        let (w, cost) = without(&[2.0, 1.0, 1.0, 2.0], &[1.0, 1.0], &[1]);
        assert_eq!((w, cost), (vec![1.5, 0.0], 0.75));
    }
}
