//! What the driver keeps.

use std::alloc::Layout;
use std::collections::BTreeMap;

use crate::module::Kernel;
use crate::work::Work;

/// A kernel that was asked for by name.
pub(crate) struct Function {
    pub(crate) kernel: Kernel,
    /// The most dynamic shared memory of a launch.
    pub(crate) shared_bytes: u32,
}

/// A stream: what it collects, while it is captured.
#[derive(Default)]
pub(crate) struct Stream {
    pub(crate) captured: Option<Vec<Work>>,
}

/// Everything behind handles.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) initialised: bool,
    /// Contexts by handle: their device, and how often it was retained.
    pub(crate) contexts: BTreeMap<u64, (i32, u32)>,
    /// Memory of the devices by address.
    pub(crate) memory: BTreeMap<u64, Vec<u8>>,
    pub(crate) pinned: BTreeMap<u64, Layout>,
    pub(crate) modules: BTreeMap<u64, Vec<Kernel>>,
    pub(crate) functions: BTreeMap<u64, Function>,
    pub(crate) streams: BTreeMap<u64, Stream>,
    /// Events by handle: when they were passed.
    pub(crate) events: BTreeMap<u64, Option<u64>>,
    pub(crate) graphs: BTreeMap<u64, Vec<Work>>,
    pub(crate) executables: BTreeMap<u64, Vec<Work>>,
    /// How many pieces of work were done.
    pub(crate) clock: u64,
    handles: u64,
    addresses: u64,
}

impl State {
    /// A handle that nothing else has.
    pub(crate) fn handle(&mut self) -> u64 {
        self.handles += 1;
        0xa000_0000 + 16 * self.handles
    }

    /// An address for so many bytes. Nothing of the process lies there, and behind every piece of
    /// memory is a gap.
    pub(crate) fn address(&mut self, bytes: usize) -> u64 {
        let at = 0x7_0000_0000 + self.addresses;
        self.addresses += (bytes as u64 / 256 + 2) * 256;
        at
    }
}
