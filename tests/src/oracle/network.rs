//! A naive network: one sample and one number at a time, straight from the definitions, over any
//! [`Number`], so that dual numbers differentiate it. Images are in the order of the files:
//! channels, rows, columns.

use super::dual::Number;
use relfisher::network::{Architecture, Layer, Loss};

/// What the outputs should have been.
#[derive(Clone, Debug)]
pub enum Labels {
    /// A class for each sample.
    Classes(Vec<usize>),
    /// A row of outputs for each sample, one after the other.
    Values(Vec<f64>),
}

/// The statistics of batch normalisations.
#[derive(Clone, Copy, Debug)]
pub enum Statistics<'a> {
    /// Mean and biased variance of the batch (and the positions of images).
    Batch,
    /// Running averages: for each normalisation the means, then the variances.
    Running(&'a [f64]),
}

/// A sliding window over an image.
#[derive(Clone, Copy)]
struct Window {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
}

impl Window {
    /// The window of a convolution or a pool.
    fn of(layer: &Layer) -> Self {
        match *layer {
            Layer::Conv2d { kernel, stride, padding, dilation, .. } => {
                Self { kernel, stride, padding, dilation }
            }
            Layer::MaxPool2d { kernel, stride, padding, dilation } => {
                Self { kernel, stride: stride.unwrap_or(kernel), padding, dilation }
            }
            Layer::AvgPool2d { kernel, stride, padding, .. } => {
                Self { kernel, stride: stride.unwrap_or(kernel), padding, dilation: [1, 1] }
            }
            _ => unreachable!("not a window"),
        }
    }

    /// The places along one axis, by counting those whose last tap is inside the padded image.
    fn places(&self, axis: usize, size: usize) -> usize {
        let end = size + 2 * self.padding[axis];
        let last = |o: usize| o * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis];
        (0..end).filter(|o| last(*o) < end).count()
    }

    /// The pixel that tap `k` of place `o` looks at; none in the padding.
    fn pixel(&self, o: [usize; 2], k: [usize; 2], size: [usize; 2]) -> Option<[usize; 2]> {
        let mut at = [0; 2];
        for a in 0..2 {
            let padded = o[a] * self.stride[a] + k[a] * self.dilation[a];
            if padded < self.padding[a] || padded >= self.padding[a] + size[a] {
                return None;
            }
            at[a] = padded - self.padding[a];
        }
        Some(at)
    }

    /// All taps (y, x), row by row.
    fn taps(&self) -> impl Iterator<Item = [usize; 2]> + use<> {
        let [h, w] = self.kernel;
        (0..h).flat_map(move |y| (0..w).map(move |x| [y, x]))
    }
}

/// The axes of a sample after a layer.
pub fn axes_after(layer: &Layer, axes: &[usize]) -> Vec<usize> {
    match layer {
        Layer::Linear { outputs, .. } => {
            let mut axes = axes.to_vec();
            *axes.last_mut().expect("an axis") = *outputs;
            axes
        }
        Layer::Flatten {} => vec![axes.iter().product()],
        Layer::Conv2d { out_channels, .. } => {
            let window = Window::of(layer);
            vec![*out_channels, window.places(0, axes[1]), window.places(1, axes[2])]
        }
        Layer::MaxPool2d { .. } | Layer::AvgPool2d { .. } => {
            let window = Window::of(layer);
            vec![axes[0], window.places(0, axes[1]), window.places(1, axes[2])]
        }
        _ => axes.to_vec(),
    }
}

/// The parameters of a layer.
fn count(layer: &Layer) -> usize {
    match *layer {
        Layer::Linear { inputs, outputs, bias, .. } => outputs * (inputs + usize::from(bias)),
        Layer::Conv2d { in_channels, out_channels, kernel, groups, bias, .. } => {
            out_channels * (in_channels / groups * kernel[0] * kernel[1] + usize::from(bias))
        }
        Layer::BatchNorm { features, .. } => 2 * features,
        _ => 0,
    }
}

