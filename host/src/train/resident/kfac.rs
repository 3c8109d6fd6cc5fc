//! K-FAC on the device: moving averages of A and G, their damped inverses at every refresh, and
//! G⁻¹VA⁻¹ as two products at every step.
//!
//! A state is that of [`crate::optimizer::Kfac`] with damped Cholesky factors, from which the
//! inverses are made again.

use std::sync::Arc;

use relfisher_core::curvature::Labels;
use relfisher_core::kron::Damping;
use relfisher_core::optim::ema_keep;
use relfisher_kernels::contract::RightSides;

use super::network::{DeviceNetwork, Gradient};
use super::optimizer::{DeviceMomentum, DeviceOptimizer, DeviceStep, Flags, decay_weights};
use crate::error::Error;
use crate::executor::cuda::{
    Buffer, Gpu, Matrix, MatrixMut, SMALLEST_BY_PRODUCTS, Side, Squares, View,
};
use crate::network::Network;
use crate::optimizer::{AdaptationConfig, KfacConfig, KroneckerKind, State, StepLength, singular};
use crate::scalar::Scalar;

/// G ⊗ A of one layer.
struct Factors<T> {
    name: String,
    a: Factor<T>,
    g: Factor<T>,
}

/// A factor: its moving average, and what was made of it at the last refresh.
struct Factor<T> {
    order: usize,
    average: Buffer<T>,
    /// L of the damped average.
    cholesky: Buffer<T>,
    inverse: Buffer<T>,
    flags: Flags,
}

/// K-FAC's averages, inverses and velocity.
pub(super) struct DeviceKfac<T: Scalar> {
    config: KfacConfig,
    labels: Labels,
    rule: Damping,
    damping: T,
    layers: Vec<Factors<T>>,
    momentum: DeviceMomentum<T>,
    direction: Buffer<T>,
    half: Buffer<T>,
    updates: u64,
    steps: u64,
    /// The means of the diagonals and the dampings of all factors, G before A.
    means: Buffer<T>,
    dampings: Buffer<T>,
    /// gᵀd and ν of the KL clip.
    clip: [Buffer<T>; 2],
}

impl<T: Scalar> Factor<T> {
    fn new(order: usize, on: &DeviceNetwork<T>) -> Result<Self, Error> {
        let (gpu, square) = (&on.gpu, order * order);
        Ok(Self {
            order,
            average: Buffer::zeros(gpu, square)?,
            cholesky: Buffer::zeros(gpu, square)?,
            inverse: Buffer::zeros(gpu, square)?,
            flags: Flags::new(1, on)?,
        })
    }

    /// `average ← keep·average + fresh·XᵀX`.
    fn measure(
        &mut self,
        gpu: &Arc<Gpu>,
        x: Matrix<'_, T>,
        (keep, fresh): (T, T),
    ) -> Result<(), Error> {
        let average = MatrixMut::new(self.average.view_mut(), self.order, self.order)?;
        Ok(gpu.gram(average, (keep, fresh), x, None)?)
    }

    /// L of the damped average, the damping on the device.
    fn factor(&mut self, on: &DeviceNetwork<T>, damping: View<'_, T>) -> Result<(), Error> {
        let squares = Squares::one(self.order);
        self.cholesky.view_mut().copy_from(self.average.view())?;
        on.gpu.add_diagonal(self.cholesky.view_mut(), damping, squares)?;
        let (l, flags) = (self.cholesky.view_mut(), self.flags.last.view_mut());
        on.gpu.cholesky(l, flags, squares, T::ZERO)?;
        self.flags.keep(on)
    }

    /// The inverse from L: of small ones by solves, a right side a row.
    fn invert(&mut self, gpu: &Arc<Gpu>) -> Result<(), Error> {
        let n = self.order;
        let inverse = MatrixMut::new(self.inverse.view_mut(), n, n)?;
        if n > SMALLEST_BY_PRODUCTS {
            return Ok(gpu.cholesky_inverse(inverse, Matrix::new(self.cholesky.view(), n, n)?)?);
        }
        gpu.identity(inverse)?;
        let sides = RightSides { distance: 0, side: n as u32, element: 1 };
        let (x, l) = (self.inverse.view_mut(), self.cholesky.view());
        Ok(gpu.cholesky_solve(x, (sides, n), l, Squares::one(n))?)
    }

    fn inverse(&self) -> Result<Matrix<'_, T>, Error> {
        Ok(Matrix::new(self.inverse.view(), self.order, self.order)?)
    }
}

