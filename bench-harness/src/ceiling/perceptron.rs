//! Training steps of a perceptron, their parts, and their bare products.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef};
use relfisher::executor::Cpu;
use relfisher::network::{Loss, Mode, Network, Normalisation, Parameters, Tape, Targets};
use relfisher::optimizer::{
    Batch, Kfac, KfacConfig, KroneckerKind, LabelsConfig, MetricBatch, Optimizer, OptimizerConfig,
    Preconditioner, Step,
};
use relfisher::random::{self, Rng};
use relfisher::{Error, Scalar};
use relfisher_core::metric::neuron::Activation;
use relfisher_core::{Backend, MatMut as CoreMut, MatRef as CoreRef};

use super::{Case, StepSize, assert_close, rounding};
use crate::Random;
use crate::plain::{Outputs, Plain, close, wide};

/// λ of [`Perceptron::kfac`].
const DAMPING: f64 = 1e-2;

/// A part of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Copying the inputs of the batch to the tape.
    Load,
    /// The forward pass.
    Forward,
    /// Losses and their derivatives.
    Loss,
    /// The backward pass with the gradient.
    Backward,
    /// The optimiser.
    Update,
}

impl Phase {
    /// In the order of a step.
    pub const ALL: [Self; 5] =
        [Self::Load, Self::Forward, Self::Loss, Self::Backward, Self::Update];
}

/// Random inputs and labels.
struct Data<T> {
    inputs: Vec<T>,
    labels: Vec<usize>,
    width: usize,
}

impl<T: Scalar> MetricBatch<T> for &Data<T> {
    fn available(&self) -> usize {
        self.labels.len()
    }

    fn load(&mut self, tape: &mut Tape<T>, count: usize, rng: &mut Rng) -> Result<(), Error> {
        tape.set_batch(count)?;
        let mut input = tape.input_mut();
        for s in 0..count {
            let from = random::below(rng, self.labels.len()) * self.width;
            input.row_mut(s).copy_from_slice(&self.inputs[from..from + self.width]);
        }
        Ok(())
    }
}

/// A perceptron that learns random labels.
pub struct Perceptron<T: Scalar> {
    network: Network<T>,
    tape: Tape<T>,
    parameters: Parameters<T>,
    gradient: Vec<T>,
    optimizer: Box<dyn Optimizer<T>>,
    curvature: Kfac<T>,
    step: Vec<T>,
    data: Data<T>,
    batch: usize,
    index: u64,
    rng: Rng,
    /// The generator as it stood before the labels of the last [`Perceptron::kfac`].
    drawn: Rng,
}

impl<T: Scalar> Perceptron<T> {
    /// The network of `size` with the default settings of an optimiser, after one step.
    ///
    /// # Panics
    /// When there is no such optimiser.
    #[must_use]
    pub fn new(size: &StepSize, optimizer: &str, cpu: &Cpu) -> Self {
        let relu = Activation::Relu { leak: 0.0 };
        let loss = Loss::SoftmaxCrossEntropy;
        let network = Network::mlp(&size.widths, relu, Normalisation::Plain, loss);
        let network: Network<T> = network.expect("a network");
        let config = OptimizerConfig::by_name(optimizer).expect("an optimiser");
        let mut random = Random::new(4);
        let (width, rows) = (network.inputs(), 4000);
        let inputs = random.numbers(rows * width, 0.0, 1.0);
        let classes = network.outputs() as f64;
        let labels = (0..rows).map(|_| (random.unit() * classes) as usize).collect();
        let mut rng = random::stream(1, 0, "bench");
        // every average and every inverse anew in every step, with a label drawn from the model
        let once = KfacConfig {
            refresh: 1,
            factor_every: 1,
            decay: 0.0,
            labels: Some(LabelsConfig::Mc),
            damping: DAMPING,
            ..KfacConfig::default()
        };
        let mut made = Self {
            tape: Tape::new(&network, size.batch),
            parameters: network.init(&mut rng),
            gradient: vec![T::ZERO; network.parameter_count()],
            optimizer: config.build(&network).expect("valid settings"),
            curvature: Kfac::new(KroneckerKind::Kfac, &once, &network),
            step: vec![T::ZERO; network.parameter_count()],
            data: Data { inputs, labels, width },
            batch: size.batch,
            index: 0,
            network,
            drawn: rng.clone(),
            rng,
        };
        made.step(cpu);
        made
    }

    /// The labels of the next step.
    fn labels(&self) -> std::ops::Range<usize> {
        let first = self.index as usize * self.batch % (self.data.labels.len() - self.batch);
        first..first + self.batch
    }

