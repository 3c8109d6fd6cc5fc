//! Training steps of a perceptron, and its bare products for comparison.

use relfisher::Error;
use relfisher::executor::Cpu;
use relfisher::network::{Loss, Mode, Network, Normalisation, Parameters, Tape, Targets};
use relfisher::optimizer::{MetricBatch, Optimizer, OptimizerConfig, Step};
use relfisher::random::{self, Rng};
use relfisher_core::metric::neuron::Activation;

use crate::{Random, THREADS, sizes};

/// Random inputs and labels.
#[derive(Debug)]
pub struct Data {
    inputs: Vec<f32>,
    labels: Vec<usize>,
    width: usize,
}

impl Data {
    fn load_into(&self, tape: &mut Tape<f32>, count: usize, rng: &mut Rng) -> Result<(), Error> {
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

impl MetricBatch<f32> for &Data {
    fn available(&self) -> usize {
        self.labels.len()
    }
    fn load(&mut self, tape: &mut Tape<f32>, count: usize, rng: &mut Rng) -> Result<(), Error> {
        self.load_into(tape, count, rng)
    }
}

/// A network, its tape and an optimiser.
pub struct Training {
    network: Network<f32>,
    tape: Tape<f32>,
    parameters: Parameters<f32>,
    gradient: Vec<f32>,
    optimizer: Box<dyn Optimizer<f32>>,
    data: Data,
    batch: usize,
    index: u64,
    rng: Rng,
}

impl Training {
    /// The network of `sizes.toml` with the default settings of an optimiser.
    ///
    /// # Panics
    /// When the optimiser has no such name.
    #[must_use]
    pub fn new(size: &sizes::Step, optimizer: &str) -> Self {
        let relu = Activation::Relu { leak: 0.0 };
        let plain = Normalisation::Plain;
        let network = Network::mlp(&size.widths, relu, plain, Loss::SoftmaxCrossEntropy);
        let network: Network<f32> = network.expect("a network");
        let config = OptimizerConfig::by_name(optimizer).expect("an optimiser");
        let mut random = Random::new(4);
        let (width, rows) = (size.widths[0], 4000);
        let inputs = random.uniforms(rows * width, 0.0, 1.0);
        let classes = *size.widths.last().expect("widths") as f64;
        let labels = (0..rows).map(|_| (random.unit() * classes) as usize).collect();
        let mut rng = random::stream(1, 0, "bench");
        Self {
            tape: Tape::new(&network, size.batch),
            parameters: network.init(&mut rng),
            gradient: vec![0.0; network.parameter_count()],
            optimizer: config.build(&network).expect("valid settings"),
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
        let Self { network, tape, parameters, gradient, data, rng, .. } = self;
        data.load_into(tape, self.batch, rng)?;
        let first = self.index as usize * self.batch % (data.labels.len() - self.batch);
        let labels = &data.labels[first..first + self.batch];
        network.forward(cpu, parameters, Mode::Train, tape)?;
        let targets = Targets::Classes(labels);
        let report = network.loss(cpu, tape, &targets)?;
        network.backward(cpu, parameters, tape, Some(gradient))?;
        self.optimizer.step(&mut Step {
            executor: cpu,
            network,
            tape,
            targets,
            loss: report.mean,
            parameters,
            gradient,
            learning_rate: 1e-4,
            index: self.index,
            rng,
            metric_batch: &mut &*data,
        })?;
        self.index += 1;
        Ok(report.mean)
    }
}

/// The bare products of forward and backward passes, by `faer` as a user would call it.
#[derive(Debug)]
pub struct Products {
    batch: usize,
    /// For each layer: x̃ (n × d̃), W̃ (m × d̃), δ (n × m), and places for ∂ℓ/∂x̃, ∇W̃, t.
    layers: Vec<[Vec<f32>; 6]>,
    shapes: Vec<(usize, usize)>,
}

impl Products {
    /// Random factors of the shapes of the network.
    #[must_use]
    pub fn new(size: &sizes::Step) -> Self {
        let mut random = Random::new(5);
        let shapes: Vec<_> = size.widths.windows(2).map(|w| (w[1], w[0] + 1)).collect();
        let n = size.batch;
        let layers = shapes.iter().map(|&(m, d)| {
            [n * d, m * d, n * m, n * d, m * d, n * m].map(|len| random.uniforms(len, -0.1, 0.1))
        });
        Self { batch: n, layers: layers.collect(), shapes }
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
        use faer::{Accum, MatMut, MatRef, Par};
        let (n, par) = (self.batch, Par::rayon(THREADS));
        for ([x, w, _, _, _, t], &(m, d)) in self.layers.iter_mut().zip(&self.shapes) {
            let t = MatMut::from_row_major_slice_mut(t, n, m);
            let x = MatRef::from_row_major_slice(x, n, d);
            let w = MatRef::from_row_major_slice(w, m, d);
            matmul(t, Accum::Replace, x, w.transpose(), 1.0, par);
        }
        for (k, (layer, &(m, d))) in self.layers.iter_mut().zip(&self.shapes).enumerate() {
            let [x, w, delta, below, gradient, _] = layer;
            let delta = MatRef::from_row_major_slice(delta, n, m);
            if k > 0 {
                let below = MatMut::from_row_major_slice_mut(below, n, d);
                let w = MatRef::from_row_major_slice(w, m, d);
                matmul(below, Accum::Replace, delta, w, 1.0, par);
            }
            let x = MatRef::from_row_major_slice(x, n, d);
            let gradient = MatMut::from_row_major_slice_mut(gradient, m, d);
            matmul(gradient, Accum::Replace, delta.transpose(), x, 1.0 / n as f32, par);
        }
    }
}
