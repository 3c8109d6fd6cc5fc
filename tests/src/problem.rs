//! Networks with data for tests: a short notation for layers, random parameters away from their
//! initial values, and the same numbers for the library and for the naive network.

use crate::compare::cast;
use crate::oracle::dual::{Number, constants};
use crate::oracle::network::{self as naive, Labels, Statistics, axes_after};
use crate::random::Random;
use relfisher::curvature;
use relfisher::executor::Cpu;
use relfisher::network::{Architecture, Layer, Loss, Mode, Network, Parameters, Tape, Targets};
use relfisher::{Scalar, random};
use relfisher_core::MatRef;

/// Every loss.
pub const LOSSES: [Loss; 4] = [
    Loss::SoftmaxCrossEntropy,
    Loss::Mse { scale: 1.0 },
    Loss::Mse { scale: 0.5 },
    Loss::BinaryCrossEntropy,
];

/// The network of some words: `L5` a linear layer of 5 outputs, `C4:k3x2,s2,p1,d1,g2` a convolution
/// of 4 kernels (a lower-case letter: no bias), `M:k2,s1,p1,d1` and `A:k2,s1,p1` maximum and average
/// pools (`a`: padding does not count), `B` a batch normalisation, `flat`, `tanh`, `sigmoid`, `relu`,
/// `leaky`, `elu`. Inputs follow from what comes before.
///
/// # Panics
/// For other words.
pub fn network(input_shape: &[usize], words: &str, loss: Loss) -> Architecture {
    let mut axes = input_shape.to_vec();
    let mut layers = Vec::new();
    for word in words.split(' ') {
        let param = format!("layers.{}", layers.len());
        let layer = layer(word, &axes, param);
        axes = axes_after(&layer, &axes);
        layers.push(layer);
    }
    Architecture { name: None, input_shape: input_shape.to_vec(), layers, loss }
}

fn layer(word: &str, axes: &[usize], param: String) -> Layer {
    match word {
        "flat" => return Layer::Flatten {},
        "tanh" => return Layer::Tanh {},
        "sigmoid" => return Layer::Sigmoid {},
        "relu" => return Layer::Relu { leak: 0.0 },
        "leaky" => return Layer::Relu { leak: 0.1 },
        "elu" => return Layer::Elu { alpha: 1.3 },
        _ => {}
    }
    let (kind, rest) = word.split_at(1);
    let (size, options) = rest.split_once(':').unwrap_or((rest, ""));
    let number = |text: &str| text.parse::<usize>().unwrap_or_else(|e| panic!("{word}: {e}"));
    let option = |key: &str| -> Option<[usize; 2]> {
        let text = options.split(',').find_map(|o| o.strip_prefix(key))?;
        let (y, x) = text.split_once('x').unwrap_or((text, text));
        Some([number(y), number(x)])
    };
    let kernel = option("k").unwrap_or([1, 1]);
    let (stride, padding) = (option("s"), option("p").unwrap_or([0, 0]));
    let dilation = option("d").unwrap_or([1, 1]);
    let channels = if axes.len() == 3 { axes[0] } else { *axes.last().expect("an axis") };
    let bias = kind.chars().all(char::is_uppercase);
    match kind {
        "L" | "l" => {
            let (inputs, outputs) = (*axes.last().expect("an axis"), number(size));
            Layer::Linear { inputs, outputs, bias, param, tensors: None }
        }
        "C" | "c" => Layer::Conv2d {
            in_channels: channels,
            out_channels: number(size),
            kernel,
            stride: stride.unwrap_or([1, 1]),
            padding,
            dilation,
            groups: option("g").map_or(1, |[g, _]| g),
            bias,
            param,
            tensors: None,
        },
        "B" => Layer::BatchNorm { features: channels, eps: 1e-3, momentum: 0.1, param },
        "M" => Layer::MaxPool2d { kernel, stride, padding, dilation },
        "A" | "a" => Layer::AvgPool2d { kernel, stride, padding, count_include_pad: bias },
        _ => panic!("no layer {word}"),
    }
}

