//! Initial parameters.

use relfisher_core::Real;
use relfisher_core::metric::neuron::Activation;
use serde::{Deserialize, Serialize};

use super::block::{BlockKind, ResponseSite};
use super::compile::Network;
use super::parameters::Parameters;
use crate::random::{self, Rng};

/// How the weights of a network start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Init {
    /// Small random numbers everywhere: [`Network::init`].
    #[default]
    Dense,
    /// A few standard normal weights for each unit: [`Network::init_sparse`].
    Sparse {
        /// The weights of a unit that are not 0, at least 1.
        connections: usize,
    },
}

impl<T: Real> Network<T> {
    /// Fresh parameters of the kind `init`.
    pub fn init_with(&self, init: Init, rng: &mut Rng) -> Parameters<T> {
        match init {
            Init::Dense => self.init(rng),
            Init::Sparse { connections } => self.init_sparse(connections, rng),
        }
    }

    /// Fresh parameters: weights normal with variance 2/((1 + ι²) d) before relu (leak ι) and 2/d
    /// before elu (He et al. 2015), uniform in ±√(6/(d + m)) elsewhere (Glorot & Bengio 2010);
    /// biases 0, γ = 1, β = 0, running mean 0 and variance 1.
    pub fn init(&self, rng: &mut Rng) -> Parameters<T> {
        let mut parameters = self.blank();
        for block in &self.blocks {
            let values = &mut parameters.values[block.range()];
            if block.kind == BlockKind::BatchNorm {
                continue;
            }
            let (d, m) = (block.inputs as f64, block.rows as f64);
            for row in values.chunks_exact_mut(block.cols) {
                for w in &mut row[..block.inputs] {
                    *w = T::from_f64(match block.response {
                        ResponseSite::Activation(Activation::Relu { leak }) => {
                            (2.0 / ((1.0 + leak * leak) * d)).sqrt() * random::normal(rng)
                        }
                        ResponseSite::Activation(Activation::Elu { .. }) => {
                            (2.0 / d).sqrt() * random::normal(rng)
                        }
                        _ => (6.0 / (d + m)).sqrt() * (2.0 * random::uniform(rng) - 1.0),
                    });
                }
            }
        }
        parameters
    }

    /// Fresh parameters for deep networks of saturating units: `connections` weights of every unit,
    /// at random inputs (all of them where there are fewer), are standard normal, the others and the
    /// biases 0 (J. Martens, *Deep learning via Hessian-free optimization*, ICML 2010, §5). Units then
    /// differ from the start however many inputs they have, where small dense weights make all units
    /// of a deep logistic network alike and its gradient vanish. Batch normalisations as in
    /// [`Network::init`].
    pub fn init_sparse(&self, connections: usize, rng: &mut Rng) -> Parameters<T> {
        let mut parameters = self.blank();
        for block in &self.blocks {
            if block.kind == BlockKind::BatchNorm {
                continue;
            }
            let d = block.inputs;
            let mut order: Vec<usize> = (0..d).collect();
            for row in parameters.values[block.range()].chunks_exact_mut(block.cols) {
                // The first places of a random order: Fisher-Yates, stopped early.
                for i in 0..connections.min(d) {
                    order.swap(i, i + random::below(rng, d - i));
                    row[order[i]] = T::from_f64(random::normal(rng));
                }
            }
        }
        parameters
    }

    /// Weights and biases 0, γ = 1, β = 0, running mean 0 and variance 1.
    fn blank(&self) -> Parameters<T> {
        let mut parameters = Parameters {
            values: vec![T::ZERO; self.parameter_count],
            buffers: vec![T::ZERO; self.buffer_count],
        };
        let mut buffers = &mut parameters.buffers[..];
        for block in self.blocks.iter().filter(|b| b.kind == BlockKind::BatchNorm) {
            let values = &mut parameters.values[block.range()];
            values.chunks_exact_mut(2).for_each(|row| row[0] = T::ONE);
            let (own, later) = buffers.split_at_mut(2 * block.rows);
            own[block.rows..].fill(T::ONE);
            buffers = later;
        }
        parameters
    }
}
