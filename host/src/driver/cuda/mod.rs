//! The CUDA driver itself.
//!
//! [`Cuda`] is written once, over a table of the driver's C functions. The table comes from one of
//! three crates ([`Binding`]): `cudarc` finds the library at run time; `cust` and `rustacuda` link
//! it, for engines that use them already. All of them end in the same library of the same process,
//! so contexts, streams and device pointers pass freely between them and this module, as numbers.

mod calls;
#[cfg(any(feature = "cust", feature = "rustacuda"))]
mod linked;
#[cfg(feature = "cudarc")]
mod loaded;
mod symbols;

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

use self::symbols::{Code, Handle, Ordinal, Symbols};
use super::{Binding, Device, Error, variant};

/// The oldest CUDA whose driver compiles the kernels (PTX 7.0) and has the functions that are used.
pub const NEEDED: (u32, u32) = (11, 0);

// Codes, attributes and flags, as `cuda.h` numbers them.
const SUCCESS: Code = 0;
const ERROR_OUT_OF_MEMORY: Code = 2;
const ERROR_STUB_LIBRARY: Code = 34;
const ERROR_NO_DEVICE: Code = 100;
const ERROR_SYSTEM_DRIVER_MISMATCH: Code = 803;
const MULTIPROCESSOR_COUNT: c_uint = 16;
const CAPABILITY_MAJOR: c_uint = 75;
const CAPABILITY_MINOR: c_uint = 76;
const SHARED_MEMORY_OPTIN: c_uint = 97;

/// One device through the CUDA driver.
///
/// Every call makes the context current on the calling thread, and then makes the one current again
/// that an engine had there. Kernels that were loaded are unloaded when this is dropped; memory,
/// streams, events and graphs are the caller's to give back before.
pub struct Cuda {
    symbols: Symbols,
    device: Device,
    context: Context,
    modules: Mutex<Vec<u64>>,
}

/// A context as a number, and what becomes of it.
enum Context {
    /// The device's primary context, retained here. It is the one of the CUDA runtime, `cudarc` and
    /// `cust`, so their memory and streams are valid in it.
    Primary { context: u64, ordinal: Ordinal },
    /// A context that somebody else destroys.
    Adopted { context: u64 },
}

impl Context {
    fn handle(&self) -> Handle {
        match *self {
            Self::Primary { context, .. } | Self::Adopted { context } => context as Handle,
        }
    }
}

impl Cuda {
    /// The device number `ordinal`, in its primary context.
    ///
    /// # Errors
    /// No driver or one older than CUDA 11.0, no such device or one older than compute capability
    /// 7.5, failed calls.
    pub fn open(binding: Binding, ordinal: u32) -> Result<Self, Error> {
        let (symbols, version) = start(binding)?;
        let count = count(&symbols)?;
        if ordinal >= count {
            return Err(Error::NoDevice { count });
        }
        let handle = nth(&symbols, ordinal)?;
        let device = describe(&symbols, binding, version, handle)?;
        refuse_old(&device)?;
        let mut context = null_mut();
        // SAFETY: `context` is valid for writes; `handle` is a device of this driver.
        let code = unsafe { (symbols.cuDevicePrimaryCtxRetain)(&mut context, handle) };
        check(&symbols, "cuDevicePrimaryCtxRetain", code)?;
        let context = Context::Primary { context: context as u64, ordinal: handle };
        Ok(Self { symbols, device, context, modules: Mutex::default() })
    }

    /// The context `context` (`CUcontext` as a number) that an engine owns: `cust`'s
    /// `Context::as_raw`, `cudarc`'s `CudaContext::cu_ctx`, or [`current`], which finds what
    /// `rustacuda`'s `Context::create_and_push` has made. It is not destroyed here.
    /// The engine's streams are used by [`Stream::from_raw`](super::Stream::from_raw), its memory by
    /// [`Address`](super::Address).
    ///
    /// # Safety
    /// `context` is a context of this process's CUDA driver, and outlives what is returned.
    ///
    /// # Errors
    /// As [`Cuda::open`].
    pub unsafe fn adopt(binding: Binding, context: u64) -> Result<Self, Error> {
        let (symbols, version) = start(binding)?;
        let context = Context::Adopted { context };
        let device = {
            let _current = Current::enter(&symbols, &context)?;
            let mut handle = 0;
            // SAFETY: `handle` is valid for writes.
            let code = unsafe { (symbols.cuCtxGetDevice)(&mut handle) };
            check(&symbols, "cuCtxGetDevice", code)?;
            describe(&symbols, binding, version, handle)?
        };
        refuse_old(&device)?;
        Ok(Self { symbols, device, context, modules: Mutex::default() })
    }

