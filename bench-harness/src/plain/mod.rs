//! A perceptron in plain f64 loops: what the checks of curvature and of training steps compare with.
//!
//! Nothing here calls a kernel that is measured. Of the code under test it takes the inputs of a batch
//! and the parameters, and on which side of a kink a pre-activation fell that is zero within rounding.

mod kronecker;
mod rules;

use relfisher::Scalar;
use relfisher::network::{Network, Tape};
use relfisher::random::Rng;
use relfisher_core::MatMut;

use crate::case::near;

pub use kronecker::{Basis, Factors, Outputs, Previous, damped_system, split};
pub use rules::{Rule, Update};

/// A pre-activation is zero within rounding below so many ε times the largest of its layer.
const KINK: f64 = 1e3;

/// A layer with its batch.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Outputs.
    pub m: usize,
    /// Inputs with the bias.
    pub d: usize,
    /// Where its parameters stand.
    pub range: std::ops::Range<usize>,
    /// W̃, m × d̃.
    pub weights: Vec<f64>,
    /// X̃, n × d̃.
    pub x: Vec<f64>,
    /// X̃ W̃ᵀ, n × m.
    pub t: Vec<f64>,
    /// Where the relu behind it passes; empty for the last.
    active: Vec<bool>,
}

/// m, d̃, the range and W̃ of a layer.
type Shape = (usize, usize, std::ops::Range<usize>, Vec<f64>);

/// A perceptron of relu layers and a soft-max, after its forward pass.
#[derive(Clone, Debug)]
pub struct Plain {
    /// Samples of the batch.
    pub n: usize,
    /// From the input on.
    pub layers: Vec<Layer>,
}

impl Plain {
    /// The forward pass of the batch on `tape`, with these parameters.
    ///
    /// # Errors
    /// Inputs whose last column is not one.
    pub fn forward<T: Scalar>(
        network: &Network<T>,
        values: &[T],
        tape: &Tape<T>,
    ) -> Result<Self, String> {
        let (n, blocks) = (tape.batch(), network.blocks());
        let input = tape.layer_input(0);
        let x: Vec<f64> = (0..n).flat_map(|s| wide(input.row(s))).collect();
        if x.chunks_exact(input.cols()).any(|row| row.last() != Some(&1.0)) {
            return Err("the bias input of a sample is not one".into());
        }
        let layers = blocks.iter().map(|block| {
            let weights = wide(&values[block.range()]);
            (block.rows, block.cols, block.range(), weights)
        });
        Ok(Self::through(n, layers.collect(), x, |k, t, m| {
            let kink = KINK * T::EPSILON.to_f64() * largest(t);
            let behind = tape.layer_input(k + 1);
            let passes = |at: usize| {
                let zero = t[at].abs() <= kink;
                if zero { behind.at(at / m, at % m) > T::ZERO } else { t[at] > 0.0 }
            };
            (0..t.len()).map(passes).collect()
        }))
    }

    /// The same batch with other parameters.
    #[must_use]
    pub fn with(&self, values: &[f64]) -> Self {
        let layers = self.layers.iter().map(|layer| {
            (layer.m, layer.d, layer.range.clone(), values[layer.range.clone()].to_vec())
        });
        let x = self.layers[0].x.clone();
        Self::through(self.n, layers.collect(), x, |_, t, _| t.iter().map(|t| *t > 0.0).collect())
    }

    /// The forward pass; `active` says where the relu behind layer k, of these sums and so many neurons,
    /// passes.
    fn through(
        n: usize,
        shapes: Vec<Shape>,
        mut x: Vec<f64>,
        active: impl Fn(usize, &[f64], usize) -> Vec<bool>,
    ) -> Self {
        let (mut layers, last) = (Vec::new(), shapes.len() - 1);
        for (k, (m, d, range, weights)) in shapes.into_iter().enumerate() {
            let t = product(&x, &transpose(&weights, d), (n, d, m));
            let active = if k < last { active(k, &t, m) } else { Vec::new() };
            let mut next = Vec::new();
            for (t, active) in t.chunks_exact(m).zip(active.chunks_exact(m)) {
                next.extend(t.iter().zip(active).map(|(t, a)| if *a { *t } else { 0.0 }));
                next.push(1.0);
            }
            let x = std::mem::replace(&mut x, next);
            layers.push(Layer { m, d, range, weights, x, t, active });
        }
        Self { n, layers }
    }

