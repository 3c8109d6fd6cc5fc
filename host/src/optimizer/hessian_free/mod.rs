//! Hessian-free optimisation (J. Martens, *Deep learning via Hessian-free optimization*, ICML 2010; J.
//! Martens, I. Sutskever, *Training deep and recurrent networks with Hessian-free optimization*, 2012).
//!
//! A step minimises the quadratic model gᵀδ + ½ δᵀ(C + (λ + η)I)δ of the mini-batch, C its Gauss–Newton
//! matrix and η the weight decay, by preconditioned conjugate gradients whose products take a pass
//! forward and one back. The iteration starts from a share of the last step's solution. Then the step
//! may be shortened until the loss of the mini-batch falls by at least a hundredth of what its slope
//! promises, and λ adapts by the reduction ratio of the whole step.

mod cg;
mod diagonal;

use relfisher_core::optim::{LevenbergMarquardt, reduction_ratio};

use self::cg::{ConjugateGradients, Limits};
use self::diagonal::Diagonal;
use super::adaptation::regularised_loss;
use super::first_order::decay_weights;
use super::product::GgnProduct;
use super::subsystem::check_finite;
use super::vectors::dot;
use super::{
    Batch, CgPreconditioner, HessianFreeConfig, Kfac, KfacConfig, KroneckerKind, LineSearch,
    Optimizer, Preconditioner, State, Step,
};
use crate::Scalar;
use crate::error::Error;
use crate::network::Network;

/// The share of the slope's promise that a shortened step must keep.
const ARMIJO: f64 = 1e-2;
/// The factor by which a step is shortened, and how often.
const SHORTER: (f64, usize) = (0.5, 12);

/// The preconditioner of the conjugate gradients.
enum Turn<T: Scalar> {
    None,
    Diagonal(Diagonal<T>),
    Kfac(Box<Kfac<T>>),
}

/// Conjugate gradients on Gauss–Newton products.
pub struct HessianFree<T: Scalar> {
    config: HessianFreeConfig,
    damping: T,
    weight_decay: T,
    rule: Option<LevenbergMarquardt<T>>,
    turn: Turn<T>,
    product: Option<GgnProduct<T>>,
    iteration: ConjugateGradients<T>,
    right_side: Vec<T>,
    before: Vec<T>,
    partials: Vec<T>,
    steps: u64,
    iterations: usize,
}

impl<T: Scalar> HessianFree<T> {
    /// An optimiser for `network`.
    pub fn new(config: &HessianFreeConfig, network: &Network<T>) -> Self {
        let count = network.parameter_count();
        Self {
            damping: T::from_f64(config.damping),
            weight_decay: T::from_f64(config.weight_decay),
            rule: config.adaptation.rule(),
            turn: match config.preconditioner {
                CgPreconditioner::None => Turn::None,
                CgPreconditioner::Diagonal => Turn::Diagonal(Diagonal::default()),
                CgPreconditioner::Kfac => {
                    let config = KfacConfig::default();
                    Turn::Kfac(Box::new(Kfac::new(KroneckerKind::Kfac, &config, network)))
                }
            },
            product: None,
            iteration: ConjugateGradients::new(count),
            right_side: vec![T::ZERO; count],
            before: vec![T::ZERO; count],
            partials: Vec::new(),
            steps: 0,
            iterations: 0,
            config: config.clone(),
        }
    }

    /// The conjugate-gradient iterations of the last step.
    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// λ.
    pub fn damping(&self) -> T {
        self.damping
    }

    /// Measures the preconditioner, from the deltas of the backward pass.
    fn measure(&mut self, batch: Batch<'_, T>) -> Result<(), Error> {
        match &mut self.turn {
            Turn::None => Ok(()),
            Turn::Diagonal(diagonal) => diagonal.measure(&batch),
            Turn::Kfac(kfac) => {
                kfac.set_damping(self.damping + self.weight_decay);
                kfac.update(batch)
            }
        }
    }

    /// The minimum of the quadratic model, into `self.iteration.x`.
    fn solve(&mut self, step: &mut Step<'_, T>) -> Result<(), Error> {
        let damping = self.damping + self.weight_decay;
        let share = T::from_f64(self.config.warm_start);
        self.iteration.x.iter_mut().for_each(|x| *x *= share);
        let pairs = self.right_side.iter_mut().zip(step.gradient.iter());
        pairs.for_each(|(b, g)| *b = -*g);
        let (network, capacity) = (step.network, step.tape.capacity());
        let product = self.product.get_or_insert_with(|| GgnProduct::new(network, capacity));
        let (executor, batch, turn) = (step.executor, step.batch(), &mut self.turn);
        let limits =
            Limits { iterations: self.config.iterations, tolerance: self.config.tolerance };
        self.iterations = self.iteration.run(
            executor,
            &self.right_side,
            limits,
            &mut |v, out| {
                product.apply(&batch, v, out)?;
                out.iter_mut().zip(v).for_each(|(o, v)| *o += damping * *v);
                Ok(())
            },
            &mut |v, out| match turn {
                Turn::None => {
                    out.copy_from_slice(v);
                    Ok(())
                }
                Turn::Diagonal(diagonal) => {
                    diagonal.solve(v, out, damping);
                    Ok(())
                }
                Turn::Kfac(kfac) => kfac.precondition(executor, v, out),
            },
        )?;
        Ok(())
    }

