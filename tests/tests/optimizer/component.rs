//! Preconditioners on their own: when they measure, what they refuse, settings that contradict.

use relfisher::network::{Loss, Network};
use relfisher::optimizer::{OptimizerConfig, State};
use relfisher_tests::compare::assert_bits_equal;
use relfisher_tests::problem::{Problem, network};

use crate::lab::config;
use crate::trial::Trial;

const KINDS: [&str; 10] = [
    "kfac",
    "kflr",
    "kfra",
    "ekfac",
    "kfac-tridiagonal",
    "ggn-block",
    "ggn-sample",
    "ggn-recycled",
    "kfac' \ndamping_kind='exact",
    "kfac' \npower = 0.5 \nlabels='type2",
];

fn problem() -> Problem {
    let net = network(&[4], "L5 tanh L3", Loss::SoftmaxCrossEntropy);
    Problem::new("component", net, 6, 3)
}

#[test]
fn a_call_before_the_first_batch_is_refused() {
    let trial = Trial::<f64>::new(&problem());
    for kind in KINDS {
        let mut curvature =
            config(&format!("kind = '{kind}'")).preconditioner(&trial.loaded.network).unwrap();
        let mut step = vec![f64::NAN; trial.gradient.len()];
        let error = curvature.precondition(&trial.loaded.exec, &trial.gradient, &mut step);
        let line = error.unwrap_err().to_string();
        assert!(line.contains(curvature.name()) && line.contains("update"), "{line}");
    }
}

#[test]
fn wrong_lengths_and_numbers_are_refused() {
    let mut trial = Trial::<f64>::new(&problem());
    let count = trial.gradient.len();
    for kind in KINDS {
        let mut curvature = trial.measured(&format!("kind = '{kind}'"));
        let exec = &trial.loaded.exec;
        for (g, s) in [(count - 1, count), (count, count + 1), (0, 0)] {
            let (g, mut s) = (vec![1.0; g], vec![f64::NAN; s]);
            let line = curvature.precondition(exec, &g, &mut s).unwrap_err().to_string();
            assert!(line.contains(&count.to_string()), "{line}");
        }
        for bad in [f64::NAN, f64::INFINITY] {
            let (mut g, mut s) = (trial.gradient.clone(), vec![f64::NAN; count]);
            g[3] = bad;
            let error = curvature.precondition(exec, &g, &mut s).unwrap_err();
            assert_eq!(error.exit_code(), 1, "{kind}: {error}");
        }
    }
}

/// Averages are measured every `factor_every` batches and inverted every `refresh`: in between the
/// step stays the same to the bit, whatever the batch.
#[test]
fn measurements_are_made_when_they_are_due() {
    let p = problem();
    let parts: Vec<Problem> = (0..6).map(|s| p.sample(s)).collect();
    let gradient = Trial::<f64>::new(&p).gradient;
    for (kind, refresh, every) in [
        ("kflr", 3, 1),
        ("kfra", 3, 2),
        ("ekfac", 4, 2),
        ("kfac-tridiagonal", 3, 2),
        ("ggn-block", 3, 1),
        ("kfac", 2, 4),
    ] {
        let factor_every = match kind {
            "ggn-block" => String::new(),
            _ => format!("factor_every = {every}"),
        };
        let text = format!("kind = '{kind}'\nrefresh = {refresh}\n{factor_every}");
        let mut curvature = Trial::<f64>::new(&p).measured(&text);
        let mut last = Vec::new();
        for k in 0..13 {
            let mut trial = Trial::<f64>::new(&parts[k % parts.len()]);
            if k > 0 {
                curvature.update(trial.batch()).unwrap();
            }
            trial.gradient.clone_from(&gradient);
            let step = trial.apply(&mut *curvature);
            // EKFAC's scale moves with every measurement too. A refresh without a new measurement
            // since the last one changes nothing but EKFAC's restarted scale.
            let measured = k % every == 0;
            let due = if kind == "ekfac" { k % refresh == 0 || measured } else { k % refresh == 0 };
            let news = (k / refresh * refresh) / every
                != (k.saturating_sub(1) / refresh * refresh) / every;
            let changed = if kind == "ekfac" { due } else { due && news };
            if k > 0 {
                assert_eq!(step != last, changed, "{kind} step {k}");
            }
            last = step;
        }
    }
}

/// What is saved is all that the next calls depend on.
#[test]
fn a_restored_preconditioner_goes_on_with_the_same_bits() {
    let p = problem();
    let parts: Vec<Problem> = (0..6).map(|s| p.sample(s)).collect();
    for kind in KINDS {
        let text = format!("kind = '{kind}'");
        let mut whole = Trial::<f64>::new(&p).measured(&text);
        for part in parts.iter().take(4) {
            let mut state = State::new();
            whole.save(&mut state);
            let network = Network::<f64>::from_architecture(&p.architecture).unwrap();
            let mut other = config(&text).preconditioner(&network).unwrap();
            other.load(&state).unwrap();
            let [one, two] = [&mut whole, &mut other].map(|curvature| {
                let mut trial = Trial::<f64>::new(part);
                curvature.update(trial.batch()).unwrap();
                trial.apply(&mut **curvature)
            });
            assert_bits_equal(kind, &one, &two);
        }
    }
}

#[test]
fn optimisers_without_a_preconditioner_say_so() {
    let network = Network::<f64>::from_architecture(&problem().architecture).unwrap();
    for kind in ["sgd", "adam", "rngd", "rngd-sample", "hessian-free"] {
        let config = OptimizerConfig::by_name(kind).unwrap();
        let line = config.preconditioner(&network).map(|_| ()).unwrap_err().to_string();
        assert!(line.contains(kind) && line.contains("kfac"), "{line}");
    }
}

/// The choices that a name fixes cannot be set otherwise; set to what they are, they may be.
#[test]
fn settings_that_contradict_are_refused() {
    let refused = [
        ("kflr", "labels = 'mc'", "labels"),
        ("kflr", "labels = 'empirical'", "labels"),
        ("kfra", "labels = 'mc'", "labels"),
        ("kfra", "sharing = 'reduce'", "sharing"),
        ("ekfac", "damping_kind = 'pi'", "damping_kind"),
        ("ekfac", "damping_kind = 'factored'", "damping_kind"),
        ("kfac-tridiagonal", "damping_kind = 'exact'", "damping_kind"),
        ("kfac", "labels = 'type2'\ndraws = 2", "draws"),
        ("kfac", "labels = 'empirical'\ndraws = 2", "draws"),
        ("kflr", "draws = 3", "draws"),
    ];
    let network = Network::<f64>::from_architecture(&problem().architecture).unwrap();
    for (kind, setting, key) in refused {
        let text = format!("kind = '{kind}'\n{setting}");
        let config: OptimizerConfig = toml::from_str(&text).unwrap();
        for error in [config.validate(), config.preconditioner(&network).map(|_| ())] {
            let error = error.unwrap_err();
            let line = error.to_string();
            assert!(line.contains(kind) && line.contains(key), "{text}: {line}");
            assert_eq!(error.exit_code(), 2, "{text}");
        }
    }
    for (kind, setting) in [
        ("kflr", "labels = 'type2'"),
        ("kfra", "sharing = 'expand'"),
        ("ekfac", "damping_kind = 'exact'\ndraws = 2"),
        ("ekfac", "sharing = 'reduce'"),
        ("kfac-tridiagonal", "damping_kind = 'factored'\ndraws = 2"),
        ("kfac", "labels = 'mc'\ndraws = 2"),
    ] {
        config(&format!("kind = '{kind}'\n{setting}"));
    }
}
