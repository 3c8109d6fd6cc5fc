//! What the executor of a GPU costs: times by the device's own events, shares of ceilings that are
//! measured in the same run.
//!
//! Every case checks its answer before it is timed, and declares its FLOPs and bytes. Cases that are
//! compared are timed in turn. On an emulated device everything runs and no time means anything.

mod batches;
mod clock;
mod data;
mod events;
mod kfac;
mod memory;
mod products;
mod report;
mod step;
mod vectors;

use std::path::PathBuf;
use std::sync::Arc;

use relfisher::driver::{self, Driver, Emulated};
use relfisher::executor::cuda::{Error, Gpu};

use crate::report::program::{Ended, outputs};

pub use events::Events;
pub use report::Report;

/// What to measure, and where to write.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The device.
    #[arg(long, value_enum, default_value = "cuda")]
    device: Device,
    /// Small shapes and few runs: everything is checked, times say little.
    #[arg(long)]
    quick: bool,
    /// Where to write the results as JSON; also after every group.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The results of `gpu_baselines.py` on the same device.
    #[arg(long)]
    baselines: Option<PathBuf>,
    /// Seconds for each case.
    #[arg(long, default_value_t = 0.5, value_parser = seconds)]
    seconds: f64,
    /// Something to write down with the results, as KEY=VALUE.
    #[arg(long = "note")]
    notes: Vec<String>,
}

/// Seconds that can be spent.
fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|s| *s > 0.0 && *s <= 3600.0);
    number.ok_or_else(|| "give seconds above 0, at most 3600".to_owned())
}

/// Where kernels run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Device {
    /// The first GPU.
    Cuda,
    /// The emulator.
    Emulated,
}

/// What a group of cases gets.
struct Session {
    gpu: Arc<Gpu>,
    /// Whether shapes are small.
    quick: bool,
    seconds: f64,
}

impl Session {
    /// The full size, or the small one.
    fn size(&self, full: usize, small: usize) -> usize {
        if self.quick { small } else { full }
    }
}

/// A group of cases: its name, and what measures it.
type Group = (&'static str, fn(&Session, &mut Report) -> Result<(), Failure>);

/// What is wanted most comes first: time may run out.
const GROUPS: &[Group] = &[
    ("products", products::measure),
    ("vectors", vectors::measure),
    ("batches", batches::measure),
    ("step", step::measure),
    ("kfac", kfac::measure),
    ("memory", memory::measure),
];

/// Why a group ended early.
#[derive(Debug)]
enum Failure {
    /// The device refused, or failed.
    Device(Error),
    /// An answer was wrong.
    Answer(String),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(e: E) -> Self {
        Self::Device(e.into())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Device(e) => write!(f, "the device: {e}"),
            Self::Answer(what) => write!(f, "a wrong answer: {what}"),
        }
    }
}

/// Asserts that an error is within its bound.
fn check(what: &str, error: f64, bound: f64) -> Result<(), Failure> {
    if error <= bound {
        return Ok(());
    }
    Err(Failure::Answer(format!("{what}: error {error:.3e} above {bound:.3e}")))
}

/// Measures everything, prints a table, writes JSON; [`Ended::Bad`] when a group failed, after all
/// others were measured.
///
/// # Errors
/// No device; a file that cannot be read or written, or is both.
pub fn run(options: &Options) -> Result<Ended, String> {
    let read: Vec<PathBuf> = options.baselines.iter().cloned().collect();
    outputs(&[("--out", options.out.as_ref())], &read)?;
    let driver: Arc<dyn Driver> = match options.device {
        Device::Cuda => driver::detect(0).map_err(|e| e.to_string())?,
        Device::Emulated => Arc::new(Emulated::new()),
    };
    let gpu = Gpu::new(driver).map_err(|e| e.to_string())?;
    let mut report = Report::new(&gpu, options.quick, &options.notes);
    if let Some(path) = &options.baselines {
        report.read_baselines(path)?;
    }
    let session = Session { gpu, quick: options.quick, seconds: options.seconds };
    let mut failed = Vec::new();
    for (name, measure) in GROUPS {
        println!("\n== {name}");
        if let Err(failure) = measure(&session, &mut report) {
            println!("{name} FAILED: {failure}");
            report.failure(name, &failure.to_string());
            failed.push(*name);
        }
        if let Some(path) = &options.out {
            report.write(path)?;
        }
    }
    report.print_ratios();
    if failed.is_empty() {
        return Ok(Ended::Good);
    }
    eprintln!("relfisher-bench: failed: {}", failed.join(", "));
    Ok(Ended::Bad)
}