/// Small networks with every layer, every option of it, and odd combinations: input shape, words,
/// samples.
pub const ZOO: &[(&[usize], &str, usize)] = &[
    (&[4], "L3 tanh L2", 5),
    (&[3], "L4 sigmoid l3", 4),
    (&[3], "L4 elu L3 relu", 4),
    (&[2], "tanh L3 relu L2", 5),
    (&[3], "L4 tanh sigmoid L2 elu tanh", 4),
    (&[3], "L3 B tanh L2 B", 5),
    (&[3], "B L3 relu B L2", 6),
    (&[4], "flat L3 flat tanh flat L2", 3),
    (&[3], "L4 leaky L3", 1),
    (&[4, 3], "L3 tanh L2 flat L2", 4),
    (&[2, 1, 2, 3], "L2 relu flat L3", 3),
    (&[3, 2], "flat L3 tanh L2", 4),
    (&[3, 2], "sigmoid l3 elu flat", 3),
    (&[1, 5, 5], "C2:k3 tanh flat L3", 3),
    (&[3, 4, 5], "C2:k3x2 tanh flat L2", 3),
    (&[2, 5, 6], "C3:k3,s2,p1 tanh flat L2", 3),
    (&[1, 7, 6], "C2:k3x2,d2x3 sigmoid flat L2", 3),
    (&[4, 4, 4], "C6:k3,g2 tanh C4:k2,g2 flat", 2),
    (&[3, 3, 4], "C3:k2,g3 elu C2:k1 flat L2", 3),
    (&[4, 7, 6], "C6:k3x2,s2x1,p1x2,d2x1,g2 elu M:k3 flat l2", 2),
    (&[2, 4, 4], "c2:k3 tanh flat l3", 3),
    (&[3, 3, 2], "C4:k1 tanh C2:k1 flat L2", 3),
    (&[1, 6, 6], "C2:k2,s3 tanh flat L2", 3),
    (&[2, 6, 6], "C3:k3,p1 B relu M:k2 flat L2", 3),
    (&[2, 5, 6], "C2:k3,p1 B leaky M:k3,s2,p1 C2:k2 B tanh flat L2", 4),
    (&[1, 6, 5], "C2:k3 tanh A:k3,s2,p1 flat L2", 3),
    (&[1, 6, 5], "C2:k3 tanh a:k3,s2,p1 flat L2", 3),
    (&[1, 6, 6], "C2:k2 M:k3,s1,p1 tanh M:k2,s1,d2 flat L2", 3),
    (&[2, 6, 5], "M:k2 C2:k2 tanh flat L2", 3),
    (&[2, 5, 4], "A:k2,s1 C2:k2 relu flat L2", 3),
    (&[2, 4, 4], "M:k2 flat L3", 3),
    (&[2, 4, 4], "tanh C2:k3 relu flat L2", 3),
    (&[2, 4, 4], "C2:k3 tanh sigmoid flat L2", 3),
    (&[3, 2, 2], "flat L3 tanh L2", 3),
    (&[3, 1, 1], "C4:k1 tanh flat L3", 3),
    (&[2, 1, 1], "C3:k3,p1 B leaky flat", 4),
    (&[2, 3, 3], "B C2:k2 tanh M:k2 flat L2", 3),
    (&[2, 3, 3], "C3:k3 flat", 3),
    (&[2, 4, 4], "C2:k3,p1 relu A:k2 C2:k2 flat B", 1),
    (&[1, 4, 4], "C2:k3 flat tanh L2", 3),
    (&[3, 4], "L2 flat sigmoid L2", 3),
    (&[2, 3, 3], "C2:k2 B flat elu L3", 3),
    (&[4, 3], "L2 flat", 3),
];

/// A network, its data and its parameters in f64.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What failures are called.
    pub label: String,
    /// The network.
    pub architecture: Architecture,
    /// The inputs, one sample after the other, in the order of the input shape.
    pub inputs: Vec<f64>,
    /// Their number.
    pub samples: usize,
    /// What the outputs should have been.
    pub labels: Labels,
    /// The parameters.
    pub parameters: Parameters<f64>,
}

impl Problem {
    /// Random data and parameters for a network.
    ///
    /// # Panics
    /// When the library refuses the network.
    pub fn new(label: &str, architecture: Architecture, samples: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let network = Network::<f64>::from_architecture(&architecture).expect(label);
        let mut parameters = network.init(&mut random::stream(seed, 0, "init"));
        // Biases, γ, β and the running averages away from their initial values.
        parameters.values.iter_mut().for_each(|v| *v += 0.1 * random.normal());
        parameters.buffers.iter_mut().for_each(|v| *v = random.uniform(0.3, 1.5));
        let labels = Self::draw_labels(&architecture, samples, &mut random);
        let inputs = random.normals(samples * architecture.inputs());
        Self { label: label.to_owned(), architecture, inputs, samples, labels, parameters }
    }

    /// Problem `i` of [`ZOO`].
    pub fn of_zoo(i: usize, loss: Loss) -> Self {
        let (shape, words, samples) = ZOO[i];
        let label = format!("{shape:?} {words} ×{samples} {loss:?}");
        Self::new(&label, network(shape, words, loss), samples, 1000 + i as u64)
    }