    /// One part of a step, on what the parts before left.
    ///
    /// # Panics
    /// When the network or the optimiser refuses.
    pub fn phase(&mut self, cpu: &Cpu, phase: Phase) {
        let labels = self.labels();
        let Self { network, tape, parameters, gradient, data, rng, .. } = self;
        let targets = Targets::Classes(&data.labels[labels]);
        match phase {
            Phase::Load => (&*data).load(tape, self.batch, rng).expect("a batch"),
            Phase::Forward => {
                network.forward(cpu, parameters, Mode::Train, tape).expect("forward");
            }
            Phase::Loss => {
                let mean = network.loss(cpu, tape, &targets).expect("loss").mean;
                assert!(mean.is_finite(), "loss {mean}");
            }
            Phase::Backward => {
                network.backward(cpu, parameters, tape, Some(gradient)).expect("backward");
            }
            Phase::Update => {
                let mut step = Step {
                    executor: cpu,
                    network,
                    tape,
                    targets,
                    loss: 1.0,
                    parameters,
                    gradient,
                    learning_rate: T::from_f64(1e-4),
                    index: self.index,
                    rng,
                    metric_batch: &mut &*data,
                };
                self.optimizer.step(&mut step).expect("a step");
                self.index += 1;
            }
        }
    }

    /// One step: all parts.
    pub fn step(&mut self, cpu: &Cpu) {
        Phase::ALL.into_iter().for_each(|phase| self.phase(cpu, phase));
    }

    /// A K-FAC step up to the direction: forward, loss, backward, a backward pass of labels drawn from
    /// the model, factors, their damped Cholesky factors, G⁻¹ ∇W̃ A⁻¹.
    ///
    /// # Panics
    /// When a factor is not positive definite.
    pub fn kfac(&mut self, cpu: &Cpu) {
        for phase in [Phase::Forward, Phase::Loss, Phase::Backward] {
            self.phase(cpu, phase);
        }
        let Self { network, parameters, tape, rng, drawn, curvature, gradient, step, .. } = self;
        drawn.clone_from(rng);
        curvature.update(Batch { executor: cpu, network, parameters, tape, rng }).expect("update");
        curvature.precondition(cpu, gradient, step).expect("a direction");
    }

    /// Panics unless the last [`Perceptron::kfac`] was right: the gradient and every layer's A and G are
    /// those of plain f64 sums over the batch, and the direction solves their damped system.
    ///
    /// # Panics
    /// When it was not.
    pub fn check_kfac(&self) {
        let right = || -> Result<(), String> {
            let Self { network, parameters, tape, curvature, .. } = self;
            let labels = &self.data.labels[self.labels()];
            let plain = Plain::forward(network, &parameters.values, tape)?;
            let gradient = wide(&self.gradient);
            let given = plain.gradient(&plain.back(plain.deltas(labels)));
            close::<T>("gradient", &gradient, &given, 1e4)?;
            let drawn = plain.drawn(network, tape, &self.drawn)?;
            let outputs = Outputs::Deltas(plain.back(plain.deltas(&drawn)));
            let factors = |k| curvature.factors(k);
            plain.check_kfac(factors, &outputs, DAMPING, (&self.step, &gradient))
        };
        if let Err(problem) = right() {
            panic!("K-FAC step: {problem}");
        }
    }

    /// FLOPs of [`Perceptron::kfac`]: products of both passes and of the second way back, lower
    /// triangles of the Gram matrices, n³/3 for a Cholesky factor, 2 for each element of a factor and
    /// right side.
    #[must_use]
    pub fn kfac_flops(&self) -> f64 {
        let n = self.batch;
        let blocks = self.network.blocks().iter().enumerate().map(|(k, b)| {
            let (m, d) = (b.rows, b.cols);
            // forward and gradient with the bias, twice back above the first layer
            let passes = 4 * n * m * d + if k == 0 { 0 } else { 4 * n * m * (d - 1) };
            let grams = n * (d * (d + 1) + m * (m + 1));
            passes + grams + (d * d * d + m * m * m) / 3 + 2 * m * d * (m + d)
        });
        blocks.sum::<usize>() as f64
    }
}

/// Whose products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// `faer`'s with its own threads.
    Faer,
    /// The executor's.
    Executor,
}

/// The bare products of a forward and a backward pass.
pub struct Products<T> {
    batch: usize,
    rival: Rival,
    threads: usize,
    /// For each layer: x̃ (n × d̃), W̃ (m × d̃), δ (n × m), and places for ∂ℓ/∂x, ∇W̃, t.
    layers: Vec<[Vec<T>; 6]>,
    shapes: Vec<(usize, usize)>,
}

impl<T: Scalar> Products<T> {
    /// Random factors of the shapes of the network.
    #[must_use]
    pub fn new(size: &StepSize, rival: Rival, threads: usize) -> Self {
        let mut random = Random::new(5);
        let shapes: Vec<_> = size.widths.windows(2).map(|w| (w[1], w[0] + 1)).collect();
        let n = size.batch;
        let layers = shapes.iter().map(|&(m, d)| {
            let lens = [n * d, m * d, n * m, n * (d - 1), m * d, n * m];
            lens.map(|len| random.numbers(len, -0.1, 0.1))
        });
        Self { batch: n, rival, threads, layers: layers.collect(), shapes }
    }

