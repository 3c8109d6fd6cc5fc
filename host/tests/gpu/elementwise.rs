//! ν, activations, soft-max and update rules against the core in f64.

use relfisher::Scalar;
use relfisher_core::Real;
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::optim::{Adam, Momentum, Sgd, WeightDecay};

use crate::Case;
use crate::compare::{assert_close, to_f64};
use crate::lab::{Lab, unwritten, upload};
use crate::random::Random;
use crate::tolerance::Oracle;

pub(crate) const CASES: &[Case] = &[
    ("response_nu_f32", response_nu::<f32>),
    ("response_nu_f64", response_nu::<f64>),
    ("activate_f32", activate::<f32>),
    ("activate_f64", activate::<f64>),
    ("softmax_f32", softmax::<f32>),
    ("softmax_f64", softmax::<f64>),
    ("softmax_root_f32", softmax_root::<f32>),
    ("softmax_root_f64", softmax_root::<f64>),
    ("sgd_f32", sgd),
    ("adam_f32", adam),
];

pub(crate) fn activations<T: Real>() -> [Activation<T>; 5] {
    let (leak, alpha) = (T::from_f64(0.125), T::from_f64(1.5));
    [
        Activation::Linear,
        Activation::Tanh,
        Activation::Sigm,
        Activation::Relu { leak },
        Activation::Elu { alpha },
    ]
}

/// Every response, those of activations with a Gaussian around them included.
fn responses<T: Real>() -> Vec<Response<T>> {
    let (leak, sigma) = (T::from_f64(0.125), T::from_f64(0.5));
    let mut all = vec![
        Response::Tanh,
        Response::Sigm,
        Response::Relu { leak, smoothing: T::ONE, sigma },
        Response::Relu { leak, smoothing: T::ZERO, sigma },
        Response::Elu { alpha: T::from_f64(1.5), sigma },
        Response::Linear { sigma },
    ];
    all.extend(activations().map(|activation| Response::Gaussian { activation, sigma }));
    all
}

/// No element, fewer than a warp, a block's 1,024, and more than blocks.
const SMALL: &[usize] = &[0, 7, 1024, 2085];
const LARGE: &[usize] = &[1_000_003];

/// Pre-activations with kinks, tails and both signs.
fn inputs<T: Real>(len: usize) -> Vec<T> {
    let mut t = Random::new(3).uniforms::<T>(len, -12.0, 12.0);
    for (x, edge) in t.iter_mut().zip([0.0, -0.0, 1e30, -1e30, 1e-30, 88.0, -88.0]) {
        *x = T::from_f64(edge);
    }
    t
}

fn response_nu<T: Scalar>(lab: &Lab) {
    for len in lab.shapes(SMALL, LARGE) {
        let t = inputs::<T>(len);
        let from = upload(&lab.gpu, &t);
        for (response, wide) in responses::<T>().into_iter().zip(responses::<f64>()) {
            let mut nu = unwritten::<T>(&lab.gpu, len);
            lab.gpu.response_nu(nu.view_mut(), from.view(), response).expect("response_nu");
            let want: Vec<f64> = t.iter().map(|t| wide.nu(t.to_f64())).collect();
            let what = format!("ν of {response:?}, {len} values");
            let got = nu.to_vec().expect("a copy");
            assert_close(&what, &got, &want, "kernel elementwise", Oracle::HigherPrecision, 1);
        }
    }
}

fn activate<T: Scalar>(lab: &Lab) {
    for len in lab.shapes(SMALL, LARGE) {
        let t = inputs::<T>(len);
        let from = upload(&lab.gpu, &t);
        for (f, wide) in activations::<T>().into_iter().zip(activations::<f64>()) {
            let mut a = unwritten::<T>(&lab.gpu, len);
            let mut slope = unwritten::<T>(&lab.gpu, len);
            lab.gpu.activate(a.view_mut(), slope.view_mut(), from.view(), f).expect("activate");
            let value: Vec<f64> = t.iter().map(|t| wide.value(t.to_f64())).collect();
            let derivative: Vec<f64> = t.iter().map(|t| wide.derivative(t.to_f64())).collect();
            for (what, got, want) in [("f", &a, value), ("f′", &slope, derivative)] {
                let (what, got) = (format!("{what} of {f:?}"), got.to_vec().expect("a copy"));
                assert_close(&what, &got, &want, "kernel elementwise", Oracle::HigherPrecision, 1);
            }
        }
    }
}

/// Samples and classes.
const ROWS: &[(usize, usize)] = &[(1, 1), (13, 10), (9, 33), (2, 100)];
const MORE_ROWS: &[(usize, usize)] = &[(5000, 10), (300, 1000)];

pub(crate) fn probabilities(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|x| (x - largest).exp()).sum();
    logits.iter().map(|x| (x - largest).exp() / sum).collect()
}

