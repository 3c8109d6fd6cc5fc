//! Update rules over a long parameter vector: they stream, so a copy is their ceiling.

use std::sync::Arc;

use relfisher::Scalar;
use relfisher::executor::{Cpu, Executor};
use relfisher_core::metric::neuron::Activation;
use relfisher_core::optim::{Adam, Momentum, Sgd, ema_update};
use relfisher_core::{MatMut, MatRef};

use crate::Random;
use crate::case::{Candidate, Group, Runner, Simple, Study, bytes_of, dtype};
use crate::plain::{Rule as Plain, Update, close, wide};
use crate::record::{Approach, Limit};
use crate::sizes::Sizes;

/// γ.
const RATE: f64 = 1e-3;

pub(super) fn studies<T: Scalar>(sizes: &Sizes) -> Vec<Study> {
    let rules: [Named<T>; 4] = [
        ("SGD with momentum", 1, 5, sgd, sgd_alone::<T>),
        ("Adam", 2, 7, adam, adam_alone::<T>),
        ("moving average", 0, 3, average, average_alone::<T>),
        ("tanh of a layer", 0, 2, activate, activate_alone),
    ];
    let study = |len: usize| rules.map(|rule| study::<T>(len, rule));
    sizes.vectors.lengths.iter().flat_map(|len| study(*len)).collect()
}

