//! The state of a network: parameters and running averages.

use super::compile::Network;
use crate::Error;
use relfisher_core::Real;

/// Everything that training changes in a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters<T> {
    /// The flat parameter vector: the blocks in forward order, each row-major ([W | b] or [γ | β]).
    pub values: Vec<T>,
    /// The running mean and variance of each batch normalisation.
    pub buffers: Vec<T>,
}

impl<T: Real> Parameters<T> {
    /// Checks the lengths against a network.
    ///
    /// # Errors
    /// Parameters of another network.
    pub fn check(&self, network: &Network<T>) -> Result<(), Error> {
        let wanted = (network.parameter_count(), network.buffer_count());
        let found = (self.values.len(), self.buffers.len());
        if wanted == found {
            return Ok(());
        }
        Err(Error::input(
            "",
            "parameters",
            format_args!("{found:?} values and buffers, but the network has {wanted:?}"),
            "use the parameters of the same network",
        ))
    }
}
