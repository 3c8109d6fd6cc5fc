//! The largest eigenpairs of the Gauss–Newton matrix, measured once and used again: how fast a network
//! learns with a space that is 1, 10, 100 mini-batches old, beside the exact step of every mini-batch
//! and gradient descent, and how much of the exact step an old space still gives.
//!
//! ```sh
//! cargo run --release -p relfisher --example recycle
//! ```
//!
//! Writes loss.svg and .png into runs/examples/recycle (or the folder given).

mod uses;

use std::time::Instant;

use relfisher::executor::Cpu;
use relfisher::network::{Mode, Network, Parameters, Tape, Targets};
use relfisher::optimizer::{
    Batch, GgnRecycledConfig, GgnSampleConfig, OptimizerConfig, Preconditioner,
};
use relfisher::plot::{LineAxis, LinePlot, Scale, Series, lines};
use relfisher::{Error, random};

const BATCH: usize = 50;
const EPOCHS: usize = 6;
const DAMPING: f64 = 0.1;

/// A network in training.
struct Lab<'a> {
    network: &'a Network<f64>,
    exec: &'a Cpu,
    data: &'a uses::Digits,
    tape: Tape<f64>,
    gradient: Vec<f64>,
    parameters: Parameters<f64>,
    rng: random::Rng,
}

impl<'a> Lab<'a> {
    fn new(network: &'a Network<f64>, exec: &'a Cpu, data: &'a uses::Digits) -> Self {
        Self {
            network,
            exec,
            data,
            tape: Tape::new(network, BATCH),
            gradient: vec![0.0; network.parameter_count()],
            parameters: network.init(&mut random::stream(1, 0, "init")),
            rng: random::stream(1, 0, "labels"),
        }
    }

    /// The passes of a mini-batch.
    fn pass(&mut self, samples: &[usize]) -> Result<(), Error> {
        let (network, exec) = (self.network, self.exec);
        self.tape.gather(self.data.features()?, samples)?;
        network.forward(exec, &self.parameters, Mode::Train, &mut self.tape)?;
        let labels: Vec<usize> = samples.iter().map(|s| self.data.labels[*s]).collect();
        network.loss(exec, &mut self.tape, &Targets::Classes(&labels))?;
        network.backward(exec, &self.parameters, &mut self.tape, Some(&mut self.gradient))
    }

    fn update(&mut self, curvature: &mut dyn Preconditioner<f64>) -> Result<(), Error> {
        curvature.update(Batch {
            executor: self.exec,
            network: self.network,
            parameters: &self.parameters,
            tape: &self.tape,
            rng: &mut self.rng,
        })
    }

    fn loss(&self) -> Result<f64, Error> {
        let (mut tape, targets) =
            (Tape::new(self.network, 500), Targets::Classes(&self.data.labels));
        let features = self.data.features()?;
        let (network, exec) = (self.network, self.exec);
        Ok(network.evaluate(exec, &self.parameters, &mut tape, features, &targets)?.mean)
    }
}

/// The mini-batches of all epochs.
fn batches(samples: usize) -> Vec<Vec<usize>> {
    let mut rng = random::stream(1, 0, "shuffle");
    let mut order: Vec<usize> = (0..samples).collect();
    let mut all = Vec::new();
    for _ in 0..EPOCHS {
        random::shuffle(&mut order, &mut rng);
        all.extend(order.chunks(BATCH).map(<[usize]>::to_vec));
    }
    all
}

fn recycled(refresh: u64, rank: usize) -> OptimizerConfig {
    let config = GgnRecycledConfig { refresh, rank, damping: DAMPING, ..Default::default() };
    OptimizerConfig::GgnRecycled(config)
}