/// The outputs for every sample. `parameters` are the blocks in forward order, each row-major:
/// [W | b] with W as (out, in, kh, kw), or [γ | β].
///
/// # Panics
/// With too few parameters.
pub fn outputs<N: Number>(
    architecture: &Architecture,
    parameters: &[N],
    inputs: &[Vec<N>],
    statistics: Statistics<'_>,
) -> Vec<Vec<N>> {
    let (mut x, mut axes) = (inputs.to_vec(), architecture.input_shape.clone());
    let (mut rest, mut running) = (parameters, statistics);
    for layer in &architecture.layers {
        let (own, later) = rest.split_at(count(layer));
        rest = later;
        match layer {
            Layer::Linear { inputs, bias, .. } => {
                x = x.iter().map(|x| linear(own, x, *inputs, *bias)).collect();
            }
            Layer::Conv2d { .. } => {
                x = x.iter().map(|x| convolution(layer, own, x, &axes)).collect();
            }
            Layer::BatchNorm { features, eps, .. } => {
                normalise(&mut x, own, *eps, running, *features);
                if let Statistics::Running(r) = &mut running {
                    *r = &r[2 * features..];
                }
            }
            Layer::MaxPool2d { .. } | Layer::AvgPool2d { .. } => {
                x = x.iter().map(|x| pool(layer, x, &axes)).collect();
            }
            Layer::Flatten {} => {}
            _ => x.iter_mut().flatten().for_each(|t| *t = activation(layer, *t)),
        }
        axes = axes_after(layer, &axes);
    }
    x
}

/// W x + b along the last axis.
fn linear<N: Number>(parameters: &[N], x: &[N], inputs: usize, bias: bool) -> Vec<N> {
    let row = |w: &[N], x: &[N]| N::dot(&w[..inputs], x) + N::sum(&w[inputs..]);
    let rows = || parameters.chunks_exact(inputs + usize::from(bias));
    x.chunks_exact(inputs).flat_map(|x| rows().map(|w| row(w, x)).collect::<Vec<N>>()).collect()
}

fn convolution<N: Number>(layer: &Layer, parameters: &[N], x: &[N], axes: &[usize]) -> Vec<N> {
    let Layer::Conv2d { out_channels, groups, bias, .. } = *layer else {
        unreachable!("a convolution")
    };
    let (window, size) = (Window::of(layer), [axes[1], axes[2]]);
    let (inputs, outputs) = (axes[0] / groups, out_channels / groups);
    let taps = window.kernel[0] * window.kernel[1];
    let cols = inputs * taps + usize::from(bias);
    let mut out = Vec::new();
    for o in 0..out_channels {
        let w = &parameters[o * cols..(o + 1) * cols];
        for oy in 0..window.places(0, size[0]) {
            for ox in 0..window.places(1, size[1]) {
                let mut sum = N::sum(&w[inputs * taps..]);
                for i in 0..inputs {
                    let channel = (o / outputs) * inputs + i;
                    for (k, tap) in window.taps().enumerate() {
                        if let Some([y, z]) = window.pixel([oy, ox], tap, size) {
                            let pixel = x[(channel * size[0] + y) * size[1] + z];
                            sum = sum + w[i * taps + k] * pixel;
                        }
                    }
                }
                out.push(sum);
            }
        }
    }
    out
}

fn pool<N: Number>(layer: &Layer, x: &[N], axes: &[usize]) -> Vec<N> {
    let (window, size) = (Window::of(layer), [axes[1], axes[2]]);
    let mut out = Vec::new();
    for c in 0..axes[0] {
        for oy in 0..window.places(0, size[0]) {
            for ox in 0..window.places(1, size[1]) {
                let seen = window.taps().filter_map(|k| window.pixel([oy, ox], k, size));
                let seen: Vec<N> = seen.map(|[y, z]| x[(c * size[0] + y) * size[1] + z]).collect();
                out.push(match layer {
                    Layer::AvgPool2d { count_include_pad, .. } => {
                        let all = window.kernel[0] * window.kernel[1];
                        let count = if *count_include_pad { all } else { seen.len() };
                        N::sum(&seen) / N::constant(count as f64)
                    }
                    _ => {
                        let first = seen[0];
                        let larger = |a: N, b: &N| if b.value() > a.value() { *b } else { a };
                        seen.iter().fold(first, larger)
                    }
                });
            }
        }
    }
    out
}