    /// gᵀx, and the change of the undamped model for the step αx as its coefficients of α and α².
    fn model(&mut self, step: &Step<'_, T>) -> Result<(T, T), Error> {
        let ConjugateGradients { x, residual, .. } = &self.iteration;
        let (executor, partials) = (step.executor, &mut self.partials);
        let with_b = dot(executor, x, &self.right_side, partials)?;
        let with_r = dot(executor, x, residual, partials)?;
        let square = dot(executor, x, x, partials)?;
        // xᵀ(C + (λ + η)I)x = xᵀ(b − r)
        Ok((-with_b, T::HALF * (with_b - with_r - self.damping * square)))
    }

    /// θ ← before + αx; the regularised loss there.
    fn try_step(&mut self, step: &mut Step<'_, T>, alpha: T) -> Result<T, Error> {
        let elements = step.parameters.values.iter_mut().zip(&self.before).zip(&self.iteration.x);
        elements.for_each(|((w, b), x)| *w = *b + alpha * *x);
        regularised_loss(step, self.weight_decay, &mut self.partials)
    }

    /// Takes the step, maybe shortened; the reduction ratio of the whole one.
    fn descend(&mut self, step: &mut Step<'_, T>) -> Result<T, Error> {
        let (slope, bend) = self.model(step)?;
        let whole = step.learning_rate;
        self.before.copy_from_slice(&step.parameters.values);
        let square = dot(step.executor, &self.before, &self.before, &mut self.partials)?;
        let before = T::from_f64(step.loss) + self.weight_decay * T::HALF * square;
        let mut after = self.try_step(step, whole)?;
        let predicted = whole * slope + whole * whole * bend;
        let ratio = reduction_ratio(before, after, predicted);
        if self.config.line_search == LineSearch::None {
            return Ok(ratio);
        }
        let (armijo, mut alpha) = (T::from_f64(ARMIJO), whole);
        // An iteration cut short may end uphill of where it began; the loss must fall all the same.
        let downhill = slope.min(T::ZERO);
        let enough = |after: T, alpha: T| after <= before + armijo * alpha * downhill;
        for _ in 0..SHORTER.1 {
            if enough(after, alpha) {
                return Ok(ratio);
            }
            alpha *= T::from_f64(SHORTER.0);
            after = self.try_step(step, alpha)?;
        }
        if !enough(after, alpha) {
            // Nothing in this direction: stay, and forget it.
            step.parameters.values.copy_from_slice(&self.before);
            self.iteration.x.fill(T::ZERO);
        }
        Ok(ratio)
    }
}

impl<T: Scalar> Optimizer<T> for HessianFree<T> {
    fn name(&self) -> &'static str {
        "hessian-free"
    }

    fn step(&mut self, step: &mut Step<'_, T>) -> Result<(), Error> {
        check_finite(step.network, "gradient", step.gradient)?;
        self.measure(step.batch())?;
        decay_weights(step, self.config.weight_decay)?;
        self.solve(step)?;
        let ratio = self.descend(step)?;
        self.steps += 1;
        if let Some(rule) = self.rule
            && self.steps.is_multiple_of(rule.interval.max(1))
        {
            self.damping = rule.adapt(self.damping, ratio);
        }
        Ok(())
    }

    fn save(&self, state: &mut State<T>) {
        state.put_counter("hessian-free.steps", self.steps);
        state.put("hessian-free.damping", &[self.damping]);
        state.put("hessian-free.solution", &self.iteration.x);
        if let Turn::Kfac(kfac) = &self.turn {
            kfac.save(state);
        }
    }

    fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        self.steps = state.counter("hessian-free.steps")?;
        self.damping = state.tensor("hessian-free.damping", 1)?[0];
        state.read("hessian-free.solution", &mut self.iteration.x)?;
        match &mut self.turn {
            Turn::Kfac(kfac) => kfac.load(state),
            Turn::None | Turn::Diagonal(_) => Ok(()),
        }
    }
}
