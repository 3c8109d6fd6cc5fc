//! The layers that an optimiser owns: all of a network's, or a group of mixed training.

use std::ops::Range;

use crate::Scalar;
use crate::network::Network;

/// Some blocks of a network.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    owned: Vec<bool>,
    inside: Vec<Range<usize>>,
    outside: Vec<Range<usize>>,
}

impl Scope {
    /// All blocks.
    pub(super) fn all<T: Scalar>(network: &Network<T>) -> Self {
        Self::of(network, |_| true)
    }

    /// The blocks that `owns` says, by their index.
    pub(super) fn of<T: Scalar>(network: &Network<T>, owns: impl Fn(usize) -> bool) -> Self {
        let owned: Vec<bool> = (0..network.blocks().len()).map(owns).collect();
        let ranges = |wanted: bool| {
            let mut ranges: Vec<Range<usize>> = Vec::new();
            for (block, _) in network.blocks().iter().zip(&owned).filter(|(_, o)| **o == wanted) {
                let range = block.range();
                match ranges.last_mut() {
                    Some(last) if last.end == range.start => last.end = range.end,
                    _ => ranges.push(range),
                }
            }
            ranges
        };
        Self { inside: ranges(true), outside: ranges(false), owned }
    }

    /// Whether a block belongs to it.
    pub(super) fn contains(&self, block: usize) -> bool {
        self.owned.get(block).copied().unwrap_or(false)
    }

    /// Whether no block does.
    pub(super) fn is_empty(&self) -> bool {
        self.inside.is_empty()
    }

    /// The parameters of its blocks, as few ranges as there can be.
    pub(super) fn ranges(&self) -> &[Range<usize>] {
        &self.inside
    }

    /// Zeros for the parameters of all other blocks.
    pub(super) fn clear_outside<T: Scalar>(&self, values: &mut [T]) {
        for range in &self.outside {
            values[range.clone()].fill(T::ZERO);
        }
    }
}
