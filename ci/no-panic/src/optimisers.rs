//! What the optimisers take from the curvature of the core.

use relfisher_core::curvature::{OutputLoss, normalisation_blocks};
use relfisher_core::{Error, Real};

use crate::{Opaque, probe};

probe! { roots channels }

fn roots<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let loss = match x.choice {
        0 => OutputLoss::SoftmaxCrossEntropy,
        1 => OutputLoss::Mse { scale: x.scalars[0] },
        _ => OutputLoss::BinaryCrossEntropy,
    };
    x.counts[1] = loss.triangular_columns(x.counts[0]);
    loss.triangular_root(x.out.view_mut()?, x.inputs[0].view()?, x.counts[0])
}

fn channels<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    normalisation_blocks(x.out.view_mut()?, x.scalars[0], x.scalars[1], x.inputs[0].view()?)
}
