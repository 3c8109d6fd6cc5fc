//! Gradients of every layer and loss against dual numbers, differences and the golden cases; the
//! hooks for curvature.

mod shared;

use std::path::PathBuf;

use relfisher::executor::Cpu;
use relfisher::format::{TensorFile, load_parameters, read_npy};
use relfisher::network::{
    Architecture, Block, Loss, Mode, Network, Normalisation, Parameters, Tape, Targets,
};
use relfisher::{Scalar, random};
use relfisher_core::MatRef;
use relfisher_core::metric::neuron::Activation;
use relfisher_tests::compare::{assert_bits_equal, assert_close};
use relfisher_tests::oracle::dual::{self, constants};
use relfisher_tests::oracle::finite_difference;
use relfisher_tests::oracle::network::{self as naive, Labels, Statistics};
use relfisher_tests::problem::{LOSSES, Loaded, Problem, network};
use relfisher_tests::real::nans;
use relfisher_tests::tolerance::{Oracle, tolerance};

/// What the library computed.
struct Run<T> {
    loss: f64,
    gradient: Vec<T>,
    network: Network<T>,
    tape: Tape<T>,
}

fn run<T: Scalar>(p: &Problem, mode: Mode, threads: usize) -> Run<T> {
    let loaded = p.load::<T>(threads);
    let mut tape = loaded.forward(mode);
    let Loaded { network, parameters, exec, .. } = &loaded;
    let loss = network.loss(exec, &mut tape, &loaded.targets()).expect("loss").mean;
    let mut gradient = nans::<T>(network.parameter_count());
    network.backward(exec, parameters, &mut tape, Some(&mut gradient)).expect("backward");
    Run { loss, gradient, network: loaded.network, tape }
}

const RELU: Activation<f64> = Activation::Relu { leak: 0.0 };

/// A network on vectors of `width` numbers.
fn vectors(width: usize, layers: &str, loss: Loss) -> Architecture {
    network(&[width], layers, loss)
}

/// Every activation, plain and with batch normalisation, with every loss; and odd networks.
fn problems() -> Vec<Problem> {
    let activations = [
        Activation::Linear,
        Activation::Tanh,
        Activation::Sigm,
        RELU,
        Activation::Relu { leak: 0.2 },
        Activation::Elu { alpha: 1.0 },
        Activation::Elu { alpha: 0.7 },
    ];
    let mut problems = Vec::new();
    for f in activations {
        for normalisation in [Normalisation::Plain, Normalisation::Batch] {
            for loss in LOSSES {
                let label = format!("{f:?} {normalisation:?} {loss:?}");
                let net = Architecture::mlp(&[4, 5, 3, 4], f, normalisation, loss).expect("mlp");
                let seed = problems.len() as u64;
                problems.push(Problem::new(&label, net, 6, seed));
            }
        }
    }
    for (label, samples, width, layers) in [
        ("no bias", 4, 3, "L4 tanh l3"),
        ("activation at the end", 4, 3, "L5 leaky L2 sigmoid"),
        ("norm after activation", 5, 3, "L4 tanh B L3"),
        ("norm at both ends", 5, 3, "B L4 B elu L2 B"),
        ("one sample", 1, 3, "L4 leaky L3"),
        ("one layer", 3, 3, "L2"),
        ("single numbers", 2, 1, "L1 tanh L1"),
    ] {
        for loss in LOSSES {
            let net = vectors(width, layers, loss);
            problems.push(Problem::new(&format!("{label} {loss:?}"), net, samples, 77));
        }
    }
    problems
}

#[test]
fn gradients_are_those_of_dual_numbers() {
    for p in problems() {
        for mode in [Mode::Train, Mode::Inference] {
            let run = run::<f64>(&p, mode, 1);
            let want = dual::gradient(|w| p.naive(w, mode), &p.parameters.values);
            let label = format!("{} {mode:?}", p.label);
            assert_close(&label, &run.gradient, &want, "gradient", Oracle::Dual, 6);
            let value = p.naive(&p.parameters.values, mode);
            assert_close(&label, &[run.loss], &[value], "gradient", Oracle::Dual, 6);
        }
    }
}

