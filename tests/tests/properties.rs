//! What every routine of the core keeps, over shapes 0, 1, odd and non-square and over values from
//! denormal to huge: no panic, an error for every wrong shape and short workspace, finite answers
//! whatever outputs and workspaces held, the same bits again; metrics symmetric and positive
//! semi-definite, ν finite and non-negative.

use proptest::prelude::*;
use relfisher_core::metric::layer::{LayerMetric, NonlinearMetric, SoftmaxMetric};
use relfisher_core::metric::neuron::Response;
use relfisher_core::{Error, Portable, Real};
use relfisher_tests::compare::{assert_bits_equal, assert_finite, cast};
use relfisher_tests::layer::{dense, neurons, nu, pre_activations};
use relfisher_tests::random::Random;
use relfisher_tests::real::{dtype, mat, nans};
use relfisher_tests::routines::{self, NonFinite, Plan};

fn shapes() -> impl Strategy<Value = [usize; 4]> {
    let dimension = || prop::sample::select(vec![0usize, 1, 1, 2, 3, 4, 5, 7, 9, 17]);
    [dimension(), prop::sample::select(vec![0usize, 1, 2, 3, 5]), dimension(), dimension()]
}

/// Two calls with differently filled buffers: both succeed with the same finite bits. A batch or a
/// metric without samples may be refused; anything else may not.
fn ask<T: Real>(shape: [usize; 4], scale: f64, seed: u64) {
    for routine in routines::all::<T>() {
        let label = format!("{} of {shape:?} × {scale:e} ({})", routine.name, dtype::<T>());
        let mut plan = Plan::<T>::new(shape, scale, seed);
        let first = (routine.call)(&mut plan);
        let mut other = Plan { fill: T::from_f64(3.0), ..Plan::new(shape, scale, seed) };
        let second = (routine.call)(&mut other);
        match (&first, &second) {
            (Ok(a), Ok(b)) => {
                assert_finite(&label, a);
                assert_bits_equal(&label, a, b);
            }
            (Err(a), Err(b)) => {
                assert_eq!(a, b, "{label}: two answers");
                assert!(shape.contains(&0), "{label}: refused: {a}");
            }
            _ => panic!("{label}: depends on what its buffers held: {first:?}, {second:?}"),
        }
        if first.is_ok() {
            wrong_arguments(&routine, &plan, &label);
        }
    }
}

/// Every dimension one too large, every workspace one too short.
fn wrong_arguments<T: Real>(routine: &routines::Routine<T>, good: &Plan<T>, label: &str) {
    let fresh = || Plan::<T>::new(good.shape, good.scale, good.seed);
    for dimension in 0..good.dimensions {
        let answer = (routine.call)(&mut Plan { wrong: Some(dimension), ..fresh() });
        assert!(answer.is_err(), "{label}: dimension {dimension} is wrong, yet {answer:?}");
    }
    if good.workspace > 0 {
        let answer = (routine.call)(&mut Plan { short: 1, ..fresh() });
        assert!(
            matches!(answer, Err(Error::Workspace { .. })),
            "{label}: a short workspace, yet {answer:?}"
        );
    }
}

/// One NaN among the inputs: no panic anywhere, an error where one is promised.
fn poisoned<T: Real>(shape: [usize; 4], seed: u64) {
    for routine in routines::all::<T>() {
        let mut plan = Plan::<T>::new(shape, 1.0, seed);
        if (routine.call)(&mut plan).is_err() || plan.elements == 0 {
            continue;
        }
        let place = Random::new(seed).below(plan.elements);
        let answer =
            (routine.call)(&mut Plan { poison: Some(place), ..Plan::new(shape, 1.0, seed) });
        if routine.non_finite == NonFinite::Refused {
            // The strict upper triangle of a matrix given by its lower one is not an input.
            let lower_only = [
                "cholesky",
                "cholesky_batch",
                "eigh",
                "eigh_batch",
                "spd_inverse",
                "KronEigen",
                "KronCholesky",
                "KronSum",
                "kron::regression",
            ]
            .contains(&routine.name)
                || routine.name.starts_with("scaled_gram");
            assert!(
                answer.is_err() || lower_only && answer.as_ref().is_ok_and(|a| finite(a)),
                "{} of {shape:?}: NaN at {place}, yet {answer:?}",
                routine.name
            );
        }
    }
}

fn finite<T: Real>(a: &[T]) -> bool {
    a.iter().all(|x| x.is_finite())
}

/// Symmetry, definiteness, Cauchy–Schwarz, agreement of the form with the matrix.
fn semidefinite<T: Real>([n, m, d, _]: [usize; 4], scale: f64, seed: u64) {
    let (n, m, d) = (n.max(1), m.max(1), d.max(1));
    let mut random = Random::new(seed);
    let x: Vec<T> =
        cast(&random.normals::<f64>(n * d).iter().map(|v| v * scale).collect::<Vec<_>>());
    let w: Vec<T> = random.normals(m * d);
    let t = pre_activations(&x, &w, n, m, d);
    for neuron in neurons() {
        let weights = nu(neuron.response::<T>(), &t);
        let metric = NonlinearMetric::new(mat(&x, n, d), mat(&weights, n, m)).expect("metric");
        definite(neuron.name, &metric, &mut random);
    }
    let eta: Vec<T> = (0..n)
        .flat_map(|_| {
            // Some rows are certain: η = e_k.
            let certain = random.unit() < 0.3;
            let mut p: Vec<f64> = random.uniforms(m, 0.0, 1.0);
            if certain {
                p.iter_mut().for_each(|v| *v = 0.0);
                p[0] = 1.0;
            }
            let sum: f64 = p.iter().sum();
            p.into_iter().map(|v| T::from_f64(v / sum)).collect::<Vec<_>>()
        })
        .collect();
    let metric = SoftmaxMetric::new(mat(&x, n, d), mat(&eta, n, m)).expect("metric");
    definite("soft-max", &metric, &mut random);
}

