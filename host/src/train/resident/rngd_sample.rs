//! Relative natural gradient descent in sample space on the device.
//!
//! For the neurons of a layer: K = X̃X̃ᵀ and Z = X̃Gᵀ, the small systems of
//! [`relfisher_kernels::body::sample`], and G/λ − (1/λ)ZᵀX̃. The soft-max layer is solved directly by the
//! same identity: with the rows B of the root of diag(η) − ηηᵀ, J = B ⋆ X̃ (row by row the Kronecker
//! product) has JᵀJ = nḠ, and
//!
//! ```text
//! (Ḡ + λI)⁻¹g = (g − Jᵀ(JJᵀ + nλI)⁻¹Jg)/λ,   JJᵀ = BBᵀ ∘ X̃X̃ᵀ  (n·C × n·C)
//! ```

use relfisher_core::metric::neuron::Response;
use relfisher_kernels::contract::RightSides;

use super::network::DeviceNetwork;
use super::optimizer::{DeviceMomentum, DeviceOptimizer, DeviceStep, Flags, decay_weights};
use crate::error::Error;
use crate::executor::cuda::{
    Buffer, LARGEST_SOLVE, MOST_SAMPLES, Matrix, MatrixMut, Side, Squares,
};
use crate::network::Network;
use crate::optimizer::{Form, RngdSampleConfig, State, Weights, subsystems_of};
use crate::scalar::Scalar;

/// The layers' metrics and the buffers of their solves.
pub(super) struct DeviceRngdSample<T> {
    config: RngdSampleConfig,
    damping: T,
    layers: Vec<Metric<T>>,
    momentum: DeviceMomentum<T>,
    direction: Buffer<T>,
    /// K, n × n.
    kernel: Buffer<T>,
    /// Z, n × m.
    products: Buffer<T>,
    nu: Buffer<T>,
}

/// The metric of one layer.
struct Metric<T> {
    name: String,
    form: MetricForm<T>,
    flags: Flags,
}

enum MetricForm<T> {
    Neurons(Response<T>),
    Softmax(Box<Softmax<T>>),
}

/// Buffers of the soft-max layer; N = n·C.
struct Softmax<T> {
    /// The sample of each row of J.
    sample: Buffer<u32>,
    /// B, N × C.
    root: Buffer<T>,
    /// X̃ with each row C times, N × d̃.
    inputs: Buffer<T>,
    /// N × N: X̃X̃ᵀ, and the system.
    gram: Buffer<T>,
    system: Buffer<T>,
    /// N × C.
    products: Buffer<T>,
    /// N.
    unknowns: Buffer<T>,
    /// C ones.
    ones: Buffer<T>,
}

impl<T: Scalar> DeviceRngdSample<T> {
    pub(super) fn new(
        config: &RngdSampleConfig,
        network: &Network<T>,
        on: &DeviceNetwork<T>,
    ) -> Result<Self, Error> {
        let (gpu, n) = (&on.gpu, on.capacity());
        if n > MOST_SAMPLES {
            return Err(Error::input(
                "--device",
                "batch_size",
                format_args!("{n} samples, but rngd-sample takes {MOST_SAMPLES} on a device"),
                format_args!("use at most {MOST_SAMPLES}, or --device cpu"),
            ));
        }
        let mut layers = Vec::new();
        for subsystem in subsystems_of(network, config.smoothing) {
            let form = match subsystem.form {
                Form::Neurons(Weights::Response(response)) => MetricForm::Neurons(response),
                Form::Softmax => MetricForm::Softmax(Box::new(Softmax::new(
                    on,
                    &subsystem.name,
                    (subsystem.rows, subsystem.cols),
                )?)),
                Form::Neurons(Weights::SoftmaxDiagonal) | Form::Channels(_) => {
                    return Err(normalised(&subsystem.name));
                }
            };
            let systems = if matches!(form, MetricForm::Softmax(_)) { 1 } else { subsystem.rows };
            layers.push(Metric { name: subsystem.name, form, flags: Flags::new(systems, on)? });
        }
        let widest = on.layers.iter().map(|l| l.rows).max().unwrap_or(0);
        Ok(Self {
            config: config.clone(),
            damping: T::from_f64(config.damping),
            layers,
            momentum: DeviceMomentum::new("rngd-sample.velocity", config.momentum, on)?,
            direction: Buffer::new(gpu, on.parameters.len())?,
            kernel: Buffer::new(gpu, n * n)?,
            products: Buffer::new(gpu, n * widest)?,
            nu: Buffer::new(gpu, n * widest)?,
        })
    }

