//! A network in training with one optimiser.

use relfisher::dataset::Split;
use relfisher::executor::Cpu;
use relfisher::network::{Loss, Mode, Network, Normalisation, Parameters, Tape, Targets};
use relfisher::optimizer::{MetricBatch, Optimizer, OptimizerConfig, Step};
use relfisher::random::{self, Rng};
use relfisher::{Error, Scalar};
use relfisher_core::MatRef;
use relfisher_core::metric::neuron::Activation;
use relfisher_tests::random::Random;

/// What the outputs should be.
#[derive(Clone)]
pub(crate) enum Wanted<T> {
    Classes(Vec<usize>),
    Values(Vec<T>),
}

/// A network in training: data, buffers and an optimiser.
pub(crate) struct Lab<T: Scalar> {
    pub(crate) cpu: Cpu,
    pub(crate) network: Network<T>,
    pub(crate) parameters: Parameters<T>,
    pub(crate) tape: Tape<T>,
    pub(crate) gradient: Vec<T>,
    pub(crate) optimizer: Box<dyn Optimizer<T>>,
    pub(crate) rng: Rng,
    pub(crate) source: Source<T>,
    pub(crate) wanted: Wanted<T>,
    pub(crate) index: u64,
    pub(crate) rate: f64,
    /// The batch of the last evaluation: its samples and its loss.
    batch: (Vec<usize>, f64),
}

/// What the samples `indices` should give.
fn wanted_of<T: Scalar>(
    wanted: &Wanted<T>,
    indices: &[usize],
    width: usize,
) -> (Vec<usize>, Vec<T>) {
    match wanted {
        Wanted::Classes(all) => (indices.iter().map(|&i| all[i]).collect(), vec![]),
        Wanted::Values(all) => {
            let rows = indices.iter().flat_map(|&i| &all[i * width..(i + 1) * width]);
            (vec![], rows.copied().collect())
        }
    }
}

fn targets<'a, T: Scalar>(
    (classes, values): &'a (Vec<usize>, Vec<T>),
    width: usize,
) -> Result<Targets<'a, T>, Error> {
    if values.is_empty() {
        return Ok(Targets::Classes(classes));
    }
    Ok(Targets::Values(MatRef::new(values, values.len() / width, width)?))
}

/// A training set whose fresh samples are a random rotation of it: all of it when all is asked for.
pub(crate) struct Source<T> {
    pub(crate) features: Vec<T>,
    pub(crate) width: usize,
}

impl<T: Scalar> Source<T> {
    pub(crate) fn len(&self) -> usize {
        self.features.len() / self.width
    }
}

impl<T: Scalar> MetricBatch<T> for Source<T> {
    fn available(&self) -> usize {
        self.len()
    }

    fn load(&mut self, tape: &mut Tape<T>, count: usize, rng: &mut Rng) -> Result<(), Error> {
        let start = random::below(rng, self.len());
        let indices: Vec<usize> = (0..count).map(|i| (start + i) % self.len()).collect();
        tape.gather(MatRef::new(&self.features, self.len(), self.width)?, &indices)
    }
}

impl<T: Scalar> Lab<T> {
    pub(crate) fn new(
        network: Network<T>,
        config: &OptimizerConfig,
        features: Vec<T>,
        wanted: Wanted<T>,
        threads: usize,
    ) -> Self {
        let mut parameters = network.init(&mut random::stream(7, 0, "init"));
        // Batch normalisations and biases away from their start, so that every term counts.
        let mut noise = Random::new(3);
        for v in &mut parameters.values {
            *v += T::from_f64(0.1 * noise.normal());
        }
        let source = Source { width: network.inputs(), features };
        Self {
            cpu: Cpu::new(Some(threads)).unwrap(),
            tape: Tape::new(&network, source.len()),
            gradient: vec![T::ZERO; network.parameter_count()],
            optimizer: config.build(&network).unwrap(),
            rng: random::stream(7, 0, "optimizer"),
            index: 0,
            rate: config.learning_rate(),
            network,
            parameters,
            source,
            wanted,
            batch: (vec![], 0.0),
        }
    }

