//! The CUDA driver behind a small trait, so that everything above it runs on a GPU, through any of
//! the crates that bind the driver, and without a GPU.
//!
//! A [`Driver`] is one device with one context. It allocates, copies, launches compiled kernels by
//! name and orders work by streams, events and graphs; it checks nothing that the CUDA driver does not
//! check. [`crate::executor`] keeps the contracts of kernels and buffers above it.
//!
//! Handles are numbers: an engine's own context, stream or device pointer is accepted as it is.
//!
//! [`detect`] opens a device with what the default build has; [`open`] by way of a given
//! [`Binding`]; [`cuda::Cuda::adopt`] takes the context of an engine.

pub mod cuda;

mod emulated;

use std::fmt;
use std::sync::Arc;

use relfisher_kernels::contract::Variant;

pub use emulated::Emulated;

/// The address of a byte in the device's global memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub u64);

/// Handles: numbers behind which a driver has something.
macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(pub(crate) u64);

        impl $name {
            /// The handle with this number.
            ///
            /// # Safety
            /// A driver, or an engine that uses the same driver, has given this number for such a
            /// thing; the handle is not used after the thing is gone.
            pub const unsafe fn from_raw(number: u64) -> Self {
                Self(number)
            }

            /// The number.
            pub const fn raw(self) -> u64 {
                self.0
            }
        }
    )*};
}

handles! {
    /// A queue of work in order (`CUstream` as a number).
    Stream;
    /// A point in a queue of work (`CUevent`).
    Event;
    /// A loaded file of kernels (`CUmodule`).
    Module;
    /// A kernel of a module (`CUfunction`).
    Function;
    /// Captured work that can be launched again (`CUgraphExec`).
    Graph;
}

impl Stream {
    /// The default stream, which every driver has.
    pub const DEFAULT: Self = Self(0);
}

/// The shape of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Blocks along x, y, z.
    pub blocks: [u32; 3],
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of dynamic shared memory of a block.
    pub shared_bytes: u32,
}

/// One parameter of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Argument<'a> {
    /// An array: a kernel gets its address. The length is what an implementation may check.
    Array {
        /// Where it begins.
        address: Address,
        /// Its length.
        bytes: u64,
    },
    /// A value, as the bytes of its `#[repr(C)]` type.
    Value(&'a [u8]),
}

/// What is known of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Which driver answers: `cudarc`, `cust`, `rustacuda` or `emulated`.
    pub driver: &'static str,
    /// The device's name.
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    /// The version of CUDA that the driver speaks, major and minor.
    pub version: (u32, u32),
    /// Bytes of global memory.
    pub memory: u64,
    /// Multiprocessors.
    pub multiprocessors: u32,
    /// The most dynamic shared memory of a block, in bytes.
    pub shared_bytes: u32,
}

/// Why a driver cannot be used, or refused something.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is no driver library, or it lacks what is needed.
    NoDriver {
        /// What was looked for, and what happened.
        problem: String,
    },
    /// The driver is older than what is needed.
    OldDriver {
        /// The version of CUDA that it speaks.
        found: (u32, u32),
        /// The oldest that will do.
        needed: (u32, u32),
    },
    /// The driver works, but there is no such device.
    NoDevice {
        /// How many devices there are.
        count: u32,
    },
    /// The device is older than what the kernels are compiled for.
    OldDevice {
        /// Its name.
        name: String,
        /// Its compute capability.
        capability: (u32, u32),
    },
    /// Not enough memory on the device.
    OutOfMemory {
        /// How much was asked for.
        bytes: u64,
    },
    /// A call failed.
    Call {
        /// The function of the driver.
        call: &'static str,
        /// The driver's name for the error, and its text.
        problem: String,
    },
    /// A kernel broke a rule (emulated devices only).
    Fault {
        /// The kernel.
        kernel: String,
        /// Which rule, where.
        problem: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDriver { problem } => write!(f, "no CUDA driver: {problem}"),
            Self::OldDriver { found, needed } => write!(
                f,
                "the driver speaks CUDA {}.{}, but {}.{} is needed",
                found.0, found.1, needed.0, needed.1
            ),
            Self::NoDevice { count: 0 } => f.write_str("the CUDA driver sees no device"),
            Self::NoDevice { count } => write!(f, "the CUDA driver sees {count} devices, not more"),
            Self::OldDevice { name, capability } => {
                write!(f, "{name} has compute capability {}.{}", capability.0, capability.1)
            }
            Self::OutOfMemory { bytes } => write!(f, "no {bytes} bytes left on the device"),
            Self::Call { call, problem } => write!(f, "{call}: {problem}"),
            Self::Fault { kernel, problem } => write!(f, "kernel {kernel}: {problem}"),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// What a user can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NoDriver { .. } => "install the NVIDIA driver, or use --device cpu",
            Self::OldDriver { .. } => "update the NVIDIA driver, or use --device cpu",
            Self::NoDevice { .. } | Self::Call { call: "cuInit", .. } => {
                "check nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu"
            }
            Self::OldDevice { .. } => "use a device of 7.5 or newer, or --device cpu",
            Self::OutOfMemory { .. } => "use smaller batches, or --device cpu",
            Self::Call { .. } | Self::Fault { .. } => "use --device cpu, and report this",
        }
    }
}

