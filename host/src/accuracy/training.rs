//! The rows of the ladder about steps of networks in training.

use relfisher_accuracy::ladder::{CHANGES, CHANNELS, DAMPING, DECAY, INTERVAL, POWER, RATE};
use relfisher_core::metric::normalisation;
use relfisher_core::{MatMut, MatRef};

use super::ladder::{Climb, SHAPE};
use crate::network::{Loss, Mode, Network, Normalisation, Parameters, Tape, Targets};
use crate::optimizer::{
    Adaptation, AdaptationConfig, Batch, GgnBlockConfig, GgnRecycled, GgnRecycledConfig,
    GroupConfig, LayerConfig, MetricBatch, Mixed, MixedConfig, Optimizer, OptimizerConfig,
    Preconditioner, SgdConfig, Step,
};
use crate::random::{self, Rng};
use crate::{Error, Scalar};

/// No optimiser here asks for fresh samples.
struct NoSamples;

impl<T: Scalar> MetricBatch<T> for NoSamples {
    fn available(&self) -> usize {
        0
    }

    fn load(&mut self, _: &mut Tape<T>, count: usize, _: &mut Rng) -> Result<(), Error> {
        let problem = format!("{count} samples asked for, and there are none");
        Err(Error::input("accuracy", "samples", problem, "use an optimiser without fresh samples"))
    }
}

