//! A small network over any number type, for derivatives by dual numbers, and its batch in numbers.

use relfisher_core::curvature::OutputLoss;
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::oracle::dual::{Number, gradient};
use relfisher_tests::random::Random;

pub(crate) const LOSSES: [OutputLoss<f64>; 3] = [
    OutputLoss::SoftmaxCrossEntropy,
    OutputLoss::Mse { scale: 0.7 },
    OutputLoss::BinaryCrossEntropy,
];

/// The loss of one sample; the label is class 0 or the target `0.3·index`, whichever applies.
pub(crate) fn loss<N: Number>(kind: OutputLoss<f64>, f: &[N]) -> N {
    match kind {
        OutputLoss::SoftmaxCrossEntropy => N::log_sum_exp(f) - f[0],
        OutputLoss::Mse { scale } => {
            let errors = f.iter().enumerate().map(|(j, f)| f.shift(-0.3 * j as f64));
            N::sum(&errors.map(|e| e * e).collect::<Vec<N>>()).scale(scale)
        }
        OutputLoss::BinaryCrossEntropy => {
            // −y ln sigm f − (1 − y) ln sigm(−f) with y = 1 for even j, 0 for odd
            let one =
                |j: usize, f: &N| if j.is_multiple_of(2) { -f.ln_sigm() } else { -(-*f).ln_sigm() };
            N::sum(&f.iter().enumerate().map(|(j, f)| one(j, f)).collect::<Vec<N>>())
        }
    }
}

/// What the routines call probabilities.
pub(crate) fn probabilities(kind: OutputLoss<f64>, f: &[f64]) -> Vec<f64> {
    match kind {
        OutputLoss::BinaryCrossEntropy => f.iter().map(|f| f.sigm()).collect(),
        _ => f.iter().map(|v| (v - f64::log_sum_exp(f)).exp()).collect(),
    }
}

/// Layers [W | b], tanh between them, none after the last.
pub(crate) struct Net {
    pub(crate) weights: Vec<Matrix>,
}

impl Net {
    pub(crate) fn new(sizes: &[usize], random: &mut Random) -> Self {
        let layer = |p: &[usize], random: &mut Random| {
            let data = random.normals::<f64>(p[1] * (p[0] + 1));
            Matrix::new(p[1], p[0] + 1, data).scaled(1.0 / (p[0] as f64).sqrt())
        };
        let weights = sizes.windows(2).map(|p| layer(p, random)).collect();
        Self { weights }
    }

    /// The outputs from the pre-activation of layer `from` on.
    pub(crate) fn above<N: Number>(&self, from: usize, h: &[N]) -> Vec<N> {
        let mut h = h.to_vec();
        for w in &self.weights[from + 1..] {
            let a: Vec<N> = h.iter().map(|h| h.tanh()).collect();
            h = affine(w, &a);
        }
        h
    }

    /// The pre-activations of all layers for the input x.
    pub(crate) fn forward(&self, x: &[f64]) -> Vec<Vec<f64>> {
        let mut a = x.to_vec();
        let mut all = Vec::new();
        for w in &self.weights {
            let h = affine(w, &a);
            a = h.iter().map(|h| h.tanh()).collect();
            all.push(h);
        }
        all
    }

    /// ∂ℓ/∂a at the activations of layer `of`, whose pre-activations are h.
    pub(crate) fn activation_gradient(
        &self,
        kind: OutputLoss<f64>,
        of: usize,
        h: &[f64],
    ) -> Vec<f64> {
        let a: Vec<f64> = h.iter().map(|h| h.tanh()).collect();
        gradient(|a| loss(kind, &self.above(of + 1, &affine(&self.weights[of + 1], a))), &a)
    }
}

fn affine<N: Number>(w: &Matrix, a: &[N]) -> Vec<N> {
    let row = |i: usize| {
        let (weights, bias) = w.row(i).split_at(w.cols - 1);
        let terms = weights.iter().zip(a).map(|(w, a)| a.scale(*w));
        N::sum(&terms.collect::<Vec<N>>()).shift(bias[0])
    };
    (0..w.rows).map(row).collect()
}
