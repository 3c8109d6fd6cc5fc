//! Adam, with weight decay in the gradient or apart from it.

use crate::error::check_len;
use crate::{Error, Real};

/// Where weight decay enters.
/// ```
/// use relfisher_core::optim::{Adam, AdamStep, WeightDecay};
/// let rule = Adam { weight_decay: WeightDecay::Decoupled(0.5), ..Adam::default() };
/// let first: AdamStep<f64> = rule.at(0.5, 0);
/// let (mut theta, mut m, mut v) = ([4.0], [0.0], [0.0]);
/// first.step(&mut theta, &mut m, &mut v, &[0.0])?;
/// assert_eq!(theta, [3.0]); // 4 − ½ · ½ · 4
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WeightDecay<T> {
    /// `g ← g + decay·θ`.
    L2(T),
    /// `θ ← θ − γ·decay·θ`, apart from the adaptive step (I. Loshchilov, F. Hutter, 2019).
    Decoupled(T),
}

/// The hyper-parameters of Adam (D. P. Kingma, J. Ba, 2015).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam<T> {
    /// β₁, the weight of the past in the first moment.
    pub beta1: T,
    /// β₂, the weight of the past in the second moment.
    pub beta2: T,
    /// ε, added to the root of the second moment.
    pub epsilon: T,
    /// Weight decay.
    pub weight_decay: WeightDecay<T>,
}

impl<T: Real> Default for Adam<T> {
    /// β₁ = 0.9, β₂ = 0.999, ε = 10⁻⁸, no weight decay.
    fn default() -> Self {
        Self {
            beta1: T::from_f64(0.9),
            beta2: T::from_f64(0.999),
            epsilon: T::from_f64(1e-8),
            weight_decay: WeightDecay::L2(T::ZERO),
        }
    }
}

/// The scalars of one step, the same for all its slices. Its layout is fixed: GPU kernels take it by
/// value.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep<T> {
    /// The hyper-parameters.
    pub rule: Adam<T>,
    /// γ.
    pub learning_rate: T,
    /// γ/(1 − β₁ᵗ).
    pub rate: T,
    /// 1/√(1 − β₂ᵗ).
    pub scale: T,
}

impl<T: Real> Adam<T> {
    /// The scalars of step t = `index` + 1 (`index` counts from 0).
    /// ```
    /// use relfisher_core::optim::Adam;
    /// let rule = Adam { beta1: 0.5, beta2: 0.75, ..Adam::default() };
    /// let first = rule.at(0.1, 0);
    /// assert_eq!((first.rate, first.scale), (0.2, 2.0)); // 0.1/(1 − ½), 1/√(1 − ¾)
    /// ```
    pub fn at(&self, learning_rate: T, index: u64) -> AdamStep<T> {
        let t = index.saturating_add(1);
        let first = T::ONE - power(self.beta1, t);
        let second = T::ONE - power(self.beta2, t);
        AdamStep {
            rule: *self,
            learning_rate,
            rate: learning_rate / first,
            scale: T::ONE / second.sqrt(),
        }
    }
}

impl<T: Real> AdamStep<T> {
    /// One step on a slice: `m ← β₁m + (1 − β₁)g`, `v ← β₂v + (1 − β₂)g²`,
    /// `θ ← θ − γ m̂/(√v̂ + ε)` with the bias-corrected moments.
    ///
    /// ```
    /// use relfisher_core::optim::Adam;
    /// let (mut theta, mut m, mut v) = ([0.0f64], [0.0], [0.0]);
    /// Adam::default().at(0.1, 0).step(&mut theta, &mut m, &mut v, &[3.0])?;
    /// assert!((theta[0] + 0.1).abs() < 1e-8); // the first step has length γ
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] when the slices differ in length.
    #[inline(always)]
    pub fn step(
        &self,
        theta: &mut [T],
        first: &mut [T],
        second: &mut [T],
        gradient: &[T],
    ) -> Result<(), Error> {
        check_len("adam: first moment", theta.len(), first.len())?;
        check_len("adam: second moment", theta.len(), second.len())?;
        check_len("adam: gradient", theta.len(), gradient.len())?;
        let (l2, shrink) = match self.rule.weight_decay {
            WeightDecay::L2(decay) => (decay, T::ZERO),
            WeightDecay::Decoupled(decay) => (T::ZERO, self.learning_rate * decay),
        };
        let Adam { beta1, beta2, epsilon, .. } = self.rule;
        let (fresh1, fresh2) = (T::ONE - beta1, T::ONE - beta2);
        let (rate, scale) = (self.rate, self.scale);
        for (((t, m), v), g) in theta.iter_mut().zip(first).zip(second).zip(gradient) {
            let g = *g + l2 * *t;
            let mean = beta1 * *m + fresh1 * g;
            let square = beta2 * *v + fresh2 * (g * g);
            *m = mean;
            *v = square;
            *t = (*t - shrink * *t) - rate * mean / (square.sqrt() * scale + epsilon);
        }
        Ok(())
    }
}

/// xᵏ by repeated squaring.
pub(super) fn power<T: Real>(x: T, mut k: u64) -> T {
    let (mut result, mut base) = (T::ONE, x);
    while k > 0 {
        if k & 1 == 1 {
            result *= base;
        }
        base *= base;
        k >>= 1;
    }
    result
}
