//! The log-marginal likelihood of a small network on digits by every structure of the posterior, beside
//! that of the whole dense matrix, and what the uncertainty of the parameters does to predictions:
//!
//! ```sh
//! cargo run --release -p relfisher --example laplace
//! ```
//!
//! Writes evidence.svg and .png into runs/examples/laplace (or the folder given).

mod uses;

use std::time::Instant;

use relfisher::Error;
use relfisher::curvature::{Memory, Problem};
use relfisher::executor::Cpu;
use relfisher::laplace::{Posterior, Structure, evidence};
use relfisher::network::Targets;
use relfisher::plot::{LineAxis, LinePlot, Scale, Series, lines};

fn main() -> Result<(), Error> {
    let split = uses::digits()?;
    // 7×7 images and ten hidden neurons: 610 parameters, few enough for the dense matrix.
    let data = uses::Digits::pooled(&split.train, 1000, 4)?;
    let test = uses::Digits::pooled(&split.test, 2000, 4)?;
    let network = uses::network(&[data.width, 10, 10])?;
    let exec = Cpu::new(None)?;
    let parameters = uses::train(&network, &exec, &data, (60, 0.05, 1e-3))?;
    let problem = Problem {
        executor: &exec,
        network: &network,
        parameters: &parameters,
        features: data.features()?,
        targets: Some(Targets::Classes(&data.labels)),
        labels: None,
        chunk: 500,
        watch: None,
    };
    let others = Problem {
        features: test.features()?,
        targets: Some(Targets::Classes(&test.labels)),
        ..problem
    };
    let terms = evidence(&problem)?;
    let structures = [
        Structure::Diagonal,
        Structure::Kronecker,
        Structure::Ekfac,
        Structure::LowRank(60),
        Structure::LowRank(300),
        Structure::Full,
    ];
    println!("{} parameters, {} digits", network.parameter_count(), data.labels.len());
    println!("log-likelihood {:.1}", terms.log_likelihood);
    let mut series = Vec::new();
    for structure in structures {
        let started = Instant::now();
        let posterior = Posterior::measure(&problem, structure, Memory::default())?;
        let curve = posterior.evidence_curve(&terms)?;
        let (plain, wide) = posterior.predict(&others, curve.best)?.quality(&others)?;
        println!(
            "{:<12} best τ {:>7.3}  log-marginal {:>9.2}  effective parameters {:>6.1}  \
             test nll {:.4} → {:.4}  {:.2} s",
            structure.to_string(),
            curve.best,
            curve.best_value,
            posterior.effective_parameters(curve.best)?,
            plain.nll,
            wide.nll,
            started.elapsed().as_secs_f64(),
        );
        series.push(Series {
            label: structure.to_string(),
            points: curve.precisions.into_iter().zip(curve.values).collect(),
            dots: vec![(curve.best, curve.best_value)],
        });
    }
    let dir = uses::folder()?;
    let best = series.last().and_then(|s| s.dots.first()).map_or(0.0, |dot| dot.1);
    let plot = LinePlot {
        title: "Log-marginal likelihood of a small network",
        subtitle: "1,000 digits of 7×7, 610 parameters; dots mark the best prior precision",
        x: LineAxis {
            label: "prior precision",
            scale: Scale::Logarithmic,
            range: Some((1e-3, 10.0)),
        },
        y: LineAxis {
            label: "log-marginal likelihood",
            scale: Scale::Linear,
            range: Some((best - 1500.0, best + 300.0)),
        },
        series: &series,
    };
    for file in lines(&plot, &dir, "evidence")? {
        println!("{}", file.display());
    }
    Ok(())
}
