//! The C interface of [`relfisher_core`]: `include/relfisher.h` and a static and a shared library.
//!
//! Every function is declared once, generic over the scalar type, and exported twice
//! (`rf_NAME_f32`, `rf_NAME_f64`) by the macro `export!`. What C hands over is checked first
//! ([`argument`]): null pointers, alignment, shapes that overflow or leave their buffers, and outputs
//! that share memory with anything else. Only then are slices made of it. Nothing allocates, unwinds
//! or keeps state.
#![cfg_attr(not(test), no_std)]

#[macro_use]
mod export;

pub mod argument;
pub mod blas;
pub mod conv;
pub mod curvature;
pub mod determinantal;
pub mod exact;
pub mod factor;
pub mod kron;
pub mod lanczos;
pub mod laplace;
pub mod metric;
pub mod neuron;
pub mod optim;
pub mod prune;
pub mod sample_space;
pub mod shared;
pub mod sparse;
pub mod spectrum;
pub mod stats;
pub mod status;
pub mod two_layer;
pub mod version;

/// Reached by no function: the shared library is also built with a handler that does not exist.
#[cfg(all(not(test), not(feature = "prove-no-panic")))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// The proof: a panic that survives optimisation leaves an undefined symbol.
#[cfg(all(not(test), feature = "prove-no-panic"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn relfisher_panic_is_reachable() -> !;
    }
    // SAFETY: never linked into anything that runs.
    unsafe { relfisher_panic_is_reachable() }
}

/// A function that can panic, to show that the proof can fail.
#[cfg(feature = "planted")]
#[unsafe(no_mangle)]
pub extern "C" fn rf_planted(place: usize) -> u8 {
    let table = *b"relfisher";
    table[place]
}
