//! Which library is linked.

use core::ffi::c_char;

use crate::status::Status;

/// The version of the binary interface that this header describes; it changes with every change that
/// breaks programs compiled against an older header.
pub const RF_ABI_VERSION: u32 = 1;

/// The version of the library, e.g. `"0.1.0"`, null-terminated, valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn rf_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The `RF_ABI_VERSION` of the linked library.
#[unsafe(no_mangle)]
pub extern "C" fn rf_abi_version() -> u32 {
    RF_ABI_VERSION
}

/// `RF_STATUS_OK` when the linked library has the binary interface `abi` and a `size_t` of
/// `size_of_size` bytes, else `RF_STATUS_ABI`. Call `rf_abi_check(RF_ABI_VERSION, sizeof(size_t))`
/// once at the start.
#[unsafe(no_mangle)]
pub extern "C" fn rf_abi_check(abi: u32, size_of_size: usize) -> Status {
    if abi == RF_ABI_VERSION && size_of_size == size_of::<usize>() {
        Status::Ok
    } else {
        Status::Abi
    }
}