/// The crate through which the CUDA driver is called, a feature of this one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Binding {
    /// `cudarc` (a default feature) finds the driver's library at run time: the same program runs
    /// on machines with and without one.
    Cudarc,
    /// `cust` links the library: the program starts only where there is one.
    Cust,
    /// `rustacuda` links the library too, by the declarations of CUDA 10.
    Rustacuda,
}

impl Binding {
    /// The bindings that this build has.
    pub const BUILT: &'static [Self] = &[
        #[cfg(feature = "cudarc")]
        Self::Cudarc,
        #[cfg(feature = "cust")]
        Self::Cust,
        #[cfg(feature = "rustacuda")]
        Self::Rustacuda,
    ];

    /// The crate's name, which is the feature's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cudarc => "cudarc",
            Self::Cust => "cust",
            Self::Rustacuda => "rustacuda",
        }
    }
}

/// Opens the device number `ordinal` through the first binding of [`Binding::BUILT`].
///
/// # Errors
/// As [`cuda::Cuda::open`]; a build without a binding has no driver.
pub fn detect(ordinal: u32) -> Result<Arc<dyn Driver>, Error> {
    open(built()?, ordinal)
}

/// Opens the device number `ordinal` by way of `binding`.
///
/// # Errors
/// As [`cuda::Cuda::open`]; this build may not have the binding.
pub fn open(binding: Binding, ordinal: u32) -> Result<Arc<dyn Driver>, Error> {
    Ok(Arc::new(cuda::Cuda::open(binding, ordinal)?))
}

/// The first binding of [`Binding::BUILT`].
///
/// # Errors
/// [`Error::NoDriver`] where the build has none.
pub fn built() -> Result<Binding, Error> {
    Binding::BUILT.first().copied().ok_or_else(|| Error::NoDriver {
        problem: "built without the features cudarc, cust and rustacuda".to_string(),
    })
}

/// The kernels for a compute capability, major and minor; none are older than 7.5.
pub fn variant(capability: (u32, u32)) -> Option<Variant> {
    match capability {
        (8.., _) => Some(Variant::Sm80),
        (7, 5..) => Some(Variant::Sm75),
        _ => None,
    }
}

/// One device with one context.
///
/// Work on a stream may still be under way when a call returns; copies to and from the host's
/// memory are so only for pinned memory. Implementations bind their context to the calling thread
/// where the driver needs that, so a driver may be used from any thread.
pub trait Driver: Send + Sync {
    /// What is known of the device.
    fn device(&self) -> &Device;

    /// Memory of the device: `bytes` > 0, aligned to 256 bytes, holding anything.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; failed calls.
    fn allocate(&self, bytes: u64) -> Result<Address, Error>;

    /// Gives memory back.
    ///
    /// # Safety
    /// `at` came from [`Driver::allocate`], and no work under way or to come touches it.
    ///
    /// # Errors
    /// Failed calls.
    unsafe fn free(&self, at: Address) -> Result<(), Error>;

    /// Says that nothing will read the `bytes` at `at` before it is written anew. Nothing has to come
    /// of it; an emulated device then finds reads of stale values.
    fn forget(&self, _at: Address, _bytes: u64) {}

    /// Page-locked memory of the host, aligned to 256 bytes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; failed calls.
    fn allocate_pinned(&self, bytes: usize) -> Result<*mut u8, Error>;

    /// Gives page-locked memory back.
    ///
    /// # Safety
    /// `at` came from [`Driver::allocate_pinned`] with as many `bytes`, and no work under way touches
    /// it.
    ///
    /// # Errors
    /// Failed calls.
    unsafe fn free_pinned(&self, at: *mut u8, bytes: usize) -> Result<(), Error>;

    /// Copies from the host to the device.
    ///
    /// # Safety
    /// Both ranges are valid, and stay so and unwritten until the copy is done.
    ///
    /// # Errors
    /// Failed calls.
    unsafe fn upload(
        &self,
        stream: Stream,
        to: Address,
        from: *const u8,
        bytes: usize,
    ) -> Result<(), Error>;

