//! Optimisers: every step against a dense solve written naively, exact resume, descent on real
//! digits, errors.

mod adaptation;
mod component;
mod exact;
mod family;
mod hessian_free;
mod lab;
mod mixed;
mod naive;
mod trial;
mod tridiagonal;

use lab::{RELU, SAMPLES, config, digits, everyone, small};
use naive::{dense_direction, dense_metric, kfac_direction, kfac_factors, naive_forward};
use relfisher::network::{Loss, Normalisation};
use relfisher::optimizer::{MomentumKind, OptimizerConfig, ScheduleConfig, State};
use relfisher_core::metric::neuron::Activation;
use relfisher_tests::compare::{assert_bits_equal, assert_close};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::tolerance::Oracle::{Dense, Identity};
use relfisher_tests::tolerance::tolerance;

fn problems() -> Vec<(Activation<f64>, Normalisation, Loss)> {
    let softmax = Loss::SoftmaxCrossEntropy;
    vec![
        (RELU, Normalisation::Plain, softmax),
        (Activation::Tanh, Normalisation::Plain, softmax),
        (Activation::Sigm, Normalisation::Plain, Loss::Mse { scale: 0.7 }),
        (Activation::Elu { alpha: 0.8 }, Normalisation::Plain, Loss::BinaryCrossEntropy),
        (RELU, Normalisation::Batch, softmax),
        (Activation::Tanh, Normalisation::Batch, Loss::Mse { scale: 0.5 }),
    ]
}

#[test]
fn relative_natural_gradient_steps_equal_a_dense_solve() {
    let block = "kind = 'rngd'\nlearning_rate = 0.05\ndamping = 0.3\nmomentum = 0.8\n\
                 weight_decay = 0.01\nrefresh = 1\nmetric_samples = 7";
    let sample = "kind = 'rngd-sample'\nlearning_rate = 0.05\ndamping = 0.3\nmomentum = 0.8\n\
                  weight_decay = 0.01";
    for (text, routine) in [(block, "rngd block step"), (sample, "rngd sample-space step")] {
        for (activation, normalisation, loss) in problems() {
            let mut lab = small(activation, normalisation, loss, &config(text));
            let label = format!("{activation:?} {normalisation:?} {loss:?}");
            let mut velocity = vec![0.0; lab.network.parameter_count()];
            for _ in 0..3 {
                lab.evaluate(&everyone()).unwrap();
                let direction = dense_direction(&lab, &lab.gradient, 0.3, 0.01);
                let mut wanted = lab.parameters.values.clone();
                for ((w, v), p) in wanted.iter_mut().zip(&mut velocity).zip(&direction) {
                    *v = 0.8 * *v + p;
                    *w -= 0.05 * *v;
                }
                lab.update().unwrap();
                assert_close(&label, &lab.parameters.values, &wanted, routine, Dense, 1);
            }
        }
    }
}

#[test]
fn the_block_metric_is_kept_between_refreshes() {
    let text = "kind = 'rngd'\nrefresh = 3\nmetric_samples = 7\nmomentum = 0.0\nweight_decay = 0.0";
    let mut lab = small(RELU, Normalisation::Plain, Loss::SoftmaxCrossEntropy, &config(text));
    let mut metrics: Vec<Matrix> = Vec::new();
    for step in 0..5 {
        lab.evaluate(&everyone()).unwrap();
        let values = lab.parameters.values.clone();
        if step % 3 == 0 {
            let traces = naive_forward(&lab.network, &values, &lab.source.features);
            metrics = (0..lab.network.blocks().len())
                .map(|b| dense_metric(&lab.network, &traces, &values, b).damped(0.1))
                .collect();
        }
        let mut wanted = values;
        for (block, metric) in lab.network.blocks().iter().zip(&metrics) {
            let direction = metric.solve_vector(&lab.gradient[block.range()]);
            for (w, p) in wanted[block.range()].iter_mut().zip(direction) {
                *w -= 0.01 * p;
            }
        }
        lab.update().unwrap();
        assert_close("kept", &lab.parameters.values, &wanted, "rngd block step", Dense, 1);
    }
}

