//! The restricted Boltzmann machine of the example `rbm_gradients` against all states of tiny ones.

#[path = "../../host/examples/uses/rbm.rs"]
mod rbm;

use rbm::{Rbm, Rule};
use relfisher::Scalar;
use relfisher::embedding::SparseRows;
use relfisher::executor::Cpu;
use relfisher::random;
use relfisher_core::MatRef;
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, cast, to_f64};
use relfisher_tests::oracle::dual::{Number, gradient};
use relfisher_tests::random::Random;
use relfisher_tests::tolerance::Oracle::{Definition, Dual};

/// Visible and hidden units.
const D: usize = 5;
const M: usize = 3;

/// All vectors of `n` zeros and ones.
fn states(n: usize) -> impl Iterator<Item = Vec<f64>> {
    (0..1_usize << n).map(move |bits| (0..n).map(|i| f64::from(bits >> i & 1 == 1)).collect())
}

/// ln Σ_h exp(−E(v, h)), every hidden state written out.
fn log_weight<N: Number>(parameters: &[N], v: &[f64]) -> N {
    let each: Vec<N> = states(M)
        .map(|h| {
            let w = (0..M * D).map(|k| parameters[k].scale(h[k / D] * v[k % D]));
            let c = (0..M).map(|j| parameters[M * D + j].scale(h[j]));
            let b = (0..D).map(|i| parameters[M * D + M + i].scale(v[i]));
            N::sum(&w.chain(c).chain(b).collect::<Vec<N>>())
        })
        .collect();
    N::log_sum_exp(&each)
}

/// ln p(v) by the sum over all states.
fn log_likelihood<N: Number>(parameters: &[N], v: &[f64]) -> N {
    let all: Vec<N> = states(D).map(|v| log_weight(parameters, &v)).collect();
    log_weight(parameters, v) - N::log_sum_exp(&all)
}

fn machine<T: Scalar>(seed: u64) -> Rbm<T> {
    let mut parameters: Vec<T> = Random::new(seed).normals(M * D + M + D);
    parameters.iter_mut().for_each(|x| *x *= T::from_f64(0.8));
    Rbm { parameters, hidden: M, visible: D }
}

/// s(v) of every row of `v`, dense.
fn statistics<T: Scalar>(rbm: &Rbm<T>, v: &[T]) -> Vec<Vec<f64>> {
    let n = v.len() / D;
    let exec = Cpu::new(Some(1)).unwrap();
    let p = rbm.hidden(&exec, MatRef::new(v, n, D).unwrap()).unwrap();
    let mut rows = SparseRows { starts: vec![0], ..SparseRows::default() };
    for (v, p) in v.chunks(D).zip(p.chunks(M)) {
        rbm.append_statistics(&mut rows, v, p);
    }
    let dense = |s| {
        let (indices, values) = rows.row(s);
        let mut row = vec![0.0; rbm.parameters.len()];
        indices.iter().zip(values).for_each(|(i, x)| row[*i as usize] = x.to_f64());
        row
    };
    (0..n).map(dense).collect()
}

/// ∂ ln p(v)/∂θ = s(v) − Σ p(v) s(v), for every v.
fn statistics_less_their_mean_are_the_gradient<T: Scalar>() {
    let rbm = machine::<T>(7);
    let parameters = to_f64(&rbm.parameters);
    let all: Vec<Vec<f64>> = states(D).collect();
    let s = statistics(&rbm, &cast::<T>(&all.concat()));
    let mut mean = vec![0.0; parameters.len()];
    let mut total = 0.0;
    for (v, s) in all.iter().zip(&s) {
        let p = Number::value(log_likelihood(&parameters, v)).exp();
        mean.iter_mut().zip(s).for_each(|(m, s)| *m += p * s);
        total += p;
    }
    assert_close("probabilities", &[total], &[1.0], "Boltzmann gradient", Definition, 1);
    for (v, s) in all.iter().zip(&s) {
        let want = gradient(|x| log_likelihood(x, v), &parameters);
        let got: Vec<T> = s.iter().zip(&mean).map(|(s, m)| T::from_f64(s - m)).collect();
        assert_close(&format!("{v:?}"), &got, &want, "Boltzmann gradient", Dual, 1);
    }
}

