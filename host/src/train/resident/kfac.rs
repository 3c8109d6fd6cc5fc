//! K-FAC on the device: moving averages of A and G, their damped inverses at every refresh, and
//! G⁻¹VA⁻¹ as two products at every step.
//!
//! A state is that of [`crate::optimizer::Kfac`] with damped Cholesky factors, from which the
//! inverses are made again.

use std::sync::Arc;

use relfisher_core::MatRef;
use relfisher_core::curvature::Labels;
use relfisher_core::kron::{self, Damping};
use relfisher_core::optim::ema_keep;
use relfisher_kernels::contract::RightSides;

use super::network::{DeviceNetwork, Gradient};
use super::optimizer::{DeviceMomentum, DeviceOptimizer, DeviceStep, Flags, decay_weights};
use crate::error::Error;
use crate::executor::cuda::{Buffer, Gpu, LARGEST_SOLVE, Matrix, MatrixMut, Side, Squares, View};
use crate::network::Network;
use crate::optimizer::{AdaptationConfig, KfacConfig, KroneckerKind, State, singular};
use crate::random;
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
    identity: Buffer<T>,
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
    /// Numbers in 0..1 that labels are drawn with, on the host and on the device.
    draws: Option<(Vec<f64>, Buffer<f64>)>,
    updates: u64,
    steps: u64,
    /// gᵀv of the KL clip.
    curvature: Buffer<T>,
}

impl<T: Scalar> Factor<T> {
    fn new(order: usize, name: &str, on: &DeviceNetwork<T>) -> Result<Self, Error> {
        if order > LARGEST_SOLVE {
            return Err(Error::input(
                "--device",
                name,
                format_args!("a factor of order {order}"),
                format_args!("layers up to {LARGEST_SOLVE} wide fit; use --device cpu"),
            ));
        }
        let (gpu, square) = (&on.gpu, order * order);
        let mut unit = vec![T::ZERO; square];
        unit.iter_mut().step_by(order + 1).for_each(|x| *x = T::ONE);
        Ok(Self {
            order,
            average: Buffer::zeros(gpu, square)?,
            cholesky: Buffer::zeros(gpu, square)?,
            inverse: Buffer::zeros(gpu, square)?,
            identity: Buffer::from_slice(gpu, &unit)?,
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

    /// The mean of the average's diagonal.
    fn mean_diagonal(&self, gpu: &Arc<Gpu>) -> Result<[T; 1], Error> {
        let mut trace = Buffer::new(gpu, 1)?;
        gpu.dot(trace.view_mut(), self.average.view(), self.identity.view())?;
        let mut mean = [T::ZERO];
        trace.view().download(&mut mean)?;
        Ok(mean.map(|trace| trace / T::from_usize(self.order)))
    }

    /// L of the damped average.
    fn factor(&mut self, on: &DeviceNetwork<T>, damping: T) -> Result<(), Error> {
        self.cholesky.view_mut().copy_from(self.average.view())?;
        let (l, flags) = (self.cholesky.view_mut(), self.flags.last.view_mut());
        on.gpu.cholesky(l, flags, Squares::one(self.order), damping)?;
        self.flags.keep(on)
    }

    /// The inverse from L, a right side a row.
    fn invert(&mut self, gpu: &Gpu) -> Result<(), Error> {
        let n = self.order;
        self.inverse.view_mut().copy_from(self.identity.view())?;
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
            let a = Factor::new(layer.cols, &name, on)?;
            let g = Factor::new(layer.rows, &name, on)?;
            layers.push(Factors { name, a, g });
        }
        let largest = on.layers.iter().map(|l| l.rows * l.cols).max().unwrap_or(0);
        let draws = match strategy.labels {
            Labels::MonteCarlo { .. } => {
                let n = on.capacity();
                Some((vec![0.0; n], Buffer::new(gpu, n)?))
            }
            _ => None,
        };
        Ok(Self {
            config: config.clone(),
            labels: strategy.labels,
            rule,
            damping: T::from_f64(config.damping),
            layers,
            momentum: DeviceMomentum::new("kfac.velocity", config.momentum, on)?,
            direction: Buffer::new(gpu, on.parameters.len())?,
            half: Buffer::new(gpu, largest)?,
            draws,
            updates: 0,
            steps: 0,
            curvature: Buffer::zeros(gpu, 1)?,
        })
    }

    /// Moves the averages towards the mini-batch, whose gradient is formed already.
    fn measure(&mut self, step: &mut DeviceStep<'_, T>, keep: T) -> Result<(), Error> {
        let on = &mut *step.network;
        let fresh = (T::ONE - keep) / T::from_usize(on.batch);
        if let (Labels::MonteCarlo { .. }, Some((host, device))) = (self.labels, &mut self.draws) {
            host.resize(on.batch, 0.0);
            host.iter_mut().for_each(|u| *u = random::uniform(step.rng));
            device.view_mut().upload(host)?;
            on.draw_deltas(device.view().slice(0..on.batch))?;
            on.backward(Gradient::None)?;
        }
        let gpu = on.gpu.clone();
        for (i, factors) in self.layers.iter_mut().enumerate() {
            factors.a.measure(&gpu, on.input(i)?, (keep, fresh))?;
            factors.g.measure(&gpu, on.delta(i)?, (keep, fresh))?;
        }
        Ok(())
    }

    /// Factors and inverts the damped averages. The traces come to the host for π: two numbers a
    /// layer.
    fn refresh(&mut self, on: &DeviceNetwork<T>) -> Result<(), Error> {
        for factors in &mut self.layers {
            let Factors { name, a, g } = factors;
            // The rule knows a factor by the mean of its diagonal: that of a 1 × 1 matrix is itself.
            let means = [a.mean_diagonal(&on.gpu)?, g.mean_diagonal(&on.gpu)?];
            let [a_mean, g_mean] = means.each_ref().map(|x| MatRef::new(x, 1, 1));
            let split = kron::split_damping(g_mean?, a_mean?, self.damping, self.rule)
                .map_err(|e| Error::core(&*name, e))?;
            a.factor(on, split.a)?;
            g.factor(on, split.g)?;
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

    /// Scales the direction by ν = min(1, √(κ/(γ² gᵀv))), without the host.
    fn clip(&mut self, on: &DeviceNetwork<T>, learning_rate: T) -> Result<(), Error> {
        if self.config.kl_clip == 0.0 {
            return Ok(());
        }
        let (direction, gradient) = (self.direction.view(), on.gradient.view());
        on.gpu.dot(self.curvature.view_mut(), direction, gradient)?;
        let limits = (learning_rate, T::from_f64(self.config.kl_clip));
        Ok(on.gpu.kl_clip(self.direction.view_mut(), self.curvature.view(), limits)?)
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
        self.clip(step.network, step.learning_rate)?;
        self.steps += 1;
        self.momentum.apply(step.network, self.direction.view(), step.learning_rate)
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
