//! The networks of the experiment, stopped early.

use std::time::Instant;

use relfisher_core::MatRef;
use relfisher_core::metric::neuron::Activation;

use crate::Scalar;
use crate::curvature::Problem;
use crate::dataset::{Dataset, Split};
use crate::embedding::SparseRows;
use crate::error::Error;
use crate::executor::Executor;
use crate::network::{
    Architecture, Layer, Loss, Mode, Network, Normalisation, Parameters, Tape, Targets,
};
use crate::optimizer::{AdamConfig, MetricBatch, OptimizerConfig, Step};
use crate::random::{self, Rng};

use super::classifier::append_rows;

/// Samples of a mini-batch.
const BATCH: usize = 50;
/// The learning rate of Adam.
const RATE: f64 = 1e-3;
/// Samples of one forward pass of an evaluation.
const EVALUATION_BATCH: usize = 500;

/// A network of the experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// d-80-80-80-C, rectifiers.
    Mlp,
    /// Two 5×5 convolutions of 16 and 32 channels, each with rectifiers and a maximum pool, and a layer
    /// of 68 rectifiers: on 28×28 images and 10 classes 120,630 parameters.
    Cnn,
}

impl Subject {
    /// Its name in records and pictures.
    pub fn name(self) -> &'static str {
        match self {
            Subject::Mlp => "mlp",
            Subject::Cnn => "cnn",
        }
    }

    /// The network for images of `pixels` numbers and so many classes.
    ///
    /// # Errors
    /// Images that are not squares of at least 4×4, for the convolutions.
    pub fn architecture(self, pixels: usize, classes: usize) -> Result<Architecture, Error> {
        match self {
            Subject::Mlp => Architecture::mlp(
                &[pixels, 80, 80, 80, classes],
                Activation::Relu { leak: 0.0 },
                Normalisation::Plain,
                Loss::SoftmaxCrossEntropy,
            ),
            Subject::Cnn => cnn(pixels, classes),
        }
    }
}

fn cnn(pixels: usize, classes: usize) -> Result<Architecture, Error> {
    let side = pixels.isqrt();
    if side * side != pixels || side < 4 {
        return Err(Error::input(
            "--data",
            "images",
            format_args!("{pixels} pixels are no square of at least 4×4"),
            "use square images, or --networks mlp",
        ));
    }
    let conv = |inputs: usize, outputs: usize, param: &str| Layer::Conv2d {
        in_channels: inputs,
        out_channels: outputs,
        kernel: [5, 5],
        stride: [1, 1],
        padding: [2, 2],
        dilation: [1, 1],
        groups: 1,
        bias: true,
        param: param.to_string(),
        tensors: None,
    };
    let pool =
        || Layer::MaxPool2d { kernel: [2, 2], stride: None, padding: [0, 0], dilation: [1, 1] };
    let linear = |inputs: usize, outputs: usize, param: &str| Layer::Linear {
        inputs,
        outputs,
        bias: true,
        param: param.to_string(),
        tensors: None,
    };
    let relu = || Layer::Relu { leak: 0.0 };
    let positions = (side / 4) * (side / 4);
    let layers = vec![
        conv(1, 16, "conv1"),
        relu(),
        pool(),
        conv(16, 32, "conv2"),
        relu(),
        pool(),
        Layer::Flatten {},
        linear(32 * positions, 68, "fc1"),
        relu(),
        linear(68, classes, "fc2"),
    ];
    let loss = Loss::SoftmaxCrossEntropy;
    let architecture = Architecture { name: None, input_shape: vec![1, side, side], layers, loss };
    architecture.validate()?;
    Ok(architecture)
}

/// A network at one moment of its training.
#[derive(Clone, Debug)]
pub(super) struct Stopped<T> {
    /// Steps of the optimiser.
    pub(super) steps: usize,
    /// Seconds of those steps.
    pub(super) seconds: f64,
    pub(super) parameters: Parameters<T>,
    pub(super) train_accuracy: f64,
    pub(super) test_accuracy: f64,
}

/// Adam needs no samples besides the mini-batch.
struct NoSamples;

impl<T: Scalar> MetricBatch<T> for NoSamples {
    fn available(&self) -> usize {
        0
    }