    /// `direction ← (ḡ + λI)⁻¹ gradient` for the mini-batch.
    fn precondition(&mut self, on: &DeviceNetwork<T>) -> Result<(), Error> {
        let (n, gpu) = (on.batch, &on.gpu);
        let inverse = T::ONE / self.damping;
        let system_damping = T::from_usize(n) * self.damping;
        for (i, metric) in self.layers.iter_mut().enumerate() {
            let layer = &on.layers[i];
            let (m, d) = (layer.rows, layer.cols);
            let gradient = on.gradient.view().slice(layer.range.clone());
            let g = Matrix::new(gradient, m, d)?;
            let x = on.input(i)?;
            let out = self.direction.view_mut().slice(layer.range.clone());
            let mut out = MatrixMut::new(out, m, d)?;
            out.copy_from(g)?;
            let once = (T::ZERO, T::ONE);
            let (left, right) = match &mut metric.form {
                MetricForm::Neurons(response) => {
                    let z = self.products.view_mut().slice(0..n * m);
                    let mut z = MatrixMut::new(z, n, m)?;
                    gpu.gemm(z.again(), once, (x, Side::Stored), (g, Side::Transposed))?;
                    let mut k = self.kernel.view_mut().slice(0..n * n);
                    let square = MatrixMut::new(k.again(), n, n)?;
                    gpu.gemm(square, once, (x, Side::Stored), (x, Side::Transposed))?;
                    let mut nu = self.nu.view_mut().slice(0..n * m);
                    gpu.response_nu(nu.again(), on.output(i), *response)?;
                    let (flags, k, nu) = (metric.flags.last.view_mut(), k.read(), nu.read());
                    gpu.sample_solve(z.again().values(), flags, (k, n), nu, system_damping)?;
                    (Matrix::new(self.products.view(), n, m)?, x)
                }
                MetricForm::Softmax(softmax) => {
                    softmax.solve(on, g, (i, system_damping), &mut metric.flags)?
                }
            };
            metric.flags.keep(on)?;
            let sides = ((left, Side::Transposed), (right, Side::Stored));
            gpu.gemm(out, (inverse, -inverse), sides.0, sides.1)?;
        }
        Ok(())
    }
}

/// The refusal of a layer with a batch normalisation.
pub(super) fn normalised(layer: &str) -> Error {
    let remedy = "use --device cpu for this network";
    Error::input("--device", layer, "batch normalisation", remedy)
}

impl<T: Scalar> Softmax<T> {
    fn new(on: &DeviceNetwork<T>, name: &str, (c, d): (usize, usize)) -> Result<Self, Error> {
        let (gpu, n) = (&on.gpu, on.capacity());
        let rows = n * c;
        if rows > LARGEST_SOLVE {
            return Err(Error::input(
                "--device",
                name,
                format_args!("{n} samples of {c} classes are a system of order {rows}"),
                format_args!("keep their product at {LARGEST_SOLVE} or below, or use --device cpu"),
            ));
        }
        let sample: Vec<u32> = (0..rows).map(|row| (row / c) as u32).collect();
        Ok(Self {
            sample: Buffer::from_slice(gpu, &sample)?,
            root: Buffer::new(gpu, rows * c)?,
            inputs: Buffer::new(gpu, rows * d)?,
            gram: Buffer::new(gpu, rows * rows)?,
            system: Buffer::new(gpu, rows * rows)?,
            products: Buffer::new(gpu, rows * c)?,
            unknowns: Buffer::new(gpu, rows)?,
            ones: Buffer::from_slice(gpu, &vec![T::ONE; c])?,
        })
    }

