//! The table of functions from the library that `cudarc` finds at run time.

use std::panic::catch_unwind;

use cudarc::driver::sys;

use super::symbols::{Instantiate, Symbols, functions};
use super::{NEEDED, speaks};
use crate::driver::Error;

/// Finds and loads the driver's library, and every function in it.
///
/// `cudarc` panics where the library or a function is missing, so the library is looked for first,
/// and the functions are taken from it by name.
pub(super) fn cudarc() -> Result<Symbols, Error> {
    // SAFETY: loading the driver's library runs its initialisers, which is what it is made for.
    let present = unsafe { sys::is_culib_present() };
    if !present {
        return Err(missing("the library libcuda.so.1 was not found, or cannot be loaded"));
    }
    // SAFETY: as above. The library could have gone in between, hence the guard.
    let library = catch_unwind(|| unsafe { sys::culib() })
        .map_err(|_| missing("the library libcuda.so.1 was found, but then not loaded"))?;

    /// The function `$name` of the library.
    macro_rules! function {
        ($name:ident) => {
            // SAFETY: this is the type that CUDA documents for this function. The library is never
            // unloaded, so the pointer stays good.
            *unsafe { library.get(stringify!($name).as_bytes()) }.map_err(|_| {
                missing(&format!("the library has no function {}", stringify!($name)))
            })?
        };
    }
    macro_rules! table {
        ($instantiate:expr; $($name:ident($($argument:ty),*);)*) => {
            Symbols { $($name: function!($name),)* instantiate: $instantiate }
        };
    }
    // An old driver lacks functions: that it is old says more.
    let version = speaks(function!(cuDriverGetVersion))?;
    if version < NEEDED {
        return Err(Error::OldDriver { found: version, needed: NEEDED });
    }
    // SAFETY: as above.
    let flags = unsafe { library.get(b"cuGraphInstantiateWithFlags") };
    let instantiate = match flags {
        Ok(function) => Instantiate::Flags(*function),
        Err(_) => Instantiate::Log(function!(cuGraphInstantiate_v2)),
    };
    Ok(functions!(table, instantiate))
}

fn missing(problem: &str) -> Error {
    Error::NoDriver { problem: problem.to_string() }
}
