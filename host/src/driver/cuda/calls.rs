//! The calls of a [`Driver`], each one function of the CUDA driver or two.

use std::ffi::{CString, c_int, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::PoisonError;

use super::symbols::{Code, Handle, Symbols};
use super::{Cuda, Current, ERROR_OUT_OF_MEMORY, check};
use crate::driver::{
    Address, Argument, Device, Driver, Error, Event, Function, Graph, Grid, Module, Stream,
};

// Flags and options, as `cuda.h` numbers them.
const STREAM_NON_BLOCKING: c_uint = 1;
const EVENT_DEFAULT: c_uint = 0;
const CAPTURE_THREAD_LOCAL: c_uint = 1;
const MAX_DYNAMIC_SHARED_BYTES: c_uint = 8;
const JIT_ERROR_LOG: c_uint = 5;
const JIT_ERROR_LOG_BYTES: c_uint = 6;

/// The most that is kept of the log of the driver's compiler.
const LOG_BYTES: usize = 4096;

impl Cuda {
    /// Makes a call with the context current.
    fn call(
        &self,
        name: &'static str,
        function: impl FnOnce(&Symbols) -> Code,
    ) -> Result<(), Error> {
        let _current = Current::enter(&self.symbols, &self.context)?;
        check(&self.symbols, name, function(&self.symbols))
    }

    /// As [`Cuda::call`], for a call that allocates `bytes`.
    fn allocating(
        &self,
        name: &'static str,
        bytes: u64,
        function: impl FnOnce(&Symbols) -> Code,
    ) -> Result<(), Error> {
        let _current = Current::enter(&self.symbols, &self.context)?;
        match function(&self.symbols) {
            ERROR_OUT_OF_MEMORY => Err(Error::OutOfMemory { bytes }),
            code => check(&self.symbols, name, code),
        }
    }
}

/// A length as the driver takes it.
fn length(bytes: u64) -> Result<usize, Error> {
    usize::try_from(bytes).map_err(|_| Error::OutOfMemory { bytes })
}

/// A text as C has it.
fn c_string(call: &'static str, text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::Call { call, problem: "the text holds a 0".to_string() })
}

impl Driver for Cuda {
    fn device(&self) -> &Device {
        &self.device
    }

    fn allocate(&self, bytes: u64) -> Result<Address, Error> {
        let (size, mut at) = (length(bytes)?, 0);
        self.allocating("cuMemAlloc", bytes, |cu| {
            // SAFETY: `at` is valid for writes.
            unsafe { (cu.cuMemAlloc_v2)(&mut at, size) }
        })?;
        Ok(Address(at))
    }

    unsafe fn free(&self, at: Address) -> Result<(), Error> {
        self.call("cuMemFree", |cu| {
            // SAFETY: as the caller promises.
            unsafe { (cu.cuMemFree_v2)(at.0) }
        })
    }

    fn allocate_pinned(&self, bytes: usize) -> Result<*mut u8, Error> {
        let mut at = null_mut();
        self.allocating("cuMemHostAlloc", bytes as u64, |cu| {
            // SAFETY: `at` is valid for writes.
            unsafe { (cu.cuMemHostAlloc)(&mut at, bytes, 0) }
        })?;
        Ok(at.cast())
    }

    unsafe fn free_pinned(&self, at: *mut u8, _bytes: usize) -> Result<(), Error> {
        self.call("cuMemFreeHost", |cu| {
            // SAFETY: as the caller promises.
            unsafe { (cu.cuMemFreeHost)(at.cast()) }
        })
    }

    unsafe fn upload(
        &self,
        stream: Stream,
        to: Address,
        from: *const u8,
        bytes: usize,
    ) -> Result<(), Error> {
        self.call("cuMemcpyHtoDAsync", |cu| {
            // SAFETY: as the caller promises.
            unsafe { (cu.cuMemcpyHtoDAsync_v2)(to.0, from.cast(), bytes, handle(stream.0)) }
        })
    }

    unsafe fn download(
        &self,
        stream: Stream,
        to: *mut u8,
        from: Address,
        bytes: usize,
    ) -> Result<(), Error> {
        self.call("cuMemcpyDtoHAsync", |cu| {
            // SAFETY: as the caller promises.
            unsafe { (cu.cuMemcpyDtoHAsync_v2)(to.cast(), from.0, bytes, handle(stream.0)) }
        })
    }

    unsafe fn copy(
        &self,
        stream: Stream,
        to: Address,
        from: Address,
        bytes: u64,
    ) -> Result<(), Error> {
        let size = length(bytes)?;
        self.call("cuMemcpyDtoDAsync", |cu| {
            // SAFETY: as the caller promises.
            unsafe { (cu.cuMemcpyDtoDAsync_v2)(to.0, from.0, size, handle(stream.0)) }
        })
    }

    unsafe fn fill(&self, stream: Stream, to: Address, word: u32, count: u64) -> Result<(), Error> {
        let words = length(count)?;
        self.call("cuMemsetD32Async", |cu| {
            // SAFETY: as the caller promises.
            unsafe { (cu.cuMemsetD32Async)(to.0, word, words, handle(stream.0)) }
        })
    }

    fn load(&self, ptx: &str) -> Result<Module, Error> {
        const CALL: &str = "cuModuleLoadDataEx";
        let text = c_string(CALL, ptx)?;
        let mut module = null_mut();
        let mut log = vec![0_u8; LOG_BYTES];
        let mut options = [JIT_ERROR_LOG, JIT_ERROR_LOG_BYTES];
        // The driver takes numbers in the place of pointers.
        let mut values = [log.as_mut_ptr().cast::<c_void>(), LOG_BYTES as *mut c_void];
        let loaded = self.call(CALL, |cu| {
            // SAFETY: the text ends in 0; options and values are two each; the log is as long as
            // the second says.
            unsafe {
                (cu.cuModuleLoadDataEx)(
                    &mut module,
                    text.as_ptr().cast(),
                    options.len() as c_uint,
                    options.as_mut_ptr(),
                    values.as_mut_ptr(),
                )
            }
        });
        match loaded {
            Ok(()) => {
                let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
                modules.push(module as u64);
                Ok(Module(module as u64))
            }
            Err(Error::Call { call, problem }) => {
                let text = log.split(|&byte| byte == 0).next().unwrap_or_default();
                let text = String::from_utf8_lossy(text);
                Err(match text.trim() {
                    "" => Error::Call { call, problem },
                    text => Error::Call { call, problem: format!("{problem}: {text}") },
                })
            }
            Err(other) => Err(other),
        }
    }

    fn function(&self, module: Module, name: &str, shared_bytes: u32) -> Result<Function, Error> {
        let text = c_string("cuModuleGetFunction", name)?;
        let mut function = null_mut();
        let found = self.call("cuModuleGetFunction", |cu| {
            // SAFETY: `function` is valid for writes, and the name ends in 0; as for a stream.
            unsafe { (cu.cuModuleGetFunction)(&mut function, handle(module.0), text.as_ptr()) }
        });
        let most = c_int::try_from(shared_bytes).unwrap_or(c_int::MAX);
        let allowed = |()| {
            self.call("cuFuncSetAttribute", |cu| {
                // SAFETY: the function was just found.
                unsafe { (cu.cuFuncSetAttribute)(function, MAX_DYNAMIC_SHARED_BYTES, most) }
            })
        };
        found.and_then(allowed).map_err(|e| match e {
            Error::Call { call, problem } => {
                Error::Call { call, problem: format!("{name}: {problem}") }
            }
            other => other,
        })?;
        Ok(Function(function as u64))
    }

    unsafe fn launch(
        &self,
        stream: Stream,
        function: Function,
        grid: Grid,
        arguments: &[Argument<'_>],
    ) -> Result<(), Error> {
        let addresses: Vec<u64> = arguments
            .iter()
            .map(|argument| match argument {
                Argument::Array { address, .. } => address.0,
                Argument::Value(_) => 0,
            })
            .collect();
        // The driver copies the parameters before it returns, and writes nothing.
        let mut parameters: Vec<*mut c_void> = arguments
            .iter()
            .zip(&addresses)
            .map(|(argument, address)| match argument {
                Argument::Array { .. } => std::ptr::from_ref(address).cast_mut().cast(),
                Argument::Value(bytes) => bytes.as_ptr().cast_mut().cast(),
            })
            .collect();
        let [x, y, z] = grid.blocks;
        self.call("cuLaunchKernel", |cu| {
            // SAFETY: every parameter points to a value of its size, as the caller promises, as it
            // does that the kernel may run.
            unsafe {
                (cu.cuLaunchKernel)(
                    handle(function.0),
                    x,
                    y,
                    z,
                    grid.threads,
                    1,
                    1,
                    grid.shared_bytes,
                    handle(stream.0),
                    parameters.as_mut_ptr(),
                    null_mut(),
                )
            }
        })
    }

    fn create_stream(&self) -> Result<Stream, Error> {
        let mut stream = null_mut();
        self.call("cuStreamCreate", |cu| {
            // SAFETY: `stream` is valid for writes.
            unsafe { (cu.cuStreamCreate)(&mut stream, STREAM_NON_BLOCKING) }
        })?;
        Ok(Stream(stream as u64))
    }

    unsafe fn destroy_stream(&self, stream: Stream) -> Result<(), Error> {
        self.call("cuStreamDestroy", |cu| {
            // SAFETY: as the caller promises.
            unsafe { (cu.cuStreamDestroy_v2)(handle(stream.0)) }
        })
    }

    fn synchronize(&self, stream: Stream) -> Result<(), Error> {
        self.call("cuStreamSynchronize", |cu| {
            // SAFETY: a stream is one of this driver's, by the promise of its maker.
            unsafe { (cu.cuStreamSynchronize)(handle(stream.0)) }
        })
    }

    fn create_event(&self) -> Result<Event, Error> {
        let mut event = null_mut();
        self.call("cuEventCreate", |cu| {
            // SAFETY: `event` is valid for writes.
            unsafe { (cu.cuEventCreate)(&mut event, EVENT_DEFAULT) }
        })?;
        Ok(Event(event as u64))
    }

    unsafe fn destroy_event(&self, event: Event) -> Result<(), Error> {
        self.call("cuEventDestroy", |cu| {
            // SAFETY: as the caller promises.
            unsafe { (cu.cuEventDestroy_v2)(handle(event.0)) }
        })
    }

    fn record(&self, event: Event, stream: Stream) -> Result<(), Error> {
        self.call("cuEventRecord", |cu| {
            // SAFETY: streams and events are of this driver, by the promise of their makers.
            unsafe { (cu.cuEventRecord)(handle(event.0), handle(stream.0)) }
        })
    }

    fn wait(&self, stream: Stream, event: Event) -> Result<(), Error> {
        self.call("cuStreamWaitEvent", |cu| {
            // SAFETY: as for `record`.
            unsafe { (cu.cuStreamWaitEvent)(handle(stream.0), handle(event.0), 0) }
        })
    }

    fn elapsed(&self, from: Event, to: Event) -> Result<f32, Error> {
        let mut milliseconds = 0.0;
        self.call("cuEventElapsedTime", |cu| {
            // SAFETY: `milliseconds` is valid for writes; as for `record`.
            unsafe { (cu.cuEventElapsedTime)(&mut milliseconds, handle(from.0), handle(to.0)) }
        })?;
        Ok(milliseconds)
    }

    fn begin_capture(&self, stream: Stream) -> Result<(), Error> {
        self.call("cuStreamBeginCapture", |cu| {
            // SAFETY: as for `record`.
            unsafe { (cu.cuStreamBeginCapture_v2)(handle(stream.0), CAPTURE_THREAD_LOCAL) }
        })
    }

    fn end_capture(&self, stream: Stream) -> Result<Graph, Error> {
        let mut captured = null_mut();
        self.call("cuStreamEndCapture", |cu| {
            // SAFETY: `captured` is valid for writes; as for `record`.
            unsafe { (cu.cuStreamEndCapture)(handle(stream.0), &mut captured) }
        })?;
        let mut graph = null_mut();
        let made = self.call("cuGraphInstantiate", |cu| {
            // SAFETY: `graph` is valid for writes; `captured` was just made.
            unsafe { cu.instantiate.call(&mut graph, captured) }
        });
        let gone = self.call("cuGraphDestroy", |cu| {
            // SAFETY: `captured` was just made; what was made from it does not need it.
            unsafe { (cu.cuGraphDestroy)(captured) }
        });
        made.and(gone).map(|()| Graph(graph as u64))
    }

    unsafe fn launch_graph(&self, stream: Stream, graph: Graph) -> Result<(), Error> {
        self.call("cuGraphLaunch", |cu| {
            // SAFETY: as the caller promises.
            unsafe { (cu.cuGraphLaunch)(handle(graph.0), handle(stream.0)) }
        })
    }

    unsafe fn destroy_graph(&self, graph: Graph) -> Result<(), Error> {
        self.call("cuGraphExecDestroy", |cu| {
            // SAFETY: as the caller promises.
            unsafe { (cu.cuGraphExecDestroy)(handle(graph.0)) }
        })
    }
}

/// A number as the driver takes it.
fn handle(number: u64) -> Handle {
    number as Handle
}
