//! Arrays as the inputs and targets of a network.

use relfisher_core::MatRef;

use crate::Scalar;
use crate::error::Error;
use crate::format::Array;
use crate::network::{Architecture, Loss, Network, Targets};

/// Targets in memory.
#[derive(Clone, Debug)]
pub(crate) enum OwnedTargets<T> {
    /// A class for each sample.
    Classes(Vec<usize>),
    /// A row of numbers for each sample, and the count of rows.
    Values(Vec<T>, usize),
}

impl<T: Scalar> OwnedTargets<T> {
    /// The targets of `samples` samples, as the loss of the network wants them.
    pub(crate) fn of(array: &Array, network: &Network<T>, samples: usize) -> Result<Self, Error> {
        let targets = match network.loss_kind() {
            Loss::SoftmaxCrossEntropy => OwnedTargets::Classes(array.classes()?),
            Loss::Mse { .. } | Loss::BinaryCrossEntropy => {
                let (data, rows, cols) = array.matrix()?;
                if rows != samples || cols != network.outputs() {
                    return Err(Error::input(
                        "",
                        "header",
                        format_args!("shape {:?}", array.shape),
                        format_args!("give shape ({samples}, {})", network.outputs()),
                    ));
                }
                OwnedTargets::Values(data, rows)
            }
        };
        network.check_targets(&targets.view()?, samples)?;
        Ok(targets)
    }

    /// What a problem borrows.
    pub(crate) fn view(&self) -> Result<Targets<'_, T>, Error> {
        Ok(match self {
            OwnedTargets::Classes(classes) => Targets::Classes(classes),
            OwnedTargets::Values(data, rows) => {
                let cols = data.len() / (*rows).max(1);
                Targets::Values(MatRef::new(data, *rows, cols)?)
            }
        })
    }
}

/// The samples of an array: (N, …) with as many numbers a sample as the network takes.
pub(crate) fn feature_rows<T: Scalar>(
    array: &Array,
    net: &Architecture,
) -> Result<(Vec<T>, usize), Error> {
    let (data, rows, cols) = array.matrix()?;
    if rows == 0 {
        return Err(Error::input("", "header", "no samples", "give at least one"));
    }
    if cols != net.inputs() {
        return Err(Error::input(
            "",
            "header",
            format_args!(
                "shape {:?}, but the network takes {:?} for each sample",
                array.shape, net.input_shape
            ),
            "give inputs that fit the network",
        ));
    }
    Ok((data, rows))
}
