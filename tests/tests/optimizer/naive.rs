//! A forward pass, metrics and K-FAC's factors with loops, from the definitions; dense solves.

use relfisher::network::{Block, BlockKind, Layer, Network, ResponseSite};
use relfisher_core::metric::neuron::Activation;
use relfisher_tests::oracle::dense::Matrix;

use crate::lab::{Lab, SAMPLES};

pub(crate) type Rows = Vec<Vec<f64>>;

/// The augmented input and the output of every block, samples in rows.
pub(crate) struct Trace {
    pub(crate) input: Rows,
    pub(crate) output: Rows,
    pub(crate) deviation: Vec<f64>,
}

pub(crate) fn naive_forward(
    network: &Network<f64>,
    values: &[f64],
    features: &[f64],
) -> Vec<Trace> {
    let mut x: Rows = features.chunks(network.inputs()).map(<[f64]>::to_vec).collect();
    let n = x.len() as f64;
    let mut traces: Vec<Trace> = Vec::new();
    for layer in &network.architecture().layers {
        match layer {
            Layer::Linear { .. } => {
                let w = &values[network.blocks()[traces.len()].range()];
                let input: Rows =
                    x.iter().map(|r| r.iter().copied().chain([1.0]).collect()).collect();
                let dot = |row: &[f64], r: &[f64]| row.iter().zip(r).map(|(a, b)| a * b).sum();
                x = input
                    .iter()
                    .map(|r| w.chunks(r.len()).map(|row| dot(row, r)).collect())
                    .collect();
                traces.push(Trace { input, output: x.clone(), deviation: vec![] });
            }
            Layer::BatchNorm { features: c, eps, .. } => {
                let p = &values[network.blocks()[traces.len()].range()];
                let mut deviation = vec![0.0; *c];
                let mut hat = x.clone();
                for k in 0..*c {
                    let mean = x.iter().map(|r| r[k]).sum::<f64>() / n;
                    let variance = x.iter().map(|r| (r[k] - mean).powi(2)).sum::<f64>() / n;
                    deviation[k] = (variance + eps).sqrt();
                    for (h, r) in hat.iter_mut().zip(&mut x) {
                        h[k] = (r[k] - mean) / deviation[k];
                        r[k] = p[2 * k] * h[k] + p[2 * k + 1];
                    }
                }
                traces.push(Trace { input: hat, output: x.clone(), deviation });
            }
            Layer::Tanh {} => map(&mut x, f64::tanh),
            Layer::Sigmoid {} => map(&mut x, logistic),
            Layer::Relu { leak } => map(&mut x, |t| if t > 0.0 { t } else { leak * t }),
            Layer::Elu { alpha } => {
                map(&mut x, |t| if t >= 0.0 { t } else { alpha * (t.exp() - 1.0) })
            }
            Layer::Flatten {} => {}
            other => panic!("these networks have no {other:?}"),
        }
    }
    traces
}

pub(crate) fn map(x: &mut Rows, f: impl Fn(f64) -> f64) {
    x.iter_mut().flatten().for_each(|t| *t = f(*t));
}

pub(crate) fn logistic(t: f64) -> f64 {
    1.0 / (1.0 + (-t).exp())
}

pub(crate) fn softmax(row: &[f64]) -> Vec<f64> {
    let total: f64 = row.iter().map(|t| t.exp()).sum();
    row.iter().map(|t| t.exp() / total).collect()
}

/// ν of output i of a row of response inputs, smoothing 1.
pub(crate) fn nu(site: ResponseSite, row: &[f64], i: usize) -> f64 {
    let t = row[i];
    match site {
        ResponseSite::Softmax => softmax(row)[i] * (1.0 - softmax(row)[i]),
        ResponseSite::Bernoulli => logistic(t) * (1.0 - logistic(t)),
        ResponseSite::Gaussian { scale } => 2.0 * scale,
        ResponseSite::Activation(Activation::Linear) => 1.0,
        ResponseSite::Activation(Activation::Tanh) => 1.0 / t.cosh().powi(2),
        ResponseSite::Activation(Activation::Sigm) => logistic(t) * (1.0 - logistic(t)),
        ResponseSite::Activation(Activation::Relu { .. }) => logistic(t).powi(2),
        ResponseSite::Activation(Activation::Elu { alpha }) => {
            if t >= 0.0 {
                1.0
            } else {
                (alpha * t.exp()).powi(2)
            }
        }
    }
}

