//! Curvature of the naive network from the definitions: derivatives by dual numbers, sums over the
//! samples one by one, dense matrices. Batch normalisations use their running averages.

use super::dense::Matrix;
use super::dual::{self, First, Number, Second, constants};
use super::network::{self as naive, Cut, Statistics, cut};
use crate::problem::Problem;
use relfisher::network::{Block, BlockKind, Mode, Network};

const MODE: Mode = Mode::Inference;

/// The outputs of the only sample as a function of the parameters.
fn outputs<N: Number>(sample: &Problem, parameters: &[N]) -> Vec<N> {
    sample.naive_outputs(parameters, MODE).remove(0)
}

/// Λ: the Hessian of the loss of the only sample in the outputs at `f`.
fn loss_hessian(sample: &Problem, f: &[f64]) -> Matrix {
    let loss = sample.architecture.loss;
    let hessian = dual::hessian(|f| naive::loss(&[f.to_vec()], loss, &sample.labels), f);
    Matrix::new(f.len(), f.len(), hessian)
}

/// The samples of a problem, each alone.
pub fn samples(p: &Problem) -> Vec<Problem> {
    (0..p.samples).map(|s| p.sample(s)).collect()
}

/// ∂f_s/∂θ of every sample, outputs × parameters.
pub fn jacobians(p: &Problem) -> Vec<Matrix> {
    let values = &p.parameters.values;
    let one = |sample: &Problem| {
        let data = dual::jacobian(|w| outputs(sample, w), values);
        Matrix::new(data.len() / values.len(), values.len(), data)
    };
    samples(p).iter().map(one).collect()
}

/// ∂ℓ_s/∂θ of every sample.
pub fn gradients(p: &Problem) -> Vec<Vec<f64>> {
    let one = |s: &Problem| dual::gradient(|w| s.naive(w, MODE), &s.parameters.values);
    samples(p).iter().map(one).collect()
}

fn mean(matrices: impl Iterator<Item = Matrix>, order: usize, count: usize) -> Matrix {
    matrices.fold(Matrix::zeros(order, order), |sum, m| sum.plus(1.0 / count as f64, &m))
}

/// (1/N) Σ J_sᵀ Λ_s J_s of the whole network.
pub fn gauss_newton(p: &Problem) -> Matrix {
    let values = &p.parameters.values;
    let terms = samples(p).into_iter().zip(jacobians(p)).map(|(sample, j)| {
        let lambda = loss_hessian(&sample, &outputs(&sample, values));
        j.t().times(&lambda).times(&j)
    });
    mean(terms, values.len(), p.samples)
}

/// (1/N) Σ g_s g_sᵀ of the whole network.
pub fn empirical_fisher(p: &Problem) -> Matrix {
    let terms = gradients(p).into_iter().map(|g| Matrix::outer(&g, &g));
    mean(terms, p.parameters.values.len(), p.samples)
}

/// The Hessian of the mean loss in the whole parameter vector.
pub fn hessian(p: &Problem) -> Matrix {
    let values = &p.parameters.values;
    let data = dual::hessian(|w| p.naive(w, MODE), values);
    Matrix::new(values.len(), values.len(), data)
}

/// The Hessian of the mean loss in the parameters of one block.
pub fn hessian_block(p: &Problem, block: &Block) -> Matrix {
    let values = &p.parameters.values;
    let data = dual::hessian(
        |w| {
            let mut all: Vec<Second> = constants(values);
            all[block.range()].copy_from_slice(w);
            p.naive(&all, MODE)
        },
        &values[block.range()],
    );
    Matrix::new(block.len(), block.len(), data)
}

/// The Hessian of the mean loss times `v`: the derivative along v of every element of the gradient.
pub fn hessian_product(p: &Problem, v: &[f64]) -> Vec<f64> {
    let along = |(x, v): (&f64, &f64)| Second::fixed(First { v: *x, d: *v });
    let mut at: Vec<Second> = p.parameters.values.iter().zip(v).map(along).collect();
    (0..at.len())
        .map(|i| {
            at[i].d.v = 1.0;
            let second = p.naive(&at, MODE).d.d;
            at[i].d.v = 0.0;
            second
        })
        .collect()
}

/// What one block of one sample is made of.
#[derive(Clone, Debug)]
pub struct Site {
    /// The inputs x̃_τ of every group of kernels, T × d̃.
    pub inputs: Vec<Matrix>,
    /// J_tailᵀ Λ J_tail: the Gauss–Newton matrix in the block's outputs, element (o, τ) at o·T + τ.
    pub curvature: Matrix,
    /// ∂ℓ/∂(outputs of the block), in the same order.
    pub delta: Vec<f64>,
    /// The positions T.
    pub positions: usize,
}

