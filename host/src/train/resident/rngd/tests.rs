//! The processor and the device (emulated) take over from each other in the middle of a run.

use relfisher_core::metric::neuron::Activation;

use crate::dataset::Dataset;
use crate::error::Error;
use crate::executor::{Choice, Engine};
use crate::network::{Architecture, Init, Loss, Normalisation};
use crate::optimizer::{OptimizerConfig, RngdConfig, State};
use crate::random;
use crate::train::checkpoint::Checkpoint;
use crate::train::run::{Event, Run, RunPlan};
use crate::train::samples::Samples;
use crate::train::task::Task;

const INPUTS: usize = 7;
const CLASSES: usize = 3;
/// Where a run is handed over: two steps after a refresh, six before the end.
const STEP: usize = 7;

fn samples() -> Samples<f64> {
    let mut rng = random::stream(11, 0, "samples");
    let mut set = |n: usize| {
        let features = (0..n * INPUTS).map(|_| random::normal(&mut rng)).collect();
        let labels = (0..n).map(|_| random::below(&mut rng, CLASSES)).collect();
        Dataset::new(features, INPUTS, labels, CLASSES).expect("samples")
    };
    Samples { train: set(39), test: set(5), description: serde_json::Value::Null }
}

fn plan(metric_decay: f64) -> RunPlan {
    let widths = [INPUTS, 5, CLASSES];
    let (f, loss) = (Activation::Tanh, Loss::SoftmaxCrossEntropy);
    let architecture = Architecture::mlp(&widths, f, Normalisation::Plain, loss);
    RunPlan {
        optimizer: OptimizerConfig::Rngd(RngdConfig {
            learning_rate: 0.2,
            momentum: 0.5,
            weight_decay: 1e-3,
            damping: 0.05,
            refresh: 5,
            metric_samples: 20,
            metric_decay,
            ..RngdConfig::default()
        }),
        architecture: architecture.expect("a network"),
        init: Init::Dense,
        task: Task::Classify,
        seed: 2,
        epochs: 1,
        batch_size: 3,
    }
}

/// The run of `first` up to [`STEP`], as it would be saved, and its parameters after `second` finished it.
fn handed_over(metric_decay: f64, first: Choice, second: Choice) -> (State<f64>, Vec<f64>) {
    let (plan, samples) = (plan(metric_decay), samples());
    let engine = Engine::open(first, Some(1)).expect("a machine");
    let mut run = Run::new(&plan, &samples, &engine, None).expect("a run");
    let mut saved: Option<Checkpoint<f64>> = None;
    let stopped = run.train(false, &mut |run, event| {
        if matches!(event, Event::Step) && run.steps_done() == STEP {
            saved = Some(run.checkpoint("")?);
            return Err(Error::input("", "", "interrupted", ""));
        }
        Ok(())
    });
    assert!(stopped.is_err());
    let saved = saved.expect("a checkpoint");
    let state = saved.optimizer.clone();
    let engine = Engine::open(second, Some(1)).expect("a machine");
    let mut run = Run::new(&plan, &samples, &engine, None).expect("a run");
    run.restore(saved).expect("fits");
    run.train(false, &mut |_, _| Ok(())).expect("trains");
    assert_eq!(run.steps_done(), 13);
    let parameters = run.parameters().expect("parameters").values.clone();
    (state, parameters)
}

/// Twelve steps amplify the rounding errors of single solves, far less than to this.
fn assert_close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let worst = found.iter().zip(expected).fold(0.0_f64, |m, (x, y)| m.max((x - y).abs()));
    assert!(worst <= 1e-9 * largest, "{what}: off by {worst:e} of {largest:e}");
}

/// The lower triangle of a square matrix: of the soft-max layer's metric only it counts.
fn lower(matrix: &[f64]) -> Vec<f64> {
    let order = matrix.len().isqrt();
    assert_eq!(order * order, matrix.len());
    (0..order).flat_map(|i| matrix[i * order..=i * order + i].to_vec()).collect()
}

fn machines_take_over(metric_decay: f64) {
    let (host, device) = (Choice::Cpu, Choice::Emulated);
    let (expected, end) = handed_over(metric_decay, host, host);
    let (found, other_end) = handed_over(metric_decay, device, host);
    assert_close("device, then host", &other_end, &end);
    assert_close("host, then device", &handed_over(metric_decay, host, device).1, &end);

    assert_eq!(found.counters, expected.counters);
    assert_eq!(found.generators, expected.generators);
    assert!(found.tensors.keys().eq(expected.tensors.keys()), "{:?}", found.tensors.keys());
    for ((name, found), expected) in found.tensors.iter().zip(expected.tensors.values()) {
        assert_eq!(found.len(), expected.len(), "{name}");
        if name == "rngd.metric.layers.1" {
            assert_close(name, &lower(found), &lower(expected));
        } else {
            assert_close(name, found, expected);
        }
    }
    assert_eq!(found.tensors.contains_key("rngd.metric.layers.1"), metric_decay > 0.0);
    assert_eq!(found.tensors.contains_key("rngd.reference"), metric_decay == 0.0);
}

#[test]
fn processor_and_device_take_over_from_each_other() {
    machines_take_over(0.0);
}

#[test]
fn processor_and_device_take_over_a_moving_average_from_each_other() {
    machines_take_over(0.7);
}
