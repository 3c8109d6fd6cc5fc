//! Element-wise work: activations, ν, soft-max, update rules.

use relfisher_core::Error as CoreError;
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::optim::{AdamStep, Momentum, Sgd};
use relfisher_kernels::body::{elementwise, softmax};
use relfisher_kernels::contract::{AdamScalars, Classes, Neurons, SgdScalars, Targets};

use super::product::{names, plain};
use super::{Error, Gpu, View, ViewMut};
use crate::Scalar;

/// Blocks of a launch over `count` elements; a grid's first side may have 2³¹ − 1.
pub(super) fn chunks(count: usize, each: u32) -> Result<[u32; 3], CoreError> {
    let blocks = (count as u64).div_ceil(u64::from(each));
    match u32::try_from(blocks) {
        Ok(blocks) if blocks < 1 << 31 => Ok([blocks, 1, 1]),
        _ => Err(CoreError::Shape {
            what: "elements of a launch",
            expected: (1 << 31) * each as usize,
            found: count,
        }),
    }
}

pub(super) fn lengths(
    what: &'static str,
    expected: usize,
    found: &[usize],
) -> Result<(), CoreError> {
    match found.iter().find(|len| **len != expected) {
        Some(&found) => Err(CoreError::Shape { what, expected, found }),
        None => Ok(()),
    }
}

/// A loss of outputs that are numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueLoss<T> {
    /// w Σ (z − y)².
    SquaredError {
        /// w.
        weight: T,
    },
    /// −ln of the probability of Bernoulli outputs.
    BinaryCrossEntropy,
}