impl Site {
    fn new(sample: &Problem, (index, block): (usize, &Block)) -> Self {
        let Cut { head, tail, parameters, statistics } = cut(&sample.architecture, index);
        let values = &sample.parameters.values;
        let (before, after) = sample.parameters.buffers.split_at(statistics);
        let forward = |w: &[First]| {
            let mut all: Vec<First> = constants(values);
            all[block.range()].copy_from_slice(w);
            naive::outputs(&head, &all, &sample.rows(), Statistics::Running(before)).remove(0)
        };
        let h: Vec<f64> = forward(&constants(&values[block.range()])).iter().map(|h| h.v).collect();
        let (m, d, t) = (block.rows, block.cols, block.positions);
        let channels_first = tail.input_shape.len() == 3;
        let place = |o: usize, tau: usize| if channels_first { o * t + tau } else { tau * m + o };
        // Outputs are linear in the parameters: their derivatives are the inputs.
        let jacobian = Matrix::new(m * t, m * d, dual::jacobian(forward, &values[block.range()]));
        let each = m / block.groups();
        let inputs = (0..block.groups()).map(|g| {
            let o = g * each;
            Matrix::from_fn(t, d, |tau, j| jacobian.at(place(o, tau), o * d + j))
        });
        let rest = |h: &[First]| {
            let own: Vec<First> = constants(&values[parameters..]);
            naive::outputs(&tail, &own, &[h.to_vec()], Statistics::Running(after)).remove(0)
        };
        let down = dual::jacobian(rest, &h);
        let down = Matrix::new(down.len() / h.len(), h.len(), down);
        let f: Vec<f64> = rest(&constants(&h)).iter().map(|f| f.v).collect();
        let lambda = loss_hessian(sample, &f);
        let full = down.t().times(&lambda).times(&down);
        let loss = sample.architecture.loss;
        let delta = dual::gradient(|h| naive::loss(&[rest(h)], loss, &sample.labels), &h);
        let order: Vec<usize> = (0..m * t).map(|k| place(k / t, k % t)).collect();
        Self {
            inputs: inputs.collect(),
            curvature: Matrix::from_fn(m * t, m * t, |i, j| full.at(order[i], order[j])),
            delta: order.iter().map(|i| delta[*i]).collect(),
            positions: t,
        }
    }

    /// δδᵀ for the true label.
    pub fn empirical(&self) -> Matrix {
        Matrix::outer(&self.delta, &self.delta)
    }
}

/// The sites of a block that is no batch normalisation, one for each sample.
///
/// # Panics
/// For a batch normalisation.
pub fn sites(p: &Problem, network: &Network<f64>, index: usize) -> Vec<Site> {
    let block = &network.blocks()[index];
    assert!(block.kind != BlockKind::BatchNorm, "a normalisation has inputs of its own");
    samples(p).iter().map(|sample| Site::new(sample, (index, block))).collect()
}

/// How the positions of a shared layer enter the Kronecker factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// Each counts as a sample.
    Expand,
    /// Inputs are averaged and derivatives summed over them first.
    Reduce,
}

/// A = E[x̃x̃ᵀ], with several groups their mean.
pub fn input_factor(sites: &[Site], how: Positions) -> Matrix {
    let (groups, d) = (sites[0].inputs.len(), sites[0].inputs[0].cols);
    let mut a = Matrix::zeros(d, d);
    for site in sites {
        let t = site.positions;
        match how {
            Positions::Expand => {
                let share = 1.0 / (sites.len() * t * groups) as f64;
                for x in &site.inputs {
                    a = a.plus(share, &x.t().times(x));
                }
            }
            Positions::Reduce => {
                let share = 1.0 / (t * groups) as f64;
                let rows = || site.inputs.iter().flat_map(|x| (0..t).map(move |i| x.row(i)));
                let mean: Vec<f64> = (0..d).map(|j| rows().map(|x| x[j] * share).sum()).collect();
                a = a.plus(1.0 / sites.len() as f64, &Matrix::outer(&mean, &mean));
            }
        }
    }
    a
}

/// G = E[Σ_c δδᵀ] from the matrices in the block's outputs, one for each sample.
pub fn output_factor(matrices: &[Matrix], positions: usize, how: Positions) -> Matrix {
    let (t, n) = (positions, matrices.len() as f64);
    let m = matrices[0].rows / t;
    let pairs = |i: usize, j: usize, all: &Matrix| -> f64 {
        match how {
            Positions::Expand => (0..t).map(|tau| all.at(i * t + tau, j * t + tau)).sum(),
            Positions::Reduce => (0..t * t).map(|k| all.at(i * t + k / t, j * t + k % t)).sum(),
        }
    };
    Matrix::from_fn(m, m, |i, j| matrices.iter().map(|all| pairs(i, j, all) / n).sum())
}