    /// The context (`CUcontext`) as a number.
    pub fn context(&self) -> u64 {
        self.context.handle() as u64
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        let modules = self.modules.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Where a context has died with its work, or the process is about to end, calls fail; what
        // they would have given back is gone then, and there is nobody to tell.
        if let Ok(_current) = Current::enter(&self.symbols, &self.context) {
            for module in modules.drain(..) {
                // SAFETY: it was loaded in this context, and is unloaded once.
                unsafe { (self.symbols.cuModuleUnload)(module as Handle) };
            }
        }
        if let Context::Primary { ordinal, .. } = self.context {
            // SAFETY: the primary context of this device was retained once by `open`.
            unsafe { (self.symbols.cuDevicePrimaryCtxRelease_v2)(ordinal) };
        }
    }
}

/// Every device that the driver sees, those too old for the kernels too.
///
/// # Errors
/// No driver, an old one, no device at all, failed calls.
pub fn survey(binding: Binding) -> Result<Vec<Device>, Error> {
    let (symbols, version) = start(binding)?;
    let count = count(&symbols)?;
    if count == 0 {
        return Err(Error::NoDevice { count });
    }
    (0..count).map(|i| describe(&symbols, binding, version, nth(&symbols, i)?)).collect()
}

/// The context (`CUcontext` as a number) that is current on this thread, if any is.
///
/// # Errors
/// No driver, an old one, failed calls.
pub fn current(binding: Binding) -> Result<Option<u64>, Error> {
    let (symbols, _) = start(binding)?;
    let mut context = null_mut();
    // SAFETY: `context` is valid for writes.
    let code = unsafe { (symbols.cuCtxGetCurrent)(&mut context) };
    check(&symbols, "cuCtxGetCurrent", code)?;
    Ok((!context.is_null()).then_some(context as u64))
}

/// The functions of a binding.
fn functions(binding: Binding) -> Result<Symbols, Error> {
    match binding {
        #[cfg(feature = "cudarc")]
        Binding::Cudarc => loaded::cudarc(),
        #[cfg(feature = "cust")]
        Binding::Cust => Ok(linked::cust()),
        #[cfg(feature = "rustacuda")]
        Binding::Rustacuda => Ok(linked::rustacuda()),
        #[allow(unreachable_patterns)]
        other => {
            Err(Error::NoDriver { problem: format!("built without the feature {}", other.name()) })
        }
    }
}

/// The functions of a driver that is new enough and initialised, and its version.
fn start(binding: Binding) -> Result<(Symbols, (u32, u32)), Error> {
    let symbols = functions(binding)?;
    let version = speaks(symbols.cuDriverGetVersion)?;
    if version < NEEDED {
        return Err(Error::OldDriver { found: version, needed: NEEDED });
    }
    // SAFETY: no demands but that the flags are 0; it may be called again, from any thread.
    let code = unsafe { (symbols.cuInit)(0) };
    match code {
        ERROR_NO_DEVICE => Err(Error::NoDevice { count: 0 }),
        ERROR_STUB_LIBRARY | ERROR_SYSTEM_DRIVER_MISMATCH => {
            Err(Error::NoDriver { problem: format!("cuInit: {}", explain(&symbols, code)) })
        }
        code => check(&symbols, "cuInit", code).map(|()| (symbols, version)),
    }
}

/// The version of CUDA that a driver speaks, major and minor; it need not be initialised.
fn speaks(function: unsafe extern "C" fn(*mut c_int) -> Code) -> Result<(u32, u32), Error> {
    let mut version = 0;
    // SAFETY: `function` is `cuDriverGetVersion`, and `version` valid for writes.
    let code = unsafe { function(&mut version) };
    let version = version.unsigned_abs();
    if code == SUCCESS {
        Ok((version / 1000, version % 1000 / 10))
    } else {
        Err(Error::Call { call: "cuDriverGetVersion", problem: format!("error {code}") })
    }
}

fn count(symbols: &Symbols) -> Result<u32, Error> {
    let mut count = 0;
    // SAFETY: `count` is valid for writes.
    let code = unsafe { (symbols.cuDeviceGetCount)(&mut count) };
    match code {
        ERROR_NO_DEVICE => Ok(0),
        code => {
            check(symbols, "cuDeviceGetCount", code).map(|()| u32::try_from(count).unwrap_or(0))
        }
    }
}

