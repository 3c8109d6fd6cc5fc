//! One training step of a small network: what launches cost, directly and captured.
//!
//! 784-80-80-80-10, relu, soft-max, mini-batches of 50, gradient descent with momentum.

use std::cell::RefCell;
use std::sync::Arc;

use relfisher::executor::cuda::{Buffer, Captured, Error, Gpu, Matrix, MatrixMut, Side};
use relfisher_core::metric::neuron::Activation;
use relfisher_core::optim::{Momentum, Sgd};

use super::clock::{Case, time_in_turn};
use super::{Failure, Report, Session, check};
use crate::Random;

/// Steps, or launches, in a row for one time.
const IN_A_ROW: usize = 20;
const RELU: Activation<f32> = Activation::Relu { leak: 0.0 };
const RULE: Sgd<f32> =
    Sgd { learning_rate: 0.05, momentum: 0.9, form: Momentum::HeavyBall, weight_decay: 0.0 };

/// The widths of the network and the samples of a mini-batch.
pub(super) fn shape(session: &Session) -> (Vec<usize>, usize) {
    let widths = if session.quick { vec![20, 8, 8, 8, 3] } else { vec![784, 80, 80, 80, 10] };
    (widths, session.size(50, 5))
}

pub(super) fn measure(session: &Session, report: &mut Report) -> Result<(), Failure> {
    let (widths, samples) = shape(session);
    let gpu = &session.gpu;
    Net::new(gpu, &widths, samples)?.check_loss()?;
    let mut direct = Net::new(gpu, &widths, samples)?;
    let mut captured = Net::new(gpu, &widths, samples)?;
    let count = direct.operations();
    let graph = captured.capture(1, 0..count)?;
    for _ in 0..3 {
        direct.step()?;
        graph.launch()?;
    }
    if direct.theta.to_vec()? != captured.theta.to_vec()? {
        return Err(Failure::Answer("a captured step has other bits than launches".to_owned()));
    }
    drop(graph);
    let name = |what: &str| format!("step {} b={samples}, {what}", join(&widths));
    let names =
        [name("launched"), name("captured"), name("sum of its kernels"), name("many in a graph")];
    let graph = captured.capture(1, 0..count)?;
    // Kernels one by one, many times in a row in a graph: the time of each with the gap of a graph.
    let mut parts = Net::new(gpu, &widths, samples)?;
    let each: Vec<Captured> =
        (0..count).map(|i| parts.capture(IN_A_ROW, i..i + 1)).collect::<Result<_, _>>()?;
    let long = parts.capture(IN_A_ROW, 0..count)?;
    let direct = RefCell::new(direct);
    let mut cases = vec![
        Case::new(&names[0], (0.0, 0.0), || {
            (0..IN_A_ROW).try_for_each(|_| direct.borrow_mut().step())
        }),
        Case::new(&names[1], (0.0, 0.0), || (0..IN_A_ROW).try_for_each(|_| graph.launch())),
        Case::new(&names[3], (0.0, 0.0), || long.launch()),
    ];
    cases.extend(each.iter().enumerate().map(|(i, graph)| {
        Case::new(format!("kernel {i} of the step"), (0.0, 0.0), || graph.launch())
    }));
    let mut times = time_in_turn(gpu, 0.1 * session.seconds, &mut cases)?;
    for value in times.iter_mut().flat_map(|times| &mut times.milliseconds) {
        *value /= IN_A_ROW as f64;
    }
    report.add(&cases, &times);
    drop(cases);
    let least: Vec<f64> = times.iter().map(|times| times.least()).collect();
    let sum: f64 = least.iter().skip(3).sum();
    println!("{:52} {sum:12.4} ms ({count} kernels)", names[2]);
    let meaning = |what: &str| format!("{what}, {count} kernels");
    let faster = meaning("times as fast as launches one by one");
    report.ratio(format!("{} / captured", names[0]), least[0] / least[1], faster);
    let gaps = meaning("a captured step over its kernels repeated in graphs; 1 is no gap");
    report.ratio(format!("{} / its kernels", names[1]), least[1] / sum, gaps);
    let start = meaning("a step of its own graph over one of a graph of many steps");
    report.ratio(format!("{} / in a long graph", names[1]), least[1] / least[2], start);
    report.against_baselines(&names[0], "step");
    report.against_baselines(&names[1], "step");
    Ok(())
}

pub(super) fn join(widths: &[usize]) -> String {
    widths.iter().map(usize::to_string).collect::<Vec<_>>().join("-")
}

/// A layer's place in the arrays of all parameters.
#[derive(Clone, Copy)]
struct Layer {
    start: usize,
    inputs: usize,
    outputs: usize,
}

impl Layer {
    fn range(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.outputs * (self.inputs + 1)
    }
}

