//! Relative Fisher metrics of layers against E[∂ln p ∂ln pᵀ] of their response models.

use relfisher::curvature::rfim;
use relfisher::network::{BlockKind, Layer, Loss};
use relfisher_tests::compare::assert_close;
use relfisher_tests::oracle::dense::Matrix as Dense;
use relfisher_tests::oracle::dual::{First, constants};
use relfisher_tests::oracle::network::{Statistics, cut, outputs};
use relfisher_tests::oracle::response::{Function, Model};
use relfisher_tests::problem::{LOSSES, Problem, ZOO};
use relfisher_tests::tolerance::Oracle;

use super::MEMORY;

/// How many layers belong to the response of block b (its own, maybe a batch normalisation), and
/// how the outputs answer.
fn response(p: &Problem, b: usize) -> (usize, Model, Function) {
    let layers = &p.architecture.layers;
    let mut end = cut(&p.architecture, b).head.layers.len();
    let own = &layers[end - 1];
    if !matches!(own, Layer::BatchNorm { .. })
        && matches!(layers.get(end), Some(Layer::BatchNorm { .. }))
    {
        end += 1;
    }
    let gaussian = Model::Gaussian { sigma: 1.0 };
    // A flatten changes no number; of images and sequences it mixes what a soft-max would tell apart.
    let flat = |l: &&Layer| matches!(l, Layer::Flatten {});
    let next = layers[end..].iter().find(|l| !flat(l));
    let mixed = layers.get(end).is_some_and(|l| flat(&l)) && p.architecture.input_shape.len() > 1;
    let (model, f) = match (next, p.architecture.loss) {
        (Some(Layer::Tanh {}), _) => (Model::Sign, Function::Linear),
        (Some(Layer::Sigmoid {}), _) => (Model::Bernoulli, Function::Linear),
        (Some(Layer::Relu { leak }), _) => (gaussian, Function::Relu { leak: *leak }),
        (Some(Layer::Elu { alpha }), _) => (gaussian, Function::Elu { alpha: *alpha }),
        (Some(_), _) => (gaussian, Function::Linear),
        (None, Loss::Mse { scale }) => {
            (Model::Gaussian { sigma: 1.0 / (2.0 * scale).sqrt() }, Function::Linear)
        }
        (None, Loss::BinaryCrossEntropy) => (Model::Bernoulli, Function::Linear),
        (None, Loss::SoftmaxCrossEntropy) if mixed => (gaussian, Function::Linear),
        (None, Loss::SoftmaxCrossEntropy) => (Model::Categorical, Function::Linear),
    };
    (end, model, f)
}

/// The mean metric of block b from the definition: a matrix for each neuron, or one for all.
fn definition(p: &Problem, b: usize) -> Vec<Dense> {
    let loaded = p.load::<f64>(1);
    let block = &loaded.network.blocks()[b];
    let (end, model, f) = response(p, b);
    let mut head = p.architecture.clone();
    head.layers.truncate(end);
    let normalised = end > cut(&p.architecture, b).head.layers.len();
    let (m, d, t) = (block.rows, block.cols, block.positions);
    let channels_first = cut(&p.architecture, b).tail.input_shape.len() == 3;
    let place = |i: usize, tau: usize| if channels_first { i * t + tau } else { tau * m + i };
    let run = |sample: &Problem, offset: usize, w: &[First]| {
        let mut all: Vec<First> = constants(&p.parameters.values);
        all[offset..offset + w.len()].copy_from_slice(w);
        let running = Statistics::Running(&p.parameters.buffers);
        outputs(&head, &all, &sample.rows(), running).remove(0)
    };
    let values = &p.parameters.values;
    let share = 1.0 / p.samples as f64;
    if model == Model::Categorical && !normalised && block.kind != BlockKind::BatchNorm {
        let mut metric = Dense::zeros(m * d, m * d);
        for s in 0..p.samples {
            let sample = p.sample(s);
            let logits = |w: &[First]| run(&sample, block.offset, w);
            metric = metric.plus(share, &model.fisher(logits, &values[block.range()]));
        }
        return vec![metric];
    }
    let neuron = |i: usize| {
        let row = block.offset + i * d..block.offset + (i + 1) * d;
        let mut metric = Dense::zeros(d, d);
        for s in 0..p.samples {
            let sample = p.sample(s);
            for tau in 0..t {
                let one = match model {
                    // Each logit on its own: class i or any other.
                    Model::Categorical => {
                        alone(i, |w| run(&sample, row.start, w), &values[row.clone()])
                    }
                    _ => {
                        let u = |w: &[First]| vec![f.at(run(&sample, row.start, w)[place(i, tau)])];
                        model.fisher(u, &values[row.clone()])
                    }
                };
                metric = metric.plus(share, &one);
            }
        }
        metric
    };
    (0..m).map(neuron).collect()
}

/// Var(score) of the soft-max when logit i moves only: the (i, i) element of its Fisher matrix.
fn alone(i: usize, logits: impl Fn(&[First]) -> Vec<First>, w: &[f64]) -> Dense {
    let moving = |w: &[First]| {
        let all = logits(w);
        let still = |(k, u): (usize, &First)| if k == i { *u } else { First::fixed(u.v) };
        all.iter().enumerate().map(still).collect()
    };
    Model::Categorical.fisher(moving, w)
}

#[test]
fn metrics_are_those_of_the_definition() {
    let mut shared = 0;
    for i in 0..ZOO.len() {
        let p = Problem::of_zoo(i, LOSSES[(i + 2) % 4]);
        let loaded = p.load::<f64>(1);
        let got = rfim(&loaded.problem(2), MEMORY).expect("metrics");
        for (b, block) in loaded.network.blocks().iter().enumerate() {
            let want = definition(&p, b);
            let (m, d) = (block.rows, block.cols);
            let shape = if want.len() == m && want[0].rows == d {
                vec![m, d, d]
            } else {
                vec![m * d, m * d]
            };
            let label = format!("{} block {b}", p.label);
            assert_eq!(got[b].shape, shape, "{label}");
            let want: Vec<f64> = want.into_iter().flat_map(|w| w.data).collect();
            assert_close(&label, &got[b].data, &want, "rfim", Oracle::Definition, 1);
            shared += usize::from(block.positions > 1);
        }
    }
    assert!(shared > 15, "{shared} layers with positions");
}
