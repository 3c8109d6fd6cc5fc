//! Memory of the device that a computation holds at most, operands and results included, against its
//! formula.

use std::sync::Arc;

use relfisher::Scalar;
use relfisher::executor::cuda::{Buffer, Gpu, Matrix, Side};
use serde_json::{Value, json};

use super::data::rows_mut;
use super::kfac;
use super::step::{Net, join, shape};
use super::{Failure, Report, Session};
use crate::report::units;

/// Sizes of buffers are rounded up by less than this part of them.
const ROUNDING: f64 = 0.125;
/// Products of few tiles are formed in pieces of their inner range, of 128 tiles of 128 × 128 numbers
/// together at most.
const fn pieces<T>() -> f64 {
    (128 * 128 * 128 * size_of::<T>()) as f64
}

/// A computation's bytes.
pub(super) struct Held {
    name: String,
    predicted: f64,
    measured: u64,
}

impl Held {
    /// A line of the table.
    pub(super) fn line(&self) -> String {
        let [measured, predicted] = [self.measured as f64, self.predicted].map(units::bytes);
        format!("{:52} {measured:>12}, predicted {predicted:>12}", self.name)
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "name": self.name,
            "predicted_bytes": self.predicted,
            "measured_bytes": self.measured,
        })
    }
}

pub(super) fn measure(session: &Session, report: &mut Report) -> Result<(), Failure> {
    let sizes = |full: [usize; 3], small: [usize; 3]| if session.quick { small } else { full };
    for n in sizes([1024, 4096, 8192], [16, 64, 130]) {
        product::<f32>(session, report, n)?;
        product::<f64>(session, report, n / 2)?;
    }
    for [m, d, n] in [
        sizes([80, 785, 512], [8, 17, 20]),
        sizes([512, 513, 1024], [10, 20, 20]),
        sizes([512, 513, 4096], [20, 17, 50]),
    ] {
        metric(session, report, [m, d, n])?;
    }
    for n in sizes([512, 1024, 4096], [40, 70, 130]) {
        inverse(session, report, n)?;
    }
    for width in sizes([512, 1024, 4096], [10, 20, 40]) {
        layer(session, report, width)?;
    }
    step(session, report)
}