fn definite<T: Real, M: LayerMetric<T>>(label: &str, metric: &M, random: &mut Random) {
    let (p, m, d) = (metric.parameters(), metric.outputs(), metric.inputs());
    let a = dense(label, metric);
    assert_finite(label, &a);
    let at = |i: usize, j: usize| a[i * p + j].to_f64();
    // Products of two numbers below the smallest normal one have no relative accuracy.
    let floor = 4.0 * T::MIN_POSITIVE.to_f64() / T::EPSILON.to_f64();
    let slack = 1.0 + 1e2 * T::EPSILON.to_f64();
    for i in 0..p {
        assert!(at(i, i) >= 0.0, "{label}: diagonal {i} is {}", at(i, i));
        for j in 0..i {
            let bound = at(i, i).sqrt() * at(j, j).sqrt() * slack + floor;
            assert!(at(i, j).abs() <= bound, "{label}: |g_ij| {} above {bound}", at(i, j));
        }
    }
    let v: Vec<T> = random.normals(p);
    let mut work = nans(metric.multiply_workspace_len());
    let q = metric.quadratic_form(&Portable, mat(&v, m, d), &mut work).expect("quadratic form");
    assert!(q.is_finite() && q >= T::ZERO, "{label}: quadratic form {q}");
}

/// ν of any finite number, denormals and the largest included; slices give the bits of scalars.
fn nu_is_finite<T: Real>(t: T) {
    for neuron in neurons() {
        let response = neuron.response::<T>();
        let v = response.nu(t);
        assert!(v.is_finite() && v >= T::ZERO, "{neuron:?}: ν({t:?}) = {v:?}");
        let (mean, slope) = (response.mean(t), response.mean_derivative(t));
        assert!(mean.is_finite(), "{neuron:?}: mean({t:?}) = {mean:?}");
        assert!(slope.is_finite(), "{neuron:?}: slope({t:?}) = {slope:?}");
        for len in [1usize, 3, 8, 17, 33] {
            let mut out = nans::<T>(len);
            response.nu_slice(&mut out, &vec![t; len]).expect("nu");
            assert_bits_equal(neuron.name, &out, &vec![v; len]);
        }
    }
}

/// Parameters outside their domains are refused.
fn bad_parameters<T: Real>() {
    let c = T::from_f64;
    let (bad, one) = ([T::NAN, T::INFINITY, c(-1.0)], T::ONE);
    let (mut out, t) = ([T::NAN; 2], [T::ZERO; 2]);
    for b in bad {
        for response in [
            Response::Relu { leak: b, smoothing: one, sigma: one },
            Response::Relu { leak: T::ZERO, smoothing: b, sigma: one },
            Response::Relu { leak: T::ZERO, smoothing: one, sigma: b },
            Response::Elu { alpha: b, sigma: one },
            Response::Elu { alpha: one, sigma: b },
            Response::Linear { sigma: b },
            Response::Linear { sigma: T::ZERO },
            Response::Linear { sigma: T::MIN_POSITIVE },
            Response::Relu { leak: one, smoothing: one, sigma: one },
        ] {
            assert!(response.check().is_err(), "{response:?}");
            assert!(response.nu_slice(&mut out, &t).is_err(), "{response:?}");
            assert!(out.iter().all(|x| !x.is_finite()), "written before the check");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn routines_in_f64(shape in shapes(), power in -30i32..=30, seed: u64) {
        ask::<f64>(shape, 10f64.powi(power), seed);
    }

    #[test]
    fn routines_in_f32(shape in shapes(), power in -8i32..=8, seed: u64) {
        ask::<f32>(shape, 10f64.powi(power), seed);
    }

    #[test]
    fn nan_is_refused(shape in shapes(), seed: u64) {
        poisoned::<f64>(shape, seed);
        poisoned::<f32>(shape, seed);
    }

    #[test]
    fn metrics_are_semidefinite(shape in shapes(), power in -38i32..=15, seed: u64) {
        semidefinite::<f64>(shape, 10f64.powi(4 * power), seed);
        semidefinite::<f32>(shape, 10f64.powi(power), seed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn nu_of_any_bits(double in any::<u64>(), single in any::<u32>()) {
        let (t, u) = (f64::from_bits(double), f32::from_bits(single));
        if t.is_finite() {
            nu_is_finite(t);
        }
        if u.is_finite() {
            nu_is_finite(u);
        }
    }
}

#[test]
fn nu_at_the_ends() {
    for t in [0.0, 5e-324, 1e-310, 1e-30, 1.0, 1e30, 1e300, f64::MAX] {
        nu_is_finite(t);
        nu_is_finite(-t);
    }
    for t in [0.0, f32::from_bits(1), 1e-40, 1e-30, 1e30, f32::MAX] {
        nu_is_finite(t);
        nu_is_finite(-t);
    }
}

#[test]
fn parameters_are_checked() {
    bad_parameters::<f32>();
    bad_parameters::<f64>();
}
