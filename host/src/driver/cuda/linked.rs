//! Tables of functions from crates that declare them and link the driver.

use super::symbols::{Instantiate, Symbols, functions};

/// A C function, by the sizes of its result and of its arguments.
trait Signature: Copy {
    /// The sizes, the result's first.
    const SIZES: &'static [usize];
}

macro_rules! signatures {
    ($($argument:ident)*) => {
        impl<Code: Copy $(, $argument: Copy)*> Signature
            for unsafe extern "C" fn($($argument),*) -> Code
        {
            const SIZES: &'static [usize] = &[size_of::<Code>() $(, size_of::<$argument>())*];
        }
        signatures!(@shorter $($argument)*);
    };
    (@shorter) => {};
    (@shorter $first:ident $($argument:ident)*) => { signatures!($($argument)*); };
}
signatures!(A B C D E F G H I J K);

/// The function `binding` under the types of the table. That they agree in number and sizes of
/// arguments is checked when this is compiled.
fn adopt<B: Signature, F: Signature>(binding: B) -> F {
    const {
        let (mut i, sizes, wanted) = (0, B::SIZES, F::SIZES);
        assert!(sizes.len() == wanted.len(), "a binding has another number of arguments");
        while i < sizes.len() {
            assert!(sizes[i] == wanted[i], "a binding has an argument of another size");
            i += 1;
        }
    }
    // SAFETY: both are pointers to C functions with as many arguments, of the same sizes; they
    // differ in integers for enumerations and in what pointers point to, which C passes alike. An
    // integer result takes any code, which the enumeration of a binding does not.
    unsafe { std::mem::transmute_copy(&binding) }
}

macro_rules! any {
    ($argument:ty) => {
        _
    };
}

/// The table from what `names` declares.
macro_rules! table {
    ($instantiate:expr; $($name:ident($($argument:ty),*);)*) => {
        Symbols {
            $($name: adopt(names::$name as unsafe extern "C" fn($(any!($argument)),*) -> _),)*
            instantiate: $instantiate,
        }
    };
}

/// The functions as `cust` declares them (CUDA 11).
#[cfg(feature = "cust")]
pub(super) fn cust() -> Symbols {
    use cust::sys as names;
    let instantiate =
        adopt(names::cuGraphInstantiateWithFlags as unsafe extern "C" fn(_, _, _) -> _);
    functions!(table, Instantiate::Flags(instantiate))
}

/// The functions as `rustacuda` declares them (CUDA 10: one under its older name).
#[cfg(feature = "rustacuda")]
pub(super) fn rustacuda() -> Symbols {
    mod names {
        pub(super) use cuda_driver_sys::cuDevicePrimaryCtxRelease as cuDevicePrimaryCtxRelease_v2;
        pub(super) use cuda_driver_sys::*;
    }
    let instantiate = adopt(names::cuGraphInstantiate as unsafe extern "C" fn(_, _, _, _, _) -> _);
    functions!(table, Instantiate::Log(instantiate))
}
