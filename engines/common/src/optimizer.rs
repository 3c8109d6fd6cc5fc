//! The optimiser: curvature of all layers, directions, momentum.

use relfisher_core::optim::{self, Momentum, Sgd};
use relfisher_core::{Backend, MatMut, MatRef, Portable, Real};

use crate::error::At;
use crate::kfac::Factors;
use crate::rngd::{Samples, apply_inverse};
use crate::{Affine, Capture, Config, Error, LayerSpec, Method};

/// The first `len` elements of a buffer that grows.
pub(crate) fn grown<T: Real>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::ZERO);
    }
    &mut buffer[..len]
}

/// The curvature of one layer.
#[derive(Clone, Debug)]
enum Curvature<T> {
    Kfac(Factors<T>),
    Blocks { samples: Samples<T>, inverse: Vec<T> },
    Samples(Samples<T>),
}

/// A layer and the numbers kept for it; vectors are m·d̃ long.
#[derive(Clone, Debug)]
struct Layer<T> {
    spec: LayerSpec<T>,
    curvature: Curvature<T>,
    gradient: Vec<T>,
    direction: Vec<T>,
    velocity: Vec<T>,
    update: Vec<T>,
}

/// Natural gradient descent over the layers of an engine.
///
/// For each mini-batch: [`NaturalGradient::observe`], [`NaturalGradient::step`], then add
/// [`NaturalGradient::update`] to every layer's parameters. After a refusal of `step` nothing has
/// moved: momentum and updates are as before.
///
/// ```
/// use relfisher_engine::{Affine, Capture, Config, LayerSpec, MatRef, NaturalGradient, Portable};
/// use relfisher_engine::{Response, Site};
/// let site = Site::Neurons(Response::Linear { sigma: 1.0 });
/// let layer = LayerSpec { name: "only".into(), inputs: 1, outputs: 1, bias: false, site };
/// let config = Config { learning_rate: 1.0, momentum: 0.0, weight_decay: 0.0, ..Config::rngd_samples() };
/// let mut optimiser = NaturalGradient::new(vec![layer], config, Portable)?;
/// // y = wx, one sample x = 2, w = 3, target 0: the gradient of half the squared error is 12.
/// let (x, t, w, g) = ([2.0], [6.0], [3.0], [12.0]);
/// let view = |a| MatRef::new(a, 1, 1).expect("1 x 1");
/// let capture = Capture { input: view(&x), output: Some(view(&t)), output_gradient: None };
/// optimiser.observe(&[capture])?;
/// let affine = |a| Affine { weight: view(a), bias: None };
/// optimiser.step(&[affine(&g)], &[affine(&w)])?;
/// let moved = optimiser.update(0)?.weight.at(0, 0);
/// assert!((moved + 12.0f64 / (4.0 + 0.1)).abs() < 1e-12); // −g/(x² + λ)
/// # Ok::<(), relfisher_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NaturalGradient<T, B = Portable> {
    backend: B,
    config: Config<T>,
    layers: Vec<Layer<T>>,
    work: Vec<T>,
    observed: u64,
    /// Whether a mini-batch was observed since the last step.
    fresh: bool,
}

impl<T: Real, B: Backend<T>> NaturalGradient<T, B> {
    /// An optimiser for these layers, on this backend ([`Portable`], or one with faster products).
    ///
    /// # Errors
    /// Settings outside of their domains, empty layers, no layers.
    pub fn new(layers: Vec<LayerSpec<T>>, config: Config<T>, backend: B) -> Result<Self, Error> {
        config.check()?;
        if layers.is_empty() {
            return Err(Error::new("layers", "there are none", "give at least one layer"));
        }
        let mut built = Vec::with_capacity(layers.len());
        for spec in layers {
            spec.check()?;
            let zeros = vec![T::ZERO; spec.outputs * spec.augmented()];
            built.push(Layer {
                curvature: match config.method {
                    Method::Kfac { .. } => Curvature::Kfac(Factors::new(&spec)),
                    Method::RngdSamples => Curvature::Samples(Samples::new()),
                    Method::RngdBlocks { .. } => {
                        Curvature::Blocks { samples: Samples::new(), inverse: Vec::new() }
                    }
                },
                gradient: zeros.clone(),
                direction: zeros.clone(),
                velocity: zeros.clone(),
                update: zeros,
                spec,
            });
        }
        let (work, observed, fresh) = (Vec::new(), 0, false);
        Ok(Self { backend, config, layers: built, work, observed, fresh })
    }

