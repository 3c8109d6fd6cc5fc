//! KFC's factor A of convolutions with few channels, which is summed without patches, against the
//! definition: loops over positions and taps of the padded image.

use relfisher::Scalar;
use relfisher::curvature::{FactorScratch, Site};
use relfisher::executor::Cpu;
use relfisher::network::{Architecture, Layer, Loss, Mode, Network, Tape};
use relfisher::random;
use relfisher_core::curvature::Sharing;
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_bits_equal, assert_close};
use relfisher_tests::random::Random;
use relfisher_tests::real::nans;
use relfisher_tests::tolerance::Oracle::Dense;

/// A convolution: channels, rows and columns of the image, then pairs (y, x).
#[derive(Clone, Copy, Debug)]
struct Geometry {
    image: [usize; 3],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    bias: bool,
}

/// Rows of positions that fill vectors and that do not, of 16 to 36 columns; every option, alone and with
/// others. The last three are outside of what is summed without patches.
const GEOMETRIES: [Geometry; 11] = [
    plain([1, 9, 16], [1, 1]),
    plain([3, 8, 34], [3, 3]),
    Geometry { padding: [1, 1], ..plain([3, 9, 32], [3, 3]) },
    Geometry { padding: [2, 2], bias: false, ..plain([1, 12, 28], [5, 5]) },
    Geometry { padding: [0, 3], ..plain([2, 7, 19], [2, 4]) },
    Geometry { stride: [2, 1], padding: [1, 0], ..plain([4, 11, 19], [3, 2]) },
    Geometry { dilation: [2, 3], padding: [2, 1], ..plain([2, 13, 40], [3, 3]) },
    Geometry { stride: [3, 1], dilation: [1, 2], bias: false, ..plain([3, 10, 24], [2, 3]) },
    Geometry { stride: [1, 2], ..plain([3, 9, 25], [3, 3]) },
    plain([2, 9, 11], [3, 3]),
    plain([12, 9, 18], [3, 3]),
];

const fn plain(image: [usize; 3], kernel: [usize; 2]) -> Geometry {
    let [one, none] = [[1, 1], [0, 0]];
    Geometry { image, kernel, stride: one, padding: none, dilation: one, bias: true }
}

impl Geometry {
    fn network<T: Scalar>(&self) -> Network<T> {
        let convolution = Layer::Conv2d {
            in_channels: self.image[0],
            out_channels: 2,
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            groups: 1,
            bias: self.bias,
            param: "conv".to_owned(),
            tensors: None,
        };
        let architecture = Architecture {
            name: None,
            input_shape: self.image.to_vec(),
            layers: vec![convolution, Layer::Flatten {}],
            loss: Loss::Mse { scale: 0.5 },
        };
        Network::from_architecture(&architecture).expect("a network")
    }

    /// p̃ of the position (y, x), columns by channels, then taps, then the bias.
    fn patch(&self, image: &[f64], (y, x): (usize, usize)) -> Vec<f64> {
        let [channels, height, width] = self.image;
        let mut patch = Vec::new();
        for channel in 0..channels {
            for (i, j) in (0..self.kernel[0]).flat_map(|i| (0..self.kernel[1]).map(move |j| (i, j)))
            {
                let row = y * self.stride[0] + i * self.dilation[0];
                let column = x * self.stride[1] + j * self.dilation[1];
                let (row, column) =
                    (row.checked_sub(self.padding[0]), column.checked_sub(self.padding[1]));
                patch.push(match (row, column) {
                    (Some(row), Some(column)) if row < height && column < width => {
                        image[(channel * height + row) * width + column]
                    }
                    _ => 0.0,
                });
            }
        }
        patch.extend(self.bias.then_some(1.0));
        patch
    }

    /// The positions along an axis.
    fn positions(&self, axis: usize) -> usize {
        let reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
        (self.image[axis + 1] + 2 * self.padding[axis] - reach) / self.stride[axis] + 1
    }

    /// (1/(nT)) Σ p̃p̃ᵀ.
    fn factor(&self, images: &[f64]) -> Vec<f64> {
        let (rows, columns) = (self.positions(0), self.positions(1));
        let len = self.image.iter().product();
        let count = (images.len() / len * rows * columns) as f64;
        let mut sum = Vec::new();
        for image in images.chunks_exact(len) {
            for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                let patch = self.patch(image, (y, x));
                sum.resize(patch.len() * patch.len(), 0.0);
                for (k, s) in sum.iter_mut().enumerate() {
                    *s += patch[k / patch.len()] * patch[k % patch.len()] / count;
                }
            }
        }
        sum
    }
}

fn without_patches<T: Scalar>() {
    let mut random = Random::new(31);
    for (k, geometry) in GEOMETRIES.iter().enumerate() {
        // one image, fewer images than partial sums, and more of them
        let samples = [1, 5, 35][k % 3];
        let network: Network<T> = geometry.network();
        let images = random.normals::<T>(samples * network.inputs());
        let as_f64: Vec<f64> = images.iter().map(|x| x.to_f64()).collect();
        let want = geometry.factor(&as_f64);
        let positions = geometry.positions(0) * geometry.positions(1);
        let parameters = network.init(&mut random::stream(1, 0, "test"));
        let mut tape = Tape::new(&network, samples);
        tape.set_batch(samples).expect("the batch");
        let mut input = tape.input_mut();
        for (s, image) in images.chunks_exact(network.inputs()).enumerate() {
            input.row_mut(s).copy_from_slice(image);
        }
        let got = [1, 2, 3].map(|threads| {
            let cpu = Cpu::new(Some(threads)).expect("threads");
            network.forward(&cpu, &parameters, Mode::Train, &mut tape).expect("forward");
            let site = Site { network: &network, tape: &tape, block: 0 };
            let mut out = nans::<T>(want.len());
            let mut scratch = FactorScratch::default();
            let weights = (T::ZERO, T::ONE);
            for _ in 0..2 {
                // again, with scratch that is not fresh
                site.input_factor(&cpu, (&mut out, weights), Sharing::Expand, &mut scratch)
                    .expect("the factor");
            }
            out
        });
        let label = format!("{geometry:?}, {samples} images");
        assert_close(&label, &got[0], &want, "gram", Dense, samples * positions);
        assert_bits_equal(&format!("{label}, two threads"), &got[0], &got[1]);
        assert_bits_equal(&format!("{label}, three threads"), &got[0], &got[2]);
    }
}

both_dtypes!(without_patches);
