//! Hessian-free steps against dense solves of the damped Gauss–Newton system.

use relfisher::Scalar;
use relfisher::network::{Loss, Mode};
use relfisher::optimizer::{HessianFree, Optimizer, OptimizerConfig, State};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, to_f64};
use relfisher_tests::oracle::curvature::gauss_newton;
use relfisher_tests::oracle::dense::dot;
use relfisher_tests::problem::{LOSSES, Problem, ZOO, network};
use relfisher_tests::tolerance::Oracle::Definition;

use crate::trial::{Trial, damped_solve};

const EXACT: &str = "kind = 'hessian-free'\ndamping = 0.2\nweight_decay = 0.1\niterations = 400\n\
                     tolerance = 0.0\nwarm_start = 0.0\nline_search = 'none'\nadaptation = { kind = 'fixed' }";

/// Iterated to the end, a step is θ ← θ − γ (C + (λ + η)I)⁻¹(g + ηθ), whatever the preconditioner.
fn converged_steps_equal_dense_solves<T: Scalar>() {
    for i in 0..ZOO.len() {
        let p = Problem::of_zoo(i, LOSSES[i % LOSSES.len()]);
        let whole = gauss_newton(&p);
        for preconditioner in ["none", "diagonal", "kfac"] {
            let mut trial = Trial::<T>::new(&p);
            let text = format!("{EXACT}\npreconditioner = '{preconditioner}'");
            let (_, mut optimizer) = trial.optimizer(&text);
            let theta = to_f64(&trial.parameters.values);
            let g = to_f64(&trial.gradient);
            let g: Vec<f64> = g.iter().zip(&theta).map(|(g, w)| g + 0.1 * w).collect();
            let step = damped_solve(&whole, 0.3, &g);
            trial.step(&mut *optimizer, 0.5).unwrap();
            let moved = trial.parameters.values.iter().zip(&theta);
            let moved: Vec<T> = moved.map(|(w, t)| *w - T::from_f64(*t)).collect();
            let want: Vec<f64> = step.iter().map(|s| -0.5 * s).collect();
            let label = format!("{} {preconditioner}", p.label);
            assert_close(&label, &moved, &want, "hessian-free step", Definition, 1);
        }
    }
}

both_dtypes!(converged_steps_equal_dense_solves);

fn problem() -> Problem {
    let net = network(&[4], "L5 tanh L3", Loss::SoftmaxCrossEntropy);
    Problem::new("hessian-free", net, 12, 3)
}

/// x of the last step, λ.
fn memory(optimizer: &dyn Optimizer<f64>) -> (Vec<f64>, f64) {
    let mut state = State::new();
    optimizer.save(&mut state);
    let solution = state.tensors["hessian-free.solution"].clone();
    (solution, state.tensors["hessian-free.damping"][0])
}

/// The next iteration starts from its share of the last solution: with one iteration only, the
/// start is seen.
#[test]
fn an_iteration_starts_from_a_share_of_the_last_solution() {
    let p = problem();
    let mut trial = Trial::<f64>::new(&p);
    let text = "kind = 'hessian-free'\ndamping = 0.5\nweight_decay = 0.0\niterations = 1\n\
                preconditioner = 'none'\nwarm_start = 0.6\nline_search = 'none'\n\
                adaptation = { kind = 'fixed' }";
    let (_, mut optimizer) = trial.optimizer(text);
    let mut x = vec![0.0; trial.gradient.len()];
    for _ in 0..3 {
        let at = Problem { parameters: trial.parameters.clone(), ..p.clone() };
        let whole = gauss_newton(&at).damped(0.5);
        trial.evaluate().unwrap();
        x.iter_mut().for_each(|x| *x *= 0.6);
        let ax = whole.apply(&x);
        let r: Vec<f64> = trial.gradient.iter().zip(&ax).map(|(g, a)| -g - a).collect();
        let alpha = dot(&r, &r) / whole.quadratic_form(&r);
        x.iter_mut().zip(&r).for_each(|(x, r)| *x += alpha * r);
        trial.step(&mut *optimizer, 0.1).unwrap();
        let (solution, _) = memory(&*optimizer);
        assert_close("warm start", &solution, &x, "cg iterate", Definition, 1);
    }
}