/// A network, its mini-batch, and room for a step.
pub(super) struct Net {
    gpu: Arc<Gpu>,
    layers: Vec<Layer>,
    samples: usize,
    theta: Buffer<f32>,
    gradient: Buffer<f32>,
    velocity: Buffer<f32>,
    /// Activations with a trailing 1, the inputs first.
    activations: Vec<Buffer<f32>>,
    sums: Vec<Buffer<f32>>,
    slopes: Vec<Buffer<f32>>,
    deltas: Vec<Buffer<f32>>,
    scratch: Buffer<f32>,
    labels: Buffer<u32>,
    eta: Buffer<f32>,
    loss: Buffer<f32>,
}

impl Net {
    pub(super) fn new(gpu: &Arc<Gpu>, widths: &[usize], samples: usize) -> Result<Self, Error> {
        let mut random = Random::new(31);
        let (mut layers, mut theta) = (Vec::new(), Vec::new());
        for pair in widths.windows(2) {
            let (inputs, outputs) = (pair[0], pair[1]);
            layers.push(Layer { start: theta.len(), inputs, outputs });
            let bound = (6.0 / (inputs + outputs) as f64).sqrt();
            theta.extend(random.uniforms(outputs * (inputs + 1), -bound, bound));
        }
        let zeros = |len: usize| Buffer::<f32>::zeros(gpu, len);
        let hidden = |k: usize| samples * widths[k];
        let mut activations = Vec::new();
        for width in &widths[..widths.len() - 1] {
            let mut rows = random.uniforms(samples * (width + 1), 0.0, 1.0);
            rows.chunks_mut(width + 1).for_each(|row| row[*width] = 1.0);
            activations.push(Buffer::from_slice(gpu, &rows)?);
        }
        let classes = widths[widths.len() - 1];
        let labels: Vec<u32> = (0..samples).map(|s| (s % classes) as u32).collect();
        let room = || (1..widths.len()).map(|k| zeros(hidden(k))).collect::<Result<Vec<_>, _>>();
        let widest = widths.iter().skip(1).copied().max().unwrap_or(0);
        Ok(Self {
            gpu: Arc::clone(gpu),
            samples,
            gradient: zeros(theta.len())?,
            velocity: zeros(theta.len())?,
            theta: Buffer::from_slice(gpu, &theta)?,
            activations,
            sums: room()?,
            slopes: room()?,
            deltas: room()?,
            scratch: zeros(samples * widest)?,
            labels: Buffer::from_slice(gpu, &labels)?,
            eta: zeros(samples * classes)?,
            loss: zeros(samples)?,
            layers,
        })
    }

    /// Forward, soft-max, slope and δ of every hidden layer, gradients, the update.
    fn operations(&self) -> usize {
        let depth = self.layers.len();
        depth + 1 + 2 * (depth - 1) + depth + 1
    }

    pub(super) fn step(&mut self) -> Result<(), Error> {
        (0..self.operations()).try_for_each(|i| self.operation(i))
    }

    /// Operation number `index` of a step.
    fn operation(&mut self, index: usize) -> Result<(), Error> {
        let depth = self.layers.len();
        if index < depth {
            return self.forward(index);
        }
        let index = index - depth;
        if index == 0 {
            return self.softmax();
        }
        let index = index - 1;
        if index < 2 * (depth - 1) {
            let layer = depth - 2 - index / 2;
            return if index.is_multiple_of(2) { self.slope(layer) } else { self.backward(layer) };
        }
        let index = index - 2 * (depth - 1);
        if index < depth { self.weights(index) } else { self.update() }
    }

    fn forward(&mut self, k: usize) -> Result<(), Error> {
        let (n, Layer { inputs, outputs, .. }) = (self.samples, self.layers[k]);
        let last = k + 1 == self.layers.len();
        let t = rows(&mut self.sums[k], n, outputs)?;
        let (before, after) = self.activations.split_at_mut(k + 1);
        let x = Matrix::strided(before[k].view(), n, inputs, inputs + 1)?;
        let layer = self.layers[k];
        let w = Matrix::new(self.theta.view().slice(layer.range()), outputs, inputs + 1)?;
        if last {
            // The last layer has no activation: what would be one goes nowhere.
            let a = MatrixMut::new(self.scratch.view_mut(), n, outputs)?;
            self.gpu.forward(t, a, x, w, Activation::Linear)
        } else {
            let a = MatrixMut::strided(after[0].view_mut(), n, outputs, outputs + 1)?;
            self.gpu.forward(t, a, x, w, RELU)
        }
    }

    fn softmax(&mut self) -> Result<(), Error> {
        let last = self.layers.len() - 1;
        let outputs = [self.eta.view_mut(), self.deltas[last].view_mut(), self.loss.view_mut()];
        let scale = 1.0 / self.samples as f32;
        self.gpu.softmax(outputs, self.sums[last].view(), self.labels.view(), scale)
    }