/// The device number `ordinal`, which exists.
fn nth(symbols: &Symbols, ordinal: u32) -> Result<Ordinal, Error> {
    let mut handle = 0;
    // SAFETY: `handle` is valid for writes. A number above `c_int` is refused as any other that
    // does not exist.
    let code = unsafe { (symbols.cuDeviceGet)(&mut handle, ordinal as c_int) };
    check(symbols, "cuDeviceGet", code).map(|()| handle)
}

fn describe(
    symbols: &Symbols,
    binding: Binding,
    version: (u32, u32),
    handle: Ordinal,
) -> Result<Device, Error> {
    let mut name = [0 as c_char; 256];
    // SAFETY: `name` is valid for writes of the length that is given.
    let code =
        unsafe { (symbols.cuDeviceGetName)(name.as_mut_ptr(), name.len() as c_int - 1, handle) };
    check(symbols, "cuDeviceGetName", code)?;
    let mut memory = 0;
    // SAFETY: `memory` is valid for writes.
    let code = unsafe { (symbols.cuDeviceTotalMem_v2)(&mut memory, handle) };
    check(symbols, "cuDeviceTotalMem", code)?;
    let attribute = |which| {
        let mut value = 0;
        // SAFETY: `value` is valid for writes.
        let code = unsafe { (symbols.cuDeviceGetAttribute)(&mut value, which, handle) };
        check(symbols, "cuDeviceGetAttribute", code).map(|()| u32::try_from(value).unwrap_or(0))
    };
    // SAFETY: the driver was not told of the last byte, so a 0 stands there at the latest.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
    Ok(Device {
        driver: binding.name(),
        name,
        capability: (attribute(CAPABILITY_MAJOR)?, attribute(CAPABILITY_MINOR)?),
        version,
        memory: memory as u64,
        multiprocessors: attribute(MULTIPROCESSOR_COUNT)?,
        shared_bytes: attribute(SHARED_MEMORY_OPTIN)?,
    })
}

fn refuse_old(device: &Device) -> Result<(), Error> {
    match variant(device.capability) {
        Some(_) => Ok(()),
        None => Err(Error::OldDevice { name: device.name.clone(), capability: device.capability }),
    }
}

/// What a code of the driver means, as a result.
fn check(symbols: &Symbols, call: &'static str, code: Code) -> Result<(), Error> {
    match code {
        SUCCESS => Ok(()),
        code => Err(Error::Call { call, problem: explain(symbols, code) }),
    }
}

/// The driver's name of an error, and its text.
fn explain(symbols: &Symbols, code: Code) -> String {
    let text = |function: unsafe extern "C" fn(Code, *mut *const c_char) -> Code| {
        let mut text: *const c_char = std::ptr::null();
        // SAFETY: `text` is valid for writes.
        let found = unsafe { function(code, &mut text) };
        if found != SUCCESS || text.is_null() {
            return None;
        }
        // SAFETY: the driver answers with a string that ends in 0 and is never freed.
        Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    };
    match (text(symbols.cuGetErrorName), text(symbols.cuGetErrorString)) {
        (Some(name), Some(text)) => format!("{name} ({text})"),
        (Some(name), None) => name,
        _ => format!("error {code}"),
    }
}

/// While this lives, a context is current on this thread.
struct Current<'a> {
    symbols: &'a Symbols,
    /// The context that was current here, and is to be again.
    before: Handle,
}

impl<'a> Current<'a> {
    fn enter(symbols: &'a Symbols, context: &Context) -> Result<Self, Error> {
        let (wanted, mut before) = (context.handle(), null_mut());
        // SAFETY: `before` is valid for writes. The driver looks at a variable of the thread.
        let code = unsafe { (symbols.cuCtxGetCurrent)(&mut before) };
        check(symbols, "cuCtxGetCurrent", code)?;
        if before == wanted {
            return Ok(Self { symbols, before: null_mut() });
        }
        // SAFETY: `wanted` is a living context: retained by `open`, or promised to `adopt`.
        let code = unsafe { (symbols.cuCtxSetCurrent)(wanted) };
        check(symbols, "cuCtxSetCurrent", code)?;
        Ok(Self { symbols, before })
    }
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        // Where no context was current ours stays, and the next call finds it.
        if !self.before.is_null() {
            // SAFETY: it was current on this thread when this began. Were it destroyed since, the
            // driver would refuse it.
            unsafe { (self.symbols.cuCtxSetCurrent)(self.before) };
        }
    }
}