#[test]
fn gradients_are_those_of_differences() {
    for (seed, f) in [Activation::Tanh, Activation::Sigm].into_iter().enumerate() {
        for normalisation in [Normalisation::Plain, Normalisation::Batch] {
            for loss in LOSSES {
                let net = Architecture::mlp(&[3, 4, 3], f, normalisation, loss).expect("mlp");
                let p = Problem::new(&format!("{f:?} {loss:?}"), net, 7, 100 + seed as u64);
                let got = run::<f64>(&p, Mode::Train, 1).gradient;
                let values = &p.parameters.values;
                let want = finite_difference::gradient(|w| p.naive(w, Mode::Train), values);
                assert_close(&p.label, &got, &want, "gradient", Oracle::FiniteDifference, 4);
            }
        }
    }
}

#[test]
fn single_precision_follows_double() {
    for p in problems() {
        let (got, want) = (run::<f32>(&p, Mode::Train, 1), run::<f64>(&p, Mode::Train, 1));
        let oracle = Oracle::HigherPrecision;
        assert_close(&p.label, &got.gradient, &want.gradient, "gradient", oracle, 6);
        assert_close(&p.label, &[got.loss as f32], &[want.loss], "gradient", oracle, 6);
    }
}

#[test]
fn same_bits_with_any_number_of_threads() {
    let widths = [30, 40, 10];
    let net = Architecture::mlp(&widths, RELU, Normalisation::Batch, Loss::SoftmaxCrossEntropy);
    let p = Problem::new("threads", net.expect("mlp"), 200, 5);
    let (a, b) = (run::<f32>(&p, Mode::Train, 1), run::<f32>(&p, Mode::Train, 2));
    assert_bits_equal("gradient", &a.gradient, &b.gradient);
    assert_eq!(a.loss.to_bits(), b.loss.to_bits());
}

/// δ_s x̃_sᵀ of the hooks for every sample, one after the other.
fn per_sample(k: usize, block: &Block, tape: &Tape<f64>) -> Vec<f64> {
    let (delta, x) = (tape.delta(k), tape.layer_input(k));
    let mut all = Vec::new();
    for s in 0..tape.batch() {
        for i in 0..block.rows {
            all.extend((0..block.cols).map(|j| delta.at(s, i) * x.at(s, j)));
        }
    }
    all
}

#[test]
fn golden_gradients() {
    for case in [
        "sa_tanh_ce",
        "sb_relu_ce",
        "sc_sigmoid_mse",
        "sd_elu_ce",
        "sf_ugly_b1_dead_dup",
        "sg_ugly_halfdead_dup",
    ] {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(case);
        let architecture = Architecture::load(&folder.join("arch.json")).expect(case);
        let network = Network::<f64>::from_architecture(&architecture).expect(case);
        let parameters = load_parameters(&network, &folder.join("model.safetensors")).expect(case);
        let (inputs, samples, _) =
            read_npy(&folder.join("x.npy")).and_then(|x| x.matrix::<f64>()).expect(case);
        let targets = read_npy(&folder.join("y.npy")).expect(case);
        let labels = match architecture.loss {
            Loss::SoftmaxCrossEntropy => Labels::Classes(targets.classes().expect(case)),
            _ => Labels::Values(targets.data),
        };
        let p = Problem { label: case.into(), architecture, inputs, samples, labels, parameters };
        let run = run::<f64>(&p, Mode::Train, 1);
        let expected = TensorFile::<f64>::load(&folder.join("expected.safetensors")).expect(case);
        for (k, block) in run.network.blocks().iter().enumerate() {
            // Some tensors hold the first samples only.
            let check = |name: &str, got: &[f64]| {
                let name = format!("{name}.{}", block.name);
                let want = &expected.tensors[&name].data;
                let label = format!("{case} {name}");
                assert_close(&label, &got[..want.len()], want, "grad", Oracle::Golden, 1);
            };
            check("grad", &run.gradient[block.range()]);
            let each = per_sample(k, block, &run.tape);
            check("per_sample_grad", &each);
            let squares = each.chunks(block.len()).map(|g| g.iter().map(|x| x * x).sum());
            check("per_sample_grad_sqnorm", &squares.collect::<Vec<f64>>());
        }
    }
}

