//! Update rules in f64, one number after the other.

use super::close;
use relfisher::Scalar;

/// A rule with its settings.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// v ← μ v + d, θ ← θ − γ v, d the gradient with L2 or a direction.
    Momentum {
        /// μ.
        momentum: f64,
    },
    /// Adam with bias-corrected moments.
    Adam {
        /// β₁.
        beta1: f64,
        /// β₂.
        beta2: f64,
        /// ε.
        epsilon: f64,
    },
}

/// Parameters and up to two moments.
#[derive(Clone, Debug)]
pub struct Update {
    /// θ.
    pub theta: Vec<f64>,
    /// v, or the first moment.
    pub first: Vec<f64>,
    /// The second moment, of Adam.
    pub second: Vec<f64>,
}

impl Update {
    /// Moves along `direction`, the step after `steps` others, at the rate γ.
    pub fn step(&mut self, rule: Rule, rate: f64, steps: u64, direction: &[f64]) {
        let (second, power) = (&mut self.second, steps as i32 + 1);
        for (i, d) in direction.iter().enumerate() {
            let (theta, first) = (&mut self.theta[i], &mut self.first[i]);
            match rule {
                Rule::Momentum { momentum } => {
                    *first = momentum * *first + d;
                    *theta -= rate * *first;
                }
                Rule::Adam { beta1, beta2, epsilon } => {
                    *first = beta1 * *first + (1.0 - beta1) * d;
                    second[i] = beta2 * second[i] + (1.0 - beta2) * d * d;
                    let mean = *first / (1.0 - beta1.powi(power));
                    let square = second[i] / (1.0 - beta2.powi(power));
                    *theta -= rate * mean / (square.sqrt() + epsilon);
                }
            }
        }
    }

    /// Whether parameters and moments are these: the moments as [`close`], θ to two roundings and the
    /// same part of the largest change since `before`.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check<T: Scalar>(
        &self,
        got: &Self,
        before: &[f64],
        tolerance: f64,
    ) -> Result<(), String> {
        close::<T>("the first moment", &got.first, &self.first, tolerance)?;
        close::<T>("the second moment", &got.second, &self.second, 2.0 * tolerance)?;
        let changes = self.theta.iter().zip(before).map(|(t, b)| (t - b).abs());
        let slack = tolerance * T::EPSILON.to_f64() * changes.fold(0.0, f64::max);
        for (i, (got, want)) in got.theta.iter().zip(&self.theta).enumerate() {
            let error = (got - want).abs();
            if error.is_nan() || error > 2.0 * T::EPSILON.to_f64() * want.abs() + slack {
                return Err(format!("parameter {i} is {got:e}, not {want:e}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Rule, Update};

    fn start() -> Update {
        Update { theta: vec![1.0], first: vec![0.0], second: vec![0.0] }
    }

    #[test]
    fn rules_by_hand() {
        let mut heavy = start();
        heavy.step(Rule::Momentum { momentum: 0.5 }, 0.1, 0, &[2.0]);
        heavy.step(Rule::Momentum { momentum: 0.5 }, 0.1, 1, &[2.0]);
        assert!((heavy.theta[0] - (1.0 - 0.2 - 0.3)).abs() < 1e-15 && heavy.first[0] == 3.0);
        // a constant gradient: every step of Adam has the length γ
        let mut adam = start();
        let rule = Rule::Adam { beta1: 0.9, beta2: 0.999, epsilon: 0.0 };
        adam.step(rule, 0.1, 0, &[2.0]);
        adam.step(rule, 0.1, 1, &[2.0]);
        assert!((adam.theta[0] - 0.8).abs() < 1e-12, "{adam:?}");
    }

    #[test]
    fn a_step_that_was_not_made_is_found() {
        let before = start();
        let mut want = start();
        want.step(Rule::Momentum { momentum: 0.0 }, 1e-6, 0, &[1.0]);
        assert!(want.check::<f32>(&want.clone(), &before.theta, 100.0).is_ok());
        let still = Update { theta: before.theta.clone(), ..want.clone() };
        assert!(want.check::<f32>(&still, &before.theta, 100.0).is_err());
        let forgotten = Update { first: vec![0.0], ..want.clone() };
        assert!(want.check::<f32>(&forgotten, &before.theta, 100.0).is_err());
    }
}
