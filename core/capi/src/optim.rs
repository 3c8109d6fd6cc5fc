//! Step rules.

use relfisher_core::optim;

use crate::argument::{Slice, SliceMut};

choice! {
    /// How past directions enter a step.
    enum Momentum: "form must be an rf_momentum" {
        /// v <- mu v + d, theta <- theta - gamma v.
        HeavyBall = 0,
        /// v <- mu v + d, theta <- theta - gamma (d + mu v).
        Nesterov = 1,
    }
}

choice! {
    /// Where the weight decay of Adam enters.
    enum DecayForm: "decay_form must be an rf_decay_form" {
        /// g <- g + decay theta.
        L2 = 0,
        /// theta <- theta - gamma decay theta, apart from the adaptive step.
        Decoupled = 1,
    }
}

choice! {
    /// How a learning rate falls after its warm-up.
    enum ScheduleKind: "schedule must be an rf_schedule_kind" {
        /// It does not.
        Constant = 0,
        /// Times `factor` after every `steps` steps.
        Step = 1,
        /// Times `factor` at every step.
        Exponential = 2,
        /// A cosine down to `factor` times the base in `steps` steps.
        Cosine = 3,
    }
}

/// The hyper-parameters of stochastic gradient descent.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Sgd<T> {
    /// gamma.
    pub learning_rate: T,
    /// mu in [0, 1); 0 is plain descent (the velocity is still written).
    pub momentum: T,
    /// The factor of theta that is added to the gradient.
    pub weight_decay: T,
    /// An `rf_momentum`.
    pub form: u32,
}

/// The hyper-parameters of Adam.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Adam<T> {
    /// gamma.
    pub learning_rate: T,
    /// The weight of the past in the first moment, e.g. 0.9.
    pub beta1: T,
    /// The weight of the past in the second moment, e.g. 0.999.
    pub beta2: T,
    /// Added to the root of the second moment, e.g. 1e-8.
    pub epsilon: T,
    /// The weight decay.
    pub weight_decay: T,
    /// An `rf_decay_form`.
    pub decay_form: u32,
}

/// A base rate, a linear warm-up and a fall.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Schedule<T> {
    /// An `rf_schedule_kind`.
    pub kind: u32,
    /// The steps of the warm-up.
    pub warm_up: u64,
    /// The steps of a fall, as the kind says.
    pub steps: u64,
    /// The rate after the warm-up.
    pub base: T,
    /// What the rate is multiplied by, as the kind says.
    pub factor: T,
}

/// The rule of Levenberg and Marquardt for the damping (Martens and Grosse 2015, 6.5).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LevenbergMarquardt<T> {
    /// omega in (0, 1), e.g. 0.95.
    pub decay: T,
    /// The steps between two adaptations, e.g. 5: the damping changes by omega^interval.
    pub interval: u64,
    /// The reduction ratio below which the damping grows, e.g. 0.25.
    pub lower: T,
    /// The reduction ratio above which it shrinks, e.g. 0.75.
    pub upper: T,
    /// The least damping.
    pub least: T,
    /// The greatest damping.
    pub greatest: T,
}

options! {
    Sgd => optim::Sgd<T>, |o| optim::Sgd {
        learning_rate: o.learning_rate,
        momentum: o.momentum,
        form: match Momentum::read(o.form)? {
            Momentum::HeavyBall => optim::Momentum::HeavyBall,
            Momentum::Nesterov => optim::Momentum::Nesterov,
        },
        weight_decay: o.weight_decay,
    };
    Adam => (T, optim::Adam<T>), |o| (o.learning_rate, optim::Adam {
        beta1: o.beta1,
        beta2: o.beta2,
        epsilon: o.epsilon,
        weight_decay: match DecayForm::read(o.decay_form)? {
            DecayForm::L2 => optim::WeightDecay::L2(o.weight_decay),
            DecayForm::Decoupled => optim::WeightDecay::Decoupled(o.weight_decay),
        },
    });
    Schedule => optim::Schedule<T>, |o| optim::Schedule {
        base: o.base,
        warm_up: o.warm_up,
        decay: match ScheduleKind::read(o.kind)? {
            ScheduleKind::Constant => optim::Decay::Constant,
            ScheduleKind::Step => optim::Decay::Step { every: o.steps, factor: o.factor },
            ScheduleKind::Exponential => optim::Decay::Exponential { factor: o.factor },
            ScheduleKind::Cosine => optim::Decay::Cosine { total: o.steps, floor: o.factor },
        },
    };
    LevenbergMarquardt => optim::LevenbergMarquardt<T>, |o| optim::LevenbergMarquardt {
        decay: o.decay,
        interval: o.interval,
        lower: o.lower,
        upper: o.upper,
        least: o.least,
        greatest: o.greatest,
    };
}

