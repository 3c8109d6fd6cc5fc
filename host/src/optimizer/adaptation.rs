//! Levenberg–Marquardt adaptation of the damping (Martens and Grosse 2015, §6.5).
//!
//! ρ is the fall of the regularised loss L(θ) + ½η‖θ‖² of the mini-batch that the step δ brought over
//! the fall that the quadratic model promised, −(gᵀδ + ½ δᵀ(C + ηI)δ), C the exact Gauss–Newton matrix
//! of the mini-batch. δᵀCδ takes one pass forward in the direction δ, the loss after the step another.

use relfisher_core::optim::{LevenbergMarquardt, reduction_ratio};

use super::product::GgnProduct;
use super::vectors::dot;
use super::{AdaptationConfig, Batch, Step};
use crate::Scalar;
use crate::error::Error;
use crate::scratch::grown;

/// The rule and what it needs to be judged.
pub(crate) struct Adaptation<T: Scalar> {
    rule: Option<LevenbergMarquardt<T>>,
    weight_decay: T,
    product: Option<GgnProduct<T>>,
    planned: Vec<T>,
    partials: Vec<T>,
}

/// What is known of a step before it is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise<T> {
    /// The regularised loss.
    pub(super) before: T,
    /// The change of it that the quadratic model predicts.
    pub(super) predicted: T,
}

impl<T: Scalar> Adaptation<T> {
    pub(crate) fn new(config: AdaptationConfig, weight_decay: f64) -> Self {
        Self {
            rule: config.rule(),
            weight_decay: T::from_f64(weight_decay),
            product: None,
            planned: Vec::new(),
            partials: Vec::new(),
        }
    }

    /// Whether λ is adapted after step `index` (from 0).
    pub(super) fn due(&self, index: u64) -> bool {
        self.rule.is_some_and(|rule| (index + 1).is_multiple_of(rule.interval.max(1)))
    }

    /// What the model promises for the change of the parameters that `fill` writes for a learning
    /// rate; `step.gradient` holds the gradient with weight decay.
    pub(crate) fn predict(
        &mut self,
        step: &mut Step<'_, T>,
        fill: &dyn Fn(&mut [T], T),
    ) -> Result<Promise<T>, Error> {
        let planned = grown(&mut self.planned, step.gradient.len());
        fill(planned, step.learning_rate);
        let before = self.weight_decay * T::HALF * {
            let theta = &step.parameters.values;
            dot(step.executor, theta, theta, &mut self.partials)?
        } + T::from_f64(step.loss);
        let along = dot(step.executor, step.gradient, planned, &mut self.partials)?;
        let square = dot(step.executor, planned, planned, &mut self.partials)?;
        let (network, capacity) = (step.network, step.tape.capacity());
        let product = self.product.get_or_insert_with(|| GgnProduct::new(network, capacity));
        let curved = product.quadratic(&step.batch(), planned)? + self.weight_decay * square;
        Ok(Promise { before, predicted: along + T::HALF * curved })
    }

    /// The next λ, from the loss at the parameters that the step led to.
    pub(crate) fn adapt(
        &mut self,
        step: &mut Step<'_, T>,
        promise: Promise<T>,
        damping: T,
    ) -> Result<T, Error> {
        let Some(rule) = self.rule else { return Ok(damping) };
        Ok(rule.adapt(damping, self.ratio(step, promise)?))
    }

    /// ρ, from the loss at the parameters that the step led to.
    pub(crate) fn ratio(
        &mut self,
        step: &mut Step<'_, T>,
        promise: Promise<T>,
    ) -> Result<T, Error> {
        let after = regularised_loss(step, self.weight_decay, &mut self.partials)?;
        Ok(reduction_ratio(promise.before, after, promise.predicted))
    }
}

/// L(θ) + ½η‖θ‖² of the mini-batch at the parameters as they are: a forward pass on the tape.
pub(super) fn regularised_loss<T: Scalar>(
    step: &mut Step<'_, T>,
    weight_decay: T,
    partials: &mut Vec<T>,
) -> Result<T, Error> {
    let mode = step.tape.mode();
    step.network.forward(step.executor, step.parameters, mode, step.tape)?;
    let loss = step.network.loss(step.executor, step.tape, &step.targets)?.mean;
    let theta = &step.parameters.values;
    let square = dot(step.executor, theta, theta, partials)?;
    Ok(T::from_f64(loss) + weight_decay * T::HALF * square)
}

impl<'a, T: Scalar> Step<'a, T> {
    /// The mini-batch as a preconditioner sees it.
    pub(super) fn batch(&mut self) -> Batch<'_, T> {
        Batch {
            executor: self.executor,
            network: self.network,
            parameters: self.parameters,
            tape: self.tape,
            rng: self.rng,
        }
    }
}
