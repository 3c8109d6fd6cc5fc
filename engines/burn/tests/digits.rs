//! Training on the bundled digits: natural gradient reaches a loss in fewer epochs than burn's SGD, which
//! gets the best of three rates.

use burn::module::Module;
use burn::nn::loss::CrossEntropyLoss;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Int, Tensor, TensorData, activation::relu};
use relfisher_burn::{Config, NaturalGradient, Response, Site, Trace, sampled_labels};
use relfisher_engine_testing::{Digits, PIXELS, Rng};

const LOSS: f32 = 0.2;
const EPOCHS: usize = 12;

#[derive(Module, Debug)]
struct Mlp {
    hidden: Linear,
    last: Linear,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    Sgd(f64),
    Kfac,
    Rngd,
}

impl Mlp {
    fn new(device: &Device, rng: &mut Rng) -> Self {
        let mut layer = |d: usize, m: usize| {
            let mut layer = LinearConfig::new(d, m).init(device);
            // Initial weights that the seed fixes.
            let data = TensorData::new(rng.he(m, d), [m, d]);
            let weight = Tensor::<2>::from_data(data, device).transpose();
            layer.weight = burn::module::Param::from_tensor(weight);
            layer.bias = Some(burn::module::Param::from_tensor(Tensor::zeros([m], device)));
            layer
        };
        Self { hidden: layer(PIXELS, 32), last: layer(32, 10) }
    }

    fn run(&self, batch: &Digits, device: &Device) -> (Trace, Tensor<2>, Tensor<1, Int>) {
        let n = batch.len();
        let x = Tensor::<2>::from_data(TensorData::new(batch.images.clone(), [n, PIXELS]), device);
        let classes: Vec<i64> = batch.labels.iter().map(|c| i64::from(*c)).collect();
        let y = Tensor::<1, Int>::from_data(TensorData::new(classes, [n]), device);
        let mut trace = Trace::new();
        let a = relu(trace.linear(&self.hidden, x).expect("a run"));
        let logits = trace.linear(&self.last, a).expect("a run");
        (trace, logits, y)
    }
}

/// The first epoch (from 1) whose mean loss of the mini-batches is at most LOSS.
fn epochs(rule: Rule, digits: &Digits) -> usize {
    let (device, mut rng) = (Device::flex().autodiff(), Rng(1));
    let mut mlp = Mlp::new(&device, &mut rng);
    let mut sgd = SgdConfig::new().init();
    let site = Site::Neurons(Response::Relu { leak: 0.0, smoothing: 1.0, sigma: 1.0 });
    let config = match rule {
        Rule::Kfac => Config { learning_rate: 0.02, ..Config::kfac() },
        _ => Config::rngd_samples(),
    };
    let specs = [("hidden", &mlp.hidden, site), ("last", &mlp.last, Site::Softmax)];
    let mut natural = NaturalGradient::<f32>::new(&specs, config).expect("an optimiser");
    let criterion = CrossEntropyLoss::new(None, &device);
    for epoch in 1..=EPOCHS {
        let (mut total, mut count) = (0.0, 0.0);
        for rows in rng.permutation(digits.len()).chunks(50) {
            let batch = digits.batch(rows);
            if rule == Rule::Kfac && natural.is_due() {
                // burn's graph is used up by one backward pass: a forward pass for the drawn labels.
                let (trace, logits, _) = mlp.run(&batch, &device);
                let drawn = sampled_labels::<f32>(&logits, &mut || rng.uniform()).expect("labels");
                let loss = criterion.forward(logits, drawn);
                natural.observe(&trace, &loss.backward()).expect("observed");
            }
            let (trace, logits, y) = mlp.run(&batch, &device);
            let loss = criterion.forward(logits, y);
            total += loss.clone().into_scalar::<f32>();
            count += 1.0;
            let gradients = loss.backward();
            if let Rule::Sgd(rate) = rule {
                let gradients = GradientsParams::from_grads(gradients, &mlp);
                mlp = sgd.step(rate, mlp, gradients);
            } else {
                let layers = &mut [&mut mlp.hidden, &mut mlp.last];
                natural.step(&trace, &gradients, layers).expect("a step");
            }
        }
        if total / count <= LOSS {
            return epoch;
        }
    }
    EPOCHS + 1
}

#[test]
fn fewer_epochs_than_sgd() {
    let digits = Digits::read("train", 1000);
    let best = [0.1, 0.3, 1.0].map(|rate| epochs(Rule::Sgd(rate), &digits));
    let best = best.into_iter().min().unwrap_or(EPOCHS + 1);
    for rule in [Rule::Kfac, Rule::Rngd] {
        let found = epochs(rule, &digits);
        println!("{rule:?}: {found} epochs, SGD {best}");
        assert!(found < best, "{rule:?}: {found} epochs, SGD {best}");
    }
}