    /// Copies from the device to the host.
    ///
    /// # Safety
    /// As [`Driver::upload`].
    ///
    /// # Errors
    /// Failed calls; faults of emulated kernels before it.
    unsafe fn download(
        &self,
        stream: Stream,
        to: *mut u8,
        from: Address,
        bytes: usize,
    ) -> Result<(), Error>;

    /// Copies inside the device.
    ///
    /// # Safety
    /// Both ranges are valid and do not overlap.
    ///
    /// # Errors
    /// Failed calls.
    unsafe fn copy(
        &self,
        stream: Stream,
        to: Address,
        from: Address,
        bytes: u64,
    ) -> Result<(), Error>;

    /// Writes `count` times the same 32 bits.
    ///
    /// # Safety
    /// The range is valid.
    ///
    /// # Errors
    /// Failed calls.
    unsafe fn fill(&self, stream: Stream, to: Address, word: u32, count: u64) -> Result<(), Error>;

    /// Loads kernels from the text of a PTX file.
    ///
    /// # Errors
    /// Failed calls, with the log of the driver's compiler.
    fn load(&self, ptx: &str) -> Result<Module, Error>;

    /// The kernel of that name, allowed up to `shared_bytes` of dynamic shared memory.
    ///
    /// # Errors
    /// Failed calls.
    fn function(&self, module: Module, name: &str, shared_bytes: u32) -> Result<Function, Error>;

    /// Launches a kernel.
    ///
    /// # Safety
    /// The arguments are those of the kernel, in its order, and its contract holds.
    ///
    /// # Errors
    /// Failed calls; faults of emulated kernels.
    unsafe fn launch(
        &self,
        stream: Stream,
        function: Function,
        grid: Grid,
        arguments: &[Argument<'_>],
    ) -> Result<(), Error>;

    /// A new stream that does not wait for the default stream.
    ///
    /// # Errors
    /// Failed calls.
    fn create_stream(&self) -> Result<Stream, Error>;

    /// Gives a stream back; its work is still done.
    ///
    /// # Safety
    /// `stream` came from [`Driver::create_stream`] and is not used again.
    ///
    /// # Errors
    /// Failed calls.
    unsafe fn destroy_stream(&self, stream: Stream) -> Result<(), Error>;

    /// Waits until the work of a stream is done.
    ///
    /// # Errors
    /// Failed calls; what went wrong in that work.
    fn synchronize(&self, stream: Stream) -> Result<(), Error>;

    /// A new event that can be timed.
    ///
    /// # Errors
    /// Failed calls.
    fn create_event(&self) -> Result<Event, Error>;

    /// Gives an event back.
    ///
    /// # Safety
    /// `event` came from [`Driver::create_event`] and is not used again.
    ///
    /// # Errors
    /// Failed calls.
    unsafe fn destroy_event(&self, event: Event) -> Result<(), Error>;

    /// Puts an event into a stream.
    ///
    /// # Errors
    /// Failed calls.
    fn record(&self, event: Event, stream: Stream) -> Result<(), Error>;

    /// Makes the later work of a stream wait for an event.
    ///
    /// # Errors
    /// Failed calls.
    fn wait(&self, stream: Stream, event: Event) -> Result<(), Error>;

    /// Milliseconds between two events, both passed.
    ///
    /// # Errors
    /// Failed calls.
    fn elapsed(&self, from: Event, to: Event) -> Result<f32, Error>;

    /// Collects the work that this thread puts into a stream, not the default one, instead of doing
    /// it. Until [`Driver::end_capture`] this thread must not allocate, free, load or wait: CUDA
    /// refuses it, and the capture is lost.
    ///
    /// # Errors
    /// Failed calls.
    fn begin_capture(&self, stream: Stream) -> Result<(), Error>;

    /// Ends the collection; the graph can be launched many times.
    ///
    /// # Errors
    /// Failed calls; work that cannot be captured.
    fn end_capture(&self, stream: Stream) -> Result<Graph, Error>;

    /// Does the captured work again.
    ///
    /// # Safety
    /// What the captured work touches is still valid.
    ///
    /// # Errors
    /// Failed calls; faults of emulated kernels.
    unsafe fn launch_graph(&self, stream: Stream, graph: Graph) -> Result<(), Error>;

    /// Gives a graph back.
    ///
    /// # Safety
    /// `graph` came from [`Driver::end_capture`] and is not used again.
    ///
    /// # Errors
    /// Failed calls.
    unsafe fn destroy_graph(&self, graph: Graph) -> Result<(), Error>;
}