#[test]
fn kfac_step_equals_a_dense_kronecker_solve() {
    let text = "kind = 'kfac'\nlearning_rate = 0.05\ndamping = 0.2\nmomentum = 0.7\n\
                weight_decay = 0.01\nrefresh = 1\nfactor_every = 1\ndecay = 0.6\nkl_clip = 0.001";
    for (activation, normalisation, loss) in problems() {
        let mut lab = small(activation, normalisation, loss, &config(text));
        let label = format!("kfac {activation:?} {normalisation:?} {loss:?}");
        let mut velocity = vec![0.0; lab.network.parameter_count()];
        let mut averages: Vec<Vec<Matrix>> = Vec::new();
        // A plain mean of the factors until it reaches the decay.
        for keep in [0.0, 0.5, 0.6] {
            lab.evaluate(&everyone()).unwrap();
            let values = lab.parameters.values.clone();
            let gradient: Vec<f64> =
                lab.gradient.iter().zip(&values).map(|(g, w)| g + 0.01 * w).collect();
            let mut factors = kfac_factors(&lab);
            for (new, old) in factors.iter_mut().flatten().zip(averages.iter().flatten()) {
                *new = new.scaled(1.0 - keep).plus(keep, old);
            }
            averages = factors;
            let mut direction = Vec::new();
            for (block, factors) in lab.network.blocks().iter().zip(&averages) {
                direction.extend(kfac_direction(block, factors, &gradient[block.range()]));
            }
            let product: f64 = direction.iter().zip(&gradient).map(|(p, g)| p * g).sum();
            let clip = (0.001 / (0.05 * 0.05 * product)).sqrt().min(1.0);
            let mut wanted = values;
            for ((w, v), p) in wanted.iter_mut().zip(&mut velocity).zip(&direction) {
                *v = 0.7 * *v + clip * p;
                *w -= 0.05 * *v;
            }
            lab.update().unwrap();
            assert_close(&label, &lab.parameters.values, &wanted, "kfac step", Dense, 1);
        }
    }
}

#[test]
fn first_order_steps_equal_their_definitions() {
    let (rate, mu, decay) = (0.1, 0.9, 0.01);
    for kind in [MomentumKind::HeavyBall, MomentumKind::Nesterov] {
        let name = if kind == MomentumKind::HeavyBall { "heavy-ball" } else { "nesterov" };
        let text = format!(
            "kind = 'sgd'\nlearning_rate = 0.1\nweight_decay = 0.01\nmomentum_kind = '{name}'"
        );
        let mut lab = small(RELU, Normalisation::Batch, Loss::SoftmaxCrossEntropy, &config(&text));
        let mut velocity = vec![0.0; lab.gradient.len()];
        for _ in 0..3 {
            lab.evaluate(&everyone()).unwrap();
            let mut wanted = lab.parameters.values.clone();
            for ((w, v), g) in wanted.iter_mut().zip(&mut velocity).zip(&lab.gradient) {
                let g = g + decay * *w;
                *v = mu * *v + g;
                *w -= rate * if kind == MomentumKind::HeavyBall { *v } else { g + mu * *v };
            }
            lab.update().unwrap();
            assert_close(name, &lab.parameters.values, &wanted, "first-order step", Dense, 1);
        }
    }
    let text = "kind = 'adam'\nlearning_rate = 0.1\nweight_decay = 0.01";
    let mut lab = small(RELU, Normalisation::Plain, Loss::SoftmaxCrossEntropy, &config(text));
    let (mut mean, mut square) = (vec![0.0; lab.gradient.len()], vec![0.0; lab.gradient.len()]);
    for k in 1..=4 {
        lab.evaluate(&everyone()).unwrap();
        let mut wanted = lab.parameters.values.clone();
        for (i, w) in wanted.iter_mut().enumerate() {
            let g = lab.gradient[i] + decay * *w;
            mean[i] = 0.9 * mean[i] + 0.1 * g;
            square[i] = 0.999 * square[i] + 0.001 * g * g;
            let (m, v) = (mean[i] / (1.0 - 0.9f64.powi(k)), square[i] / (1.0 - 0.999f64.powi(k)));
            *w -= rate * m / (v.sqrt() + 1e-8);
        }
        lab.update().unwrap();
        assert_close("adam", &lab.parameters.values, &wanted, "first-order step", Dense, 1);
    }
}

