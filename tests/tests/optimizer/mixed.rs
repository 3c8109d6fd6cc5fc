//! Mixed training: bit by bit what each optimiser does to its own layers; what is refused.

use relfisher::network::{Loss, Normalisation};
use relfisher::optimizer::{OptimizerConfig, State};
use relfisher_core::metric::neuron::Activation;
use relfisher_tests::compare::assert_bits_equal;

use crate::lab::{RELU, SAMPLES, config, everyone, small};

const FIRST: [&str; 2] =
    ["kind = 'sgd'\nlearning_rate = 0.05\nmomentum = 0.8", "kind = 'adam'\nlearning_rate = 0.003"];

/// Optimisers that treat layers one by one, without the KL clip, which does not.
const SECOND: [&str; 8] = [
    "kind = 'kfac'\nkl_clip = 0.0",
    "kind = 'kflr'\nkl_clip = 0.0\npower = 0.5",
    "kind = 'kfra'\nkl_clip = 0.0",
    "kind = 'ekfac'\nkl_clip = 0.0",
    "kind = 'ggn-block'\nkl_clip = 0.0",
    "kind = 'rngd'\nmetric_samples = 7\nrefresh = 2",
    "kind = 'rngd-sample'",
    "kind = 'sgd'\nlearning_rate = 0.1\nweight_decay = 0.1",
];

/// A group as an inline table.
fn group(layers: &str, optimizer: &str) -> String {
    let inline = optimizer.replace('\n', ", ");
    format!("[[groups]]\n{layers}\noptimizer = {{ {inline} }}\n")
}

fn mixed(groups: &[String]) -> String {
    if groups.is_empty() {
        return "kind = 'mixed'\ngroups = []".to_owned();
    }
    format!("kind = 'mixed'\n{}", groups.concat())
}

#[test]
fn a_mixed_step_is_that_of_each_optimiser_on_its_own_layers() {
    let cases = [
        (RELU, Normalisation::Plain, Loss::SoftmaxCrossEntropy),
        (Activation::Tanh, Normalisation::Batch, Loss::SoftmaxCrossEntropy),
        (Activation::Sigm, Normalisation::Plain, Loss::Mse { scale: 0.7 }),
    ];
    for (activation, normalisation, loss) in cases {
        for first in FIRST {
            for second in SECOND {
                let text = mixed(&[group("layers = [0, 2]", first), group("", second)]);
                let label = format!("{first} + {second}, {normalisation:?}");
                let lab = |text: &str| small(activation, normalisation, loss, &config(text));
                let (mut both, mut a, mut b) = (lab(&text), lab(first), lab(second));
                for step in 0..6 {
                    let some: Vec<usize> = (0..SAMPLES).filter(|s| (s + step) % 3 > 0).collect();
                    a.parameters.clone_from(&both.parameters);
                    b.parameters.clone_from(&both.parameters);
                    for lab in [&mut both, &mut a, &mut b] {
                        lab.train(&some).unwrap();
                    }
                    for (i, block) in both.network.blocks().iter().enumerate() {
                        let owner = if i == 0 || i == 2 { &a } else { &b };
                        let label = format!("{label}, step {step}, {}", block.name);
                        let got = &both.parameters.values[block.range()];
                        assert_bits_equal(&label, got, &owner.parameters.values[block.range()]);
                    }
                    assert_eq!(both.parameters.buffers, a.parameters.buffers, "{label}");
                }
            }
        }
    }
}

/// One group of all layers is its optimiser, KL clip and all; two groups clip each on its own.
#[test]
fn one_group_is_its_optimiser() {
    let kfac = "kind = 'kfac'\nkl_clip = 1e-6\nlearning_rate = 0.5";
    let lab =
        |text: &str| small(RELU, Normalisation::Plain, Loss::SoftmaxCrossEntropy, &config(text));
    let mut alone = lab(kfac);
    let mut whole = lab(&mixed(&[group("", kfac)]));
    let mut parts = lab(&mixed(&[group("layers = [0]", kfac), group("", kfac)]));
    for lab in [&mut alone, &mut whole, &mut parts] {
        for _ in 0..5 {
            lab.train(&everyone()).unwrap();
        }
    }
    assert_bits_equal("one group", &whole.parameters.values, &alone.parameters.values);
    assert_ne!(parts.parameters.values, alone.parameters.values);
}