    fn last(&self) -> &Layer {
        &self.layers[self.layers.len() - 1]
    }

    /// η of every sample, n × C.
    #[must_use]
    pub fn probabilities(&self) -> Vec<f64> {
        let last = self.last();
        let mut eta = last.t.clone();
        for row in eta.chunks_exact_mut(last.m) {
            let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row.iter_mut().for_each(|t| *t = (*t - top).exp());
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|t| *t /= sum);
        }
        eta
    }

    /// The mean loss.
    #[must_use]
    pub fn loss(&self, labels: &[usize]) -> f64 {
        let c = self.last().m;
        let eta = self.probabilities();
        let losses = eta.chunks_exact(c).zip(labels).map(|(eta, y)| -eta[*y].ln());
        losses.sum::<f64>() / self.n as f64
    }

    /// ∂ℓ/∂t of the last layer, η − e_y, n × C.
    #[must_use]
    pub fn deltas(&self, labels: &[usize]) -> Vec<f64> {
        let (mut eta, c) = (self.probabilities(), self.last().m);
        eta.chunks_exact_mut(c).zip(labels).for_each(|(row, y)| row[*y] -= 1.0);
        eta
    }

    /// An exact root of every sample's loss Hessian, √η_k (e_k − η): C columns of n × C.
    #[must_use]
    pub fn root(&self) -> Vec<f64> {
        let (eta, c) = (self.probabilities(), self.last().m);
        let mut columns = Vec::with_capacity(c * eta.len());
        for k in 0..c {
            for row in eta.chunks_exact(c) {
                let root = row[k].sqrt();
                let unit = |i: usize| if i == k { 1.0 } else { 0.0 };
                columns.extend(row.iter().enumerate().map(|(i, p)| root * (unit(i) - p)));
            }
        }
        columns
    }

    /// Derivatives at the outputs (columns·n × C) sent back: columns·n × m for every layer.
    #[must_use]
    pub fn back(&self, outputs: Vec<f64>) -> Vec<Vec<f64>> {
        let mut all = vec![outputs];
        for k in (1..self.layers.len()).rev() {
            let (layer, above) = (&self.layers[k], &all[all.len() - 1]);
            let rows = above.len() / layer.m;
            let back = product(above, &layer.weights, (rows, layer.m, layer.d));
            let below = &self.layers[k - 1];
            let mut deltas = Vec::with_capacity(rows * below.m);
            for (row, back) in back.chunks_exact(layer.d).enumerate() {
                // the bias has nothing below it
                let active = &below.active[row % self.n * below.m..][..below.m];
                deltas.extend(back.iter().zip(active).map(|(b, a)| if *a { *b } else { 0.0 }));
            }
            all.push(deltas);
        }
        all.reverse();
        all
    }

    /// The mean gradient from the derivatives of one column, as long as the parameters.
    #[must_use]
    pub fn gradient(&self, deltas: &[Vec<f64>]) -> Vec<f64> {
        let mut gradient = Vec::new();
        for (layer, delta) in self.layers.iter().zip(deltas) {
            let mean: Vec<f64> = delta.iter().map(|d| d / self.n as f64).collect();
            let across = transpose(&mean, layer.m);
            gradient.extend(product(&across, &layer.x, (layer.m, self.n, layer.d)));
        }
        gradient
    }

    /// The labels that a generator draws from the model of the batch on `tape`.
    ///
    /// # Errors
    /// Derivatives that belong to no label.
    pub fn drawn<T: Scalar>(
        &self,
        network: &Network<T>,
        tape: &Tape<T>,
        rng: &Rng,
    ) -> Result<Vec<usize>, String> {
        let c = self.last().m;
        let mut deltas = vec![T::NAN; self.n * c];
        let out = MatMut::new(&mut deltas, self.n, c).map_err(|e| e.to_string())?;
        network.draw_output_deltas(tape, out, &mut rng.clone()).map_err(|e| e.to_string())?;
        self.labels_of(&deltas)
    }

    /// The labels whose derivatives η − e_y these are.
    ///
    /// # Errors
    /// A row that belongs to no label.
    pub fn labels_of<T: Scalar>(&self, deltas: &[T]) -> Result<Vec<usize>, String> {
        let (eta, c) = (self.probabilities(), self.last().m);
        let label = |(row, eta): (&[T], &[f64])| {
            let row = wide(row);
            let y = row.iter().position(|d| *d < 0.0).ok_or("a draw has no label")?;
            let mut want = eta.to_vec();
            want[y] -= 1.0;
            close::<T>("derivatives of a label", &row, &want, 1e3)?;
            Ok(y)
        };
        deltas.chunks_exact(c).zip(eta.chunks_exact(c)).map(label).collect()
    }
}

