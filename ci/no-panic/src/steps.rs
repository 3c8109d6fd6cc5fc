//! Step rules.

use relfisher_core::optim::{
    Adam, Decay, LevenbergMarquardt, Momentum, Schedule, Sgd, WeightDecay, add_weight_decay,
    descend, ema_keep, ema_update, inner_product, kl_clip, norm_clip, quadratic_length,
    reduction_ratio,
};
use relfisher_core::{Error, Real};

use crate::{Opaque, probe};

probe! { rules scalars schedules }

fn rules<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let s = x.scalars;
    let [theta, first, second, gradient] = &mut x.slices;
    let form = if x.choice & 1 == 0 { Momentum::HeavyBall } else { Momentum::Nesterov };
    let sgd = Sgd { learning_rate: s[0], momentum: s[1], form, weight_decay: s[2] };
    sgd.step(theta, first, gradient)?;
    let decay =
        if x.choice & 2 == 0 { WeightDecay::L2(s[3]) } else { WeightDecay::Decoupled(s[3]) };
    let adam = Adam { beta1: s[4], beta2: s[5], epsilon: s[6], weight_decay: decay };
    adam.at(s[0], x.counts[0] as u64).step(theta, first, second, gradient)?;
    add_weight_decay(gradient, theta, s[2])?;
    descend(theta, gradient, s[0])?;
    ema_update(first, gradient, s[1])?;
    x.result = inner_product(theta, gradient)?;
    Ok(())
}

fn scalars<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let s = x.scalars;
    let rule = LevenbergMarquardt {
        decay: s[0],
        interval: x.counts[0] as u64,
        lower: s[1],
        upper: s[2],
        least: s[3],
        greatest: s[4],
    };
    x.result = rule.adapt(s[5], reduction_ratio(s[5], s[6], s[7]))
        + LevenbergMarquardt::<T>::default().adapt(s[0], s[1])
        + kl_clip(s[0], s[1], s[2])
        + norm_clip(s[0], s[1])
        + quadratic_length(s[0], s[1])
        + ema_keep(s[0], x.counts[1] as u64);
    Ok(())
}

fn schedules<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let (s, n) = (x.scalars, x.counts.map(|n| n as u64));
    let decay = match x.choice {
        0 => Decay::Constant,
        1 => Decay::Step { every: n[0], factor: s[1] },
        2 => Decay::Exponential { factor: s[1] },
        _ => Decay::Cosine { total: n[0], floor: s[1] },
    };
    let schedule = Schedule { base: s[0], warm_up: n[1], decay };
    x.result = schedule.rate(n[2]) + Schedule::constant(s[2]).rate(n[3]);
    Ok(())
}