#[test]
fn a_saved_mixture_goes_on_with_the_same_bits() {
    let text = mixed(&[
        group("layers = ['layers.0']", "kind = 'adam'"),
        group("layers = [1]", "kind = 'adam'\nlearning_rate = 0.1"),
        group("", "kind = 'kfac'\npower = 0.7"),
    ]);
    let lab = || small(RELU, Normalisation::Plain, Loss::SoftmaxCrossEntropy, &config(&text));
    let (mut one, mut two) = (lab(), lab());
    let begin = one.parameters.values.clone();
    for _ in 0..3 {
        one.train(&everyone()).unwrap();
    }
    assert!(one.parameters.values.iter().zip(&begin).all(|(a, b)| a != b), "all layers move");
    let mut state = State::new();
    one.optimizer.save(&mut state);
    assert!(state.tensors.contains_key("mixed.0.adam.mean"), "{:?}", state.tensors.keys());
    two.optimizer.load(&state).unwrap();
    two.parameters.clone_from(&one.parameters);
    two.rng = one.rng.clone();
    for _ in 0..3 {
        one.train(&everyone()).unwrap();
        two.train(&everyone()).unwrap();
    }
    assert_bits_equal("after a load", &two.parameters.values, &one.parameters.values);
    state.tensors.remove("mixed.1.adam.mean");
    let error = lab().optimizer.load(&state).unwrap_err().to_string();
    assert!(error.contains("adam.mean") && error.contains("group 1"), "{error}");
}

#[test]
fn impossible_groups_are_refused() {
    let sgd = "kind = 'sgd'";
    let refused = |groups: &[String], parts: &[&str]| {
        let config: OptimizerConfig = toml::from_str(&mixed(groups)).unwrap();
        let network = small(RELU, Normalisation::Plain, Loss::SoftmaxCrossEntropy, &{
            OptimizerConfig::by_name("sgd").unwrap()
        })
        .network;
        let error = config.build(&network).map(|_| ()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let line = error.to_string();
        assert!(parts.iter().all(|part| line.contains(part)), "{parts:?}: {line}");
    };
    let rest = || group("", sgd);
    refused(&[], &["groups", "none"]);
    refused(&[rest(), rest()], &["rest"]);
    refused(&[group("layers = []", sgd), rest()], &["groups.0.layers", "empty"]);
    refused(&[group("layers = [3]", sgd), rest()], &["groups.0.layers", "3", "layers.0"]);
    refused(&[group("layers = ['fc1']", sgd), rest()], &["fc1", "layers.0"]);
    refused(&[group("layers = [0, 'layers.0']", sgd), rest()], &["layers.0", "two groups"]);
    refused(&[group("layers = [0]", sgd)], &["no group"]);
    refused(&[group("layers = [0, 1, 2]", sgd), rest()], &["groups.1", "no layers"]);
    let bad = group("layers = [0]", "kind = 'sgd'\nlearning_rate = -1.0");
    refused(&[bad, rest()], &["group 0", "learning_rate"]);
    refused(&[rest(), group("layers = [0]", "kind = 'ggn-sample'")], &["ggn-sample", "kfac"]);
    let adaptive = "kind = 'kfac'\nadaptation = { kind = 'levenberg-marquardt' }";
    refused(&[rest(), group("layers = [0]", adaptive)], &["groups.1.optimizer.adaptation"]);
    let scheduled = "kind = 'sgd'\nschedule = { kind = 'cosine' }";
    refused(&[rest(), group("layers = [0]", scheduled)], &["groups.1.optimizer.schedule"]);
}