/// The dense mean metric (m·d̃)² of a block.
pub(crate) fn dense_metric(
    network: &Network<f64>,
    traces: &[Trace],
    values: &[f64],
    b: usize,
) -> Matrix {
    let block: &Block = &network.blocks()[b];
    let (m, d, n) = (block.rows, block.cols, traces[b].input.len());
    let next = network.blocks().get(b + 1);
    let normalised = block.kind == BlockKind::Linear
        && next.is_some_and(|next| next.kind == BlockKind::BatchNorm);
    let joint =
        block.response == ResponseSite::Softmax && block.kind == BlockKind::Linear && !normalised;
    let response = if normalised { b + 1 } else { b };
    // s_i = γ_i/σ_i of a batch normalisation in between.
    let scale = |i: usize| match next {
        Some(next) if normalised => values[next.offset + 2 * i] / traces[b + 1].deviation[i],
        _ => 1.0,
    };
    let mut dense = Matrix::zeros(m * d, m * d);
    for s in 0..n {
        let t = &traces[response].output[s];
        let eta = softmax(t);
        let x = |i: usize| match block.kind {
            BlockKind::Linear | BlockKind::Convolution(_) => traces[b].input[s].clone(),
            BlockKind::BatchNorm => vec![traces[b].input[s][i], 1.0],
        };
        for i in 0..m {
            for j in 0..m {
                let r = match (joint, i == j) {
                    (true, true) => eta[i] - eta[i] * eta[i],
                    (true, false) => -eta[i] * eta[j],
                    (false, true) => nu(block.response, t, i) * scale(i) * scale(i),
                    (false, false) => continue,
                };
                let outer = Matrix::outer(&x(i), &x(j));
                for a in 0..d {
                    for c in 0..d {
                        let k = (i * d + a) * m * d + j * d + c;
                        dense.data[k] += r * outer.at(a, c) / n as f64;
                    }
                }
            }
        }
    }
    dense
}

/// (ḡ + λI)⁻¹ (gradient + decay·θ), block by block, by dense elimination.
pub(crate) fn dense_direction(
    lab: &Lab<f64>,
    gradient: &[f64],
    damping: f64,
    decay: f64,
) -> Vec<f64> {
    let values = &lab.parameters.values;
    let traces = naive_forward(&lab.network, values, &lab.source.features);
    let mut direction = Vec::new();
    for (b, block) in lab.network.blocks().iter().enumerate() {
        let metric = dense_metric(&lab.network, &traces, values, b).damped(damping);
        let g: Vec<f64> = block.range().map(|k| gradient[k] + decay * values[k]).collect();
        direction.extend(metric.solve_vector(&g));
    }
    direction
}

/// The factors [A, G] of every linear block, or the 2 × 2 blocks of a batch normalisation, for the
/// labels that the optimiser is about to draw.
pub(crate) fn kfac_factors(lab: &Lab<f64>) -> Vec<Vec<Matrix>> {
    let (mut tape, mut rng) = (lab.tape.clone(), lab.rng.clone());
    lab.network.sample_model_labels(&lab.cpu, &mut tape, &mut rng).unwrap();
    lab.network.backward(&lab.cpu, &lab.parameters, &mut tape, None).unwrap();
    let traces = naive_forward(&lab.network, &lab.parameters.values, &lab.source.features);
    lab.network
        .blocks()
        .iter()
        .enumerate()
        .map(|(b, block)| {
            let delta = tape.delta(b);
            match block.kind {
                BlockKind::Linear | BlockKind::Convolution(_) => {
                    let g: Rows = (0..SAMPLES).map(|s| delta.row(s).to_vec()).collect();
                    vec![second_moment(&traces[b].input), second_moment(&g)]
                }
                BlockKind::BatchNorm => (0..block.rows)
                    .map(|c| {
                        let row = |s: usize| {
                            let d = delta.at(s, c);
                            vec![d * traces[b].input[s][c], d]
                        };
                        second_moment(&(0..SAMPLES).map(row).collect())
                    })
                    .collect(),
            }
        })
        .collect()
}

/// (1/n) Σ r rᵀ.
pub(crate) fn second_moment(rows: &Rows) -> Matrix {
    let d = rows[0].len();
    let mut sum = Matrix::zeros(d, d);
    for r in rows {
        sum = sum.plus(1.0 / rows.len() as f64, &Matrix::outer(r, r));
    }
    sum
}

/// The dense damped solve of a block, λ = 0.2.
pub(crate) fn kfac_direction(block: &Block, factors: &[Matrix], g: &[f64]) -> Vec<f64> {
    let damping: f64 = 0.2;
    match block.kind {
        BlockKind::Linear | BlockKind::Convolution(_) => {
            let (a, b) = (&factors[0], &factors[1]);
            let pi = ((a.trace() / block.cols as f64) / (b.trace() / block.rows as f64)).sqrt();
            let dense = b.damped(damping.sqrt() / pi).kron(&a.damped(pi * damping.sqrt()));
            dense.solve_vector(g)
        }
        BlockKind::BatchNorm => factors
            .iter()
            .zip(g.chunks(2))
            .flat_map(|(f, g)| f.damped(damping).solve_vector(g))
            .collect(),
    }
}