impl Gpu {
    /// `a ← f(t)`, `slope ← f′(t)`, element by element.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn activate<T: Scalar>(
        &self,
        a: ViewMut<'_, T>,
        slope: ViewMut<'_, T>,
        t: View<'_, T>,
        f: Activation<T>,
    ) -> Result<(), Error> {
        let count = t.len();
        lengths("activate", count, &[a.len(), slope.len()])?;
        let launch = self.kernel(plain::<T>(names!("activate")))?.write(&a).write(&slope).read(t);
        let launch = launch.value(&Neurons::activated(f, count as u64));
        // SAFETY: equal lengths, as counted.
        unsafe { launch.over(chunks(count, elementwise::CHUNK)?) }
    }

    /// `ν ← ν(t)`, element by element.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn response_nu<T: Scalar>(
        &self,
        nu: ViewMut<'_, T>,
        t: View<'_, T>,
        response: Response<T>,
    ) -> Result<(), Error> {
        let count = t.len();
        lengths("response_nu", count, &[nu.len()])?;
        let launch = self.kernel(plain::<T>(names!("nu")))?.write(&nu).read(t);
        let launch = launch.value(&Neurons::responding(response, count as u64));
        // SAFETY: equal lengths, as counted.
        unsafe { launch.over(chunks(count, elementwise::CHUNK)?) }
    }

    /// `η_s ← softmax(f_s)`, `δ_s ← scale·(η_s − e_y)`, `loss_s ← −ln η_s[y]` for every row. Shapes: η, δ, f n·C,
    /// loss and labels n; labels below C.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn softmax<T: Scalar>(
        &self,
        [eta, delta, loss]: [ViewMut<'_, T>; 3],
        logits: View<'_, T>,
        labels: View<'_, u32>,
        scale: T,
    ) -> Result<(), Error> {
        let (n, count) = (labels.len(), logits.len());
        let classes = count.checked_div(n).unwrap_or(0);
        lengths("softmax", classes * n, &[count, eta.len(), delta.len()])?;
        lengths("softmax: losses", n, &[loss.len()])?;
        let (Ok(samples), Ok(classes)) = (u32::try_from(n), u32::try_from(classes)) else {
            return Err(CoreError::Layout { what: "softmax" }.into());
        };
        let launch = self.kernel(plain::<T>(names!("softmax")))?;
        let launch = launch.write(&eta).write(&delta).write(&loss).read(logits).read(labels);
        let launch = launch.value(&Classes { samples, classes, scale });
        // SAFETY: lengths were checked; a label beyond the classes is the caller's, and is checked
        // where labels are uploaded.
        unsafe { launch.over(chunks(n, softmax::ROWS)?) }
    }

    /// The losses and gradients of outputs that are numbers: `loss_s ← w Σ_c (z − y)²` and `δ ← 2w(z − y)`, or for
    /// Bernoulli outputs given as logits `loss_s ← Σ_c ln(1 + eᶻ) − yz` and `δ ← sigm z − y`. Shapes: δ, z and y
    /// n·C, loss n.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn value_loss<T: Scalar>(
        &self,
        [delta, loss]: [ViewMut<'_, T>; 2],
        outputs: View<'_, T>,
        targets: View<'_, T>,
        loss_kind: ValueLoss<T>,
    ) -> Result<(), Error> {
        let n = loss.len();
        let c = outputs.len().checked_div(n).unwrap_or(0);
        lengths("value_loss", n * c, &[outputs.len(), targets.len(), delta.len()])?;
        let (Ok(samples), Ok(count)) = (u32::try_from(n), u32::try_from(c)) else {
            return Err(CoreError::Layout { what: "value_loss" }.into());
        };
        let (name, weight) = match loss_kind {
            ValueLoss::SquaredError { weight } => (names!("mse"), weight),
            ValueLoss::BinaryCrossEntropy => (names!("binary_cross_entropy"), T::ONE),
        };
        let scalars = Targets { samples, outputs: count, weight, scale: T::ONE };
        let launch = self.kernel(plain::<T>(name))?.write(&delta).write(&loss);
        let launch = launch.read(outputs).read(targets).value(&scalars);
        // SAFETY: lengths were checked.
        unsafe { launch.over(chunks(n, softmax::ROWS)?) }
    }

    /// One step of [`Sgd`]: `θ`, `v` and the gradient have one length.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn sgd<T: Scalar>(
        &self,
        theta: ViewMut<'_, T>,
        velocity: ViewMut<'_, T>,
        gradient: View<'_, T>,
        rule: Sgd<T>,
    ) -> Result<(), Error> {
        let count = theta.len();
        lengths("sgd", count, &[velocity.len(), gradient.len()])?;
        let scalars = SgdScalars {
            count: count as u64,
            learning_rate: rule.learning_rate,
            momentum: rule.momentum,
            weight_decay: rule.weight_decay,
            nesterov: u32::from(rule.form == Momentum::Nesterov),
        };
        let launch = self.kernel(plain::<T>(names!("sgd")))?;
        let launch = launch.write(&theta).write(&velocity).read(gradient).value(&scalars);
        // SAFETY: equal lengths, as counted.
        unsafe { launch.over(chunks(count, elementwise::CHUNK)?) }
    }

    /// `θ ← θ − γ v`.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn descend<T: Scalar>(
        &self,
        theta: ViewMut<'_, T>,
        direction: View<'_, T>,
        learning_rate: T,
    ) -> Result<(), Error> {
        let count = theta.len();
        lengths("descend", count, &[direction.len()])?;
        let launch = self.kernel(plain::<T>(names!("descend")))?.write(&theta).read(direction);
        let launch = launch.value(&(count as u64)).value(&learning_rate);
        // SAFETY: equal lengths, as counted.
        unsafe { launch.over(chunks(count, elementwise::CHUNK)?) }
    }

    /// One step of Adam: `θ`, both moments and the gradient have one length.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn adam<T: Scalar>(
        &self,
        theta: ViewMut<'_, T>,
        [first, second]: [ViewMut<'_, T>; 2],
        gradient: View<'_, T>,
        rule: AdamStep<T>,
    ) -> Result<(), Error> {
        let count = theta.len();
        lengths("adam", count, &[first.len(), second.len(), gradient.len()])?;
        let launch = self.kernel(plain::<T>(names!("adam")))?;
        let launch = launch.write(&theta).write(&first).write(&second).read(gradient);
        let launch = launch.value(&AdamScalars { count: count as u64, rule });
        // SAFETY: equal lengths, as counted.
        unsafe { launch.over(chunks(count, elementwise::CHUNK)?) }
    }
}
