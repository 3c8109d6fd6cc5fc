//! Update rules over a long parameter vector: they stream, so a copy is their ceiling.

use std::sync::Arc;

use relfisher::Scalar;
use relfisher::executor::{Cpu, Executor};
use relfisher_core::metric::neuron::Activation;
use relfisher_core::optim::{Adam, Momentum, Sgd, ema_update};
use relfisher_core::{MatMut, MatRef, Real};

use crate::Random;
use crate::case::{Candidate, Group, Runner, Simple, Study, bytes_of, dtype, near};
use crate::record::{Approach, Limit};
use crate::sizes::Sizes;

/// γ.
const RATE: f64 = 1e-3;

pub(super) fn studies<T: Scalar>(sizes: &Sizes) -> Vec<Study> {
    let rules: [Named<T>; 4] = [
        ("SGD with momentum", 1, 5, sgd, sgd_alone),
        ("Adam", 2, 7, adam, adam_alone),
        ("moving average", 0, 3, average, average_alone),
        ("tanh of a layer", 0, 2, activate, activate_alone),
    ];
    let study = |len: usize| rules.map(|rule| study::<T>(len, rule));
    sizes.vectors.lengths.iter().flat_map(|len| study(*len)).collect()
}

/// A rule by its quantity, with its moments and streams, and the same for one number after the other.
type Named<T> = (&'static str, usize, usize, Rule<T>, Rule<T>);

/// One update of θ and up to two moments by a gradient.
type Rule<T> = fn(&Cpu, &mut [Vec<T>; 3], &[T]);

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
                run: move |state: &mut [Vec<T>; 3], cpu: &Cpu| rule(cpu, state, &gradient),
                // one fresh call against the rule written out for one number after the other
                check: move |_: &mut [Vec<T>; 3], cpu: &Cpu| {
                    let (mut got, mut want) = (start(), start());
                    rule(cpu, &mut got, &checked);
                    alone(cpu, &mut want, &checked);
                    near(quantity, &got[0], &want[0], 16.0)
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

fn sgd<T: Scalar>(cpu: &Cpu, [theta, velocity, _]: &mut [Vec<T>; 3], gradient: &[T]) {
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

fn sgd_alone<T: Scalar>(_: &Cpu, [theta, velocity, _]: &mut [Vec<T>; 3], gradient: &[T]) {
    for ((t, v), g) in theta.iter_mut().zip(velocity).zip(gradient) {
        let next = 0.9 * v.to_f64() + g.to_f64();
        *v = T::from_f64(next);
        *t = T::from_f64(t.to_f64() - RATE * next);
    }
}

fn adam<T: Scalar>(cpu: &Cpu, [theta, first, second]: &mut [Vec<T>; 3], gradient: &[T]) {
    let step = Adam::default().at(T::from_f64(RATE), 0);
    cpu.for_each_chunk(&mut [theta, first, second], &[gradient], &|outputs, inputs| {
        relfisher::vectorised!({
            if let ([theta, first, second], [gradient]) = (outputs, inputs) {
                step.step(theta, first, second, gradient).expect("equal lengths");
            }
        });
    })
    .expect("equal lengths");
}

/// The first step: m̂ = g and v̂ = g².
fn adam_alone<T: Scalar>(_: &Cpu, [theta, ..]: &mut [Vec<T>; 3], gradient: &[T]) {
    let epsilon = Adam::<T>::default().epsilon.to_f64();
    for (t, g) in theta.iter_mut().zip(gradient) {
        let g = g.to_f64();
        *t = T::from_f64(t.to_f64() - RATE * g / (g.abs() + epsilon));
    }
}

fn average<T: Scalar>(cpu: &Cpu, [theta, ..]: &mut [Vec<T>; 3], gradient: &[T]) {
    cpu.for_each_chunk(&mut [theta], &[gradient], &|outputs, inputs| {
        relfisher::vectorised!({
            if let ([average], [sample]) = (outputs, inputs) {
                ema_update(average, sample, T::from_f64(0.95)).expect("equal lengths");
            }
        });
    })
    .expect("equal lengths");
}

fn average_alone<T: Scalar>(_: &Cpu, [theta, ..]: &mut [Vec<T>; 3], gradient: &[T]) {
    for (t, g) in theta.iter_mut().zip(gradient) {
        *t = T::from_f64(0.95 * t.to_f64() + 0.05 * g.to_f64());
    }
}

fn activate<T: Scalar>(cpu: &Cpu, [theta, ..]: &mut [Vec<T>; 3], gradient: &[T]) {
    let len = gradient.len();
    // rows that hold every element
    let rows = [64, 30, 1].into_iter().find(|rows| len.is_multiple_of(*rows)).unwrap_or(1);
    let out = MatMut::new(theta, rows, len / rows).expect("shape");
    let t = MatRef::new(gradient, rows, len / rows).expect("shape");
    cpu.activate(out, t, Activation::Tanh).expect("shapes");
}

fn activate_alone<T: Scalar>(_: &Cpu, [theta, ..]: &mut [Vec<T>; 3], gradient: &[T]) {
    for (t, g) in theta.iter_mut().zip(gradient) {
        *t = T::from_f64(libm::tanh(Real::to_f64(*g)));
    }
}
