//! A step of K-FAC computes the same function whatever affine change of the activations the network
//! is written with (S3; J. Martens, R. Grosse, ICML 2015, §10; R. Grosse, J. Martens, ICML 2016, §3.3):
//! tanh as logistic, activations centred, scaled or whitened, inputs whitened, colours whitened.
//! Undamped, with full-rank factors; plain gradient steps are shown to differ.

use relfisher::curvature::{Columns, kronecker_factors, kronecker_step};
use relfisher::network::{Loss, Mode, Parameters};
use relfisher_core::curvature::Sharing;
use relfisher_core::kron::Damping;
use relfisher_tests::compare::assert_close;
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::oracle::network::{Statistics, outputs};
use relfisher_tests::problem::{Problem, network};
use relfisher_tests::tolerance::Oracle::Identity;

const RATE: f64 = 0.3;
/// Losses whose output factor has full rank.
const LOSSES: [Loss; 2] = [Loss::Mse { scale: 0.5 }, Loss::BinaryCrossEntropy];

/// How to step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Kfac(Sharing),
    KfacTrueLabels,
    Gradient,
}

/// A network in which only the layers `learn` learn; what else there is belongs to the way it is
/// written.
struct Written {
    problem: Problem,
    learn: Vec<usize>,
}

impl Written {
    /// The outputs of the naive network.
    fn outputs(&self, values: &[f64]) -> Vec<f64> {
        self.problem.naive_outputs(values, Mode::Inference).concat()
    }

    /// The change of the outputs by one step, and the largest condition of a layer's G ⊗ A.
    fn change(&self, how: Step) -> (Vec<f64>, f64) {
        let loaded = self.problem.load::<f64>(1);
        let problem = loaded.problem(self.problem.samples);
        let gradient = problem.evaluate().expect("gradient").gradient;
        let (columns, sharing) = match how {
            Step::Kfac(sharing) => (Columns::Type2, sharing),
            _ => (Columns::Labels(loaded.targets()), Sharing::Expand),
        };
        let factors = kronecker_factors(&problem, columns, sharing).expect("factors");
        let (mut values, mut condition) = (self.problem.parameters.values.clone(), 1.0f64);
        for &b in &self.learn {
            let (block, factors) =
                (&loaded.network.blocks()[b], factors[b].as_ref().expect("a layer"));
            let g = &gradient[block.range()];
            let step = match how {
                Step::Gradient => g.to_vec(),
                _ => kronecker_step(&loaded.exec, block, factors, g, (Damping::Exact, 0.0))
                    .expect("full rank"),
            };
            let of = |data: &[f64], order: usize| {
                let (values, _) = Matrix::new(order, order, data.to_vec()).eigh();
                values[order - 1] / values[0]
            };
            condition = condition.max(of(&factors.g, block.rows) * of(&factors.a, block.cols));
            values[block.range()].iter_mut().zip(&step).for_each(|(w, s)| *w -= RATE * s);
        }
        let (before, after) =
            (self.outputs(&self.problem.parameters.values), self.outputs(&values));
        (after.iter().zip(&before).map(|(a, b)| a - b).collect(), condition)
    }
}

/// Asserts that both compute the same function before and after a step of K-FAC, and that they do
/// not after a step along the gradient.
fn same_function(label: &str, a: &Written, b: &Written, steps: &[Step]) {
    let (before, other) =
        (a.outputs(&a.problem.parameters.values), b.outputs(&b.problem.parameters.values));
    assert_close(label, &other, &before, "kfac invariance", Identity, 16);
    for &how in steps {
        let ((want, one), (got, two)) = (a.change(how), b.change(how));
        let condition = one.max(two);
        assert!(condition < 1e8, "{label} {how:?}: condition {condition:e}");
        let label = format!("{label} {how:?}, condition {condition:.1e}");
        let size = want.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        assert!(size > 1e-3, "{label}: the step does something");
        let n = condition.ceil() as usize;
        assert_close(&label, &got, &want, "kfac invariance", Identity, n);
    }
    let (want, got) = (a.change(Step::Gradient).0, b.change(Step::Gradient).0);
    let size = want.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let gap = want.iter().zip(&got).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
    // The control: a plain gradient step tells the two apart by at least a hundredth of itself, ten
    // orders of magnitude more than the steps above.
    assert!(gap > 0.01 * size, "{label}: gradient steps differ by {gap} of {size}");
}