impl<T: Scalar> DeviceKfac<T> {
    pub(super) fn new(
        config: &KfacConfig,
        network: &Network<T>,
        on: &DeviceNetwork<T>,
    ) -> Result<Self, Error> {
        let refuse = |setting: &str, instead: &str| {
            let problem = "does not run on a device with this setting";
            Err(Error::input("kfac", setting, problem, format!("{instead}, or use --device cpu")))
        };
        let strategy = config.strategy(KroneckerKind::Kfac);
        let rule = config.damping_rule(KroneckerKind::Kfac);
        if config.power != 1.0 {
            return refuse("power", "use 1");
        }
        if config.step_length != StepLength::Rate {
            return refuse("step_length", "use rate");
        }
        if rule == Damping::Exact {
            return refuse("damping_kind", "use pi or factored");
        }
        if config.adaptation != AdaptationConfig::Fixed {
            return refuse("adaptation", "use fixed");
        }
        if let Labels::MonteCarlo { draws: 2.. } = strategy.labels {
            return refuse("draws", "use 1");
        }
        if strategy.labels == Labels::Type2 {
            return refuse("labels", "use mc or empirical");
        }
        let gpu = &on.gpu;
        let mut layers = Vec::new();
        for layer in &on.layers {
            let name = network.blocks()[layer.block].name.clone();
            let a = Factor::new(layer.cols, on)?;
            let g = Factor::new(layer.rows, on)?;
            layers.push(Factors { name, a, g });
        }
        let largest = on.layers.iter().map(|l| l.rows * l.cols).max().unwrap_or(0);
        let count = layers.len();
        Ok(Self {
            config: config.clone(),
            labels: strategy.labels,
            rule,
            damping: T::from_f64(config.damping),
            layers,
            momentum: DeviceMomentum::new("kfac.velocity", config.momentum, on)?,
            direction: Buffer::new(gpu, on.parameters.len())?,
            half: Buffer::new(gpu, largest)?,
            updates: 0,
            steps: 0,
            means: Buffer::zeros(gpu, 2 * count)?,
            dampings: Buffer::from_slice(gpu, &vec![T::from_f64(config.damping); 2 * count])?,
            clip: [Buffer::zeros(gpu, 1)?, Buffer::zeros(gpu, 1)?],
        })
    }

    /// Moves the averages towards the mini-batch, whose gradient is formed already.
    fn measure(&mut self, step: &mut DeviceStep<'_, T>, keep: T) -> Result<(), Error> {
        let on = &mut *step.network;
        let fresh = (T::ONE - keep) / T::from_usize(on.batch);
        if let Labels::MonteCarlo { .. } = self.labels {
            on.draw_deltas(step.rng)?;
            on.backward(Gradient::None)?;
        }
        let gpu = on.gpu.clone();
        for (i, factors) in self.layers.iter_mut().enumerate() {
            factors.a.measure(&gpu, on.input(i)?, (keep, fresh))?;
            factors.g.measure(&gpu, on.delta(i)?, (keep, fresh))?;
        }
        Ok(())
    }

    /// Factors and inverts the damped averages.
    fn refresh(&mut self, on: &DeviceNetwork<T>) -> Result<(), Error> {
        if self.rule == Damping::Pi {
            for (i, Factors { a, g, .. }) in self.layers.iter().enumerate() {
                for (at, factor) in [(2 * i, g), (2 * i + 1, a)] {
                    let mean = self.means.view_mut().slice(at..at + 1);
                    let average = factor.average.view();
                    on.gpu.mean_diagonal(mean, average, Squares::one(factor.order))?;
                }
            }
            on.gpu.split_damping(self.dampings.view_mut(), self.means.view(), self.damping)?;
        }
        for (i, Factors { a, g, .. }) in self.layers.iter_mut().enumerate() {
            g.factor(on, self.dampings.view().slice(2 * i..2 * i + 1))?;
            a.factor(on, self.dampings.view().slice(2 * i + 1..2 * i + 2))?;
            a.invert(&on.gpu)?;
            g.invert(&on.gpu)?;
        }
        Ok(())
    }

