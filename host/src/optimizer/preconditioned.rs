//! The optimiser around a preconditioner: weight decay, KL clip, momentum, adapted damping.

use relfisher_core::optim;

use super::adaptation::Adaptation;
use super::first_order::{Momentum, decay_weights};
use super::preconditioner::Preconditioner;
use super::product::GgnProduct;
use super::scope::Scope;
use super::subsystem::check_finite;
use super::vectors::dot;
use super::{
    AdaptationConfig, GgnBlockConfig, GgnRecycledConfig, GgnSampleConfig, KfacConfig, Optimizer,
    State, Step, StepLength,
};
use crate::Scalar;
use crate::error::Error;
use crate::network::Network;

/// What a [`Preconditioned`] optimiser does besides preconditioning.
#[derive(Clone, Copy, Debug)]
pub struct Descent {
    /// The heavy-ball momentum of the preconditioned gradient, in [0, 1).
    pub momentum: f64,
    /// The L2 coefficient, added to the gradient before preconditioning.
    pub weight_decay: f64,
    /// κ of the KL clip; 0 switches it off.
    pub kl_clip: f64,
    /// How far a step goes.
    pub step_length: StepLength,
    /// Whether λ adapts.
    pub adaptation: AdaptationConfig,
}

/// [`Descent`] of settings that have its four.
macro_rules! descent {
    ($($config:ty)*) => { $(
        impl $config {
            /// What the optimiser does besides preconditioning.
            pub(super) fn descent(&self) -> Descent {
                Descent {
                    momentum: self.momentum,
                    weight_decay: self.weight_decay,
                    kl_clip: self.kl_clip,
                    step_length: self.step_length,
                    adaptation: self.adaptation,
                }
            }
        }
    )* };
}
descent! { KfacConfig GgnBlockConfig GgnSampleConfig GgnRecycledConfig }

/// Descent along preconditioned gradients: θ ← θ − γ v, v ← μ v + ν (C + λI)⁻¹(g + ηθ), with ν the KL
/// clip or the length that the quadratic model gives.
pub struct Preconditioned<T: Scalar> {
    curvature: Box<dyn Preconditioner<T>>,
    descent: Descent,
    momentum: Momentum<T>,
    adaptation: Adaptation<T>,
    direction: Vec<T>,
    partials: Vec<T>,
    scope: Scope,
    product: Option<GgnProduct<T>>,
    steps: u64,
}

impl<T: Scalar> Preconditioned<T> {
    /// An optimiser for `network` around `curvature`.
    pub fn new(
        curvature: Box<dyn Preconditioner<T>>,
        descent: Descent,
        network: &Network<T>,
    ) -> Self {
        let count = network.parameter_count();
        let key = format!("{}.velocity", curvature.name());
        Self {
            curvature,
            descent,
            momentum: Momentum::new(key, count, descent.momentum),
            adaptation: Adaptation::new(descent.adaptation, descent.weight_decay),
            direction: vec![T::ZERO; count],
            partials: Vec::new(),
            scope: Scope::all(network),
            product: None,
            steps: 0,
        }
    }

    /// Moves the parameters of a scope only; `curvature` must leave the rest as it is.
    pub(super) fn within(mut self, scope: &Scope) -> Self {
        self.scope = scope.clone();
        self
    }

    /// The curvature.
    pub fn preconditioner(&self) -> &dyn Preconditioner<T> {
        &*self.curvature
    }

    /// α of the quadratic model along the direction; 1 where the model says nothing.
    fn model_length(&mut self, step: &mut Step<'_, T>) -> Result<T, Error> {
        let (network, capacity) = (step.network, step.tape.capacity());
        let product = self.product.get_or_insert_with(|| GgnProduct::new(network, capacity));
        let curved = product.quadratic(&step.batch(), &self.direction)?;
        let (d, partials) = (&self.direction[..], &mut self.partials);
        let slope = dot(step.executor, d, step.gradient, partials)?;
        let square = dot(step.executor, d, d, partials)?;
        let ridge = self.curvature.damping() + T::from_f64(self.descent.weight_decay);
        Ok(optim::quadratic_length(slope, curved + ridge * square))
    }

    /// ν of the KL clip. The direction is (C + λI)⁻¹ times the gradient, so their inner product is the
    /// direction's curvature.
    fn clip(&mut self, step: &Step<'_, T>) -> Result<T, Error> {
        if self.descent.kl_clip == 0.0 {
            return Ok(T::ONE);
        }
        let curvature = dot(step.executor, &self.direction, step.gradient, &mut self.partials)?;
        let bound = T::from_f64(self.descent.kl_clip);
        Ok(optim::kl_clip(step.learning_rate, curvature, bound))
    }
}

impl<T: Scalar> Optimizer<T> for Preconditioned<T> {
    fn name(&self) -> &'static str {
        self.curvature.name()
    }

    fn step(&mut self, step: &mut Step<'_, T>) -> Result<(), Error> {
        check_finite(step.network, "gradient", step.gradient)?;
        self.curvature.update(step.batch())?;
        decay_weights(step, self.descent.weight_decay)?;
        self.scope.clear_outside(step.gradient);
        self.curvature.precondition(step.executor, step.gradient, &mut self.direction)?;
        let scale = match self.descent.step_length {
            StepLength::Rate => self.clip(step)?,
            StepLength::Quadratic => self.model_length(step)?,
        };
        let planned = if self.adaptation.due(self.steps) {
            let (momentum, direction) = (&self.momentum, &self.direction[..]);
            Some(self.adaptation.predict(step, &|planned: &mut [T], rate: T| {
                momentum.planned(planned, direction, scale, rate);
            })?)
        } else {
            None
        };
        self.momentum.apply(step, &mut self.direction, scale)?;
        if let Some(planned) = planned {
            let damping = self.adaptation.adapt(step, planned, self.curvature.damping())?;
            self.curvature.set_damping(damping);
        }
        self.steps += 1;
        Ok(())
    }

    fn save(&self, state: &mut State<T>) {
        state.put_counter(format!("{}.steps", self.name()), self.steps);
        self.momentum.save(state);
        self.curvature.save(state);
    }

    fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        self.steps = state.counter(&format!("{}.steps", self.name()))?;
        self.momentum.load(state)?;
        self.curvature.load(state)
    }
}