fn main() -> Result<(), Error> {
    let split = uses::digits()?;
    let data = uses::Digits::pooled(&split.train, 3000, 2)?;
    let network = uses::network(&[data.width, 40, 10])?;
    let exec = Cpu::new(None)?;
    let exact = || {
        let config = GgnSampleConfig { damping: DAMPING, ..Default::default() };
        OptimizerConfig::GgnSample(config)
    };
    let runs = [
        ("SGD", None, 0.05),
        ("exact", Some(exact()), 0.01),
        ("10, every 1", Some(recycled(1, 10)), 0.01),
        ("10, every 10", Some(recycled(10, 10)), 0.01),
        ("10, every 100", Some(recycled(100, 10)), 0.01),
        ("100, every 10", Some(recycled(10, 100)), 0.01),
    ];
    let batches = batches(data.labels.len());
    let mut series = Vec::new();
    println!("{} parameters, {} updates", network.parameter_count(), batches.len());
    for (name, config, rate) in runs {
        let mut lab = Lab::new(&network, &exec, &data);
        let mut curvature = config.map(|config| config.preconditioner(&network)).transpose()?;
        let count = network.parameter_count();
        let (mut step, mut velocity) = (vec![0.0; count], vec![0.0; count]);
        let (mut points, mut seconds) = (vec![(0.0, lab.loss()?)], 0.0);
        for (k, batch) in batches.iter().enumerate() {
            let started = Instant::now();
            lab.pass(batch)?;
            match &mut curvature {
                Some(curvature) => {
                    lab.update(&mut **curvature)?;
                    curvature.precondition(&exec, &lab.gradient, &mut step)?;
                }
                None => step.copy_from_slice(&lab.gradient),
            }
            let values = lab.parameters.values.iter_mut().zip(&mut velocity).zip(&step);
            for ((w, v), s) in values {
                *v = 0.9 * *v - rate * s;
                *w += *v;
            }
            seconds += started.elapsed().as_secs_f64();
            if (k + 1) % 20 == 0 {
                points.push(((k + 1) as f64, lab.loss()?));
            }
        }
        println!("{name:<22} train loss {:.4}, {seconds:.2} s", lab.loss()?);
        series.push(Series { label: name.to_owned(), points, dots: Vec::new() });
    }
    ages(&network, &exec, &data, &batches)?;
    let dir = uses::folder()?;
    let plot = LinePlot {
        title: "Learning with a recycled subspace",
        subtitle: "digits of 14×14, batches of 50; so many eigenpairs, measured every so many updates",
        x: LineAxis { label: "updates", scale: Scale::Linear, range: None },
        y: LineAxis { label: "train loss", scale: Scale::Linear, range: Some((0.1, 0.8)) },
        series: &series,
    };
    for file in lines(&plot, &dir, "loss")? {
        println!("{}", file.display());
    }
    Ok(())
}

/// The cosine between the exact step of a mini-batch and the one with a space of rank 10 and some age,
/// along gradient descent, in the second epoch.
fn ages(
    network: &Network<f64>,
    exec: &Cpu,
    data: &uses::Digits,
    batches: &[Vec<usize>],
) -> Result<(), Error> {
    let mut lab = Lab::new(network, exec, data);
    let count = network.parameter_count();
    let exact =
        OptimizerConfig::GgnSample(GgnSampleConfig { damping: DAMPING, ..Default::default() });
    let mut exact = exact.preconditioner(network)?;
    let mut old = recycled(u64::MAX, 10).preconditioner(network)?;
    let (mut velocity, mut want, mut got) = (vec![0.0; count], vec![0.0; count], vec![0.0; count]);
    let start = 60;
    println!("age of the space: cosine to the exact step, of the gradient to it");
    for (k, batch) in batches.iter().enumerate().take(start + 101) {
        lab.pass(batch)?;
        if k >= start {
            // Measured at the first call, kept at the others.
            lab.update(&mut *old)?;
        }
        if k >= start && [0, 1, 3, 10, 30, 100].contains(&(k - start)) {
            lab.update(&mut *exact)?;
            exact.precondition(exec, &lab.gradient, &mut want)?;
            old.precondition(exec, &lab.gradient, &mut got)?;
            let cosine = |a: &[f64], b: &[f64]| {
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
                dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
            };
            let (old, plain) = (cosine(&want, &got), cosine(&want, &lab.gradient));
            println!("{:>4} {old:.4} {plain:.4}", k - start);
        }
        for ((w, v), g) in lab.parameters.values.iter_mut().zip(&mut velocity).zip(&lab.gradient) {
            *v = 0.9 * *v - 0.05 * g;
            *w += *v;
        }
    }
    Ok(())
}