impl<T: Scalar> Climb<'_, T> {
    /// `step.mixed`, `step.recycled`, `step.channels`, `step.reduction_ratio`, `step.damping`.
    pub(super) fn training(&mut self) -> Result<(), Error> {
        let (_, m, d) = SHAPE;
        if self.wants("step.mixed") {
            let step = self.mixed()?;
            self.put("step.mixed", &[2, m, d], step);
        }
        if self.wants("step.recycled") {
            let step = self.recycled()?;
            self.put("step.recycled", &[m, d], step);
        }
        if self.wants("step.channels") {
            let step = self.channels()?;
            self.put("step.channels", &[m, 2], step);
        }
        if self.wants_any(&["step.reduction_ratio", "step.damping"]) {
            let (ratios, dampings) = self.adapted()?;
            self.put("step.reduction_ratio", &[ratios.len()], ratios);
            self.put("step.damping", &[dampings.len()], dampings);
        }
        Ok(())
    }

    /// The first `samples` rows of `in.x`, without the constant that networks add themselves.
    fn features(&self, samples: usize) -> Result<Vec<T>, Error> {
        let d = SHAPE.2;
        let x = self.input("in.x")?;
        Ok(x.chunks_exact(d).take(samples).flat_map(|x| &x[..d - 1]).copied().collect())
    }

    /// Forward with these features.
    fn forward(
        &self,
        network: &Network<T>,
        parameters: &Parameters<T>,
        tape: &mut Tape<T>,
        features: &[T],
    ) -> Result<(), Error> {
        let (rows, width) = (features.len() / network.inputs(), network.inputs());
        let all: Vec<usize> = (0..rows).collect();
        tape.gather(MatRef::new(features, rows, width)?, &all)?;
        network.forward(self.executor, parameters, Mode::Train, tape)
    }

    /// C tanh(W̃x̃) with the loss ½|f − y|².
    fn tanh_network(&self) -> Result<(Network<T>, Parameters<T>), Error> {
        let (_, m, d) = SHAPE;
        let values = [self.input("in.w")?, self.input("in.c")?].concat();
        Ok((linear_layers(&[d - 1, m, m])?, Parameters { values, buffers: Vec::new() }))
    }

    /// Loss and gradient of [`Self::tanh_network`].
    fn pass(
        &self,
        network: &Network<T>,
        parameters: &Parameters<T>,
        tape: &mut Tape<T>,
        targets: &Targets<'_, T>,
    ) -> Result<(f64, Vec<T>), Error> {
        self.forward(network, parameters, tape, &self.features(SHAPE.0)?)?;
        let loss = network.loss(self.executor, tape, targets)?.mean;
        let mut gradient = vec![T::NAN; network.parameter_count()];
        network.backward(self.executor, parameters, tape, Some(&mut gradient))?;
        Ok((loss, gradient))
    }

    /// The reduction ratio of every change of the parameters, and λ after it.
    fn adapted(&self) -> Result<(Vec<T>, Vec<T>), Error> {
        let (n, m, _) = SHAPE;
        let (network, parameters) = self.tanh_network()?;
        let (wanted, v) = (self.input("in.delta")?, self.input("in.v")?);
        let targets = || MatRef::new(&wanted, n, m).map(Targets::Values);
        let mut tape = Tape::new(&network, n);
        let rule = AdaptationConfig::LevenbergMarquardt { every: INTERVAL, decay: DECAY };
        let mut adaptation = Adaptation::new(rule, 0.0);
        let (mut ratios, mut dampings) = (Vec::new(), Vec::new());
        for multiple in CHANGES {
            let (loss, mut gradient) = self.pass(&network, &parameters, &mut tape, &targets()?)?;
            let change: Vec<T> = match multiple.map(T::from_f64) {
                Some(multiple) => gradient.iter().map(|g| multiple * *g).collect(),
                None => [&v[..], &v].concat(),
            };
            let mut moved = parameters.clone();
            let mut step = Step {
                executor: self.executor,
                network: &network,
                tape: &mut tape,
                targets: targets()?,
                loss,
                parameters: &mut moved,
                gradient: &mut gradient,
                learning_rate: <T as relfisher_core::Real>::ONE,
                index: 0,
                rng: &mut random::stream(1, 0, "accuracy"),
                metric_batch: &mut NoSamples,
            };
            let fill = |planned: &mut [T], _: T| planned.copy_from_slice(&change);
            let promise = adaptation.predict(&mut step, &fill)?;
            let values = step.parameters.values.iter_mut();
            values.zip(&change).for_each(|(value, change)| *value += *change);
            ratios.push(adaptation.ratio(&mut step, promise)?);
            dampings.push(adaptation.adapt(&mut step, promise, T::from_f64(DAMPING))?);
        }
        Ok((ratios, dampings))
    }

    /// The parameters after a step: the first layer by gradient descent, the second by its exact block.
    fn mixed(&self) -> Result<Vec<T>, Error> {
        let (n, m, _) = SHAPE;
        let (network, mut parameters) = self.tanh_network()?;
        let mut tape = Tape::new(&network, n);
        let wanted = self.input("in.delta")?;
        let targets = || MatRef::new(&wanted, n, m).map(Targets::Values);
        let (loss, mut gradient) = self.pass(&network, &parameters, &mut tape, &targets()?)?;
        let plain = SgdConfig {
            learning_rate: RATE,
            momentum: 0.0,
            weight_decay: 0.0,
            ..SgdConfig::default()
        };
        let exact = GgnBlockConfig {
            learning_rate: 1.0,
            damping: DAMPING,
            momentum: 0.0,
            weight_decay: 0.0,
            ..GgnBlockConfig::default()
        };
        let group = |layer: usize, optimizer| GroupConfig {
            layers: Some(vec![LayerConfig::Index(layer)]),
            optimizer: Box::new(optimizer),
        };
        let groups =
            vec![group(0, OptimizerConfig::Sgd(plain)), group(1, OptimizerConfig::GgnBlock(exact))];
        let config = MixedConfig { groups, ..MixedConfig::default() };
        Mixed::new(&config, &network)?.step(&mut Step {
            executor: self.executor,
            network: &network,
            tape: &mut tape,
            targets: targets()?,
            loss,
            parameters: &mut parameters,
            gradient: &mut gradient,
            learning_rate: <T as relfisher_core::Real>::ONE,
            index: 0,
            rng: &mut random::stream(1, 0, "accuracy"),
            metric_batch: &mut NoSamples,
        })?;
        Ok(parameters.values)
    }

    /// The step with the eigenspace of all samples, while the last batch is two of them.
    fn recycled(&self) -> Result<Vec<T>, Error> {
        let (n, m, d) = SHAPE;
        let network = linear_layers(&[d - 1, m])?;
        let parameters = Parameters { values: self.input("in.w")?, buffers: Vec::new() };
        let config = GgnRecycledConfig {
            damping: DAMPING,
            rank: 2 * m,
            refresh: 2,
            ..GgnRecycledConfig::default()
        };
        let mut space = GgnRecycled::new(&config, &network);
        let mut rng = random::stream(1, 0, "accuracy");
        for samples in [n, 2] {
            let mut tape = Tape::new(&network, samples);
            self.forward(&network, &parameters, &mut tape, &self.features(samples)?)?;
            space.update(Batch {
                executor: self.executor,
                network: &network,
                parameters: &parameters,
                tape: &tape,
                rng: &mut rng,
            })?;
        }
        let mut step = vec![T::NAN; m * d];
        space.precondition(self.executor, &self.input("in.v")?, &mut step)?;
        Ok(step)
    }

    /// Fractional powers of the 2 × 2 blocks of channels.
    fn channels(&self) -> Result<Vec<T>, Error> {
        let mut blocks = Vec::new();
        for name in CHANNELS {
            let matrix = self.input(name)?;
            let n = matrix.len().isqrt();
            blocks.extend([matrix[0], matrix[n], matrix[n + 1]]);
        }
        let v = self.input("in.v")?;
        let mut v: Vec<T> = v.chunks_exact(SHAPE.2).flat_map(|v| &v[..2]).copied().collect();
        let count = CHANNELS.len();
        let blocks = MatRef::new(&blocks, count, 3)?;
        let (power, damping) = (T::from_f64(POWER), T::from_f64(DAMPING));
        normalisation::power(MatMut::new(&mut v, count, 2)?, blocks, power, damping)?;
        Ok(v)
    }
}

/// Layers with tanh between them, and the loss ½|f − y|².
fn linear_layers<T: Scalar>(widths: &[usize]) -> Result<Network<T>, Error> {
    let tanh = relfisher_core::metric::neuron::Activation::Tanh;
    Network::mlp(widths, tanh, Normalisation::Plain, Loss::Mse { scale: 0.5 })
}
