//! Step rules.

use relfisher_core::{Real, optim};

use crate::argument::{Slice, SliceMut};
use crate::status::Failure;

/// A scalar's domain, or the status that names it.
const fn domain(inside: bool, what: &'static str) -> Result<(), Failure> {
    if inside { Ok(()) } else { Err(Failure::choice(what)) }
}

/// Whether a weight of the past lies in [0, 1).
fn fading<T: Real>(weight: T) -> bool {
    weight >= T::ZERO && weight < T::ONE
}

/// Whether a number is at least 0 and finite.
fn positive<T: Real>(x: T) -> bool {
    x >= T::ZERO && x.is_finite()
}

const RATE: &str = "learning_rate must be finite";
const DECAY: &str = "weight_decay must be finite";

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
    /// gamma, finite.
    pub learning_rate: T,
    /// mu in [0, 1); 0 is plain descent (the velocity is still written).
    pub momentum: T,
    /// The factor of theta that is added to the gradient, finite.
    pub weight_decay: T,
    /// An `rf_momentum`.
    pub form: u32,
}

/// The hyper-parameters of Adam.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Adam<T> {
    /// gamma, finite.
    pub learning_rate: T,
    /// The weight of the past in the first moment, in [0, 1), e.g. 0.9.
    pub beta1: T,
    /// The weight of the past in the second moment, in [0, 1), e.g. 0.999.
    pub beta2: T,
    /// Added to the root of the second moment, at least 0, e.g. 1e-8.
    pub epsilon: T,
    /// The weight decay, finite.
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
    /// The rate after the warm-up, finite.
    pub base: T,
    /// What the rate is multiplied by, as the kind says, at least 0; a constant rate does not look at it.
    pub factor: T,
}

/// The rule of Levenberg and Marquardt for the damping (Martens and Grosse 2015, 6.5).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LevenbergMarquardt<T> {
    /// omega in (0, 1), e.g. 0.95.
    pub decay: T,
    /// The steps between two adaptations, at least 1, e.g. 5: the damping changes by omega^interval.
    pub interval: u64,
    /// The reduction ratio below which the damping grows, e.g. 0.25.
    pub lower: T,
    /// The reduction ratio above which it shrinks, at least `lower`, e.g. 0.75.
    pub upper: T,
    /// The least damping, at least 0.
    pub least: T,
    /// The greatest damping, at least `least`.
    pub greatest: T,
}

impl<T: Real> Sgd<T> {
    fn check(&self) -> Result<(), Failure> {
        domain(self.learning_rate.is_finite(), RATE)?;
        domain(fading(self.momentum), "momentum must be in [0, 1)")?;
        domain(self.weight_decay.is_finite(), DECAY)
    }
}

impl<T: Real> Adam<T> {
    fn check(&self) -> Result<(), Failure> {
        domain(self.learning_rate.is_finite(), RATE)?;
        domain(fading(self.beta1), "beta1 must be in [0, 1)")?;
        domain(fading(self.beta2), "beta2 must be in [0, 1)")?;
        domain(positive(self.epsilon), "epsilon must be finite and >= 0")?;
        domain(self.weight_decay.is_finite(), DECAY)
    }
}

impl<T: Real> Schedule<T> {
    fn check(&self, kind: ScheduleKind) -> Result<(), Failure> {
        domain(self.base.is_finite(), "base must be finite")?;
        let constant = kind == ScheduleKind::Constant;
        domain(constant || positive(self.factor), "factor must be finite and >= 0")
    }
}

impl<T: Real> LevenbergMarquardt<T> {
    fn check(&self) -> Result<(), Failure> {
        let Self { decay, interval, lower, upper, least, greatest } = *self;
        domain(decay > T::ZERO && decay < T::ONE, "decay must be in (0, 1)")?;
        domain(interval > 0, "interval must be at least 1")?;
        let thresholds = lower.is_finite() && upper.is_finite() && lower <= upper;
        domain(thresholds, "lower and upper must be finite, lower <= upper")?;
        let range = positive(least) && greatest.is_finite() && least <= greatest;
        domain(range, "least and greatest must be finite, 0 <= least <= greatest")
    }
}

