//! Learning-rate schedules: pure functions of the step.

use super::adam::power;
use crate::Real;

/// How the rate falls after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay<T> {
    /// It does not.
    Constant,
    /// Times `factor` after every `every` steps (0: never).
    Step {
        /// The steps between two falls.
        every: u64,
        /// What the rate is multiplied by.
        factor: T,
    },
    /// Times `factor` at every step.
    Exponential {
        /// What the rate is multiplied by.
        factor: T,
    },
    /// `floor + (1 − floor)·½(1 + cos(π·step/total))`, `floor` from step `total` on
    /// (I. Loshchilov, F. Hutter, 2017).
    Cosine {
        /// The steps of the fall.
        total: u64,
        /// The last rate, relative to the base.
        floor: T,
    },
}

/// A base rate, a linear warm-up and a decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule<T> {
    /// The rate after the warm-up.
    pub base: T,
    /// The steps of the warm-up: step k < `warm_up` has the rate base·(k + 1)/(warm_up + 1).
    pub warm_up: u64,
    /// The fall, counted from the end of the warm-up.
    pub decay: Decay<T>,
}

impl<T: Real> Schedule<T> {
    /// The same rate at every step.
    /// ```
    /// use relfisher_core::optim::Schedule;
    /// assert_eq!(Schedule::constant(0.1).rate(1000), 0.1);
    /// ```
    pub const fn constant(base: T) -> Self {
        Self { base, warm_up: 0, decay: Decay::Constant }
    }

    /// The rate of a step (counted from 0).
    ///
    /// ```
    /// use relfisher_core::optim::{Decay, Schedule};
    /// let decay = Decay::Cosine { total: 10, floor: 0.0 };
    /// let schedule = Schedule { base: 1.0f64, warm_up: 1, decay };
    /// assert_eq!((schedule.rate(0), schedule.rate(1)), (0.5, 1.0));
    /// assert!((schedule.rate(6) - 0.5).abs() < 1e-15 && schedule.rate(11) == 0.0);
    /// ```
    pub fn rate(&self, step: u64) -> T {
        if step < self.warm_up {
            let part = (step as f64 + 1.0) / (self.warm_up as f64 + 1.0);
            return self.base * T::from_f64(part);
        }
        let step = step.wrapping_sub(self.warm_up);
        match self.decay {
            Decay::Constant => self.base,
            Decay::Step { every, factor } => {
                self.base * power(factor, step.checked_div(every).unwrap_or(0))
            }
            Decay::Exponential { factor } => self.base * power(factor, step),
            Decay::Cosine { total, floor } => {
                let fall = if step >= total {
                    0.0
                } else {
                    0.5 * (1.0 + cos_pi(step as f64 / total as f64))
                };
                self.base * (floor + (T::ONE - floor) * T::from_f64(fall))
            }
        }
    }
}

/// cos πx for x ∈ [0, 1], as −sin π(x − ½): the Taylor polynomial of degree 21, |error| < 10⁻¹⁵.
fn cos_pi(x: f64) -> f64 {
    let y = core::f64::consts::PI * (x - 0.5);
    let square = y * y;
    let mut term = y;
    let mut sum = 0.0;
    for k in 1..=11 {
        sum += term;
        let k = f64::from(k);
        term *= -square / (2.0 * k * (2.0 * k + 1.0));
    }
    -sum
}
