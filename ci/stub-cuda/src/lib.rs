//! A CUDA driver without a GPU; `README.md` beside this crate says what it does.

mod context;
mod memory;
mod module;
mod state;
mod work;

use std::collections::BTreeMap;
use std::ffi::{c_char, c_uint};
use std::io::Write;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use state::State;

/// `CUresult`.
type Code = c_uint;

const SUCCESS: Code = 0;
const INVALID_VALUE: Code = 1;
const OUT_OF_MEMORY: Code = 2;
const NOT_INITIALIZED: Code = 3;
const NO_DEVICE: Code = 100;
const INVALID_DEVICE: Code = 101;
const INVALID_CONTEXT: Code = 201;
const INVALID_PTX: Code = 218;
const INVALID_HANDLE: Code = 400;
const ILLEGAL_STATE: Code = 401;
const NOT_FOUND: Code = 500;
const CAPTURE_UNSUPPORTED: Code = 900;

/// What the codes are called, and their texts.
const ERRORS: &[(Code, &std::ffi::CStr, &std::ffi::CStr)] = &[
    (SUCCESS, c"CUDA_SUCCESS", c"no error"),
    (INVALID_VALUE, c"CUDA_ERROR_INVALID_VALUE", c"invalid argument"),
    (OUT_OF_MEMORY, c"CUDA_ERROR_OUT_OF_MEMORY", c"out of memory"),
    (NOT_INITIALIZED, c"CUDA_ERROR_NOT_INITIALIZED", c"initialization error"),
    (34, c"CUDA_ERROR_STUB_LIBRARY", c"CUDA driver is a stub library"),
    (NO_DEVICE, c"CUDA_ERROR_NO_DEVICE", c"no CUDA-capable device is detected"),
    (INVALID_DEVICE, c"CUDA_ERROR_INVALID_DEVICE", c"invalid device ordinal"),
    (INVALID_CONTEXT, c"CUDA_ERROR_INVALID_CONTEXT", c"invalid device context"),
    (INVALID_PTX, c"CUDA_ERROR_INVALID_PTX", c"a PTX JIT compilation failed"),
    (INVALID_HANDLE, c"CUDA_ERROR_INVALID_HANDLE", c"invalid resource handle"),
    (
        ILLEGAL_STATE,
        c"CUDA_ERROR_ILLEGAL_STATE",
        c"the operation cannot be performed in the present state",
    ),
    (NOT_FOUND, c"CUDA_ERROR_NOT_FOUND", c"named symbol not found"),
    (
        803,
        c"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        c"system has unsupported display driver / cuda driver combination",
    ),
    (
        CAPTURE_UNSUPPORTED,
        c"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
        c"operation not permitted when stream is capturing",
    ),
];

/// The variable `STUB_CUDA_…` as a number.
fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(format!("STUB_CUDA_{name}"));
    text.ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The state of the one driver of the process.
fn state() -> MutexGuard<'static, State> {
    static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds a line to the file that `STUB_CUDA_LOG` names.
fn note(line: &str) {
    if let Some(path) = std::env::var_os("STUB_CUDA_LOG") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| writeln!(file, "{line}"));
    }
}

/// The code of what was done.
fn code(done: Result<(), Code>) -> Code {
    done.err().unwrap_or(SUCCESS)
}

/// Writes an answer through a pointer of the caller.
///
/// # Safety
/// `at` is null, or valid for writes.
unsafe fn answer<T>(at: *mut T, value: T) -> Result<(), Code> {
    if at.is_null() {
        return Err(INVALID_VALUE);
    }
    // SAFETY: as the caller promises.
    unsafe { at.write(value) };
    Ok(())
}

/// # Safety
/// `text` is null, or valid for writes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetErrorName(error: Code, text: *mut *const c_char) -> Code {
    let found = ERRORS.iter().find(|(code, ..)| *code == error).map(|(_, name, _)| name.as_ptr());
    // SAFETY: as the caller promises.
    code(found.ok_or(INVALID_VALUE).and_then(|found| unsafe { answer(text, found) }))
}

/// # Safety
/// `text` is null, or valid for writes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetErrorString(error: Code, text: *mut *const c_char) -> Code {
    let found = ERRORS.iter().find(|(code, ..)| *code == error).map(|(.., text)| text.as_ptr());
    // SAFETY: as the caller promises.
    code(found.ok_or(INVALID_VALUE).and_then(|found| unsafe { answer(text, found) }))
}

/// Something of a table, or that the handle is none.
fn get<T>(table: &mut BTreeMap<u64, T>, handle: u64) -> Result<&mut T, Code> {
    table.get_mut(&handle).ok_or(INVALID_HANDLE)
}
