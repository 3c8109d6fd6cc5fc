//! Step rules against the textbook recursion in f64, one element at a time.

use relfisher_core::optim::{
    Adam, Decay, LevenbergMarquardt, Momentum, Schedule, Sgd, WeightDecay, add_weight_decay,
    descend, ema_keep, ema_update, inner_product, kl_clip, norm_clip, quadratic_length,
    reduction_ratio,
};
use relfisher_core::{Error, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_bits_equal, assert_close, to_f64};
use relfisher_tests::random::Random;
use relfisher_tests::tolerance::Oracle;

const LEN: usize = 53;
const STEPS: u64 = 20;

fn near<T: Real>(label: &str, got: &[T], want: &[f64]) {
    assert_close(label, got, want, "step rule", Oracle::HigherPrecision, STEPS as usize);
}

/// The numbers of dtype T in f64: both sides start from the same values.
fn rounded<T: Real>(x: f64) -> f64 {
    T::from_f64(x).to_f64()
}

fn sgd<T: Real>() {
    for form in [Momentum::HeavyBall, Momentum::Nesterov] {
        for (momentum, weight_decay) in [(0.0, 0.0), (0.9, 0.0), (0.9, 0.01)] {
            let mut random = Random::new(5);
            let mut theta: Vec<T> = random.normals(LEN);
            let mut velocity = vec![T::ZERO; LEN];
            let (mut x, mut v) = (to_f64(&theta), vec![0.0; LEN]);
            let [gamma, mu, decay] = [0.05, momentum, weight_decay].map(rounded::<T>);
            let rule = Sgd {
                learning_rate: T::from_f64(gamma),
                momentum: T::from_f64(mu),
                form,
                weight_decay: T::from_f64(decay),
            };
            for _ in 0..STEPS {
                let g: Vec<T> = random.normals(LEN);
                rule.step(&mut theta, &mut velocity, &g).unwrap();
                for k in 0..LEN {
                    let d = g[k].to_f64() + decay * x[k];
                    v[k] = mu * v[k] + d;
                    x[k] -= gamma * if form == Momentum::Nesterov { d + mu * v[k] } else { v[k] };
                }
            }
            near("theta", &theta, &x);
            near("velocity", &velocity, &v);
        }
    }
}

fn adam<T: Real>() {
    let decays = |d: f64| [WeightDecay::L2(T::from_f64(d)), WeightDecay::Decoupled(T::from_f64(d))];
    for weight_decay in decays(0.01) {
        let mut random = Random::new(6);
        let mut theta: Vec<T> = random.normals(LEN);
        let (mut first, mut second) = (vec![T::ZERO; LEN], vec![T::ZERO; LEN]);
        let (mut x, mut m, mut v) = (to_f64(&theta), vec![0.0; LEN], vec![0.0; LEN]);
        let [gamma, b1, b2, epsilon, decay] = [0.01, 0.9, 0.999, 1e-8, 0.01].map(rounded::<T>);
        let rule = Adam { weight_decay, ..Adam::default() };
        for t in 0..STEPS {
            let g: Vec<T> = random.normals(LEN);
            let step = rule.at(T::from_f64(gamma), t);
            step.step(&mut theta, &mut first, &mut second, &g).unwrap();
            for k in 0..LEN {
                let mut d = g[k].to_f64();
                match weight_decay {
                    WeightDecay::L2(_) => d += decay * x[k],
                    WeightDecay::Decoupled(_) => x[k] -= gamma * decay * x[k],
                }
                m[k] = b1 * m[k] + (1.0 - b1) * d;
                v[k] = b2 * v[k] + (1.0 - b2) * d * d;
                let mean = m[k] / (1.0 - b1.powi(t as i32 + 1));
                let square = v[k] / (1.0 - b2.powi(t as i32 + 1));
                x[k] -= gamma * mean / (square.sqrt() + epsilon);
            }
        }
        near("first", &first, &m);
        near("second", &second, &v);
        // 1 − β₂ᵗ cancels: 1/(1 − β₂) = 10³ units of rounding enter the rate in the first steps.
        assert_close("theta", &theta, &x, "adam", Oracle::HigherPrecision, STEPS as usize);
    }
}