    fn slope(&mut self, k: usize) -> Result<(), Error> {
        let len = self.sums[k].len();
        let a = self.scratch.view_mut().slice(0..len);
        self.gpu.activate(a, self.slopes[k].view_mut(), self.sums[k].view(), RELU)
    }

    /// δ_k = (δ_{k+1} W_{k+1}) ∘ f′.
    fn backward(&mut self, k: usize) -> Result<(), Error> {
        let (n, width, above) = (self.samples, self.layers[k].outputs, self.layers[k + 1]);
        let (below, deltas) = self.deltas.split_at_mut(k + 1);
        let w = Matrix::new(self.theta.view().slice(above.range()), above.outputs, width + 1)?;
        let slope = Matrix::new(self.slopes[k].view(), n, width)?;
        let a = Matrix::new(deltas[0].view(), n, above.outputs)?;
        let to = rows(&mut below[k], n, width)?;
        self.gpu.masked(to, (0.0, 1.0), (slope, 1), a, (w.columns(width), Side::Stored))
    }

    /// The gradient of layer k: δᵀ Ã.
    fn weights(&mut self, k: usize) -> Result<(), Error> {
        let (n, layer) = (self.samples, self.layers[k]);
        let Layer { inputs, outputs, .. } = layer;
        let to = self.gradient.view_mut().slice(layer.range());
        let delta = Matrix::new(self.deltas[k].view(), n, outputs)?;
        let a = Matrix::new(self.activations[k].view(), n, inputs + 1)?;
        let to = MatrixMut::new(to, outputs, inputs + 1)?;
        self.gpu.gemm(to, (0.0, 1.0), (delta, Side::Transposed), (a, Side::Stored))
    }

    fn update(&mut self) -> Result<(), Error> {
        let (theta, velocity) = (self.theta.view_mut(), self.velocity.view_mut());
        self.gpu.sgd(theta, velocity, self.gradient.view(), RULE)
    }

    /// Captures some operations, so many times in a row.
    fn capture(
        &mut self,
        times: usize,
        operations: std::ops::Range<usize>,
    ) -> Result<Captured, Error> {
        let gpu = Arc::clone(&self.gpu);
        // SAFETY: the graphs are dropped before the network.
        unsafe {
            gpu.capture(&mut || {
                (0..times).try_for_each(|_| {
                    operations.clone().try_for_each(|operation| self.operation(operation))
                })
            })
        }
    }

    /// The losses of the first step against a forward pass in f64, and a step that lowers them.
    fn check_loss(&mut self) -> Result<(), Failure> {
        self.step()?;
        let found = self.loss.to_vec()?;
        let mean = |loss: &[f32]| loss.iter().map(|x| f64::from(*x)).sum::<f64>();
        let fresh = Self::new(&self.gpu, &self.widths(), self.samples)?;
        let wanted = fresh.losses()?;
        let error = found
            .iter()
            .zip(&wanted)
            .map(|(found, want)| (f64::from(*found) - want).abs())
            .fold(0.0, f64::max);
        check("the losses of a step", error, 1e-4)?;
        for _ in 0..5 {
            self.step()?;
        }
        let after = mean(&self.loss.to_vec()?);
        if after < mean(&found) {
            return Ok(());
        }
        Err(Failure::Answer(format!("steps raised the loss to {after}")))
    }

    fn widths(&self) -> Vec<usize> {
        let first = self.layers.iter().take(1).map(|layer| layer.inputs);
        first.chain(self.layers.iter().map(|layer| layer.outputs)).collect()
    }

    /// The losses of every sample in f64.
    fn losses(&self) -> Result<Vec<f64>, Error> {
        let (theta, labels) = (self.theta.to_vec()?, self.labels.to_vec()?);
        let first = self.layers[0].inputs;
        let inputs = self.activations[0].to_vec()?;
        let loss = |(row, label): (&[f32], &u32)| {
            let mut x: Vec<f64> = row[..first].iter().map(|x| f64::from(*x)).collect();
            for (k, layer) in self.layers.iter().enumerate() {
                let last = k + 1 == self.layers.len();
                let sum = |row: &[f32]| -> f64 {
                    let products = row.iter().zip(&x).map(|(w, x)| f64::from(*w) * x);
                    products.sum::<f64>() + f64::from(row[layer.inputs])
                };
                let w = &theta[layer.range()];
                let next: Vec<f64> = w.chunks(layer.inputs + 1).map(sum).collect();
                x = if last { next } else { next.into_iter().map(|t| t.max(0.0)).collect() };
            }
            x.iter().map(|f| f.exp()).sum::<f64>().ln() - x[*label as usize]
        };
        Ok(inputs.chunks(first + 1).zip(&labels).map(loss).collect())
    }
}

fn rows(buffer: &mut Buffer<f32>, rows: usize, cols: usize) -> Result<MatrixMut<'_, f32>, Error> {
    Ok(MatrixMut::new(buffer.view_mut(), rows, cols)?)
}
