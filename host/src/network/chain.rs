//! Networks that are a chain of linear layers.

use relfisher_core::Real;
use relfisher_core::metric::neuron::Activation;

use super::block::BlockKind;
use super::compile::{Network, Op, Order};
use crate::Error;

/// A linear layer and the activation behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// The index of its block.
    pub block: usize,
    /// The activation; linear behind the last layer.
    pub activation: Activation<f64>,
}

impl<T: Real> Network<T> {
    /// The layers of a network that is a chain of linear layers with biases, each but the last followed
    /// by one activation at most.
    ///
    /// # Errors
    /// The first layer that is something else.
    pub fn chain(&self) -> Result<Vec<Link>, Error> {
        let refuse = |place: &str, problem: &str| {
            let remedy = "use --device cpu for this network";
            Err(Error::input("--device", place, problem, remedy))
        };
        let mut links: Vec<Link> = Vec::new();
        let mut activated = true;
        for node in &self.nodes {
            match node.op {
                Op::Linear { block } => {
                    let linear = &self.blocks[block];
                    if !linear.has_bias() {
                        return refuse(&linear.name, "a layer without bias");
                    }
                    if linear.positions > 1 {
                        return refuse(&linear.name, "a layer that positions share");
                    }
                    links.push(Link { block, activation: Activation::Linear });
                    activated = false;
                }
                Op::Activation(f) => match links.last_mut() {
                    Some(link) if !activated => {
                        link.activation = f;
                        activated = true;
                    }
                    _ => return refuse("layers", "an activation that follows no linear layer"),
                },
                // A copy that keeps the order of a sample's numbers changes nothing here.
                Op::Reshape { order: Order::Kept, .. } if links.is_empty() => {}
                Op::Reshape { .. } => return refuse("layers", "images inside the network"),
                Op::Norm { block, .. } | Op::Convolution { block, .. } => {
                    let block = &self.blocks[block];
                    let what = match block.kind {
                        BlockKind::BatchNorm => "a batch normalisation",
                        _ => "a convolution",
                    };
                    return refuse(&block.name, what);
                }
                Op::MaxPool { .. } | Op::AvgPool { .. } => return refuse("layers", "a pool"),
            }
        }
        match links.last() {
            Some(last) if last.activation == Activation::Linear => Ok(links),
            Some(_) => refuse("layers", "an activation behind the last linear layer"),
            None => refuse("layers", "no linear layer"),
        }
    }
}