const VECTORS: &[Step] =
    &[Step::Kfac(Sharing::Expand), Step::Kfac(Sharing::Reduce), Step::KfacTrueLabels];

/// [W | b] of layers as matrices.
fn rows(values: &[f64], shapes: &[(usize, usize)]) -> Vec<Matrix> {
    let mut rest = values;
    shapes
        .iter()
        .map(|&(m, d)| {
            let (own, later) = rest.split_at(m * d);
            rest = later;
            Matrix::new(m, d, own.to_vec())
        })
        .collect()
}

fn flat(layers: &[Matrix]) -> Vec<f64> {
    layers.iter().flat_map(|w| w.data.clone()).collect()
}

/// [W | b] for inputs y where x = M y + μ: [W M | b + W μ].
fn absorb(layer: &Matrix, m: &Matrix, mu: &[f64]) -> Matrix {
    let d = m.rows;
    let w = layer.block(0, 0, layer.rows, d);
    let (turned, shift) = (w.times(m), w.apply(mu));
    Matrix::from_fn(layer.rows, m.cols + 1, |i, j| {
        if j < m.cols { turned.at(i, j) } else { layer.at(i, d) + shift[i] }
    })
}

/// The network 3 → 4 → 3 → 2 with tanh, its layers, and its hidden activations.
fn plain(loss: Loss) -> (Written, Vec<Matrix>, [Vec<Vec<f64>>; 2]) {
    let net = network(&[3], "L4 tanh L3 tanh L2", loss);
    let problem = Problem::new("plain", net, 60, 8);
    let layers = rows(&problem.parameters.values, &[(4, 4), (3, 5), (2, 4)]);
    let hidden = [2, 4].map(|count| {
        let mut head = problem.architecture.clone();
        head.layers.truncate(count);
        outputs(&head, &problem.parameters.values, &problem.rows(), Statistics::Batch)
    });
    (Written { problem, learn: vec![0, 1, 2] }, layers, hidden)
}

fn rewritten(p: &Problem, words: &str, values: Vec<f64>, buffers: Vec<f64>) -> Problem {
    let architecture = network(&p.architecture.input_shape, words, p.architecture.loss);
    Problem { architecture, parameters: Parameters { values, buffers }, ..p.clone() }
}

fn mean(rows: &[Vec<f64>]) -> Vec<f64> {
    let share = 1.0 / rows.len() as f64;
    (0..rows[0].len()).map(|j| rows.iter().map(|r| r[j] * share).sum()).collect()
}

fn covariance(rows: &[Vec<f64>]) -> Matrix {
    let (mu, d) = (mean(rows), rows[0].len());
    let centred = |row: &Vec<f64>| row.iter().zip(&mu).map(|(x, m)| x - m).collect::<Vec<f64>>();
    rows.iter().map(centred).fold(Matrix::zeros(d, d), |sum, x| {
        sum.plus(1.0 / rows.len() as f64, &Matrix::outer(&x, &x))
    })
}

#[test]
fn tanh_or_logistic() {
    for loss in LOSSES {
        let (a, layers, _) = plain(loss);
        // tanh t = 2 sigm(2t) − 1.
        let half = |layer: &Matrix| {
            let d = layer.cols - 1;
            absorb(layer, &Matrix::identity(d).scaled(2.0), &vec![-1.0; d])
        };
        let values = flat(&[layers[0].scaled(2.0), half(&layers[1]).scaled(2.0), half(&layers[2])]);
        let problem = rewritten(&a.problem, "L4 sigmoid L3 sigmoid L2", values, Vec::new());
        let b = Written { problem, learn: vec![0, 1, 2] };
        same_function(&format!("logistic {loss:?}"), &a, &b, VECTORS);
    }
}