/// P(v_i = 1 | h) from the definition.
fn visible_units_follow_the_definition<T: Scalar>() {
    let rbm = machine::<T>(8);
    let parameters = to_f64(&rbm.parameters);
    for h in states(M) {
        let energy = |v: &[f64]| {
            let w = (0..M * D).map(|k| parameters[k] * h[k / D] * v[k % D]).sum::<f64>();
            w + (0..D).map(|i| parameters[M * D + M + i] * v[i]).sum::<f64>()
        };
        let (mut on, mut total) = (vec![0.0; D], 0.0);
        for v in states(D) {
            let p = energy(&v).exp();
            on.iter_mut().zip(&v).for_each(|(on, v)| *on += p * v);
            total += p;
        }
        let want: Vec<f64> = on.iter().map(|on| on / total).collect();
        let h: Vec<T> = cast(&h);
        let exec = Cpu::new(Some(1)).unwrap();
        let got = rbm.visible(&exec, MatRef::new(&h, 1, M).unwrap()).unwrap();
        assert_close("visible", &got, &want, "Boltzmann gradient", Definition, 1);
    }
}

/// One step where nothing is left to chance: hidden units whose biases say which of them are on.
fn a_step_is_its_definition<T: Scalar>() {
    let mut random = Random::new(9);
    let mut rbm = machine::<T>(10);
    let on = [1.0, 0.0, 1.0];
    for (c, on) in rbm.parameters[M * D..][..M].iter_mut().zip(on) {
        *c = T::from_f64(if on > 0.0 { 60.0 } else { -60.0 });
    }
    let (n, rule) = (4, Rule { rate: 0.25, momentum: 0.75, decay: 0.125 });
    let (v, mut velocity): (Vec<T>, Vec<T>) =
        (random.uniforms(n * D, 0.0, 1.0), random.normals(rbm.parameters.len()));
    let (before, data, mut want) = (to_f64(&rbm.parameters), to_f64(&v), to_f64(&velocity));
    let dream: Vec<f64> = (0..D)
        .map(|i| Number::sigm(before[M * D + M + i] + before[i] + before[2 * D + i]))
        .collect();
    for (k, x) in want.iter_mut().enumerate() {
        let change = |v: &[f64]| match k {
            k if k < M * D => on[k / D] * (v[k % D] - dream[k % D]),
            k if k < M * D + M => 0.0,
            k => v[k - M * D - M] - dream[k - M * D - M],
        };
        let mean = data.chunks(D).map(change).sum::<f64>() / n as f64;
        let shrink = if k < M * D { rule.decay * before[k] } else { 0.0 };
        *x = rule.momentum * *x + rule.rate * (mean - shrink);
    }
    let exec = Cpu::new(Some(1)).unwrap();
    let mut rng = random::stream(1, 0, "hidden");
    let view = MatRef::new(&v, n, D).unwrap();
    rbm.learn(&exec, view, &rule, &mut velocity, &mut rng).unwrap();
    assert_close("velocity", &velocity, &want, "Boltzmann gradient", Definition, 1);
    let moved: Vec<f64> = before.iter().zip(&want).map(|(x, v)| x + v).collect();
    assert_close("parameters", &rbm.parameters, &moved, "Boltzmann gradient", Definition, 1);
}

/// Contrastive divergence raises the likelihood of two patterns far above what independent units reach.
/// (Not to its maximum, and not for ever: it sees the machine's states near the data only.)
fn contrastive_divergence_learns<T: Scalar>() {
    let patterns = [[1.0, 1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0, 0.0]];
    let data: Vec<T> = cast(&patterns.concat().repeat(5));
    let v = MatRef::new(&data, 10, D).unwrap();
    let exec = Cpu::new(Some(1)).unwrap();
    let mut rng = random::stream(1, 0, "init");
    let mut rbm = Rbm::new(&[T::HALF; D], M, &mut rng);
    let likelihood = |rbm: &Rbm<T>| {
        let parameters = to_f64(&rbm.parameters);
        patterns.iter().map(|v| log_likelihood(&parameters, v)).sum::<f64>() / 2.0
    };
    let independent = 0.5_f64.ln() * D as f64;
    let first = likelihood(&rbm);
    assert!((first - independent).abs() < 0.1, "{first}");
    let rule = Rule { rate: 0.1, momentum: 0.5, decay: 0.0 };
    let mut velocity = vec![T::ZERO; rbm.parameters.len()];
    for _ in 0..500 {
        rbm.learn(&exec, v, &rule, &mut velocity, &mut rng).unwrap();
    }
    let last = likelihood(&rbm);
    assert!(last > independent + 1.0, "{first} to {last}");
}

both_dtypes!(
    statistics_less_their_mean_are_the_gradient,
    visible_units_follow_the_definition,
    a_step_is_its_definition,
    contrastive_divergence_learns
);