/// Numbers in f64.
#[must_use]
pub fn wide<T: Scalar>(values: &[T]) -> Vec<f64> {
    values.iter().map(|x| x.to_f64()).collect()
}

/// [`near`] of numbers in f64, in units of the rounding of T.
///
/// # Errors
/// The first that is not.
pub fn close<T: Scalar>(
    label: &str,
    got: &[f64],
    want: &[f64],
    tolerance: f64,
) -> Result<(), String> {
    near::<f64>(label, got, want, tolerance * T::EPSILON.to_f64() / f64::EPSILON)
}

/// `a b` of n × k and k × m.
pub(crate) fn product(a: &[f64], b: &[f64], (n, k, m): (usize, usize, usize)) -> Vec<f64> {
    let mut out = vec![0.0; n * m];
    for (row, out) in a.chunks_exact(k.max(1)).zip(out.chunks_exact_mut(m.max(1))) {
        for (x, b) in row.iter().zip(b.chunks_exact(m.max(1))) {
            if *x != 0.0 {
                out.iter_mut().zip(b).for_each(|(o, b)| *o += x * b);
            }
        }
    }
    out
}

/// The transpose of a matrix of rows of so many numbers.
pub(crate) fn transpose(a: &[f64], cols: usize) -> Vec<f64> {
    let rows = a.len() / cols.max(1);
    (0..a.len()).map(|k| a[k % rows * cols + k / rows]).collect()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, x| x.abs().max(most))
}

#[cfg(test)]
mod tests {
    use super::{Layer, Plain, product, transpose};

    /// Two layers by hand: 1 input, 2 hidden neurons, 2 classes, 2 samples.
    fn small() -> Plain {
        let layer = |m, d, range, weights: &[f64], x: &[f64]| Layer {
            m,
            d,
            range,
            weights: weights.to_vec(),
            x: x.to_vec(),
            t: Vec::new(),
            active: Vec::new(),
        };
        let below = layer(2, 2, 0..4, &[0.0; 4], &[0.5, 1.0, -2.0, 1.0]);
        let above = layer(2, 3, 4..10, &[0.0; 6], &[0.0; 6]);
        let values = [0.3, -0.2, -0.7, 0.4, 0.5, -0.1, 0.2, 0.6, 0.9, -0.3];
        Plain { n: 2, layers: vec![below, above] }.with(&values)
    }

    fn values(plain: &Plain) -> Vec<f64> {
        plain.layers.iter().flat_map(|layer| layer.weights.clone()).collect()
    }

    #[test]
    fn the_gradient_is_that_of_differences() {
        let plain = small();
        let labels = [1, 0];
        let got = plain.gradient(&plain.back(plain.deltas(&labels)));
        for (i, got) in got.iter().enumerate() {
            let moved = |by: f64| {
                let mut values = values(&plain);
                values[i] += by;
                plain.with(&values).loss(&labels)
            };
            let want = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((got - want).abs() < 1e-9, "{i}: {got}, not {want}");
        }
    }

    #[test]
    fn the_root_is_that_of_the_loss_hessian() {
        let (plain, c) = (small(), 2);
        let (root, eta) = (plain.root(), plain.probabilities());
        for s in 0..2 {
            for (i, j) in [(0, 0), (0, 1), (1, 1)] {
                let term = |k: usize| {
                    let row = &root[(k * 2 + s) * c..][..c];
                    row[i] * row[j]
                };
                let eta = &eta[s * c..][..c];
                let want = if i == j { eta[i] } else { 0.0 } - eta[i] * eta[j];
                assert!(((0..c).map(term).sum::<f64>() - want).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn a_label_is_known_by_its_derivatives() {
        let plain = small();
        let mut deltas = plain.deltas(&[1, 0]);
        assert_eq!(plain.labels_of(&deltas), Ok(vec![1, 0]));
        deltas[0] += 1e-3;
        assert!(plain.labels_of(&deltas).is_err());
    }

    #[test]
    fn products_of_rows() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.0, -1.0]);
        assert_eq!(product(&a, &b, (2, 3, 1)), [-2.0, -2.0]);
        assert_eq!(transpose(&a, 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