    fn load(&mut self, _: &mut Tape<T>, _: usize, _: &mut Rng) -> Result<(), Error> {
        Err(Error::input("", "metric_samples", "no samples", "use an optimiser without a metric"))
    }
}

/// One run of Adam, stopped after each of `stops` steps (ascending). `tell` hears of every step.
pub(super) fn train<T: Scalar>(
    executor: &dyn Executor<T>,
    network: &Network<T>,
    data: &Split<T>,
    (stops, seed): (&[usize], u64),
    tell: &mut dyn FnMut(usize),
) -> Result<Vec<Stopped<T>>, Error> {
    let mut parameters = network.init(&mut random::stream(seed, 0, "init"));
    let config = AdamConfig { learning_rate: RATE, ..AdamConfig::default() };
    let mut optimizer = OptimizerConfig::Adam(config).build::<T>(network)?;
    let mut tape = Tape::new(network, BATCH.min(data.train.len()));
    let mut gradient = vec![T::ZERO; network.parameter_count()];
    let (mut rng, mut labels) = (random::stream(seed, 0, "optimizer"), Vec::new());
    let (mut stopped, mut order) = (Vec::new(), Vec::new());
    let (mut step, mut epoch, mut seconds) = (0, 0, 0.0);
    let mut next = 0;
    while let Some(stop) = stops.get(stopped.len()) {
        if step == *stop {
            let [train_accuracy, test_accuracy] =
                [&data.train, &data.test].map(|set| accuracy(executor, network, &parameters, set));
            stopped.push(Stopped {
                steps: step,
                seconds,
                parameters: parameters.clone(),
                train_accuracy: train_accuracy?,
                test_accuracy: test_accuracy?,
            });
            continue;
        }
        if next >= order.len() {
            order = data.train.shuffled(&mut random::stream(seed, epoch, "shuffle"));
            (epoch, next) = (epoch + 1, 0);
        }
        let begin = Instant::now();
        let chosen = &order[next..order.len().min(next + BATCH)];
        next += BATCH;
        data.train.gather(chosen, &mut tape, &mut labels)?;
        let targets = Targets::Classes(&labels);
        network.forward(executor, &parameters, Mode::Train, &mut tape)?;
        let loss = network.loss(executor, &mut tape, &targets)?.mean;
        network.backward(executor, &parameters, &mut tape, Some(&mut gradient))?;
        optimizer.step(&mut Step {
            executor,
            network,
            tape: &mut tape,
            targets,
            loss,
            parameters: &mut parameters,
            gradient: &mut gradient,
            learning_rate: T::from_f64(RATE),
            index: step as u64,
            rng: &mut rng,
            metric_batch: &mut NoSamples,
        })?;
        seconds += begin.elapsed().as_secs_f64();
        step += 1;
        tell(step);
    }
    Ok(stopped)
}

/// The share of `set` that the network classifies correctly.
fn accuracy<T: Scalar>(
    executor: &dyn Executor<T>,
    network: &Network<T>,
    parameters: &Parameters<T>,
    set: &Dataset<T>,
) -> Result<f64, Error> {
    let mut tape = Tape::new(network, EVALUATION_BATCH.min(set.len()));
    let targets = Targets::Classes(set.labels());
    let report = network.evaluate(executor, parameters, &mut tape, set.features(), &targets)?;
    Ok(report.correct.unwrap_or(0) as f64 / set.len() as f64)
}

/// The inputs of the last layer, without its trailing 1.
pub(super) fn last_hidden<T: Scalar>(problem: &Problem<'_, T>) -> Result<SparseRows<T>, Error> {
    let last = problem.network.blocks().len().saturating_sub(1);
    let problem = problem.in_batches_of(problem.sample_len(0));
    let mut rows = SparseRows { starts: vec![0], indices: Vec::new(), values: Vec::new() };
    let mut tape = problem.tape();
    problem.for_each_batch(&mut tape, &mut |tape, _, n| {
        let input = tape.layer_input(last);
        let width = input.cols().saturating_sub(1);
        let view: MatRef<'_, T> = input.sub(0, 0, n, width)?;
        append_rows(&mut rows, view);
        Ok(())
    })?;
    Ok(rows)
}
