//! The ceiling of arithmetic in every precision, and all relative Fisher metrics of a layer.

use std::sync::Arc;

use relfisher::Scalar;
use relfisher::executor::cuda::{Buffer, Error, Gpu, Precision, Side};

use super::clock::{Case, time_in_turn};
use super::data::{Noise, rows_mut, sampled};
use super::{Failure, Report, Session, check};

/// Precisions, what the report calls them, and how far an element may be off, relative to the norms of
/// what is multiplied: two factors rounded by 2⁻¹¹ or 2⁻⁸, or sums in f32.
const PRECISIONS: [(Precision, &str, f64); 4] = [
    (Precision::F32, "f32", 1e-5),
    (Precision::Tf32x3, "tf32x3", 1e-5),
    (Precision::Tf32, "tf32", 1e-3),
    (Precision::Bf16, "bf16", 8e-3),
];

pub(super) fn measure(session: &Session, report: &mut Report) -> Result<(), Failure> {
    let order = session.size(8192, 130);
    let metric = [session.size(512, 20), session.size(513, 17), session.size(4096, 50)];
    for (precision, name, bound) in PRECISIONS {
        let gpu = match session.gpu.with_precision(precision) {
            Ok(gpu) => gpu,
            Err(e) => {
                println!("{name}: {e}");
                continue;
            }
        };
        both(&gpu, session, report, (order, metric), (name, bound))?;
    }
    double(session, report, order / 2)
}

/// GEMM and metrics in one precision, timed in turn.
fn both(
    gpu: &Arc<Gpu>,
    session: &Session,
    report: &mut Report,
    (n, [m, d, samples]): (usize, [usize; 3]),
    (precision, bound): (&str, f64),
) -> Result<(), Failure> {
    let (a, b) = (Noise::<f32>::new(gpu, 1, n * n)?, Noise::<f32>::new(gpu, 2, n * n)?);
    let mut c = Buffer::<f32>::new(gpu, n * n)?;
    let x = Noise::<f32>::new(gpu, 3, samples * d)?;
    let nu = Noise::<f32>::within(gpu, 4, samples * m, (0.0, 1.0))?;
    let pairs = d * (d + 1) / 2;
    let mut out = Buffer::<f32>::new(gpu, m * pairs)?;
    square(gpu, &mut c, &a, &b, n)?;
    check_square(&c, (&a, &b), n, (precision, bound))?;
    metrics(gpu, &mut out, (&x, &nu), [m, d, samples])?;
    check_metrics(&out, (&x, &nu), [m, d, samples], (precision, bound))?;
    let names =
        [format!("gemm {precision} {n}"), format!("rfim {precision} m={m} d={d} n={samples}")];
    let gemm_work = (2.0 * (n as f64).powi(3), 12.0 * (n * n) as f64);
    let flops = (samples * m) as f64 * (d * (d + 1)) as f64;
    let bytes = 4.0 * (samples * (m + d) + m * pairs) as f64;
    let mut cases = [
        Case::new(&names[0], gemm_work, || square(gpu, &mut c, &a, &b, n)),
        Case::new(&names[1], (flops, bytes), || metrics(gpu, &mut out, (&x, &nu), [m, d, samples])),
    ];
    let times = time_in_turn(gpu, session.seconds, &mut cases)?;
    report.add(&cases, &times);
    report.share_of_arithmetic(&names[1], &names[0]);
    for suffix in ["fp32", "tf32", "bf16"] {
        report.against_baselines(&names[0], &format!("ceiling gemm {suffix}"));
    }
    report.against_baselines(&names[1], "rfim");
    Ok(())
}

/// The ceiling of f64.
fn double(session: &Session, report: &mut Report, n: usize) -> Result<(), Failure> {
    let gpu = &session.gpu;
    let (a, b) = (Noise::<f64>::new(gpu, 1, n * n)?, Noise::<f64>::new(gpu, 2, n * n)?);
    let mut c = Buffer::<f64>::new(gpu, n * n)?;
    square(gpu, &mut c, &a, &b, n)?;
    check_square(&c, (&a, &b), n, ("f64", 1e-14))?;
    let work = (2.0 * (n as f64).powi(3), 24.0 * (n * n) as f64);
    let mut cases = [Case::new(format!("gemm f64 {n}"), work, || square(gpu, &mut c, &a, &b, n))];
    let times = time_in_turn(gpu, session.seconds, &mut cases)?;
    report.add(&cases, &times);
    Ok(())
}

/// C ← A B.
fn square<T: Scalar>(
    gpu: &Arc<Gpu>,
    c: &mut Buffer<T>,
    a: &Noise<T>,
    b: &Noise<T>,
    n: usize,
) -> Result<(), Error> {
    let factors = ((a.rows(n, n)?, Side::Stored), (b.rows(n, n)?, Side::Stored));
    gpu.gemm(rows_mut(c, n, n)?, (T::ZERO, T::ONE), factors.0, factors.1)
}

fn check_square<T: Scalar>(
    c: &Buffer<T>,
    (a, b): (&Noise<T>, &Noise<T>),
    n: usize,
    (precision, bound): (&str, f64),
) -> Result<(), Failure> {
    let want = |at: usize| {
        let (i, j) = (at / n, at % n);
        (0..n).map(|k| a.at(i * n + k) * b.at(k * n + j)).sum()
    };
    let (error, _) = sampled(c, 64, want)?;
    // The norm of a row of n numbers in −1..1 is √(n/3).
    check(&format!("gemm {precision}"), error, bound * n as f64 / 3.0)
}

fn metrics(
    gpu: &Arc<Gpu>,
    out: &mut Buffer<f32>,
    (x, nu): (&Noise<f32>, &Noise<f32>),
    [m, d, n]: [usize; 3],
) -> Result<(), Error> {
    let factors = (x.rows(n, d)?, nu.rows(n, m)?);
    let pairs = d * (d + 1) / 2;
    gpu.packed_grams(rows_mut(out, m, pairs)?, (0.0, 1.0), factors.0, factors.1)
}

fn check_metrics(
    out: &Buffer<f32>,
    (x, nu): (&Noise<f32>, &Noise<f32>),
    [m, d, n]: [usize; 3],
    (precision, bound): (&str, f64),
) -> Result<(), Failure> {
    let pairs = d * (d + 1) / 2;
    let want = |at: usize| {
        let (i, k) = (at / pairs, at % pairs);
        let a = (0..d).find(|a| (a + 1) * (a + 2) / 2 > k).unwrap_or(0);
        let b = k - a * (a + 1) / 2;
        (0..n).map(|s| nu.at(s * m + i) * x.at(s * d + a) * x.at(s * d + b)).sum()
    };
    let (error, _) = sampled(out, 64, want)?;
    // The norms are at most √(n/3) of ν and √(n/5) of a square.
    check(&format!("rfim {precision}"), error, bound * n as f64 / 15f64.sqrt())
}