/// A vector cut anywhere gives the bits of the whole.
fn chunks<T: Real>() {
    let mut random = Random::new(7);
    let start: Vec<T> = random.normals(LEN);
    let g: Vec<T> = random.normals(LEN);
    let sgd = Sgd {
        learning_rate: T::from_f64(0.1),
        momentum: T::HALF,
        form: Momentum::Nesterov,
        weight_decay: T::from_f64(0.01),
    };
    let adam = Adam::default().at(T::from_f64(0.1), 3);
    let run = |cut: usize| {
        let (mut a, mut v) = (start.clone(), start.clone());
        let (mut b, mut m) = (start.clone(), start.clone());
        let mut s: Vec<T> = g.iter().map(|g| *g * *g).collect();
        for range in [0..cut, cut..LEN] {
            let r = range;
            sgd.step(&mut a[r.clone()], &mut v[r.clone()], &g[r.clone()]).unwrap();
            adam.step(&mut b[r.clone()], &mut m[r.clone()], &mut s[r.clone()], &g[r]).unwrap();
        }
        [a, v, b, m, s].concat()
    };
    let whole = run(LEN);
    for cut in [0, 1, 7, 16, 33] {
        assert_bits_equal("cut", &run(cut), &whole);
    }
}

fn averages_and_products<T: Real>() {
    let mut average = vec![T::NAN; LEN];
    let mut mean = vec![0.0; LEN];
    let mut random = Random::new(8);
    let mut samples: Vec<Vec<f64>> = Vec::new();
    for k in 0..10 {
        let x: Vec<T> = random.normals(LEN);
        ema_update(&mut average, &x, ema_keep(T::from_f64(0.95), k)).unwrap();
        samples.push(to_f64(&x));
    }
    for (j, m) in mean.iter_mut().enumerate() {
        *m = samples.iter().map(|s| s[j]).sum::<f64>() / 10.0;
    }
    near("plain mean at first", &average, &mean);
    assert!(ema_keep(T::from_f64(0.95), 10_000) == T::from_f64(0.95));

    let (a, b): (Vec<T>, Vec<T>) = (random.uniforms(LEN, 0.5, 1.0), random.uniforms(LEN, 0.5, 1.0));
    let want: f64 = to_f64(&a).iter().zip(to_f64(&b)).map(|(a, b)| a * b).sum();
    near("inner product", &[inner_product(&a, &b).unwrap()], &[want]);
    let (mut x, mut d) = (a.clone(), b.clone());
    add_weight_decay(&mut d, &a, T::HALF).unwrap();
    descend(&mut x, &d, T::TWO).unwrap();
    let want: Vec<f64> =
        to_f64(&a).iter().zip(to_f64(&b)).map(|(a, b)| a - 2.0 * (b + 0.5 * a)).collect();
    near("descend", &x, &want);
}

fn clips_and_damping<T: Real>() {
    let t = T::from_f64;
    // γ² vᵀFv after clipping is κ, or less.
    for (gamma, form, kappa) in [(0.5, 100.0, 1e-3), (1e-4, 3.0, 1e-3), (1.0, 0.0, 1e-3)] {
        let nu = kl_clip(t(gamma), t(form), t(kappa)).to_f64();
        let size = (gamma * nu).powi(2) * form;
        assert!(nu > 0.0 && nu <= 1.0 && size <= kappa * 1.000_01, "{nu} {size}");
        assert!(nu == 1.0 || size >= kappa * 0.999_99);
    }
    assert!(kl_clip(T::ONE, T::INFINITY, T::ONE) == T::ZERO);
    assert!(!kl_clip(T::ONE, T::NAN, T::ONE).is_finite());
    assert!(norm_clip(T::HALF, T::ONE) == T::ONE && norm_clip(T::TWO, T::ONE) == T::HALF);

    // The parabola ½κα² − sα lies lowest at the length, which needs no formula to see.
    for (slope, curvature) in [(3.0, 4.0), (-2.0, 0.5), (1e-3, 10.0)] {
        let alpha = quadratic_length(t(slope), t(curvature)).to_f64();
        let value = |a: f64| 0.5 * curvature * a * a - slope * a;
        let around = [0.99, 1.01].map(|x| value(alpha * x));
        assert!(around.iter().all(|v| *v > value(alpha)), "{slope} {curvature}: {alpha}");
    }
    let flat = [(T::ONE, T::ZERO), (T::ZERO, T::ZERO), (T::NAN, T::ONE), (T::MAX, T::HALF)];
    for (slope, curvature) in flat {
        assert!(quadratic_length(slope, curvature) == T::ONE, "{slope} {curvature}");
    }

    let rule = LevenbergMarquardt::<T>::default();
    let damping = t(0.1);
    let factor = 0.95f64.powi(5);
    near("good model", &[rule.adapt(damping, t(0.9))], &[0.1 * factor]);
    near("fair model", &[rule.adapt(damping, t(0.5))], &[0.1]);
    near("bad model", &[rule.adapt(damping, t(0.1))], &[0.1 / factor]);
    near("no model", &[rule.adapt(damping, T::NAN)], &[0.1 / factor]);
    assert!(rule.adapt(t(1e8), T::ZERO) == t(1e8) && rule.adapt(t(1e-8), T::ONE) == t(1e-8));
    assert!(!rule.adapt(T::NAN, T::ONE).is_finite());
    near("ratio", &[reduction_ratio(t(2.0), t(1.0), t(-4.0))], &[0.25]);
    near("worse", &[reduction_ratio(t(2.0), t(3.0), t(-4.0))], &[-0.25]);
    // A model that promises nothing is never a good one.
    for promised in [T::ZERO, -T::ZERO, T::INFINITY, T::NAN] {
        for after in [t(1.0), t(2.0), t(3.0)] {
            let ratio = reduction_ratio(t(2.0), after, promised);
            assert!(rule.adapt(damping, ratio) > damping, "{after}, {promised}: {ratio}");
        }
    }
}

