//! Preconditioners: curvature that turns a gradient into a step, with or without an optimiser around
//! it.

use super::{GgnBlock, GgnRecycled, GgnSample, Kfac, OptimizerConfig, State};
use crate::Scalar;
use crate::error::Error;
use crate::executor::Executor;
use crate::network::{Network, Parameters, Tape};
use crate::random::Rng;

/// Curvature of the mini-batches seen so far, as a damped inverse C ≈ (C + λI)⁻¹ applied to gradients.
///
/// The optimisers of the K-FAC family and those with exact Gauss–Newton matrices are built on it; an
/// engine with a training loop of its own uses it without them: after the forward and backward pass
/// of a mini-batch [`Preconditioner::update`] measures what is due, and
/// [`Preconditioner::precondition`] turns any vector as long as the parameters into a step.
///
/// ```
/// use relfisher::executor::Cpu;
/// use relfisher::network::{Loss, Mode, Network, Normalisation, Tape, Targets};
/// use relfisher::optimizer::{Batch, OptimizerConfig};
/// use relfisher::random;
/// use relfisher_core::metric::neuron::Activation;
///
/// let cpu = Cpu::new(Some(1))?;
/// let widths = [3, 4, 2];
/// let loss = Loss::SoftmaxCrossEntropy;
/// let network = Network::<f64>::mlp(&widths, Activation::Tanh, Normalisation::Plain, loss)?;
/// let mut rng = random::stream(1, 0, "example");
/// let mut parameters = network.init(&mut rng);
/// let config: OptimizerConfig = toml::from_str("kind = 'kflr'\ndamping = 0.1").unwrap();
/// let mut curvature = config.preconditioner(&network)?;
///
/// let (mut tape, mut gradient) = (Tape::new(&network, 2), vec![0.0; network.parameter_count()]);
/// let mut step = vec![0.0; gradient.len()];
/// let mut losses = Vec::new();
/// for _ in 0..5 {
///     tape.set_batch(2)?;
///     tape.input_mut().row_mut(0).copy_from_slice(&[1.0, 0.0, -1.0]);
///     tape.input_mut().row_mut(1).copy_from_slice(&[0.0, 2.0, 1.0]);
///     network.forward(&cpu, &parameters, Mode::Train, &mut tape)?;
///     losses.push(network.loss(&cpu, &mut tape, &Targets::Classes(&[0, 1]))?.mean);
///     network.backward(&cpu, &parameters, &mut tape, Some(&mut gradient))?;
///     let batch = Batch {
///         executor: &cpu,
///         network: &network,
///         parameters: &parameters,
///         tape: &tape,
///         rng: &mut rng,
///     };
///     curvature.update(batch)?;
///     curvature.precondition(&cpu, &gradient, &mut step)?;
///     parameters.values.iter_mut().zip(&step).for_each(|(w, s)| *w -= 0.5 * s);
/// }
/// assert!(losses[4] < 0.2 * losses[0], "{losses:?}");
/// # Ok::<(), relfisher::Error>(())
/// ```
pub trait Preconditioner<T: Scalar>: Send {
    /// The name, as in the `kind` key of [`OptimizerConfig`].
    fn name(&self) -> &'static str;

    /// λ.
    fn damping(&self) -> T;

    /// Sets λ. Where it is part of a stored factorisation, it enters at the next refresh.
    fn set_damping(&mut self, damping: T);

    /// Takes note of a mini-batch: to be called for each one, after its forward, loss and backward
    /// pass. Moving averages, factorisations and eigenbases are renewed when they are due.
    ///
    /// # Errors
    /// Curvature that is not finite, or singular without damping: names the layer and the remedy.
    fn update(&mut self, batch: Batch<'_, T>) -> Result<(), Error>;

    /// `step ← (C + λI)⁻¹ gradient`. Both as long as the parameters; `step` may hold NaN on entry.
    ///
    /// # Errors
    /// No [`Preconditioner::update`] before, vectors of another length, a gradient that is not
    /// finite, curvature that is singular without damping.
    fn precondition(
        &mut self,
        executor: &dyn Executor<T>,
        gradient: &[T],
        step: &mut [T],
    ) -> Result<(), Error>;

    /// Writes everything that later calls depend on.
    fn save(&self, state: &mut State<T>);

    /// Reads what [`Preconditioner::save`] wrote, into one built from the same settings and network.
    ///
    /// # Errors
    /// One line that names the tensor or counter that is missing or has another length.
    fn load(&mut self, state: &State<T>) -> Result<(), Error>;
}

/// A mini-batch after its passes, as a [`Preconditioner`] sees it.
pub struct Batch<'a, T: Scalar> {
    /// Runs the products and element-wise work.
    pub executor: &'a dyn Executor<T>,
    /// The network.
    pub network: &'a Network<T>,
    /// Its parameters, those of the passes.
    pub parameters: &'a Parameters<T>,
    /// The values of the mini-batch; where true labels are asked for, with the deltas of the
    /// backward pass.
    pub tape: &'a Tape<T>,
    /// Draws labels from the model.
    pub rng: &'a mut Rng,
}

impl OptimizerConfig {
    /// The preconditioner of this optimiser for `network`, without the optimiser: learning rate,
    /// momentum, weight decay, KL clip and adaptation do not enter.
    ///
    /// # Errors
    /// Those of [`OptimizerConfig::validate`]; an optimiser that is not built on one; layers whose
    /// exact blocks do not fit the memory.
    pub fn preconditioner<T: Scalar>(
        &self,
        network: &Network<T>,
    ) -> Result<Box<dyn Preconditioner<T>>, Error> {
        self.validate()?;
        match self {
            Self::GgnBlock(c) => Ok(Box::new(GgnBlock::new(c, network)?)),
            Self::GgnSample(c) => Ok(Box::new(GgnSample::new(c, network))),
            Self::GgnRecycled(c) => Ok(Box::new(GgnRecycled::new(c, network))),
            _ => match self.kronecker() {
                Some((kind, config)) => Ok(Box::new(Kfac::new(kind, config, network))),
                None => Err(Error::input(
                    "optimiser",
                    self.name(),
                    "is not built on a preconditioner",
                    "use kfac, kflr, kfra, ekfac, kfac-tridiagonal, ggn-block, ggn-sample or ggn-recycled",
                )),
            },
        }
    }
}

/// Refuses vectors of another length than the parameters, and a call before the first update.
pub(super) fn check_call<T>(
    name: &str,
    updates: u64,
    count: usize,
    (gradient, step): (&[T], &[T]),
) -> Result<(), Error> {
    if updates == 0 {
        let remedy = "call update with a mini-batch first";
        return Err(Error::input("", name, "no curvature has been measured", remedy));
    }
    if (gradient.len(), step.len()) == (count, count) {
        return Ok(());
    }
    Err(Error::input(
        "",
        name,
        format_args!(
            "gradient and step have {} and {} numbers, but there are {count} parameters",
            gradient.len(),
            step.len()
        ),
        "give vectors as long as the parameters",
    ))
}