/// One configuration of every optimiser whose refreshes fall between the steps of a short run.
fn all_optimizers() -> Vec<OptimizerConfig> {
    [
        "kind = 'sgd'",
        "kind = 'adam'",
        "kind = 'rngd'\nrefresh = 3\nmetric_samples = 6",
        "kind = 'rngd'\nrefresh = 3\nmetric_samples = 6\nmetric_decay = 0.5",
        "kind = 'rngd-sample'",
        "kind = 'kfac'\nrefresh = 4\nfactor_every = 2",
        "kind = 'kfac'\nrefresh = 3\nlabels = 'empirical'\ndamping_kind = 'exact'",
        "kind = 'kflr'\nrefresh = 4\ndamping_kind = 'factored'\nadaptation = { kind = 'levenberg-marquardt', every = 2 }",
        "kind = 'kfra'\nrefresh = 4\nfactor_every = 3",
        "kind = 'ekfac'\nrefresh = 4\nfactor_every = 3\nlabels = 'mc'\ndraws = 2",
        "kind = 'ggn-block'\nrefresh = 4",
        "kind = 'ggn-sample'\nadaptation = { kind = 'levenberg-marquardt', every = 2 }",
        "kind = 'ggn-recycled'\nrefresh = 4\nrank = 6",
        "kind = 'hessian-free'\niterations = 12",
        "kind = 'hessian-free'\niterations = 12\npreconditioner = 'kfac'",
    ]
    .map(config)
    .to_vec()
}

#[test]
fn a_resumed_run_gives_the_same_bits() {
    let batch = |k: usize| -> Vec<usize> { (0..5).map(|i| (3 * k + i) % SAMPLES).collect() };
    for config in all_optimizers() {
        for normalisation in [Normalisation::Plain, Normalisation::Batch] {
            let lab = || small(RELU, normalisation, Loss::SoftmaxCrossEntropy, &config);
            let mut whole = lab();
            let mut saved = Vec::new();
            for k in 0..9 {
                let mut state = State::new();
                whole.optimizer.save(&mut state);
                saved.push((state, whole.parameters.clone(), whole.rng.clone()));
                whole.train(&batch(k)).unwrap();
            }
            for (k, (state, parameters, rng)) in saved.iter().enumerate() {
                let mut resumed = lab();
                resumed.optimizer.load(state).unwrap();
                resumed.parameters = parameters.clone();
                resumed.rng = rng.clone();
                // Saving right after loading loses nothing.
                let mut again = State::new();
                resumed.optimizer.save(&mut again);
                assert!(&again == state, "{} at step {k}", config.name());
                for j in k..9 {
                    resumed.train(&batch(j)).unwrap();
                }
                let label = format!("{config:?} resumed at {k}");
                assert_bits_equal(&label, &resumed.parameters.values, &whole.parameters.values);
                assert_bits_equal(&label, &resumed.parameters.buffers, &whole.parameters.buffers);
            }
        }
    }
}

#[test]
fn a_state_without_a_piece_is_refused_by_name() {
    for config in all_optimizers() {
        let mut lab = small(RELU, Normalisation::Plain, Loss::SoftmaxCrossEntropy, &config);
        lab.train(&everyone()).unwrap();
        let mut state = State::new();
        lab.optimizer.save(&mut state);
        let names: Vec<String> =
            state.tensors.keys().chain(state.counters.keys()).cloned().collect();
        for name in names {
            let mut broken = state.clone();
            let kept = broken.tensors.remove(&name);
            if kept.is_none() {
                broken.counters.remove(&name);
            }
            let error = lab.optimizer.load(&broken).unwrap_err();
            assert!(error.to_string().contains(&name), "{error}");
            assert_eq!(error.exit_code(), 2);
            if let Some(kept) = kept {
                broken.put(name.clone(), &vec![1.0; kept.len() + 1]);
                let error = lab.optimizer.load(&broken).unwrap_err();
                assert!(error.to_string().contains(&name), "{error}");
            }
        }
    }
}