/// γ (x − mean)/√(variance + eps) + β, channel by channel; a vector has one position.
fn normalise<N: Number>(
    x: &mut [Vec<N>],
    parameters: &[N],
    eps: f64,
    statistics: Statistics<'_>,
    features: usize,
) {
    let positions = x[0].len() / features;
    for c in 0..features {
        let own = c * positions..(c + 1) * positions;
        let column: Vec<N> = x.iter().flat_map(|x| x[own.clone()].to_vec()).collect();
        let share = 1.0 / column.len() as f64;
        let (mean, variance) = match statistics {
            Statistics::Running(r) => (N::constant(r[c]), N::constant(r[features + c])),
            Statistics::Batch => {
                let mean = N::sum(&column).scale(share);
                let squares: Vec<N> = column.iter().map(|v| (*v - mean) * (*v - mean)).collect();
                (mean, N::sum(&squares).scale(share))
            }
        };
        let (gamma, beta) = (parameters[2 * c], parameters[2 * c + 1]);
        for value in x.iter_mut().flat_map(|x| &mut x[own.clone()]) {
            *value = gamma * (*value - mean) / variance.shift(eps).sqrt() + beta;
        }
    }
}

fn activation<N: Number>(layer: &Layer, t: N) -> N {
    match *layer {
        Layer::Tanh {} => t.tanh(),
        Layer::Sigmoid {} => t.sigm(),
        Layer::Relu { .. } if t.value() > 0.0 => t,
        Layer::Relu { leak } => t.scale(leak),
        Layer::Elu { .. } if t.value() >= 0.0 => t,
        Layer::Elu { alpha } => t.exp().shift(-1.0).scale(alpha),
        _ => unreachable!("not an activation"),
    }
}

/// The mean loss of the samples.
///
/// # Panics
/// With labels of another kind.
pub fn loss<N: Number>(outputs: &[Vec<N>], loss: Loss, labels: &Labels) -> N {
    let mut total = N::constant(0.0);
    for (s, f) in outputs.iter().enumerate() {
        let one = match (loss, labels) {
            (Loss::SoftmaxCrossEntropy, Labels::Classes(c)) => N::log_sum_exp(f) - f[c[s]],
            (Loss::Mse { scale }, Labels::Values(v)) => {
                let errors = f.iter().zip(&v[s * f.len()..]).map(|(f, y)| f.shift(-y));
                N::sum(&errors.map(|e| e * e).collect::<Vec<N>>()).scale(scale)
            }
            (Loss::BinaryCrossEntropy, Labels::Values(v)) => {
                // −y ln sigm f − (1 − y) ln sigm(−f), the definition.
                let pairs = f.iter().zip(&v[s * f.len()..]);
                let terms =
                    pairs.map(|(f, y)| -(f.ln_sigm().scale(*y) + (-*f).ln_sigm().scale(1.0 - y)));
                N::sum(&terms.collect::<Vec<N>>())
            }
            _ => panic!("labels of another kind"),
        };
        total = total + one;
    }
    total.scale(1.0 / outputs.len() as f64)
}

/// A network in two parts around the layer that holds its `block`-th run of parameters (counted
/// from 0).
#[derive(Clone, Debug)]
pub struct Cut {
    /// The layers up to that one, and it.
    pub head: Architecture,
    /// The layers after it, from its output on.
    pub tail: Architecture,
    /// How many parameters the head has.
    pub parameters: usize,
    /// How many running averages the head has.
    pub statistics: usize,
}

