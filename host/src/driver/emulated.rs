//! A device that is this process: kernels run on the emulator, under the checks of
//! [`relfisher_kernels::emulator`].
//!
//! Everything is done before a call returns. What a GPU would allow silently is an error here: reads
//! of memory that nobody wrote, accesses beyond an array, and copies to or from the host while
//! work is captured, which a repeated step must not need.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use relfisher_kernels::emulator::{self, Heap};

use super::{
    Address, Argument, Device, Driver, Error, Event, Function, Graph, Grid, Module, Stream,
};

/// Where pinned memory begins, and where allocations of a GPU begin.
const ALIGNMENT: usize = 256;

/// An emulated device.
pub struct Emulated {
    device: Device,
    heap: Heap,
    state: Mutex<State>,
}

/// Everything with a handle.
#[derive(Default)]
struct State {
    last: u64,
    modules: HashMap<u64, Vec<String>>,
    kernels: HashMap<u64, Arc<str>>,
    events: HashMap<u64, Option<Instant>>,
    captures: HashMap<u64, Vec<Work>>,
    graphs: HashMap<u64, Arc<Vec<Work>>>,
}

impl State {
    fn handle(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

/// Work that a stream can do.
#[derive(Clone)]
enum Work {
    Launch { kernel: Arc<str>, grid: Grid, arguments: Vec<Owned> },
    Copy { to: Address, from: Address, bytes: u64 },
    Fill { to: Address, word: u32, count: u64 },
}

/// An argument that outlives the call.
#[derive(Clone)]
enum Owned {
    Array { address: u64, bytes: u64 },
    Value(Vec<u8>),
}

impl Default for Emulated {
    fn default() -> Self {
        Self::new()
    }
}

impl Emulated {
    /// A device with the abilities of compute capability 8.0.
    pub fn new() -> Self {
        let device = Device {
            driver: "emulated",
            name: "emulated device".to_owned(),
            capability: (8, 0),
            version: (12, 0),
            memory: 1 << 34,
            multiprocessors: 4,
            shared_bytes: 99 * 1024,
        };
        Self { device, heap: Heap::new(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the work, or keeps it while its stream is captured.
    fn submit(&self, stream: Stream, work: Work) -> Result<(), Error> {
        if let Some(kept) = self.state().captures.get_mut(&stream.0) {
            kept.push(work);
            return Ok(());
        }
        self.perform(&work)
    }

    fn perform(&self, work: &Work) -> Result<(), Error> {
        match work {
            Work::Launch { kernel, grid, arguments } => {
                let arguments: Vec<_> = arguments
                    .iter()
                    .map(|argument| match argument {
                        Owned::Array { address, bytes } => {
                            emulator::Argument::Array { address: *address, bytes: *bytes }
                        }
                        Owned::Value(bytes) => emulator::Argument::Value(bytes),
                    })
                    .collect();
                let Grid { blocks, threads, shared_bytes } = *grid;
                let grid = emulator::Grid { blocks, threads, shared_bytes };
                emulator::launch_entry(&self.heap, kernel, grid, &arguments).map_err(|e| {
                    Error::Fault { kernel: kernel.to_string(), problem: e.to_string() }
                })
            }
            Work::Copy { to, from, bytes } => {
                self.heap.copy(to.0, from.0, *bytes).map_err(|e| failed("copy", e))
            }
            Work::Fill { to, word, count } => {
                self.heap.fill(to.0, *word, *count).map_err(|e| failed("fill", e))
            }
        }
    }

    /// An error while the stream is captured: the host cannot take part in a graph.
    fn refuse_captured(&self, stream: Stream, call: &'static str) -> Result<(), Error> {
        if self.state().captures.contains_key(&stream.0) {
            return Err(failed(call, "copies to or from the host cannot be captured"));
        }
        Ok(())
    }
}

fn failed(call: &'static str, problem: impl ToString) -> Error {
    Error::Call { call, problem: problem.to_string() }
}

fn unknown(call: &'static str) -> Error {
    failed(call, "no such handle")
}

fn pinned_layout(bytes: usize) -> Result<Layout, Error> {
    Layout::from_size_align(bytes.max(1), ALIGNMENT)
        .map_err(|_| Error::OutOfMemory { bytes: bytes as u64 })
}

impl Driver for Emulated {
    fn device(&self) -> &Device {
        &self.device
    }

    fn allocate(&self, bytes: u64) -> Result<Address, Error> {
        self.heap.allocate(bytes).map(Address).map_err(|_| Error::OutOfMemory { bytes })
    }

    unsafe fn free(&self, at: Address) -> Result<(), Error> {
        self.heap.free(at.0).map_err(|e| failed("free", e))
    }

    fn forget(&self, at: Address, bytes: u64) {
        // An unknown address is found by whoever uses it.
        let _ = self.heap.forget(at.0, bytes);
    }

    fn allocate_pinned(&self, bytes: usize) -> Result<*mut u8, Error> {
        let layout = pinned_layout(bytes)?;
        // SAFETY: the layout has a size above zero.
        let at = unsafe { alloc(layout) };
        if at.is_null() { Err(Error::OutOfMemory { bytes: bytes as u64 }) } else { Ok(at) }
    }

    unsafe fn free_pinned(&self, at: *mut u8, bytes: usize) -> Result<(), Error> {
        let layout = pinned_layout(bytes)?;
        // SAFETY: the caller got `at` from `allocate_pinned` with the same number of bytes.
        unsafe { dealloc(at, layout) };
        Ok(())
    }

    unsafe fn upload(
        &self,
        stream: Stream,
        to: Address,
        from: *const u8,
        bytes: usize,
    ) -> Result<(), Error> {
        self.refuse_captured(stream, "upload")?;
        // SAFETY: the caller vouches for the range.
        let from = unsafe { std::slice::from_raw_parts(from, bytes) };
        self.heap.write(to.0, from).map_err(|e| failed("upload", e))
    }

    unsafe fn download(
        &self,
        stream: Stream,
        to: *mut u8,
        from: Address,
        bytes: usize,
    ) -> Result<(), Error> {
        self.refuse_captured(stream, "download")?;
        // SAFETY: the caller vouches for the range, and bytes need no initial value to be written.
        let to = unsafe {
            std::ptr::write_bytes(to, 0, bytes);
            std::slice::from_raw_parts_mut(to, bytes)
        };
        self.heap.read(from.0, to).map_err(|e| failed("download", e))
    }

    unsafe fn copy(
        &self,
        stream: Stream,
        to: Address,
        from: Address,
        bytes: u64,
    ) -> Result<(), Error> {
        self.submit(stream, Work::Copy { to, from, bytes })
    }

    unsafe fn fill(&self, stream: Stream, to: Address, word: u32, count: u64) -> Result<(), Error> {
        self.submit(stream, Work::Fill { to, word, count })
    }

    fn load(&self, ptx: &str) -> Result<Module, Error> {
        let name = |line: &str| {
            let rest = line.trim_start().strip_prefix(".visible .entry ")?;
            Some(rest.split('(').next().unwrap_or(rest).trim().to_owned())
        };
        let entries: Vec<String> = ptx.lines().filter_map(name).collect();
        if entries.is_empty() {
            return Err(failed("load", "the text has no kernel"));
        }
        let mut state = self.state();
        let handle = state.handle();
        state.modules.insert(handle, entries);
        Ok(Module(handle))
    }

    fn function(&self, module: Module, name: &str, shared_bytes: u32) -> Result<Function, Error> {
        let mut state = self.state();
        let entries = state.modules.get(&module.0).ok_or_else(|| unknown("function"))?;
        if !entries.iter().any(|entry| entry == name) {
            return Err(failed("function", format_args!("no kernel {name} in the module")));
        }
        if shared_bytes > self.device.shared_bytes {
            let most = self.device.shared_bytes;
            let problem = format_args!("{name}: {shared_bytes} bytes of {most} of shared memory");
            return Err(failed("function", problem));
        }
        let handle = state.handle();
        state.kernels.insert(handle, name.into());
        Ok(Function(handle))
    }

    unsafe fn launch(
        &self,
        stream: Stream,
        function: Function,
        grid: Grid,
        arguments: &[Argument<'_>],
    ) -> Result<(), Error> {
        let kernel = self.state().kernels.get(&function.0).map(Arc::clone);
        let kernel = kernel.ok_or_else(|| unknown("launch"))?;
        let arguments = arguments
            .iter()
            .map(|argument| match argument {
                Argument::Array { address, bytes } => {
                    Owned::Array { address: address.0, bytes: *bytes }
                }
                Argument::Value(bytes) => Owned::Value(bytes.to_vec()),
            })
            .collect();
        self.submit(stream, Work::Launch { kernel, grid, arguments })
    }

    fn create_stream(&self) -> Result<Stream, Error> {
        Ok(Stream(self.state().handle()))
    }

    unsafe fn destroy_stream(&self, stream: Stream) -> Result<(), Error> {
        self.state().captures.remove(&stream.0);
        Ok(())
    }

    fn synchronize(&self, stream: Stream) -> Result<(), Error> {
        self.refuse_captured(stream, "synchronize")
    }

    fn create_event(&self) -> Result<Event, Error> {
        let mut state = self.state();
        let handle = state.handle();
        state.events.insert(handle, None);
        Ok(Event(handle))
    }

    unsafe fn destroy_event(&self, event: Event) -> Result<(), Error> {
        self.state().events.remove(&event.0).map(|_| ()).ok_or_else(|| unknown("destroy_event"))
    }

    fn record(&self, event: Event, stream: Stream) -> Result<(), Error> {
        self.refuse_captured(stream, "record")?;
        let mut state = self.state();
        let time = state.events.get_mut(&event.0).ok_or_else(|| unknown("record"))?;
        *time = Some(Instant::now());
        Ok(())
    }

    fn wait(&self, _stream: Stream, event: Event) -> Result<(), Error> {
        // Everything before a call is done.
        let known = self.state().events.contains_key(&event.0);
        if known { Ok(()) } else { Err(unknown("wait")) }
    }

    fn elapsed(&self, from: Event, to: Event) -> Result<f32, Error> {
        let state = self.state();
        let time = |event: Event| state.events.get(&event.0).copied().flatten();
        match (time(from), time(to)) {
            (Some(from), Some(to)) => {
                let later = to.saturating_duration_since(from).as_secs_f32();
                Ok((later - from.saturating_duration_since(to).as_secs_f32()) * 1e3)
            }
            _ => Err(failed("elapsed", "an event that was not recorded")),
        }
    }

    fn begin_capture(&self, stream: Stream) -> Result<(), Error> {
        if self.state().captures.insert(stream.0, Vec::new()).is_some() {
            return Err(failed("begin_capture", "the stream is captured already"));
        }
        Ok(())
    }

    fn end_capture(&self, stream: Stream) -> Result<Graph, Error> {
        let mut state = self.state();
        let work = state.captures.remove(&stream.0);
        let work = work.ok_or_else(|| failed("end_capture", "the stream is not captured"))?;
        let handle = state.handle();
        state.graphs.insert(handle, Arc::new(work));
        Ok(Graph(handle))
    }

    unsafe fn launch_graph(&self, stream: Stream, graph: Graph) -> Result<(), Error> {
        let work = self.state().graphs.get(&graph.0).map(Arc::clone);
        let work = work.ok_or_else(|| unknown("launch_graph"))?;
        work.iter().try_for_each(|work| self.submit(stream, work.clone()))
    }

    unsafe fn destroy_graph(&self, graph: Graph) -> Result<(), Error> {
        self.state().graphs.remove(&graph.0).map(|_| ()).ok_or_else(|| unknown("destroy_graph"))
    }
}
