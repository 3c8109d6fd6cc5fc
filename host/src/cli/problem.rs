//! A network with data from the command line, for the commands that measure curvature.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use relfisher_core::MatRef;

use crate::Scalar;
use crate::curvature::{OwnedTargets, Problem, feature_rows};
use crate::dataset::Idx;
use crate::error::Error;
use crate::executor::cuda::Precision;
use crate::executor::{Choice, Engine, Executor};
use crate::format::{Array, check_apart, check_writable, load_parameters};
use crate::network::{Architecture, Network, Parameters};

/// Network, weights and samples.
#[derive(Clone, Debug, Args)]
pub(super) struct ProblemArgs {
    /// The network file (JSON).
    #[arg(long, value_name = "FILE")]
    pub(super) net: PathBuf,
    /// The weights (safetensors); for `evolution` the folder of them.
    #[arg(long, value_name = "FILE")]
    pub(super) weights: PathBuf,
    /// The inputs, one sample for each index of the first dimension: .npy, or an IDX file of images
    /// (plain or .gz), whose pixels become x/255.
    #[arg(long, value_name = "FILE")]
    pub(super) inputs: PathBuf,
    /// What the outputs should be, .npy or an IDX file of labels: classes, or a row of numbers for
    /// each sample.
    #[arg(long, value_name = "FILE")]
    pub(super) targets: Option<PathBuf>,
    /// Inputs become (x − MEAN)/DEVIATION before the network sees them.
    #[arg(long, value_name = "MEAN,DEVIATION", value_delimiter = ',', num_args = 2)]
    pub(super) normalise: Option<Vec<f64>>,
    /// The first N samples only; all by default.
    #[arg(long, value_name = "N", value_parser = super::number::at_least_one)]
    pub(super) samples: Option<usize>,
    /// The samples of one batch: bounds the memory, changes no result beyond rounding.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = super::number::at_least_one)]
    pub(super) batch: usize,
    /// Threads; all processors by default. The numbers do not depend on it.
    #[arg(long, value_name = "N", value_parser = super::number::threads)]
    pub(super) threads: Option<usize>,
    /// The machine that computes.
    #[arg(long, value_name = "WHICH", default_value = "auto")]
    pub(super) device: Device,
    /// How a device forms products of f32; 3xTF32 where it has tensor cores, f32 elsewhere by default.
    #[arg(long, value_name = "HOW")]
    pub(super) precision: Option<DevicePrecision>,
}

/// How a device forms products of f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DevicePrecision {
    /// Fused multiply-adds.
    F32,
    /// Tensor cores, three products of tf32 parts: the accuracy of f32.
    Tf32x3,
    /// Tensor cores, inputs rounded to tf32 (10 bits).
    Tf32,
    /// Tensor cores, inputs rounded to bf16 (7 bits).
    Bf16,
}

impl From<DevicePrecision> for Precision {
    fn from(precision: DevicePrecision) -> Self {
        match precision {
            DevicePrecision::F32 => Precision::F32,
            DevicePrecision::Tf32x3 => Precision::Tf32x3,
            DevicePrecision::Tf32 => Precision::Tf32,
            DevicePrecision::Bf16 => Precision::Bf16,
        }
    }
}

impl ProblemArgs {
    /// Whether the command can write `out`, which must not be one of the files that it reads.
    pub(super) fn check_out(&self, out: &Path) -> Result<(), Error> {
        check_writable(out)?;
        let read =
            [Some(&self.net), Some(&self.weights), Some(&self.inputs), self.targets.as_ref()];
        let read: Vec<&Path> = read.into_iter().flatten().map(PathBuf::as_path).collect();
        check_apart(&[("--out", out)], &read)
    }

    /// The machine that computes.
    pub(super) fn engine(&self) -> Result<Engine, Error> {
        let precision = self.precision.map(Into::into);
        Engine::with_precision(self.device.into(), precision, self.threads)
    }
}

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Device {
    /// A CUDA device where there is one, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// A CUDA device.
    Cuda,
    /// A device that the processor emulates: slow, every access checked.
    Emulated,
}

impl From<Device> for Choice {
    fn from(device: Device) -> Self {
        match device {
            Device::Auto => Choice::Auto,
            Device::Cpu => Choice::Cpu,
            Device::Cuda => Choice::Cuda,
            Device::Emulated => Choice::Emulated,
        }
    }
}

/// Precision of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Dtype {
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