#[test]
fn hooks_hand_out_what_the_passes_used() {
    let net = vectors(3, "L4 B tanh L5 leaky l2", Loss::SoftmaxCrossEntropy);
    let p = Problem::new("hooks", net, 4, 9);
    let Run { network, tape, .. } = run::<f64>(&p, Mode::Train, 1);
    let names: Vec<&str> = network.blocks().iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["layers.0", "layers.1", "layers.3", "layers.5"]);
    for (k, columns) in [(0, 4), (1, 4), (2, 5), (3, 5)] {
        let x = tape.layer_input(k);
        assert_eq!((x.rows(), x.cols(), tape.delta(k).rows()), (4, columns, 4));
        if k % 2 == 0 {
            assert!((0..4).all(|s| x.at(s, columns - 1) == 1.0), "trailing 1 of block {k}");
        }
        assert_eq!(tape.response_input(k).cols(), network.blocks()[k].rows);
    }
    // t of the normalised block is γ x̂ + β, and it feeds the tanh whose output enters block 2.
    let (t, hat) = (tape.response_input(0), tape.normalised(1));
    let (mut got, mut want) = (Vec::new(), Vec::new());
    for s in 0..4 {
        for (c, pair) in p.parameters.values[16..24].chunks(2).enumerate() {
            let y = pair[0] * hat.at(s, c) + pair[1];
            got.extend([t.at(s, c), tape.layer_input(2).at(s, c)]);
            want.extend([y, y.tanh()]);
        }
    }
    assert_close("normalised", &got, &want, "gradient", Oracle::Dual, 4);
    assert!(tape.response_scale(1).is_none() && tape.response_scale(2).is_none());
}

#[test]
fn response_scale_is_the_derivative_with_fixed_statistics() {
    let net = vectors(3, "L4 B tanh L2", Loss::SoftmaxCrossEntropy);
    let p = Problem::new("scale", net, 4, 9);
    // The statistics of an inference pass are constants.
    let Run { tape, .. } = run::<f64>(&p, Mode::Inference, 1);
    let (scale, x) = (tape.response_scale(0).expect("a scale"), tape.layer_input(0));
    let mut first = p.architecture.clone();
    first.layers.truncate(2);
    for (s, row) in p.inputs.chunks(3).enumerate() {
        let t = |w: &[dual::First]| {
            let mut all: Vec<dual::First> = constants(&p.parameters.values);
            all[..16].copy_from_slice(w);
            let running = Statistics::Running(&p.parameters.buffers);
            naive::outputs(&first, &all, &[constants(row)], running).remove(0)
        };
        let jacobian = dual::jacobian(t, &p.parameters.values[..16]);
        for c in 0..4 {
            let got: Vec<f64> = (0..4).map(|j| scale[c] * x.at(s, j)).collect();
            let want = &jacobian[16 * c + 4 * c..][..4];
            assert_close("scale", &got, want, "gradient", Oracle::Dual, 4);
        }
    }
}

