//! ν, activations and update rules against the core in f64.

use relfisher_core::Real;
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::optim::{Adam, Momentum, Sgd, WeightDecay};
use relfisher_kernels::Scalar;
use relfisher_kernels::body::{elementwise, step};
use relfisher_kernels::contract::{AdamScalars, Neurons, SgdScalars};
use relfisher_kernels::emulator::Buffer;

use crate::compare::{assert_close, to_f64};
use crate::random::Random;
use crate::run::run;
use crate::tolerance::Oracle;

/// Not a multiple of a block's 1,024 elements, nor of a warp.
const COUNT: usize = 2 * 1024 + 37;

fn activations<T: Real>() -> [Activation<T>; 5] {
    let tenth = T::from_f64(0.125);
    [
        Activation::Linear,
        Activation::Tanh,
        Activation::Sigm,
        Activation::Relu { leak: tenth },
        Activation::Elu { alpha: T::from_f64(1.5) },
    ]
}

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

/// Pre-activations with kinks, tails and both signs.
fn inputs<T: Real>() -> Vec<T> {
    let mut t = Random::new(3).uniforms::<T>(COUNT, -12.0, 12.0);
    for (x, edge) in t.iter_mut().zip([0.0, -0.0, 1e30, -1e30, 1e-30, 88.0, -88.0]) {
        *x = T::from_f64(edge);
    }
    t
}

fn blocks(count: usize) -> [u32; 3] {
    [(count as u32).div_ceil(elementwise::CHUNK), 1, 1]
}

fn nu<T: Scalar>(name: &str) {
    let t = inputs::<T>();
    let wide: Vec<f64> = to_f64(&t);
    let input = Buffer::from_slice(&t);
    for (response, reference) in responses::<T>().into_iter().zip(responses::<f64>()) {
        let mut out = Buffer::<T>::unwritten(COUNT);
        let (to, from) = (out.output(), input.input());
        let neurons = Neurons::responding(response, COUNT as u64);
        run(name, blocks(COUNT), |d| elementwise::nu(d, to, from, neurons));
        let want: Vec<f64> = wide.iter().map(|x| reference.nu(*x)).collect();
        let what = format!("{name} {response:?}");
        assert_close(&what, &out.to_vec(), &want, "kernel elementwise", Oracle::HigherPrecision, 1);
        // The same bits as the core's own loop.
        let mut own = vec![T::NAN; COUNT];
        response.nu_slice(&mut own, &t).expect("valid parameters");
        assert!(out.to_vec() == own, "{what}: other bits than the core");
    }
}

#[test]
fn nu_of_every_response_is_that_of_the_core() {
    nu::<f32>("nu_f32");
    nu::<f64>("nu_f64");
}

fn activate<T: Scalar>(name: &str) {
    let t = inputs::<T>();
    let input = Buffer::from_slice(&t);
    for (activation, reference) in activations::<T>().into_iter().zip(activations::<f64>()) {
        let (mut a, mut slope) = (Buffer::<T>::unwritten(COUNT), Buffer::<T>::unwritten(COUNT));
        let (to, to_slope, from) = (a.output(), slope.output(), input.input());
        let neurons = Neurons::activated(activation, COUNT as u64);
        run(name, blocks(COUNT), |d| elementwise::activate(d, to, to_slope, from, neurons));
        let what = format!("{name} {activation:?}");
        let value: Vec<f64> = t.iter().map(|x| reference.value(x.to_f64())).collect();
        let derivative: Vec<f64> = t.iter().map(|x| reference.derivative(x.to_f64())).collect();
        let routine = "kernel elementwise";
        assert_close(&what, &a.to_vec(), &value, routine, Oracle::HigherPrecision, 1);
        assert_close(&what, &slope.to_vec(), &derivative, routine, Oracle::HigherPrecision, 1);
    }
}

#[test]
fn activations_and_slopes_are_those_of_the_core() {
    activate::<f32>("activate_f32");
    activate::<f64>("activate_f64");
}