    /// The factors of Jᵀy for y = (JJᵀ + n λI)⁻¹Jg: diag(y)B, and X̃ with each row C times.
    fn solve<'a>(
        &'a mut self,
        on: &DeviceNetwork<T>,
        g: Matrix<'_, T>,
        (layer, damping): (usize, T),
        flags: &mut Flags,
    ) -> Result<(Matrix<'a, T>, Matrix<'a, T>), Error> {
        let (gpu, n, c) = (&on.gpu, on.batch, g.rows());
        let (rows, x) = (n * c, on.input(layer)?);
        let d = x.cols();
        let once = (T::ZERO, T::ONE);
        let sample = self.sample.view().slice(0..rows);
        let root = self.root.view_mut().slice(0..rows * c);
        gpu.softmax_root(root, on.probabilities.view().slice(0..n * c), (n, c))?;
        gpu.gather(MatrixMut::new(self.inputs.view_mut(), rows, d)?, x, sample)?;
        let (b, xs) =
            (Matrix::new(self.root.view(), rows, c)?, Matrix::new(self.inputs.view(), rows, d)?);
        let gram = MatrixMut::new(self.gram.view_mut(), rows, rows)?;
        gpu.gemm(gram, once, (xs, Side::Stored), (xs, Side::Transposed))?;
        let gram = Matrix::new(self.gram.view(), rows, rows)?;
        let system = MatrixMut::new(self.system.view_mut(), rows, rows)?;
        gpu.masked(system, once, (gram, 1), b, (b, Side::Transposed))?;
        // Jg: the rows of B ∘ (X̃Gᵀ with each row C times), summed.
        let products = self.products.view_mut().slice(0..rows * c);
        let mut products = MatrixMut::new(products, rows, c)?;
        gpu.masked(products.again(), once, (b, 1), xs, (g, Side::Transposed))?;
        let ones = Matrix::new(self.ones.view(), c, 1)?;
        let mut unknowns = self.unknowns.view_mut().slice(0..rows);
        let right = MatrixMut::new(unknowns.again(), rows, 1)?;
        gpu.gemm(right, once, (products.read(), Side::Stored), (ones, Side::Stored))?;
        let squares = Squares::one(rows);
        let system = self.system.view_mut().slice(0..rows * rows);
        gpu.cholesky(system, flags.last.view_mut(), squares, damping)?;
        let sides = RightSides { distance: 0, side: 0, element: 1 };
        let system = self.system.view().slice(0..rows * rows);
        gpu.cholesky_solve(unknowns.again(), (sides, 1), system, squares)?;
        // diag(y)B.
        let y = Matrix::new(unknowns.read(), rows, 1)?;
        gpu.masked(products, once, (b, 1), y, (ones, Side::Transposed))?;
        Ok((Matrix::new(self.products.view(), rows, c)?, Matrix::new(self.inputs.view(), rows, d)?))
    }
}

impl<T: Scalar> DeviceOptimizer<T> for DeviceRngdSample<T> {
    fn repeats(&self) -> bool {
        true
    }

    fn step(&mut self, step: &mut DeviceStep<'_, T>) -> Result<(), Error> {
        decay_weights(step.network, self.config.weight_decay)?;
        self.precondition(step.network)?;
        self.momentum.apply(step.network, self.direction.view(), step.learning_rate)
    }

    fn settle(&mut self) -> Result<(), Error> {
        for metric in &self.layers {
            metric.flags.check(&metric.name, self.config.damping)?;
        }
        Ok(())
    }

    fn save(&self, state: &mut State<T>) -> Result<(), Error> {
        self.momentum.save(state)
    }

    fn load(&mut self, state: &State<T>) -> Result<(), Error> {
        self.momentum.load(state)
    }
}
