//! What the examples share: a folder for what they write, small digits, and a network trained on them.

#![allow(dead_code, unreachable_pub)]

use std::path::PathBuf;

use relfisher::dataset::{Dataset, Split};
use relfisher::executor::{Cpu, Executor};
use relfisher::network::{
    Architecture, Loss, Mode, Network, Normalisation, Parameters, Tape, Targets,
};
use relfisher::{Error, random};
use relfisher_core::MatRef;
use relfisher_core::metric::neuron::Activation;

/// Images of side × side as rows, and their classes.
pub struct Digits {
    /// One image a row.
    pub images: Vec<f64>,
    /// Numbers of an image.
    pub width: usize,
    /// Classes.
    pub labels: Vec<usize>,
}

impl Digits {
    /// The first `samples` images, each the means of squares of `pool` × `pool` pixels.
    pub fn pooled(data: &Dataset<f64>, samples: usize, pool: usize) -> Result<Self, Error> {
        let side = 28 / pool;
        let features = data.features();
        let mut images = Vec::with_capacity(samples * side * side);
        for s in 0..samples.min(data.len()) {
            let row = features.row(s);
            for i in 0..side * side {
                let (y, x) = (i / side * pool, i % side * pool);
                let square = (0..pool * pool).map(|k| row[(y + k / pool) * 28 + x + k % pool]);
                images.push(square.sum::<f64>() / (pool * pool) as f64);
            }
        }
        let labels = data.labels()[..samples.min(data.len())].to_vec();
        Ok(Self { images, width: side * side, labels })
    }

    /// The images as a matrix.
    pub fn features(&self) -> Result<MatRef<'_, f64>, Error> {
        Ok(MatRef::new(&self.images, self.labels.len(), self.width)?)
    }
}

/// The folder for what the example writes: the first argument, runs/examples/NAME by default.
pub fn folder() -> Result<PathBuf, Error> {
    let own = || PathBuf::from("runs/examples").join(env!("CARGO_CRATE_NAME"));
    let folder = std::env::args_os().nth(1).map_or_else(own, PathBuf::from);
    std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "create", &e))?;
    Ok(folder)
}

/// The bundled digits.
pub fn digits() -> Result<Split<f64>, Error> {
    Split::bundled()
}

/// A network of tanh neurons with soft-max outputs.
pub fn network(widths: &[usize]) -> Result<Network<f64>, Error> {
    let (loss, none) = (Loss::SoftmaxCrossEntropy, Normalisation::Plain);
    let architecture = Architecture::mlp(widths, Activation::Tanh, none, loss)?;
    Network::from_architecture(&architecture)
}

/// One epoch after the other of gradient descent with momentum 0.9 and L2 `decay`, batches of 50.
pub fn train(
    network: &Network<f64>,
    exec: &Cpu,
    data: &Digits,
    (epochs, rate, decay): (usize, f64, f64),
) -> Result<Parameters<f64>, Error> {
    let exec: &dyn Executor<f64> = exec;
    let mut parameters = network.init(&mut random::stream(1, 0, "init"));
    let mut velocity = vec![0.0; network.parameter_count()];
    let mut gradient = velocity.clone();
    let (mut tape, features) = (Tape::new(network, 50), data.features()?);
    let mut order: Vec<usize> = (0..data.labels.len()).collect();
    let mut rng = random::stream(1, 0, "shuffle");
    for _ in 0..epochs {
        random::shuffle(&mut order, &mut rng);
        for batch in order.chunks(50) {
            tape.gather(features, batch)?;
            network.forward(exec, &parameters, Mode::Train, &mut tape)?;
            let labels: Vec<usize> = batch.iter().map(|s| data.labels[*s]).collect();
            network.loss(exec, &mut tape, &Targets::Classes(&labels))?;
            network.backward(exec, &parameters, &mut tape, Some(&mut gradient))?;
            let values = parameters.values.iter_mut().zip(&mut velocity).zip(&gradient);
            for ((w, v), g) in values {
                *v = 0.9 * *v - rate * (g + decay * *w);
                *w += *v;
            }
        }
    }
    Ok(parameters)
}
