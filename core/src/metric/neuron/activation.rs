//! The public face of [`Activation`]: a choice of function, made outside the loop.

use super::elu::Elu;
use super::linear::Linear;
use super::relu::Relu;
use super::sigm::Sigm;
use super::tanh::Tanh;
use super::{Activation, Function, check_alpha, check_leak, map};
use crate::error::check_len;
use crate::{Error, Real};

/// Evaluates `$body` with `$f` bound to the prepared function of an activation.
macro_rules! with_function {
    ($activation:expr, $f:ident => $body:expr) => {
        match $activation {
            Activation::Linear => {
                let $f = Linear;
                $body
            }
            Activation::Tanh => {
                let $f = Tanh;
                $body
            }
            Activation::Sigm => {
                let $f = Sigm;
                $body
            }
            Activation::Relu { leak } => {
                let $f = Relu { leak };
                $body
            }
            Activation::Elu { alpha } => {
                let $f = Elu { alpha };
                $body
            }
        }
    };
}

impl<T: Real> Activation<T> {
    /// Whether the parameters lie in their domains.
    ///
    /// # Errors
    /// [`Error::Parameter`]: leak outside [0, 1), alpha negative or not finite.
    #[inline]
    pub fn check(&self) -> Result<(), Error> {
        match *self {
            Activation::Linear | Activation::Tanh | Activation::Sigm => Ok(()),
            Activation::Relu { leak } => check_leak(leak),
            Activation::Elu { alpha } => check_alpha(alpha),
        }
    }

    /// f(t). Parameters are not checked.
    #[inline(always)]
    pub fn value(&self, t: T) -> T {
        with_function!(*self, f => f.value(t))
    }

    /// f′(t), the derivative of back-propagation: relu′(0) = leak, which is 0 for the plain relu.
    #[inline(always)]
    pub fn derivative(&self, t: T) -> T {
        with_function!(*self, f => f.derivative(t))
    }

    /// f″(t); relu″ = 0 everywhere.
    #[inline(always)]
    pub fn second_derivative(&self, t: T) -> T {
        with_function!(*self, f => f.second_derivative(t))
    }

    /// `out[i] ← f(t[i])`. `out` may hold NaN on entry.
    ///
    /// # Errors
    /// [`Error::Shape`] when the lengths differ; [`Error::Parameter`] as [`Activation::check`].
    ///
    /// ```
    /// use relfisher_core::metric::neuron::Activation;
    /// let mut a = [0.0_f32; 2];
    /// Activation::Elu { alpha: 1.0 }.value_slice(&mut a, &[f32::MIN, 2.0])?;
    /// assert_eq!(a, [-1.0, 2.0]);
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    #[inline(always)]
    pub fn value_slice(&self, out: &mut [T], t: &[T]) -> Result<(), Error> {
        self.check()?;
        with_function!(*self, f => map(out, t, #[inline(always)] |x| f.value(x)))
    }

    /// `out[i] ← f′(t[i])`. `out` may hold NaN on entry.
    ///
    /// # Errors
    /// As [`Activation::value_slice`].
    #[inline(always)]
    pub fn derivative_slice(&self, out: &mut [T], t: &[T]) -> Result<(), Error> {
        self.check()?;
        with_function!(*self, f => map(out, t, #[inline(always)] |x| f.derivative(x)))
    }

    /// `out[i] ← f″(t[i])`. `out` may hold NaN on entry.
    ///
    /// # Errors
    /// As [`Activation::value_slice`].
    #[inline(always)]
    pub fn second_derivative_slice(&self, out: &mut [T], t: &[T]) -> Result<(), Error> {
        self.check()?;
        with_function!(*self, f => map(out, t, #[inline(always)] |x| f.second_derivative(x)))
    }

    /// `delta[i] ← delta[i] · f′(t[i])`: the element-wise part of back-propagation.
    ///
    /// # Errors
    /// As [`Activation::value_slice`].
    #[inline(always)]
    pub fn backward_slice(&self, delta: &mut [T], t: &[T]) -> Result<(), Error> {
        self.check()?;
        check_len("delta of an activation", t.len(), delta.len())?;
        with_function!(*self, f => {
            for (d, x) in delta.iter_mut().zip(t) {
                *d *= f.derivative(*x);
            }
        });
        Ok(())
    }
}
