//! Helpers generic over the dtype.

use relfisher_core::{MatMut, MatRef, Real};

/// `len` NaNs: what every output and workspace holds before a call.
pub fn nans<T: Real>(len: usize) -> Vec<T> {
    vec![T::NAN; len]
}

/// A row-major view of `rows × cols`.
///
/// # Panics
/// When the slice is too short.
#[track_caller]
pub fn mat<T: Real>(data: &[T], rows: usize, cols: usize) -> MatRef<'_, T> {
    MatRef::new(data, rows, cols).expect("slice as long as its shape")
}

/// A writable row-major view of `rows × cols`.
///
/// # Panics
/// When the slice is too short.
#[track_caller]
pub fn mat_mut<T: Real>(data: &mut [T], rows: usize, cols: usize) -> MatMut<'_, T> {
    MatMut::new(data, rows, cols).expect("slice as long as its shape")
}

/// `"f32"` or `"f64"`.
pub fn dtype<T: Real>() -> &'static str {
    core::any::type_name::<T>()
}

/// Stamps tests that are generic over the dtype: `both_dtypes!(a, b)` makes `single::a`,
/// `double::a`, … of `fn a<T: Real>()`, `fn b<T: Real>()`.
#[macro_export]
macro_rules! both_dtypes {
    ($($name:ident),* $(,)?) => {
        mod single {
            $(#[test] fn $name() { super::$name::<f32>(); })*
        }
        mod double {
            $(#[test] fn $name() { super::$name::<f64>(); })*
        }
    };
}