    /// Forward and backward on the samples `indices`; the mean loss.
    pub(crate) fn evaluate(&mut self, indices: &[usize]) -> Result<f64, Error> {
        let source = &self.source;
        self.tape.gather(MatRef::new(&source.features, source.len(), source.width)?, indices)?;
        let (cpu, network, tape) = (&self.cpu, &self.network, &mut self.tape);
        network.forward(cpu, &self.parameters, Mode::Train, tape)?;
        network.update_running_averages(tape, &mut self.parameters)?;
        let wanted = wanted_of(&self.wanted, indices, network.outputs());
        let report = network.loss(cpu, tape, &targets(&wanted, network.outputs())?)?;
        network.backward(cpu, &self.parameters, tape, Some(&mut self.gradient))?;
        self.batch = (indices.to_vec(), report.mean);
        Ok(report.mean)
    }

    pub(crate) fn update(&mut self) -> Result<(), Error> {
        let width = self.network.outputs();
        let wanted = wanted_of(&self.wanted, &self.batch.0, width);
        self.optimizer.step(&mut Step {
            targets: targets(&wanted, width)?,
            loss: self.batch.1,
            executor: &self.cpu,
            network: &self.network,
            tape: &mut self.tape,
            parameters: &mut self.parameters,
            gradient: &mut self.gradient,
            learning_rate: T::from_f64(self.rate),
            index: self.index,
            rng: &mut self.rng,
            metric_batch: &mut self.source,
        })?;
        self.index += 1;
        Ok(())
    }

    /// One training step on the samples `indices`; the loss before it.
    pub(crate) fn train(&mut self, indices: &[usize]) -> Result<f64, Error> {
        let loss = self.evaluate(indices)?;
        self.update()?;
        Ok(loss)
    }
}

pub(crate) const SAMPLES: usize = 7;

pub(crate) const RELU: Activation<f64> = Activation::Relu { leak: 0.0 };

/// A small lab in f64; n = 7 samples, wider inputs than samples so that both routes occur.
pub(crate) fn small(
    activation: Activation<f64>,
    normalisation: Normalisation,
    loss: Loss,
    config: &OptimizerConfig,
) -> Lab<f64> {
    let network = Network::mlp(&[9, 4, 5, 3], activation, normalisation, loss).unwrap();
    let mut random = Random::new(11);
    let features = random.normals(SAMPLES * 9);
    let wanted = match loss {
        Loss::SoftmaxCrossEntropy => {
            Wanted::Classes((0..SAMPLES).map(|_| random.below(3)).collect())
        }
        Loss::Mse { .. } => Wanted::Values(random.normals(SAMPLES * 3)),
        Loss::BinaryCrossEntropy => {
            Wanted::Values((0..SAMPLES * 3).map(|_| random.below(2) as f64).collect())
        }
    };
    Lab::new(network, config, features, wanted, 1)
}

pub(crate) fn config(text: &str) -> OptimizerConfig {
    let config: OptimizerConfig = toml::from_str(text).unwrap();
    config.validate().unwrap();
    config
}

pub(crate) fn everyone() -> Vec<usize> {
    (0..SAMPLES).collect()
}

/// The first digits of the bundled set in a small network; where dense blocks are formed, pooled to
/// 7 × 7 pixels in a narrower one.
pub(crate) fn digits(
    config: &OptimizerConfig,
    normalisation: Normalisation,
    threads: usize,
) -> Lab<f32> {
    let data = Split::<f32>::bundled().unwrap();
    let (count, mut width) = (600, data.train.width());
    let mut features = data.train.features().data()[..count * width].to_vec();
    let mut hidden = [24, 20];
    if matches!(config, OptimizerConfig::GgnBlock(_)) {
        features = features.chunks(width).flat_map(pooled).collect();
        (width, hidden) = (49, [9, 8]);
    }
    let labels = data.train.labels()[..count].to_vec();
    let widths = [width, hidden[0], hidden[1], 10];
    let network = Network::mlp(&widths, RELU, normalisation, Loss::SoftmaxCrossEntropy).unwrap();
    Lab::new(network, config, features, Wanted::Classes(labels), threads)
}

/// The means of 4 × 4 pixels of a 28 × 28 image.
fn pooled(image: &[f32]) -> Vec<f32> {
    let mean = |k: usize| {
        let (top, left) = (k / 7 * 4, k % 7 * 4);
        let pixels = (0..16).map(|i| image[(top + i / 4) * 28 + left + i % 4]);
        pixels.sum::<f32>() / 16.0
    };
    (0..49).map(mean).collect()
}
