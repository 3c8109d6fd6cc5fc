//! K-FAC on a wide network: factors, damped Cholesky factors, inverses, preconditioned gradients.

use std::cell::RefCell;
use std::sync::Arc;

use relfisher::executor::cuda::{Buffer, Error, Gpu, Side};

use super::clock::{Case, time_in_turn};
use super::data::{Noise, rows_mut, sampled};
use super::{Failure, Report, Session, check};

/// Added to every factor.
const DAMPING: f32 = 0.5;

pub(super) fn measure(session: &Session, report: &mut Report) -> Result<(), Failure> {
    let widths = if session.quick { [40, 40, 40, 10] } else { [4096, 4096, 4096, 1000] };
    let samples = session.size(4096, 40);
    let gpu = &session.gpu;
    let mut layers = Vec::new();
    for (k, pair) in widths.windows(2).enumerate() {
        layers.push(Layer::new(gpu, k as u64, (pair[0], pair[1]), samples)?);
    }
    for layer in &mut layers {
        layer.factors(gpu)?;
        layer.check_factors()?;
        layer.refresh(gpu)?;
        layer.precondition(gpu)?;
        layer.check_direction()?;
    }
    let title = widths.map(|width| width.to_string()).join("-");
    let name = |what: &str| format!("kfac {title} b={samples}, {what}");
    let names = [name("factors"), name("refresh"), name("precondition"), name("all")];
    let sum = |work: fn(&Layer) -> f64| layers.iter().map(work).sum::<f64>();
    let work = [sum(Layer::factor_flops), sum(Layer::refresh_flops), sum(Layer::direction_flops)];
    let shared = RefCell::new(layers);
    let each = |work: fn(&mut Layer, &Arc<Gpu>) -> Result<(), Error>| {
        shared.borrow_mut().iter_mut().try_for_each(|layer| work(layer, gpu))
    };
    let mut cases = [
        Case::new(&names[0], (work[0], 0.0), || each(Layer::factors)),
        Case::new(&names[1], (work[1], 0.0), || each(Layer::refresh)),
        Case::new(&names[2], (work[2], 0.0), || each(Layer::precondition)),
        Case::new(&names[3], (work.iter().sum(), 0.0), || {
            each(Layer::factors)?;
            each(Layer::refresh)?;
            each(Layer::precondition)
        }),
    ];
    let times = time_in_turn(gpu, session.seconds, &mut cases)?;
    report.add(&cases, &times);
    let ceiling = format!("gemm tf32x3 {}", session.size(8192, 130));
    for name in &names {
        report.share_of_arithmetic(name, &ceiling);
    }
    report.against_baselines(&names[0], "kfac factors 4096");
    report.against_baselines(&names[3], "kfac factors+cholesky+precondition");
    Ok(())
}

/// A factor of a layer.
struct Factor {
    order: usize,
    columns: Noise<f32>,
    moments: Buffer<f32>,
    inverse: Buffer<f32>,
    flag: Buffer<u32>,
}

impl Factor {
    fn new(gpu: &Arc<Gpu>, seed: u64, order: usize, samples: usize) -> Result<Self, Error> {
        let room = || Buffer::<f32>::new(gpu, order * order);
        Ok(Self {
            order,
            columns: Noise::new(gpu, seed, samples * order)?,
            moments: room()?,
            inverse: room()?,
            flag: Buffer::new(gpu, 1)?,
        })
    }

    /// XᵀX/n.
    fn measure(&mut self, gpu: &Arc<Gpu>, samples: usize) -> Result<(), Error> {
        let d = self.order;
        let x = self.columns.rows(samples, d)?;
        gpu.gram(rows_mut(&mut self.moments, d, d)?, (0.0, 1.0 / samples as f32), x, None)
    }

    /// (XᵀX/n + λI)⁻¹ by its Cholesky factor.
    fn invert(&mut self, gpu: &Arc<Gpu>) -> Result<(), Error> {
        let n = self.order;
        self.inverse.view_mut().copy_from(self.moments.view())?;
        gpu.spd_inverse(rows_mut(&mut self.inverse, n, n)?, self.flag.view_mut(), DAMPING)
    }
}

/// A layer.
pub(super) struct Layer {
    samples: usize,
    a: Factor,
    g: Factor,
    gradient: Noise<f32>,
    half: Buffer<f32>,
    direction: Buffer<f32>,
}

