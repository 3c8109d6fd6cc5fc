//! The problems: numbers with few bits, exact in f32, pre-activations too.

use crate::dense::{damped, product, transpose};
use crate::tensors::Tensors;

/// n, the samples.
pub const SAMPLES: usize = 9;
/// m, the outputs: neurons or classes.
pub const OUTPUTS: usize = 4;
/// d̃, the inputs with the constant 1, which comes last.
pub const INPUTS: usize = 5;
/// λ of every damped solve.
pub const DAMPING: f64 = 0.125;

/// p of the fractional power.
pub const POWER: f64 = 0.25;
/// q, the share of the entries that a sparse gradient keeps.
pub const FRACTION: f64 = 0.375;
/// k, the dimension of the subspaces and the rank of the matrix of low rank.
pub const RANK: usize = 2;
/// The deviation to which the points of a spectral density are widened.
pub const DEVIATION: f64 = 0.5;
/// The weights that pruning removes, as places in vec(W̃).
pub const REMOVED: [usize; 6] = [1, 4, 8, 9, 13, 17];

/// The order of S.
const ORDER: usize = 8;

/// A linear congruential generator (Knuth's MMIX constants).
struct Random(u64);

impl Random {
    /// A multiple of 1/`parts` in [−1, 1].
    fn next(&mut self, parts: u64) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let integer = (self.0 >> 33) % (2 * parts + 1);
        (integer as f64 - parts as f64) / parts as f64
    }

    /// Elements of 5 bits: products and short sums are exact in f32.
    fn coarse(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| self.next(16)).collect()
    }

    /// Elements of 19 bits: exact themselves, while their products are rounded.
    fn fine(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| self.next(1 << 18)).collect()
    }

    /// BBᵀ/2 + I/2 with elements of B in multiples of 1/8: positive definite, exact in f32.
    fn positive(&mut self, n: usize) -> Vec<f64> {
        let b: Vec<f64> = (0..n * n).map(|_| self.next(8)).collect();
        let gram = product(&b, &transpose(&b, n, n), n, n);
        let half: Vec<f64> = gram.iter().map(|x| 0.5 * x).collect();
        damped(&half, n, 0.5)
    }
}

/// I − vvᵀ/2 for a v with |v|² = 4: orthogonal, exact.
fn reflection(n: usize, v: impl Fn(usize) -> f64) -> Vec<f64> {
    let at = |i: usize, j: usize| f64::from(u8::from(i == j)) - 0.5 * v(i) * v(j);
    (0..n * n).map(|k| at(k / n, k % n)).collect()
}

/// Pre-activations from −12 to 12 in steps of ⅛ around 0 (which is a kink of some functions), near 0,
/// and in the tails.
fn pre_activations() -> Vec<f64> {
    let mut t: Vec<f64> = (-96..96).map(|k| (2.0 * f64::from(k) + 1.0) / 16.0).collect();
    for tail in [1.0 / 1024.0, 1.0 / 32.0, 15.0, 20.0, 25.0, 30.0] {
        t.extend([-tail, tail]);
    }
    t
}

/// All inputs, by name.
pub(super) fn tensors() -> Tensors {
    let (n, m, d) = (SAMPLES, OUTPUTS, INPUTS);
    let mut random = Random(2017);
    let mut all = Tensors::default();
    let t = pre_activations();
    all.insert("in.t", &[t.len()], t);
    let mut x = random.coarse(n * d);
    x.iter_mut().skip(d - 1).step_by(d).for_each(|x| *x = 1.0);
    all.insert("in.x", &[n, d], x);
    all.insert("in.w", &[m, d], random.coarse(m * d));
    all.insert("in.c", &[m, m + 1], random.coarse(m * (m + 1)));
    all.insert("in.delta", &[n, m], random.fine(n * m));
    all.insert("in.v", &[m, d], random.fine(m * d));
    for (name, order) in [("in.g", m), ("in.h", m), ("in.a", d), ("in.b", d), ("in.s", ORDER)] {
        all.insert(name, &[order, order], random.positive(order));
    }
    all.insert("in.r", &[ORDER, 3], random.fine(ORDER * 3));
    all.insert("in.q_g", &[m, m], reflection(m, |_| 1.0));
    all.insert("in.q_a", &[d, d], reflection(d, |i| if i == 1 { 0.0 } else { 1.0 }));
    all.insert("in.q_b", &[d, d], reflection(d, |i| if i == 3 { 0.0 } else { 1.0 }));
    // Their mean is not zero: gradients with a signal.
    let drift = random.coarse(n * m).into_iter().map(|x| 0.5 + 0.5 * x);
    all.insert("in.drift", &[n, m], drift.collect());
    all.insert("in.grid", &[9], (0..9).map(|k| f64::from(k) * 1.25 - 1.0).collect());
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dense::identity;

    #[test]
    fn inputs_are_exact_in_single_precision() {
        for (name, tensor) in tensors().0 {
            let exact = tensor.data.iter().all(|&x| f64::from(x as f32) == x);
            assert!(exact, "{name}");
            assert_eq!(tensor.data.len(), tensor.shape.iter().product::<usize>(), "{name}");
            let coarse = tensor.data.iter().all(|x| (x * 1024.0).fract() == 0.0 && x.abs() < 32.0);
            let fine = ["in.delta", "in.v", "in.r"].contains(&name.as_str());
            assert_eq!(coarse, !fine, "{name}: 15 bits at most, so that products of two are exact");
        }
        for (name, n) in [("in.q_g", OUTPUTS), ("in.q_a", INPUTS), ("in.q_b", INPUTS)] {
            let q = &tensors().0[name].data;
            assert_eq!(product(q, &transpose(q, n, n), n, n), identity(n));
        }
    }
}