fn schedules<T: Real>() {
    let base = T::from_f64(0.3);
    let rate = |warm_up, decay, step| {
        Schedule { base, warm_up, decay }.rate(step).to_f64() / base.to_f64()
    };
    let t = T::from_f64;
    let cosine = Decay::Cosine { total: 100, floor: t(0.125) };
    let step = Decay::Step { every: 30, factor: T::HALF };
    let exponential = Decay::Exponential { factor: t(0.99) };
    let ratio = t(0.99).to_f64();
    for k in 0..250u64 {
        let x = (k as f64 / 100.0).min(1.0);
        let fall = 0.5 * (1.0 + (core::f64::consts::PI * x).cos());
        let want = [1.0, 0.5f64.powi(k as i32 / 30), ratio.powi(k as i32), 0.125 + 0.875 * fall];
        let got = [Decay::Constant, step, exponential, cosine].map(|d| T::from_f64(rate(0, d, k)));
        for (got, want) in got.iter().zip(want) {
            near("schedule", &[*got], &[want]);
        }
        // A warm-up shifts the rest.
        let late = rate(10, cosine, k + 10);
        assert!(late == rate(0, cosine, k), "{late}");
    }
    let rising: Vec<f64> = (0..10).map(|k| rate(10, cosine, k)).collect();
    assert!(rising.windows(2).all(|w| w[0] < w[1]) && rising[0] > 0.0 && rising[9] < 1.0);
    let never = Decay::Step { every: 0, factor: T::HALF };
    assert!(rate(0, never, u64::MAX) == 1.0 && rate(0, cosine, u64::MAX) == 0.125);
}

fn refusals<T: Real>() {
    let (mut a, mut b, mut c) = ([T::ZERO; 4], [T::ZERO; 4], [T::ZERO; 3]);
    let rule = Sgd {
        learning_rate: T::ONE,
        momentum: T::ZERO,
        form: Momentum::HeavyBall,
        weight_decay: T::ZERO,
    };
    let shape = |r: Result<(), Error>| matches!(r, Err(Error::Shape { .. }));
    assert!(shape(rule.step(&mut a, &mut b, &[T::ONE; 3])));
    assert!(shape(rule.step(&mut a, &mut c, &[T::ONE; 4])));
    let adam = Adam::default().at(T::ONE, 0);
    assert!(shape(adam.step(&mut a, &mut b, &mut c, &[T::ONE; 4])));
    assert!(shape(ema_update(&mut a, &c, T::HALF)));
    assert!(shape(descend(&mut a, &c, T::ONE)));
    assert!(shape(add_weight_decay(&mut a, &c, T::ONE)));
    assert!(inner_product(&a, &c).is_err());
    assert!(a.iter().chain(&b).all(|x| *x == T::ZERO), "written before the check");
}

both_dtypes!(sgd, adam, chunks, averages_and_products, clips_and_damping, schedules, refusals,);
