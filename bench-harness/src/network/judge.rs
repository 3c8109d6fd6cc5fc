//! Whether a training step is the right one, and what its optimiser computes.

use relfisher::Scalar;
use relfisher::executor::Cpu;
use relfisher::optimizer::{KfacConfig, OptimizerConfig, RngdSampleConfig, State};
use relfisher_core::metric::cost::Route;
use relfisher_core::metric::layer::{NonlinearMetric, SoftmaxMetric};
use relfisher_core::metric::route::conjugate_gradient;
use relfisher_core::{MatRef, Real};

use super::{RATE, Training};
use crate::metric::products;
use crate::plain::{
    Factors, Layer, Outputs, Plain, Previous, Rule, Update, close, damped_system, wide,
};

impl<T: Scalar> Training<T> {
    /// Makes a step, and judges it by plain f64 loops over the same batch: loss and gradient, moments and
    /// parameters; of RNGD and K-FAC also that the direction solves its damped system and that the loss
    /// of the batch falls along it. K-FAC is judged at the step of its next refresh.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&mut self, cpu: &Cpu) -> Result<(), String> {
        if let OptimizerConfig::Kfac(config) = &self.config {
            let refresh = config.refresh;
            while !self.saved().counter("kfac.updates").map_err(text)?.is_multiple_of(refresh) {
                self.step(cpu).map_err(text)?;
            }
        }
        let loss = self.passes(cpu).map_err(text)?;
        let plain = Plain::forward(&self.network, &self.parameters.values, &self.tape)?;
        let labels = self.data.labels[self.labels()].to_vec();
        close::<T>("loss", &[loss], &[plain.loss(&labels)], 1e3)?;
        let mut gradient = plain.gradient(&plain.back(plain.deltas(&labels)));
        close::<T>("gradient", &wide(&self.gradient), &gradient, 1e4)?;
        let before = Before {
            theta: wide(&self.parameters.values),
            state: self.saved(),
            drawn: match self.config {
                OptimizerConfig::Kfac(_) => plain.drawn(&self.network, &self.tape, &self.rng)?,
                _ => Vec::new(),
            },
        };
        let decay = match &self.config {
            OptimizerConfig::Sgd(c) => c.weight_decay,
            OptimizerConfig::Adam(c) => c.weight_decay,
            OptimizerConfig::RngdSample(c) => c.weight_decay,
            OptimizerConfig::Kfac(c) => c.weight_decay,
            _ => return Err(format!("no check of {}", self.config.name())),
        };
        gradient.iter_mut().zip(&before.theta).for_each(|(g, t)| *g += decay * t);
        self.update(cpu, loss).map_err(text)?;
        match self.config.clone() {
            OptimizerConfig::Adam(c) => {
                // 1 − β₂ of an f32 is another number than of an f64
                let [beta1, beta2, epsilon] =
                    [c.beta1, c.beta2, c.epsilon].map(|x| T::from_f64(x).to_f64());
                let rule = Rule::Adam { beta1, beta2, epsilon };
                let steps = before.state.counter("adam.steps").map_err(text)?;
                let names = ["adam.mean", "adam.square"];
                self.moved(&before, (rule, steps), names, &gradient)
            }
            OptimizerConfig::RngdSample(c) => {
                let direction = self.direction(&before, "rngd-sample.velocity", c.momentum)?;
                relative(&plain, &c, (&direction, &gradient), T::EPSILON.to_f64())?;
                descends(&plain, &labels, &before.theta, &direction)?;
                self.moved(&before, heavy(c.momentum), ["rngd-sample.velocity", ""], &direction)
            }
            OptimizerConfig::Kfac(c) => {
                let direction = self.direction(&before, "kfac.velocity", c.momentum)?;
                self.kronecker(&plain, &c, &before, (&direction, &gradient))?;
                descends(&plain, &labels, &before.theta, &direction)?;
                self.moved(&before, heavy(c.momentum), ["kfac.velocity", ""], &direction)
            }
            OptimizerConfig::Sgd(c) => {
                self.moved(&before, heavy(c.momentum), ["sgd.velocity", ""], &gradient)
            }
            other => Err(format!("no check of {}", other.name())),
        }
    }

    fn saved(&self) -> State<T> {
        let mut state = State::new();
        self.optimizer.save(&mut state);
        state
    }

    /// Whether moments and parameters are where the rule takes them along `direction`.
    fn moved(
        &self,
        before: &Before<T>,
        (rule, steps): (Rule, u64),
        names: [&str; 2],
        direction: &[f64],
    ) -> Result<(), String> {
        let of = |state: &State<T>, theta: &[f64]| -> Result<Update, String> {
            let moment = |name: &str| match name {
                "" => Ok(Vec::new()),
                name => state.tensor(name, theta.len()).map(wide).map_err(text),
            };
            let [first, second] = names.map(moment);
            Ok(Update { theta: theta.to_vec(), first: first?, second: second? })
        };
        let mut want = of(&before.state, &before.theta)?;
        want.step(rule, RATE, steps, direction);
        let got = of(&self.saved(), &wide(&self.parameters.values))?;
        want.check::<T>(&got, &before.theta, 1e4)
    }

    /// The direction of the last step: the velocity without what it kept.
    fn direction(&self, before: &Before<T>, name: &str, kept: f64) -> Result<Vec<f64>, String> {
        let velocity =
            |state: &State<T>| state.tensor(name, before.theta.len()).map(wide).map_err(text);
        let (new, old) = (velocity(&self.saved())?, velocity(&before.state)?);
        Ok(new.iter().zip(&old).map(|(new, old)| new - kept * old).collect())
    }

    /// Whether K-FAC's averages took this batch in, and the direction solves their damped system. The KL
    /// clip is far away at this rate.
    fn kronecker(
        &self,
        plain: &Plain,
        config: &KfacConfig,
        before: &Before<T>,
        (direction, gradient): (&[f64], &[f64]),
    ) -> Result<(), String> {
        let curved: f64 = direction.iter().zip(gradient).map(|(d, g)| d * g).sum();
        let clip = RATE * RATE * curved;
        if clip.is_nan() || clip > config.kl_clip {
            return Err(format!("the KL clip shortens the step: {clip}"));
        }
        let measured = before.state.counter("kfac.updates").map_err(text)? / config.factor_every;
        let keep = config.decay.min(1.0 - 1.0 / (measured as f64 + 1.0));
        let outputs = Outputs::Deltas(plain.back(plain.deltas(&before.drawn)));
        let after = self.saved();
        for (k, layer) in plain.layers.iter().enumerate() {
            let name = &self.network.blocks()[k].name;
            let of = |state: &'_ State<T>, what: &str| {
                let (m, d) = (layer.m, layer.d);
                let len = if what == "a" { d * d } else { m * m };
                let tensor = state.tensor(&format!("kfac.{what}.{name}"), len);
                tensor.map(<[T]>::to_vec).map_err(text)
            };
            let (a, g) = (of(&after, "a")?, of(&after, "g")?);
            let (old_a, old_g) = (of(&before.state, "a")?, of(&before.state, "g")?);
            let found = Factors { a: &a, g: &g };
            let factors = Factors { a: &old_a, g: &old_g };
            plain.check_factors(k, found, &outputs, Some(Previous { keep, factors }))?;
            let range = layer.range.clone();
            let pair = (&direction[range.clone()], &gradient[range]);
            damped_system(k, found, (layer.m, layer.d), config.damping, pair)?;
        }
        Ok(())
    }

    /// Steps after which the work repeats.
    #[must_use]
    pub fn cycle(&self) -> usize {
        match &self.config {
            OptimizerConfig::Kfac(c) => {
                let (refresh, every) = (c.refresh.max(1), c.factor_every.max(1));
                (1..=every).map(|k| k * refresh).find(|n| n.is_multiple_of(every)).unwrap_or(1)
                    as usize
            }
            _ => 1,
        }
    }

    /// FLOPs of the optimiser in a step beside the products of the passes, the mean over a cycle; makes
    /// a step, for the products that RNGD's conjugate gradients take.
    ///
    /// SGD and Adam: what they do with each parameter. RNGD by the route of each layer: in sample space
    /// X̃X̃ᵀ, X̃Gᵀ and ZᵀX̃ and a system of order n for each neuron; in blocks n·d̃(d̃+1) and d̃³/3 + 2d̃² for
    /// each; the soft-max layer 4nCd̃ for a product and 12Cd̃ for the vectors of an iteration. K-FAC:
    /// G⁻¹ ∇W̃ A⁻¹ in every step; the way back of the drawn labels and the triangles of both Gram
    /// matrices in one of `factor_every`, n³/3 for a Cholesky factor in one of `refresh`.
    ///
    /// # Errors
    /// Those of the step and of the solve.
    pub fn optimizer_flops(&mut self, cpu: &Cpu) -> Result<f64, String> {
        let n = self.batch as f64;
        let shapes: Vec<(usize, usize)> =
            self.network.blocks().iter().map(|b| (b.rows, b.cols)).collect();
        let count = self.gradient.len() as f64;
        // decay, and the heavy ball
        let momentum = 6.0 * count;
        match self.config.clone() {
            OptimizerConfig::Sgd(_) => Ok(momentum),
            // decay 2, moments 3 and 4, the quotient 6
            OptimizerConfig::Adam(_) => Ok(15.0 * count),
            OptimizerConfig::RngdSample(config) => {
                let (hidden, last) = shapes.split_at(shapes.len() - 1);
                let layer = |(m, d): &(usize, usize)| {
                    let route = NonlinearMetric::<T>::route(self.batch, *m, *d, None, true);
                    let (m, d) = (*m as f64, *d as f64);
                    match route {
                        Route::Sample => {
                            let system = n.powi(3) / 3.0 + 3.0 * n * n;
                            2.0 * n * n * d + 4.0 * n * m * d + m * system
                        }
                        _ => m * (n * d * (d + 1.0) + d.powi(3) / 3.0 + 2.0 * d * d),
                    }
                };
                let layers: f64 = hidden.iter().map(layer).sum();
                let products = self.softmax_products(cpu, &config)? as f64;
                let (c, d) = (last[0].0 as f64, last[0].1 as f64);
                Ok(layers + products * (4.0 * n * c * d + 12.0 * c * d) + momentum)
            }
            OptimizerConfig::Kfac(config) => {
                let layer = |(k, (m, d)): (usize, &(usize, usize))| {
                    let (m, d) = (*m as f64, *d as f64);
                    let back = if k == 0 { 0.0 } else { 2.0 * n * m * d };
                    let factors = back + n * (d * (d + 1.0) + m * (m + 1.0));
                    let cholesky = (d.powi(3) + m.powi(3)) / 3.0;
                    2.0 * m * d * (m + d)
                        + factors / config.factor_every as f64
                        + cholesky / config.refresh as f64
                };
                // the clip's inner product too
                Ok(shapes.iter().enumerate().map(layer).sum::<f64>() + momentum + 2.0 * count)
            }
            other => Err(format!("the FLOPs of {} are not counted", other.name())),
        }
    }

    /// The products with its metric that the soft-max layer's conjugate gradients take on the batch of a
    /// step, to the residual that the optimiser asks for: √ε/4.
    fn softmax_products(&mut self, cpu: &Cpu, config: &RngdSampleConfig) -> Result<usize, String> {
        self.passes(cpu).map_err(text)?;
        let (k, tape) = (self.network.blocks().len() - 1, &self.tape);
        let block = &self.network.blocks()[k];
        let metric = SoftmaxMetric::new(tape.layer_input(k), tape.probabilities()).map_err(text)?;
        let tolerance = Real::sqrt(T::EPSILON) * T::from_f64(0.25);
        let options = conjugate_gradient::Options { tolerance, ..Default::default() };
        let g = MatRef::new(&self.gradient[block.range()], block.rows, block.cols).map_err(text)?;
        products(cpu, &metric, g, T::from_f64(config.damping), options).map_err(text)
    }
}