#[test]
fn centred_and_scaled_activations() {
    for loss in LOSSES {
        let (a, layers, hidden) = plain(loss);
        // A normalisation with fixed statistics, γ = 1 and β = 0: y = (x − μ)/σ, so x = σ y + μ.
        let (mut values, mut buffers) = (vec![layers[0].clone()], Vec::new());
        for (rows, layer) in hidden.iter().zip(&layers[1..]) {
            let (mu, sigma) = (mean(rows), covariance(rows));
            let d = mu.len();
            let variance: Vec<f64> = (0..d).map(|i| sigma.at(i, i)).collect();
            let roots: Vec<f64> = variance.iter().map(|v| (v + 1e-3).sqrt()).collect();
            values.push(Matrix::from_fn(d, 2, |_, j| if j == 0 { 1.0 } else { 0.0 }));
            values.push(absorb(layer, &Matrix::diagonal(&roots), &mu));
            buffers.extend(mu.iter().chain(&variance));
        }
        let words = "L4 tanh B L3 tanh B L2";
        let problem = rewritten(&a.problem, words, flat(&values), buffers);
        let b = Written { problem, learn: vec![0, 2, 4] };
        same_function(&format!("centred {loss:?}"), &a, &b, VECTORS);
    }
}

/// V = Σ^(−1/2) and its inverse.
fn whitening(rows: &[Vec<f64>]) -> (Matrix, Matrix) {
    let sigma = covariance(rows);
    (sigma.function(|v| v.sqrt().recip()), sigma.function(f64::sqrt))
}

/// [V | −V μ].
fn affine(v: &Matrix, mu: &[f64]) -> Matrix {
    let shift = v.apply(mu);
    Matrix::from_fn(v.rows, v.cols + 1, |i, j| if j < v.cols { v.at(i, j) } else { -shift[i] })
}

#[test]
fn whitened_activations() {
    for loss in LOSSES {
        let (a, layers, hidden) = plain(loss);
        let mut values = vec![layers[0].clone()];
        for (rows, layer) in hidden.iter().zip(&layers[1..]) {
            let (mu, (v, back)) = (mean(rows), whitening(rows));
            values.push(affine(&v, &mu));
            values.push(absorb(layer, &back, &mu));
        }
        let words = "L4 tanh L4 L3 tanh L3 L2";
        let problem = rewritten(&a.problem, words, flat(&values), Vec::new());
        let b = Written { problem, learn: vec![0, 2, 4] };
        same_function(&format!("whitened {loss:?}"), &a, &b, VECTORS);
    }
}

#[test]
fn whitened_inputs() {
    for loss in LOSSES {
        let (mut a, layers, _) = plain(loss);
        // Inputs that are not nearly white already.
        let mix = Matrix::new(3, 3, vec![1.0, 0.0, 0.0, 0.8, 0.3, 0.0, -0.5, 0.2, 0.4]);
        let moved: Vec<Vec<f64>> = a
            .problem
            .rows::<f64>()
            .iter()
            .map(|x| mix.apply(x).iter().zip([1.0, -0.5, 0.3]).map(|(x, m)| x + m).collect())
            .collect();
        a.problem.inputs = moved.concat();
        let (mu, (v, back)) = (mean(&moved), whitening(&moved));
        let values = flat(&[absorb(&layers[0], &back, &mu), layers[1].clone(), layers[2].clone()]);
        let mut problem = a.problem.clone();
        problem.parameters.values = values;
        let white = |x: &Vec<f64>| {
            let centred: Vec<f64> = x.iter().zip(&mu).map(|(x, m)| x - m).collect();
            v.apply(&centred)
        };
        problem.inputs = moved.iter().flat_map(white).collect();
        let b = Written { problem, learn: vec![0, 1, 2] };
        same_function(&format!("white inputs {loss:?}"), &a, &b, VECTORS);
    }
}

