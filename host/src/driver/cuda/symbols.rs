//! The functions of the CUDA driver that are used, as a table of pointers.
//!
//! Error codes and enumerations are integers here, not the enumerations that the binding crates
//! declare: a driver newer than a binding may return a code that such an enumeration does not have,
//! which no Rust program may hold.

use std::ffi::{c_char, c_int, c_uint, c_ulonglong, c_void};
use std::ptr::null_mut;

/// A pointer that only the driver looks behind: context, module, function, stream, event, graph.
pub(super) type Handle = *mut c_void;
/// A device, by number.
pub(super) type Ordinal = c_int;
/// `CUresult`.
pub(super) type Code = c_uint;
/// `CUdeviceptr`.
pub(super) type Pointer = u64;

/// Calls `$then!` with `$first` and every function: its name in the library, and its arguments. All of them are
/// in every driver since CUDA 11.0. How a graph is made executable has changed: [`Instantiate`].
macro_rules! functions {
    ($then:ident $(, $first:expr)?) => {
        $then! {
            $($first;)?
            cuInit(c_uint);
            cuDriverGetVersion(*mut c_int);
            cuGetErrorName(Code, *mut *const c_char);
            cuGetErrorString(Code, *mut *const c_char);
            cuDeviceGetCount(*mut c_int);
            cuDeviceGet(*mut Ordinal, c_int);
            cuDeviceGetName(*mut c_char, c_int, Ordinal);
            cuDeviceGetAttribute(*mut c_int, c_uint, Ordinal);
            cuDeviceTotalMem_v2(*mut usize, Ordinal);
            cuDevicePrimaryCtxRetain(*mut Handle, Ordinal);
            cuDevicePrimaryCtxRelease_v2(Ordinal);
            cuCtxGetCurrent(*mut Handle);
            cuCtxSetCurrent(Handle);
            cuCtxGetDevice(*mut Ordinal);
            cuMemAlloc_v2(*mut Pointer, usize);
            cuMemFree_v2(Pointer);
            cuMemHostAlloc(*mut *mut c_void, usize, c_uint);
            cuMemFreeHost(*mut c_void);
            cuMemcpyHtoDAsync_v2(Pointer, *const c_void, usize, Handle);
            cuMemcpyDtoHAsync_v2(*mut c_void, Pointer, usize, Handle);
            cuMemcpyDtoDAsync_v2(Pointer, Pointer, usize, Handle);
            cuMemsetD32Async(Pointer, c_uint, usize, Handle);
            cuModuleLoadDataEx(
                *mut Handle, *const c_void, c_uint, *mut c_uint, *mut *mut c_void
            );
            cuModuleUnload(Handle);
            cuModuleGetFunction(*mut Handle, Handle, *const c_char);
            cuFuncSetAttribute(Handle, c_uint, c_int);
            cuLaunchKernel(
                Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Handle,
                *mut *mut c_void, *mut *mut c_void
            );
            cuStreamCreate(*mut Handle, c_uint);
            cuStreamDestroy_v2(Handle);
            cuStreamSynchronize(Handle);
            cuStreamWaitEvent(Handle, Handle, c_uint);
            cuEventCreate(*mut Handle, c_uint);
            cuEventDestroy_v2(Handle);
            cuEventRecord(Handle, Handle);
            cuEventElapsedTime(*mut f32, Handle, Handle);
            cuStreamBeginCapture_v2(Handle, c_uint);
            cuStreamEndCapture(Handle, *mut Handle);
            cuGraphLaunch(Handle, Handle);
            cuGraphDestroy(Handle);
            cuGraphExecDestroy(Handle);
        }
    };
}

macro_rules! table {
    ($($name:ident($($argument:ty),*);)*) => {
        /// The functions, by their names in the library.
        #[allow(non_snake_case)]
        #[derive(Clone, Copy)]
        pub(super) struct Symbols {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) -> Code,)*
            /// `cuGraphInstantiate…`, whichever there is.
            pub(super) instantiate: Instantiate,
        }
    };
}
functions!(table);

#[cfg(any(feature = "cudarc", feature = "cust", feature = "rustacuda"))]
pub(super) use functions;

/// `cuGraphInstantiate`, of which CUDA has had several.
#[derive(Clone, Copy)]
#[allow(dead_code)] // Each binding makes one of them.
pub(super) enum Instantiate {
    /// Since CUDA 11.4: `cuGraphInstantiateWithFlags`.
    Flags(unsafe extern "C" fn(*mut Handle, Handle, c_ulonglong) -> Code),
    /// Before: the node of an error, and a log.
    Log(unsafe extern "C" fn(*mut Handle, Handle, *mut Handle, *mut c_char, usize) -> Code),
}

impl Instantiate {
    /// Makes `graph` executable.
    ///
    /// # Safety
    /// `executable` is valid for writes; `graph` is a graph.
    pub(super) unsafe fn call(self, executable: *mut Handle, graph: Handle) -> Code {
        match self {
            // SAFETY: as the caller promises; there are no flags.
            Self::Flags(function) => unsafe { function(executable, graph, 0) },
            Self::Log(function) => {
                let mut log: [c_char; 256] = [0; 256];
                // SAFETY: as the caller promises; the node is not asked for; the log is as long as
                // is said.
                unsafe { function(executable, graph, null_mut(), log.as_mut_ptr(), log.len()) }
            }
        }
    }
}
