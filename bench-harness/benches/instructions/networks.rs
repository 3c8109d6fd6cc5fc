//! Networks: training steps by optimiser, and the factor of a convolution.

use relfisher::curvature::{FactorScratch, Site};
use relfisher::executor::Cpu;
use relfisher::network::{Architecture, Mode, Network, Parameters, Tape, Targets};
use relfisher::optimizer::{MetricBatch, Optimizer, OptimizerConfig, Step};
use relfisher::random::{self, Rng};
use relfisher::{Error, Scalar};
use relfisher_bench::Random;
use relfisher_core::MatRef;
use relfisher_core::curvature::Sharing;

use crate::case::{Aligned, Case, Counted, Data, cpu, direct, near, ulps};

/// A perceptron of three layers.
const PERCEPTRON: &str = r#"{"input_shape": [20], "loss": {"type": "softmax_cross_entropy"}, "layers": [
    {"type": "linear", "in": 20, "out": 16, "param": "a"}, {"type": "relu"},
    {"type": "linear", "in": 16, "out": 16, "param": "b"}, {"type": "tanh"},
    {"type": "linear", "in": 16, "out": 10, "param": "c"}]}"#;

/// A convolution with a pool and a linear layer.
const CONVOLUTION: &str = r#"{"input_shape": [3, 10, 10], "loss": {"type": "softmax_cross_entropy"}, "layers": [
    {"type": "conv2d", "in_channels": 3, "out_channels": 6, "kernel": [3, 3], "padding": [1, 1], "param": "a"},
    {"type": "relu"}, {"type": "maxpool2d", "kernel": [2, 2]}, {"type": "flatten"},
    {"type": "linear", "in": 150, "out": 5, "param": "b"}]}"#;

/// Which network.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// 20-16-16-10.
    Perceptron,
    /// 3 channels of 10×10 to 6 channels, pool, linear.
    Convolution,
}

fn network<T: Scalar>(shape: Shape) -> Network<T> {
    let text = match shape {
        Shape::Perceptron => PERCEPTRON,
        Shape::Convolution => CONVOLUTION,
    };
    let architecture = Architecture::parse(text).expect("a network file");
    Network::from_architecture(&architecture).expect("a network")
}

/// Samples of a batch.
const BATCH: usize = 32;

/// Inputs and labels of a batch.
struct Examples<T> {
    inputs: Vec<T>,
    labels: Vec<usize>,
}

impl<T: Scalar> Examples<T> {
    fn new(network: &Network<T>) -> Self {
        let mut random = Random::new(1);
        let inputs = (0..BATCH * network.inputs()).map(|_| T::from_f64(random.unit())).collect();
        let classes = network.outputs() as f64;
        Self { inputs, labels: (0..BATCH).map(|_| (random.unit() * classes) as usize).collect() }
    }

    fn fill(&self, tape: &mut Tape<T>, count: usize) -> Result<(), Error> {
        tape.set_batch(count)?;
        let mut rows = tape.input_mut();
        let width = self.inputs.len() / BATCH;
        for (s, input) in self.inputs.chunks_exact(width).take(count).enumerate() {
            rows.row_mut(s).copy_from_slice(input);
        }
        Ok(())
    }
}

impl<T: Scalar> MetricBatch<T> for &Examples<T> {
    fn available(&self) -> usize {
        BATCH
    }
    fn load(&mut self, tape: &mut Tape<T>, count: usize, _: &mut Rng) -> Result<(), Error> {
        self.fill(tape, count)
    }
}

/// Everything that a step needs, and the losses of the batch before each of [`STEPS`] steps.
struct Training<T: Scalar> {
    cpu: Cpu,
    network: Network<T>,
    config: OptimizerConfig,
    optimizer: Box<dyn Optimizer<T>>,
    tape: Tape<T>,
    parameters: Parameters<T>,
    first: Parameters<T>,
    gradient: Vec<T>,
    examples: Examples<T>,
    rng: Rng,
    losses: Vec<f64>,
}

/// Steps of a run: the first refreshes every factor and grows every buffer, the second does not.
const STEPS: u64 = 2;

/// Training steps (forward, loss, backward, update) on one batch.
pub(crate) fn steps<T: Scalar>(shape: Shape, optimizer: &str) -> Case {
    let network: Network<T> = network(shape);
    let config = OptimizerConfig::by_name(optimizer).expect("an optimiser");
    let parameters = network.init(&mut random::stream(1, 0, "init"));
    Box::new(Training {
        cpu: cpu(),
        optimizer: config.build(&network).expect("valid settings"),
        tape: Tape::new(&network, BATCH),
        first: parameters.clone(),
        gradient: vec![T::NAN; network.parameter_count()],
        examples: Examples::new(&network),
        rng: random::stream(1, 0, "steps"),
        losses: Vec::with_capacity(STEPS as usize),
        config,
        network,
        parameters,
    })
}

impl<T: Scalar> Training<T> {
    fn pass(&mut self) -> Result<f64, Error> {
        let Self { cpu, network, tape, parameters, examples, .. } = self;
        examples.fill(tape, BATCH)?;
        network.forward(cpu, parameters, Mode::Train, tape)?;
        Ok(network.loss(cpu, tape, &Targets::Classes(&examples.labels))?.mean)
    }

