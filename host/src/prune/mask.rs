//! Which weights are there.

use crate::Scalar;
use crate::error::Error;
use crate::network::{BlockKind, Network};

/// Among which weights the smallest costs are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All weights of the network.
    #[default]
    Network,
    /// Each layer on its own: all lose the same share.
    Layer,
}

/// Which parameters are still there, and which may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    kept: Vec<bool>,
    prunable: Vec<bool>,
}

impl Mask {
    /// Everything of `network`, of which the weights of linear layers and convolutions may go.
    pub fn new<T: Scalar>(network: &Network<T>) -> Self {
        let mut prunable = vec![false; network.parameter_count()];
        for block in network.blocks().iter().filter(|b| b.kind != BlockKind::BatchNorm) {
            for row in prunable[block.range()].chunks_exact_mut(block.cols) {
                row[..block.inputs].fill(true);
            }
        }
        Self { kept: vec![true; prunable.len()], prunable }
    }

    /// Whether each parameter is there, in the order of the network's parameters.
    pub fn kept(&self) -> &[bool] {
        &self.kept
    }

    /// The weights that may go or went.
    pub fn prunable(&self) -> usize {
        self.prunable.iter().filter(|p| **p).count()
    }

    /// The weights that went.
    pub fn removed(&self) -> usize {
        self.kept.iter().filter(|k| !**k).count()
    }

    /// Removes the cheapest weights until the share `sparsity` of all prunable ones (of each layer with
    /// [`Scope::Layer`]) is gone, rounded down; of equal costs the ones of lower index. Returns the new
    /// ones, ascending.
    ///
    /// # Errors
    /// A sparsity outside [0, 1), or below what is gone already; costs that are not numbers.
    pub(super) fn remove_cheapest<T: Scalar>(
        &mut self,
        network: &Network<T>,
        costs: &[T],
        (sparsity, scope): (f64, Scope),
    ) -> Result<Vec<usize>, Error> {
        if !(0.0..1.0).contains(&sparsity) {
            let remedy = "give shares of at least 0 and below 1, such as 0.5,0.9";
            return Err(Error::input("--sparsity", sparsity, "is no such share", remedy));
        }
        let mut new = Vec::new();
        match scope {
            Scope::Network => self.choose(0..self.kept.len(), costs, sparsity, &mut new)?,
            Scope::Layer => {
                for block in network.blocks() {
                    self.choose(block.range(), costs, sparsity, &mut new)?;
                }
            }
        }
        new.sort_unstable();
        new.iter().for_each(|q| self.kept[*q] = false);
        Ok(new)
    }

    fn choose<T: Scalar>(
        &self,
        range: std::ops::Range<usize>,
        costs: &[T],
        sparsity: f64,
        new: &mut Vec<usize>,
    ) -> Result<(), Error> {
        let all = range.filter(|q| self.prunable[*q]);
        let (mut there, gone): (Vec<usize>, Vec<usize>) = all.partition(|q| self.kept[*q]);
        let wanted = (sparsity * (there.len() + gone.len()) as f64 + 1e-9).floor() as usize;
        let Some(count) = wanted.checked_sub(gone.len()) else {
            let problem = format!("{} weights are gone already", gone.len());
            let remedy = "give sparsities in rising order";
            return Err(Error::input("--sparsity", sparsity, problem, remedy));
        };
        if let Some(q) = there.iter().find(|q| costs[**q].to_f64().is_nan()) {
            let remedy = "use a larger damping, or --dtype f64";
            return Err(Error::divergence_with(format_args!("weight {q}"), "has no cost", remedy));
        }
        there.sort_by(|p, q| {
            costs[*p].to_f64().total_cmp(&costs[*q].to_f64()).then_with(|| p.cmp(q))
        });
        new.extend(&there[..count]);
        Ok(())
    }
}
