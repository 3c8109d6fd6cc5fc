//! Steps of a network in training: by groups of layers, with an eigenspace of an earlier batch, for the
//! scale and shift of normalised channels; and what a step says about the damping.

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
/// The changes of (W̃, C) that are judged, as multiples of the gradient; `None`: V for both. Of the fall
/// that the quadratic model promises they bring more than ¾, between ¼ and ¾, and less than ¼.
pub const CHANGES: [Option<f64>; 3] = [Some(-0.5), None, Some(-2.0)];
/// ω: what λ is multiplied by for one step with a good model.
pub const DECAY: f64 = 0.95;
/// The steps between two changes of λ.
pub const INTERVAL: u64 = 5;

pub(super) fn expect(inputs: &Tensors, expected: &mut Tensors) {
    mixed(inputs, expected);
    recycled(inputs, expected);
    channels(inputs, expected);
    adapted(inputs, expected);
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
    mean_half_square(&residuals(inputs, |i| f64::from(u8::from(i == k)), 0.0))
}

/// f − y for every sample and output at (vec W̃, vec C) + length·δ, with its derivative along δ.
fn residuals(inputs: &Tensors, change: impl Fn(usize) -> f64, length: f64) -> Vec<Dual> {
    let (m, d) = (OUTPUTS, INPUTS);
    let number = |x: f64| Dual::constant(Double::from(x));
    let along = |i: usize| Dual::variable(length).times_number(change(i));
    let both = input(inputs, "in.w").iter().chain(input(inputs, "in.c"));
    let weights: Vec<Dual> = both.enumerate().map(|(i, &w)| number(w).plus(along(i))).collect();
    let (w, c) = weights.split_at(m * d);
    let apply = |w: &[Dual], x: &[Dual]| {
        let terms = w.iter().zip(x).map(|(w, x)| w.times(*x));
        terms.fold(number(0.0), Dual::plus)
    };
    let samples =
        input(inputs, "in.x").chunks_exact(d).zip(input(inputs, "in.delta").chunks_exact(m));
    samples
        .flat_map(|(x, y)| {
            let x: Vec<Dual> = x.iter().map(|x| number(*x)).collect();
            let hidden = w.chunks_exact(d).map(|w| Function::Tanh.of(apply(w, &x)));
            let hidden: Vec<Dual> = hidden.chain([number(1.0)]).collect();
            let rows = c.chunks_exact(d).zip(y);
            rows.map(|(c, y)| apply(c, &hidden).minus(number(*y))).collect::<Vec<Dual>>()
        })
        .collect()
}

/// The mean over the samples of half the square.
fn mean_half_square(residuals: &[Dual]) -> Dual {
    let zero = Dual::constant(Double::from(0.0));
    let total = residuals.iter().fold(zero, |sum, e| sum.plus(e.times(*e).times_number(0.5)));
    total.over(Dual::constant(Double::from(SAMPLES as f64)))
}

/// `step.reduction_ratio` and `step.damping`: the loss before and after each change as it is, and the
/// promise of the model with the outputs linear along the change.
fn adapted(inputs: &Tensors, expected: &mut Tensors) {
    let count = 2 * OUTPUTS * INPUTS;
    let gradient: Vec<f64> = (0..count).map(|k| loss(inputs, k).slope.hi).collect();
    let v = input(inputs, "in.v");
    let ratios = CHANGES.map(|multiple| {
        let change = |i: usize| match multiple {
            Some(multiple) => multiple * gradient[i],
            None => v[i % v.len()],
        };
        let [before, after] = [0.0, 1.0].map(|length| residuals(inputs, change, length));
        let linear = before.iter().map(|e| Dual::constant(e.value + e.slope));
        let promised = mean_half_square(&linear.collect::<Vec<Dual>>());
        let before = mean_half_square(&before);
        mean_half_square(&after).minus(before).over(promised.minus(before)).value.hi
    });
    let shrunk = (0..INTERVAL).fold(1.0, |product, _| product * DECAY);
    let dampings = ratios.map(|ratio| match ratio {
        ratio if ratio > 0.75 => DAMPING * shrunk,
        ratio if ratio < 0.25 => DAMPING / shrunk,
        _ => DAMPING,
    });
    expected.insert("step.reduction_ratio", &[ratios.len()], ratios.to_vec());
    expected.insert("step.damping", &[dampings.len()], dampings.to_vec());
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

    /// The three changes are of three kinds, and none is near a threshold.
    #[test]
    fn a_change_is_good_fair_or_bad() {
        let ladder = Ladder::new();
        let ratios = input(&ladder.expected, "step.reduction_ratio");
        let kinds = [0.9..1.1, 0.35..0.65, 0.05..0.2];
        assert!(ratios.iter().zip(kinds).all(|(r, kind)| kind.contains(r)), "{ratios:?}");
        let dampings = input(&ladder.expected, "step.damping");
        assert!(dampings[0] < dampings[1] && dampings[1] < dampings[2], "{dampings:?}");
    }
}
