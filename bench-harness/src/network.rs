//! Training steps of a perceptron, and its bare products for comparison.

mod judge;

use relfisher::executor::Cpu;
use relfisher::network::{Loss, Mode, Network, Normalisation, Parameters, Tape, Targets};
use relfisher::optimizer::{MetricBatch, Optimizer, OptimizerConfig, Step};
use relfisher::random::{self, Rng};
use relfisher::{Error, Scalar};
use relfisher_core::metric::neuron::Activation;

use crate::{Random, sizes};

/// Random inputs and labels.
#[derive(Debug)]
pub struct Data<T> {
    inputs: Vec<T>,
    labels: Vec<usize>,
    width: usize,
}

impl<T: Scalar> Data<T> {
    fn load_into(&self, tape: &mut Tape<T>, count: usize, rng: &mut Rng) -> Result<(), Error> {
        tape.set_batch(count)?;
        let rows = self.labels.len();
        let mut input = tape.input_mut();
        for s in 0..count {
            let row = random::below(rng, rows);
            let from = row * self.width;
            input.row_mut(s).copy_from_slice(&self.inputs[from..from + self.width]);
        }
        Ok(())
    }
}

impl<T: Scalar> MetricBatch<T> for &Data<T> {
    fn available(&self) -> usize {
        self.labels.len()
    }
    fn load(&mut self, tape: &mut Tape<T>, count: usize, rng: &mut Rng) -> Result<(), Error> {
        self.load_into(tape, count, rng)
    }
}

/// γ of every step.
const RATE: f64 = 1e-4;

/// A network, its tape and an optimiser.
pub struct Training<T: Scalar> {
    network: Network<T>,
    tape: Tape<T>,
    parameters: Parameters<T>,
    gradient: Vec<T>,
    config: OptimizerConfig,
    optimizer: Box<dyn Optimizer<T>>,
    data: Data<T>,
    batch: usize,
    index: u64,
    rng: Rng,
}

impl<T: Scalar> Training<T> {
    /// The network of `sizes.toml` with the default settings of an optimiser.
    ///
    /// # Panics
    /// When the optimiser has no such name.
    #[must_use]
    pub fn new(size: &sizes::Step, optimizer: &str) -> Self {
        let relu = Activation::Relu { leak: 0.0 };
        let plain = Normalisation::Plain;
        let network = Network::mlp(&size.widths, relu, plain, Loss::SoftmaxCrossEntropy);
        let network: Network<T> = network.expect("a network");
        let config = OptimizerConfig::by_name(optimizer).expect("an optimiser");
        let mut random = Random::new(4);
        let (width, rows) = (size.widths[0], sizes::SAMPLES);
        let inputs = random.numbers(rows * width, 0.0, 1.0);
        let classes = *size.widths.last().expect("widths") as f64;
        let labels = (0..rows).map(|_| (random.unit() * classes) as usize).collect();
        let mut rng = random::stream(1, 0, "bench");
        Self {
            tape: Tape::new(&network, size.batch),
            parameters: network.init(&mut rng),
            gradient: vec![T::ZERO; network.parameter_count()],
            optimizer: config.build(&network).expect("valid settings"),
            config,
            data: Data { inputs, labels, width },
            batch: size.batch,
            index: 0,
            network,
            rng,
        }
    }

    /// One step: batch, forward, loss, backward, update. Returns the mean loss.
    ///
    /// # Errors
    /// Those of the network and the optimiser.
    pub fn step(&mut self, cpu: &Cpu) -> Result<f64, Error> {
        let loss = self.passes(cpu)?;
        self.update(cpu, loss)?;
        Ok(loss)
    }

    /// The labels of the next step.
    fn labels(&self) -> std::ops::Range<usize> {
        let first = self.index as usize * self.batch % (self.data.labels.len() - self.batch);
        first..first + self.batch
    }

    /// A step up to its gradient; the mean loss.
    fn passes(&mut self, cpu: &Cpu) -> Result<f64, Error> {
        let labels = self.labels();
        let Self { network, tape, parameters, gradient, data, rng, .. } = self;
        data.load_into(tape, self.batch, rng)?;
        network.forward(cpu, parameters, Mode::Train, tape)?;
        let report = network.loss(cpu, tape, &Targets::Classes(&data.labels[labels]))?;
        network.backward(cpu, parameters, tape, Some(gradient))?;
        Ok(report.mean)
    }

