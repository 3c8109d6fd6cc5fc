//! Calls every public routine of the core; links only when none of them can panic.
//!
//! The job `cargo ci no-panic` builds this crate and says how to read a failure. A probe takes
//! arguments that the optimiser knows nothing about ([`Opaque`]), so whatever check could fail at
//! run time survives into the linked library.
#![no_std]

mod algebra;
mod convolutions;
mod curvature;
mod elements;
mod kronecker;
mod layers;
mod optimisers;
mod samples;
mod sparse;
mod spectra;
mod steps;
mod uses;

use relfisher_core::{Error, MatMut, MatRef, Real};

unsafe extern "C" {
    /// Defined nowhere: a reference that survives optimisation breaks the link.
    fn relfisher_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: never linked into anything that runs.
    unsafe { relfisher_panic_is_reachable() }
}

/// A matrix of unknown contents, shape and strides.
pub struct Matrix<T: 'static> {
    data: &'static mut [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// Arguments that the optimiser knows nothing about.
pub struct Opaque<T: 'static> {
    out: Matrix<T>,
    more: Matrix<T>,
    inputs: [Matrix<T>; 5],
    work: &'static mut [T],
    slices: [&'static mut [T]; 4],
    places: &'static mut [u32],
    doubles: [&'static mut [f64]; 3],
    counts: [usize; 8],
    scalars: [T; 8],
    choice: u8,
    result: T,
}

impl<T: Real> Matrix<T> {
    fn view(&self) -> Result<MatRef<'_, T>, Error> {
        MatRef::with_strides(self.data, self.rows, self.cols, self.row_stride, self.col_stride)
    }
    fn view_mut(&mut self) -> Result<MatMut<'_, T>, Error> {
        MatMut::with_strides(self.data, self.rows, self.cols, self.row_stride, self.col_stride)
    }
}

/// Exports a probe for both scalar types.
#[macro_export]
macro_rules! probe {
    ($($name:ident)*) => { $(
        const _: () = {
            #[unsafe(export_name = concat!("probe_", stringify!($name), "_f32"))]
            extern "C" fn f32_probe(x: &mut $crate::Opaque<f32>) -> bool { $name(x).is_ok() }
            #[unsafe(export_name = concat!("probe_", stringify!($name), "_f64"))]
            extern "C" fn f64_probe(x: &mut $crate::Opaque<f64>) -> bool { $name(x).is_ok() }
        };
    )* };
}
