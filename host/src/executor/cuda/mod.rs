//! A GPU: the kernels of [`relfisher_kernels`] with memory, matrices and launches around them.
//!
//! A [`Gpu`] is one device and one stream. [`Buffer`]s own memory of the device; [`Matrix`] and
//! [`MatrixMut`] see parts of it as rows; the methods of [`Gpu`] check shapes, choose grids, and launch.
//! Nothing is copied between host and device except where a method says so, and all such copies are
//! counted in [`TrafficReport`].
//!
//! The driver decides where it runs: on a GPU, or emulated on the CPU ([`crate::driver`]).

mod elementwise;
mod factor;
mod inverse;
mod launch;
mod lent;
mod matrix;
mod memory;
mod pool;
mod product;
mod staged;
mod training;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use relfisher_kernels::contract::{CONTRACTS, Variant};

use serde::Serialize;

pub use elementwise::ValueLoss;
pub use factor::{
    LARGEST_EIGH, LARGEST_SOLVE, MOST_SAMPLES, SMALLEST_BY_PRODUCTS, SquareForm, Squares,
};
pub use launch::Captured;
pub use matrix::{Matrix, MatrixMut};
pub use memory::{Buffer, Pinned, View, ViewMut};
pub use product::{Precision, Side};
pub use staged::Staged;

use crate::driver::{self, Driver, Stream};
use launch::Kernel;
use pool::Pool;
use relfisher_core::Error as CoreError;

/// The part of the device's memory that the pool may keep.
const KEPT_PART: u64 = 4;

/// Why work on a device was refused, or failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Shapes or values that do not fit.
    Core(CoreError),
    /// The driver.
    Driver(driver::Error),
}

impl From<CoreError> for Error {
    fn from(e: CoreError) -> Self {
        Self::Core(e)
    }
}

