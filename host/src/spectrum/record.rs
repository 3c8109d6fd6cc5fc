//! The record of an analysis: `spectrum.json`, `spectrum.csv` and the picture.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::{Density, DensityOptions, Eigenpairs, Outcome, Spectrum, Timed};
use crate::Scalar;
use crate::error::Error;
use crate::format::write_bytes;
use crate::plot::{SpectrumPlot, spectral_density};
use crate::train::Machine;

/// Details that the broadened density shows over the range of the spectrum: 1/σ of its width.
const RESOLUTION: f64 = 200.0;
/// Places of the density's grid.
const POINTS: usize = 2401;

/// What was measured, of what, on which machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpectrumRecord {
    /// The version of this program.
    pub version: &'static str,
    /// The machine.
    pub machine: Machine,
    /// The matrix: `ggn`, `hess`, `ef`.
    pub operator: String,
    /// `f32` or `f64`.
    pub dtype: &'static str,
    /// The order of the matrix: the number of parameters.
    pub dimension: usize,
    /// The samples that it is the mean over.
    pub samples: usize,
    /// Files, settings and seeds.
    pub source: Value,
    /// The largest eigenvalues, descending.
    pub largest: Option<EndRecord>,
    /// The smallest eigenvalues, ascending.
    pub smallest: Option<EndRecord>,
    /// The density of all of them.
    pub density: Option<DensityRecord>,
}

/// One end of the spectrum.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndRecord {
    /// The eigenvalues.
    pub eigenvalues: Vec<f64>,
    /// ‖A x − λ x‖ of each.
    pub residuals: Vec<f64>,
    /// Whether all have converged and none was missed.
    pub complete: bool,
    /// The products with the matrix.
    pub products: usize,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// The density, as the quadratures that it is made of and as a curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DensityRecord {
    /// Random vectors.
    pub probes: usize,
    /// Lanczos steps from each.
    pub steps: usize,
    /// The products with the matrix.
    pub products: usize,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// The estimate of tr A.
    pub trace: Estimate,
    /// The estimate of tr A² = ‖A‖² (Frobenius).
    pub trace_of_square: Estimate,
    /// The deviation σ of the normal distribution that widens each node of the curve.
    pub deviation: f64,
    /// The nodes of each probe.
    pub nodes: Vec<Vec<f64>>,
    /// Their weights, sum 1 for each probe.
    pub weights: Vec<Vec<f64>>,
    /// Where the curve is given; `spectrum.csv`.
    #[serde(skip)]
    pub grid: Vec<f64>,
    /// The curve; integrates to 1.
    #[serde(skip)]
    pub curve: Vec<f64>,
}

/// A random estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean over the probes.
    pub mean: f64,
    /// Its standard error; `null` for a single probe.
    pub standard_error: f64,
}

impl EndRecord {
    fn new<T: Scalar>(timed: &Timed<Eigenpairs<T>>) -> Self {
        let double = |x: &[T]| x.iter().map(|x| x.to_f64()).collect();
        let pairs = &timed.result;
        Self {
            eigenvalues: double(&pairs.values),
            residuals: double(&pairs.residuals),
            complete: pairs.outcome == Outcome::Complete,
            products: pairs.products,
            seconds: timed.seconds,
        }
    }
}

impl DensityRecord {
    fn new(timed: &Timed<Density>, options: DensityOptions) -> Result<Self, Error> {
        let density = &timed.result;
        let n = density.dimension as f64;
        let estimate = |f: fn(f64) -> f64| {
            let (mean, standard_error) = density.mean(f);
            Estimate { mean: n * mean, standard_error: n * standard_error }
        };
        let deviation = density.deviation(RESOLUTION);
        let grid = density.grid(POINTS, 6.0 * deviation);
        Ok(Self {
            probes: options.probes,
            steps: options.steps,
            products: density.products,
            seconds: timed.seconds,
            trace: estimate(|t| t),
            trace_of_square: estimate(|t| t * t),
            deviation,
            nodes: density.quadratures.iter().map(|q| q.nodes.clone()).collect(),
            weights: density.quadratures.iter().map(|q| q.weights.clone()).collect(),
            curve: density.curve(&grid, deviation)?,
            grid,
        })
    }
}