    /// Labels that fit the loss.
    pub fn draw_labels(net: &Architecture, samples: usize, random: &mut Random) -> Labels {
        let m = net.outputs();
        match net.loss {
            Loss::SoftmaxCrossEntropy => {
                Labels::Classes((0..samples).map(|_| random.below(m)).collect())
            }
            Loss::Mse { .. } => Labels::Values(random.normals(samples * m)),
            Loss::BinaryCrossEntropy => {
                Labels::Values((0..samples * m).map(|_| random.below(2) as f64).collect())
            }
        }
    }

    /// The inputs as rows.
    pub fn rows<N: Number>(&self) -> Vec<Vec<N>> {
        self.inputs.chunks(self.architecture.inputs()).map(constants).collect()
    }

    /// The statistics that batch normalisations use in a mode.
    pub fn statistics(&self, mode: Mode) -> Statistics<'_> {
        match mode {
            Mode::Train => Statistics::Batch,
            Mode::Inference => Statistics::Running(&self.parameters.buffers),
        }
    }

    /// The outputs of the naive network for every sample.
    pub fn naive_outputs<N: Number>(&self, parameters: &[N], mode: Mode) -> Vec<Vec<N>> {
        let statistics = self.statistics(mode);
        naive::outputs(&self.architecture, parameters, &self.rows(), statistics)
    }

    /// The loss of the naive network.
    pub fn naive<N: Number>(&self, parameters: &[N], mode: Mode) -> N {
        let outputs = self.naive_outputs(parameters, mode);
        naive::loss(&outputs, self.architecture.loss, &self.labels)
    }

    /// Sample s alone.
    pub fn sample(&self, s: usize) -> Self {
        let (d, m) = (self.architecture.inputs(), self.architecture.outputs());
        let labels = match &self.labels {
            Labels::Classes(c) => Labels::Classes(vec![c[s]]),
            Labels::Values(v) => Labels::Values(v[s * m..(s + 1) * m].to_vec()),
        };
        let inputs = self.inputs[s * d..(s + 1) * d].to_vec();
        Self { inputs, labels, samples: 1, ..self.clone() }
    }

    /// The network and the numbers in a dtype of the library.
    ///
    /// # Panics
    /// When the library refuses them.
    pub fn load<T: Scalar>(&self, threads: usize) -> Loaded<T> {
        let (classes, values) = match &self.labels {
            Labels::Classes(c) => (c.clone(), Vec::new()),
            Labels::Values(v) => (Vec::new(), cast::<T>(v)),
        };
        Loaded {
            network: Network::from_architecture(&self.architecture).expect(&self.label),
            parameters: Parameters {
                values: cast(&self.parameters.values),
                buffers: cast(&self.parameters.buffers),
            },
            exec: Cpu::new(Some(threads)).expect("executor"),
            inputs: cast(&self.inputs),
            samples: self.samples,
            classes,
            values,
        }
    }
}

/// A problem as the library holds it.
pub struct Loaded<T> {
    /// The network.
    pub network: Network<T>,
    /// Its parameters.
    pub parameters: Parameters<T>,
    /// Who computes.
    pub exec: Cpu,
    inputs: Vec<T>,
    samples: usize,
    classes: Vec<usize>,
    values: Vec<T>,
}

impl<T: Scalar> Loaded<T> {
    /// The inputs (N × d).
    ///
    /// # Panics
    /// Never: they have that many elements.
    pub fn features(&self) -> MatRef<'_, T> {
        MatRef::new(&self.inputs, self.samples, self.network.inputs()).expect("inputs")
    }

    /// What the outputs should have been.
    ///
    /// # Panics
    /// Never: they have that many elements.
    pub fn targets(&self) -> Targets<'_, T> {
        match self.network.loss_kind() {
            Loss::SoftmaxCrossEntropy => Targets::Classes(&self.classes),
            _ => {
                let shape = (self.samples, self.network.outputs());
                Targets::Values(MatRef::new(&self.values, shape.0, shape.1).expect("targets"))
            }
        }
    }

    /// A tape with the whole batch on it after a forward pass, larger than the batch: what lies
    /// behind must not count.
    ///
    /// # Panics
    /// When the pass fails.
    pub fn forward(&self, mode: Mode) -> Tape<T> {
        let mut tape = Tape::new(&self.network, self.samples + 3);
        let all: Vec<usize> = (0..self.samples).collect();
        tape.gather(self.features(), &all).expect("gather");
        self.network.forward(&self.exec, &self.parameters, mode, &mut tape).expect("forward");
        tape
    }

    /// The problem for curvature, in batches of `chunk` samples; the true labels serve as the ones
    /// drawn from the model too.
    pub fn problem(&self, chunk: usize) -> curvature::Problem<'_, T> {
        curvature::Problem {
            executor: &self.exec,
            network: &self.network,
            parameters: &self.parameters,
            features: self.features(),
            targets: Some(self.targets()),
            labels: Some(self.targets()),
            chunk,
            watch: None,
        }
    }
}