fn softmax<T: Scalar>(lab: &Lab) {
    let gpu = &lab.gpu;
    for (n, c) in lab.shapes(ROWS, MORE_ROWS) {
        let mut random = Random::new((n * c) as u64);
        let mut logits: Vec<T> = random.uniforms(n * c, -8.0, 8.0);
        // A row far from 0 overflows nothing.
        logits[..c].iter_mut().for_each(|x| *x += T::from_f64(1000.0));
        let labels: Vec<u32> = (0..n).map(|_| random.below(c) as u32).collect();
        let (from, targets) = (upload(gpu, &logits), upload(gpu, &labels));
        let [mut eta, mut delta, mut loss] = [n * c, n * c, n].map(|len| unwritten::<T>(gpu, len));
        let outputs = [eta.view_mut(), delta.view_mut(), loss.view_mut()];
        let scale = T::ONE / T::from_usize(n);
        gpu.softmax(outputs, from.view(), targets.view(), scale).expect("softmax");
        let want: Vec<f64> = to_f64(&logits).chunks(c).flat_map(probabilities).collect();
        let target = |i: usize| f64::from(labels[i / c] as usize == i % c);
        let slope = |(i, p): (usize, &f64)| scale.to_f64() * (p - target(i));
        let slopes: Vec<f64> = want.iter().enumerate().map(slope).collect();
        let losses: Vec<f64> =
            labels.iter().enumerate().map(|(s, y)| -want[s * c + *y as usize].ln()).collect();
        for (what, got, want) in [("η", &eta, want), ("δ", &delta, slopes), ("loss", &loss, losses)]
        {
            let (what, got) = (format!("{what}, {n} × {c}"), got.to_vec().expect("a copy"));
            assert_close(&what, &got, &want, "kernel softmax", Oracle::Dense, c);
        }
    }
}

/// RᵀR = diag(η) − ηηᵀ for every sample.
fn softmax_root<T: Scalar>(lab: &Lab) {
    for (n, c) in lab.shapes(ROWS, &[(500, 10)]) {
        let mut random = Random::new((n + c) as u64);
        let logits: Vec<f64> = random.uniforms(n * c, -3.0, 3.0);
        let eta: Vec<T> =
            logits.chunks(c).flat_map(probabilities).map(|p| T::from_f64(p)).collect();
        let from = upload(&lab.gpu, &eta);
        let mut root = unwritten::<T>(&lab.gpu, n * c * c);
        lab.gpu.softmax_root(root.view_mut(), from.view(), (n, c)).expect("softmax_root");
        let root = to_f64(&root.to_vec().expect("a copy"));
        let (mut found, mut want) = (Vec::new(), Vec::new());
        for (rows, eta) in root.chunks(c * c).zip(to_f64(&eta).chunks(c)) {
            for a in 0..c {
                for b in 0..c {
                    let sum: f64 = rows.chunks(c).map(|row| row[a] * row[b]).sum();
                    found.push(T::from_f64(sum));
                    let others = || (0..c).filter(|k| *k != a).map(|k| eta[k]).sum::<f64>();
                    want.push(if a == b { eta[a] * others() } else { -eta[a] * eta[b] });
                }
            }
        }
        assert_close("softmax_root", &found, &want, "kernel softmax", Oracle::Dense, c);
    }
}

fn sgd(lab: &Lab) {
    for len in lab.shapes(SMALL, LARGE) {
        let mut random = Random::new(5);
        let [theta, velocity, gradient] = [0; 3].map(|_| random.normals::<f32>(len));
        for form in [Momentum::HeavyBall, Momentum::Nesterov] {
            let (mut t, mut v) = (upload(&lab.gpu, &theta), upload(&lab.gpu, &velocity));
            let g = upload(&lab.gpu, &gradient);
            let rule = Sgd { learning_rate: 0.25f32, momentum: 0.875, form, weight_decay: 0.125 };
            lab.gpu.sgd(t.view_mut(), v.view_mut(), g.view(), rule).expect("sgd");
            let rule = Sgd { learning_rate: 0.25, momentum: 0.875, form, weight_decay: 0.125 };
            let (mut wide, mut wide_velocity) = (to_f64(&theta), to_f64(&velocity));
            rule.step(&mut wide, &mut wide_velocity, &to_f64(&gradient)).expect("equal lengths");
            for (what, got, want) in [("parameters", &t, wide), ("velocity", &v, wide_velocity)] {
                let (what, got) = (format!("sgd {form:?}: {what}"), got.to_vec().expect("a copy"));
                assert_close(&what, &got, &want, "kernel elementwise", Oracle::HigherPrecision, 1);
            }
        }
    }
}

fn adam(lab: &Lab) {
    for len in lab.shapes(SMALL, LARGE) {
        let mut random = Random::new(6);
        let [theta, first, gradient] = [0; 3].map(|_| random.normals::<f32>(len));
        let second: Vec<f32> = random.uniforms(len, 0.5, 2.0);
        for decoupled in [false, true] {
            let [mut t, mut m, mut v] = [&theta, &first, &second].map(|x| upload(&lab.gpu, x));
            let g = upload(&lab.gpu, &gradient);
            let moments = [m.view_mut(), v.view_mut()];
            let rule = Adam { weight_decay: decay(decoupled), ..Adam::default() }.at(0.01f32, 6);
            lab.gpu.adam(t.view_mut(), moments, g.view(), rule).expect("adam");
            let rule = Adam {
                beta1: f64::from(0.9f32),
                beta2: f64::from(0.999f32),
                epsilon: f64::from(1e-8f32),
                weight_decay: decay(decoupled),
            };
            let [mut wide, mut wide_first, mut wide_second] =
                [&theta, &first, &second].map(|x| to_f64(x));
            rule.at(f64::from(0.01f32), 6)
                .step(&mut wide, &mut wide_first, &mut wide_second, &to_f64(&gradient))
                .expect("equal lengths");
            for (what, got, want) in
                [("parameters", &t, wide), ("first", &m, wide_first), ("second", &v, wide_second)]
            {
                let (what, got) = (format!("adam: {what}"), got.to_vec().expect("a copy"));
                assert_close(&what, &got, &want, "kernel adam", Oracle::HigherPrecision, 1);
            }
        }
    }
}

fn decay<T: Real>(decoupled: bool) -> WeightDecay<T> {
    let decay = T::from_f64(0.125);
    if decoupled { WeightDecay::Decoupled(decay) } else { WeightDecay::L2(decay) }
}