options! {
    Sgd => optim::Sgd<T>, |o| {
        o.check()?;
        optim::Sgd {
            learning_rate: o.learning_rate,
            momentum: o.momentum,
            form: match Momentum::read(o.form)? {
                Momentum::HeavyBall => optim::Momentum::HeavyBall,
                Momentum::Nesterov => optim::Momentum::Nesterov,
            },
            weight_decay: o.weight_decay,
        }
    };
    Adam => (T, optim::Adam<T>), |o| {
        o.check()?;
        let weight_decay = match DecayForm::read(o.decay_form)? {
            DecayForm::L2 => optim::WeightDecay::L2(o.weight_decay),
            DecayForm::Decoupled => optim::WeightDecay::Decoupled(o.weight_decay),
        };
        let (beta1, beta2, epsilon) = (o.beta1, o.beta2, o.epsilon);
        (o.learning_rate, optim::Adam { beta1, beta2, epsilon, weight_decay })
    };
    Schedule => optim::Schedule<T>, |o| {
        let kind = ScheduleKind::read(o.kind)?;
        o.check(kind)?;
        let decay = match kind {
            ScheduleKind::Constant => optim::Decay::Constant,
            ScheduleKind::Step => optim::Decay::Step { every: o.steps, factor: o.factor },
            ScheduleKind::Exponential => optim::Decay::Exponential { factor: o.factor },
            ScheduleKind::Cosine => optim::Decay::Cosine { total: o.steps, floor: o.factor },
        };
        optim::Schedule { base: o.base, warm_up: o.warm_up, decay }
    };
    LevenbergMarquardt => optim::LevenbergMarquardt<T>, |o| {
        o.check()?;
        let Self { decay, interval, lower, upper, least, greatest } = o;
        optim::LevenbergMarquardt { decay, interval, lower, upper, least, greatest }
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
        domain(learning_rate.is_finite(), RATE)?;
        Ok(optim::descend(theta, direction, learning_rate)?)
    }

    /// `gradient <- gradient + decay theta`. `gradient` is read.
    fn add_weight_decay(gradient: SliceMut, theta: Slice, decay: Scalar) {
        domain(decay.is_finite(), "decay must be finite")?;
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

    /// `average <- keep average + (1 - keep) sample`. `average` is read unless `keep` is 0; `keep` is
    /// in [0, 1].
    fn ema_update(average: SliceMut, sample: Slice, keep: Scalar) {
        domain(keep >= T::ZERO && keep <= T::ONE, "keep must be in [0, 1]")?;
        Ok(optim::ema_update(average, sample, keep)?)
    }

    /// `out <- min(decay, 1 - 1/(index + 1))`: the weight of the past at update `index` (from 0), a plain
    /// mean at first. `decay` is in [0, 1).
    fn ema_keep(out: Out, decay: Scalar, index: Step) {
        domain(fading(decay), "decay must be in [0, 1)")?;
        *out = optim::ema_keep(decay, index);
        Ok(())
    }

    /// `out <- a^T b` in a fixed order.
    fn inner_product(out: Out, a: Slice, b: Slice) {
        *out = optim::inner_product(a, b)?;
        Ok(())
    }

    /// `out <- min(1, sqrt(bound/(learning_rate^2 curvature)))`: the factor that keeps a step within a
    /// Kullback-Leibler bound; `curvature` is v^T F v of the direction v; where it is NaN, so is the
    /// result. The bound is at least 0.
    fn kl_clip(out: Out, learning_rate: Scalar, curvature: Scalar, bound: Scalar) {
        domain(learning_rate.is_finite(), RATE)?;
        domain(bound >= T::ZERO, "bound must be >= 0")?;
        *out = optim::kl_clip(learning_rate, curvature, bound);
        Ok(())
    }

    /// `out <- min(1, bound/norm)`, NaN for a norm that is NaN. The bound is at least 0.
    fn norm_clip(out: Out, norm: Scalar, bound: Scalar) {
        domain(bound >= T::ZERO, "bound must be >= 0")?;
        *out = optim::norm_clip(norm, bound);
        Ok(())
    }

    /// `out <- (after - before)/predicted`: the reduction of the loss over that of the quadratic model;
    /// NaN where the model promised nothing (`predicted` is 0).
    fn reduction_ratio(out: Out, before: Scalar, after: Scalar, predicted: Scalar) {
        *out = optim::reduction_ratio(before, after, predicted);
        Ok(())
    }

    /// `out <- ` the next damping after a step with the reduction ratio `ratio`; it grows where the ratio is
    /// NaN. The damping is finite and at least 0.
    fn adapt_damping(out: Out, damping: Scalar, ratio: Scalar, rule: LevenbergMarquardt) {
        domain(positive(damping), "damping must be finite and >= 0")?;
        *out = rule.adapt(damping, ratio);
        Ok(())
    }

    /// `out <- ` the learning rate of step `index` (from 0).
    fn schedule_rate(out: Out, index: Step, schedule: Schedule) {
        *out = schedule.rate(index);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    type Rates = fn(&mut Sgd<f64>);
    type Moments = fn(&mut Adam<f64>);
    type Falls = fn(&mut Schedule<f64>);
    type Thresholds = fn(&mut LevenbergMarquardt<f64>);

    const SGD: Sgd<f64> = Sgd { learning_rate: 0.5, momentum: 0.5, weight_decay: 0.0, form: 0 };
    const ADAM: Adam<f64> = Adam {
        learning_rate: 0.5,
        beta1: 0.0,
        beta2: 0.5,
        epsilon: 0.0,
        weight_decay: 0.0,
        decay_form: 0,
    };
    const STEP: Schedule<f64> = Schedule { kind: 1, warm_up: 0, steps: 2, base: 1.0, factor: 0.5 };
    const RULE: LevenbergMarquardt<f64> = LevenbergMarquardt {
        decay: 0.5,
        interval: 1,
        lower: 0.25,
        upper: 0.75,
        least: 0.0,
        greatest: 8.0,
    };

    fn vector(data: &[f64]) -> Slice<f64> {
        Slice { data: data.as_ptr(), len: data.len() }
    }

    fn output(data: &mut [f64]) -> SliceMut<f64> {
        SliceMut { data: data.as_mut_ptr(), len: data.len() }
    }

    /// Status and parameter of a step by these rules.
    fn sgd(rule: Sgd<f64>) -> (Status, [f64; 1]) {
        let (mut theta, mut velocity) = ([1.0], [0.0]);
        let (t, v) = (output(&mut theta), output(&mut velocity));
        // SAFETY: memory of the test, no detail.
        let status = unsafe { sgd_step::double(t, v, vector(&[1.0]), rule, core::ptr::null_mut()) };
        (status, theta)
    }

    fn adam(rule: Adam<f64>) -> (Status, [f64; 1]) {
        let (mut theta, mut first, mut second) = ([1.0], [0.0], [0.0]);
        let (t, m, v) = (output(&mut theta), output(&mut first), output(&mut second));
        // SAFETY: as above.
        let status =
            unsafe { adam_step::double(t, m, v, vector(&[1.0]), 0, rule, core::ptr::null_mut()) };
        (status, theta)
    }

    /// Status and result of a function of numbers.
    fn number(call: impl FnOnce(*mut f64) -> Status) -> (Status, f64) {
        let mut out = -7.0;
        (call(&mut out), out)
    }

    #[test]
    fn step_rules_outside_their_domains_write_nothing() {
        assert_eq!(sgd(SGD), (Status::Ok, [0.5]));
        let wrong: [Rates; 6] = [
            |r| r.learning_rate = f64::NAN,
            |r| r.momentum = 1.0,
            |r| r.momentum = -0.1,
            |r| r.momentum = f64::NAN,
            |r| r.weight_decay = f64::INFINITY,
            |r| r.form = 2,
        ];
        for (k, change) in wrong.iter().enumerate() {
            let mut rule = SGD;
            change(&mut rule);
            assert_eq!(sgd(rule), (Status::Parameter, [1.0]), "sgd {k}");
        }
        assert_eq!(adam(ADAM), (Status::Ok, [0.5]));
        let wrong: [Moments; 7] = [
            |r| r.learning_rate = f64::INFINITY,
            |r| r.beta1 = 1.0,
            |r| r.beta2 = 1.0,
            |r| r.beta2 = f64::NAN,
            |r| r.epsilon = -1e-8,
            |r| r.weight_decay = f64::NAN,
            |r| r.decay_form = 2,
        ];
        for (k, change) in wrong.iter().enumerate() {
            let mut rule = ADAM;
            change(&mut rule);
            assert_eq!(adam(rule), (Status::Parameter, [1.0]), "adam {k}");
        }
    }

    #[test]
    fn rates_and_dampings_outside_their_domains_are_refused() {
        let null = core::ptr::null_mut();
        // SAFETY: the place is a local, there is no detail.
        let rate = |s| number(|out| unsafe { schedule_rate::double(out, 2, s, null) });
        assert_eq!(rate(STEP), (Status::Ok, 0.5));
        assert_eq!(rate(Schedule { kind: 0, factor: f64::NAN, ..STEP }), (Status::Ok, 1.0));
        let wrong: [Falls; 4] =
            [|s| s.base = f64::NAN, |s| s.factor = -0.5, |s| s.factor = f64::NAN, |s| s.kind = 4];
        for (k, change) in wrong.iter().enumerate() {
            let mut schedule = STEP;
            change(&mut schedule);
            assert_eq!(rate(schedule), (Status::Parameter, -7.0), "schedule {k}");
        }
        let adapt = |damping, rule| {
            // SAFETY: the place is a local, there is no detail.
            number(|out| unsafe { adapt_damping::double(out, damping, f64::NAN, rule, null) })
        };
        assert_eq!(adapt(1.0, RULE), (Status::Ok, 2.0));
        let wrong: [Thresholds; 8] = [
            |r| r.decay = 1.0,
            |r| r.decay = 0.0,
            |r| r.interval = 0,
            |r| r.lower = 0.8,
            |r| r.upper = f64::NAN,
            |r| r.least = -1.0,
            |r| r.greatest = f64::INFINITY,
            |r| r.least = 9.0,
        ];
        for (k, change) in wrong.iter().enumerate() {
            let mut rule = RULE;
            change(&mut rule);
            assert_eq!(adapt(1.0, rule), (Status::Parameter, -7.0), "rule {k}");
        }
        for damping in [f64::NAN, -1.0, f64::INFINITY] {
            assert_eq!(adapt(damping, RULE).0, Status::Parameter, "{damping}");
        }
        let kl = |rate, bound| {
            // SAFETY: the place is a local, there is no detail.
            number(|out| unsafe { kl_clip::double(out, rate, 4.0, bound, null) })
        };
        assert_eq!((kl(1.0, 1.0), kl(1.0, 0.0)), ((Status::Ok, 0.5), (Status::Ok, 0.0)));
        assert_eq!((kl(f64::NAN, 1.0).0, kl(1.0, -1.0).0), (Status::Parameter, Status::Parameter));
        // SAFETY: the place is a local, there is no detail.
        let norm = |bound| number(|out| unsafe { norm_clip::double(out, 4.0, bound, null) });
        assert_eq!((norm(1.0), norm(0.0)), ((Status::Ok, 0.25), (Status::Ok, 0.0)));
        assert_eq!((norm(-1.0).0, norm(f64::NAN).0), (Status::Parameter, Status::Parameter));
        // SAFETY: the place is a local, there is no detail.
        let keep = |decay| number(|out| unsafe { ema_keep::double(out, decay, 9, null) });
        assert_eq!((keep(0.5), keep(1.0).0), ((Status::Ok, 0.5), Status::Parameter));
        for weight in [2.0, -1.0, f64::NAN] {
            let mut average = [3.0];
            let of = output(&mut average);
            // SAFETY: as above.
            let status = unsafe { ema_update::double(of, vector(&[1.0]), weight, null) };
            assert_eq!((status, average), (Status::Parameter, [3.0]), "{weight}");
        }
    }

    #[test]
    fn a_shape_outside_its_buffer_names_its_argument() {
        use crate::argument::{Matrix, MatrixMut};
        let (input, mut result) = ([1.0; 4], [0.0; 4]);
        let mut detail = core::mem::MaybeUninit::uninit();
        let (whole, rows) = (4, 2);
        let short =
            |len| Matrix { data: input.as_ptr(), len, rows, cols: 2, row_stride: 2, col_stride: 1 };
        let out = MatrixMut {
            data: result.as_mut_ptr(),
            len: whole,
            rows,
            cols: 2,
            row_stride: 2,
            col_stride: 1,
        };
        let (a, b) = (short(whole), short(3));
        // SAFETY: memory of the test.
        let status = unsafe { crate::blas::gemm::double(out, a, b, 0.0, 1.0, detail.as_mut_ptr()) };
        // SAFETY: the call filled it.
        let detail = unsafe { detail.assume_init() };
        // SAFETY: one of the library's texts.
        let what = unsafe { core::slice::from_raw_parts(detail.what.cast(), detail.what_len) };
        assert_eq!((status, what), (Status::Layout, b"b".as_slice()));
    }
}
