//! Which machine computes.

use std::sync::Arc;

use super::cuda::{Gpu, Precision, Staged};
use super::{Cpu, Executor};
use crate::Scalar;
use crate::driver::{self, Driver, Emulated};
use crate::error::Error;

/// A machine to compute on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// A CUDA device where there is one that the kernels run on, else the processor.
    Auto,
    /// The processor.
    #[default]
    Cpu,
    /// A CUDA device.
    Cuda,
    /// A device that the processor emulates, slowly, with every access checked.
    Emulated,
}

/// The executor of a command, and its device.
pub struct Engine(Inner);

enum Inner {
    Cpu(Cpu),
    Staged(Box<Staged>),
}

impl Engine {
    /// The chosen machine, with `threads` threads of the processor (`None`: as many as it has).
    ///
    /// # Errors
    /// No threads; with [`Choice::Cuda`], why there is no device.
    pub fn open(choice: Choice, threads: Option<usize>) -> Result<Self, Error> {
        Self::with_precision(choice, None, threads)
    }

    /// [`Engine::open`] with products of f32 formed in a precision of the device; its most accurate
    /// fast one by default.
    ///
    /// # Errors
    /// As [`Engine::open`]; a precision without a device, or one that the device lacks.
    pub fn with_precision(
        choice: Choice,
        precision: Option<Precision>,
        threads: Option<usize>,
    ) -> Result<Self, Error> {
        let cpu = Cpu::new(threads)?;
        Ok(Self(match (open_gpu(choice)?, precision) {
            (Some(gpu), None) => Inner::Staged(Box::new(Staged::new(cpu, gpu))),
            (Some(gpu), Some(precision)) => {
                Inner::Staged(Box::new(Staged::new(cpu, gpu.with_precision(precision)?)))
            }
            (None, None) => Inner::Cpu(cpu),
            (None, Some(_)) => {
                let problem = "the processor has one precision for each type";
                let remedy = "leave it out, or use --device cuda";
                return Err(Error::input("", "--precision", problem, remedy));
            }
        }))
    }

    /// The executor.
    pub fn executor<T: Scalar>(&self) -> &dyn Executor<T> {
        match &self.0 {
            Inner::Cpu(cpu) => cpu,
            Inner::Staged(staged) => &**staged,
        }
    }

    /// The device, where one is used.
    pub fn gpu(&self) -> Option<&Arc<Gpu>> {
        match &self.0 {
            Inner::Cpu(_) => None,
            Inner::Staged(staged) => Some(staged.gpu()),
        }
    }

    /// The error behind a failed computation: the device's, where it was the device.
    #[must_use]
    pub fn explain(&self, e: Error) -> Error {
        match &self.0 {
            Inner::Cpu(_) => e,
            Inner::Staged(staged) => staged.explain(e),
        }
    }
}

/// The device of a choice; none where the processor computes.
fn open_gpu(choice: Choice) -> Result<Option<Arc<Gpu>>, Error> {
    let driver: Arc<dyn Driver> = match choice {
        Choice::Cpu => return Ok(None),
        Choice::Auto => match driver::detect(0) {
            Ok(driver) => driver,
            // No device is no error here: `relfisher info` explains it.
            Err(_) => return Ok(None),
        },
        Choice::Cuda => driver::detect(0)?,
        Choice::Emulated => Arc::new(Emulated::new()),
    };
    match Gpu::new(driver) {
        Err(_) if choice == Choice::Auto => Ok(None),
        gpu => Ok(Some(gpu?)),
    }
}
