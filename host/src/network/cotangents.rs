//! Derivatives with respect to the values of a tape, several columns at once.

use relfisher_core::{MatMut, MatRef, Real};

use super::compile::{Network, Op, Place};
use super::tape::{Buffer, empty};
use crate::Error;

/// What the statistics of batch normalisations are to a backward pass in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Statistics {
    /// Functions of the batch: the derivative of a sample reaches all others.
    #[default]
    Batch,
    /// Constants, as in [`Network::push_forward`]: its exact transpose.
    Constant,
}

/// Derivatives δ of one or more scalar functions of every sample with respect to the network's
/// values: what [`Network::pull_back`] carries from the outputs to the first layer.
///
/// A buffer holds `columns` blocks of n·T rows each: the row of column c, sample s and position τ
/// has index (c·n + s)·T + τ.
#[derive(Clone, Debug, Default)]
pub struct Cotangents<T> {
    columns: usize,
    pub(super) statistics: Statistics,
    pub(super) buffers: Vec<Buffer<T>>,
    /// The slot and the positions of every block's output, and of the network's output.
    blocks: Vec<(usize, usize)>,
    outputs: Option<usize>,
    pub(super) scratch: Vec<T>,
}

impl<T: Real> Cotangents<T> {
    /// Room for `columns` functions of each of up to `capacity` samples.
    pub fn new(network: &Network<T>, capacity: usize, columns: usize) -> Self {
        let mut sizes = vec![(0, 0); network.slot_count];
        for place in &network.places {
            if let Some(slot) = place.slot {
                sizes[slot] = (place.positions, place.cols);
            }
        }
        let rows = capacity * columns;
        let blocks = network.sites.iter().zip(&network.blocks).map(|(site, block)| {
            let place = network.nodes[site.node].output;
            (network.places[place].slot.unwrap_or(0), block.positions)
        });
        Self {
            columns,
            statistics: Statistics::Batch,
            buffers: sizes.iter().map(|&(t, cols)| Buffer::new(rows * t, cols, None)).collect(),
            blocks: blocks.collect(),
            outputs: network.places.last().and_then(|p| p.slot),
            scratch: Vec::new(),
        }
    }

    /// The same, for passes that take the statistics of batch normalisations so.
    #[must_use]
    pub fn with_statistics(mut self, statistics: Statistics) -> Self {
        self.statistics = statistics;
        self
    }

    /// Checks that these are cotangents of `network` with room for n samples.
    ///
    /// # Errors
    /// Those of another network or a smaller batch.
    pub fn check(&self, network: &Network<T>, n: usize) -> Result<(), Error> {
        let rows = n.saturating_mul(self.columns);
        let fits = |place: &Place| {
            let Some(slot) = place.slot else { return true };
            self.buffers.get(slot).is_some_and(|buffer| {
                buffer.cols == place.cols && buffer.data.len() >= rows.saturating_mul(place.len())
            })
        };
        let blocks = self.blocks.iter().map(|&(slot, positions)| (Some(slot), positions));
        let wanted = network.sites.iter().zip(&network.blocks).map(|(site, block)| {
            (network.places[network.nodes[site.node].output].slot, block.positions)
        });
        if self.buffers.len() == network.slot_count
            && network.places.iter().all(fits)
            && self.outputs == network.places.last().and_then(|p| p.slot)
            && blocks.eq(wanted)
        {
            return Ok(());
        }
        Err(Error::input(
            "",
            "cotangents",
            format_args!("made for another network, or for fewer than {n} samples"),
            "make them with Cotangents::new for this network and batch",
        ))
    }

    /// The elements that [`Cotangents::new`] allocates.
    pub fn required_len(network: &Network<T>, capacity: usize, columns: usize) -> usize {
        let activation = |i: usize| matches!(network.nodes[i].op, Op::Activation(_));
        let places = network.places.iter().enumerate();
        let own = places.filter(|(i, p)| p.slot.is_some() && *i > 0 && !activation(i - 1));
        own.map(|(_, p)| p.len()).fold(0_usize, |a, b| {
            a.saturating_add(b.saturating_mul(capacity).saturating_mul(columns))
        })
    }

    /// The number of functions of each sample.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// δ of the output of a block (columns·n·T × m) for a batch of n samples.
    pub fn block(&self, block: usize, n: usize) -> MatRef<'_, T> {
        match self.blocks.get(block) {
            Some(&(slot, positions)) => self.buffers[slot].values(self.columns * n * positions),
            None => empty(0),
        }
    }

    /// δ of the network's outputs (columns·n × outputs).
    pub fn output(&self, n: usize) -> MatRef<'_, T> {
        match self.outputs {
            Some(slot) => self.buffers[slot].values(self.columns * n),
            None => empty(0),
        }
    }

    /// δ of the network's outputs (n × outputs) for column c, to be filled before a pass.
    pub fn output_mut(&mut self, column: usize, n: usize) -> MatMut<'_, T> {
        let outputs = self.outputs.map(|slot| &mut self.buffers[slot]);
        let filled = outputs.and_then(|buffer| {
            let (cols, start) = (buffer.cols, column * n * buffer.cols);
            buffer.data.get_mut(start..).and_then(|data| MatMut::new(data, n, cols).ok())
        });
        filled.unwrap_or_else(|| super::tape::empty_mut(0))
    }
}
