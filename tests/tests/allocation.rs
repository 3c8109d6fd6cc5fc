//! A training step in its steady state allocates nothing: whatever it needs was kept from the steps before.

use relfisher::Error;
use relfisher::executor::{Cpu, Executor};
use relfisher::network::{Loss, Mode, Network, Normalisation, Tape, Targets};
use relfisher::optimizer::{MetricBatch, OptimizerConfig, Step};
use relfisher::random::{self, Rng};
use relfisher_core::MatRef;
use relfisher_core::metric::neuron::Activation;
use relfisher_tests::random::Random;

const SAMPLES: usize = 40;
const BATCH: usize = 10;
const INPUTS: usize = 30;
/// A multiple of every period below.
const PERIOD: usize = 6;

/// The first samples, whatever is asked for.
struct Source(Vec<f32>);

impl MetricBatch<f32> for Source {
    fn available(&self) -> usize {
        SAMPLES
    }

    fn load(&mut self, tape: &mut Tape<f32>, count: usize, _: &mut Rng) -> Result<(), Error> {
        const ORDER: [usize; SAMPLES] = {
            let mut order = [0; SAMPLES];
            let mut i = 0;
            while i < SAMPLES {
                order[i] = i;
                i += 1;
            }
            order
        };
        tape.gather(MatRef::new(&self.0, SAMPLES, INPUTS)?, &ORDER[..count])
    }
}

/// The allocations of each of `PERIOD` steps after twice as many.
fn allocations(settings: &str, normalisation: Normalisation) -> Vec<u64> {
    let config: OptimizerConfig = toml::from_str(settings).expect("settings");
    let (widths, loss) = ([INPUTS, 12, 9, 4], Loss::SoftmaxCrossEntropy);
    let relu = Activation::Relu { leak: 0.0 };
    let network = Network::<f32>::mlp(&widths, relu, normalisation, loss).expect("a network");
    let mut parameters = network.init(&mut random::stream(5, 0, "init"));
    let mut optimizer = config.build(&network).expect("an optimiser");
    let mut rng = random::stream(5, 0, "optimizer");
    let mut tape = Tape::new(&network, BATCH);
    let mut gradient = vec![0.0; network.parameter_count()];
    let mut random = Random::new(9);
    let mut source = Source(random.normals(SAMPLES * INPUTS));
    let features: Vec<f32> = source.0.clone();
    let classes: Vec<usize> = (0..SAMPLES).map(|_| random.below(4)).collect();
    let order: Vec<usize> = (0..SAMPLES).collect();
    let cpu = Cpu::new(Some(1)).expect("a thread");
    let mut one = |index: usize| -> Result<(), Error> {
        let at = index * BATCH % SAMPLES;
        let targets = Targets::Classes(&classes[at..at + BATCH]);
        tape.gather(MatRef::new(&features, SAMPLES, INPUTS)?, &order[at..at + BATCH])?;
        network.forward(&cpu, &parameters, Mode::Train, &mut tape)?;
        network.update_running_averages(&tape, &mut parameters)?;
        let loss = network.loss(&cpu, &mut tape, &targets)?;
        network.backward(&cpu, &parameters, &mut tape, Some(&mut gradient))?;
        optimizer.step(&mut Step {
            executor: &cpu,
            network: &network,
            tape: &mut tape,
            targets,
            loss: loss.mean,
            parameters: &mut parameters,
            gradient: &mut gradient,
            learning_rate: 0.01,
            index: index as u64,
            rng: &mut rng,
            metric_batch: &mut source,
        })
    };
    let mut counts = Vec::with_capacity(PERIOD);
    Executor::<f32>::install(&cpu, &mut || {
        (0..2 * PERIOD).for_each(|i| one(i).expect("a step"));
        for i in 2 * PERIOD..3 * PERIOD {
            let info = allocation_counter::measure(|| one(i).expect("a step"));
            counts.push(info.count_total);
        }
    });
    counts
}

#[test]
fn the_counter_counts() {
    let info = allocation_counter::measure(|| drop(std::hint::black_box(vec![0u8; 100])));
    assert_eq!(info.count_total, 1);
}

#[test]
fn a_step_in_its_steady_state_allocates_nothing() {
    let settings = [
        "kind = 'sgd'",
        "kind = 'adam'",
        "kind = 'rngd'\nrefresh = 3\nmetric_samples = 20",
        "kind = 'rngd'\nrefresh = 3\nmetric_samples = 20\nmetric_decay = 0.5",
        "kind = 'rngd-sample'",
        "kind = 'kfac'\nrefresh = 3\nfactor_every = 2",
        "kind = 'kfac'\nrefresh = 3\nfactor_every = 2\ndamping_kind = 'exact'",
        "kind = 'kflr'\nrefresh = 3\nfactor_every = 2",
        "kind = 'kfra'\nrefresh = 3\nfactor_every = 2",
        "kind = 'ekfac'\nrefresh = 3\nfactor_every = 2",
        "kind = 'kfac-tridiagonal'\nrefresh = 3\nfactor_every = 2",
    ];
    let mut found = Vec::new();
    for normalisation in [Normalisation::Plain, Normalisation::Batch] {
        for text in settings {
            let counts = allocations(text, normalisation);
            if counts.iter().any(|count| *count > 0) {
                found.push(format!("{normalisation:?}, {}: {counts:?}", text.replace('\n', ", ")));
            }
        }
    }
    assert!(found.is_empty(), "allocations of the steps of one period:\n{}", found.join("\n"));
}
