//! One declaration, two exported functions.

/// The type of an argument in the header, for one scalar type.
macro_rules! kind {
    (Scalar $t:ident) => { $t };
    (Out $t:ident) => { *mut $t };
    (Double $t:ident) => { f64 };
    (DoubleOut $t:ident) => { *mut f64 };
    (Doubles $t:ident) => { $crate::argument::Slice<f64> };
    (DoublesMut $t:ident) => { $crate::argument::SliceMut<f64> };
    (Count $t:ident) => { usize };
    (CountOut $t:ident) => { *mut usize };
    (CountsMut $t:ident) => { $crate::argument::SliceMut<usize> };
    (Indices $t:ident) => { $crate::argument::Slice<u32> };
    (IndicesMut $t:ident) => { $crate::argument::SliceMut<u32> };
    (Step $t:ident) => { u64 };
    (Code $t:ident) => { u32 };
    (Most $t:ident) => { u32 };
    (Window $t:ident) => { Window };
    (MeanState $t:ident) => { MeanState };
    (NoiseOut $t:ident) => { *mut GradientNoise<$t> };
    (FrobeniusOut $t:ident) => { *mut Frobenius<$t> };
    (CodeOut $t:ident) => { *mut u32 };
    (LanczosStateOut $t:ident) => { *mut LanczosState<$t> };
    (DeterminantalSumsOut $t:ident) => { *mut DeterminantalSums };
    ($kind:ident $t:ident) => { $kind<$t> };
}

/// The type of an argument in the body, generic over the scalar type.
macro_rules! lent {
    (Scalar $t:ident) => { $t };
    (Out $t:ident) => { &mut $t };
    ($kind:ident $t:ident) => { <kind!($kind $t) as $crate::argument::Argument>::Lent<'_> };
}

/// Exports `rf_NAME_f32` and `rf_NAME_f64`, whose body is written once.
///
/// The types of arguments are named without the scalar type (`Matrix`, `MatrixMut`, `Slice`,
/// `SliceMut`, a struct of options), or `Scalar`, `Out` (a pointer to one number that is written),
/// `Count`, `Step` (a 64-bit count), `Most` (a 32-bit count of iterations) and `Code` (an option's code). `Double`, `DoubleOut`, `Doubles` and
/// `DoublesMut` are double in both functions; `Indices` are 32-bit.
macro_rules! export {
    ($(
        $(#[doc = $doc:literal])*
        fn $name:ident($($arg:ident: $kind:ident),* $(,)?) $body:block
    )*) => { $(
        pub mod $name {
            // The header states the contract once: every pointer has the elements that its length
            // says, alive during the call, and no other thread writes any of them or reads those of
            // an output.
            #![allow(clippy::missing_safety_doc, clippy::too_many_arguments)]
            #![doc = concat!("`rf_", stringify!($name), "_f32` and its double.")]

            #[allow(unused_imports)]
            use super::*;

            fn body<T: ::relfisher_core::Real + $crate::argument::Element>($($arg: lent!($kind T)),*)
                -> Result<(), $crate::status::Failure> $body

            export! { @one f32 $name single
                { $(#[doc = $doc])* } ($($arg: $kind),*) }
            export! { @one f64 $name double
                { #[doc = concat!(" As `rf_", stringify!($name), "_f32`, in double precision.")] }
                ($($arg: $kind),*) }
        }
    )* };
    (@one $t:ident $name:ident $function:ident { $(#[$meta:meta])* } ($($arg:ident: $kind:ident),*)) => {
        $(#[$meta])*
        #[unsafe(export_name = concat!("rf_", stringify!($name), "_", stringify!($t)))]
        pub unsafe extern "C" fn $function(
            $($arg: kind!($kind $t),)*
            error: *mut $crate::status::Detail,
        ) -> $crate::status::Status {
            use $crate::argument::{Argument, check};
            let regions: &[&[$crate::argument::Checked]] =
                &[$(&Argument::regions(&$arg, stringify!($arg))),*];
            let outcome = check(regions).and_then(|()| {
                // SAFETY: the regions were accepted, the caller vouches for the memory.
                body::<$t>($(unsafe { Argument::lend($arg, stringify!($arg)) }?),*)
            });
            // SAFETY: the caller vouches for `error`.
            unsafe { $crate::status::report(outcome, error) }
        }
    };
}

/// Exports `rf_NAME_f64` alone: functions of doubles that serve both precisions.
macro_rules! export_double {
    ($(
        $(#[doc = $doc:literal])*
        fn $name:ident($($arg:ident: $kind:ident),* $(,)?) $body:block
    )*) => { $(
        pub mod $name {
            #![allow(clippy::missing_safety_doc, clippy::too_many_arguments)]
            #![allow(clippy::extra_unused_type_parameters)]
            #![doc = concat!("`rf_", stringify!($name), "_f64`.")]

            #[allow(unused_imports)]
            use super::*;

            fn body<T>($($arg: lent!($kind f64)),*) -> Result<(), $crate::status::Failure> $body

            export! { @one f64 $name double { $(#[doc = $doc])* } ($($arg: $kind),*) }
        }
    )* };
}

/// Exports workspace queries: functions of counts that depend on no scalar type.
macro_rules! lengths {
    ($(
        $(#[doc = $doc:literal])*
        fn $name:ident($($arg:ident),*) = $path:path;
    )*) => { $(
        $(#[doc = $doc])*
        #[unsafe(export_name = concat!("rf_", stringify!($name)))]
        pub extern "C" fn $name($($arg: usize),*) -> usize {
            $path($($arg),*)
        }
    )* };
}

/// An option that C passes as a code.
macro_rules! choice {
    (
        $(#[$meta:meta])*
        enum $name:ident: $what:literal {
            $($(#[doc = $doc:literal])* $variant:ident = $code:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $doc])* $variant = $code,)*
        }

        impl $name {
            /// The option of a code.
            ///
            /// # Errors
            /// [`Failure::Core`](crate::status::Failure::Core) for a code without meaning.
            pub const fn read(code: u32) -> Result<Self, $crate::status::Failure> {
                match code {
                    $($code => Ok(Self::$variant),)*
                    _ => Err($crate::status::Failure::choice($what)),
                }
            }
        }
    };
}

/// Structs of options as arguments: no memory behind them, only codes to read.
macro_rules! options {
    ($($from:ident => $to:ty, |$options:ident| $read:expr;)*) => { $(
        impl<T: ::relfisher_core::Real> $crate::argument::Argument for $from<T> {
            type Lent<'a> = $to;
            type Regions = [$crate::argument::Checked; 0];

            fn regions(&self, _: &'static str) -> Self::Regions {
                []
            }

            unsafe fn lend<'a>(self, _: &'static str) -> Result<Self::Lent<'a>, $crate::status::Failure> {
                let $options = self;
                Ok($read)
            }
        }
    )* };
}