export! {
    /// One step of descent with momentum on `theta` and `velocity`, both read. For a natural gradient
    /// pass the preconditioned direction and no weight decay.
    fn sgd_step(theta: SliceMut, velocity: SliceMut, gradient: Slice, rule: Sgd) {
        Ok(rule.step(theta, velocity, gradient)?)
    }

    /// `theta <- theta - learning_rate direction`. `theta` is read.
    fn descend(theta: SliceMut, direction: Slice, learning_rate: Scalar) {
        Ok(optim::descend(theta, direction, learning_rate)?)
    }

    /// `gradient <- gradient + decay theta`. `gradient` is read.
    fn add_weight_decay(gradient: SliceMut, theta: Slice, decay: Scalar) {
        Ok(optim::add_weight_decay(gradient, theta, decay)?)
    }

    /// Step `index` (from 0) of Adam on `theta` and its moments `first` and `second`, all read; the
    /// moments start at 0.
    fn adam_step(
        theta: SliceMut, first: SliceMut, second: SliceMut, gradient: Slice, index: Step,
        rule: Adam,
    ) {
        let (learning_rate, rule) = rule;
        Ok(rule.at(learning_rate, index).step(theta, first, second, gradient)?)
    }

    /// `average <- keep average + (1 - keep) sample`. `average` is read unless `keep` is 0.
    fn ema_update(average: SliceMut, sample: Slice, keep: Scalar) {
        Ok(optim::ema_update(average, sample, keep)?)
    }

    /// `out <- min(decay, 1 - 1/(index + 1))`: the weight of the past at update `index` (from 0), a plain
    /// mean at first.
    fn ema_keep(out: Out, decay: Scalar, index: Step) {
        *out = optim::ema_keep(decay, index);
        Ok(())
    }

    /// `out <- a^T b` in a fixed order.
    fn inner_product(out: Out, a: Slice, b: Slice) {
        *out = optim::inner_product(a, b)?;
        Ok(())
    }

    /// `out <- min(1, sqrt(bound/(learning_rate^2 curvature)))`: the factor that keeps a step within a
    /// Kullback-Leibler bound; `curvature` is v^T F v of the direction v.
    fn kl_clip(out: Out, learning_rate: Scalar, curvature: Scalar, bound: Scalar) {
        *out = optim::kl_clip(learning_rate, curvature, bound);
        Ok(())
    }

    /// `out <- min(1, bound/norm)`.
    fn norm_clip(out: Out, norm: Scalar, bound: Scalar) {
        *out = optim::norm_clip(norm, bound);
        Ok(())
    }

    /// `out <- (after - before)/predicted`: the reduction of the loss over that of the quadratic model.
    fn reduction_ratio(out: Out, before: Scalar, after: Scalar, predicted: Scalar) {
        *out = optim::reduction_ratio(before, after, predicted);
        Ok(())
    }

    /// `out <- ` the next damping after a step with the reduction ratio `ratio`.
    fn adapt_damping(out: Out, damping: Scalar, ratio: Scalar, rule: LevenbergMarquardt) {
        *out = rule.adapt(damping, ratio);
        Ok(())
    }

    /// `out <- ` the learning rate of step `index` (from 0).
    fn schedule_rate(out: Out, index: Step, schedule: Schedule) {
        *out = schedule.rate(index);
        Ok(())
    }
}