    /// The settings.
    pub fn config(&self) -> &Config<T> {
        &self.config
    }

    /// Sets γ.
    ///
    /// # Errors
    /// Unless it is finite and above 0.
    pub fn set_learning_rate(&mut self, rate: T) -> Result<(), Error> {
        let config = Config { learning_rate: rate, ..self.config };
        config.check()?;
        self.config = config;
        Ok(())
    }

    /// Whether a mini-batch was observed since the last step.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether the next [`NaturalGradient::observe`] will look at its captures.
    pub fn is_due(&self) -> bool {
        match self.config.method {
            Method::Kfac { factor_every, refresh, .. } => {
                self.observed.is_multiple_of(factor_every) || self.observed.is_multiple_of(refresh)
            }
            Method::RngdBlocks { refresh } => self.observed.is_multiple_of(refresh),
            Method::RngdSamples => true,
        }
    }

    /// K-FAC's moving averages (A, G) of a layer: d̃ × d̃ and m × m.
    pub fn factors(&self, layer: usize) -> Option<(MatRef<'_, T>, MatRef<'_, T>)> {
        let Layer { spec, curvature: Curvature::Kfac(factors), .. } = self.layers.get(layer)?
        else {
            return None;
        };
        let (m, d) = (spec.outputs, spec.augmented());
        Some((MatRef::new(&factors.a, d, d).ok()?, MatRef::new(&factors.g, m, m).ok()?))
    }

