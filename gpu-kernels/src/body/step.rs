//! Update rules, element by element, by the rules of [`relfisher_core::optim`].

use relfisher_core::optim::{Momentum, Sgd};

use super::elementwise::each;
use crate::contract::{AdamScalars, SgdScalars};
use crate::device::Device;
use crate::word::Scalar;

/// Stochastic gradient descent with momentum, one step: [`Sgd::step`].
#[inline(always)]
pub fn sgd<T: Scalar, D: Device>(
    d: D,
    theta: D::Array<T>,
    velocity: D::Array<T>,
    gradient: D::Array<T>,
    s: SgdScalars<T>,
) {
    let form = if s.nesterov == 0 { Momentum::HeavyBall } else { Momentum::Nesterov };
    let rule = Sgd {
        learning_rate: s.learning_rate,
        momentum: s.momentum,
        form,
        weight_decay: s.weight_decay,
    };
    each(d, s.count, |start, i| {
        let (theta, velocity) = (d.advance(theta, start), d.advance(velocity, start));
        let mut t = [d.load(theta, i)];
        let mut v = [d.load(velocity, i)];
        // The lengths are equal, the only thing that the rule can refuse.
        let _ = rule.step(&mut t, &mut v, &[d.load(d.advance(gradient, start), i)]);
        d.store(theta, i, t[0]);
        d.store(velocity, i, v[0]);
    });
}

/// Adam, one step: [`relfisher_core::optim::AdamStep::step`].
#[inline(always)]
pub fn adam<T: Scalar, D: Device>(
    d: D,
    theta: D::Array<T>,
    first: D::Array<T>,
    second: D::Array<T>,
    gradient: D::Array<T>,
    s: AdamScalars<T>,
) {
    each(d, s.count, |start, i| {
        let theta = d.advance(theta, start);
        let (first, second) = (d.advance(first, start), d.advance(second, start));
        let (mut t, mut m, mut v) = ([d.load(theta, i)], [d.load(first, i)], [d.load(second, i)]);
        let g = [d.load(d.advance(gradient, start), i)];
        // The lengths are equal, the only thing that the rule can refuse.
        let _ = s.rule.step(&mut t, &mut m, &mut v, &g);
        d.store(theta, i, t[0]);
        d.store(first, i, m[0]);
        d.store(second, i, v[0]);
    });
}

/// `θ ← θ − γ d`: the step of a preconditioned direction.
#[inline(always)]
pub fn descend<T: Scalar, D: Device>(
    d: D,
    theta: D::Array<T>,
    direction: D::Array<T>,
    count: u64,
    learning_rate: T,
) {
    each(d, count, |start, i| {
        let theta = d.advance(theta, start);
        let mut t = [d.load(theta, i)];
        let step = [d.load(d.advance(direction, start), i)];
        // The lengths are equal, the only thing that the rule can refuse.
        let _ = relfisher_core::optim::descend(&mut t, &step, learning_rate);
        d.store(theta, i, t[0]);
    });
}