/// Kernels [W | b] over c channels of `taps` pixels, for channels y where x = M y + μ.
fn absorb_channels(kernels: &Matrix, m: &Matrix, mu: &[f64], taps: usize) -> Matrix {
    let channels = m.rows;
    // Each tap sees the same change: M ⊗ I over (channel, tap).
    let all = m.kron(&Matrix::identity(taps));
    let shift: Vec<f64> = (0..channels * taps).map(|k| mu[k / taps]).collect();
    absorb(kernels, &all, &shift)
}

/// S3: "whitening the image in color space"; with padding the mean stays, since padding reads 0.
#[test]
fn whitened_colours() {
    for loss in LOSSES {
        for (words, shapes, centred) in [
            ("C4:k2 tanh C2:k2 flat", [(4, 13), (2, 17)], true),
            ("C4:k2,p1,s2 tanh C2:k3 flat", [(4, 13), (2, 37)], false),
        ] {
            let net = network(&[3, 3 + usize::from(!centred), 4], words, loss);
            let mut problem = Problem::new(words, net, 50, 12);
            let layers = rows(&problem.parameters.values, &shapes);
            let len = problem.architecture.inputs();
            let pixels = len / 3;
            let mix = Matrix::new(3, 3, vec![1.0, 0.0, 0.0, 0.7, 0.4, 0.0, 0.6, -0.2, 0.3]);
            let change = |inputs: &mut Vec<f64>, m: &Matrix, before: &[f64], after: &[f64]| {
                for image in inputs.chunks_mut(len) {
                    for p in 0..pixels {
                        let x: Vec<f64> =
                            (0..3).map(|c| image[c * pixels + p] - before[c]).collect();
                        let y = m.apply(&x);
                        (0..3).for_each(|c| image[c * pixels + p] = y[c] + after[c]);
                    }
                }
            };
            let shift = if centred { [0.5, -0.3, 0.8] } else { [0.0; 3] };
            change(&mut problem.inputs, &mix, &[0.0; 3], &shift);
            let colours: Vec<Vec<f64>> = problem
                .inputs
                .chunks(len)
                .flat_map(|x| (0..pixels).map(|p| (0..3).map(|c| x[c * pixels + p]).collect()))
                .collect();
            let (v, back) = whitening(&colours);
            let mu = if centred { mean(&colours) } else { vec![0.0; 3] };
            let a = Written { problem: problem.clone(), learn: vec![0, 1] };
            change(&mut problem.inputs, &v, &mu, &[0.0; 3]);
            problem.parameters.values =
                flat(&[absorb_channels(&layers[0], &back, &mu, 4), layers[1].clone()]);
            let b = Written { problem, learn: vec![0, 1] };
            let steps = [Step::Kfac(Sharing::Expand), Step::KfacTrueLabels];
            same_function(&format!("colours {words} {loss:?}"), &a, &b, &steps);
        }
    }
}

/// tanh ↔ logistic between convolutions.
#[test]
fn tanh_or_logistic_between_convolutions() {
    for loss in LOSSES {
        let net = network(&[2, 5, 5], "C3:k2 tanh C2:k2 tanh A:k3 flat L2", loss);
        let problem = Problem::new("convolutions", net, 60, 14);
        let layers = rows(&problem.parameters.values, &[(3, 9), (2, 13), (2, 3)]);
        let a = Written { problem, learn: vec![0, 1, 2] };
        let two = |c: usize| (Matrix::identity(c).scaled(2.0), vec![-1.0; c]);
        let ((m, mu), (n, nu)) = (two(3), two(2));
        let values = flat(&[
            layers[0].scaled(2.0),
            absorb_channels(&layers[1], &m, &mu, 4).scaled(2.0),
            // The mean of the positions changes as they do.
            absorb(&layers[2], &n, &nu),
        ]);
        let words = "C3:k2 sigmoid C2:k2 sigmoid A:k3 flat L2";
        let problem = rewritten(&a.problem, words, values, Vec::new());
        let b = Written { problem, learn: vec![0, 1, 2] };
        let steps = [Step::Kfac(Sharing::Expand), Step::KfacTrueLabels];
        same_function(&format!("convolutions {loss:?}"), &a, &b, &steps);
    }
}