    /// Takes the curvature of a mini-batch, one capture for each layer, where it is due.
    ///
    /// # Errors
    /// Another number of captures than layers; a batch without samples; shapes that do not fit the
    /// layer; a part that the method needs and that is missing; numbers that are not finite;
    /// curvature that is singular: each names the layer and the remedy.
    pub fn observe(&mut self, captures: &[Capture<'_, T>]) -> Result<(), Error> {
        count("captures", captures.len(), self.layers.len())?;
        let (first, damping) = (self.observed, self.config.damping);
        let (backend, work) = (&self.backend, &mut self.work);
        for (Layer { spec, curvature, .. }, capture) in self.layers.iter_mut().zip(captures) {
            let n = capture.input.rows();
            if n == 0 {
                return Err(Error::new(&spec.name, "the batch is empty", "give a sample or more"));
            }
            spec.check_shape("input", capture.input, n, spec.inputs)?;
            capture.input.check_finite("input").at(&spec.name)?;
            match (curvature, self.config.method) {
                (
                    Curvature::Kfac(factors),
                    Method::Kfac { decay, split, factor_every, refresh, .. },
                ) => {
                    if first.is_multiple_of(factor_every) {
                        factors.measure(backend, spec, capture, decay, work)?;
                    }
                    if first.is_multiple_of(refresh) {
                        factors.factor(backend, spec, (split, damping))?;
                    }
                }
                (Curvature::Blocks { samples, inverse }, Method::RngdBlocks { refresh })
                    if first.is_multiple_of(refresh) =>
                {
                    samples.measure(spec, capture, work)?;
                    samples.invert(backend, spec, inverse, damping, work).at(&spec.name)?;
                }
                (Curvature::Samples(samples), _) => samples.measure(spec, capture, work)?,
                _ => {}
            }
        }
        self.observed += 1;
        self.fresh = true;
        Ok(())
    }

    /// Turns the gradients of the mean loss into updates: `d = (C + λI)⁻¹(g + decay·θ)`,
    /// `v ← μv + d`, update −γv. Both slices have one element for each layer.
    ///
    /// # Errors
    /// No mini-batch was observed (in sample space: since the last step); shapes that do not fit;
    /// gradients that are not finite.
    pub fn step(
        &mut self,
        gradients: &[Affine<'_, T>],
        parameters: &[Affine<'_, T>],
    ) -> Result<(), Error> {
        let sample_space = self.config.method == Method::RngdSamples;
        if self.observed == 0 || sample_space && !self.fresh {
            return Err(Error::new(
                "step",
                "no mini-batch was observed",
                "call observe before step",
            ));
        }
        count("gradients", gradients.len(), self.layers.len())?;
        count("parameters", parameters.len(), self.layers.len())?;
        let Config { learning_rate, momentum, weight_decay, damping, method } = self.config;
        let mut energy = T::ZERO;
        let parts = gradients.iter().zip(parameters);
        for (layer, (gradient, parameter)) in self.layers.iter_mut().zip(parts) {
            let Layer { spec, curvature, gradient: g, direction, .. } = layer;
            spec.check_affine("gradient", gradient)?;
            spec.check_affine("parameters", parameter)?;
            let (m, d) = (spec.outputs, spec.augmented());
            gradient.gather(MatMut::new(g, m, d).at(&spec.name)?);
            MatRef::new(g, m, d).and_then(|g| g.check_finite("gradient")).at(&spec.name)?;
            // The parameters stand in the direction until it is computed.
            parameter.gather(MatMut::new(direction, m, d).at(&spec.name)?);
            optim::add_weight_decay(g, direction, weight_decay).at(&spec.name)?;
            let pair = (&mut direction[..], &g[..]);
            match curvature {
                Curvature::Kfac(factors) => {
                    direction.copy_from_slice(g);
                    factors.solve(&self.backend, spec, direction)
                }
                Curvature::Blocks { inverse, .. } => {
                    apply_inverse(&self.backend, spec, inverse, pair)
                }
                Curvature::Samples(samples) => {
                    samples.solve(&self.backend, spec, pair, damping, &mut self.work)
                }
            }
            .at(&spec.name)?;
            energy += optim::inner_product(direction, g).at(&spec.name)?;
        }
        let scale = match method {
            Method::Kfac { kl_clip: Some(bound), .. } => {
                optim::kl_clip(learning_rate, energy, bound)
            }
            _ => T::ONE,
        };
        let form = Momentum::HeavyBall;
        let rule = Sgd { learning_rate, momentum, form, weight_decay: T::ZERO };
        for Layer { spec, direction, velocity, update, .. } in &mut self.layers {
            direction.iter_mut().for_each(|d| *d *= scale);
            // From zero the rule leaves −γv.
            update.fill(T::ZERO);
            rule.step(update, velocity, direction).at(&spec.name)?;
        }
        self.fresh = false;
        Ok(())
    }

    /// What the last step adds to a layer's parameters.
    ///
    /// # Errors
    /// No such layer.
    pub fn update(&self, layer: usize) -> Result<Affine<'_, T>, Error> {
        let Some(Layer { spec, update, .. }) = self.layers.get(layer) else {
            let problem = format_args!("there are {} layers", self.layers.len());
            return Err(Error::new(format_args!("layer {layer}"), problem, "count from 0"));
        };
        let matrix = MatRef::new(update, spec.outputs, spec.augmented()).at(&spec.name)?;
        Affine::split(spec, matrix)
    }
}

/// Refuses another number of parts than layers.
fn count(what: &str, found: usize, layers: usize) -> Result<(), Error> {
    if found == layers {
        return Ok(());
    }
    let problem = format_args!("{found} for {layers} layers");
    Err(Error::new(what, problem, "hand over one for each layer, in order"))
}
