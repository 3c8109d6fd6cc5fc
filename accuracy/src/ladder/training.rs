//! Steps of a network in training: by groups of layers, with an eigenspace of an earlier batch, and for the
//! scale and shift of normalised channels.

use super::dual::Dual;
use super::input;
use super::inputs::{DAMPING, INPUTS, OUTPUTS, POWER, SAMPLES};
use super::metric::{alone, fisher};
use super::neuron::Function;
use crate::dense::{
    damped, dot, eigen, function, identity, kronecker, outer, part, product, solve, sum,
};
use crate::double_double::Double;
use crate::tensors::Tensors;

/// The learning rate of the first group.
pub const RATE: f64 = 0.5;
/// The inputs whose leading 2 × 2 corners are the blocks of channels.
pub const CHANNELS: [&str; OUTPUTS] = ["in.g", "in.h", "in.a", "in.b"];

pub(super) fn expect(inputs: &Tensors, expected: &mut Tensors) {
    mixed(inputs, expected);
    recycled(inputs, expected);
    channels(inputs, expected);
}

/// `step.mixed` of C tanh(W̃x̃) with the loss ½|f − y|², y the rows of δ.
fn mixed(inputs: &Tensors, expected: &mut Tensors) {
    let (m, d) = (OUTPUTS, INPUTS);
    let (w, c) = (input(inputs, "in.w"), input(inputs, "in.c"));
    let gradient: Vec<f64> = (0..2 * m * d).map(|k| loss(inputs, k).slope.hi).collect();
    let hidden = |x: &[f64]| -> Vec<f64> {
        let rows = w.chunks_exact(d);
        rows.map(|w| dot(w, x).tanh()).chain([1.0]).collect()
    };
    // Output k has the derivative e_k ⊗ h̃ along vec C, and the loss has the Hessian I.
    let curvature = fisher(input(inputs, "in.x").chunks_exact(d), |x| {
        let h = hidden(x);
        identity(m).chunks_exact(m).map(|e| (1.0, outer(e, &h))).collect()
    });
    let (first, second) = gradient.split_at(m * d);
    let step = solve(&damped(&curvature, m * d, DAMPING), second, m * d).0;
    let moved = w.iter().zip(first).map(|(w, g)| w - RATE * g);
    let all = moved.chain(c.iter().zip(step).map(|(c, s)| c - s));
    expected.insert("step.mixed", &[2, m, d], all.collect());
}

/// The mean loss with its derivative along element k of (vec W̃, vec C).
fn loss(inputs: &Tensors, k: usize) -> Dual {
    let (m, d) = (OUTPUTS, INPUTS);
    let number = |x: f64| Dual::constant(Double::from(x));
    let both = input(inputs, "in.w").iter().chain(input(inputs, "in.c"));
    let weights: Vec<Dual> = both
        .enumerate()
        .map(|(i, &w)| if i == k { Dual::variable(w) } else { number(w) })
        .collect();
    let (w, c) = weights.split_at(m * d);
    let apply = |w: &[Dual], x: &[Dual]| {
        let terms = w.iter().zip(x).map(|(w, x)| w.times(*x));
        terms.fold(number(0.0), Dual::plus)
    };
    let samples =
        input(inputs, "in.x").chunks_exact(d).zip(input(inputs, "in.delta").chunks_exact(m));
    let total = samples.fold(number(0.0), |total, (x, y)| {
        let x: Vec<Dual> = x.iter().map(|x| number(*x)).collect();
        let hidden = w.chunks_exact(d).map(|w| Function::Tanh.of(apply(w, &x)));
        let hidden: Vec<Dual> = hidden.chain([number(1.0)]).collect();
        c.chunks_exact(d).zip(y).fold(total, |total, (c, y)| {
            let away = apply(c, &hidden).minus(number(*y));
            total.plus(away.times(away).times_number(0.5))
        })
    });
    total.over(number(SAMPLES as f64))
}

/// `step.recycled` of the layer W̃x̃ with the same loss: its Gauss–Newton matrix is I ⊗ (1/n) Σ x̃x̃ᵀ, and
/// every eigenvalue of the second factor comes m times; two of them are kept.
fn recycled(inputs: &Tensors, expected: &mut Tensors) {
    let (m, d) = (OUTPUTS, INPUTS);
    let (values, q) = eigen(&fisher(input(inputs, "in.x").chunks_exact(d), alone), d);
    let kept = (d - 2..d).fold(vec![0.0; d * d], |kept, k| {
        let q: Vec<f64> = q.iter().skip(k).step_by(d).copied().collect();
        sum(&kept, &outer(&q, &q).iter().map(|x| values[k] * x).collect::<Vec<f64>>())
    });
    let whole = damped(&kronecker(&identity(m), &kept, m, d), m * d, DAMPING);
    expected.insert("step.recycled", &[m, d], solve(&whole, input(inputs, "in.v"), m * d).0);
}

/// `step.channels`: (B_c + λI)⁻ᵖ v_c, v_c the first two elements of a row of V.
fn channels(inputs: &Tensors, expected: &mut Tensors) {
    let steps =
        CHANNELS.iter().zip(input(inputs, "in.v").chunks_exact(INPUTS)).flat_map(|(name, v)| {
            let matrix = input(inputs, name);
            let block = part(matrix, matrix.len().isqrt(), (&[0, 1], &[0, 1]));
            product(&function(&damped(&block, 2, DAMPING), 2, |s| s.powf(-POWER)), &v[..2], 2, 1)
        });
    expected.insert("step.channels", &[OUTPUTS, 2], steps.collect());
}

#[cfg(test)]
mod tests {
    use super::super::Ladder;
    use super::*;

    #[test]
    fn a_gradient_is_the_slope_of_the_loss() {
        let mut inputs = Ladder::new().inputs;
        for (k, name, at) in [(3, "in.w", 3), (29, "in.c", 9)] {
            let slope = loss(&inputs, k).slope.hi;
            let h = 2.0_f64.powi(-12);
            let mut shifted = |by: f64| {
                let mut data = input(&inputs, name).to_vec();
                data[at] += by;
                let kept = inputs.get(name).expect("an input").clone();
                inputs.insert(name, &kept.shape, data);
                let value = loss(&inputs, k).value.hi;
                inputs.insert(name, &kept.shape, kept.data);
                value
            };
            let difference = (shifted(h) - shifted(-h)) / (2.0 * h);
            assert!((difference - slope).abs() < 1e-6, "{name}: {difference}, {slope}");
        }
    }
}
