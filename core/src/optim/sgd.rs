//! Stochastic gradient descent with (Nesterov) momentum, and the same rule on a preconditioned
//! direction.

use crate::error::check_len;
use crate::{Error, Real};

/// How past directions enter the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Momentum {
    /// `v ← μv + d`, `θ ← θ − γv` (B. T. Polyak, 1964).
    #[default]
    HeavyBall,
    /// `v ← μv + d`, `θ ← θ − γ(d + μv)` (Y. Nesterov, 1983; I. Sutskever et al., 2013).
    Nesterov,
}

/// The scalars of one step: rate γ, momentum μ, L2 weight decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd<T> {
    /// γ.
    pub learning_rate: T,
    /// μ ∈ [0, 1); 0 is plain descent (the velocity is still written).
    pub momentum: T,
    /// The form of the momentum.
    pub form: Momentum,
    /// The factor of θ that is added to the gradient.
    pub weight_decay: T,
}

impl<T: Real> Sgd<T> {
    /// One step on a slice: `d = g + decay·θ`, then as [`Momentum`] says. For natural gradients pass
    /// the preconditioned direction as `gradient` and no weight decay (add it before: [`add_weight_decay`]).
    ///
    /// ```
    /// use relfisher_core::optim::{Momentum, Sgd};
    /// let rule = Sgd { learning_rate: 0.5, momentum: 0.5, form: Momentum::HeavyBall, weight_decay: 0.0 };
    /// let (mut theta, mut velocity) = ([1.0], [2.0]);
    /// rule.step(&mut theta, &mut velocity, &[1.0])?;
    /// assert_eq!((theta, velocity), ([0.0], [2.0]));
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] when the slices differ in length.
    #[inline(always)]
    pub fn step(&self, theta: &mut [T], velocity: &mut [T], gradient: &[T]) -> Result<(), Error> {
        check_len("sgd: velocity", theta.len(), velocity.len())?;
        check_len("sgd: gradient", theta.len(), gradient.len())?;
        let (rate, momentum, decay) = (self.learning_rate, self.momentum, self.weight_decay);
        let elements = theta.iter_mut().zip(velocity).zip(gradient);
        match self.form {
            Momentum::HeavyBall => {
                for ((t, v), g) in elements {
                    let next = momentum * *v + (*g + decay * *t);
                    *v = next;
                    *t -= rate * next;
                }
            }
            Momentum::Nesterov => {
                for ((t, v), g) in elements {
                    let d = *g + decay * *t;
                    let next = momentum * *v + d;
                    *v = next;
                    *t -= rate * (d + momentum * next);
                }
            }
        }
        Ok(())
    }
}

/// `θ ← θ − γ d`.
///
/// # Errors
/// [`Error::Shape`].
/// ```
/// use relfisher_core::optim::{add_weight_decay, descend};
/// let (mut theta, mut gradient) = ([1.0, 2.0], [0.5, 0.0]);
/// add_weight_decay(&mut gradient, &theta, 0.25)?;
/// assert_eq!(gradient, [0.75, 0.5]);
/// descend(&mut theta, &gradient, 2.0)?;
/// assert_eq!(theta, [-0.5, 1.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn descend<T: Real>(theta: &mut [T], direction: &[T], learning_rate: T) -> Result<(), Error> {
    check_len("descend: direction", theta.len(), direction.len())?;
    for (t, d) in theta.iter_mut().zip(direction) {
        *t -= learning_rate * *d;
    }
    Ok(())
}

/// `g ← g + decay·θ`: the gradient of the loss with `½ decay ‖θ‖²` added.
///
/// # Errors
/// [`Error::Shape`].
#[inline(always)]
pub fn add_weight_decay<T: Real>(gradient: &mut [T], theta: &[T], decay: T) -> Result<(), Error> {
    check_len("add_weight_decay: theta", gradient.len(), theta.len())?;
    for (g, t) in gradient.iter_mut().zip(theta) {
        *g += decay * *t;
    }
    Ok(())
}
