//! Adaptation of the damping λ (Levenberg–Marquardt).

use super::adam::power;
use crate::Real;

/// `ρ = (L(θ + δ) − L(θ)) / (½δᵀCδ + gᵀδ)`: the reduction that a step brought over the one that the
/// quadratic model promised. NaN when the model promised nothing (a denominator of 0): whatever the loss
/// did, it does not speak for the model.
/// ```
/// use relfisher_core::optim::reduction_ratio;
/// assert_eq!(reduction_ratio(2.0, 1.5, -1.0), 0.5); // half of what was promised
/// assert!(reduction_ratio(2.0f64, 2.5, 0.0).is_nan());
/// ```
pub fn reduction_ratio<T: Real>(before: T, after: T, predicted: T) -> T {
    if predicted == T::ZERO { T::NAN } else { (after - before) / predicted }
}

/// The rule of J. Martens and R. Grosse (2015, §6.5), tried every few steps: a good model
/// (ρ > `upper`) lowers λ, a bad one (ρ < `lower`, or NaN) raises it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevenbergMarquardt<T> {
    /// ω ∈ (0, 1): the change of λ for one step.
    pub decay: T,
    /// The steps between two adaptations: λ changes by ω^interval.
    pub interval: u64,
    /// ρ below which λ grows.
    pub lower: T,
    /// ρ above which λ shrinks.
    pub upper: T,
    /// The least λ.
    pub least: T,
    /// The greatest λ.
    pub greatest: T,
}

impl<T: Real> Default for LevenbergMarquardt<T> {
    /// ω = 19/20 every 5 steps, thresholds ¼ and ¾, λ in [10⁻⁸, 10⁸].
    fn default() -> Self {
        Self {
            decay: T::from_f64(0.95),
            interval: 5,
            lower: T::from_f64(0.25),
            upper: T::from_f64(0.75),
            least: T::from_f64(1e-8),
            greatest: T::from_f64(1e8),
        }
    }
}

impl<T: Real> LevenbergMarquardt<T> {
    /// The next λ; of a λ that is NaN, NaN.
    ///
    /// ```
    /// use relfisher_core::optim::LevenbergMarquardt;
    /// let rule = LevenbergMarquardt { interval: 1, decay: 0.5, ..Default::default() };
    /// assert_eq!((rule.adapt(1.0, 0.9), rule.adapt(1.0, 0.5), rule.adapt(1.0, -1.0)), (0.5, 1.0, 2.0));
    /// ```
    pub fn adapt(&self, damping: T, ratio: T) -> T {
        let factor = power(self.decay, self.interval);
        let next = if ratio > self.upper {
            damping * factor
        } else if ratio >= self.lower {
            damping
        } else {
            damping / factor
        };
        if next < self.least {
            self.least
        } else if next > self.greatest {
            self.greatest
        } else {
            next
        }
    }
}
