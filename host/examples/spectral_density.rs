//! The spectra of the Gauss–Newton matrix and the Hessian of a trained network (13,090 parameters): their
//! densities on a logarithmic axis, with the ten largest eigenvalues as marks.
//!
//! ```sh
//! cargo run --release -p relfisher --example spectral_density
//! ```
//!
//! Writes spectrum.json, spectrum.csv and a picture for each matrix below
//! runs/examples/spectral_density (or the folder given).

mod uses;

use std::path::Path;

use relfisher::Error;
use relfisher::curvature::{Matrix, NetworkOperator, Problem};
use relfisher::dataset::Split;
use relfisher::executor::{Cpu, Executor};
use relfisher::format::load_parameters;
use relfisher::network::{Architecture, Network, Targets};
use relfisher::spectrum::{
    Analysis, DensityOptions, ExtremalOptions, SpectrumRecord, Subject, analyse,
};

const SAMPLES: usize = 500;

fn main() -> Result<(), Error> {
    let nets = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/nets");
    let network = Network::from_architecture(&Architecture::load(&nets.join("ml_digits.json"))?)?;
    let parameters = load_parameters::<f64>(&network, &nets.join("ml_digits.safetensors"))?;
    let digits = Split::<f64>::bundled()?.train.first(SAMPLES)?;
    let (out, cpu) = (uses::folder()?, Cpu::new(None)?);
    let problem = Problem {
        executor: &cpu,
        network: &network,
        parameters: &parameters,
        features: digits.features(),
        targets: Some(Targets::Classes(digits.labels())),
        labels: None,
        chunk: SAMPLES,
        watch: None,
    };
    let analysis = Analysis {
        largest: digits.classes(),
        smallest: 0,
        extremal: ExtremalOptions { tolerance: 1e-6, ..ExtremalOptions::default() },
        density: Some(DensityOptions { probes: 4, steps: 60, seed: 1 }),
    };
    for matrix in [Matrix::Ggn, Matrix::Hessian] {
        let mut operator = NetworkOperator::new(&problem, matrix)?;
        let spectrum = analyse(&mut operator, &cpu, &analysis, &mut |_, _| {})?;
        let subject = Subject {
            operator: matrix.name().to_owned(),
            samples: SAMPLES,
            source: "ml_digits".into(),
            threads: Executor::<f64>::threads(&cpu),
        };
        let record = SpectrumRecord::new(subject, &spectrum, analysis.density)?;
        if let (Some(ends), Some(density)) = (&record.largest, &record.density) {
            println!(
                "{}: largest eigenvalue {:.3}, number {} {:.3}; trace {:.2} ± {:.2}",
                record.operator,
                ends.eigenvalues.first().copied().unwrap_or(f64::NAN),
                ends.eigenvalues.len(),
                ends.eigenvalues.last().copied().unwrap_or(f64::NAN),
                density.trace.mean,
                density.trace.standard_error
            );
        }
        let dir = out.join(matrix.name());
        std::fs::create_dir_all(&dir).map_err(|e| Error::io(&dir, "create", &e))?;
        for file in record.write(&dir)? {
            println!("{}", file.display());
        }
    }
    Ok(())
}