/// Runs `work` and notes the most bytes that it held.
fn held(
    session: &Session,
    report: &mut Report,
    (name, predicted, slack): (String, f64, f64),
    work: impl FnOnce(&Arc<Gpu>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let gpu = &session.gpu;
    let before = gpu.used_bytes();
    gpu.restart_peak();
    work(gpu)?;
    gpu.synchronize()?;
    let measured = gpu.peak_bytes() - before;
    let held = Held { name, predicted, measured };
    println!("{}", held.line());
    let (least, most) = (0.99 * predicted, (1.0 + ROUNDING) * predicted + slack);
    let wrong = !(least..=most).contains(&(measured as f64));
    let problem = wrong.then(|| format!("{}: from {least} to {most} bytes", held.line()));
    report.held(held);
    problem.map_or(Ok(()), |problem| Err(Failure::Answer(problem)))
}

/// Small buffers take 512 bytes each.
const SMALL: f64 = 65_536.0;

/// C = A B of order n: 3n² numbers.
fn product<T: Scalar>(session: &Session, report: &mut Report, n: usize) -> Result<(), Failure> {
    let predicted = (3 * n * n * size_of::<T>()) as f64;
    let name = format!("gemm {} {n}", T::NAME);
    held(session, report, (name, predicted, pieces::<T>() + SMALL), |gpu| {
        let zeros = || Buffer::<T>::zeros(gpu, n * n);
        let (a, b, mut c) = (zeros()?, zeros()?, zeros()?);
        let [a, b] = [&a, &b].map(|factor| Matrix::new(factor.view(), n, n));
        let sides = ((a?, Side::Stored), (b?, Side::Stored));
        gpu.gemm(rows_mut(&mut c, n, n)?, (T::ZERO, T::ONE), sides.0, sides.1)?;
        Ok(())
    })
}

/// All relative Fisher metrics of a layer, packed: n(m + d) + m·d(d + 1)/2 numbers.
fn metric(session: &Session, report: &mut Report, [m, d, n]: [usize; 3]) -> Result<(), Failure> {
    let packed = m * d * (d + 1) / 2;
    let predicted = 4.0 * (n * (m + d) + packed) as f64;
    let name = format!("rfim f32 m={m} d={d} n={n}");
    held(session, report, (name, predicted, pieces::<f32>() + SMALL), |gpu| {
        let zeros = |len| Buffer::<f32>::zeros(gpu, len);
        let (x, nu, mut out) = (zeros(n * d)?, zeros(n * m)?, zeros(packed)?);
        let (x, nu) = (Matrix::new(x.view(), n, d)?, Matrix::new(nu.view(), n, m)?);
        gpu.packed_grams(rows_mut(&mut out, m, packed / m)?, (0.0, 1.0), x, nu)?;
        Ok(())
    })
}

/// The inverse of a factor of order n by products, in place: the matrix, L, L⁻¹ and two squares of half
/// the order beside them, 3½n² numbers.
fn inverse(session: &Session, report: &mut Report, n: usize) -> Result<(), Failure> {
    let predicted = 14.0 * (n * n) as f64;
    let name = format!("spd_inverse f32 {n}");
    held(session, report, (name, predicted, pieces::<f32>() + SMALL), |gpu| {
        let mut a = Buffer::<f32>::zeros(gpu, n * n)?;
        let mut flag = Buffer::<u32>::new(gpu, 1)?;
        gpu.spd_inverse(rows_mut(&mut a, n, n)?, flag.view_mut(), 1.0)?;
        Ok(())
    })
}

/// K-FAC of a layer of width m with inputs of d = m + 1 and n = m samples: columns n(m + d), factors and
/// inverses 2(m² + d²), the gradient, a product and the direction 3md; beside them what the inverse of
/// the larger factor takes, 2½d².
fn layer(session: &Session, report: &mut Report, m: usize) -> Result<(), Failure> {
    let (d, n) = (m + 1, m);
    let numbers = n * (m + d) + 2 * (m * m + d * d) + 3 * m * d;
    let predicted = 4.0 * (numbers as f64 + 2.5 * (d * d) as f64);
    let name = format!("kfac layer of {m}, b={n}");
    held(session, report, (name, predicted, pieces::<f32>() + SMALL), |gpu| {
        let mut layer = kfac::Layer::new(gpu, 0, (m, m), n)?;
        layer.factors(gpu)?;
        layer.refresh(gpu)?;
        layer.precondition(gpu)?;
        Ok(())
    })
}

/// A training step with momentum: parameters, gradients and velocity 3P; inputs of every layer with
/// their 1; sums, slopes and derivatives of its outputs; one array more of the widest, probabilities,
/// labels and losses. The step itself allocates nothing.
fn step(session: &Session, report: &mut Report) -> Result<(), Failure> {
    let (widths, n) = shape(session);
    let pairs = || widths.windows(2).map(|pair| (pair[0], pair[1]));
    let parameters: usize = pairs().map(|(inputs, outputs)| outputs * (inputs + 1)).sum();
    let values: usize = pairs().map(|(inputs, outputs)| inputs + 1 + 3 * outputs).sum();
    let widest = widths.iter().skip(1).copied().max().unwrap_or(0);
    let classes = widths[widths.len() - 1];
    let numbers = 3 * parameters + n * (values + widest + classes + 2);
    let name = format!("step {} b={n}", join(&widths));
    held(session, report, (name, 4.0 * numbers as f64, SMALL), |gpu| {
        let mut net = Net::new(gpu, &widths, n)?;
        let before = gpu.peak_bytes();
        net.step()?;
        if gpu.peak_bytes() != before {
            return Err(Failure::Answer("a training step allocated".to_owned()));
        }
        Ok(())
    })
}
