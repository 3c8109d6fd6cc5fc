//! Initialisation, devices, contexts.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_uint};

use crate::state::State;
use crate::{
    Code, INVALID_CONTEXT, INVALID_DEVICE, INVALID_VALUE, NOT_INITIALIZED, answer, code, note,
    setting, state,
};

thread_local! {
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

/// The state, where a context is current on this thread.
pub(crate) fn within(act: impl FnOnce(&mut State) -> Result<(), Code>) -> Code {
    let mut state = state();
    if !state.contexts.contains_key(&CURRENT.get()) {
        return INVALID_CONTEXT;
    }
    code(act(&mut state))
}

/// What an initialised driver answers.
fn initialised(act: impl FnOnce() -> Result<(), Code>) -> Code {
    if state().initialised { code(act()) } else { NOT_INITIALIZED }
}

fn existing(device: c_int) -> Result<(), Code> {
    let exists = u64::try_from(device).is_ok_and(|i| i < setting("DEVICES", 0));
    if exists { Ok(()) } else { Err(INVALID_DEVICE) }
}

#[cfg(not(feature = "without-init"))]
#[unsafe(no_mangle)]
extern "C" fn cuInit(flags: c_uint) -> Code {
    if flags != 0 {
        return INVALID_VALUE;
    }
    let outcome = setting("INIT", 0) as Code;
    state().initialised = outcome == 0;
    outcome
}

/// # Safety
/// The pointer is null, or valid for writes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> Code {
    // SAFETY: as the caller promises.
    code(unsafe { answer(version, setting("VERSION", 12_040) as c_int) })
}

/// # Safety
/// As [`cuDriverGetVersion`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> Code {
    // SAFETY: as the caller promises.
    initialised(|| unsafe { answer(count, setting("DEVICES", 0) as c_int) })
}

/// # Safety
/// As [`cuDriverGetVersion`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGet(device: *mut c_int, ordinal: c_int) -> Code {
    initialised(|| {
        existing(ordinal)?;
        // SAFETY: as the caller promises.
        unsafe { answer(device, ordinal) }
    })
}

/// # Safety
/// `name` is null, or valid for writes of `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, length: c_int, device: c_int) -> Code {
    initialised(|| {
        existing(device)?;
        let text = format!("Stub {device}");
        if name.is_null() || usize::try_from(length).is_ok_and(|most| most <= text.len()) {
            return Err(INVALID_VALUE);
        }
        for (i, byte) in text.bytes().chain([0]).enumerate() {
            // SAFETY: the text with its 0 is no longer than `length`.
            unsafe { name.add(i).write(byte as c_char) };
        }
        Ok(())
    })
}

/// # Safety
/// As [`cuDriverGetVersion`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetAttribute(
    value: *mut c_int,
    attribute: c_uint,
    device: c_int,
) -> Code {
    initialised(|| {
        existing(device)?;
        let capability = setting("CAPABILITY", 80) as c_int;
        let found = match attribute {
            16 => 12,
            75 => capability / 10,
            76 => capability % 10,
            97 => 101_376,
            _ => return Err(INVALID_VALUE),
        };
        // SAFETY: as the caller promises.
        unsafe { answer(value, found) }
    })
}

/// # Safety
/// As [`cuDriverGetVersion`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, device: c_int) -> Code {
    initialised(|| {
        existing(device)?;
        // SAFETY: as the caller promises.
        unsafe { answer(bytes, setting("MEMORY", 64 << 20) as usize) }
    })
}

/// # Safety
/// As [`cuDriverGetVersion`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut u64, device: c_int) -> Code {
    initialised(|| {
        existing(device)?;
        let mut state = state();
        let handle = 0xc000_0000 + 16 * device as u64;
        state.contexts.entry(handle).or_insert((device, 0)).1 += 1;
        note(&format!("retain {device}"));
        // SAFETY: as the caller promises.
        unsafe { answer(context, handle) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRelease_v2(device: c_int) -> Code {
    initialised(|| {
        existing(device)?;
        let mut state = state();
        let handle = 0xc000_0000 + 16 * device as u64;
        let (_, retained) = state.contexts.get_mut(&handle).ok_or(INVALID_CONTEXT)?;
        *retained -= 1;
        if *retained == 0 {
            state.contexts.remove(&handle);
        }
        note(&format!("release {device}"));
        Ok(())
    })
}

/// The name of CUDA 10.
#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRelease(device: c_int) -> Code {
    cuDevicePrimaryCtxRelease_v2(device)
}

/// # Safety
/// As [`cuDriverGetVersion`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetCurrent(context: *mut u64) -> Code {
    // SAFETY: as the caller promises.
    initialised(|| unsafe { answer(context, CURRENT.get()) })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetCurrent(context: u64) -> Code {
    initialised(|| {
        if context != 0 && !state().contexts.contains_key(&context) {
            return Err(INVALID_CONTEXT);
        }
        CURRENT.set(context);
        Ok(())
    })
}

/// # Safety
/// As [`cuDriverGetVersion`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetDevice(device: *mut c_int) -> Code {
    within(|state| {
        let (ordinal, _) = state.contexts[&CURRENT.get()];
        // SAFETY: as the caller promises.
        unsafe { answer(device, ordinal) }
    })
}

/// A context of an engine's own, which becomes current.
///
/// # Safety
/// As [`cuDriverGetVersion`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxCreate_v2(context: *mut u64, _flags: c_uint, device: c_int) -> Code {
    initialised(|| {
        existing(device)?;
        let mut state = state();
        let handle = state.handle();
        state.contexts.insert(handle, (device, 1));
        CURRENT.set(handle);
        note(&format!("create context {device}"));
        // SAFETY: as the caller promises.
        unsafe { answer(context, handle) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxDestroy_v2(context: u64) -> Code {
    initialised(|| {
        state().contexts.remove(&context).ok_or(INVALID_CONTEXT)?;
        if CURRENT.get() == context {
            CURRENT.set(0);
        }
        note("destroy context");
        Ok(())
    })
}
