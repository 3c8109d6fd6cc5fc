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