/// Everything that a [`Problem`] borrows.
pub(super) struct Loaded<T> {
    pub(super) network: Network<T>,
    pub(super) parameters: Parameters<T>,
    features: Vec<T>,
    samples: usize,
    targets: Option<OwnedTargets<T>>,
    labels: Option<OwnedTargets<T>>,
    batch: usize,
    /// The bytes that the inputs took while they were read: the file and its numbers.
    pub(super) reading: u64,
}

/// Reads the targets of `samples` samples; of a longer file the first ones when `cut`.
fn read_targets<T: Scalar>(
    path: &Path,
    network: &Network<T>,
    (samples, cut): (usize, bool),
) -> Result<OwnedTargets<T>, Error> {
    let mut array = read(path, Kind::Targets)?;
    if cut {
        array = first(array, samples);
    }
    let targets = OwnedTargets::of(&array, network, samples);
    targets.map_err(|e| e.in_file(path.display()))
}

impl<T: Scalar> Loaded<T> {
    /// Reads and checks the files; `labels` are labels drawn from the model.
    pub(super) fn read(args: &ProblemArgs, labels: Option<&Path>) -> Result<Self, Error> {
        let architecture = Architecture::load(&args.net)?;
        let network =
            Network::from_architecture(&architecture).map_err(|e| e.in_file(args.net.display()))?;
        let parameters = load_parameters(&network, &args.weights)?;
        let mut array = read(&args.inputs, Kind::Inputs)?;
        let numbers = array.data.len().saturating_mul(size_of::<f64>()) as u64;
        let file = std::fs::metadata(&args.inputs).map_or(0, |file| file.len());
        let reading = numbers.saturating_add(file);
        if let Some(samples) = args.samples {
            array = first(array, samples);
        }
        if let Some(&[mean, deviation]) = args.normalise.as_deref() {
            if !(mean.is_finite() && deviation.is_finite() && deviation > 0.0) {
                let remedy = "give a finite mean and a deviation above 0, such as 0.1307,0.3081";
                let given = format!("{mean},{deviation}");
                return Err(Error::input("--normalise", given, "cannot normalise", remedy));
            }
            array.data.iter_mut().for_each(|x| *x = (*x - mean) / deviation);
        }
        let (features, samples) =
            feature_rows(&array, &architecture).map_err(|e| e.in_file(args.inputs.display()))?;
        let target = |path: &Path| read_targets(path, &network, (samples, args.samples.is_some()));
        let targets = args.targets.as_deref().map(target).transpose()?;
        let labels = labels.map(target).transpose()?;
        let batch = args.batch;
        Ok(Self { parameters, features, samples, targets, labels, batch, network, reading })
    }

    /// The problem on an executor.
    pub(super) fn problem<'a>(
        &'a self,
        executor: &'a dyn Executor<T>,
    ) -> Result<Problem<'a, T>, Error> {
        let view = |t: &'a Option<OwnedTargets<T>>| t.as_ref().map(OwnedTargets::view).transpose();
        Ok(Problem {
            executor,
            network: &self.network,
            parameters: &self.parameters,
            features: MatRef::new(&self.features, self.samples, self.network.inputs())?,
            targets: view(&self.targets)?,
            labels: view(&self.labels)?,
            chunk: self.batch,
            watch: None,
        })
    }
}

/// What a file is read for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Inputs,
    Targets,
}

/// A file of numbers: .npy, or IDX by its first bytes.
fn read(path: &Path, kind: Kind) -> Result<Array, Error> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", &e))?;
    // IDX files begin with two zero bytes, gzip with its own mark.
    let array = if bytes.starts_with(&[0, 0]) || bytes.starts_with(&[0x1f, 0x8b]) {
        let (idx, unit) = match kind {
            Kind::Inputs => (Idx::images(&bytes), 255.0),
            Kind::Targets => (Idx::labels(&bytes), 1.0),
        };
        idx.map(|idx| Array {
            data: idx.data.iter().map(|&byte| f64::from(byte) / unit).collect(),
            shape: idx.shape,
        })
    } else {
        Array::parse(&bytes)
    };
    array.map_err(|e| e.in_file(path.display()))
}

/// The first `samples` samples of an array; all of a shorter one.
fn first(mut array: Array, samples: usize) -> Array {
    let Some((rows, rest)) = array.shape.split_first_mut() else { return array };
    if *rows > samples {
        *rows = samples;
        let each: usize = rest.iter().product();
        array.data.truncate(samples * each);
    }
    array
}