    /// The rest of a step.
    fn update(&mut self, cpu: &Cpu, loss: f64) -> Result<(), Error> {
        let labels = self.labels();
        let Self { network, tape, parameters, gradient, data, rng, .. } = self;
        self.optimizer.step(&mut Step {
            executor: cpu,
            network,
            tape,
            targets: Targets::Classes(&data.labels[labels]),
            loss,
            parameters,
            gradient,
            learning_rate: T::from_f64(RATE),
            index: self.index,
            rng,
            metric_batch: &mut &*data,
        })?;
        self.index += 1;
        Ok(())
    }
}

/// The bare products of forward and backward passes, by `faer` as a user would call it.
#[derive(Debug)]
pub struct Products<T> {
    batch: usize,
    threads: usize,
    /// For each layer: x̃ (n × d̃), W̃ (m × d̃), δ (n × m), and places for ∂ℓ/∂x̃, ∇W̃, t.
    layers: Vec<[Vec<T>; 6]>,
    shapes: Vec<(usize, usize)>,
}

impl<T: Scalar> Products<T> {
    /// Random factors of the shapes of the network.
    #[must_use]
    pub fn new(size: &sizes::Step, threads: usize) -> Self {
        let mut random = Random::new(5);
        let shapes: Vec<_> = size.widths.windows(2).map(|w| (w[1], w[0] + 1)).collect();
        let n = size.batch;
        let layers = shapes.iter().map(|&(m, d)| {
            [n * d, m * d, n * m, n * d, m * d, n * m].map(|len| random.numbers(len, -0.1, 0.1))
        });
        Self { batch: n, threads, layers: layers.collect(), shapes }
    }

    /// Two products for each layer and one more for all but the first: FLOPs of a step.
    #[must_use]
    pub fn flops(&self) -> u64 {
        let per_layer = self.shapes.iter().enumerate();
        let count = |(k, (m, d)): (usize, &(usize, usize))| 2 * m * d * if k == 0 { 2 } else { 3 };
        (per_layer.map(count).sum::<usize>() * self.batch) as u64
    }

    /// t = x̃ W̃ᵀ forwards; ∇W̃ = δᵀ x̃ and, above the first layer, δ W backwards.
    pub fn run(&mut self) {
        use faer::linalg::matmul::matmul;
        use faer::{Accum, MatMut, MatRef};
        let (n, par) = (self.batch, crate::dense::par(self.threads));
        for ([x, w, _, _, _, t], &(m, d)) in self.layers.iter_mut().zip(&self.shapes) {
            let t = MatMut::from_row_major_slice_mut(t, n, m);
            let x = MatRef::from_row_major_slice(x, n, d);
            let w = MatRef::from_row_major_slice(w, m, d);
            matmul(t, Accum::Replace, x, w.transpose(), T::ONE, par);
        }
        for (k, (layer, &(m, d))) in self.layers.iter_mut().zip(&self.shapes).enumerate() {
            let [x, w, delta, below, gradient, _] = layer;
            let delta = MatRef::from_row_major_slice(delta, n, m);
            if k > 0 {
                let below = MatMut::from_row_major_slice_mut(below, n, d);
                let w = MatRef::from_row_major_slice(w, m, d);
                matmul(below, Accum::Replace, delta, w, T::ONE, par);
            }
            let x = MatRef::from_row_major_slice(x, n, d);
            let gradient = MatMut::from_row_major_slice_mut(gradient, m, d);
            matmul(gradient, Accum::Replace, delta.transpose(), x, T::ONE / T::from_usize(n), par);
        }
    }

    /// Whether the first layer's outputs and gradient are the products that they should be, at some
    /// elements, summed in f64.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), String> {
        let (Some([x, w, delta, _, gradient, t]), Some(&(m, d))) =
            (self.layers.first(), self.shapes.first())
        else {
            return Ok(());
        };
        let n = self.batch;
        let mut random = Random::new(2);
        let mut pick = |end: usize| (random.unit() * end as f64) as usize;
        let (mut got, mut want) = (Vec::new(), Vec::new());
        for _ in 0..50 {
            let (s, i, j) = (pick(n), pick(m), pick(d));
            let out = (0..d).map(|k| x[s * d + k].to_f64() * w[i * d + k].to_f64()).sum();
            got.push(t[s * m + i]);
            want.push(T::from_f64(out));
            let sum: f64 = (0..n).map(|s| delta[s * m + i].to_f64() * x[s * d + j].to_f64()).sum();
            got.push(gradient[i * d + j]);
            want.push(T::from_f64(sum / n as f64));
        }
        crate::case::near("bare products", &got, &want, 1e3)
    }
}
