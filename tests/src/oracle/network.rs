//! A naive network: one sample and one number at a time, straight from the definitions, over any
//! [`Number`], so that dual numbers differentiate it.

use super::dual::Number;
use relfisher::network::{Architecture, Layer, Loss};

/// What the outputs should have been.
#[derive(Clone, Debug)]
pub enum Labels {
    /// A class for each sample.
    Classes(Vec<usize>),
    /// A row of outputs for each sample, one after the other.
    Values(Vec<f64>),
}

/// The statistics of batch normalisations.
#[derive(Clone, Copy, Debug)]
pub enum Statistics<'a> {
    /// Mean and biased variance of the batch.
    Batch,
    /// Running averages: for each normalisation the means, then the variances.
    Running(&'a [f64]),
}

/// The outputs for every sample. `parameters` are the blocks in forward order, each row-major:
/// [W | b] or [γ | β].
///
/// # Panics
/// With too few parameters.
pub fn outputs<N: Number>(
    architecture: &Architecture,
    parameters: &[N],
    inputs: &[Vec<N>],
    statistics: Statistics<'_>,
) -> Vec<Vec<N>> {
    let mut x = inputs.to_vec();
    let mut parameters = parameters.iter().copied();
    let mut next = || parameters.next().expect("a parameter");
    let mut running = match statistics {
        Statistics::Batch => [].iter(),
        Statistics::Running(r) => r.iter(),
    };
    for layer in &architecture.layers {
        match *layer {
            Layer::Linear { inputs, outputs, bias, .. } => {
                let mut y = vec![vec![N::constant(0.0); outputs]; x.len()];
                for i in 0..outputs {
                    for j in 0..inputs + usize::from(bias) {
                        let w = next();
                        for (y, x) in y.iter_mut().zip(&x) {
                            y[i] = y[i] + w * x.get(j).copied().unwrap_or(N::constant(1.0));
                        }
                    }
                }
                x = y;
            }
            Layer::BatchNorm { features, eps, .. } => {
                let n = 1.0 / x.len() as f64;
                let fixed: Vec<f64> = running.by_ref().take(2 * features).copied().collect();
                for c in 0..features {
                    let column: Vec<N> = x.iter().map(|row| row[c]).collect();
                    let (mean, variance) = match statistics {
                        Statistics::Running(_) => {
                            (N::constant(fixed[c]), N::constant(fixed[features + c]))
                        }
                        Statistics::Batch => {
                            let mean = N::sum(&column).scale(n);
                            let squares: Vec<N> =
                                column.iter().map(|v| (*v - mean) * (*v - mean)).collect();
                            (mean, N::sum(&squares).scale(n))
                        }
                    };
                    let (gamma, beta) = (next(), next());
                    for row in &mut x {
                        row[c] = gamma * (row[c] - mean) / variance.shift(eps).sqrt() + beta;
                    }
                }
            }
            Layer::Flatten {} => {}
            _ => x.iter_mut().flatten().for_each(|t| *t = activation(layer, *t)),
        }
    }
    x
}

fn activation<N: Number>(layer: &Layer, t: N) -> N {
    match *layer {
        Layer::Tanh {} => t.tanh(),
        Layer::Sigmoid {} => t.sigm(),
        Layer::Relu { .. } if t.value() > 0.0 => t,
        Layer::Relu { leak } => t.scale(leak),
        Layer::Elu { .. } if t.value() >= 0.0 => t,
        Layer::Elu { alpha } => t.exp().shift(-1.0).scale(alpha),
        _ => unreachable!("not an activation"),
    }
}

/// The mean loss of the samples.
///
/// # Panics
/// With labels of another kind.
pub fn loss<N: Number>(outputs: &[Vec<N>], loss: Loss, labels: &Labels) -> N {
    let mut total = N::constant(0.0);
    for (s, f) in outputs.iter().enumerate() {
        let one = match (loss, labels) {
            (Loss::SoftmaxCrossEntropy, Labels::Classes(c)) => N::log_sum_exp(f) - f[c[s]],
            (Loss::Mse { scale }, Labels::Values(v)) => {
                let errors = f.iter().zip(&v[s * f.len()..]).map(|(f, y)| f.shift(-y));
                N::sum(&errors.map(|e| e * e).collect::<Vec<N>>()).scale(scale)
            }
            (Loss::BinaryCrossEntropy, Labels::Values(v)) => {
                // −y ln sigm f − (1 − y) ln sigm(−f), the definition.
                let pairs = f.iter().zip(&v[s * f.len()..]);
                let terms =
                    pairs.map(|(f, y)| -(f.ln_sigm().scale(*y) + (-*f).ln_sigm().scale(1.0 - y)));
                N::sum(&terms.collect::<Vec<N>>())
            }
            _ => panic!("labels of another kind"),
        };
        total = total + one;
    }
    total.scale(1.0 / outputs.len() as f64)
}
