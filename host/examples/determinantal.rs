//! Newton steps from workers that see a part of the data each: their plain average stays wrong however
//! many they are, the average weighted by determinants does not.
//!
//! ```sh
//! cargo run --release -p relfisher --example determinantal
//! ```
//!
//! Logistic regression, even against odd digits of 7×7, where every digit adds a matrix of rank one, as
//! the theorem asks. Writes error.svg and .png into runs/examples/determinantal (or the folder given).

mod uses;

use relfisher::plot::{LineAxis, LinePlot, Scale, Series, lines};
use relfisher::{Error, random};
use relfisher_core::optim::DeterminantalAverage;
use relfisher_core::{MatMut, MatRef, blas, factor};

const DAMPING: f64 = 1e-2;
const WORKERS: [usize; 7] = [1, 4, 16, 64, 256, 1024, 4096];
const TRIALS: u64 = 3;

/// Rows √(p(1 − p)) x̃ of every digit, and the gradient, of the zero network and a tenth of a step.
fn logistic(data: &uses::Digits, columns: usize) -> (Vec<f64>, Vec<f64>) {
    let d = columns + 1;
    let (mut rows, mut gradient) = (Vec::new(), vec![0.0; d]);
    for (image, label) in data.images.chunks_exact(data.width).zip(&data.labels) {
        // The middle of the image: its corners are always empty.
        let middle = (data.width - columns) / 2;
        let mut x: Vec<f64> = image[middle..middle + columns].to_vec();
        x.push(1.0);
        let p = 0.5_f64;
        let target = (label % 2) as f64;
        for (g, x) in gradient.iter_mut().zip(&x) {
            *g += (p - target) * x / data.labels.len() as f64;
        }
        rows.extend(x.iter().map(|x| (p * (1.0 - p)).sqrt() * x));
    }
    (rows, gradient)
}

/// (XᵀX·share + λI)⁻¹g and the logarithm of the determinant.
fn step(x: &[f64], share: f64, g: &[f64]) -> Result<(Vec<f64>, f64), Error> {
    let (d, n) = (g.len(), x.len() / g.len());
    let mut h = vec![0.0; d * d];
    let mut work = vec![0.0; blas::gram_workspace_len(n, d)];
    let x = MatRef::new(x, n, d)?;
    blas::gram(MatMut::new(&mut h, d, d)?, 0.0, share, x, None, &mut work)?;
    factor::cholesky(MatMut::new(&mut h, d, d)?, DAMPING)?;
    let (mut step, l) = (g.to_vec(), MatRef::new(&h, d, d)?);
    factor::cholesky_solve(MatMut::new(&mut step, d, 1)?, l)?;
    Ok((step, factor::log_determinant(l)?))
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    let (off, size) =
        a.iter().zip(b).fold((0.0, 0.0), |(o, s), (x, y)| (o + (x - y) * (x - y), s + y * y));
    (off / size).sqrt()
}

fn main() -> Result<(), Error> {
    let split = uses::digits()?;
    let data = uses::Digits::pooled(&split.train, 2000, 4)?;
    let mut series = Vec::new();
    // Data of a worker, and dimensions.
    for (k, columns) in [(40, 9), (40, 29)] {
        let (rows, gradient) = logistic(&data, columns);
        let (n, d) = (data.labels.len(), gradient.len());
        let (want, _) = step(&rows, 1.0 / n as f64, &gradient)?;
        let mut errors = [vec![0.0; WORKERS.len()], vec![0.0; WORKERS.len()]];
        let mut counted = 0.0;
        for trial in 0..TRIALS {
            let mut rng = random::stream(1, trial, "workers");
            let (mut weighted, mut plain) = (vec![0.0; d], vec![0.0; d]);
            let mut kept: Vec<(Vec<f64>, f64)> = Vec::new();
            for (i, workers) in WORKERS.into_iter().enumerate() {
                while kept.len() < workers {
                    // Every digit by itself, with probability k/n.
                    let mut own = Vec::new();
                    for row in rows.chunks_exact(d) {
                        if random::uniform(&mut rng) < k as f64 / n as f64 {
                            own.extend(row);
                        }
                    }
                    kept.push(step(&own, 1.0 / k as f64, &gradient)?);
                }
                let mut average = DeterminantalAverage::new(&mut weighted);
                plain.fill(0.0);
                for (step, determinant) in &kept {
                    average.add(step, *determinant)?;
                    plain.iter_mut().zip(step).for_each(|(p, s)| *p += s / workers as f64);
                }
                counted = average.finish()?;
                errors[0][i] += distance(&plain, &want) / TRIALS as f64;
                errors[1][i] += distance(&weighted, &want) / TRIALS as f64;
            }
        }
        println!("{d} parameters, about {k} digits a worker: workers, error plain, determinantal");
        for (i, workers) in WORKERS.iter().enumerate() {
            println!("{workers:>6} {:>8.4} {:>8.4}", errors[0][i], errors[1][i]);
        }
        println!("of {} workers {counted:.0} count", WORKERS[WORKERS.len() - 1]);
        for (name, errors) in ["plain", "determinantal"].into_iter().zip(errors) {
            let dots: Vec<(f64, f64)> = WORKERS.iter().map(|w| *w as f64).zip(errors).collect();
            series.push(Series {
                label: format!("{name}, {d} parameters"),
                points: dots.clone(),
                dots,
            });
        }
    }
    let dir = uses::folder()?;
    let plot = LinePlot {
        title: "Newton steps averaged over workers",
        subtitle: "relative error of the step; logistic regression on digits, three trials",
        x: LineAxis { label: "workers", scale: Scale::Logarithmic, range: None },
        y: LineAxis { label: "relative error", scale: Scale::Logarithmic, range: None },
        series: &series,
    };
    for file in lines(&plot, &dir, "error")? {
        println!("{}", file.display());
    }
    Ok(())
}