    /// `direction ← (G ⊗ A)⁻¹ gradient`, damped.
    fn precondition(&mut self, on: &DeviceNetwork<T>) -> Result<(), Error> {
        let once = (T::ZERO, T::ONE);
        for (layer, factors) in on.layers.iter().zip(&self.layers) {
            let (m, d) = (layer.rows, layer.cols);
            let v = Matrix::new(on.gradient.view().slice(layer.range.clone()), m, d)?;
            let half = MatrixMut::new(self.half.view_mut(), m, d)?;
            let sides = ((factors.g.inverse()?, Side::Stored), (v, Side::Stored));
            on.gpu.gemm(half, once, sides.0, sides.1)?;
            let half = Matrix::new(self.half.view(), m, d)?;
            let out = self.direction.view_mut().slice(layer.range.clone());
            let sides = ((half, Side::Stored), (factors.a.inverse()?, Side::Stored));
            on.gpu.gemm(MatrixMut::new(out, m, d)?, once, sides.0, sides.1)?;
        }
        Ok(())
    }

    /// θ ← θ − γv, v ← μv + ν·direction with ν = min(1, √(κ/(γ² gᵀd))), without the host.
    fn descend(&mut self, on: &mut DeviceNetwork<T>, learning_rate: T) -> Result<(), Error> {
        if self.config.kl_clip == 0.0 {
            return self.momentum.apply(on, self.direction.view(), learning_rate);
        }
        let [curvature, factor] = &mut self.clip;
        on.gpu.dot(curvature.view_mut(), self.direction.view(), on.gradient.view())?;
        let limits = (learning_rate, T::from_f64(self.config.kl_clip));
        on.gpu.kl_clip(factor.view_mut(), curvature.view(), limits)?;
        self.momentum.apply_scaled(on, (self.direction.view(), factor.view()), learning_rate)
    }
}

impl<T: Scalar> DeviceOptimizer<T> for DeviceKfac<T> {
    fn step(&mut self, step: &mut DeviceStep<'_, T>) -> Result<(), Error> {
        let every = self.config.factor_every.max(1);
        if self.updates.is_multiple_of(every) {
            let keep = ema_keep(T::from_f64(self.config.decay), self.updates / every);
            self.measure(step, keep)?;
        }
        if self.updates.is_multiple_of(self.config.refresh.max(1)) {
            self.refresh(step.network)?;
        }
        self.updates += 1;
        decay_weights(step.network, self.config.weight_decay)?;
        self.precondition(step.network)?;
        self.steps += 1;
        self.descend(step.network, step.learning_rate)
    }

    fn settle(&mut self) -> Result<(), Error> {
        for Factors { name, a, g } in &self.layers {
            for factor in [a, g] {
                if let Some((block, pivot)) = factor.flags.refused()? {
                    let e = relfisher_core::Error::NotPositiveDefinite { block, pivot };
                    return Err(singular(name, self.config.damping, e));
                }
            }
        }
        Ok(())
    }

    fn save(&self, state: &mut State<T>) -> Result<(), Error> {
        state.put_counter("kfac.steps", self.steps);
        state.put_counter("kfac.updates", self.updates);
        state.put_counter("kfac.scales", 0);
        state.put("kfac.damping", &[self.damping]);
        self.momentum.save(state)?;
        for layer in &self.layers {
            for (key, buffer) in layer.tensors() {
                state.put(format!("kfac.{key}.{}", layer.name), &buffer.to_vec()?);
            }
        }
        Ok(())
    }

    fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        self.steps = state.counter("kfac.steps")?;
        self.updates = state.counter("kfac.updates")?;
        self.damping = state.tensor("kfac.damping", 1)?[0];
        self.momentum.load(state)?;
        for layer in &mut self.layers {
            let Factors { name, a, g } = layer;
            for (end, factor) in [("a", &mut *a), ("g", &mut *g)] {
                read(state, &format!("kfac.{end}.{name}"), &mut factor.average)?;
                read(state, &format!("kfac.{end}_factor.{name}"), &mut factor.cholesky)?;
            }
            if self.updates > 0 {
                let gpu = self.direction.gpu().clone();
                a.invert(&gpu)?;
                g.invert(&gpu)?;
            }
        }
        Ok(())
    }
}

impl<T: Scalar> Factors<T> {
    fn tensors(&self) -> [(&'static str, View<'_, T>); 4] {
        [
            ("a", self.a.average.view()),
            ("g", self.g.average.view()),
            ("a_factor", self.a.cholesky.view()),
            ("g_factor", self.g.cholesky.view()),
        ]
    }
}

fn read<T: Scalar>(state: &State<T>, name: &str, into: &mut Buffer<T>) -> Result<(), Error> {
    let values = state.tensor(name, into.len())?;
    Ok(into.view_mut().upload(values)?)
}