/// A rule by its quantity, with its moments and streams, and the same in f64 for one number after the
/// other.
type Named<T> = (&'static str, usize, usize, Rule<T>, Alone);

/// One update of θ and up to two moments by a gradient, after so many others.
type Rule<T> = fn(&Cpu, &mut [Vec<T>; 3], &[T], u64);

/// The same.
type Alone = fn(&mut [Vec<f64>; 3], &[f64], u64);

/// The updates that are checked, one after the other: the second finds moments that are not zero.
const CHECKED: u64 = 2;

/// A setting as the rule has it: 1 − β₂ of an f32 is another number than of an f64.
fn rounded<T: Scalar>(setting: f64) -> f64 {
    T::from_f64(setting).to_f64()
}

/// `streams` slices are read or written in a call, of which `moments` belong to the rule.
fn study<T: Scalar>(len: usize, (quantity, moments, streams, rule, alone): Named<T>) -> Study {
    let prepare = move |_: &Cpu| {
        let mut random = Random::new(7);
        let gradient: Arc<Vec<T>> = Arc::new(random.numbers(len, -1.0, 1.0));
        let build = move |_: &Cpu| -> Box<dyn Runner> {
            let (gradient, checked) = (gradient.clone(), gradient.clone());
            let moment = move |k: usize| vec![T::ZERO; if k < moments { len } else { 0 }];
            let start = move || [vec![T::HALF; len], moment(0), moment(1)];
            Box::new(Simple {
                state: start(),
                run: move |state: &mut [Vec<T>; 3], cpu: &Cpu| rule(cpu, state, &gradient, 0),
                // θ and every moment of fresh calls, against the rule written out
                check: move |_: &mut [Vec<T>; 3], cpu: &Cpu| {
                    let mut got = start();
                    let mut want = start().map(|x| wide(&x));
                    let mut gradient = (*checked).clone();
                    for index in 0..CHECKED {
                        rule(cpu, &mut got, &gradient, index);
                        alone(&mut want, &wide(&gradient), index);
                        // another gradient for the next one
                        gradient.reverse();
                    }
                    for (name, (got, want)) in ["θ", "first moment", "second moment"]
                        .into_iter()
                        .zip(got.iter().zip(&want))
                    {
                        close::<T>(&format!("{quantity}: {name}"), &wide(got), want, 16.0)?;
                    }
                    Ok(())
                },
            })
        };
        vec![Candidate {
            approach: Approach::Structured,
            flops: 0.0,
            bytes: bytes_of::<T>(streams * len) as f64,
            limit: Limit::Copy,
            predicted: bytes_of::<T>((1 + moments) * len),
            share: None,
            build: Box::new(build),
        }]
    };
    Study {
        group: Group::Optim,
        quantity,
        size: vec![("length", len)],
        x: len,
        dtype: dtype::<T>(),
        speedup: None,
        prepare: Box::new(prepare),
    }
}

fn sgd<T: Scalar>(cpu: &Cpu, [theta, velocity, _]: &mut [Vec<T>; 3], gradient: &[T], _: u64) {
    let rule = Sgd {
        learning_rate: T::from_f64(RATE),
        momentum: T::from_f64(0.9),
        form: Momentum::HeavyBall,
        weight_decay: T::ZERO,
    };
    cpu.for_each_chunk(&mut [theta, velocity], &[gradient], &|outputs, inputs| {
        relfisher::vectorised!({
            if let ([theta, velocity], [gradient]) = (outputs, inputs) {
                rule.step(theta, velocity, gradient).expect("equal lengths");
            }
        });
    })
    .expect("equal lengths");
}

fn sgd_alone<T: Scalar>(state: &mut [Vec<f64>; 3], gradient: &[f64], index: u64) {
    alone::<T>(state, Plain::Momentum { momentum: rounded::<T>(0.9) }, gradient, index);
}

/// A step by the plain rule.
fn alone<T: Scalar>(state: &mut [Vec<f64>; 3], rule: Plain, gradient: &[f64], index: u64) {
    let [theta, first, second] = std::mem::take(state);
    let mut update = Update { theta, first, second };
    update.step(rule, rounded::<T>(RATE), index, gradient);
    *state = [update.theta, update.first, update.second];
}

fn adam<T: Scalar>(
    cpu: &Cpu,
    [theta, first, second]: &mut [Vec<T>; 3],
    gradient: &[T],
    index: u64,
) {
    let step = Adam::default().at(T::from_f64(RATE), index);
    cpu.for_each_chunk(&mut [theta, first, second], &[gradient], &|outputs, inputs| {
        relfisher::vectorised!({
            if let ([theta, first, second], [gradient]) = (outputs, inputs) {
                step.step(theta, first, second, gradient).expect("equal lengths");
            }
        });
    })
    .expect("equal lengths");
}

fn adam_alone<T: Scalar>(state: &mut [Vec<f64>; 3], gradient: &[f64], index: u64) {
    let Adam { beta1, beta2, epsilon, .. } = Adam::<T>::default();
    let [beta1, beta2, epsilon] = [beta1, beta2, epsilon].map(|x| x.to_f64());
    alone::<T>(state, Plain::Adam { beta1, beta2, epsilon }, gradient, index);
}

fn average<T: Scalar>(cpu: &Cpu, [theta, ..]: &mut [Vec<T>; 3], gradient: &[T], _: u64) {
    cpu.for_each_chunk(&mut [theta], &[gradient], &|outputs, inputs| {
        relfisher::vectorised!({
            if let ([average], [sample]) = (outputs, inputs) {
                ema_update(average, sample, T::from_f64(0.95)).expect("equal lengths");
            }
        });
    })
    .expect("equal lengths");
}

fn average_alone<T: Scalar>([theta, ..]: &mut [Vec<f64>; 3], gradient: &[f64], _: u64) {
    for (t, g) in theta.iter_mut().zip(gradient) {
        let keep = rounded::<T>(0.95);
        *t = keep * *t + (1.0 - keep) * g;
    }
}

fn activate<T: Scalar>(cpu: &Cpu, [theta, ..]: &mut [Vec<T>; 3], gradient: &[T], _: u64) {
    let len = gradient.len();
    // rows that hold every element
    let rows = [64, 30, 1].into_iter().find(|rows| len.is_multiple_of(*rows)).unwrap_or(1);
    let out = MatMut::new(theta, rows, len / rows).expect("shape");
    let t = MatRef::new(gradient, rows, len / rows).expect("shape");
    cpu.activate(out, t, Activation::Tanh).expect("shapes");
}

fn activate_alone([theta, ..]: &mut [Vec<f64>; 3], gradient: &[f64], _: u64) {
    for (t, g) in theta.iter_mut().zip(gradient) {
        *t = libm::tanh(*g);
    }
}