/// Cuts a network behind the layer of a block.
///
/// # Panics
/// When there is no such block.
pub fn cut(architecture: &Architecture, block: usize) -> Cut {
    let owns = |(_, layer): &(usize, &Layer)| count(layer) > 0;
    let layers = &architecture.layers;
    let (at, _) = layers.iter().enumerate().filter(owns).nth(block).expect("a block");
    let (mut head, mut tail) = (architecture.clone(), architecture.clone());
    tail.layers = head.layers.split_off(at + 1);
    let mut axes = head.input_shape.clone();
    head.layers.iter().for_each(|layer| axes = axes_after(layer, &axes));
    tail.input_shape = axes;
    let statistics = head.layers.iter().map(|layer| match layer {
        Layer::BatchNorm { features, .. } => 2 * features,
        _ => 0,
    });
    let statistics = statistics.sum();
    Cut { parameters: head.layers.iter().map(count).sum(), statistics, head, tail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::network;

    fn run(input: &[usize], layers: &str, parameters: &[f64], x: &[f64]) -> Vec<f64> {
        let net = network(input, layers, Loss::Mse { scale: 0.5 });
        outputs(&net, parameters, &[x.to_vec()], Statistics::Batch).remove(0)
    }

    /// By hand, digits chosen so that every product can be read off.
    #[test]
    fn layers_by_hand() {
        let two = [1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0];
        // Two channels of 2 × 2, one kernel of 1 × 2 over both, bias 0.5.
        let w = [1.0, 0.1, 1.0, 0.0, 0.5];
        assert_eq!(run(&[2, 2, 2], "C1:k1x2", &w, &two), [1.2 + 10.5, 3.4 + 30.5]);
        // Padding of one column, stride 2: places −1 and 1.
        assert_eq!(run(&[1, 1, 3], "c1:k1x2,s1x2,p0x1", &[1.0, 10.0], &[1., 2., 3.]), [10., 32.]);
        // Taps two apart.
        assert_eq!(run(&[1, 1, 3], "c1:k1x2,d1x2", &[1.0, 10.0], &[1.0, 2.0, 3.0]), [31.0]);
        // Each group sees its own channel.
        let out = run(&[2, 2, 2], "c2:k1,g2", &[2.0, 3.0], &two);
        assert_eq!(out, [2.0, 4.0, 6.0, 8.0, 30.0, 60.0, 90.0, 120.0]);
        assert_eq!(run(&[2, 2, 2], "M:k2", &[], &two), [4.0, 40.0]);
        let line = [-1.0, -2.0, -3.0];
        assert_eq!(run(&[1, 1, 3], "M:k1x2,s1,p0x1", &[], &line), [-1.0, -1.0, -2.0, -3.0]);
        assert_eq!(run(&[1, 1, 3], "A:k1x2,s1,p0x1", &[], &line), [-0.5, -1.5, -2.5, -1.5]);
        assert_eq!(run(&[1, 1, 3], "a:k1x2,s1,p0x1", &[], &line), [-1.0, -1.5, -2.5, -3.0]);
        // A sequence of two vectors shares the weights.
        assert_eq!(run(&[2, 2], "L1", &[1.0, 10.0, 0.5], &two[..4]), [21.5, 43.5]);
        // Mean 2, variance 1 over the positions of the channel.
        let out = run(&[1, 1, 2], "B", &[2.0, 5.0], &[1.0, 3.0]);
        let root = (1.0f64 + 1e-3).sqrt();
        assert_eq!(out, [5.0 - 2.0 / root, 5.0 + 2.0 / root]);
    }

    #[test]
    fn a_cut_network_is_the_whole() {
        let net = network(&[2, 4, 4], "C2:k3 B tanh M:k2 flat L3", Loss::Mse { scale: 0.5 });
        let parameters: Vec<f64> = (0..51).map(|i| (f64::from(i) * 0.7).sin()).collect();
        let x: Vec<f64> = (0..32).map(|i| (f64::from(i) * 1.3).cos()).collect();
        let running = [0.1, -0.2, 0.5, 0.6];
        let whole =
            outputs(&net, &parameters, std::slice::from_ref(&x), Statistics::Running(&running));
        for block in 0..3 {
            let Cut { head, tail, parameters: p, statistics } = cut(&net, block);
            let (own, later) = running.split_at(statistics);
            let half =
                outputs(&head, &parameters, std::slice::from_ref(&x), Statistics::Running(own));
            let end = outputs(&tail, &parameters[p..], &half, Statistics::Running(later));
            assert_eq!(end, whole);
        }
    }
}