impl Layer {
    pub(super) fn new(
        gpu: &Arc<Gpu>,
        seed: u64,
        (inputs, outputs): (usize, usize),
        samples: usize,
    ) -> Result<Self, Error> {
        let order = inputs + 1;
        Ok(Self {
            samples,
            a: Factor::new(gpu, 10 + seed, order, samples)?,
            g: Factor::new(gpu, 20 + seed, outputs, samples)?,
            gradient: Noise::new(gpu, 30 + seed, outputs * order)?,
            half: Buffer::new(gpu, outputs * order)?,
            direction: Buffer::new(gpu, outputs * order)?,
        })
    }

    pub(super) fn factors(&mut self, gpu: &Arc<Gpu>) -> Result<(), Error> {
        self.a.measure(gpu, self.samples)?;
        self.g.measure(gpu, self.samples)
    }

    pub(super) fn refresh(&mut self, gpu: &Arc<Gpu>) -> Result<(), Error> {
        self.a.invert(gpu)?;
        self.g.invert(gpu)
    }

    /// G⁻¹ V A⁻¹.
    pub(super) fn precondition(&mut self, gpu: &Arc<Gpu>) -> Result<(), Error> {
        let (m, d) = (self.g.order, self.a.order);
        let once = (0.0, 1.0);
        let inverse = relfisher::executor::cuda::Matrix::new(self.g.inverse.view(), m, m)?;
        let sides = ((inverse, Side::Stored), (self.gradient.rows(m, d)?, Side::Stored));
        gpu.gemm(rows_mut(&mut self.half, m, d)?, once, sides.0, sides.1)?;
        let half = relfisher::executor::cuda::Matrix::new(self.half.view(), m, d)?;
        let inverse = relfisher::executor::cuda::Matrix::new(self.a.inverse.view(), d, d)?;
        let sides = ((half, Side::Stored), (inverse, Side::Stored));
        gpu.gemm(rows_mut(&mut self.direction, m, d)?, once, sides.0, sides.1)
    }

    fn factor_flops(&self) -> f64 {
        let of = |n: usize| (self.samples * n) as f64 * (n + 1) as f64;
        of(self.a.order) + of(self.g.order)
    }

    fn refresh_flops(&self) -> f64 {
        // A Cholesky factor (n³/3) and the inverse from it (2n³/3): the least that does it. The route
        // by products does up to twice as many.
        let of = |n: usize| (n as f64).powi(3);
        of(self.a.order) + of(self.g.order)
    }

    fn direction_flops(&self) -> f64 {
        let (m, d) = (self.g.order as f64, self.a.order as f64);
        2.0 * m * d * (m + d)
    }

    fn check_factors(&self) -> Result<(), Failure> {
        for factor in [&self.a, &self.g] {
            let (d, n) = (factor.order, self.samples);
            let x = |s: usize, j: usize| factor.columns.at(s * d + j);
            let want =
                |at: usize| (0..n).map(|s| x(s, at / d) * x(s, at % d)).sum::<f64>() / n as f64;
            // Relative to 1/3, the mean square of a column.
            check("a factor", sampled(&factor.moments, 16, want)?.0, 1e-5)?;
        }
        Ok(())
    }

    /// A few columns of (G + λI) D (A + λI) against those of V.
    fn check_direction(&self) -> Result<(), Failure> {
        for factor in [&self.a, &self.g] {
            if factor.flag.to_vec()? != [0] {
                return Err(Failure::Answer("a damped factor was refused".to_owned()));
            }
        }
        let (m, d) = (self.g.order, self.a.order);
        let direction = self.direction.to_vec()?;
        let [a, g] = [&self.a, &self.g].map(|factor| factor.moments.to_vec());
        let (a, g) = (a?, g?);
        let damped = |x: &[f32], n: usize, i: usize, j: usize| {
            f64::from(x[i * n + j]) + if i == j { f64::from(DAMPING) } else { 0.0 }
        };
        for j in [0, d / 2, d - 1] {
            let column: Vec<f64> = direction
                .chunks(d)
                .map(|row| {
                    row.iter().enumerate().map(|(k, x)| f64::from(*x) * damped(&a, d, k, j)).sum()
                })
                .collect();
            for i in [0, m / 2, m - 1] {
                let found: f64 = (0..m).map(|k| damped(&g, m, i, k) * column[k]).sum();
                let error = (found - self.gradient.at(i * d + j)).abs();
                check("a preconditioned gradient", error, 1e-2)?;
            }
        }
        Ok(())
    }
}
