//! Hessian-free steps against dense solves of the damped Gauss–Newton system.

use relfisher::Scalar;
use relfisher::network::Loss;
use relfisher::optimizer::State;
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
fn memory(optimizer: &dyn relfisher::optimizer::Optimizer<f64>) -> (Vec<f64>, f64) {
    let mut state = State::new();
    optimizer.save(&mut state);
    let solution = state.tensors["hessian-free.solution"].clone();
    (solution, state.tensors["hessian-free.damping"][0])
}

/// Martens' rule on a naive iteration gives the same number of iterations, and the same iterate.
#[test]
fn the_iteration_stops_by_the_relative_progress() {
    let p = problem();
    let whole = gauss_newton(&p).damped(1e-3);
    let mut counts = Vec::new();
    for tolerance in [1e-1, 1e-2, 1e-3, 5e-4, 1e-5] {
        let mut trial = Trial::<f64>::new(&p);
        let text = format!(
            "kind = 'hessian-free'\ndamping = 1e-3\nweight_decay = 0.0\niterations = 300\n\
             tolerance = {tolerance}\npreconditioner = 'none'\nline_search = 'none'"
        );
        let (_, mut optimizer) = trial.optimizer(&text);
        let b: Vec<f64> = trial.gradient.iter().map(|g| -g).collect();
        trial.step(&mut *optimizer, 1.0).unwrap();
        let (x, mut r, mut d) = (vec![0.0; b.len()], b.clone(), b.clone());
        let (mut x, mut values) = (x, vec![0.0]);
        for i in 1..=300 {
            let ad = whole.apply(&d);
            let alpha = dot(&r, &r) / dot(&d, &ad);
            let before = dot(&r, &r);
            for k in 0..x.len() {
                x[k] += alpha * d[k];
                r[k] -= alpha * ad[k];
            }
            values.push(0.5 * whole.quadratic_form(&x) - dot(&b, &x));
            let k = (i / 10).max(10);
            if i > k - 1 && i >= k && values[i] < 0.0 {
                let progress = (values[i] - values[i - k]) / values[i];
                if progress < k as f64 * tolerance {
                    counts.push(i);
                    break;
                }
            }
            let beta = dot(&r, &r) / before;
            d = r.iter().zip(&d).map(|(r, d)| r + beta * d).collect();
        }
        let (solution, _) = memory(&*optimizer);
        assert_close(&format!("ε = {tolerance}"), &solution, &x, "cg iterate", Definition, 1);
    }
    assert!(counts.windows(2).all(|w| w[0] <= w[1]) && counts[0] < counts[4], "{counts:?}");
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

/// A step that would raise the loss is shortened, or not taken; λ follows the whole step.
#[test]
fn a_step_that_overshoots_is_shortened() {
    let p = problem();
    let text = "kind = 'hessian-free'\ndamping = 0.01\nweight_decay = 0.0\niterations = 50";
    for rate in [1.0, 30.0, 1e6] {
        let mut trial = Trial::<f64>::new(&p);
        let (_, mut optimizer) = trial.optimizer(text);
        let start = trial.parameters.values.clone();
        trial.step(&mut *optimizer, rate).unwrap();
        let (before, gradient) = (trial.loss, trial.gradient.clone());
        let (solution, damping) = memory(&*optimizer);
        let moved: Vec<f64> =
            trial.parameters.values.iter().zip(&start).map(|(a, b)| a - b).collect();
        let loss = |step: f64| {
            let values: Vec<f64> = start.iter().zip(&solution).map(|(w, x)| w + step * x).collect();
            p.naive(&values, relfisher::network::Mode::Inference)
        };
        let slope = dot(&gradient, &solution);
        let enough = |step: f64| loss(step) <= before + 1e-2 * step * slope;
        let whole = loss(rate);
        let quadratic = gauss_newton(&p).quadratic_form(&solution);
        let ratio = (whole - before) / (rate * slope + 0.5 * rate * rate * quadratic);
        if solution.iter().all(|x| *x == 0.0) {
            // Nothing helped, even 2⁻¹² of it: the parameters stay, and λ grows.
            assert_eq!(trial.parameters.values, start);
            assert!(rate == 1e6 && damping > 0.01, "{rate}");
            continue;
        }
        let halvings = (0..=12).find(|k| enough(rate * 0.5f64.powi(*k))).unwrap();
        let step = rate * 0.5f64.powi(halvings);
        let want: Vec<f64> = solution.iter().map(|x| step * x).collect();
        assert_close(&format!("rate {rate}"), &moved, &want, "cg iterate", Definition, 1);
        let factor = if ratio > 0.75 {
            2.0 / 3.0
        } else if ratio < 0.25 {
            1.5
        } else {
            1.0
        };
        assert_close("λ", &[damping], &[0.01 * factor], "cg iterate", Definition, 1);
        assert!((rate == 1.0) == (halvings == 0), "{rate}: {halvings} halvings");
    }
}