    fn by_faer(&mut self) {
        let (n, par) = (self.batch, crate::dense::par(self.threads));
        for ([x, w, _, _, _, t], &(m, d)) in self.layers.iter_mut().zip(&self.shapes) {
            let t = MatMut::from_row_major_slice_mut(t, n, m);
            let x = MatRef::from_row_major_slice(x, n, d);
            let w = MatRef::from_row_major_slice(w, m, d);
            matmul(t, Accum::Replace, x, w.transpose(), T::ONE, par);
        }
        for (k, (layer, &(m, d))) in self.layers.iter_mut().zip(&self.shapes).enumerate().rev() {
            let [x, w, delta, below, gradient, _] = layer;
            let delta = MatRef::from_row_major_slice(delta, n, m);
            if k > 0 {
                let below = MatMut::from_row_major_slice_mut(below, n, d - 1);
                let w = MatRef::from_row_major_slice(w, m, d).subcols(0, d - 1);
                matmul(below, Accum::Replace, delta, w, T::ONE, par);
            }
            let x = MatRef::from_row_major_slice(x, n, d);
            let gradient = MatMut::from_row_major_slice_mut(gradient, m, d);
            let mean = T::ONE / T::from_usize(n);
            matmul(gradient, Accum::Replace, delta.transpose(), x, mean, par);
        }
    }

    fn by_executor(&mut self, cpu: &Cpu) -> Result<(), relfisher_core::Error> {
        let n = self.batch;
        for ([x, w, _, _, _, t], &(m, d)) in self.layers.iter_mut().zip(&self.shapes) {
            let w = CoreRef::new(w, m, d)?;
            cpu.gemm(CoreMut::new(t, n, m)?, T::ZERO, T::ONE, CoreRef::new(x, n, d)?, w.t())?;
        }
        for (k, (layer, &(m, d))) in self.layers.iter_mut().zip(&self.shapes).enumerate().rev() {
            let [x, w, delta, below, gradient, _] = layer;
            let delta = CoreRef::new(delta, n, m)?;
            if k > 0 {
                let below = CoreMut::new(below, n, d - 1)?;
                let w = CoreRef::new(w, m, d)?.sub(0, 0, m, d - 1)?;
                cpu.gemm(below, T::ZERO, T::ONE, delta, w)?;
            }
            let (x, gradient) = (CoreRef::new(x, n, d)?, CoreMut::new(gradient, m, d)?);
            cpu.gemm(gradient, T::ZERO, T::ONE / T::from_usize(n), delta.t(), x)?;
        }
        Ok(())
    }
}

impl<T: Scalar> Case<T> for Products<T> {
    fn label(&self) -> String {
        format!("products of a step by {:?}", self.rival)
    }

    fn flops(&self) -> f64 {
        let per_layer = self.shapes.iter().enumerate();
        let count = |(k, (m, d)): (usize, &(usize, usize))| {
            4 * m * d + if k == 0 { 0 } else { 2 * m * (d - 1) }
        };
        (per_layer.map(count).sum::<usize>() * self.batch) as f64
    }

    fn run(&mut self, cpu: &Cpu) {
        match self.rival {
            Rival::Faer => self.by_faer(),
            Rival::Executor => self.by_executor(cpu).expect("shapes"),
        }
    }

    fn check(&mut self, _: &Cpu) {
        let n = self.batch;
        for ([x, _, delta, _, gradient, _], &(m, d)) in self.layers.iter().zip(&self.shapes) {
            let (i, j) = (m / 2, d / 3);
            let term = |s: usize| delta[s * m + i].to_f64() * x[s * d + j].to_f64() / n as f64;
            let pair = (gradient[i * d + j].to_f64(), (0..n).map(term).sum::<f64>());
            assert_close(&self.label(), &[pair, (1e-3, 1e-3)], rounding::<T>(100.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use relfisher::executor::Cpu;

    use super::{Perceptron, StepSize};

    fn stepped() -> Perceptron<f64> {
        let cpu = Cpu::new(Some(1)).expect("a thread");
        let size = StepSize { widths: vec![9, 6, 4], batch: 7, most: 1.0 };
        let mut case = Perceptron::new(&size, "sgd", &cpu);
        case.kfac(&cpu);
        case
    }

    #[test]
    fn a_right_direction_is_right() {
        stepped().check_kfac();
    }

    #[test]
    #[should_panic(expected = "damped Kronecker step of layer 1")]
    fn a_wrong_direction_is_found() {
        let mut case = stepped();
        // still downhill
        let last = case.step.len() - 1;
        case.step[last] *= 1.001;
        case.check_kfac();
    }
}