/// A step much too long is halved until the loss of the batch falls by a hundredth of what the slope
/// promises, and no further.
#[test]
fn a_step_that_overshoots_is_shortened() {
    const RATE: f64 = 256.0;
    let p = problem();
    let mut trial = Trial::<f64>::new(&p);
    let text = "kind = 'hessian-free'\ndamping = 0.01\nweight_decay = 0.0\niterations = 40\n\
                tolerance = 0.0\nwarm_start = 0.0\nadaptation = { kind = 'fixed' }";
    let (_, mut optimizer) = trial.optimizer(text);
    let theta = trial.parameters.values.clone();
    let gradient = trial.gradient.clone();
    trial.step(&mut *optimizer, RATE).unwrap();
    let (x, _) = memory(&*optimizer);
    let slope = dot(&gradient, &x);
    assert!(slope < 0.0);
    let at =
        |alpha: f64| -> Vec<f64> { theta.iter().zip(&x).map(|(w, x)| w + alpha * x).collect() };
    let loss = |values: &[f64]| p.naive(values, Mode::Inference);
    let falls = |alpha: f64| loss(&at(alpha)) <= loss(&theta) + 0.01 * alpha * slope;
    let halvings = (0..12).find(|k| falls(RATE / f64::from(1 << k))).expect("a step that falls");
    assert!(halvings > 0, "the whole step does not overshoot: the test shows nothing");
    let want = at(RATE / f64::from(1 << halvings));
    let got = &trial.parameters.values;
    assert_close("shortened", got, &want, "hessian-free step", Definition, 1);
}

/// The iteration ends at the first i at which its last max(10, i/10) iterations lowered the model by
/// less than that number times ε, relative to its value there.
#[test]
fn the_iteration_stops_by_the_relative_progress() {
    const LONGEST: usize = 22;
    let p = problem();
    let whole = gauss_newton(&p).damped(0.05);
    let run = |iterations: usize, tolerance: f64| {
        let mut trial = Trial::<f64>::new(&p);
        let text = format!(
            "kind = 'hessian-free'\ndamping = 0.05\nweight_decay = 0.0\niterations = {iterations}\n\
             tolerance = {tolerance:?}\nwarm_start = 0.0\nline_search = 'none'\n\
             preconditioner = 'none'\nadaptation = {{ kind = 'fixed' }}"
        );
        let OptimizerConfig::HessianFree(config) = crate::lab::config(&text) else {
            unreachable!()
        };
        let mut optimizer = HessianFree::new(&config, &trial.loaded.network);
        trial.step(&mut optimizer, 1.0).unwrap();
        (optimizer.iterations(), memory(&optimizer).0, trial)
    };
    let gradient = Trial::<f64>::new(&p).gradient;
    // Later the residual is rounding, which ends it too.
    let values: Vec<f64> = (0..LONGEST + 1)
        .map(|i| {
            if i == 0 {
                return 0.0;
            }
            let (done, x, _) = run(i, 0.0);
            assert_eq!(done, i, "no tolerance, no early end");
            0.5 * whole.quadratic_form(&x) + dot(&gradient, &x)
        })
        .collect();
    for tolerance in [5e-2, 1e-2, 1e-3] {
        let ends = (10..LONGEST + 1).find(|&i| {
            let k = (i / 10).max(10);
            values[i] < 0.0 && (values[i] - values[i - k]) / values[i] < k as f64 * tolerance
        });
        let ends = ends.expect("a rule that ends the iteration");
        assert_eq!(run(LONGEST, tolerance).0, ends, "tolerance {tolerance}");
    }
}
