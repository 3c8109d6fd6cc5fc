//! Levenberg–Marquardt adaptation against the reduction ratio of the definition.

use relfisher::network::{Loss, Mode};
use relfisher::optimizer::{AdaptationConfig, Descent, Preconditioned, StepLength};
use relfisher_tests::compare::assert_close;
use relfisher_tests::oracle::curvature::gauss_newton;
use relfisher_tests::oracle::dense::dot;
use relfisher_tests::problem::{LOSSES, Problem, ZOO, network};
use relfisher_tests::tolerance::Oracle::Definition;

use crate::lab::config;
use crate::trial::Trial;

const DECAY: f64 = 0.5;

/// (L(θ + δ) − L(θ))/(gᵀδ + ½ δᵀ(C + ηI)δ) of the regularised loss, from the naive network.
fn ratio(p: &Problem, decay: f64, before: &[f64], after: &[f64]) -> f64 {
    let regularised = |w: &[f64]| p.naive(w, Mode::Inference) + 0.5 * decay * dot(w, w);
    let step: Vec<f64> = after.iter().zip(before).map(|(a, b)| a - b).collect();
    let trial = Trial::<f64>::new(p);
    let g: Vec<f64> = trial.gradient.iter().zip(before).map(|(g, w)| g + decay * w).collect();
    let curved = gauss_newton(p).quadratic_form(&step) + decay * dot(&step, &step);
    (regularised(after) - regularised(before)) / (dot(&g, &step) + 0.5 * curved)
}

/// Every second step λ shrinks, stays or grows by the ratio of that step, momentum and learning rate
/// included.
#[test]
fn the_damping_follows_the_reduction_ratio() {
    let mut seen = [0; 3];
    for (i, kind) in ["kflr", "ekfac", "kfra", "ggn-block", "ggn-sample"].into_iter().enumerate() {
        for rate in [0.05, 0.5, 1.5, 4.0, 12.0] {
            let words = ["L5 tanh L3", "L4 elu L3", "L4 B tanh L3"][i % 3];
            let net = network(&[4], words, LOSSES[i % LOSSES.len()]);
            let mut p = Problem::new(words, net, 9, 3 + i as u64);
            let mut trial = Trial::<f64>::new(&p);
            let text = format!("kind = '{kind}'\ndamping = 0.05");
            let network = &trial.loaded.network;
            let adaptation = AdaptationConfig::LevenbergMarquardt { every: 2, decay: DECAY };
            let descent = Descent {
                momentum: 0.4,
                weight_decay: 0.02,
                kl_clip: 0.0,
                step_length: StepLength::Rate,
                adaptation,
            };
            let curvature = config(&text).preconditioner(network).unwrap();
            let mut optimizer = Preconditioned::new(curvature, descent, network);
            let mut damping = 0.05;
            for k in 0..4 {
                let before = trial.parameters.values.clone();
                p.parameters.values.clone_from(&before);
                trial.step(&mut optimizer, rate).unwrap();
                if k % 2 == 1 {
                    let ratio = ratio(&p, 0.02, &before, &trial.parameters.values);
                    // A ratio near a threshold could fall to either side by rounding.
                    assert!((ratio - 0.25).abs() > 1e-6 && (ratio - 0.75).abs() > 1e-6);
                    let (case, factor) = match ratio {
                        r if r > 0.75 => (0, DECAY * DECAY),
                        r if r >= 0.25 => (1, 1.0),
                        _ => (2, 1.0 / (DECAY * DECAY)),
                    };
                    damping *= factor;
                    seen[case] += 1;
                }
                let found = optimizer.preconditioner().damping();
                assert!((found - damping).abs() < 1e-12 * damping, "{kind} {rate} step {k}");
                if !trial.parameters.values.iter().all(|w| w.abs() < 1e3) {
                    break;
                }
            }
        }
    }
    assert!(seen.iter().all(|n| *n > 2), "{seen:?}");
}

/// An adapted λ enters exact damping at once, and factored damping at the next refresh.
#[test]
fn a_new_damping_enters_when_it_is_documented_to() {
    let p = Problem::of_zoo(0, Loss::SoftmaxCrossEntropy);
    for (kind, immediate) in [("pi", false), ("factored", false), ("exact", true)] {
        let text = |lambda: f64| {
            format!("kind = 'kflr'\nrefresh = 2\ndamping = {lambda}\ndamping_kind = '{kind}'")
        };
        let mut trial = Trial::<f64>::new(&p);
        let [old, new] = [0.1, 0.4].map(|lambda| trial.preconditioned(&text(lambda)));
        let mut curvature = trial.measured(&text(0.1));
        curvature.set_damping(0.4);
        assert_eq!(trial.apply(&mut *curvature), if immediate { new.clone() } else { old.clone() });
        curvature.update(trial.batch()).unwrap();
        assert_eq!(trial.apply(&mut *curvature), if immediate { new.clone() } else { old });
        curvature.update(trial.batch()).unwrap();
        // The factors are means of one batch seen twice: the same but for rounding.
        let refreshed = trial.apply(&mut *curvature);
        let distance = refreshed.iter().zip(&new).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(distance < 1e-12 * new.iter().fold(0.0, |m: f64, x| m.max(x.abs())), "{kind}");
    }
    assert!(ZOO.len() > 1);
}

/// α = ⟨d, g⟩/dᵀ(C + (λ + η)I)d with C written out, times the learning rate.
#[test]
fn the_length_is_that_of_the_quadratic_model() {
    let kinds = ["kfac", "ekfac", "kfra", "ggn-block", "ggn-sample", "kflr"];
    for (i, kind) in kinds.into_iter().enumerate() {
        let words = ["L5 tanh L3", "L4 elu L3", "L4 B tanh L3"][i % 3];
        let net = network(&[4], words, LOSSES[i % LOSSES.len()]);
        let p = Problem::new(words, net, 9, 30 + i as u64);
        for (rate, decay) in [(1.0, 0.0), (0.3, 0.05)] {
            let mut trial = Trial::<f64>::new(&p);
            let before = trial.parameters.values.clone();
            let gradient = trial.gradient.clone();
            let g: Vec<f64> = gradient.iter().zip(&before).map(|(g, w)| g + decay * w).collect();
            let text = format!("kind = '{kind}'\ndamping = 0.2\nweight_decay = {decay}");
            trial.gradient.clone_from(&g);
            let seed = trial.rng.clone();
            let d = trial.preconditioned(&text);
            trial.rng = seed;
            let curved = gauss_newton(&p).quadratic_form(&d) + (0.2 + decay) * dot(&d, &d);
            let alpha = dot(&d, &g) / curved;
            let text = format!("{text}\nmomentum = 0.0\nstep_length = 'quadratic'");
            let (_, mut optimizer) = trial.optimizer(&text);
            trial.step(&mut *optimizer, rate).unwrap();
            let want: Vec<f64> = before.iter().zip(&d).map(|(w, d)| w - rate * alpha * d).collect();
            let label = format!("{kind} {words} {rate}");
            assert_close(&label, &trial.parameters.values, &want, "family step", Definition, 1);
        }
    }
}