#[test]
fn every_optimizer_learns_digits() {
    for mut config in all_optimizers() {
        if let OptimizerConfig::Rngd(c) = &mut config {
            (c.refresh, c.metric_samples) = (10, 200);
        }
        for normalisation in [Normalisation::Plain, Normalisation::Batch] {
            let mut lab = digits(&config, normalisation, 2);
            let all: Vec<usize> = (0..600).collect();
            let before = lab.evaluate(&all).unwrap();
            for k in 0..36 {
                let batch: Vec<usize> = (0..50).map(|i| (50 * k + i) % 600).collect();
                lab.train(&batch).unwrap();
            }
            let after = lab.evaluate(&all).unwrap();
            // The default rates of the exact methods are cautious: they must descend, no more.
            let exact = ["ggn-block", "ggn-sample", "ggn-recycled", "hessian-free"]
                .contains(&config.name());
            let share = if exact { 0.95 } else { 0.7 };
            assert!(after < share * before, "{config:?} {normalisation:?}: {before} to {after}");
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for config in all_optimizers() {
        for normalisation in [Normalisation::Plain, Normalisation::Batch] {
            let run = |threads| {
                let mut lab = digits(&config, normalisation, threads);
                for k in 0..5 {
                    lab.train(&(50 * k..50 * k + 50).collect::<Vec<_>>()).unwrap();
                }
                lab.parameters
            };
            let (one, two) = (run(1), run(2));
            assert_bits_equal(&format!("{config:?}"), &one.values, &two.values);
            assert_bits_equal(&format!("{config:?}"), &one.buffers, &two.buffers);
        }
    }
}

#[test]
fn a_singular_metric_without_damping_names_the_layer_and_the_remedy() {
    // d̃ = 10 above n = 7: the first layer's metric is singular.
    for text in ["kind = 'rngd'\ndamping = 0.0\nmetric_samples = 7", "kind = 'kfac'\ndamping = 0.0"]
    {
        let mut lab = small(RELU, Normalisation::Plain, Loss::SoftmaxCrossEntropy, &config(text));
        let name = lab.network.blocks()[0].name.clone();
        let error = lab.train(&everyone()).unwrap_err();
        let line = error.to_string();
        assert!(line.contains(&name) && line.contains("damping"), "{line}");
        assert_eq!(error.exit_code(), 2, "{line}");
    }
    let sample: OptimizerConfig = toml::from_str("kind = 'rngd-sample'\ndamping = 0.0").unwrap();
    let error = sample.validate().unwrap_err();
    assert!(error.to_string().contains("damping") && error.exit_code() == 2, "{error}");
}

#[test]
fn a_gradient_that_is_not_finite_is_a_divergence() {
    for config in all_optimizers() {
        for bad in [f64::NAN, f64::INFINITY] {
            let mut lab = small(RELU, Normalisation::Batch, Loss::SoftmaxCrossEntropy, &config);
            lab.evaluate(&everyone()).unwrap();
            let before = lab.parameters.values.clone();
            let block = &lab.network.blocks()[2];
            let (name, at) = (block.name.clone(), block.offset + 1);
            lab.gradient[at] = bad;
            let error = lab.update().unwrap_err();
            assert_eq!(error.exit_code(), 1, "{error}");
            assert!(error.to_string().contains(&name), "{error}");
            assert_eq!(lab.parameters.values, before);
        }
    }
}

#[test]
fn settings_are_checked() {
    for name in OptimizerConfig::NAMES {
        let mut config = OptimizerConfig::by_name(name).unwrap();
        assert_eq!(config.name(), name);
        config.validate().unwrap();
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<OptimizerConfig>(&text).unwrap(), config);
        let wrong = format!("misspelt = 1\n{text}");
        let error = toml::from_str::<OptimizerConfig>(&wrong).unwrap_err();
        assert!(error.to_string().contains("misspelt"), "{error}");
        config.set_learning_rate(-1.0);
        let error = config.validate().unwrap_err();
        assert!(error.to_string().contains("learning_rate"), "{error}");
    }
    assert!(OptimizerConfig::by_name("newton").unwrap_err().to_string().contains("newton"));
}

#[test]
fn schedules_scale_the_rate() {
    let at = |s: ScheduleConfig, step: u64| s.factor(step, 10, 4);
    let near = |x: f64, y: f64| (x - y).abs() <= tolerance::<f64>("schedule", Identity, 10);
    assert_eq!(at(ScheduleConfig::Constant, 17), 1.0);
    let halves = ScheduleConfig::Step { every: 2.0, factor: 0.5 };
    assert_eq!((at(halves, 19), at(halves, 20), at(halves, 39)), (1.0, 0.5, 0.5));
    let cosine = ScheduleConfig::Cosine { floor: 0.1 };
    assert_eq!(at(cosine, 0), 1.0);
    assert!(near(at(cosine, 20), 0.55) && near(at(cosine, 40), 0.1));
    assert!(near(at(ScheduleConfig::Exponential { factor: 0.5 }, 10), 0.5));
}