#[test]
fn labels_of_the_model_have_the_fisher_as_second_moment() {
    for loss in LOSSES {
        let p = Problem::new("sampling", vectors(3, "L4 tanh L3", loss), 1, 21);
        let Run { network, mut tape, .. } = run::<f64>(&p, Mode::Train, 1);
        let exec = Cpu::new(Some(1)).expect("executor");
        let mut rng = random::stream(3, 0, "labels");
        let draws = 40_000;
        let (mut mean, mut second) = ([0.0; 3], [0.0; 9]);
        for _ in 0..draws {
            network.sample_model_labels(&exec, &mut tape, &mut rng).expect("labels");
            let d = tape.delta(1);
            for i in 0..3 {
                mean[i] += d.at(0, i) / f64::from(draws);
                for j in 0..3 {
                    second[3 * i + j] += d.at(0, i) * d.at(0, j) / f64::from(draws);
                }
            }
        }
        let z: Vec<f64> = (0..3).map(|i| tape.logits().at(0, i)).collect();
        // The Hessian of these losses in the outputs does not depend on the label: the Fisher.
        let labels = match loss {
            Loss::SoftmaxCrossEntropy => Labels::Classes(vec![0]),
            _ => Labels::Values(vec![0.0; 3]),
        };
        let fisher = dual::hessian(|z| naive::loss(&[z.to_vec()], loss, &labels), &z);
        let bound = tolerance::<f64>("model labels", Oracle::MonteCarlo, 1);
        for (got, want) in second.iter().zip(&fisher).chain(mean.iter().zip(&[0.0; 3])) {
            assert!((got - want).abs() < bound, "{loss:?}: {second:?}, {fisher:?}, {mean:?}");
        }
    }
}

#[test]
fn running_averages_follow_the_batch() {
    let net = vectors(3, "L4 B tanh L3", Loss::SoftmaxCrossEntropy);
    let mut p = Problem::new("running", net, 11, 31);
    let Run { network, tape, .. } = run::<f64>(&p, Mode::Train, 1);
    let mut want = p.parameters.buffers.clone();
    network.update_running_averages(&tape, &mut p.parameters).expect("averages");
    for c in 0..4 {
        let w = &p.parameters.values[4 * c..4 * c + 4];
        let output = |x: &[f64]| x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>() + w[3];
        let t: Vec<f64> = p.inputs.chunks(3).map(output).collect();
        let mean = t.iter().sum::<f64>() / 11.0;
        let variance = t.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / 10.0;
        want[c] = 0.9 * want[c] + 0.1 * mean;
        want[4 + c] = 0.9 * want[4 + c] + 0.1 * variance;
    }
    assert_close("running", &p.parameters.buffers, &want, "gradient", Oracle::Dual, 11);
    let after = p.parameters.buffers.clone();
    let Run { tape, .. } = run::<f64>(&p, Mode::Inference, 1);
    network.update_running_averages(&tape, &mut p.parameters).expect("averages");
    assert_eq!(p.parameters.buffers, after);
}

#[test]
fn evaluation_does_not_depend_on_the_chunks() {
    let net = vectors(3, "L4 B tanh L3", Loss::SoftmaxCrossEntropy);
    let p = Problem::new("evaluate", net, 11, 31);
    let network = Network::<f64>::from_architecture(&p.architecture).expect("network");
    let exec = Cpu::new(Some(1)).expect("executor");
    let Labels::Classes(classes) = &p.labels else { panic!("classes") };
    let features = MatRef::new(&p.inputs, 11, 3).expect("inputs");
    let rows: Vec<Vec<f64>> = p.inputs.chunks(3).map(<[f64]>::to_vec).collect();
    let running = Statistics::Running(&p.parameters.buffers);
    let outputs = naive::outputs(&p.architecture, &p.parameters.values, &rows, running);
    let loss = naive::loss(&outputs, p.architecture.loss, &p.labels);
    let right = outputs.iter().zip(classes).filter(|(f, c)| f.iter().all(|x| *x <= f[**c]));
    let right = right.count();
    for capacity in [1, 4, 11, 50] {
        let (mut tape, targets) = (Tape::new(&network, capacity), Targets::Classes(classes));
        let report = network.evaluate(&exec, &p.parameters, &mut tape, features, &targets);
        let report = report.expect("evaluate");
        assert_close("evaluate", &[report.mean], &[loss], "gradient", Oracle::Dual, 11);
        assert_eq!(report.correct, Some(right));
    }
}