    fn step(&mut self, index: u64) -> Result<(), Error> {
        let loss = self.pass()?;
        self.losses.push(loss);
        let Self { cpu, network, tape, parameters, gradient, examples, rng, .. } = self;
        network.backward(cpu, parameters, tape, Some(gradient))?;
        self.optimizer.step(&mut Step {
            executor: cpu,
            network,
            tape,
            targets: Targets::Classes(&examples.labels),
            loss,
            parameters,
            gradient,
            learning_rate: T::from_f64(1e-2),
            index,
            rng,
            metric_batch: &mut &*examples,
        })
    }
}

impl<T: Scalar> Counted for Training<T> {
    fn prepare(&mut self) {
        self.parameters.clone_from(&self.first);
        self.optimizer = self.config.build(&self.network).expect("valid settings");
        self.rng = random::stream(1, 0, "steps");
        self.losses.clear();
    }

    fn run(&mut self) {
        (0..STEPS).for_each(|index| self.step(index).expect("a step"));
    }

    /// Every step went down on its own batch.
    fn check(&mut self) {
        let last = self.pass().expect("a forward pass");
        self.losses.push(last);
        let falls = self.losses.windows(2).all(|pair| pair[1] < pair[0]);
        assert!(falls, "{}: losses {:?} do not fall", self.config.name(), self.losses);
        self.losses.pop();
    }
}

/// A of a convolution: (1/nT) Σ x̃x̃ᵀ of all patches x̃, without a patch matrix.
pub(crate) fn convolution_factor<T: Scalar>() -> Case {
    let network: Network<T> = network(Shape::Convolution);
    let examples = Examples::new(&network);
    let (channels, side, taps) = (3, 10, 9);
    let d = channels * taps + 1;
    let mut images = Aligned::filled(examples.inputs.len(), T::ZERO);
    images.copy_from_slice(&examples.inputs);
    let mut tape = Tape::new(&network, BATCH);
    let parameters = network.init(&mut random::stream(1, 0, "init"));
    examples.fill(&mut tape, BATCH).expect("the batch");
    network.forward(&cpu(), &parameters, Mode::Train, &mut tape).expect("a forward pass");
    let scratch = std::cell::RefCell::new(FactorScratch::default());
    direct(
        Data::<T>::new(vec![images], d * d, 0),
        move |cpu, _, out, _| {
            let site = Site { network: &network, tape: &tape, block: 0 };
            let weights = (T::ZERO, T::ONE);
            let scratch = &mut scratch.borrow_mut();
            let found = site.input_factor(cpu, (out, weights), Sharing::Expand, scratch);
            found.expect("the factor of a convolution");
            Ok(())
        },
        move |given, out| {
            let pixel = |image: &[T], channel: usize, y: usize, x: usize| -> f64 {
                let inside = (1..=side).contains(&y) && (1..=side).contains(&x);
                if !inside {
                    return 0.0;
                }
                image[channel * side * side + (y - 1) * side + x - 1].to_f64()
            };
            let mut want = vec![0.0; d * d];
            for image in given[0].chunks_exact(channels * side * side) {
                for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
                    let mut patch: Vec<f64> = (0..channels * taps)
                        .map(|k| pixel(image, k / taps, y + k % taps / 3, x + k % 3))
                        .collect();
                    patch.push(1.0);
                    for (k, sum) in want.iter_mut().enumerate() {
                        *sum += patch[k / d] * patch[k % d];
                    }
                }
            }
            want.iter_mut().for_each(|sum| *sum /= (BATCH * side * side) as f64);
            near(out, &want, ulps::<T>(256.0));
        },
    )
}

/// A of a linear layer's input: (1/n) Σ x̃x̃ᵀ, of the rows that the network laid out.
pub(crate) fn linear_factor<T: Scalar>() -> Case {
    let network: Network<T> = network(Shape::Perceptron);
    let examples = Examples::new(&network);
    let width = network.inputs();
    let mut inputs = Aligned::filled(examples.inputs.len(), T::ZERO);
    inputs.copy_from_slice(&examples.inputs);
    let mut tape = Tape::new(&network, BATCH);
    let parameters = network.init(&mut random::stream(1, 0, "init"));
    examples.fill(&mut tape, BATCH).expect("the batch");
    network.forward(&cpu(), &parameters, Mode::Train, &mut tape).expect("a forward pass");
    let scratch = std::cell::RefCell::new(FactorScratch::default());
    let d = width + 1;
    direct(
        Data::<T>::new(vec![inputs], d * d, 0),
        move |cpu, _, out, _| {
            let site = Site { network: &network, tape: &tape, block: 0 };
            let scratch = &mut scratch.borrow_mut();
            let found = site.input_factor(cpu, (out, (T::ZERO, T::ONE)), Sharing::Expand, scratch);
            found.expect("the factor of a linear layer");
            Ok(())
        },
        move |given, out| {
            let x = MatRef::new(&given[0], BATCH, width).expect("shape");
            let entry = |s: usize, i: usize| if i == width { 1.0 } else { x.at(s, i).to_f64() };
            let pair = |k: usize| -> f64 {
                (0..BATCH).map(|s| entry(s, k / d) * entry(s, k % d)).sum::<f64>() / BATCH as f64
            };
            let want: Vec<f64> = (0..d * d).map(pair).collect();
            near(out, &want, ulps::<T>(64.0));
        },
    )
}
