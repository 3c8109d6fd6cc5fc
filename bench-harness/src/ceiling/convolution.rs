//! KFC's factor A of a convolution.

use relfisher::Scalar;
use relfisher::curvature::{FactorScratch, Site};
use relfisher::executor::Cpu;
use relfisher::network::{Architecture, Layer, Loss, Network, Tape};
use relfisher_core::curvature::Sharing;

use super::{Case, assert_close, rounding};
use crate::Random;

/// A = (1/(nT)) Σ_s Σ_τ p̃p̃ᵀ over the patches of n images: n·T·d̃(d̃+1) FLOPs, and no patch matrix.
pub struct PatchFactor<T: Scalar> {
    channels: usize,
    side: usize,
    kernel: usize,
    padding: usize,
    samples: usize,
    network: Network<T>,
    tape: Tape<T>,
    scratch: FactorScratch<T>,
    /// Images as the network takes them: channels, height, width.
    images: Vec<T>,
    out: Vec<T>,
}

impl<T: Scalar> PatchFactor<T> {
    /// Random images through a convolution of stride 1.
    ///
    /// # Panics
    /// When the sizes are no convolution.
    #[must_use]
    pub fn new([channels, side, kernel, padding, samples]: [usize; 5]) -> Self {
        let convolution = Layer::Conv2d {
            in_channels: channels,
            out_channels: 1,
            kernel: [kernel; 2],
            stride: [1; 2],
            padding: [padding; 2],
            dilation: [1; 2],
            groups: 1,
            bias: true,
            param: "conv".to_owned(),
            tensors: None,
        };
        let architecture = Architecture {
            name: None,
            input_shape: vec![channels, side, side],
            layers: vec![convolution, Layer::Flatten {}],
            loss: Loss::Mse { scale: 0.5 },
        };
        let network: Network<T> = Network::from_architecture(&architecture).expect("a network");
        let images = Random::new(8).numbers(samples * network.inputs(), -1.0, 1.0);
        let mut tape = Tape::new(&network, samples);
        tape.set_batch(samples).expect("the batch");
        let d = network.blocks()[0].cols;
        Self {
            channels,
            side,
            kernel,
            padding,
            samples,
            tape,
            scratch: FactorScratch::default(),
            images,
            out: vec![T::NAN; d * d],
            network,
        }
    }

    /// Puts the images where the layer reads them.
    ///
    /// # Panics
    /// When the network refuses them.
    pub fn load(&mut self, cpu: &Cpu) {
        let parameters = self.network.init(&mut relfisher::random::stream(1, 0, "bench"));
        let mut input = self.tape.input_mut();
        let len = self.network.inputs();
        for (s, image) in self.images.chunks_exact(len).enumerate() {
            input.row_mut(s).copy_from_slice(image);
        }
        let mode = relfisher::network::Mode::Train;
        self.network.forward(cpu, &parameters, mode, &mut self.tape).expect("forward");
    }

    /// Positions T of an image.
    fn positions(&self) -> usize {
        self.network.blocks()[0].positions
    }

    /// Element `column` of the patch at `position` of image `s`, from the definition.
    fn patch(&self, s: usize, position: usize, column: usize) -> f64 {
        let taps = self.kernel * self.kernel;
        if column == self.channels * taps {
            return 1.0;
        }
        let (channel, tap) = (column / taps, column % taps);
        let across = self.side + 2 * self.padding + 1 - self.kernel;
        let y = (position / across + tap / self.kernel).checked_sub(self.padding);
        let x = (position % across + tap % self.kernel).checked_sub(self.padding);
        match (y, x) {
            (Some(y), Some(x)) if y < self.side && x < self.side => {
                let image = (s * self.channels + channel) * self.side * self.side;
                self.images[image + y * self.side + x].to_f64()
            }
            _ => 0.0,
        }
    }
}

impl<T: Scalar> Case<T> for PatchFactor<T> {
    fn label(&self) -> String {
        let Self { channels, side, kernel, samples, .. } = self;
        format!("patch factor c{channels} {side}x{side} k{kernel} n{samples}")
    }

    fn flops(&self) -> f64 {
        let d = self.network.blocks()[0].cols;
        (self.samples * self.positions() * d * (d + 1)) as f64
    }

    fn run(&mut self, cpu: &Cpu) {
        let site = Site { network: &self.network, tape: &self.tape, block: 0 };
        let weights = (T::ZERO, T::ONE);
        site.input_factor(cpu, (&mut self.out, weights), Sharing::Expand, &mut self.scratch)
            .expect("the factor");
    }

    fn check(&mut self, _: &Cpu) {
        let (d, t) = (self.network.blocks()[0].cols, self.positions());
        let mut random = Random::new(9);
        let mut pick = || (random.unit() * d as f64) as usize;
        let pairs: Vec<_> = (0..60)
            .map(|k| {
                let (a, b) = (if k < 6 { d - 1 } else { pick() }, pick());
                let sum: f64 = (0..self.samples * t)
                    .map(|i| self.patch(i / t, i % t, a) * self.patch(i / t, i % t, b))
                    .sum();
                (self.out[a * d + b].to_f64(), sum / (self.samples * t) as f64)
            })
            .collect();
        assert_close(&self.label(), &pairs, rounding::<T>(100.0));
    }
}