fn momentum<T: Scalar>(name: &str) {
    let mut random = Random::new(5);
    let (theta, velocity): (Vec<T>, Vec<T>) = (random.normals(COUNT), random.normals(COUNT));
    let gradient: Vec<T> = random.normals(COUNT);
    for (form, nesterov) in [(Momentum::HeavyBall, 0), (Momentum::Nesterov, 1)] {
        let (mut t, mut v) = (Buffer::from_slice(&theta), Buffer::from_slice(&velocity));
        let g = Buffer::from_slice(&gradient);
        let scalars = SgdScalars {
            count: COUNT as u64,
            learning_rate: T::from_f64(0.25),
            momentum: T::from_f64(0.875),
            weight_decay: T::from_f64(0.125),
            nesterov,
        };
        let (to, to_velocity, from) = (t.output(), v.output(), g.input());
        run(name, blocks(COUNT), |d| step::sgd(d, to, to_velocity, from, scalars));
        let rule = Sgd { learning_rate: 0.25, momentum: 0.875, form, weight_decay: 0.125 };
        let (mut wide, mut wide_velocity) = (to_f64(&theta), to_f64(&velocity));
        rule.step(&mut wide, &mut wide_velocity, &to_f64(&gradient)).expect("equal lengths");
        let check = |what: &str, got: &[T], want: &[f64]| {
            let what = format!("{name}: {what}");
            assert_close(&what, got, want, "kernel elementwise", Oracle::HigherPrecision, 1);
        };
        check("parameters", &t.to_vec(), &wide);
        check("velocity", &v.to_vec(), &wide_velocity);
    }
}

#[test]
fn descent_with_momentum_is_that_of_the_core() {
    momentum::<f32>("sgd_f32");
    momentum::<f64>("sgd_f64");
}

fn adam<T: Scalar>(name: &str) {
    let mut random = Random::new(6);
    let (theta, first): (Vec<T>, Vec<T>) = (random.normals(COUNT), random.normals(COUNT));
    let second: Vec<T> = random.uniforms(COUNT, 0.5, 2.0);
    let gradient: Vec<T> = random.normals(COUNT);
    for decoupled in [false, true] {
        fn decay<T: Real>(decoupled: bool) -> WeightDecay<T> {
            let decay = T::from_f64(0.125);
            if decoupled { WeightDecay::Decoupled(decay) } else { WeightDecay::L2(decay) }
        }
        let (mut t, mut m) = (Buffer::from_slice(&theta), Buffer::from_slice(&first));
        let (mut v, g) = (Buffer::from_slice(&second), Buffer::from_slice(&gradient));
        let rate = T::from_f64(0.01);
        let rule = Adam::<T> { weight_decay: decay(decoupled), ..Adam::default() };
        let scalars = AdamScalars { count: COUNT as u64, rule: rule.at(rate, 6) };
        let (to, to_first, to_second, from) = (t.output(), m.output(), v.output(), g.input());
        run(name, blocks(COUNT), |d| step::adam(d, to, to_first, to_second, from, scalars));
        let reference = Adam {
            beta1: rule.beta1.to_f64(),
            beta2: rule.beta2.to_f64(),
            epsilon: rule.epsilon.to_f64(),
            weight_decay: decay::<f64>(decoupled),
        };
        let mut wide = [to_f64(&theta), to_f64(&first), to_f64(&second)];
        let [wide_theta, wide_first, wide_second] = &mut wide;
        reference
            .at(rate.to_f64(), 6)
            .step(wide_theta, wide_first, wide_second, &to_f64(&gradient))
            .expect("equal lengths");
        let check = |what: &str, got: &[T], want: &[f64]| {
            let what = format!("{name}: {what}");
            assert_close(&what, got, want, "kernel adam", Oracle::HigherPrecision, 1);
        };
        check("parameters", &t.to_vec(), wide_theta);
        check("first moment", &m.to_vec(), wide_first);
        check("second moment", &v.to_vec(), wide_second);
    }
}

#[test]
fn adam_is_that_of_the_core() {
    adam::<f32>("adam_f32");
    adam::<f64>("adam_f64");
}

fn descent<T: Scalar>(name: &str) {
    let mut random = Random::new(7);
    let (theta, direction): (Vec<T>, Vec<T>) = (random.normals(COUNT), random.normals(COUNT));
    let (mut t, g) = (Buffer::from_slice(&theta), Buffer::from_slice(&direction));
    let (to, from, rate) = (t.output(), g.input(), T::from_f64(0.25));
    run(name, blocks(COUNT), |d| step::descend(d, to, from, COUNT as u64, rate));
    let want: Vec<T> = theta.iter().zip(&direction).map(|(t, d)| *t - rate * *d).collect();
    assert!(t.to_vec() == want, "{name}");
}

#[test]
fn descent_along_a_direction_moves_every_parameter() {
    descent::<f32>("descend_f32");
    descent::<f64>("descend_f64");
}