/// What a step began with.
struct Before<T> {
    theta: Vec<f64>,
    state: State<T>,
    /// The labels that the step will draw.
    drawn: Vec<usize>,
}

/// The heavy ball, which does not look at the number of steps.
const fn heavy(momentum: f64) -> (Rule, u64) {
    (Rule::Momentum { momentum }, 0)
}

/// Whether the loss of the batch falls along the direction.
fn descends(
    plain: &Plain,
    labels: &[usize],
    theta: &[f64],
    direction: &[f64],
) -> Result<(), String> {
    let ahead = theta.iter().zip(direction).map(|(t, d)| t - RATE * d);
    let ahead = plain.with(&ahead.collect::<Vec<_>>()).loss(labels);
    let here = plain.loss(labels);
    if ahead.is_nan() || ahead >= here {
        return Err(format!("the loss of the batch goes from {here} to {ahead}"));
    }
    Ok(())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Whether `(ḡ + λI) d` is the gradient in every layer, ḡ the mean relative Fisher metric of the batch:
/// ν(t) x̃x̃ᵀ of each smoothed relu neuron, (diag η − ηηᵀ) ⊗ x̃x̃ᵀ of the soft-max layer, whose conjugate
/// gradients stop at a residual of √ε/4.
fn relative(
    plain: &Plain,
    config: &RngdSampleConfig,
    (direction, gradient): (&[f64], &[f64]),
    epsilon: f64,
) -> Result<(), String> {
    let (last, eta) = (plain.layers.len() - 1, plain.probabilities());
    for (k, Layer { m, d, range, x, t, .. }) in plain.layers.iter().enumerate() {
        let (step, want) = (&direction[range.clone()], &gradient[range.clone()]);
        let mut back: Vec<f64> = step.iter().map(|s| config.damping * s).collect();
        for (s, x) in x.chunks_exact(*d).enumerate() {
            let rows = step.chunks_exact(*d);
            let dot = |row: &[f64]| row.iter().zip(x).map(|(r, x)| r * x).sum::<f64>();
            let through: Vec<f64> = rows.map(dot).collect();
            let eta = &eta[s * plain.layers[last].m..];
            let mean: f64 = through.iter().zip(eta).map(|(r, p)| r * p).sum();
            for (i, (r, back)) in through.iter().zip(back.chunks_exact_mut(*d)).enumerate() {
                let nu = (1.0 / (1.0 + (-t[s * m + i] / config.smoothing).exp())).powi(2);
                let r = if k == last { eta[i] * (r - mean) } else { nu * r } / plain.n as f64;
                back.iter_mut().zip(x).for_each(|(b, x)| *b += r * x);
            }
        }
        let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
        let residual = norm(&mut back.iter().zip(want).map(|(b, w)| b - w));
        let bound = norm(&mut want.iter().copied())
            * if k == last { epsilon.sqrt() } else { 3e4 * epsilon };
        if residual.is_nan() || residual > bound {
            return Err(format!("RNGD step of layer {k}: residual {residual:e}, bound {bound:e}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use relfisher::Scalar;
    use relfisher::executor::Cpu;
    use relfisher::optimizer::OptimizerConfig;

    use super::Training;
    use crate::sizes;

    const ALL: [&str; 4] = ["sgd", "adam", "rngd-sample", "kfac"];

    fn small<T: Scalar>(name: &str) -> (Training<T>, Cpu) {
        let size = sizes::Step { widths: vec![12, 7, 6, 4], batch: 9, ..sizes::load().step };
        (Training::new(&size, name), Cpu::new(Some(1)).expect("a thread"))
    }

    #[test]
    fn right_steps_are_right() {
        fn of<T: Scalar>() {
            for name in ALL {
                let (mut training, cpu) = small::<T>(name);
                for _ in 0..3 {
                    training.step(&cpu).expect("a step");
                    training.check(&cpu).expect(name);
                }
            }
        }
        of::<f32>();
        of::<f64>();
    }

    /// The error of a check that expects other settings than the optimiser has.
    fn expecting(name: &str, change: impl FnOnce(&mut OptimizerConfig)) -> String {
        let (mut training, cpu) = small::<f32>(name);
        training.step(&cpu).expect("a step");
        change(&mut training.config);
        training.check(&cpu).expect_err(name)
    }

    #[test]
    fn wrong_steps_are_found() {
        let words = expecting("sgd", |c| {
            if let OptimizerConfig::Sgd(c) = c {
                c.momentum = 0.8;
            }
        });
        assert!(words.contains("the first moment"), "{words}");
        let words = expecting("adam", |c| {
            if let OptimizerConfig::Adam(c) = c {
                c.beta2 = 0.99;
            }
        });
        assert!(words.contains("the second moment"), "{words}");
        let words = expecting("adam", |c| {
            if let OptimizerConfig::Adam(c) = c {
                c.epsilon = 1e-4;
            }
        });
        assert!(words.contains("parameter"), "{words}");
        let words = expecting("rngd-sample", |c| {
            if let OptimizerConfig::RngdSample(c) = c {
                c.damping *= 1.1;
            }
        });
        assert!(words.contains("RNGD step of layer 0"), "{words}");
        let words = expecting("kfac", |c| {
            if let OptimizerConfig::Kfac(c) = c {
                c.damping *= 1.1;
            }
        });
        assert!(words.contains("damped Kronecker step of layer 0"), "{words}");
        let words = expecting("kfac", |c| {
            if let OptimizerConfig::Kfac(c) = c {
                c.decay = 0.5;
            }
        });
        assert!(words.contains("A of layer 0"), "{words}");
    }

    #[test]
    fn optimisers_have_flops_of_their_own() {
        let flops = ALL.map(|name| {
            let (mut training, cpu) = small::<f32>(name);
            training.optimizer_flops(&cpu).expect(name)
        });
        let count = (7 * 13 + 6 * 8 + 4 * 7) as f64;
        assert_eq!(flops[..2], [6.0 * count, 15.0 * count]);
        // every neuron's system, at least; the triangles of both Gram matrices in every other step
        assert!(flops[2] > 6.0 * count + 13.0 * 9.0_f64.powi(2), "{flops:?}");
        let grams: usize =
            [(7, 13), (6, 8), (4, 7)].map(|(m, d)| m * (m + 1) + d * (d + 1)).iter().sum();
        assert!(flops[3] > 8.0 * count + 9.0 * grams as f64 / 2.0, "{flops:?}");
        assert_eq!(small::<f32>("kfac").0.cycle(), 20);
        assert_eq!(small::<f32>("sgd").0.cycle(), 1);
    }
}