#[test]
fn extreme_outputs_have_finite_losses_and_divergence_is_reported() {
    let exec = Cpu::new(Some(1)).expect("executor");
    for loss in LOSSES {
        let network = Network::<f32>::from_architecture(&vectors(1, "L2", loss));
        let network = network.expect("network");
        let mut tape = Tape::new(&network, 1);
        let parameters = Parameters { values: vec![1.0, 0.0, -1.0, 0.0], buffers: vec![] };
        let mut run = |input: f32| {
            tape.set_batch(1).expect("batch");
            tape.input_mut().set(0, 0, input);
            network.forward(&exec, &parameters, Mode::Train, &mut tape).expect("forward");
            let targets = match loss {
                Loss::SoftmaxCrossEntropy => Targets::Classes(&[1]),
                _ => Targets::Values(MatRef::new(&[0.0, 1.0], 1, 2).expect("targets")),
            };
            network.loss(&exec, &mut tape, &targets).expect("loss").mean
        };
        assert!(run(1e4).is_finite() && run(-1e4).is_finite(), "{loss:?}");
        assert!(!run(f32::INFINITY).is_finite() && !run(f32::NAN).is_finite(), "{loss:?}");
    }
}

#[test]
fn tiny_losses_keep_their_digits() {
    // −log η_y for a logit far above the other: ln(1 + e⁻ᶻ) ≈ e⁻ᶻ, far below ε.
    let net = vectors(1, "L2", Loss::SoftmaxCrossEntropy);
    let network = Network::<f64>::from_architecture(&net).expect("network");
    let exec = Cpu::new(Some(1)).expect("executor");
    let parameters = Parameters { values: vec![1.0, 0.0, 0.0, 0.0], buffers: vec![] };
    let mut tape = Tape::new(&network, 1);
    tape.set_batch(1).expect("batch");
    tape.input_mut().set(0, 0, 50.0);
    network.forward(&exec, &parameters, Mode::Train, &mut tape).expect("forward");
    let report = network.loss(&exec, &mut tape, &Targets::Classes(&[0])).expect("loss");
    assert_close("tiny", &[report.mean], &[(-50.0_f64).exp()], "gradient", Oracle::Dual, 1);
}

#[test]
fn wrong_shapes_are_errors() {
    let p = Problem::new("shapes", vectors(3, "L4 tanh L3", Loss::SoftmaxCrossEntropy), 2, 1);
    let Run { network, mut tape, .. } = run::<f64>(&p, Mode::Train, 1);
    let other = vectors(3, "L2", Loss::Mse { scale: 0.5 });
    let other = Network::<f64>::from_architecture(&other).expect("network");
    let (exec, parameters) = (Cpu::new(Some(1)).expect("executor"), &p.parameters);
    let says = |e: Result<(), relfisher::Error>, words: &str| {
        let text = e.expect_err(words).to_string();
        assert!(text.contains(words), "{text}");
    };
    says(tape.set_batch(0), "0 samples");
    says(tape.set_batch(6), "holds 1 to 5");
    says(other.forward(&exec, parameters, Mode::Train, &mut tape), "parameters");
    let mut wrong = Tape::new(&other, 2);
    wrong.set_batch(2).expect("batch");
    says(network.forward(&exec, parameters, Mode::Train, &mut wrong), "tape");
    let mut short = [0.0; 5];
    says(network.backward(&exec, parameters, &mut tape, Some(&mut short)), "gradient");
    let mut loss = |t: &Targets<'_, f64>, words: &str| {
        says(network.loss(&exec, &mut tape, t).map(|_| ()), words);
    };
    loss(&Targets::Classes(&[0]), "1 classes for 2 samples");
    loss(&Targets::Classes(&[0, 3]), "class 3 of sample 1");
    loss(&Targets::Values(MatRef::new(&[0.0; 6], 2, 3).expect("values")), "needs classes");
    let features = MatRef::new(&p.inputs, 2, 3).expect("inputs");
    says(tape.gather(features, &[0, 2]), "sample 2 of 2");
    tape.gather(features, &[1, 0]).expect("gather");
    assert_eq!(tape.layer_input(0).row(0)[..3], p.inputs[3..6]);
}