impl From<driver::Error> for Error {
    fn from(e: driver::Error) -> Self {
        Self::Driver(e)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(e) => e.fmt(f),
            Self::Driver(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for crate::Error {
    fn from(e: Error) -> Self {
        match e {
            Error::Core(e) => e.into(),
            Error::Driver(e) => e.into(),
        }
    }
}

/// A device, its kernels, and the stream that all work is in.
pub struct Gpu {
    driver: Arc<dyn Driver>,
    variant: Variant,
    kernels: HashMap<&'static str, Kernel>,
    stream: Stream,
    /// Whether the stream is this object's own.
    owned: bool,
    pool: Mutex<Pool>,
    traffic: Traffic,
    precision: Precision,
}

impl Gpu {
    /// A device with a stream of its own.
    ///
    /// # Errors
    /// [`driver::Error::OldDevice`]; failed calls.
    pub fn new(driver: Arc<dyn Driver>) -> Result<Arc<Self>, Error> {
        let stream = driver.create_stream()?;
        Self::with(driver, stream, true)
    }

    /// A device whose work goes into a stream that an engine owns.
    ///
    /// # Safety
    /// The stream belongs to the driver's context and outlives this object.
    ///
    /// # Errors
    /// As [`Gpu::new`].
    pub unsafe fn in_stream(driver: Arc<dyn Driver>, stream: Stream) -> Result<Arc<Self>, Error> {
        Self::with(driver, stream, false)
    }

    fn with(driver: Arc<dyn Driver>, stream: Stream, owned: bool) -> Result<Arc<Self>, Error> {
        let device = driver.device();
        let variant = Variant::of_device(device.capability).ok_or_else(|| {
            driver::Error::OldDevice { name: device.name.clone(), capability: device.capability }
        })?;
        let module = driver.load(variant.ptx())?;
        let most = device.shared_bytes;
        let mut kernels = HashMap::new();
        for contract in CONTRACTS.iter().filter(|c| variant.has(c)) {
            let shared_bytes = contract.shared_bytes.min(most);
            let function = driver.function(module, contract.name, shared_bytes)?;
            kernels.insert(contract.name, Kernel { function, contract });
        }
        let pool = Mutex::new(Pool::new(device.memory / KEPT_PART));
        let precision = Precision::default_of(variant);
        let traffic = Traffic::default();
        Ok(Arc::new(Self { driver, variant, kernels, stream, owned, pool, traffic, precision }))
    }

    /// The same device and kernels with a stream and a pool of its own, and with products of f32
    /// formed in `precision`.
    ///
    /// # Errors
    /// [`driver::Error::OldDevice`] for tensor cores that the device lacks; failed calls.
    pub fn with_precision(&self, precision: Precision) -> Result<Arc<Self>, Error> {
        if precision != Precision::F32 && self.variant == Variant::Sm75 {
            let driver::Device { name, capability, .. } = self.driver.device().clone();
            return Err(driver::Error::OldDevice { name, capability }.into());
        }
        let (driver, kernels) = (Arc::clone(&self.driver), self.kernels.clone());
        let (stream, variant) = (driver.create_stream()?, self.variant);
        let pool = Mutex::new(Pool::new(driver.device().memory / KEPT_PART));
        let traffic = Traffic::default();
        let owned = true;
        Ok(Arc::new(Self { driver, variant, kernels, stream, owned, pool, traffic, precision }))
    }

    /// The driver.
    pub fn driver(&self) -> &Arc<dyn Driver> {
        &self.driver
    }

    /// The stream that all work is in.
    pub fn stream(&self) -> Stream {
        self.stream
    }

    /// Which of the compiled files of kernels is used.
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// Waits until all work is done.
    ///
    /// # Errors
    /// What went wrong in it.
    pub fn synchronize(&self) -> Result<(), Error> {
        Ok(self.driver.synchronize(self.stream)?)
    }

    /// What passed between host and device so far.
    pub fn traffic(&self) -> TrafficReport {
        self.traffic.report()
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu")
            .field("device", self.driver.device())
            .field("variant", &self.variant)
            .finish_non_exhaustive()
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // Nobody is left to tell; every buffer holds this object, so only the pool is left.
        let _ = self.driver.synchronize(self.stream);
        for at in self.pool().drain() {
            // SAFETY: the pool owned it, and all work is done.
            let _ = unsafe { self.driver.free(at) };
        }
        if self.owned {
            // SAFETY: made by `new`, and this was the last user.
            let _ = unsafe { self.driver.destroy_stream(self.stream) };
        }
    }
}

/// Counts what passes between host and device.
#[derive(Debug, Default)]
struct Traffic {
    uploads: AtomicU64,
    uploaded_bytes: AtomicU64,
    downloads: AtomicU64,
    downloaded_bytes: AtomicU64,
    launches: AtomicU64,
    graph_launches: AtomicU64,
}

/// What passed between host and device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TrafficReport {
    /// Copies to the device.
    pub uploads: u64,
    /// Their bytes.
    pub uploaded_bytes: u64,
    /// Copies to the host.
    pub downloads: u64,
    /// Their bytes.
    pub downloaded_bytes: u64,
    /// Kernels launched, those of graphs not counted.
    pub launches: u64,
    /// Graphs launched.
    pub graph_launches: u64,
}

impl TrafficReport {
    /// What passed between two reports, added to this one.
    pub fn add_between(&mut self, before: &Self, after: &Self) {
        let Self { uploads, uploaded_bytes, downloads, downloaded_bytes, .. } = self;
        *uploads += after.uploads - before.uploads;
        *uploaded_bytes += after.uploaded_bytes - before.uploaded_bytes;
        *downloads += after.downloads - before.downloads;
        *downloaded_bytes += after.downloaded_bytes - before.downloaded_bytes;
        self.launches += after.launches - before.launches;
        self.graph_launches += after.graph_launches - before.graph_launches;
    }
}

impl Traffic {
    fn uploaded(&self, bytes: usize) {
        self.uploads.fetch_add(1, Ordering::Relaxed);
        self.uploaded_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn downloaded(&self, bytes: usize) {
        self.downloads.fetch_add(1, Ordering::Relaxed);
        self.downloaded_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn report(&self) -> TrafficReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TrafficReport {
            uploads: read(&self.uploads),
            uploaded_bytes: read(&self.uploaded_bytes),
            downloads: read(&self.downloads),
            downloaded_bytes: read(&self.downloaded_bytes),
            launches: read(&self.launches),
            graph_launches: read(&self.graph_launches),
        }
    }
}