/// What a record says about the matrix besides its spectrum.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// The matrix: `ggn`, `hess`, `ef`.
    pub operator: String,
    /// The samples that it is the mean over.
    pub samples: usize,
    /// Files, settings and seeds.
    pub source: Value,
    /// Threads of the run.
    pub threads: usize,
}

impl SpectrumRecord {
    /// The record of `spectrum`, whose density was estimated as `density` says.
    ///
    /// # Errors
    /// As [`Density::curve`].
    pub fn new<T: Scalar>(
        subject: Subject,
        spectrum: &Spectrum<T>,
        density: Option<DensityOptions>,
    ) -> Result<Self, Error> {
        let density = match (&spectrum.density, density) {
            (Some(timed), Some(options)) => Some(DensityRecord::new(timed, options)?),
            _ => None,
        };
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            machine: Machine::detect(subject.threads),
            operator: subject.operator,
            dtype: T::NAME,
            dimension: spectrum.dimension,
            samples: subject.samples,
            source: subject.source,
            largest: spectrum.largest.as_ref().map(EndRecord::new),
            smallest: spectrum.smallest.as_ref().map(EndRecord::new),
            density,
        })
    }

    /// Writes `spectrum.json` and, of a density, `spectrum.csv`, `spectrum.svg` and `spectrum.png`
    /// into `dir`, each whole or not at all. The paths.
    ///
    /// # Errors
    /// The folder cannot be written, or the plotting library fails.
    pub fn write(&self, dir: &Path) -> Result<Vec<PathBuf>, Error> {
        let json = dir.join("spectrum.json");
        let mut text = serde_json::to_string_pretty(self).map_err(|e| encoding(&json, &e))?;
        text.push('\n');
        write_bytes(&json, text.as_bytes())?;
        let mut paths = vec![json];
        if let Some(density) = &self.density {
            let file = dir.join("spectrum.csv");
            write_bytes(&file, &density.to_csv().map_err(|e| encoding(&file, &e))?)?;
            paths.push(file);
            paths.extend(self.draw(density, dir)?);
        }
        Ok(paths)
    }

    fn draw(&self, density: &DensityRecord, dir: &Path) -> Result<Vec<PathBuf>, Error> {
        let matrix = match self.operator.as_str() {
            "ggn" => "Gauss-Newton matrix",
            "hess" => "Hessian",
            "ef" => "empirical Fisher matrix",
            other => other,
        };
        let title = format!("Eigenvalues of the {matrix}");
        let subtitle = format!(
            "{}, {}; {} of {}, deviation {}",
            count(self.dimension, "parameter"),
            count(self.samples, "sample"),
            count(density.probes, "probe"),
            count(density.steps, "step"),
            short(density.deviation)
        );
        let values = |end: &'_ Option<EndRecord>| {
            end.as_ref().map_or_else(Vec::new, |end| end.eigenvalues.clone())
        };
        let peak = self.dimension as f64 * density.deviation * std::f64::consts::TAU.sqrt();
        let plot = SpectrumPlot {
            title: &title,
            subtitle: &subtitle,
            grid: &density.grid,
            density: &density.curve,
            single: 1.0 / peak,
            largest: &values(&self.largest),
            smallest: &values(&self.smallest),
        };
        spectral_density(&plot, dir, "spectrum")
    }
}

impl DensityRecord {
    fn to_csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["eigenvalue", "density"])?;
        for row in self.grid.iter().zip(&self.curve) {
            writer.serialize(row)?;
        }
        writer.into_inner().map_err(|e| e.into_error().into())
    }
}

/// "1 probe", "2 probes".
fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// A number of about three digits.
fn short(v: f64) -> String {
    if (1e-3..1e4).contains(&v.abs()) {
        let digits = (2.0 - v.abs().log10().floor()).clamp(0.0, 5.0) as usize;
        format!("{v:.digits$}")
    } else {
        format!("{v:.2e}")
    }
}

fn encoding(file: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::input(file.display(), "", format_args!("cannot be encoded: {e}"), "report this")
}
