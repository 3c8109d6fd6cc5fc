//! The entry points, each named once: a body, its types and the order of its parameters.
//!
//! From one list come the entry points of the PTX, the signatures that a host launches by
//! ([`crate::contract::signature()`]) and the launches by name on the emulator.
//!
//! # Safety
//! Every entry point demands the launch shape of its contract ([`crate::contract::CONTRACTS`]), and
//! arrays in global memory that hold what its body's documentation says and do not overlap where
//! one is written. Nothing is checked on a GPU: the host checks before it launches.

mod batch;
mod product;
mod training;
mod vector;

/// Entry points as `name(write out: f32, read x: f32; s: Scalars<f32>) => body;`: the arrays, the
/// values, and the function that every thread calls with itself and them. The list gets a name.
#[cfg(target_arch = "nvptx64")]
macro_rules! entries {
    ($list:ident: $($name:ident(
        $($access:ident $array:ident: $word:ident),*; $($value:ident: $type:ty),*
    ) => $body:expr;)*) => { $(
        #[unsafe(no_mangle)]
        unsafe extern "ptx-kernel" fn $name(
            $($array: $crate::nvptx::Array<$word>,)*
            $($value: $type),*
        ) {
            $body($crate::nvptx::Nvptx, $($array,)* $($value),*)
        }
    )* };
}
#[cfg(not(target_arch = "nvptx64"))]
macro_rules! entries {
    ($list:ident: $($name:ident(
        $($access:ident $array:ident: $word:ident),*; $($value:ident: $type:ty),*
    ) => $body:expr;)*) => {
        pub(super) static $list: &[$crate::entry::Entry] = &[$(
            $crate::entry::Entry {
                signature: $crate::contract::Signature {
                    name: stringify!($name),
                    arrays: &[$($crate::contract::ArrayParameter {
                        name: stringify!($array),
                        word: $crate::entry::word!($word),
                        access: $crate::entry::access!($access),
                    }),*],
                    values: &[$($crate::contract::ValueParameter {
                        name: stringify!($value),
                        bytes: size_of::<$type>(),
                    }),*],
                },
                #[cfg(feature = "emulator")]
                launch: |grid, mut arguments| {
                    $(let $array = arguments.array::<$word>()?;)*
                    $(let $value = arguments.value::<$type>()?;)*
                    Ok($crate::emulator::launch(grid, |d| $body(d, $($array,)* $($value),*))?)
                },
            }
        ),*];
    };
}
use entries;

#[cfg(not(target_arch = "nvptx64"))]
pub(crate) use host::{Entry, find};
#[cfg(not(target_arch = "nvptx64"))]
use host::{access, word};

#[cfg(not(target_arch = "nvptx64"))]
mod host {
    use super::{batch, product, training, vector};
    use crate::contract::Signature;

    /// An entry point as a host sees it.
    pub(crate) struct Entry {
        /// Its parameters.
        pub(crate) signature: Signature,
        /// Launches it with arguments that fit the signature.
        #[cfg(feature = "emulator")]
        pub(crate) launch: Launch,
    }

    #[cfg(feature = "emulator")]
    type Launch = fn(
        crate::emulator::Grid,
        crate::emulator::Arguments<'_>,
    ) -> Result<(), crate::emulator::LaunchError>;

    /// The entry point of a name.
    pub(crate) fn find(name: &str) -> Option<&'static Entry> {
        let lists =
            vector::LISTS.iter().chain(batch::LISTS).chain(product::LISTS).chain(training::LISTS);
        lists.copied().flatten().find(|entry| entry.signature.name == name)
    }

    macro_rules! word {
        (u32) => {
            $crate::contract::WordKind::U32
        };
        (f32) => {
            $crate::contract::WordKind::F32
        };
        (f64) => {
            $crate::contract::WordKind::F64
        };
    }
    macro_rules! access {
        (read) => {
            $crate::contract::Access::Read
        };
        (write) => {
            $crate::contract::Access::Write
        };
    }
    pub(super) use {access, word};
}
